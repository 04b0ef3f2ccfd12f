# Orchestrations that are replaced while instances run them: under load, over a dump, and when the server crashes before the
# replacement is committed.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('main', conf => "fsync = off\ndurable.max_workers = 2\n");
$node->start;
create_durable($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE TABLE done (who text, code text);
CREATE FUNCTION note(who text, code text) RETURNS void LANGUAGE sql AS $$ INSERT INTO done VALUES (who, code) $$;
CREATE PROCEDURE define(name text, code text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($f$CREATE OR REPLACE FUNCTION %1$I(steps integer) RETURNS text LANGUAGE plpgsql AS $b$
BEGIN
    FOR i IN 1..%1$I.steps LOOP
        PERFORM durable.call_activity('note', jsonb_build_object('who', durable.instance_id(), 'code', %2$L));
        PERFORM durable.sleep('20 ms');
        PERFORM durable.call_activity('note', jsonb_build_object('who', durable.instance_id(), 'code', %2$L));
        PERFORM durable.log('%2$s');
    END LOOP;
    PERFORM durable.wait_for_external_event('Go');
    RETURN %2$L;
END $b$ $f$, name, code);
END $$;
CALL define('busy', 'code 0');
CALL define('sleeper', 'code 1');
SQL

# --- replaced under load -----------------------------------------------------------------------------------------------------

# The calls differ in nothing but their inputs and the order of log lines, so only what was done tells one code from another.
foreach my $code (1 .. 10)
{
	$node->safe_psql('shop', "SELECT count(durable.start('busy', 8, 'busy $code.' || n)) FROM generate_series(1, 20) n;");
	usleep(30_000);
	$node->safe_psql('shop', "CALL define('busy', 'code $code')");
}
ok( $node->poll_query_until(
		'shop', "SELECT count(*) = 0 FROM durable.instances WHERE name = 'public.busy' AND waiting_on NOT LIKE 'event%'"),
	'all instances come to their end') or diag($node->safe_psql('shop', 'SELECT instance_id, runtime_status, waiting_on FROM durable.instances LIMIT 20'));
$node->safe_psql('shop', "SELECT count(durable.raise_event(instance_id, 'Go')) FROM durable.instances WHERE name = 'public.busy'");
ok($node->poll_query_until('shop', "SELECT count(*) = 200 FROM durable.instances WHERE name = 'public.busy' AND runtime_status = 'Completed'"), 'and complete');
is($node->safe_psql('shop', "SELECT count(DISTINCT who), count(*) FROM done"), '200|3200', 'each has done all of its work once');
is($node->safe_psql('shop', "SELECT who FROM done GROUP BY who HAVING count(DISTINCT code) > 1"), '', 'and by one code');
is($node->safe_psql('shop', "SELECT i.instance_id FROM durable.instances i JOIN done d ON d.who = i.instance_id WHERE i.output #>> '{}' <> d.code"),
	'', 'to the end');
cmp_ok($node->safe_psql('shop', "SELECT count(DISTINCT code) FROM done"), '>', 3, 'several codes were at work');

# --- three replacements, a crash in the middle of one, and a dump ----------------------------------------------------------------

$node->safe_psql('shop', 'TRUNCATE done');
foreach my $code (1 .. 3)
{
	$node->safe_psql('shop', "SELECT durable.start('sleeper', 1, 'sleeper $code')");
	ok($node->poll_query_until('shop', "SELECT waiting_on LIKE 'event%' FROM durable.instances WHERE instance_id = 'sleeper $code'"), "sleeper $code waits");
	my $next = $code + 1;
	$node->safe_psql('shop', "CALL define('sleeper', 'code $next')");
}

my $copies = 'SELECT string_agg(copy, \' \' ORDER BY copy) FROM durable.kept_code WHERE handler LIKE \'%sleeper%\'';
is( $node->safe_psql('shop', $copies),
	'durable_code.sleeper(integer) durable_code_2.sleeper(integer) durable_code_3.sleeper(integer)', 'three codes are kept');

$node->safe_psql('shop', "SELECT durable.start('sleeper', 1, 'sleeper 4')");
ok($node->poll_query_until('shop', "SELECT waiting_on LIKE 'event%' FROM durable.instances WHERE instance_id = 'sleeper 4'"), 'sleeper 4 waits');
my ($in, $out) = ("BEGIN; CALL define('sleeper', 'code never'); SELECT 'replaced', count(*) FROM durable.kept_code;\n", '');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop') ], '<', \$in, '>', \$out);
$session->pump until $out =~ /replaced/;
$node->stop('immediate');
$session->kill_kill;
$node->start;
is($node->safe_psql('shop', "SELECT count(*) FROM durable.kept_code WHERE handler LIKE '%sleeper%'"), '3', 'after a crash before the commit there is no fourth');
is($node->safe_psql('shop', "SELECT prosrc LIKE '%code 4%' FROM pg_proc WHERE oid = 'sleeper(integer)'::regprocedure"), 't', 'and no replacement');
$node->safe_psql('shop', "CALL define('sleeper', 'code 5')");

# Versions, registered in an order that is not that of their names.
$node->safe_psql('shop', "SELECT durable.register_orchestration('Busy', 'busy(integer)', version => v) FROM unnest('{10,2,9}'::text[]) v");
$node->safe_psql('shop', "SELECT durable.register_orchestration('Busy', 'busy(integer)', version => '10', description => 'again')");
my $versions = "SELECT version, is_newest, description FROM durable.registrations WHERE name = 'Busy' ORDER BY version";

my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('shop') ], 'the database is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $file ], '... and restored');
is($node->safe_psql('copy', $copies), $node->safe_psql('shop', $copies), 'the copy knows the kept code');
is($node->safe_psql('copy', $versions), "10|f|again\n2|f|\n9|t|", 'and which version is the newest');
$node->safe_psql('copy', "SELECT durable.register_orchestration('Busy', 'busy(integer)', version => '1')");
is($node->safe_psql('copy', "$versions LIMIT 1"), '1|t|', 'until there is a newer one');
$node->safe_psql('copy', 'SELECT durable.adopt()');
foreach my $database ('shop', 'copy')
{
	$node->safe_psql($database, "SELECT count(durable.raise_event(instance_id, 'Go')) FROM durable.instances WHERE name = 'public.sleeper'");
	ok( $node->poll_query_until(
			$database, "SELECT count(*) = 4 FROM durable.instances WHERE name = 'public.sleeper' AND runtime_status = 'Completed'"),
		"$database: all complete") or diag($node->safe_psql($database, 'SELECT instance_id, runtime_status, suspend_reason FROM durable.instances'));
	is($node->safe_psql($database, "SELECT count(*) FROM durable.instances WHERE replace(instance_id, 'sleeper', 'code') = output #>> '{}'"),
		'4', "$database: each with its own code");
	is($node->safe_psql($database, 'SELECT durable.drop_unused_code() >= 4'), 't', "$database: no code is needed any more");
	is($node->safe_psql($database, "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname LIKE 'durable_code%'"),
		'0', "$database: and none is left");
}

# Whatever the extension keeps, a dump has.
is( $node->safe_psql('shop', <<'SQL'), '', 'all tables and sequences of the extension are dumped');
SELECT string_agg(c.relname, ', ') FROM pg_extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_class'::regclass
JOIN pg_class c ON c.oid = d.objid
WHERE e.extname = 'durable' AND c.relkind IN ('r', 'p', 'S') AND c.oid <> ALL (e.extconfig)
SQL

# --- patched code, and crashes ------------------------------------------------------------------------------------------------------

$node->safe_psql('shop', 'TRUNCATE done');
$node->safe_psql('shop', <<'SQL');
CREATE PROCEDURE define_job(first text, second text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($f$CREATE OR REPLACE FUNCTION job(n integer) RETURNS text LANGUAGE plpgsql AS $b$
DECLARE
    answers text := '';
BEGIN
    FOR i IN 1..6 LOOP
        %s
        PERFORM durable.call_activity('note', jsonb_build_object('who', durable.instance_id(), 'code', 'step ' || i));
        PERFORM durable.sleep('30 ms');
        %s
    END LOOP;
    PERFORM durable.wait_for_external_event('Go');
    RETURN answers;
END $b$ $f$, first, second);
END $$;
CALL define_job('', '');
SQL
my $ask = "IF durable.patched('%s') THEN PERFORM durable.call_activity('note', "
	. "jsonb_build_object('who', durable.instance_id(), 'code', '%s ' || i)); answers := answers || '%s'; END IF;";
foreach my $change (0 .. 3)
{
	my @asks = map { sprintf $ask, $_, $_, $_ } grep { $_ le substr('.abc', $change, 1) } 'a' .. 'c';

	$node->safe_psql('shop', sprintf("CALL define_job(%s, %s)", map { "\$q\$$_\$q\$" } join("\n", @asks[0 .. $#asks - 1]), $asks[-1] // '')) if $change > 0;
	$node->safe_psql('shop', "SELECT durable.repin_all('job'); SELECT count(durable.start('job', n, 'job $change.' || n)) FROM generate_series(1, 15) n");
	usleep(60_000);
	$node->stop('immediate');
	$node->start;
	$node->safe_psql('shop', "SELECT durable.repin_all('job')");
	usleep(60_000);
}
ok($node->poll_query_until('shop', "SELECT count(*) = 60 FROM durable.instances WHERE name = 'public.job' AND waiting_on LIKE 'event%'"),
	'all come to their end') or diag($node->safe_psql('shop', "SELECT instance_id, runtime_status, suspend_reason FROM durable.instances WHERE name = 'public.job'"));
$node->safe_psql('shop', "SELECT count(durable.raise_event(instance_id, 'Go')) FROM durable.instances WHERE name = 'public.job'");
ok($node->poll_query_until('shop', "SELECT count(*) = 60 FROM durable.instances WHERE name = 'public.job' AND runtime_status = 'Completed'"), 'and complete');
is($node->safe_psql('shop', <<'SQL'), '', 'each has done once what its answers say, in every round or in none');
SELECT i.instance_id, i.output, c.change, count(d.code)
FROM durable.instances i CROSS JOIN unnest('{step,a,b,c}'::text[]) c (change)
LEFT JOIN done d ON d.who = i.instance_id AND d.code LIKE c.change || ' %'
WHERE i.name = 'public.job'
GROUP BY 1, 2, 3
HAVING count(d.code) <> count(DISTINCT d.code)
    OR CASE WHEN c.change = 'step' THEN count(d.code) <> 6
            ELSE count(d.code) <> length(i.output #>> '{}') - length(replace(i.output #>> '{}', c.change, '')) END
    OR (count(d.code) > 0 AND i.instance_id LIKE 'job 3.%' AND count(d.code) <> 6)
SQL
is($node->safe_psql('shop', "SELECT DISTINCT output #>> '{}' FROM durable.instances WHERE instance_id LIKE 'job 3.%'"), 'abcabcabcabcabcabc', 'new ones have all changes');
cmp_ok($node->safe_psql('shop', "SELECT count(DISTINCT output) FROM durable.instances WHERE name = 'public.job'"), '>', 1, 'older ones do not');

# --- a dry run over 10,000 histories ------------------------------------------------------------------------------------------------

$node->safe_psql('shop', <<'SQL');
CREATE FUNCTION nothing(x integer) RETURNS integer LANGUAGE sql AS $$ SELECT x $$;
CREATE FUNCTION many(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..3 LOOP
        PERFORM durable.call_activity('nothing', i);
    END LOOP;
    IF n % 1000 = 7 THEN
        PERFORM durable.log('rare');
    END IF;
    PERFORM durable.wait_for_external_event('Go');
    RETURN n;
END $$;
SELECT count(durable.start('many', n, 'many ' || n)) FROM generate_series(1, 10000) n;
SQL
ok($node->poll_query_until('shop', "SELECT count(*) = 10000 FROM durable.instance WHERE name = 'public.many' AND events >= 7"), '10,000 instances wait');
$node->safe_psql('shop', <<'SQL');
CREATE OR REPLACE FUNCTION many(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..3 LOOP
        PERFORM durable.call_activity('nothing', i);
    END LOOP;
    PERFORM durable.wait_for_external_event('Go');
    RETURN n;
END $$;
SQL
my $patience = patience(5);
my $start = time;
my $broken = $node->safe_psql('shop', "SELECT string_agg(instance_id || ' at ' || line, ', ' ORDER BY length(instance_id), instance_id) FROM durable.verify_replay('many')");
my $took = time - $start;
is($broken, join(', ', map { 'many ' . ($_ * 1000 + 7) . ' at 6' } 0 .. 9), 'of 10,000 instances exactly those are named that would break');
cmp_ok($took, '<', $patience, sprintf('in %.2f s', $took));
$start = time;
is($node->safe_psql('shop', "SELECT durable.repin_all('many')"), '9990', 'and the others are moved');
note(sprintf 'durable.repin_all() of 10,000 instances took %.2f s', time - $start);
$node->stop;
done_testing();
