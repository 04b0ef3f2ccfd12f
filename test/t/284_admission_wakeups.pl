# A coordinator that waits for a lock gets the wake-up of a session that has put an activity into a queue, and the lock takes it. It looks
# for such requests once more before it sleeps.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
durable.recheck_interval = '60 s'
durable.worker_idle_timeout = '10 min'
durable.retention = '1 day'
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE done (n int);
CREATE FUNCTION note(n int) RETURNS void LANGUAGE sql AS $$ INSERT INTO done VALUES (n) $$;
CREATE FUNCTION notes(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.wait_for_external_event('go');
	PERFORM durable.call_activity('note', n);
END $$;
SELECT durable.register_activity('note', 'note(int)', execution => 'task', queue => 'q');
SQL

# Without that look the other steps of the coordinator, of which the next one comes within a second, would find the request.
my @took;
foreach my $n (1 .. 2)
{
	$node->safe_psql('postgres', "SELECT durable.start('notes', $n, 'notes $n')");
	$node->poll_query_until('postgres', "SELECT runtime_status = 'Running' FROM durable.instances WHERE instance_id = 'notes $n'") or BAIL_OUT('it does not run');
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM durable.workers WHERE state = 'idle')") or BAIL_OUT('no worker is idle');

	# Retention and new ends need this table, and nothing else does.
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('BEGIN; LOCK TABLE durable.finished');
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.backend_type = 'durable coordinator')")
	  or BAIL_OUT('the coordinator does not wait');
	$node->safe_psql('postgres', "SELECT durable.raise_event('notes $n', 'go')");
	$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM durable.queued_task') or BAIL_OUT('the activity is not in the queue');
	my $since = time;
	$holder->query_safe('COMMIT');
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM done WHERE n = $n)"), 'the activity is run');
	push @took, time - $since;
	note(sprintf '%.2f s', $took[-1]);
	$holder->quit;
	$node->poll_query_until('postgres', "SELECT runtime_status = 'Completed' FROM durable.instances WHERE instance_id = 'notes $n'") or BAIL_OUT('it does not end');
}
@took = sort { $a <=> $b } @took;
cmp_ok($took[-1], '<', patience(0.3), sprintf('soon after the coordinator got the lock: %.2f s at most', $took[-1]));
$node->stop;
done_testing();
