--
-- Replay: the same calls get the same answers in every run, whatever has arrived meanwhile.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');
SELECT durable.register_activity('Twice', 'twice(integer)', execution => 'task');

-- completions in any order: 100 instances, each with five activities that are delivered shuffled
CREATE FUNCTION shuffle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.run_at := NEW.run_at - random() * interval '1 hour';
    RETURN NEW;
END $$;
CREATE TRIGGER shuffle BEFORE INSERT ON durable.task_queue FOR EACH ROW EXECUTE FUNCTION shuffle();
SELECT setseed(0.5);
CREATE FUNCTION five(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
    numbers jsonb[];
BEGIN
    FOR i IN 1..5 LOOP
        tasks := tasks || durable.schedule_activity('Twice', i);
    END LOOP;
    numbers := durable.when_all(VARIADIC tasks);
    FOR i IN 1..5 LOOP
        numbers := numbers || durable.call_activity('Twice', numbers[i]);
    END LOOP;
    RETURN to_jsonb(numbers);
END $$;
SELECT count(durable.start('five', n, 'five ' || n)) FROM generate_series(1, 100) n;
CALL durable.drain();
SELECT status, output, count(*) FROM run GROUP BY status, output;
SELECT count(DISTINCT tasks) > 50 AS "were shuffled"
FROM (SELECT string_agg(s.task::text, ',' ORDER BY s.seq) AS tasks
      FROM run, LATERAL story(run.instance_id) s WHERE s.event = 'TaskCompleted' AND s.task <= 5
      GROUP BY run.instance_id) o;

-- a race: who wins may differ, but it is decided once
CREATE FUNCTION race(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a durable.task := durable.schedule_activity('Twice', 1);
    b durable.task := durable.schedule_activity('Twice', 2);
    first durable.task := durable.when_any(a, b);
    second durable.task;
BEGIN
    PERFORM durable.call_activity('Effect', 'race ' || n || ': ' || first);
    second := durable.when_any(b, a);                -- still the same one: it came first
    PERFORM durable.call_activity('Effect', 'race ' || n || ': ' || second);
    PERFORM durable.when_all(a, b);
    PERFORM durable.call_activity('Effect', 'race ' || n || ': ' || durable.when_any(a, b));
    RETURN jsonb_build_array(first, second, durable.when_any(b, a), durable.result(a), durable.result(b));
END $$;
SELECT count(durable.start('race', n, 'race ' || n)) FROM generate_series(1, 50) n;
CALL durable.drain();
SELECT status, output, count(*) > 5 AS "many" FROM run WHERE instance_id LIKE 'race%' GROUP BY status, output ORDER BY output;
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'race%';
DROP TRIGGER shuffle ON durable.task_queue;

-- a call that does not wait sees only what the run has already come past
CREATE FUNCTION looks() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    seen jsonb := '[]';
    a durable.task := durable.external_event('a');
    b durable.task := durable.external_event('b');
    first durable.task;
    started timestamptz := durable.now();
BEGIN
    first := durable.when_any(a, b);
    seen := seen || jsonb_build_array(first, durable.now() > started);
    PERFORM durable.call_activity('Effect', 'looks: ' || seen::text);
    first := durable.when_any(a, b);
    seen := seen || to_jsonb(first);
    PERFORM durable.wait_for_external_event('go on');
    first := durable.when_any(a, b);
    seen := seen || to_jsonb(first);
    PERFORM durable.call_activity('Effect', 'looks: ' || seen::text);
    RETURN seen || durable.result(a) || durable.result(b);
END $$;
-- both are there before the first turn: b was first
SELECT durable.start('looks', NULL, 'b, a');
SELECT durable.raise_event('b, a', 'b', 'B'), durable.raise_event('b, a', 'a', 'A');
-- one by one
SELECT durable.start('looks', NULL, 'b; a');
CALL durable.drain();
SELECT durable.raise_event('b; a', 'b', 'B');
CALL durable.drain();
SELECT durable.raise_event('b; a', 'a', 'A');
CALL durable.drain();
SELECT durable.raise_event(id, 'go on') FROM (VALUES ('b, a'), ('b; a')) v (id);
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE 'b%' ORDER BY 1;
SELECT what FROM effects WHERE what LIKE 'looks%' ORDER BY n;

-- a wait that takes an event which had been passed before was answered then, and not when it came
CREATE FUNCTION late_wait() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    other durable.task := durable.external_event('other');
    early durable.task;
BEGIN
    PERFORM durable.wait_for_external_event('go on');
    early := durable.external_event('early');
    PERFORM durable.wait_for_external_event('go on');
    RETURN jsonb_build_array(durable.when_any(other, early) = early, durable.result(early));
END $$;
BEGIN;
SELECT durable.start('late_wait', NULL, 'late_wait');
SELECT durable.raise_event('late_wait', 'early', 'E'), durable.raise_event('late_wait', 'go on'), durable.raise_event('late_wait', 'other', 'O');
COMMIT;
CALL durable.drain();
SELECT durable.raise_event('late_wait', 'go on');
CALL durable.drain();
SELECT seq, event, task, name FROM story('late_wait');
SELECT status, output FROM run WHERE instance_id = 'late_wait';

-- time stands still between two waits, and goes on with the answers
CREATE FUNCTION clocks() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    times timestamptz[] := ARRAY[durable.now()];
    same boolean;
BEGIN
    FOR i IN 1..3 LOOP
        PERFORM durable.sleep('1 hour');
        same := durable.now() = durable.now();
        times := times || durable.now();
    END LOOP;
    RETURN jsonb_build_array(same, date_trunc('hour', times[2] - times[1]), date_trunc('hour', times[3] - times[2]),
                             date_trunc('hour', times[4] - times[3]), durable.call_activity('Effect', times::text),
                             durable.call_activity('Effect', times::text));
END $$;
SELECT durable.start('clocks', NULL, 'clocks');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output #> '{0}', output #> '{1}', output #> '{2}', output #> '{3}' FROM run WHERE instance_id = 'clocks';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE '{%';

-- work that was scheduled and never asked for is done all the same
CREATE FUNCTION fire_and_forget() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.schedule_activity('Effect', 'forgotten');
    PERFORM durable.schedule_activity('fail', '["22012", "nobody hears of it"]'::jsonb);
    RETURN 'end';
END $$;
SELECT durable.start('fire_and_forget', NULL, 'fire_and_forget');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'fire_and_forget';
SELECT what FROM effects WHERE what = 'forgotten';
SELECT count(*) FROM durable.inbox;

-- a turn that is cut off by the server leaves nothing, and is run again
CREATE FUNCTION cut_off() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Effect', 'once');
    PERFORM durable.schedule_activity('Effect', 'never');
    PERFORM pg_cancel_backend(pg_backend_pid()), pg_sleep(10);
END $$;
SELECT durable.start('cut_off', NULL, 'cut_off');
SET durable.determinism TO off;
CALL durable.drain();
RESET durable.determinism;
SELECT status FROM run WHERE instance_id = 'cut_off';
CREATE OR REPLACE FUNCTION cut_off() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Effect', 'once');
    RETURN 'end';
END $$;
SELECT durable.repin('cut_off');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'cut_off';
SELECT what FROM effects WHERE what IN ('once', 'never');

-- a turn that computes for ever fails
SET durable.turn_timeout TO '20 ms';
CREATE FUNCTION endless() RETURNS text LANGUAGE plpgsql AS $$ BEGIN LOOP NULL; END LOOP; END $$;
SELECT durable.start('endless', NULL, 'endless');
CALL durable.drain();
RESET durable.turn_timeout;
SELECT status, failure FROM run WHERE instance_id = 'endless';
