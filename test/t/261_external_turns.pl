# External orchestrations with real processes: crashes of the server with turns out and between completions, a worker that
# repeats its completion, and one that loses its lease. Every effect of the activities in SQL is there once.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run;

my $instances = 60;
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE effect (instance text, step integer);
CREATE FUNCTION step(input jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO effect VALUES (input ->> 'id', (input ->> 'step')::integer);
	SELECT input -> 'step'
$$;
CREATE TABLE stale (token text);
SELECT durable.register_activity('step', 'step(jsonb)');
SELECT durable.register_orchestration('Steps', execution => 'external', queue => 'app');
-- A worker: three steps one after the other, each an activity in SQL. Some turns are completed twice.
CREATE FUNCTION actions(turn durable.turn) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN n < 3 THEN jsonb_build_array(jsonb_build_object('type', 'schedule_task', 'id', 2 * n + 1, 'name', 'step',
			'input', json_build_object('id', turn.instance_id, 'step', n)::text))
		ELSE jsonb_build_array(jsonb_build_object('type', 'complete', 'id', 9, 'status', 'Completed', 'output', n::text)) END
	FROM (SELECT count(*) AS n FROM jsonb_array_elements(turn.past_events || turn.new_events) e WHERE e ->> 'type' = 'TaskCompleted') c
$$;
CREATE PROCEDURE work(rounds integer, lease interval) LANGUAGE plpgsql AS $$
DECLARE
	turns durable.turn[];
BEGIN
	FOR i IN 1 .. rounds LOOP
		SELECT array_agg(t) INTO turns FROM durable.fetch_turns('app', pg_backend_pid()::text, 7, lease) t;
		COMMIT;
		IF turns IS NULL THEN
			PERFORM pg_sleep(0.02);
			COMMIT;
			CONTINUE;
		END IF;
		PERFORM durable.complete_turns(array_agg(t.token), array_agg(actions(t)), on_stale => 'skip') FROM unnest(turns) t;
		COMMIT;
		INSERT INTO stale SELECT t.token FROM unnest(turns) t
			WHERE durable.complete_turns(ARRAY[t.token], ARRAY[actions(t)], on_stale => 'skip') = 0;
		COMMIT;
	END LOOP;
END $$;
SQL
$node->safe_psql('postgres', "SELECT durable.start('Steps', NULL, 'i' || n) FROM generate_series(1, $instances) n");
ok($node->poll_query_until('postgres', "SELECT sum(ready) = $instances FROM durable.queues"), 'every instance has a turn ready');

# Turns are out when the server is killed; a lease that has been committed survives that.
my @tokens = split /\n/, $node->safe_psql('postgres', q(SELECT token FROM durable.fetch_turns('app', 'lost', 10, '2 s')));
is(scalar @tokens, 10, 'ten turns are out');
my $kept = $node->safe_psql('postgres', q(SELECT token FROM durable.fetch_turns('app', 'kept', 1, '10 min')));
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT durable.extend_lease(ARRAY['$kept'])"), '1', 'a lease outlives a crash');
is($node->safe_psql('postgres', "SELECT durable.release_work(ARRAY['$kept'])"), '1', 'and is released');

for my $kill (1 .. 3)
{
	$node->safe_psql('postgres', q(CALL work(12, '5 s')));
	# The last turns are out, or applied, or completed and not applied.
	$node->safe_psql('postgres', q(SELECT count(*) FROM durable.fetch_turns('app', 'killed', 5, '1 s')));
	$node->stop('immediate');
	$node->start;
}
for (1 .. 60)
{
	last if $node->safe_psql('postgres', q(SELECT count(*) FROM durable.instances WHERE runtime_status <> 'Completed')) eq '0';
	$node->safe_psql('postgres', q(CALL work(20, '5 s')));
}
is($node->safe_psql('postgres', q(SELECT runtime_status, count(*) FROM durable.instances GROUP BY 1)), "Completed|$instances", 'every instance has completed');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT (instance, step)) FROM effect'), 3 * $instances . '|' . 3 * $instances, 'every effect is there once');
is($node->safe_psql('postgres', q(SELECT DISTINCT output FROM durable.instances)), '"3"', 'the outputs are there');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM stale'), '>', 3 * $instances, 'turns that were completed twice changed nothing');
is($node->safe_psql('postgres', "SELECT durable.complete_turns(ARRAY['$tokens[0]'], ARRAY['[]'::jsonb], on_stale => 'skip')"), '0', 'a lost turn cannot be completed');

# A lease that is to end with its session does so however the session ends, and at once; others stay.
sub fetched_with
{
	my ($name, $with) = @_;
	$node->safe_psql('postgres', "SELECT durable.start_external('$name', 'Held', NULL, '$name')");
	ok($node->poll_query_until('postgres', "SELECT ready = 1 FROM durable.queues WHERE name = '$name'"), "$name: a turn is ready");
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	is($session->query_safe("SELECT count(*) FROM durable.fetch_turns('$name', '$name', lease => '1 hour', with_session => $with)"), '1', '... and is fetched');
	is($node->safe_psql('postgres', "SELECT kind, pid FROM durable.leases WHERE worker = '$name'"), $with eq 'true' ? "turn|$pid" : 'turn|', '... and the view says so');
	return ($session, $pid);
}
my ($stays, undef) = fetched_with('stays', 'false');
my ($lives, undef) = fetched_with('lives', 'true');
foreach my $end ('quits', 'terminated')
{
	my ($session, $pid) = fetched_with($end, 'true');
	my $waiting = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "CALL durable.wait_for_work('$end', '5 minutes', kind => 'turns')" ],
		'<', '/dev/null', '>', \my $available, '2>', \my $noise);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL durable.wait_for_work%' AND wait_event_type = 'Extension'");
	$end eq 'quits' ? $session->quit : $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	my $began = time;
	$waiting->finish;
	is($available, "t\n", "a session $end: a worker that waits is woken");
	cmp_ok(time - $began, '<', patience(5), '... long before the end of the lease');
	is($node->safe_psql('postgres', "SELECT attempt FROM durable.fetch_turns('$end')"), '2', '... and gets the turn');
}
$node->safe_psql('postgres', 'SELECT durable.pause(); SELECT durable.unpause()');
is($node->safe_psql('postgres', 'SELECT string_agg(worker, $$ $$ ORDER BY worker) FROM durable.leases'), 'lives stays', 'leases of live sessions, and those that are not to end with one, stay');
$stays->quit;
$node->stop('immediate');
$node->start;
ok($node->poll_query_until('postgres', "SELECT ready = 1 FROM durable.queues WHERE name = 'lives'"), 'a crash of the server ends sessions and their leases');
is($node->safe_psql('postgres', 'SELECT string_agg(worker, $$ $$) FROM durable.leases'), 'stays', '... and no others');

# A lease whose commit does not wait for the disk, as those of durable serve for turns, and which the crash takes back.
$node->safe_psql('postgres', q{SELECT durable.start_external('unflushed', 'Flow', NULL, 'unflushed')});
my ($unflushed, $is_lost);
for (1 .. 5)
{
	$node->poll_query_until('postgres', q{SELECT ready = 1 FROM durable.queues WHERE name = 'unflushed'});
	$unflushed = $node->safe_psql('postgres', q{SET synchronous_commit = off; SELECT token FROM durable.fetch_turns('unflushed', lease => '3 s')});
	$node->stop('immediate');
	$node->start;
	last if $is_lost = $node->safe_psql('postgres', q{SELECT ready FROM durable.queues WHERE name = 'unflushed'});
}
ok($is_lost, 'a lease that was not flushed is gone after a crash');
my $complete = q{SELECT durable.complete_turns(ARRAY['%s'], ARRAY['[{"type": "complete", "id": 1, "status": "Completed", "output": "%s"}]'::jsonb], on_stale => 'skip')};
is($node->safe_psql('postgres', sprintf($complete, $unflushed, 1)), '0', '... an answer to it changes nothing');
$unflushed = $node->safe_psql('postgres', q{SELECT token FROM durable.fetch_turns('unflushed')});
is($node->safe_psql('postgres', sprintf($complete, $unflushed, 2)), '1', '... the turn is handed out again');
ok($node->poll_query_until('postgres', q{SELECT runtime_status = 'Completed' FROM durable.status('unflushed')}), '... and completed');
is($node->safe_psql('postgres', q{SELECT output #>> '{}' FROM durable.status('unflushed')}), '2', '... with the output of the new lease');

# Histories as large as they get. One that no worker could be given fails, and holds up no other instance of its queue.
$node->safe_psql('postgres', <<'SQL');
SELECT durable.start_external('large', 'Large', NULL, id) FROM unnest('{half,large,small}'::text[]) id;
SELECT durable.raise_event_text(id, 'e', repeat('x', 4000000)) FROM (VALUES ('half', 20), ('large', 40)) v (id, n), generate_series(1, n);
SQL
ok($node->poll_query_until('postgres', q{SELECT runtime_status = 'Failed' FROM durable.status('large')}), 'an instance with a history that is too large fails');
is($node->safe_psql('postgres', q{SELECT failure ->> 'sqlstate', failure ->> 'message' FROM durable.status('large')}),
	'WF009|history of instance "large" is larger than 128 MB, which is the most that a worker can be given', '... and says so');
ok($node->poll_query_until('postgres', q{SELECT ready = 2 AND NOT EXISTS (SELECT FROM durable.inbox) FROM durable.queues WHERE name = 'large'}), '... and its turn is gone');
is($node->safe_psql('postgres', q{SELECT string_agg(instance_id || ' ' || new, ', ' ORDER BY instance_id) FROM durable.fetch_turns('large', max_turns => 10, lease => '1 hour')}),
	'half 22', 'turns are fetched until they have 64 MB');
is($node->safe_psql('postgres', q{SELECT string_agg(instance_id || ' ' || attempt, ', ' ORDER BY instance_id) FROM durable.fetch_turns('large', max_turns => 10)}),
	'small 1', '... the others are there for the next one');
$node->safe_psql('postgres', q{SELECT durable.raise_event_text('half', 'e', repeat('x', 4000000)) FROM generate_series(1, 20)});
ok($node->poll_query_until('postgres', q{SELECT runtime_status = 'Failed' FROM durable.status('half')}), 'an instance whose turn is out fails, too');
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.leases WHERE instance_id = 'half'}), '0', '... and the turn is taken back');

done_testing();
