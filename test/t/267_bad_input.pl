# Every public function with every kind of bad value, in two roles, in sessions and in orchestrations: no internal error, no
# process of the engine ends, and each error has a text. The calls are generated from the catalog, so a new function is tested, too.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.worker_idle_timeout = '1 h'
durable.worker_max_units = 100000
statement_timeout = '60 s'
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE visitor LOGIN;
SELECT durable.grant_usage('visitor');
CREATE SCHEMA sweep;
GRANT ALL ON SCHEMA sweep TO visitor;

-- Values of a type, as SQL; the first one is a harmless one.
CREATE TABLE sweep.value (type text, n int GENERATED ALWAYS AS IDENTITY, literal text);
INSERT INTO sweep.value (type, literal)
SELECT type, v FROM (VALUES
	('text', ARRAY['''x''', 'NULL', '''''', 'repeat(''x'', 1048577)', '''it''''s "q" \ % $1 ; -- /* '' ', 'E''a\nb\tc\x01\x1b[31m''', '''@''', '''@a@''', '''pg_catalog.now''', '''public.x(int, "y)''', '''{"a": 1}''']),
	('jsonb', ARRAY['''{}''', 'NULL', '''null''', '''[]''', '''"x"''', '''-1''', '''1e400''', '''[[[]]]''', 'to_jsonb(repeat(''x'', 1048577))', '''{"max_attempts": -1, "first_interval": "infinity", "backoff": 1e308, "timeout": "-1 s"}''', '''{"input": {"": null}, "name": []}''']),
	('json', ARRAY['''{}''', 'NULL', '''[]''', '''"x"''']),
	('interval', ARRAY['''10 ms''', 'NULL', '''0 s''', '''-1 day''', '''178000000 years''', '''-178000000 years''', '''1 month -30 days''']),
	('timestamp with time zone', ARRAY['now()', 'NULL', '''infinity''', '''-infinity''', '''4713-01-01 BC''', '''294276-12-31''']),
	('integer', ARRAY['1', 'NULL', '0', '-1', '2147483647', '-2147483648']),
	('bigint', ARRAY['1', 'NULL', '0', '-1', '9223372036854775807', '-9223372036854775808']),
	('durable.task', ARRAY['1', 'NULL', '0', '-1', '9223372036854775807', '-9223372036854775808']),
	('double precision', ARRAY['1', 'NULL', '0', '-1', '''NaN''', '''Infinity''', '''-Infinity''', '1e308']),
	('numeric', ARRAY['1', 'NULL', '''NaN''', '-1']),
	('boolean[]', ARRAY['''{true}''', 'NULL', '''{}''', '''{NULL}''']),
	('durable.entities', ARRAY['NULL', 'ROW()']),
	('durable.instance_status', ARRAY['NULL']),
	('durable.instance_state', ARRAY['NULL', '''(x,,,,,,,,,,,,,,,,)''']),
	('boolean', ARRAY['true', 'NULL', 'false']),
	('uuid', ARRAY['gen_random_uuid()', 'NULL']),
	('oid', ARRAY['0', 'NULL', '4294967295']),
	('"any"', ARRAY['1', 'NULL', '''x''::text', '''{}''::jsonb', '''NaN''::float8', 'repeat(''x'', 1048577)', '''infinity''::timestamptz', 'ARRAY[NULL]::text[]', 'ROW(1, NULL)', 'B''101''', '''\xdead''::bytea', '''<a/>''::xml']),
	('regprocedure', ARRAY['''now()''', 'NULL', '0', '4294967295', '''array_in(cstring,oid,integer)''', '''count("any")''', '''record_out(record)''']),
	('regrole', ARRAY['''visitor''', 'NULL', '0', '4294967295', '''pg_monitor''']),
	('regclass', ARRAY['''pg_class''', 'NULL', '0', '4294967295']),
	('regclass[]', ARRAY['''{pg_class}''', 'NULL', '''{}''', '''{NULL}''', '''{0}''', '''{4294967295}''', '''{{pg_class,pg_proc}}''', 'array_fill(1259, ARRAY[500])::oid[]::regclass[]', '''{pg_stat_activity}''', '''{pg_authid}''']),
	('text[]', ARRAY['''{x}''', 'NULL', '''{}''', '''{NULL}''', '''{{a,b},{c,d}}''', '''[5:6]={a,b}''', 'array_fill(''x''::text, ARRAY[20000])', '''{""}''']),
	('jsonb[]', ARRAY['''{}''', 'NULL', '''{NULL}''', '''{{1,2},{3,4}}''', '''[5:6]={1,2}''']),
	('durable.task[]', ARRAY['''{1}''', 'NULL', '''{}''', '''{NULL}''', '''{-1}''', '''{{1,2},{3,4}}'''])) w (type, literals), unnest(literals) v;

-- Each call once with harmless values, and once for each other value of each argument.
CREATE VIEW sweep.call AS
WITH argument AS (
	SELECT p.oid, p.proname, p.prokind, p.provariadic <> 0 AS variadic, a.n::int, format_type(a.type, NULL) AS type
	FROM pg_proc p LEFT JOIN LATERAL (
		SELECT row_number() OVER (ORDER BY t.n) AS n, t.type FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY t (type, n)
		WHERE coalesce(p.proargmodes[t.n], 'i') IN ('i', 'b', 'v')) a ON true
	WHERE p.pronamespace = 'durable'::regnamespace AND p.prorettype <> 'trigger'::regtype
), choice AS (
	SELECT DISTINCT oid, proname, prokind, varied.n AS varied, varied.v
	FROM argument a LEFT JOIN LATERAL (
		SELECT a.n, v.n AS v FROM sweep.value v WHERE v.type = a.type) varied ON true
)
SELECT c.oid, c.proname, c.prokind,
	format('durable.%I(%s)', c.proname, string_agg(CASE WHEN a.variadic AND a.type LIKE '%[]' THEN 'VARIADIC ' ELSE '' END
		|| coalesce((SELECT v.literal || CASE WHEN a.type = '"any"' THEN '' ELSE '::' || a.type END FROM sweep.value v
		             WHERE v.type = a.type AND (v.n = c.v OR (a.n IS DISTINCT FROM c.varied AND v.n = (SELECT min(f.n) FROM sweep.value f WHERE f.type = a.type)))
		             ORDER BY (v.n = c.v AND a.n = c.varied) DESC LIMIT 1), 'NULL'), ', ' ORDER BY a.n) FILTER (WHERE a.n IS NOT NULL)) AS text
FROM choice c JOIN argument a USING (oid) GROUP BY c.oid, c.proname, c.prokind, c.varied, c.v;
CREATE TABLE sweep.todo AS SELECT row_number() OVER () AS n, proname, prokind, text FROM sweep.call WHERE text IS NOT NULL;
CREATE TABLE sweep.result (who text, place text, call text, sqlstate text, message text, detail text, hint text);
GRANT SELECT ON ALL TABLES IN SCHEMA sweep TO visitor;
GRANT INSERT ON sweep.result TO visitor;

CREATE FUNCTION sweep.try(call text, place text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text := '00000';
	message text;
	detail text;
	hint text;
BEGIN
	BEGIN
		EXECUTE 'SELECT count(*) FROM (SELECT ' || call || ') c';
	EXCEPTION WHEN OTHERS OR assert_failure THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	END;
	IF place = 'session' THEN
		INSERT INTO sweep.result VALUES (current_user, place, left(call, 300), state, left(message, 300), left(detail, 300), left(hint, 300));
	END IF;
	RETURN concat_ws(' ', state, left(message, 300));
END $$;
-- The same in an orchestration; what waits, waits.
CREATE FUNCTION sweep.orchestration(n bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN sweep.try(durable.call_sql('SELECT text FROM sweep.todo WHERE n = $1', jsonb_build_array(n)) -> 0 ->> 'text', 'orchestration');
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA sweep TO visitor;
SQL

my $ncalls = $node->safe_psql('postgres', 'SELECT count(*) FROM sweep.todo');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT format_type(t, NULL), ', ') FROM pg_proc p, unnest(p.proargtypes::oid[]) t
	WHERE p.pronamespace = 'durable'::regnamespace AND p.prorettype <> 'trigger'::regtype AND format_type(t, NULL) NOT IN (SELECT type FROM sweep.value)"), '', 'there are bad values of every type');
cmp_ok($ncalls, '>', 1000, "$ncalls calls");
my $engine = "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type IN ('durable launcher', 'durable coordinator')";
my $before = $node->safe_psql('postgres', $engine);

# --- in a session, each call a transaction of its own, so that what succeeds reaches the engine ---------------------------------

# Those that would stop the test itself, and are about no value.
my $skipped = "'pause', 'drop_unused_code', 'revoke_usage', 'uninstall'";
foreach my $role ('postgres', 'visitor')
{
	my ($rc, $out, $err) = $node->psql('postgres', <<"SQL", timeout => $PostgreSQL::Test::Utils::timeout_default);
SET ROLE $role;
SET statement_timeout = 0;
DO \$\$
DECLARE
	call record;
BEGIN
	FOR call IN SELECT * FROM sweep.todo WHERE prokind = 'f' AND proname NOT IN ($skipped) ORDER BY n LOOP
		PERFORM sweep.try(call.text, 'session');
		COMMIT;
	END LOOP;
END \$\$;
SQL
	is($rc, 0, "as $role: the session survives") or note($err);
	my $calls = $node->safe_psql('postgres', "SELECT string_agg(format('CALL %s;', text), E'\\n' ORDER BY n) FROM sweep.todo WHERE prokind = 'p' AND proname <> 'drain'");
	($rc, $out, $err) = $node->psql('postgres', "SET ROLE $role;\nSET statement_timeout = '2 s';\n\\set VERBOSITY verbose\n$calls", on_error_stop => 0);
	isnt($rc, 2, "as $role: and those of procedures");
	unlike($err, qr/ERROR:  XX/, '... without internal errors');
}
is($node->safe_psql('postgres', "SELECT string_agg(concat_ws(' | ', who, call, sqlstate, message), E'\\n') FROM (SELECT * FROM sweep.result WHERE sqlstate ~ '^XX' ORDER BY call LIMIT 20) r"), '', 'no internal error in a session');
is($node->safe_psql('postgres', "SELECT count(*) FROM sweep.result WHERE sqlstate <> '00000' AND coalesce(message, '') = ''"), 0, 'each error has a text');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT sqlstate || ' ' || message, E'\\n') FROM sweep.result WHERE sqlstate ~ '^WF' AND hint = '' AND detail = ''"), '', 'each error of the engine has a detail or a hint');
is($node->safe_psql('postgres', "SELECT string_agg(concat_ws(' | ', call, sqlstate, message), E'\n') FROM (SELECT DISTINCT ON (split_part(call, '(', 1), sqlstate) * FROM sweep.result WHERE sqlstate ~ '^(20|42601|42P01)' ORDER BY split_part(call, '(', 1), sqlstate) r"), '', 'and none that the code of the engine has not foreseen');
note('by SQLSTATE: ' . $node->safe_psql('postgres', "SELECT string_agg(sqlstate || ' ' || n, ', ' ORDER BY n DESC) FROM (SELECT sqlstate, count(*) AS n FROM sweep.result GROUP BY 1) s"));

$node->safe_psql('postgres', "DELETE FROM durable.quota; SELECT durable.unpause(); SELECT durable.grant_usage('visitor')");

# --- in orchestrations ------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SET ROLE visitor; SELECT count(durable.start('sweep.orchestration', n, 'sweep-' || n)) FROM sweep.todo WHERE prokind = 'f' AND proname NOT IN ($skipped) AND length(text) < 500");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instances i LEFT JOIN durable.waiting w USING (instance_id)
	WHERE i.instance_id LIKE 'sweep-%' AND i.runtime_status IN ('Pending', 'Running') AND (w.kind IS NULL OR w.kind = 'activity' AND w.detail = 'durable.call_sql' AND w.attempt IS NULL)"),
	'all orchestrations have ended or wait');
is($node->safe_psql('postgres', "SELECT string_agg(concat_ws(' | ', t.text, i.output, i.failure ->> 'message'), E'\\n') FROM durable.instances i JOIN sweep.todo t ON 'sweep-' || t.n = i.instance_id
	WHERE i.output #>> '{}' ~ '^XX' OR i.failure ->> 'sqlstate' ~ '^XX' OR i.suspend_reason ~ 'XX'"), '', 'no internal error in an orchestration');
is($node->safe_psql('postgres', $engine), $before, 'no process of the engine has ended');
unlike(slurp_file($node->logfile), qr/(PANIC|TRAP|was terminated by signal|exited with exit code [12])/, 'and none has crashed');
is($node->safe_psql('postgres', "CREATE FUNCTION fine() RETURNS text LANGUAGE sql AS \$\$ SELECT 'fine' \$\$; SELECT durable.unpause(); CALL durable.run('fine')") =~ /fine/ ? 1 : 0, 1, 'the engine works');
$node->stop;
done_testing();
