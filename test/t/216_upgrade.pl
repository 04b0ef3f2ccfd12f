# The update from 0.1: catalogs are those of a fresh installation, and workflows that were under way go on.
#
# The rows come from a server of version 0.1 (test/fixtures/upgrade_0.1/make). They are loaded into the tables of 0.1, as a dump would be, and
# multiplied to 2,000 workflows.
#
# If the first subtest fails because something was added to the engine: tables, columns, indexes and types that 0.1 has too are changed
# in extension/upgrade/*.before.sql; the rest is generated. Each line that is missing or left over is shown.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UpgradeTest;

my $COPIES = 44;
my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
my $fixture = "$top/test/fixtures/upgrade_0.1";
my $node = new_node('main', conf => <<'CONF');
fsync = off
max_prepared_transactions = 2
durable.max_workers = 2
durable.recheck_interval = 500ms
CONF
$node->start;
my $version;

sub file
{
	my ($database, $file) = @_;

	$node->command_ok([ 'psql', '-Xqv', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $file, $node->connstr($database) ], "$file is read into $database");
	return;
}

sub old_database
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION durable VERSION '0.1'");
	return;
}

# --- catalogs ---------------------------------------------------------------------------------------------------------------

subtest 'the catalogs are those of a fresh installation' => sub {
	$node->safe_psql('postgres', 'CREATE DATABASE fresh');
	$node->safe_psql('fresh', 'CREATE EXTENSION durable');
	$version = $node->safe_psql('fresh', "SELECT extversion FROM pg_extension WHERE extname = 'durable'");
	old_database('bare');
	$node->safe_psql('bare', 'ALTER EXTENSION durable UPDATE');
	same_catalog($node, 'bare', 'fresh', 'durable');
};

# --- a library that is newer than the extension ---------------------------------------------------------------------------------

subtest 'functions of 0.1 with the new library' => sub {
	old_database('waits');
	my $call = sub { return ($node->psql('waits', $_[0]))[2] };
	like($call->("SELECT durable.register_activity('x', 'now()')"), qr/register_activity\(\) is of an older version than the library\nHINT:  ALTER EXTENSION durable UPDATE;/,
		'a function that has more parameters says so');
	like($call->("SELECT durable.$_"), qr/older version/, $_) foreach ("terminate('x')", "unregister_orchestration('x')", "register_orchestration('x', 'now()')");
	# whatever they say, they say it, and the server stands
	$call->("SELECT * FROM durable.$_") foreach ("start('version')", "status('x')", "history('x')", "wait('x', '1 ms')", "raise_event('x', 'y')", "purge('x')",
		"purge_history()", "suspend('x')", "resume('x')", 'instances', 'waiting', 'buffered_events', 'workers', 'registrations', "register_orchestration('x', 'version()')",
		'call_sub_orchestrator(\'x\')', "sleep('1 s')", 'create_timer(now())', "schedule_sub_orchestrator('x')", 'pause()', 'unpause()', 'adopt()', 'clock()');
	is($node->safe_psql('waits', "SELECT string_agg(check_name, ' ') FROM durable.doctor() WHERE NOT ok"), 'version', 'doctor names the difference');
	unlike(slurp_file($node->logfile), qr/terminated by signal/, 'no process has crashed');
};

# --- workflows under way -----------------------------------------------------------------------------------------------------------

old_database('old');
file('old', "$fixture/functions.sql");
file('old', "$fixture/rows.sql");
$node->safe_psql('old', <<"SQL");
CREATE ROLE upgrade_user LOGIN;
CREATE ROLE upgrade_operator LOGIN;
SELECT durable.grant_usage('upgrade_user');
GRANT USAGE ON SCHEMA durable TO upgrade_operator;
GRANT EXECUTE ON FUNCTION durable.pause(), durable.unpause(), durable.register_activity(text, regprocedure, text, jsonb, interval, text) TO upgrade_operator WITH GRANT OPTION;
-- Objects of users that depend on the engine's stay.
CREATE VIEW upgrade.overview AS SELECT instance_id, runtime_status, s.tags FROM durable.instances s;
CREATE TABLE upgrade.handles (task durable.task);
CREATE FUNCTION upgrade.status_of(id text) RETURNS durable.instance_status LANGUAGE sql BEGIN ATOMIC SELECT durable.status(id); END;

-- Copies of everything but the two whose children have ids that their histories name.
CREATE TEMP TABLE base AS SELECT key FROM durable.instance WHERE instance_id NOT LIKE 'patient%';
CREATE TEMP TABLE c AS SELECT n FROM generate_series(1, $COPIES) n;
INSERT INTO durable.instance
SELECT (jsonb_populate_record(i, jsonb_build_object('key', i.key + 1000 * n, 'instance_id', i.instance_id || '.' || n, 'parent_key', i.parent_key + 1000 * n))).*
FROM durable.instance i, c WHERE i.key IN (SELECT key FROM base);
INSERT INTO durable.history SELECT key + 1000 * n, at, execution, seq, format, events FROM (SELECT * FROM durable.history WHERE key IN (SELECT key FROM base)) h, c;
INSERT INTO durable.inbox SELECT id + CASE id WHEN 0 THEN 0 ELSE 1000 * n END, owner, key + 1000 * n, kind, execution, task, name, payload, sent_at
FROM (SELECT * FROM durable.inbox WHERE key IN (SELECT key FROM base)) m, c;
INSERT INTO durable.timer SELECT owner, due_at, key + 1000 * n, execution, task FROM (SELECT * FROM durable.timer WHERE key IN (SELECT key FROM base)) t, c;
INSERT INTO durable.task_queue
SELECT (jsonb_populate_record(t, jsonb_build_object('id', t.id + 1000 * n, 'key', t.key + 1000 * n))).* FROM durable.task_queue t, c WHERE t.key IN (SELECT key FROM base);
SELECT setval('durable.instance_key_seq', 1000000), setval('durable.inbox_id_seq', 1000000), setval('durable.task_queue_id_seq', 1000000);
SQL
is($node->safe_psql('old', 'SELECT count(*) > 2000 FROM durable.instance'), 't', 'there are 2,000 workflows');
cmp_ok($node->safe_psql('old', "SELECT count(*) FROM durable.instance WHERE waiting ~ 'p[0-9]'"), '>', 0, 'some of which have inline activities to run');
is($node->safe_psql('old', "SELECT string_agg(DISTINCT format::text, ' ') FROM durable.history"), '2', 'with histories of format 2');
is($node->safe_psql('old', "SELECT string_agg(DISTINCT status::text, ' ' ORDER BY status::text) FROM durable.instance"), 'C F P R S T', 'in every status');
my $before = $node->safe_psql('old', "SELECT runtime_status, count(*) FROM durable.instances GROUP BY 1 ORDER BY 1");
my $done = $node->safe_psql('old', 'SELECT count(*) FROM upgrade.done');

my $start = time;
$node->safe_psql('old', 'ALTER EXTENSION durable UPDATE');
note(sprintf 'the update took %.2f s', time - $start);
is($node->safe_psql('old', "SELECT extversion FROM pg_extension WHERE extname = 'durable'"), $version, 'it is updated');
is($node->safe_psql('old', "SELECT runtime_status, count(*) FROM durable.instances GROUP BY 1 ORDER BY 1"), $before, 'every instance has the status that it had');
is($node->safe_psql('old', 'SELECT runtime_status, sum(instances) FROM durable.counts GROUP BY 1 ORDER BY 1'), $before, 'and is counted');
is($node->safe_psql('old', 'SELECT count(*) FROM durable.finished'),
	$node->safe_psql('old', "SELECT count(*) FROM durable.instance WHERE completed_at IS NOT NULL"), 'those that have ended are listed');
is($node->safe_psql('old', 'SELECT count(*) FROM upgrade.done'), $done, 'nothing runs before the rows of another cluster are adopted');

# Privileges: what was granted stays granted, and is the administrator's, not the extension's.
is($node->safe_psql('old', <<'SQL'), 't|t|f|t|t', 'privileges are kept, and those of users extend to what is new');
SELECT has_function_privilege('upgrade_user', 'durable.patched(text)', 'EXECUTE'), has_table_privilege('upgrade_user', 'durable.counts', 'SELECT'),
       has_function_privilege('upgrade_operator', 'durable.patched(text)', 'EXECUTE'),
       has_function_privilege('upgrade_operator', 'durable.pause()', 'EXECUTE WITH GRANT OPTION'),
       (SELECT bool_and(has_function_privilege('upgrade_operator', oid, 'EXECUTE')) FROM pg_proc WHERE pronamespace = 'durable'::regnamespace AND proname = 'register_activity')
SQL
is($node->safe_psql('old', <<'SQL'), '0', 'and pg_dump will dump them');
SELECT count(*) FROM pg_init_privs i, aclexplode(i.initprivs) a WHERE a.grantee IN ('upgrade_user'::regrole, 'upgrade_operator'::regrole)
SQL
is($node->safe_psql('old', "SELECT (upgrade.status_of('fails')).runtime_status, count(*) > 2000 FROM upgrade.overview"), 'Failed|t', 'objects of users work');

# Everything goes on.
$node->safe_psql('old', <<'SQL');
CREATE TABLE upgrade.mended ();
-- without the nap
CREATE OR REPLACE FUNCTION upgrade.nap(who text, what text) RETURNS text LANGUAGE sql AS $$ SELECT upgrade.note(who, what) $$;
UPDATE durable.timer SET due_at = now() WHERE due_at < 'infinity' AND key NOT IN (SELECT key FROM durable.inbox WHERE kind = 't');
UPDATE durable.task_queue SET run_at = now() WHERE run_at < 'infinity';
SELECT durable.resume(instance_id) FROM durable.instances WHERE runtime_status = 'Suspended';
SELECT durable.adopt();
SELECT durable.raise_event(i.instance_id, 'Go', to_jsonb(n)) FROM durable.instances i, generate_series(1, 6) n
WHERE i.runtime_status IN ('Pending', 'Running', 'Suspended') AND (i.instance_id ~ '^(waits|rounds|parent .*:|suspended|patient .* child)');
SELECT durable.raise_event(i.instance_id, 'Other', 'another') FROM durable.instances i WHERE i.instance_id ~ '^(waits|suspended)' AND i.runtime_status IN ('Running', 'Suspended');
SQL
$start = time;
ok($node->poll_query_until('old', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status IN ('Pending', 'Running', 'Suspended')"), 'all have ended')
	or diag($node->safe_psql('old', "SELECT instance_id, runtime_status, waiting_on, suspend_reason FROM durable.instances WHERE runtime_status IN ('Pending', 'Running', 'Suspended') LIMIT 20"));
note(sprintf 'they ended within %.1f s', time - $start);
is($node->safe_psql('old', <<'SQL'), '', 'as they should');
SELECT instance_id, runtime_status, failure FROM durable.instances
WHERE runtime_status <> CASE WHEN instance_id ~ '^fails' OR instance_id IN ('patient 1 child', 'patient 2 child') THEN 'Failed'
                             WHEN instance_id ~ '^(terminated|sleeps 3)' THEN 'Terminated' ELSE 'Completed' END
ORDER BY 1 LIMIT 10
SQL
is($node->safe_psql('old', <<'SQL'), '', 'with the outputs of code that has seen the whole history');
SELECT instance_id, output FROM durable.instances
WHERE runtime_status = 'Completed' AND output IS DISTINCT FROM CASE
    WHEN instance_id ~ '^sleeps' THEN '"slept"'::jsonb
    WHEN instance_id ~ '^waits 1' THEN jsonb_build_array('"in the inbox"', 'another')
    WHEN instance_id ~ '^waits 2' THEN '[2, 1, "another"]'
    WHEN instance_id ~ '^waits 3' THEN '[3, 1, 2, "another"]'
    WHEN instance_id ~ '^waits 4' THEN '[4, 1, 2, 3, "another"]'
    WHEN instance_id ~ '^suspended' THEN jsonb_build_array('"while suspended"', 'another')
    WHEN instance_id ~ '^fans_out' THEN '5'
    WHEN instance_id ~ '^spreads' THEN '4'
    WHEN instance_id ~ '^parent [12](\.\d+)?$' THEN '[1, 2, 3]'
    WHEN instance_id ~ '^rounds' THEN '6'
    WHEN instance_id ~ '^pieces' THEN '"done"'
    WHEN instance_id ~ '^patient' THEN '"mended"'
    WHEN instance_id ~ '^later' THEN '7'
    WHEN name = 'upgrade.plain' THEN input
    ELSE output END
ORDER BY 1 LIMIT 10
SQL
# Copies of tasks that were in the queue have the id of the original in their input.
is($node->safe_psql('old', <<'SQL'), '', 'each step was taken once');
SELECT who, what, count(*) FROM upgrade.done
GROUP BY 1, 2 HAVING count(*) <> 1 AND NOT (what IN ('step 2') OR what ~ '^(part|piece)' AND who !~ '\.') ORDER BY 1, 2 LIMIT 10
SQL
is($node->safe_psql('old', <<"SQL"), '', 'and none was left out');
SELECT i.instance_id, count(DISTINCT d.what) FROM durable.instances i LEFT JOIN upgrade.done d ON d.who = i.instance_id
WHERE i.instance_id ~ '^(sleeps|pieces|fans_out|spreads|waits|suspended|rounds)' AND i.instance_id !~ '\\.' AND i.runtime_status = 'Completed'
GROUP BY 1 HAVING count(DISTINCT d.what) <> CASE WHEN i.instance_id ~ '^(sleeps|waits|suspended)' THEN 2 WHEN i.instance_id ~ '^(pieces|spreads)' THEN 4
                                                 WHEN i.instance_id ~ '^rounds' THEN 6 ELSE 5 END
SQL
is($node->safe_psql('old', "SELECT count(*) FROM upgrade.done a JOIN upgrade.done b ON b.who = a.who AND b.what = a.what || ' again' WHERE a.who ~ '^waits [1-4]\$'"),
	'4', 'random values are the same as before');
is($node->safe_psql('old', "SELECT string_agg(DISTINCT format::text, ' ' ORDER BY format::text) FROM durable.history"), '2 3', 'histories go on in format 3');
is($node->safe_psql('old', 'SELECT runtime_status, sum(instances) FROM durable.counts GROUP BY 1 HAVING sum(instances) <> 0 ORDER BY 1'),
	$node->safe_psql('old', "SELECT runtime_status, count(*) FROM durable.instances GROUP BY 1 ORDER BY 1"), 'the counts are right');
is($node->safe_psql('old', "SELECT count(*) FROM durable.inbox"), '0', 'no message is left');

# Code is kept from now on, which needs the hashes of this version.
is($node->safe_psql('old', 'SELECT count(*) FROM durable.kept_code'), '0', 'no code was replaced by the update');
$node->safe_psql('old', "SELECT durable.start('Child', 1, 'new child')");
is($node->safe_psql('old', "SELECT version FROM durable.status('new child')"), 'v1', 'registrations have kept their versions');
is($node->safe_psql('old', "SELECT durable.purge_history('0') > 1000"), 't', 'all of it can be deleted');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'no process has crashed');
$node->stop;
done_testing();
