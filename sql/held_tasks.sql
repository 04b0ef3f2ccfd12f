--
-- A suspended instance's activities do not begin; what is running goes on to its end.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('task', 'effect(text)', execution => 'task');
SELECT durable.register_activity('flaky', 'flaky(integer,text)', execution => 'task');
CREATE FUNCTION both_ways(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    PERFORM durable.wait_for_external_event('go');
    FOR i IN 1 .. n LOOP
        tasks[i] := durable.schedule_activity('task', 'task ' || i);
    END LOOP;
    RETURN to_jsonb(durable.when_all(VARIADIC tasks));
END $$;

-- suspended in the same unit in which they are scheduled, and before they begin
SELECT durable.start('both_ways', 2, 'a'), durable.start('both_ways', 2, 'b');
CALL durable.drain();
SELECT durable.raise_event('a', 'go'), durable.suspend('a', 'wait');
CALL durable.drain();
SELECT runtime_status FROM durable.status('a');
SELECT count(*) FROM effects;
SELECT durable.resume('a');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('a');
SELECT count(*) FROM effects;

-- a retry that is due while the instance is suspended waits for the resumption
CREATE FUNCTION tries() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('flaky', '{"succeeds_at": 2}'::jsonb, retry => durable.retry(first_interval => '1 hour'));
END $$;
SELECT durable.start('tries', NULL, 'retried');
CALL durable.drain();
SELECT durable.suspend('retried', 'wait');
CALL durable.drain();
SELECT run_at, held_run_at - durable.clock() > interval '50 minutes' AS held FROM durable.task_queue;
SELECT attempt, last_error IS NOT NULL AS error, next_try < 'infinity' AS finite FROM durable.waiting WHERE instance_id = 'retried' AND kind = 'activity';
SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT runtime_status FROM durable.status('retried');
SELECT attempt, run_at FROM durable.task_queue;
SELECT durable.resume('retried');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('retried');

-- one that was running when the suspension came, and has failed since, is held when it is found
SELECT setval('attempts', 1, false), count(*) FROM durable.task_queue;
SELECT durable.start('tries', NULL, 'found');
CALL durable.drain();
SELECT durable.suspend('found');
CALL durable.drain();
UPDATE durable.task_queue SET run_at = held_run_at, held_run_at = NULL;
SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT attempt, run_at, held_run_at IS NOT NULL AS held FROM durable.task_queue;
-- a termination takes it along
SELECT durable.terminate('found');
CALL durable.drain();
SELECT count(*) FROM durable.task_queue;
