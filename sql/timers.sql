--
-- Timers, on the virtual clock.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');

-- not a moment before, and once
CREATE FUNCTION sleeps(duration interval) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := durable.now();
BEGIN
    PERFORM durable.sleep(duration);
    PERFORM durable.call_activity('Effect', 'slept');
    RETURN to_jsonb(durable.now() >= started + duration);
END $$;
SELECT durable.start('sleeps', '2 days', 'sleeps');
CALL durable.drain();
SELECT kind, due - since AS duration, line FROM durable.waiting;
SELECT durable.advance_clock('1 day 23 hours 59 minutes') IS NOT NULL AS later;
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'sleeps';
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'sleeps';
SELECT seq, event_type, task, detail FROM durable.history('sleeps') WHERE event_type = 'TimerFired';
SELECT (detail ->> 'fire_at')::timestamptz - created_at AS due_in FROM durable.history('sleeps') WHERE event_type = 'TimerCreated';
SELECT what FROM effects;

-- no time at all, the past, a month
SELECT durable.start('sleeps', duration, 'for ' || duration) FROM (VALUES (interval '0'), ('-1 day'), ('1 month'), ('1 microsecond')) v (duration);
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE 'for %' ORDER BY instance_id COLLATE "C";
SELECT durable.advance_clock('31 days') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE 'for %' ORDER BY instance_id COLLATE "C";

-- at a point in time: -infinity is now, infinity never
CREATE FUNCTION until(fire_at timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.result(durable.create_timer(fire_at));
END $$;
SELECT durable.start('until', '-infinity'::timestamptz, '-infinity'), durable.start('until', 'infinity'::timestamptz, 'infinity'),
       durable.start('until', '0044-03-15 BC'::timestamptz, 'the ides of March'), durable.start('until', '294276-12-31 23:59:59+00'::timestamptz, 'the last day');
CALL durable.drain();
SELECT durable.advance_clock('1000 years') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, output, (SELECT due FROM durable.waiting w WHERE w.instance_id = r.instance_id) AT TIME ZONE 'UTC' AS due
FROM run r WHERE instance_id IN ('infinity', '-infinity', 'the ides of March', 'the last day') ORDER BY 1;
SELECT durable.terminate(instance_id) FROM run WHERE status = 'Running';
CALL durable.drain();
SELECT count(*) AS timers FROM durable.timer;

-- the first of several; the others go with the instance
CREATE FUNCTION first_of() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    hour durable.task := durable.create_timer(durable.now() + interval '1 hour');
    minute durable.task := durable.create_timer(durable.now() + interval '1 minute');
    day durable.task := durable.create_timer(durable.now() + interval '1 day');
BEGIN
    RETURN to_jsonb(durable.when_any(hour, minute, day) = minute);
END $$;
SELECT durable.start('first_of', NULL, 'first_of');
CALL durable.drain();
SELECT count(*) AS timers FROM durable.timer;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'first_of';
SELECT count(*) AS timers FROM durable.timer;

-- many that are due when somebody looks fire in the order in which they were due
CREATE FUNCTION in_order(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.create_timer(durable.now() + (i * 7 % n) * interval '1 minute');
    END LOOP;
    PERFORM durable.when_all(VARIADIC tasks);
    RETURN to_jsonb(durable.when_any(VARIADIC tasks) = n);
END $$;
SELECT durable.start('in_order', 1000, 'in_order');
CALL durable.drain();
SELECT durable.advance_clock('1 day') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'in_order';
SELECT count(*), bool_and(fire_at >= before) AS "in order"
FROM (SELECT c.detail ->> 'fire_at' AS fire_at, lag(c.detail ->> 'fire_at') OVER (ORDER BY f.seq) AS before
      FROM durable.history('in_order') f JOIN durable.history('in_order') c ON c.task = f.task AND c.event_type = 'TimerCreated'
      WHERE f.event_type = 'TimerFired') t;

-- many instances that are due at the same moment, in one pass
SELECT count(durable.start('sleeps', '1 hour', 'herd ' || n)) FROM generate_series(1, 1000) n;
CALL durable.drain();
SELECT count(*) FROM durable.timer;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, count(*) FROM run WHERE instance_id LIKE 'herd%' GROUP BY status;
SELECT count(*) FROM effects WHERE what = 'slept';

-- cancelled: does not fire; in the turn that made it, later, again, after it has fired
CREATE FUNCTION cancels() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    now durable.task := durable.create_timer(durable.now() + interval '1 hour');
    later durable.task := durable.create_timer(durable.now() + interval '1 hour');
    fired durable.task := durable.create_timer(durable.now() + interval '1 minute');
    told text[];
BEGIN
    PERFORM durable.cancel_timer(now);
    PERFORM durable.result(fired);
    PERFORM durable.cancel_timer(later);
    PERFORM durable.cancel_timer(later);
    PERFORM durable.cancel_timer(fired);             -- too late: nothing
    BEGIN
        PERFORM durable.when_any(fired, now);
    EXCEPTION WHEN OTHERS THEN
        told := told || SQLERRM;
    END;
    BEGIN
        PERFORM durable.cancel_timer(durable.schedule_activity('Effect', 'not a timer'));
    EXCEPTION WHEN wrong_object_type THEN
        told := told || SQLERRM;
    END;
    PERFORM durable.sleep('1 hour');
    RETURN to_jsonb(told);
END $$;
SELECT durable.start('cancels', NULL, 'cancels');
CALL durable.drain();
SELECT count(*) AS timers FROM durable.timer;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT count(*) AS timers FROM durable.timer;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'cancels';
SELECT seq, event, task, payload FROM story('cancels') WHERE event LIKE 'Timer%';

-- those that come due while it is suspended fire when it goes on
SELECT durable.start('sleeps', '1 hour', 'held');
CALL durable.drain();
SELECT durable.suspend('held');
CALL durable.drain();
SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'held';
SELECT durable.resume('held');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'held';

-- the clock may go back: late by that much, never lost or twice
CREATE FUNCTION sleeps_and_waits() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := durable.now();
    timer durable.task := durable.create_timer(started + interval '1 hour');
    told timestamptz;
BEGIN
    PERFORM durable.wait_for_external_event('E');
    told := durable.now();
    PERFORM durable.result(timer);
    RETURN jsonb_build_array(told >= started, durable.now() >= started + interval '1 hour');
END $$;
SELECT durable.start('sleeps_and_waits', NULL, 'stepped back');
CALL durable.drain();
SELECT durable.advance_clock('-30 minutes') IS NOT NULL AS earlier;
SELECT durable.raise_event('stepped back', 'E');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'stepped back';
SELECT durable.advance_clock('30 minutes') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'stepped back';
SELECT count(*) AS "times that are earlier than the one before"
FROM (SELECT created_at, lag(created_at) OVER (ORDER BY seq) AS before FROM durable.history('stepped back')) h
WHERE created_at < before;

-- start_at: a timer of the instance, which goes with it
SELECT durable.start('sleeps', '0', 'tomorrow', start_at => durable.clock() + interval '1 day'),
       durable.start('sleeps', '0', 'yesterday', start_at => durable.clock() - interval '1 day'),
       durable.start('sleeps', '0', 'never', start_at => durable.clock() + interval '1 day');
CALL durable.drain();
SELECT instance_id, status FROM run WHERE instance_id IN ('tomorrow', 'yesterday', 'never') ORDER BY 1;
SELECT durable.terminate('never');
CALL durable.drain();
SELECT count(*) AS timers FROM durable.timer;
SELECT durable.suspend('tomorrow');
CALL durable.drain();
SELECT durable.resume('tomorrow');
CALL durable.drain();
SELECT status, waiting_on LIKE 'start %' AS "waits for its start" FROM run WHERE instance_id = 'tomorrow';
SELECT durable.advance_clock('1 day') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status FROM run WHERE instance_id IN ('tomorrow', 'yesterday', 'never') ORDER BY 1;
-- due while it was suspended: when it is resumed
SELECT durable.start('sleeps', '0', 'held start', start_at => durable.clock() + interval '1 hour');
SELECT durable.suspend('held start');
SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'held start';
SELECT durable.resume('held start');
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'held start';
SELECT count(*) AS timers FROM durable.timer;
SELECT count(*) AS messages FROM durable.inbox;

-- the procedures for tests
SELECT durable.advance_clock(NULL);
BEGIN;
CALL durable.drain();
ROLLBACK;
CREATE FUNCTION drains() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL durable.drain(); END $$;
SELECT drains();
CREATE FUNCTION busy() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Effect', 'busy');
    PERFORM durable.continue_as_new();
END $$;
SELECT durable.start('busy', NULL, 'busy');
CALL durable.drain('50 ms');
SELECT durable.terminate('busy');
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'busy';

-- The clock counts from what it shows, so it never shows what is no time.
SELECT durable.advance_clock('200000 years') > now() AS ahead;
SELECT durable.advance_clock('200000 years');
SELECT durable.clock() - now() > '200000 years' AND isfinite(durable.clock()) AS not_moved;
