# A coordinator that waits for a lock gets the wake-up of a session that has put an activity into a queue, and the lock takes it. It looks
# for such requests once more before it sleeps. Retention rests from the end of its step, however long that has waited for a lock.

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

# Without that look, the request is found when the next step of the coordinator is due. These are retention, which rests for ten
# seconds after it has waited for a lock for 0.2 s or longer, and the addition of counts, which rests for ten seconds if it has found
# nothing. The latter becomes due while the lock is held, runs in the same round, and rests, too. These times do not depend on the
# speed of the machine. On a slow machine the activity may begin late for other reasons, so the faster of two counts.
my $hold = 2;
my ($least, $released);
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
	my $waits_since = time;
	cmp_ok($waits_since - $released, '>', 9.5, 'retention rests from its end and not from its beginning') if $released;
	$node->safe_psql('postgres', "SELECT durable.raise_event('notes $n', 'go')");
	$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM durable.queued_task') or BAIL_OUT('the activity is not in the queue');
	sleep 0.1 while time < $waits_since + $hold;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM done'), $n - 1, 'the activity has not begun while the coordinator waits');
	$released = time;
	$hold = $released - $waits_since + 1;
	$holder->query_safe('COMMIT');
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM done WHERE n = $n)"), 'the activity is run');
	my $took = time - $released;
	note(sprintf '%.2f s', $took);
	$least = $took if !defined $least || $took < $least;
	$holder->quit;
	$node->poll_query_until('postgres', "SELECT runtime_status = 'Completed' FROM durable.instances WHERE instance_id = 'notes $n'") or BAIL_OUT('it does not end');
}
cmp_ok($least, '<', 4, 'after the coordinator got the lock, and not after its rest');
$node->stop;
done_testing();
