# Few workers, many who want them: everybody gets his turn, long activities leave one worker for the rest, and the
# switches (pause, durable.enabled, durable.max_workers) work on a running server.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.recheck_interval = 60s
durable.worker_idle_timeout = 60s
durable.testing = on
CONF
$node->start;
create_durable($node, 'postgres');
create_durable($node, 'second');

foreach my $database (qw(postgres second))
{
	$node->safe_psql($database, <<'SQL');
CREATE TABLE effects (what text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION effect(what text) RETURNS text LANGUAGE sql AS $$ INSERT INTO effects VALUES (what) RETURNING what $$;
CREATE FUNCTION once(what text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('effect', what);
END $$;
CREATE FUNCTION busy(ms int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + ms * interval '1 ms';
BEGIN
	WHILE clock_timestamp() < until LOOP END LOOP;
	RETURN ms;
END $$;
CREATE FUNCTION endless(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('busy', 2);
	PERFORM durable.continue_as_new(n + 1);
END $$;
CREATE FUNCTION dawdle(seconds float8) RETURNS text LANGUAGE sql AS $$ SELECT 'slept' FROM pg_sleep(seconds) $$;
CREATE FUNCTION dawdles(seconds float8) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('dawdle', seconds);
END $$;
CREATE FUNCTION naps(nap interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.sleep(nap);
	RETURN 'awake';
END $$;
GRANT SELECT, INSERT ON effects TO PUBLIC;
SELECT durable.register_activity('dawdle', 'dawdle(float8)', execution => 'task');
SELECT durable.register_activity('busy', 'busy(int)', execution => 'inline');
SELECT durable.register_activity('effect', 'effect(text)', execution => 'inline');
SQL
}

foreach my $role (qw(a b c))
{
	$node->safe_psql('postgres', "CREATE ROLE $role LOGIN");
	$node->safe_psql($_, "SELECT durable.grant_usage('$role')") foreach qw(postgres second);
}

sub start_as
{
	my ($database, $role, $start) = @_;

	return $node->safe_psql($database, "SET SESSION AUTHORIZATION $role; SELECT $start");
}

sub finishes
{
	my ($database, $role, $id, $what) = @_;
	my $begin = time;

	start_as($database, $role, "durable.start('once', '$id', instance_id => '$id')");
	is($node->safe_psql($database, "SELECT runtime_status FROM durable.wait('$id', '45s')"), 'Completed', $what);
	return time - $begin;
}

sub workers
{
	my ($more) = @_;

	return "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'durable worker' AND ($more)";
}

# --- owners who never stop ------------------------------------------------------------------------------------------------

# Two owners keep both workers busy for ever.
start_as('postgres', 'a', "durable.start('endless', 1, instance_id => 'a' || n) FROM generate_series(1, 5) n");
start_as('postgres', 'b', "durable.start('endless', 1, instance_id => 'b' || n) FROM generate_series(1, 5) n");
$node->poll_query_until('postgres', 'SELECT min(execution) > 2 FROM durable.instances');
cmp_ok(finishes('postgres', 'c', 'c1', 'a third owner gets a worker'), '<', patience(5), 'soon');
cmp_ok(finishes('second', 'c', 'c2', 'an owner in another database, too'), '<', patience(5), 'soon');
cmp_ok(finishes('second', 'c', 'c3', 'and again'), '<', patience(5), 'soon');
cmp_ok($node->safe_psql('postgres', workers('true')), '<=', 2, 'without more workers than allowed');
$node->safe_psql('postgres', 'CREATE TABLE progress AS SELECT instance_id, execution FROM durable.instances WHERE name = $$public.endless$$');
ok($node->poll_query_until('postgres', "SELECT min(i.execution - p.execution) > 0 FROM progress p JOIN durable.instances i USING (instance_id)"),
	'the others go on');

# --- terminate --------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.terminate(instance_id, 'enough') FROM durable.instances WHERE name = 'public.endless'");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status = 'Running'"), 'they can be terminated');

# --- a second worker ----------------------------------------------------------------------------------------------------------

# An owner who does something now and then keeps a worker that another one's backlog could do with.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION spins(ms int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('busy', ms); END $$;
SQL
finishes('postgres', 'b', 'little', 'an owner with little to do');
start_as('postgres', 'a', "count(durable.start('spins', 2, instance_id => 'spins' || n)) FROM generate_series(1, 5000) n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 OR NOT EXISTS (SELECT FROM durable.instances WHERE runtime_status IN ('Pending', 'Running'))
	FROM pg_stat_activity WHERE backend_type = 'durable worker' AND usename = 'a'"), 'an owner with a backlog');
is($node->safe_psql('postgres', workers("usename = 'a'")), '2', 'gets the idle worker for a second one of its own');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status IN ('Pending', 'Running')");

# --- what a coordinator hears while it is awake -----------------------------------------------------------------------------

# It looks at the tables because of the first statement, and may have done so when the second one commits.
foreach my $n (1 .. 25)
{
	my $pause = ($n % 10) * 0.0005;
	my $role = "later$n";

	$node->safe_psql('postgres', "CREATE ROLE $role LOGIN; SELECT durable.grant_usage('$role')");
	$node->safe_psql('postgres', "SELECT durable.advance_clock('0 s'), pg_sleep($pause);
		SET SESSION AUTHORIZATION $role;
		SELECT durable.start('once', 'x', instance_id => '$role', start_at => clock_timestamp() + interval '0.5 s')");
	is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('$role', '30s')"), 'Completed', "a start at a later time: $n");
}

# --- long activities ------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.start('dawdles', 1000, instance_id => 'long' || n) FROM generate_series(1, 3) n");
ok($node->poll_query_until('postgres', workers("wait_event = 'PgSleep'") . ' ', '1'), 'a long activity runs');
cmp_ok(finishes('postgres', 'postgres', 'p1', 'turns of the same owner go on'), '<', patience(5), 'soon');
cmp_ok(finishes('postgres', 'c', 'c4', 'those of others, too'), '<', patience(5), 'soon');
cmp_ok(finishes('second', 'a', 'a4', 'and in other databases'), '<', patience(5), 'soon');
is($node->safe_psql('postgres', workers("wait_event = 'PgSleep'")), '1', 'one of the two workers stays free for turns');

my $begin = time;
$node->safe_psql('postgres', "SELECT durable.terminate('long' || n, 'enough') FROM generate_series(1, 3) n");
ok($node->poll_query_until('postgres', workers("wait_event = 'PgSleep'"), '0'), 'terminate stops running activities');
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM durable.instances WHERE runtime_status = 'Terminated' AND instance_id LIKE 'long%'"), 'they are terminated');
cmp_ok(time - $begin, '<', patience(5), 'soon');
unlike(slurp_file($node->logfile), qr/background worker "durable worker" .* exited with exit code 1/, 'no worker was lost by that');

# An activity that catches everything is stopped all the same.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION stubborn() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		BEGIN
			PERFORM pg_sleep(1000);
		EXCEPTION WHEN query_canceled THEN
			NULL;
		END;
	END LOOP;
END $$;
CREATE FUNCTION stubborns() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('stubborn');
END $$;
SELECT durable.register_activity('stubborn', 'stubborn()', execution => 'task');
SELECT durable.start('stubborns', instance_id => 'stubborn');
SQL
ok($node->poll_query_until('postgres', workers("wait_event = 'PgSleep'"), '1'), 'an activity that catches its cancellation');
$node->safe_psql('postgres', "SELECT durable.terminate('stubborn', 'enough')");
ok($node->poll_query_until('postgres', workers("wait_event = 'PgSleep'"), '0'), 'ends with its process');
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('stubborn', '45s')"), 'Terminated', 'and is terminated');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM durable.task_queue'), 'nothing of it is left');

# Workers of two owners that are woken at the same moment both want to start one.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION alone() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	is_alone boolean := pg_try_advisory_xact_lock(7);
BEGIN
	PERFORM pg_sleep(0.1);
	RETURN is_alone;
END $$;
CREATE FUNCTION alones() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('alone'); END $$;
SELECT durable.register_activity('alone', 'alone()', execution => 'task');
SQL
foreach my $n (1 .. 30)
{
	$node->safe_psql('postgres', "BEGIN; SET LOCAL ROLE a; SELECT durable.start('alones', instance_id => 'a $n');
		SET LOCAL ROLE b; SELECT durable.start('alones', instance_id => 'b $n'); COMMIT");
	$node->safe_psql('postgres', "SELECT durable.wait('a $n', '45s'), durable.wait('b $n', '45s')");
}
is($node->safe_psql('postgres', "SELECT output::text, count(*) FROM durable.instances WHERE name = 'public.alones' GROUP BY 1"), 'true|60',
	'of two workers one stays free for turns at any time');

# With five workers four activities run side by side.
$node->append_conf('postgresql.conf', 'durable.max_workers = 5');
$node->reload;
$node->safe_psql('postgres', "SELECT durable.start('dawdles', 1000, instance_id => 'side' || n) FROM generate_series(1, 4) n");
ok($node->poll_query_until('postgres', workers("wait_event = 'PgSleep'"), '4'), 'four activities run side by side');
$node->safe_psql('postgres', "SELECT durable.terminate('side' || n, 'enough') FROM generate_series(1, 4) n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 4 FROM durable.instances WHERE runtime_status = 'Terminated' AND instance_id LIKE 'side%'"), 'until they are terminated');

# --- switches ---------------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'SELECT durable.pause()');
ok($node->poll_query_until('postgres', workers("datname = 'postgres'"), '0'), 'paused: workers leave');
start_as('postgres', 'a', "durable.start('once', 'x', instance_id => 'paused')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('paused', '1s')"), 'Pending', 'nothing runs');
cmp_ok(finishes('second', 'a', 'a5', 'another database is not concerned'), '<', patience(5), 'at all');
$node->safe_psql('postgres', 'SELECT durable.unpause()');
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('paused', '45s')"), 'Completed', 'unpaused: it runs');

$node->append_conf('postgresql.conf', 'durable.max_workers = 0');
$node->reload;
ok($node->poll_query_until('postgres', workers('true'), '0'), 'durable.max_workers = 0: workers leave');
start_as('postgres', 'a', "durable.start('once', 'x', instance_id => 'none')");
$node->append_conf('postgresql.conf', "durable.max_workers = 3\ndurable.enabled = off");
$node->reload;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('none', '1s')"), 'Pending', 'durable.enabled = off: nothing runs');
$node->append_conf('postgresql.conf', 'durable.enabled = on');
$node->reload;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('none', '45s')"), 'Completed', 'on again: it runs');

# --- the virtual clock ---------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.start('naps', '1 day', instance_id => 'day')");
$node->safe_psql('postgres', "SELECT durable.start('once', 'y', instance_id => 'year', start_at => now() + interval '1 year')");
$node->poll_query_until('postgres', "SELECT runtime_status = 'Running' FROM durable.status('day')");
$node->safe_psql('postgres', "SELECT durable.advance_clock('2 days')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('day', '45s')"), 'Completed', 'the clock of a running engine can be moved');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $$durable worker$$');
ok($node->poll_query_until('postgres', workers('true'), '0'), 'also when nobody works');
$node->safe_psql('postgres', "SELECT durable.advance_clock('365 days')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('year', '45s')"), 'Completed', 'a coordinator hears of it');

# --- retention ---------------------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.register_orchestration('keeps', 'once(text)', retention => '10 years')");
$node->safe_psql('postgres', "SELECT durable.start('keeps', 'k', instance_id => 'kept')");
$node->safe_psql('postgres', "SELECT durable.start('naps', '1 hour', instance_id => 'asleep')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('kept', '45s')"), 'Completed', 'one to keep');
$node->safe_psql('postgres', "SELECT durable.start('once', 'r', instance_id => 'bulk' || n) FROM generate_series(1, 3000) n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 3000 FROM durable.instances WHERE runtime_status = 'Completed' AND instance_id LIKE 'bulk%'"), 'many to delete');
$node->append_conf('postgresql.conf', "durable.retention = '1 s'");
$node->reload;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM durable.instances'), 'finished instances are deleted');
is($node->safe_psql('postgres', "SELECT string_agg(instance_id || ' ' || runtime_status, ', ' ORDER BY instance_id) FROM durable.instances"),
	'asleep Running, kept Completed', 'but none that its registration keeps, and none that has not ended');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.history h WHERE NOT EXISTS (SELECT FROM durable.instance i WHERE i.key = h.key)'), '0',
	'with their histories');
isnt($node->psql('postgres', "ALTER SYSTEM SET durable.retention = 'soon'"), 0, 'a retention that is no interval is refused');

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal/, 'nothing crashed');
$node->stop('fast');
done_testing();
