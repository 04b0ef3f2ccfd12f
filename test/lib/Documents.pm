# Documents that can be run: reads the SQL of a Markdown file, runs it as a reader would who pastes it block by block
# into psql, and compares what comes out with what the document shows.
#
#	```sql		is run; must not raise an error, unless the block after it shows one
#	```text		directly after it: exactly what psql prints then, where "..." in a line stands for anything
#
# Other blocks, and other ```text blocks, are for the eye. A reader takes his time; so before each block we wait until
# the workers have done what there is to do, unless there are no workers.
#
# Locks, memory: none. Owns: nothing.

package Documents;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(read_blocks run_document run_block block_matches catalog_entries);

# The engine is up, and there is nothing left to do for the workers.
my $SETTLED = <<'SQL';
SELECT (SELECT bool_and(ok) FROM durable.doctor() WHERE check_name IN ('launcher', 'coordinator')) AND
	(current_setting('durable.max_workers') = '0' OR NOT (
		EXISTS (SELECT FROM durable.inbox) OR
		EXISTS (SELECT FROM durable.timer WHERE due_at <= durable.clock()) OR
		EXISTS (SELECT FROM durable.task_queue WHERE run_at <= durable.clock())))
SQL

# read_blocks(file): references to {line, sql, shown}; shown is undef where the document shows no output.
sub read_blocks
{
	my ($file) = @_;
	my (@blocks, $fence, $text, $start, $last);

	open my $handle, '<:raw', $file or die "could not open $file: $!\n";
	while (my $line = <$handle>)
	{
		if (!defined $fence)
		{
			if ($line =~ /^```(\w*)/)
			{
				($fence, $text, $start) = ($1, '', $.);
			}
			elsif ($line =~ /\S/)
			{
				$last = undef;		# prose: what follows is no output of the block before
			}
		}
		elsif ($line =~ /^```\s*$/)
		{
			if ($fence eq 'sql')
			{
				$last = { line => $start, sql => $text };
				push @blocks, $last;
			}
			elsif ($fence eq 'text' && $last)
			{
				$last->{shown} = $text;
				$last = undef;
			}
			else
			{
				$last = undef;
			}
			$fence = undef;
		}
		else
		{
			$text .= $line;
		}
	}
	die "$file: block at line $start does not end\n" if defined $fence;
	close $handle;
	return @blocks;
}

# run_block(node, database, sql): what psql prints, errors in their places.
sub run_block
{
	my ($node, $database, $sql) = @_;
	my $printed = '';

	$node->poll_query_until($database, $SETTLED)
	  or die "the workers have not done their work in time\n";
	run [ 'psql', '-X', '-q', '-d', $node->connstr($database) ], '<', \$sql, '>', \$printed, '2>&1';
	return $printed;
}

# block_matches(shown, printed): white space at line ends does not count.
sub block_matches
{
	my ($shown, $printed) = @_;
	my $pattern = join "\n", map { join '.*?', map { quotemeta } split /\.\.\./, $_, -1 } lines($shown);

	return join("\n", lines($printed)) =~ /\A$pattern\z/;
}

sub lines
{
	my ($text) = @_;

	$text =~ s/[ \t]+$//mg;
	$text =~ s/^CONTEXT:  \KPL\/pgSQL expression/SQL expression/mg;	# 18 names the language
	$text =~ s/\n+\z//;
	return split /\n/, $text, -1;
}

# run_document(node, database, file, before => sub): one assertion for each block. before is called, with node and
# database, before each. Returns how many there were.
sub run_document
{
	my ($node, $database, $file, %options) = @_;
	my $name = $file =~ s{.*/}{}r;
	my @blocks = read_blocks($file);

	foreach my $block (@blocks)
	{
		$options{before}->($node, $database) if $options{before};
		my $printed = run_block($node, $database, $block->{sql});
		my $title = "$name, line $block->{line}";

		if (defined $block->{shown})
		{
			ok(block_matches($block->{shown}, $printed), "$title: prints what is shown")
			  or diag("--- shown\n$block->{shown}--- printed\n$printed");
		}
		else
		{
			unlike($printed, qr/^(ERROR|FATAL|PANIC|WARNING):/m, "$title: runs");
		}
	}
	return scalar @blocks;
}

# --- the reference ------------------------------------------------------------------------------------------------------

my $FUNCTIONS = <<'SQL';
SELECT CASE WHEN prokind = 'p' THEN 'CALL ' ELSE '' END || 'durable.' || proname,
       regexp_replace(pg_get_function_arguments(oid), '(DEFAULT (?:NULL|''[^'']*''))::[^,]+', '\1', 'g'),
       coalesce(pg_get_function_result(oid), ''),
       obj_description(oid, 'pg_proc')
FROM pg_proc WHERE pronamespace = 'durable'::regnamespace AND prorettype <> 'trigger'::regtype
SQL

my $VIEWS = <<'SQL';
SELECT 'durable.' || relname, obj_description(c.oid, 'pg_class'),
       string_agg(format('| `%s` | %s |', attname, format_type(atttypid, NULL)), E'\x01' ORDER BY attnum)
FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
WHERE relnamespace = 'durable'::regnamespace AND relkind = 'v' GROUP BY c.oid
SQL

my $SETTINGS = <<'SQL';
SELECT name, setting, coalesce(unit, ''), context, short_desc FROM pg_settings WHERE name LIKE 'durable.%'
SQL

my %CONTEXTS = (postmaster => 'restart', sighup => 'reload', superuser => 'superuser', user => 'anybody');

# catalog_entries(node, database, setting => default ...): what the reference must contain, word for word; by name. Of
# views it is the comment and, as "view.column", the beginning of each column's row; of settings a row.
sub catalog_entries
{
	my ($node, $database, %defaults) = @_;
	my %entries;

	foreach my $row (rows($node, $database, $FUNCTIONS))
	{
		my ($name, $arguments, $result, $comment) = @$row;
		my $signature = "$name($arguments)" . ($result eq '' ? '' : " -> $result");

		# One line for each parameter when there is no room in one line.
		if (length $signature > 110)
		{
			my @arguments = $arguments =~ /((?:[^,(']|\([^)]*\)|'[^']*')+)(?:, |$)/g;
			$signature = "$name(\n    " . join(",\n    ", @arguments) . ")" . ($result eq '' ? '' : " -> $result");
		}
		$signature =~ s/timestamp with time zone/timestamptz/g;
		$name =~ s/^CALL //;
		$entries{$name} = "```\n$signature\n```\n\n" . sentence($comment) . "\n";
	}
	foreach my $row (rows($node, $database, $VIEWS))
	{
		my ($name, $comment, $columns) = @$row;

		$entries{$name} = "### $name\n\n" . sentence($comment) . "\n";
		foreach my $column (split /\x01/, $columns)
		{
			$column =~ s/timestamp with time zone/timestamptz/;
			$entries{"$name" . ($column =~ /`(\w+)`/ ? ".$1" : '')} = $column;
		}
	}
	foreach my $row (rows($node, $database, $SETTINGS))
	{
		my ($name, $value, $unit, $context, $description) = @$row;

		$value = $defaults{$name} // $value;
		$value = $value eq '' ? 'empty' : $unit eq '' || $value eq '0' ? $value : "$value $unit";
		$entries{$name} = "| `$name` | $value | $CONTEXTS{$context} | $description |";
	}
	return %entries;
}

# Comments begin small and have no full stop.
sub sentence
{
	my ($comment) = @_;

	return ucfirst($comment) . ($comment =~ /[.?!]$/ ? '' : '.');
}

sub rows
{
	my ($node, $database, $query) = @_;
	my $printed = $node->safe_psql($database, $query, extra_params => [ '-F', "\x02", '-R', "\x03" ]);

	$printed =~ s/\n+\z//;
	return map { [ split /\x02/, $_, -1 ] } split /\x03/, $printed;
}

1;
