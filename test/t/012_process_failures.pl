# What fails is replaced, what cannot work is left alone, and nothing of it turns into a busy loop.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.recheck_interval = 2s
max_prepared_transactions = 5
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE effects (what text, pid int DEFAULT pg_backend_pid());
CREATE FUNCTION effect(what text) RETURNS text LANGUAGE sql AS $$ INSERT INTO effects VALUES (what) RETURNING what $$;
CREATE FUNCTION slow_effect(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO effects VALUES (what);
	PERFORM pg_sleep(CASE (SELECT count(*) FROM attempts) WHEN 0 THEN 1000 ELSE 0 END);
	RETURN what;
END $$;
CREATE TABLE attempts (n int);
CREATE FUNCTION once(what text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('effect', what);
END $$;
CREATE FUNCTION slowly(what text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('slow_effect', what);
END $$;
CREATE FUNCTION waits(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.wait_for_external_event(name);
END $$;
SELECT durable.register_activity('slow_effect', 'slow_effect(text)', execution => 'task');
SQL

sub workers_in_activity
{
	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'");
}

sub result_of
{
	my ($id) = @_;

	return $node->safe_psql('postgres', "SELECT runtime_status || ' ' || coalesce(output #>> '{}', '') FROM durable.wait('$id', '3min')");
}

# --- a worker in the middle of an activity --------------------------------------------------------------------------------

foreach my $signal (qw(TERM KILL QUIT))
{
	$node->safe_psql('postgres', "TRUNCATE attempts, effects; SELECT durable.start('slowly', '$signal', instance_id => '$signal')");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'");
	my $pid = workers_in_activity();
	$node->safe_psql('postgres', 'INSERT INTO attempts VALUES (1)');
	if ($signal eq 'TERM')
	{
		kill $signal, $pid;
	}
	else
	{
		kill_and_recover($node, $signal, $pid);
	}
	is(result_of($signal), "Completed $signal", "SIG$signal for a worker: another one does its work");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM effects'), '1', 'the effect happened once');
}

# --- supervision ------------------------------------------------------------------------------------------------------------

foreach my $type ('durable coordinator', 'durable launcher')
{
	my ($pid) = process_pids($node, $type);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> $pid"),
		"another $type is there");
}
$node->safe_psql('postgres', "SELECT durable.start('once', 'x', instance_id => 'after')");
is(result_of('after'), 'Completed x', 'and work goes on');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'durable coordinator'"), 'with one coordinator');

# --- nobody tells of COMMIT PREPARED ------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.start('waits', 'go', instance_id => 'prepared')");
$node->poll_query_until('postgres', "SELECT runtime_status = 'Running' FROM durable.status('prepared')");
$node->safe_psql('postgres', "BEGIN; SELECT durable.raise_event('prepared', 'go', 1); SELECT durable.start('once', 'y', instance_id => 'begun'); PREPARE TRANSACTION 'p'");
$node->restart;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.status('prepared')"), 'Running', 'a prepared event is not there yet');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
my $start = time;
is(result_of('prepared'), 'Completed 1', 'an event of a prepared transaction arrives');
is(result_of('begun'), 'Completed y', 'a start in a prepared transaction, too');
cmp_ok(time - $start, '<', patience(5), 'at the next recheck');

# --- owners that cannot have workers --------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "CREATE ROLE bea LOGIN; SELECT durable.grant_usage('bea')");
$node->safe_psql('postgres', "SET SESSION AUTHORIZATION bea; SELECT durable.start('waits', 'go', instance_id => 'bea')");
$node->poll_query_until('postgres', "SELECT runtime_status = 'Running' FROM durable.status('bea')");
$node->safe_psql('postgres', "ALTER ROLE bea NOLOGIN");
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bea'");
$node->safe_psql('postgres', "SELECT durable.raise_event('bea', 'go', 2)");
{
	ok($node->poll_query_until('postgres', "SELECT NOT ok FROM durable.doctor() WHERE check_name = 'owners'"), 'doctor sees an owner without LOGIN');
	$node->wait_for_log(qr/workflows of role "bea" cannot run/);
	sleep 3;
	my $log = slurp_file($node->logfile);
	my $times = () = $log =~ /workflows of role "bea" cannot run/g;
	is($times, 1, 'the log says it once');
	unlike($log, qr/role "bea" is not permitted to log in/, 'no worker tries in vain');
	is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.status('bea')"), 'Running', 'the instance waits');
}
$node->safe_psql('postgres', 'ALTER ROLE bea LOGIN');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $$durable coordinator$$');
is(result_of('bea'), 'Completed 2', 'and ends when it can');

$node->safe_psql('postgres', "CREATE ROLE cid LOGIN; SELECT durable.grant_usage('cid')");
$node->safe_psql('postgres', 'SELECT durable.pause()');		# however long this takes, nothing is due before the role is gone
$node->safe_psql('postgres', "SET SESSION AUTHORIZATION cid; SELECT durable.start('once', 'z', instance_id => 'cid', start_at => now() + interval '3 seconds')");
$node->safe_psql('postgres', 'REVOKE USAGE ON SCHEMA durable FROM cid; DROP OWNED BY cid; DROP ROLE cid');
$node->safe_psql('postgres', 'SELECT durable.unpause()');
ok($node->poll_query_until('postgres', "SELECT NOT ok FROM durable.doctor() WHERE check_name = 'owners'"), 'doctor sees an owner that is gone');
sleep 4;
my $gone = () = slurp_file($node->logfile) =~ /workflows of role \d+ cannot run because the role does not exist/g;
cmp_ok($gone, '<=', 1, 'the log says it once at most');
$node->safe_psql('postgres', "SELECT durable.start('once', 'still', instance_id => 'still')");
is(result_of('still'), 'Completed still', 'the others work');

# Roles with settings that would break the engine.
$node->safe_psql('postgres', "CREATE ROLE dan LOGIN CONNECTION LIMIT 0; CREATE ROLE other; GRANT other TO dan; SELECT durable.grant_usage('dan');
	GRANT INSERT, SELECT ON effects TO dan; ALTER ROLE dan SET role = 'other'; ALTER ROLE dan SET default_transaction_read_only = on;
	ALTER ROLE dan SET default_transaction_isolation = 'serializable'; ALTER ROLE dan SET statement_timeout = '1ms';
	ALTER ROLE dan SET enable_indexscan = off; ALTER ROLE dan SET search_path = 'pg_temp', 'public'; ALTER ROLE dan SET plan_cache_mode = 'force_custom_plan'");
$node->safe_psql('postgres', "SET SESSION AUTHORIZATION dan; SELECT durable.start('public.once', 'dan', instance_id => 'dan')");
is(result_of('dan'), 'Completed dan', 'a role with strange settings works');

# --- no process to spare -----------------------------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_logical_replication_workers = 0\nmax_parallel_workers = 0");
$node->restart;
$node->safe_psql('postgres', "SELECT durable.start('once', 'q', instance_id => 'crowded')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('crowded', '3s')"), 'Pending', 'without a process for a worker nothing runs');
is($node->safe_psql('postgres', "SELECT ok FROM durable.doctor() WHERE check_name = 'worker_slots'"), 'f', 'doctor says so');
$node->wait_for_log(qr/out of background worker slots for durable workers/);
sleep 2;
my $crowded = () = slurp_file($node->logfile) =~ /out of background worker slots for durable workers/g;
is($crowded, 1, 'the log says it once');
my $ticks = cpu_ticks(process_pids($node, 'durable coordinator'));
sleep 4;
cmp_ok(cpu_ticks(process_pids($node, 'durable coordinator')) - $ticks, '<', 20, 'and the coordinator does not spin');
$node->append_conf('postgresql.conf', 'max_worker_processes = 20');
$node->restart;
is(result_of('crowded'), 'Completed q', 'with one it runs');

# --- the postmaster -----------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "TRUNCATE attempts, effects; SELECT durable.start('slowly', 'p', instance_id => 'orphans')");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'");
$node->safe_psql('postgres', 'INSERT INTO attempts VALUES (1)');
is(kill_server($node), 0, 'nobody survives the postmaster');
$node->start;
is(result_of('orphans'), 'Completed p', 'and the work is done after it comes back');

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal (?!9|3)/, 'nothing crashed that was not killed');
$node->stop('fast');
done_testing();

# Clock ticks that processes have used.
sub cpu_ticks
{
	my $sum = 0;

	foreach my $pid (@_)
	{
		my @fields = split ' ', slurp_file("/proc/$pid/stat");
		$sum += $fields[13] + $fields[14];
	}
	return $sum;
}
