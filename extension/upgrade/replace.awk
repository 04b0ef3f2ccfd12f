# Makes the part of an upgrade script that brings functions and views up to date and adds what
# is new, from the topics of the present install script.
#
#	awk -f replace.awk durable--0.1.sql before.sql topic.sql ...
#
# The first file is the install script of the old version, the second the part of the upgrade
# that is written by hand.  Functions, procedures and views are replaced.  Tables, indexes,
# sequences, types and triggers that the old version has are left out, except that a table gets
# the columns that it does not have: the second file does the rest.  An index or a function that the second file drops is made anew.  Comments, privileges
# and what is to be dumped are repeated.  Rows and clean-up that belong to a first
# installation (INSERT, and DO with "first installation" in the line before it) are left out.
#
# A statement begins in the first column, and ends with a line that ends with a semicolon; a DO
# ends with a line "$$;".

function object(line,    words, n, kind)
{
	n = split(line, words, /[ (;]+/)
	if (words[1] != "CREATE")
		return ""
	kind = words[2]
	if (kind == "UNIQUE")
		return "INDEX " words[4]
	if (kind == "TRIGGER")
	{
		# CREATE TRIGGER name BEFORE event ON table
		for (n = 3; words[n] != "ON"; n++)
			;
		return "TRIGGER " words[3] " " words[n + 1]
	}
	if (kind == "TABLE" || kind == "INDEX" || kind == "SEQUENCE" || kind == "TYPE" || kind == "DOMAIN" || kind == "SCHEMA")
		return kind " " words[3]
	return ""
}

FNR == 1 { file++ }

# A line of CREATE TABLE that declares a column.
function column(line,    words)
{
	if (line !~ /^    [a-z_]+ +[a-z"]/)
		return ""
	split(line, words, / +/)
	return words[2]
}

file == 1 {
	if (object($0) != "")
		old[object($0)] = 1
	if (/^CREATE TABLE /)
		table = $3
	if (table != "" && column($0) != "")
		old_column[table, column($0)] = 1
	if (/;$/)
		table = ""
	next
}

file == 2 {
	if (/^DROP INDEX durable\./)
	{
		name = $3
		sub(/^durable\./, "", name)
		sub(/;$/, "", name)
		delete old["INDEX " name]
	}
	next
}

FNR == 1 { printf "\n-- %s\n\n", FILENAME }

table != "" {
	if (column($0) != "" && !((table, column($0)) in old_column))
	{
		line = $0
		sub(/^ +/, "", line)
		sub(/,$/, "", line)
		print "ALTER TABLE " table " ADD COLUMN " line ";"
	}
	if (/;$/)
		table = ""
	next
}
skipping != "" { if ($0 ~ skipping) skipping = ""; next }

/^\\echo/ { next }
/^INSERT / { if (!/;$/) skipping = ";$"; next }
/^DO / && before ~ /first installation/ { skipping = "^[$][$];$"; next }
/^CREATE TABLE / && (object($0) in old) { table = $3; next }
/^CREATE / && (object($0) in old) { if (!/;$/) skipping = ";$"; next }
/^ALTER TABLE / && ("TABLE " $3) in old { if (!/;$/) skipping = ";$"; next }
/^CREATE (FUNCTION|PROCEDURE|VIEW) / { sub(/^CREATE/, "CREATE OR REPLACE") }
leave_out != "" && $0 ~ leave_out { if (!/;$/) skipping = ";$"; next }

{ before = $0; print }
