# Whoever runs when an operator stops the server the hard way, again and again, is not to blame; whoever takes the whole
# server with him each time is found in the end.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
durable.turn_timeout = 0
max_prepared_transactions = 2
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
-- For as long as a prepared transaction holds the lock: that is there again after each start.
CREATE FUNCTION wait_for_lock(key int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(key);
	RETURN 'done';
END $$;
CREATE FUNCTION by_activity(key int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('wait_for_lock', key) #>> '{}';
EXCEPTION WHEN crash_shutdown THEN
	RETURN SQLERRM;
END $$;
CREATE FUNCTION in_turn(key int) RETURNS text LANGUAGE plpgsql SET durable.determinism = off AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(key);
	RETURN 'done';
END $$;
SELECT durable.register_activity('wait_for_lock', 'wait_for_lock(int)', execution => 'task');
SQL

# stop_while_running(key, times): each stop finds it running.
sub stop_while_running
{
	my ($key, $times) = @_;

	foreach (1 .. $times)
	{
		$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $key AND NOT granted)")
			or die "instance $key does not run";
		$node->stop('immediate');
		$node->start;
	}
	return;
}

sub start
{
	my ($key, $orchestration) = @_;

	$node->safe_psql('postgres', "BEGIN; SELECT pg_advisory_xact_lock($key); PREPARE TRANSACTION 'holder'");
	$node->safe_psql('postgres', "SELECT durable.start('$orchestration', $key, '$key')");
	return;
}

sub release { $node->safe_psql('postgres', "ROLLBACK PREPARED 'holder'"); return; }

sub result_of
{
	my ($key) = @_;

	return $node->safe_psql('postgres', "SELECT concat_ws(' ', runtime_status, output #>> '{}') FROM durable.wait('$key', '3min')");
}

start(1, 'by_activity');
stop_while_running(1, 4);
release();
is(result_of(1), 'Completed done', 'four immediate stops: the activity is not blamed');

start(2, 'in_turn');
stop_while_running(2, 4);
release();
is(result_of(2), 'Completed done', 'nor an instance');

# A killed process is a crash as it ever was, and one crash is not enough, whatever stops came before.
start(3, 'by_activity');
stop_while_running(3, 2);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 3 AND NOT granted)");
my $victim = $node->safe_psql('postgres', "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 3 AND NOT granted");
kill_and_recover($node, 'KILL', $victim);
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 3 AND NOT granted AND pid <> $victim)");
release();
is(result_of(3), 'Completed done', 'two stops and a crash are not two crashes');

# What looks like stops may be a container that runs out of memory each time.
$node->append_conf('postgresql.conf', 'durable.max_crashes = 1');
$node->reload;
start(4, 'by_activity');
stop_while_running(4, 5);
is(result_of(4), 'Completed activity "wait_for_lock" was not run again because its process or the server repeatedly terminated while it ran', 'but it comes to an end: an activity');
release();
start(5, 'in_turn');
stop_while_running(5, 5);
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Suspended' FROM durable.status('5')"), 'an instance');
is($node->safe_psql('postgres', "SELECT suspend_reason FROM durable.instance WHERE instance_id = '5'"),
	'its process or the server repeatedly terminated while it ran', 'and it is said why');
release();

$node->stop;
done_testing();
