# External work under kills: while workers fetch turns and activities, processes of the engine and the whole server are killed,
# completions are repeated after each crash, and workers are stopped past their leases and go on. Every orchestration completes,
# no activity completes twice, and the effects of activities in SQL are there once.

use strict;
use warnings;
use DurableTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $instances = 60;
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
durable.max_crashes = 1000
durable.recheck_interval = 1s
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE effect (instance text, step integer);
CREATE FUNCTION step(input jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO effect VALUES (input ->> 'id', (input ->> 'step')::integer);
	SELECT input -> 'step'
$$;
SELECT durable.register_activity('step', 'step(jsonb)');
SELECT durable.register_orchestration('Mixed', execution => 'external', queue => 'app');
CREATE TABLE answer (token text, kind text, actions jsonb);
-- Six steps one after the other, by turns an activity in SQL and one of a worker.
CREATE FUNCTION actions(turn durable.turn) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN n < 6 THEN jsonb_build_array(jsonb_build_object('type', 'schedule_task', 'id', n + 1,
			'name', CASE WHEN n % 2 = 0 THEN 'step' ELSE 'remote' END, 'input', json_build_object('id', turn.instance_id, 'step', n)::text))
		ELSE jsonb_build_array(jsonb_build_object('type', 'complete', 'id', 9, 'status', 'Completed', 'output', n::text)) END
	FROM (SELECT count(*) AS n FROM jsonb_array_elements(turn.past_events || turn.new_events) e WHERE e ->> 'type' = 'TaskCompleted') c
$$;
-- A worker. What it answers is noted first, so that the answer can be repeated by somebody else.
CREATE PROCEDURE work(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
	turns durable.turn[];
	tasks durable.work[];
BEGIN
	FOR i IN 1 .. rounds LOOP
		SELECT array_agg(t) INTO turns FROM durable.fetch_turns('app', pg_backend_pid()::text, 5, '2 s', with_session => i % 2 = 0) t;
		COMMIT;
		SELECT array_agg(w) INTO tasks FROM durable.fetch_work('app', pg_backend_pid()::text, 5, '2 s') w;
		COMMIT;
		INSERT INTO answer SELECT t.token, 'turn', actions(t) FROM unnest(turns) t UNION ALL SELECT w.token, 'task', NULL FROM unnest(tasks) w;
		COMMIT;
		PERFORM pg_sleep(0.01);
		COMMIT;
		PERFORM durable.complete_turns(array_agg(t.token), array_agg(actions(t)), on_stale => 'skip') FROM unnest(turns) t HAVING count(*) > 0;
		COMMIT;
		PERFORM durable.complete_tasks_text(array_agg(w.token), array_agg(w.payload), on_stale => 'skip') FROM unnest(tasks) w HAVING count(*) > 0;
		COMMIT;
	END LOOP;
END $$;
SQL

# Workers that come back after each crash, until they are told to stop.
my $stop = $PostgreSQL::Test::Utils::tmp_check . '/stop';
my @workers = map {
	IPC::Run::start([ 'sh', '-c', 'while [ ! -e "$2" ]; do psql -XqAt -d "$1" -c "CALL work(20)" || sleep 0.2; done', 'sh', $node->connstr('postgres'), $stop ],
		'<', \undef, '>', \my $out, '2>', \my $err);
} 1 .. 3;

# Answers that were given before, or perhaps not, once more: of turns nothing is left to be answered, tasks are answered as before.
sub repeat_answers
{
	return $node->safe_psql('postgres', <<'SQL');
SELECT durable.complete_turns(array_agg(token), array_agg(actions), on_stale => 'skip') FROM answer WHERE kind = 'turn' HAVING count(*) > 0;
SELECT durable.complete_tasks_text(array_agg(token), array_agg('9'::text), on_stale => 'skip') FROM answer WHERE kind = 'task' HAVING count(*) > 0;
TRUNCATE answer;
SQL
}

my $kills = 0;
foreach my $round (1 .. 6)
{
	$node->safe_psql('postgres', "SELECT durable.start_external('app', 'Mixed', NULL, 'i$round-' || n) FROM generate_series(1, $instances / 6) n");
	$node->poll_query_until('postgres', 'SELECT count(*) > 5 FROM answer');
	if ($round % 3 == 0)
	{
		is(kill_server($node), 0, "round $round: the server is gone");
		$node->start;
		$kills++;
	}
	else
	{
		# A worker of the engine, or a session of a worker outside of it.
		my @pids = process_pids($node, $round % 3 == 1 ? 'durable worker' : 'client backend');
		$kills += kill_and_recover($node, 'KILL', $pids[0]) if @pids;
	}
	ok(defined repeat_answers(), "round $round: answers are repeated after the crash");
}
cmp_ok($kills, '>=', 4, "$kills kills");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status <> 'Completed'"), 'every orchestration completes');
append_to_file($stop, '');
$_->finish foreach @workers;
is($node->safe_psql('postgres', 'SELECT runtime_status, output, count(*) FROM durable.instances GROUP BY 1, 2'), "Completed|\"6\"|$instances", 'with its output');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT (instance, step)) FROM effect'), 3 * $instances . '|' . 3 * $instances, 'effects of activities in SQL are there once');
is($node->safe_psql('postgres', <<'SQL'), 6 * $instances . '|' . 6 * $instances . '|' . 6 * $instances, 'no activity was called or completed twice');
SELECT count(*) FILTER (WHERE h.event_type = 'TaskScheduled'), count(*) FILTER (WHERE h.event_type = 'TaskCompleted'),
	count(DISTINCT (i.instance_id, h.task::bigint)) FILTER (WHERE h.event_type = 'TaskCompleted')
FROM durable.instances i, durable.history(i.instance_id) h
SQL
is($node->safe_psql('postgres', "SELECT sum(ready + delayed + leased) FROM durable.queues"), '0', 'nothing is left in the queue');

# --- a worker that is stopped past its lease, and goes on ---------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE late (kind text, completed integer, failed text);
CREATE PROCEDURE slow(kind text) LANGUAGE plpgsql AS $$
DECLARE
	token text;
	answer text;
BEGIN
	IF kind = 'turn' THEN
		SELECT t.token INTO STRICT token FROM durable.fetch_turns('slow', 'slow', lease => '1 s') t;
	ELSE
		SELECT w.token INTO STRICT token FROM durable.fetch_work('slow', 'slow', lease => '1 s') w;
	END IF;
	COMMIT;
	PERFORM pg_sleep(0.5);
	BEGIN
		IF kind = 'turn' THEN
			PERFORM durable.complete_turn(token, '[{"type": "complete", "id": 7, "status": "Completed", "output": "late"}]');
		ELSE
			PERFORM durable.complete_tasks_text(ARRAY[token], '{late}');
		END IF;
	EXCEPTION WHEN SQLSTATE 'WF008' THEN
		answer := SQLSTATE;
	END;
	INSERT INTO late SELECT kind, CASE WHEN kind = 'turn' THEN durable.complete_turns(ARRAY[token], ARRAY['[]'::jsonb], on_stale => 'skip')
		ELSE durable.complete_tasks_text(ARRAY[token], '{late}', on_stale => 'skip') END, answer;
END $$;
SELECT durable.start_external('slow', 'Slow', NULL, 'slow');
SQL
foreach my $kind ('turn', 'task')
{
	$node->poll_query_until('postgres', "SELECT ready = 1 FROM durable.queues WHERE name = 'slow'");
	my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "CALL slow('$kind')" ], '<', \undef, '>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL slow' AND wait_event = 'PgSleep'");
	my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL slow'");
	kill 'STOP', $pid;
	is($node->safe_psql('postgres', "CALL durable.wait_for_work('slow', '1 minute', kind => '${kind}s')"), 't', "$kind: the lease of a stopped worker ends");
	is($node->safe_psql('postgres', $kind eq 'turn' ?
			q(SELECT count(*) FROM (SELECT durable.complete_turn(token, '[{"type": "schedule_task", "id": 1, "name": "remote"}]') FROM durable.fetch_turns('slow', 'second')) c) :
			q(SELECT durable.complete_tasks_text(ARRAY[token], '{second}') FROM durable.fetch_work('slow', 'second'))), '1', '... and another one completes it');
	kill 'CONT', $pid;
	$session->finish;
	is($node->safe_psql('postgres', "SELECT failed FROM late WHERE kind = '$kind'"), 'WF008', '... the first one is told that its lease is lost');
	is($node->safe_psql('postgres', "SELECT completed FROM late WHERE kind = '$kind'"), '0', '... and may skip it');
}
$node->poll_query_until('postgres', "SELECT ready = 1 FROM durable.queues WHERE name = 'slow'");
$node->safe_psql('postgres', q(SELECT durable.complete_turn(token, jsonb_build_array(jsonb_build_object('type', 'complete', 'id', 2, 'status', 'Completed',
	'output', (SELECT string_agg(e ->> 'input', ' ') FROM jsonb_array_elements(new_events) e WHERE e ->> 'type' = 'TaskCompleted')))) FROM durable.fetch_turns('slow', 'second')));
is($node->safe_psql('postgres', "SELECT output FROM durable.wait('slow')"), '"second"', 'nothing of the late answers is in the history');

$node->stop;
done_testing();
