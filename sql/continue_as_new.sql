--
-- Starting again from the top: same id, next execution, empty history.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');

-- a counter; each execution sees its own input and knows nothing of the last one's history
CREATE FUNCTION counts(n integer, until integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Effect', 'count ' || n);
    IF n < until THEN
        PERFORM durable.continue_as_new(jsonb_build_array(n + 1, until));
        RAISE EXCEPTION 'never reached';
    END IF;
    RETURN jsonb_build_array(n, durable.instance_id());
END $$;
SELECT durable.start('counts', '[1, 5]'::jsonb, 'counts');
CALL durable.drain();
SELECT runtime_status, execution, input, output FROM durable.status('counts');
SELECT what, count(*) FROM effects GROUP BY what ORDER BY what;
SELECT execution, seq, event_type, task, name, payload FROM durable.history('counts');
-- without waiting for anything
CREATE FUNCTION spins(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF n < 1000 THEN
        PERFORM durable.continue_as_new(n + 1);
    END IF;
    RETURN n;
END $$;
SELECT durable.start('spins', 1, 'spins');
CALL durable.drain();
SELECT runtime_status, execution, output FROM durable.status('spins');

-- without input; as the language's last word; from a handler; one that is swallowed all the same
CREATE FUNCTION odd(how text DEFAULT 'end') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    CASE how
        WHEN 'no input' THEN
            PERFORM durable.continue_as_new();
        WHEN 'null' THEN
            PERFORM durable.continue_as_new(NULL);
        WHEN 'swallowed' THEN
            BEGIN
                PERFORM durable.continue_as_new('end');
            EXCEPTION WHEN query_canceled OR OTHERS THEN
                RETURN 'swallowed';
            END;
        WHEN 'in a handler' THEN
            BEGIN
                PERFORM 1 / 0;
            EXCEPTION WHEN division_by_zero THEN
                PERFORM durable.continue_as_new('end');
            END;
        ELSE
            RETURN coalesce(how, 'null');
    END CASE;
    RETURN 'never reached';
END $$;
SELECT durable.start('odd', how, 'odd: ' || how) FROM unnest('{no input,"null",swallowed,in a handler}'::text[]) how;
CALL durable.drain();
SELECT instance_id, runtime_status, execution, input, output FROM durable.instances WHERE instance_id LIKE 'odd%' ORDER BY 1;

-- an input that does not fit is refused, and can be handled
CREATE FUNCTION misfit(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF n = 1 THEN
        BEGIN
            PERFORM durable.continue_as_new('x');
        EXCEPTION WHEN invalid_text_representation THEN
            PERFORM durable.call_activity('Effect', 'refused: ' || SQLERRM);
        END;
        PERFORM durable.continue_as_new(2);
    END IF;
    RETURN 'end';
END $$;
SELECT durable.start('misfit', 1, 'misfit');
CALL durable.drain();
SELECT runtime_status, execution, output FROM durable.status('misfit');
SELECT what FROM effects WHERE what LIKE 'refused%';

-- timers and waits of the old execution are gone; what its activities and children answer is for nobody
CREATE FUNCTION sheds(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    timer durable.task := durable.create_timer(durable.now() + interval '1 hour');
    e durable.task := durable.external_event('E');
BEGIN
    IF n = 1 THEN
        PERFORM durable.schedule_activity('Effect', 'left running');
        PERFORM durable.schedule_sub_orchestrator('counts', '[1, 1]'::jsonb, 'left child');
        PERFORM durable.continue_as_new(2);
    END IF;
    RETURN jsonb_build_array(durable.when_any(timer, e) = e, durable.result(e));
END $$;
SELECT durable.start('sheds', 1, 'sheds');
CALL durable.drain();
SELECT count(*) AS timers FROM durable.timer;
SELECT event, task FROM story('sheds');
SELECT instance_id, status, output FROM run WHERE instance_id = 'left child';
SELECT what FROM effects WHERE what = 'left running';
SELECT durable.raise_event('sheds', 'E', 1);
CALL durable.drain();
SELECT runtime_status, execution, output FROM durable.status('sheds');
SELECT count(*) AS timers FROM durable.timer;

-- children of different executions have different ids
CREATE FUNCTION begets(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    got jsonb := durable.call_sub_orchestrator('counts', jsonb_build_array(n, n));
BEGIN
    IF n < 3 THEN
        PERFORM durable.continue_as_new(n + 1);
    END IF;
    RETURN got;
END $$;
SELECT durable.start('begets', 1, 'begets');
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances WHERE instance_id LIKE 'begets%' ORDER BY 1;

-- events that nobody has taken come along, in their order: buffered, for other names, raised meanwhile
CREATE FUNCTION eats(n integer, eaten jsonb DEFAULT '[]') RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    eaten := eaten || jsonb_build_array(durable.wait_for_external_event('E'));
    IF n > 1 THEN
        PERFORM durable.continue_as_new(jsonb_build_object('n', n - 1, 'eaten', eaten));
    END IF;
    RETURN eaten || jsonb_build_array(durable.wait_for_external_event('Other', '0', '"nothing"'));
END $$;
SELECT durable.start('eats', '{"n": 6}'::jsonb, 'eats');
SELECT durable.raise_event('eats', 'E', 1), durable.raise_event('eats', 'Other', 'o'), durable.raise_event('eats', 'E', 2), durable.raise_event('eats', 'E', 3);
CALL durable.drain();
SELECT runtime_status, execution, waiting_on FROM durable.status('eats');
SELECT event FROM durable.buffered_events WHERE instance_id = 'eats';
SELECT durable.raise_event('eats', 'E', 4);
CALL durable.drain();
SELECT durable.suspend('eats'), durable.raise_event('eats', 'E', 5), durable.raise_event('eats', 'E', 6);
CALL durable.drain();
SELECT durable.resume('eats');
CALL durable.drain();
SELECT runtime_status, execution, output FROM durable.status('eats');

-- or not, when so asked
CREATE FUNCTION drops(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('E');
    IF n = 1 THEN
        PERFORM durable.continue_as_new(2, preserve_unprocessed_events => false);
    END IF;
    RETURN '"end"';
END $$;
SELECT durable.start('drops', 1, 'drops');
SELECT durable.raise_event('drops', 'E', 1), durable.raise_event('drops', 'E', 2);
CALL durable.drain();
SELECT runtime_status, execution, waiting_on FROM durable.status('drops');
SELECT durable.raise_event('drops', 'E', 3);
CALL durable.drain();
SELECT runtime_status, execution FROM durable.status('drops');

-- an event is consumed when the program knows of it: who wins when_any is known, who has only been taken by a wait is not
CREATE FUNCTION knows(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    e durable.task := durable.external_event('E');
    f durable.task := durable.external_event('F');
BEGIN
    IF durable.when_any(e, f) = e AND n < 10 THEN
        PERFORM durable.continue_as_new(n + 1);
    END IF;
    RETURN jsonb_build_array(n, durable.when_any(e, f) = f, durable.result(f));
END $$;
SELECT durable.start('knows', 1, 'knows');
CALL durable.drain();
BEGIN;
SELECT durable.raise_event('knows', 'E'), durable.raise_event('knows', 'F', 'taken by a wait, and not looked at');
COMMIT;
CALL durable.drain();
SELECT runtime_status, execution, output FROM durable.status('knows');

-- the time of an execution begins with it, and is the same in each replay; so are its random numbers, and those of the others differ
CREATE FUNCTION times(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := durable.now();
    told text := format('execution %s: %s %s', n, durable.uuid(), started);
BEGIN
    PERFORM durable.call_activity('Effect', told);
    PERFORM durable.sleep('1 hour');
    PERFORM durable.call_activity('Effect', told);
    PERFORM durable.sleep('1 hour');
    PERFORM durable.call_activity('Effect', told);
    IF n < 3 THEN
        PERFORM durable.continue_as_new(n + 1);
    END IF;
    RETURN date_trunc('hour', durable.now() - started)::text;
END $$;
TRUNCATE effects;
SELECT durable.start('times', 1, 'times');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT runtime_status, execution, output FROM durable.status('times');
SELECT left(what, 11) AS what, count(*), count(DISTINCT what) FROM effects GROUP BY 1 ORDER BY 1;
SELECT count(DISTINCT substr(what, 14, 36)) AS uuids FROM effects;

-- the custom status stays; a child that continues as new answers its parent once, in the end
CREATE FUNCTION stays(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF n = 1 THEN
        PERFORM durable.set_custom_status('"set by the first"');
        PERFORM durable.continue_as_new(2);
    END IF;
    PERFORM durable.wait_for_external_event('E');
    RETURN 'end';
END $$;
CREATE FUNCTION awaits() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_sub_orchestrator('stays', 1) $$;
SELECT durable.start('awaits', NULL, 'awaits');
CALL durable.drain();
SELECT runtime_status, custom_status FROM durable.instances WHERE parent_instance_id = 'awaits';
SELECT runtime_status FROM durable.status('awaits');
SELECT durable.raise_event(instance_id, 'E') FROM durable.instances WHERE parent_instance_id = 'awaits';
CALL durable.drain();
SELECT event, payload FROM story('awaits');

-- for ever, with the history of one round
CREATE FUNCTION eternal(round integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Effect', 'round ' || round);
    PERFORM durable.sleep('1 day');
    PERFORM durable.continue_as_new(round + 1);
END $$;
SELECT durable.start('eternal', 1, 'eternal');
CALL durable.drain();
SELECT durable.advance_clock('1 day') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 day') IS NOT NULL AS later;
CALL durable.drain();
SELECT runtime_status, execution, input FROM durable.status('eternal');
SELECT execution, seq, event_type FROM durable.history('eternal');
SELECT what FROM effects WHERE what LIKE 'round%' ORDER BY n;
SELECT durable.terminate('eternal');
CALL durable.drain();
SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
SELECT count(*) AS "histories of former executions" FROM durable.history h JOIN durable.instance i USING (key) WHERE h.execution <> i.execution;
