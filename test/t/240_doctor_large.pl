# durable.doctor answers in under a second however much there is, and says what it has not looked at.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $N = 200_000;

# Nothing may run: the rows are made up.
my $node = new_node('main', conf => "durable.enabled = off\nfsync = off\nautovacuum = off\n");
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION sleeper(n int) RETURNS void LANGUAGE sql AS '';
SELECT durable.start('sleeper', 0, 'first');
SQL

# What doctor says of a check, how long it took, and that in seconds for a machine of normal speed.
sub ask
{
	my ($check, $limit) = @_;
	my $start = time;
	my $out = $node->safe_psql('postgres', 'SET statement_timeout = \'60s\'; SELECT ok, detail FROM durable.doctor(' . ($limit // '') . ") WHERE check_name = '$check'");

	return ($out, time - $start);
}

sub is_quick
{
	my ($name) = @_;
	my ($out, $took) = ask('coverage');

	cmp_ok($took, '<', patience(1), "$name: doctor answers within a second");
	like($out, qr/^t\|checked (all|only the \d+ oldest and the \d+ newest)/, '... and says how much it has looked at');
	return;
}

# --- asleep -------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<SQL);
INSERT INTO durable.instance (key, created_at, started_at, owner, status, instance_id, name, handler, waiting)
	SELECT n, now(), now(), 'postgres', 'R', 'asleep ' || n, 'public.sleeper', '(integer)', 't1+864000/3' FROM generate_series(1000, 1000 + $N - 1) n;
INSERT INTO durable.timer SELECT 'postgres', now() + '10 days', n, 1, 1 FROM generate_series(1000, 1000 + $N - 1) n;
SQL
is_quick("$N instances asleep");
my ($out, $took) = ask('coverage', 'NULL');
is($out, 't|checked all ' . ($N + 1) . ' instances', 'without a limit it looks at all of them');
is((ask('liveness', 'NULL'))[0], 't|every unfinished instance can make progress', '... and all of them can wake up');

# Timers for another purpose than what the instance says it waits for count, too. One without any does not.
$node->safe_psql('postgres', "UPDATE durable.timer SET due_at = due_at + '1 day' WHERE key < 1100; DELETE FROM durable.timer WHERE key = 1000");
is((ask('liveness'))[0], 'f|one instance waiting for no message, timer, activity, or event, such as "asleep 1000"', 'an old instance that nothing can wake is found at once');
$node->safe_psql('postgres', "INSERT INTO durable.timer SELECT 'postgres', now() + '10 days', 1000, 1, 1");

# --- queued ---------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<SQL);
UPDATE durable.instance SET waiting = 'a1/3' WHERE key >= 1000;
DELETE FROM durable.timer;
INSERT INTO durable.task_queue (id, owner, run_at, key, execution, task, name, handler, scheduled_at)
	SELECT n, 'postgres', now() - '2 minutes'::interval, n, 1, 1, 'sleeper', 'public.sleeper(integer)', now() FROM generate_series(1000, 1000 + $N - 1) n;
SQL
is_quick("$N activities queued");
like((ask('queue'))[0], qr/^f\|.* more than 10000 activities due, the oldest for 1\d\d s$/, '... and that they are overdue');

$node->safe_psql('postgres', <<SQL);
DELETE FROM durable.task_queue;
INSERT INTO durable.inbox (id, owner, key, kind, sent_at) SELECT n, 'postgres', n, 'e', now() FROM generate_series(1000, 1000 + $N - 1) n;
SQL
is_quick("$N messages sent");

# --- finished -------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<SQL);
DELETE FROM durable.inbox;
UPDATE durable.instance SET status = 'C', completed_at = now(), waiting = NULL WHERE key >= 1000;
INSERT INTO durable.finished (owner, name, status, completed_at, key) SELECT owner, name, status, completed_at, key FROM durable.instance WHERE key >= 1000;
SQL
is_quick("$N instances finished");
is((ask('failed'))[0], 't|no instance has failed within a day', 'none has failed');

$node->safe_psql('postgres', <<'SQL');
UPDATE durable.instance SET status = 'F', failure = '{"sqlstate": "22012", "message": "division by zero"}' WHERE key BETWEEN 1000 AND 1004;
UPDATE durable.finished SET status = 'F', completed_at = now() - CASE WHEN key = 1003 THEN interval '2 hours' WHEN key = 1004 THEN interval '2 days' ELSE interval '1 minute' END
	WHERE key BETWEEN 1000 AND 1004;
SQL
is((ask('failed'))[0], 't|3 instances of public.sleeper with 22012 in the last hour, 4 in the last day', 'failures are counted by orchestration and SQLSTATE');
$node->safe_psql('postgres', q(UPDATE durable.instance SET failure = '{"sqlstate": "42P01", "message": "relation \"x\" does not exist"}' WHERE key = 1000));
like((ask('failed'))[0], qr/^f\|.*one instance of public\.sleeper with 42P01 in the last hour/, 'an error of class 42 is a fault');
like($node->safe_psql('postgres', "SELECT hint FROM durable.doctor() WHERE check_name = 'failed'"), qr/runtime_status = 'Failed'/, '... with the statement that shows them');

# Instances that were terminated are not searched for failures, and the walk gets its share of the time.
$node->safe_psql('postgres', <<'SQL');
UPDATE durable.instance SET status = 'T', failure = NULL WHERE key >= 1000;
UPDATE durable.finished SET status = 'T', completed_at = now() WHERE key >= 1000;
VACUUM durable.finished;
SQL
is_quick("$N instances terminated");
my $reads = "SELECT pg_stat_clear_snapshot(), heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 'finished'";
my ($blocks) = $node->safe_psql('postgres', $reads) =~ /(\d+)$/;
is((ask('failed'))[0], 't|no instance has failed within a day', '... of which none has failed');
cmp_ok(($node->safe_psql('postgres', $reads) =~ /(\d+)$/)[0] - $blocks, '<', 100, '... and their entries are not read for that');

my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT * FROM durable.doctor('-1 s')");
like($stderr, qr/ERROR:  time_limit must be greater than zero/, 'a limit must be greater than zero');

# A compensation that has failed is found among many instances.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO durable.instance (key, created_at, started_at, owner, status, instance_id, name, handler, completed_at, failure)
	VALUES (900, now(), now(), 'postgres', 'F', 'undoes', 'durable.run_compensations', '(integer)', now(), '{"message": "no way back"}');
INSERT INTO durable.finished (owner, name, status, completed_at, key) SELECT owner, name, status, completed_at, key FROM durable.instance WHERE key = 900;
INSERT INTO durable.tally (owner, status, name, n) VALUES ('postgres', 'F', 'durable.run_compensations', 1);
SQL
is((ask('compensations'))[0], 'f|one instance is not undone completely; instance "undoes" has failed: no way back', 'a compensation that has failed');
$node->safe_psql('postgres', 'DELETE FROM durable.instance WHERE key = 900; DELETE FROM durable.finished WHERE key = 900; TRUNCATE durable.tally');

# Everything has failed.
$node->safe_psql('postgres', "UPDATE durable.finished SET status = 'F', completed_at = now(), name = 'x' || key % 7 WHERE key >= 1000");
$node->safe_psql('postgres', q(UPDATE durable.instance SET status = 'F', failure = '{"sqlstate": "42P01", "message": "relation \"x\" does not exist"}' WHERE key >= 1000));
is_quick("$N instances failed");
like((ask('failed'))[0], qr/^f\|.*; and others of \d+ kinds; only the latest 2000 of each role were counted$/, '... and that not all were counted');
is($node->safe_psql('postgres', "SELECT count(*) > 20 FROM durable.doctor('178000000 years')"), 't', 'a very long limit is none');

# --- suspended, orphaned --------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "TRUNCATE durable.finished; UPDATE durable.instance SET status = 'S', completed_at = NULL, suspend_reason = 'for a reason' WHERE key >= 1000");
is_quick("$N instances suspended");
like((ask('suspended'))[0], qr/^f\|\d\d+ instances; the latest, .*: for a reason$/, '... and that they are');
$node->safe_psql('postgres', "UPDATE durable.instance SET status = 'R', suspend_reason = NULL, parent_key = 5, parent_execution = 1, parent_task = 1 WHERE key >= 1000");
is_quick("$N sub-orchestrations without a parent");
like((ask('orphans'))[0], qr/^t\|\d\d+ sub-orchestrations run whose parent has ended/, '... and that they are');

# --- work outside of the database -------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<SQL);
DELETE FROM durable.instance WHERE key >= 1000;
INSERT INTO durable.queue (name, owner) VALUES ('q', 'postgres');
INSERT INTO durable.queued_task (id, key, at, scheduled_at, round, owner, execution, task, attempt, priority, state, kind, queue, share, name)
	SELECT n, 1, now() - interval '2 minutes', now(), n, 'postgres', 1, n, 1, 0, 'r', 'e', 'q', 's', 'send' FROM generate_series(1000, 1000 + $N - 1) n;
SQL
is_quick("$N external activities ready");
like((ask('queues'))[0], qr/^f\|queue "q" has contained activities for 1\d\d s, but no worker has leased any of them$/, '... and that nobody fetches them');

# One turn waits among leased activities.
$node->safe_psql('postgres', <<'SQL');
UPDATE durable.queued_task SET state = 'l', at = now() + interval '1 hour';
INSERT INTO durable.queued_task (id, key, at, scheduled_at, round, owner, execution, task, attempt, priority, state, kind, queue, share, name)
	VALUES (1, 1, now() - interval '2 minutes', now(), 1, 'postgres', 1, 0, 1, 0, 'r', 'o', 'q', 's', 'turns');
SQL
is_quick("$N external activities leased");
is((ask('queues'))[0], 't|workers fetch the work of all queues', '... and does not report what it has not looked at');
$node->safe_psql('postgres', "DELETE FROM durable.queued_task WHERE id BETWEEN 1010 AND 1000 + $N");
like((ask('queues'))[0], qr/^f\|queue "q" has contained turns for 1\d\d s, but no worker has leased any of them$/, '... and of few leased activities knows that none is a turn');
$node->safe_psql('postgres', <<SQL);
UPDATE durable.queued_task SET lost = 5;
INSERT INTO durable.queued_task (id, key, at, scheduled_at, round, owner, execution, task, attempt, priority, state, kind, queue, share, name, lost)
	SELECT n, 1, now() + interval '1 hour', now(), n, 'postgres', 1, n, 1, 0, 'l', 'e', 'q', 's', 'send', 4 FROM generate_series(2000, 2000 + $N - 1) n;
SQL
is_quick("$N leases lost");
like((ask('leases'))[0], qr/^f\|\d+ tasks of activity "send" in queue "q" lost up to 5 leases(; .*)?; only 10001 were counted$/, '... and that not all were counted');
$node->safe_psql('postgres', 'TRUNCATE durable.queued_task');

# --- entities ---------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<SQL);
INSERT INTO durable.entity (key, created_at, updated_at, owner, entity_id, state, problem, problem_at, held_until)
	SELECT (1::bigint << 62) + n, now(), now(), 'postgres', '\@account\@' || n, '1', 'function account does not exist', now() - interval '1 hour', now() + interval '1 minute' FROM generate_series(1, $N) n;
SQL
is_quick("$N entities with a problem");
like((ask('entities'))[0], qr/^f\|operations of entity "\@account\@\d+" have waited for 3\d\d\d s: function account does not exist; .*; and at least 9998 others$/, '... and what it is');

$node->stop;
done_testing();
