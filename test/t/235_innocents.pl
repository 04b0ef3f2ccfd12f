# After a crash only what had been running is counted, and only what ended its process is blamed. Whoever has rows locked
# for a moment, as the workers do to each other, changes nothing about that.

use strict;
use warnings;
use DurableTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.max_crashes = 5
durable.recheck_interval = 500ms
max_prepared_transactions = 2
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION short(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.005); RETURN n; END $$;
CREATE FUNCTION three(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..3 LOOP
		PERFORM durable.call_activity('short', i);
	END LOOP;
	RETURN n;
END $$;
SELECT durable.register_activity('short', 'short(int)', execution => 'task');

-- What the workers do to each other, and more of it: rows are locked for a moment, those first that are next.
CREATE PROCEDURE disturb() LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + interval '60 s';
BEGIN
	WHILE clock_timestamp() < until AND EXISTS (SELECT FROM durable.instance WHERE status IN ('P', 'R')) LOOP
		PERFORM FROM durable.task_queue ORDER BY run_at, id LIMIT 2 FOR UPDATE SKIP LOCKED;
		PERFORM FROM durable.instance WHERE status IN ('P', 'R') ORDER BY key LIMIT 2 FOR UPDATE SKIP LOCKED;
		PERFORM pg_sleep(random() * 0.004);
		COMMIT;
		PERFORM pg_sleep(random() * 0.002);
	END LOOP;
END $$;

-- Its process ends each time; the server does not.
CREATE FUNCTION leave() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(1);
	IF nextval('lost') < 4 THEN
		PERFORM pg_terminate_backend(pg_backend_pid());
		PERFORM pg_sleep(10);
	END IF;
	RETURN 'stayed';
END $$;
CREATE SEQUENCE lost;
SELECT durable.register_activity('leave', 'leave()', execution => 'task');
CREATE FUNCTION one() RETURNS text LANGUAGE sql AS $$ SELECT durable.call_activity('leave') #>> '{}' $$;
SQL

sub kill_worker
{
	my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'durable worker' LIMIT 1");

	kill(KILL => $pid) == 1 or die "there is no worker to be killed";
	$node->poll_query_until('postgres', 'SELECT pg_postmaster_start_time() IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ' . $pid . ')')
		or die 'the server does not come back';
	return;
}

# Two crashes' worth of them is less than durable.max_crashes.
$node->safe_psql('postgres', "SELECT count(durable.start('three', n)) FROM generate_series(1, 100) n");
$node->safe_psql('postgres', "BEGIN; SELECT pg_advisory_xact_lock(1); PREPARE TRANSACTION 'holder'");
$node->safe_psql('postgres', "SELECT durable.start('one', NULL, 'leaver')");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)") or die 'it does not run';
kill_worker();
my @disturbing = map {
	IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', 'CALL disturb()' ])
} 1 .. 3;
$node->safe_psql('postgres', "ROLLBACK PREPARED 'holder'");
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instance WHERE status IN ('P', 'R') AND name ~ 'three')"),
	'all come to an end');
is($node->safe_psql('postgres', "SELECT runtime_status, output #>> '{}' FROM durable.wait('leaver', '60s')"), 'Completed|stayed',
	'so does one whose worker is lost three times');
$_->finish for @disturbing;
is($node->safe_psql('postgres', "SELECT last_value FROM lost"), '4', 'that it was');
is($node->safe_psql('postgres', "SELECT runtime_status, count(*) FROM durable.instances WHERE name ~ 'three' GROUP BY 1"), 'Completed|100',
	'none of the others is blamed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.instance WHERE crashes <> 0'), '0', 'no count is left');
my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal 9/g;
is($crashes, 1, 'there was one crash');
$node->stop('fast');
done_testing();
