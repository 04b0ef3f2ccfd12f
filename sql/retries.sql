--
-- Trying again: attempts and waits by the policy, and none of it in the history.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Flaky', 'flaky(integer,text)', execution => 'inline');
SELECT durable.register_activity('Flaky as a task', 'flaky(integer,text)', execution => 'task');
CREATE FUNCTION tries(name text, succeeds_at integer, policy jsonb DEFAULT NULL, sqlstate text DEFAULT 'P0001')
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity(name, jsonb_build_object('succeeds_at', succeeds_at, 'sqlstate', sqlstate), retry => policy);
END $$;
-- how many attempts there have been, and when the next is due
CREATE FUNCTION now_and_next() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(', ', 'attempts ' || (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM attempts),
        'next in ' || (SELECT date_trunc('minute', coalesce(held_run_at, run_at) - durable.clock() + interval '30 s') FROM durable.task_queue),
        'as attempt ' || (SELECT attempt FROM durable.task_queue), (SELECT last_failure ->> 'message' FROM durable.task_queue),
        (SELECT status FROM run ORDER BY instance_id LIMIT 1)) $$;

-- without a policy there is one attempt
SELECT durable.start('tries', '["Flaky", 2]'::jsonb, '1');
CALL durable.drain();
SELECT now_and_next(), failure FROM run;
SELECT durable.purge('1'), setval('attempts', 1, false);

-- waits that grow: 10, 20, 40 minutes
SELECT durable.start('tries', jsonb_build_array('Flaky', 4, durable.retry(max_attempts => 5, first_interval => '10 minutes')), '2');
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('9 minutes') IS NOT NULL AS "too early";
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('20 minutes') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('40 minutes') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), output FROM run;
-- one task and one answer, whatever it took; effects of the last attempt only
SELECT event, task, name, payload FROM story('2');
SELECT what FROM effects;
SELECT durable.purge('2'), setval('attempts', 1, false);

-- attempts run out: the last failure, with its number
SELECT durable.start('tries', jsonb_build_array('Flaky as a task', 100, durable.retry(max_attempts => 3, first_interval => '1 minute', backoff => 1)), '3');
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), failure FROM run;
SELECT what FROM effects;
SELECT durable.purge('3'), setval('attempts', 1, false);

-- no wait is longer than max_interval
SELECT durable.start('tries', jsonb_build_array('Flaky', 100, durable.retry(max_attempts => NULL, first_interval => '1 hour', backoff => 10, max_interval => '3 hours')), '4');
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('3 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
-- while it is suspended there is no attempt; after the resumption the one that was due begins
SELECT durable.suspend('4');
SELECT setval('attempts', 99);
SELECT durable.advance_clock('3 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.resume('4');
CALL durable.drain();
SELECT now_and_next(), output FROM run;
SELECT durable.purge('4'), setval('attempts', 1, false);

-- terminated between two attempts: there is no other
SELECT durable.start('tries', jsonb_build_array('Flaky', 100, durable.retry(max_attempts => NULL)), '5');
CALL durable.drain();
SELECT durable.terminate('5', 'enough');
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 day') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.purge('5'), setval('attempts', 1, false);

-- the policy's timeout counts from the first attempt: none begins after it
SELECT durable.start('tries', jsonb_build_array('Flaky', 100, durable.retry(max_attempts => 100, first_interval => '1 minute', backoff => 1, timeout => '150 s')), '6');
CALL durable.drain();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), failure FROM run;
SELECT durable.purge('6'), setval('attempts', 1, false);

-- errors that are not worth another attempt: by code, by class
SELECT durable.start('tries', jsonb_build_array('Flaky', 100, durable.retry(non_retryable => '{22,23505}'), sqlstate), sqlstate)
FROM unnest('{22012,23505,23503,P0001}'::text[]) sqlstate;
CALL durable.drain();
SELECT instance_id, status, failure ->> 'attempt' AS attempt FROM run ORDER BY 1;
SELECT durable.terminate(instance_id) FROM run WHERE status = 'Running';
CALL durable.drain();
SELECT count(durable.purge(instance_id)), max(setval('attempts', 1, false)) FROM run;

-- the registered policy counts where the call has none; a policy of the call takes its place
SELECT durable.register_activity('Registered', 'flaky(integer,text)', execution => 'inline', retry => durable.retry(max_attempts => 2, first_interval => '1 minute'));
SELECT durable.start('tries', '["Registered", 100]'::jsonb, '7');
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), failure ->> 'attempt' AS attempt FROM run;
SELECT durable.purge('7'), setval('attempts', 1, false);
SELECT durable.start('tries', '["Registered", 100, {"max_attempts": 1}]'::jsonb, '8');
CALL durable.drain();
SELECT now_and_next(), failure ->> 'attempt' AS attempt FROM run;
SELECT durable.purge('8'), setval('attempts', 1, false);
SELECT durable.start('tries', '["Registered", 2, {"first_interval": "0"}]'::jsonb, '9');
CALL durable.drain();
SELECT now_and_next(), output FROM run;
SELECT durable.purge('9'), setval('attempts', 1, false);

-- timeouts are failures like others: tried again
CREATE FUNCTION slow_at_first() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('attempts') = 1 THEN
        LOOP END LOOP;
    END IF;
    RETURN 'quick';
END $$;
CREATE FUNCTION patient() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('slow_at_first', timeout => '500 ms', retry => '{"first_interval": "1 minute"}') $$;
SELECT durable.start('patient', NULL, '10');
CALL durable.drain();
SELECT now_and_next();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), output FROM run;
SELECT durable.purge('10'), setval('attempts', 1, false);

-- the activity is away at one of the attempts: that is none, and the instance is suspended until it is back
SELECT durable.start('tries', jsonb_build_array('Flaky', 2, durable.retry(max_attempts => 3, first_interval => '1 minute', backoff => 1)), '11');
CALL durable.drain();
ALTER FUNCTION flaky(integer, text) RENAME TO away;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next();
ALTER FUNCTION away(integer, text) RENAME TO flaky;
SELECT durable.resume('11');
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), output FROM run;
SELECT durable.purge('11'), setval('attempts', 1, false);

-- a failure that is handled, and then tried again by hand
CREATE FUNCTION by_hand() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..10 LOOP
        BEGIN
            RETURN durable.call_activity('Flaky', '[4]'::jsonb);
        EXCEPTION WHEN raise_exception THEN
            PERFORM durable.sleep(i * interval '1 s');
        END;
    END LOOP;
END $$;
SELECT durable.start('by_hand', NULL, '12');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('2 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('3 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT now_and_next(), output FROM run;
SELECT event, task, coalesce(payload ->> 'message', payload #>> '{}') AS payload FROM story('12');
SELECT durable.purge('12'), setval('attempts', 1, false);

-- sub-orchestrations: each attempt is an instance of its own, and the history has one call and one answer
CREATE FUNCTION child(succeeds_at integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.sleep('1 s');
    RETURN durable.call_activity('Flaky', jsonb_build_array(succeeds_at)) #>> '{}';
END $$;
CREATE FUNCTION parent(succeeds_at integer, policy jsonb, instance_id text DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sub_orchestrator('child', succeeds_at, instance_id, retry => policy);
END $$;
SELECT durable.start('parent', jsonb_build_array(3, durable.retry(first_interval => '1 minute')), 'p');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, failure ->> 'message' AS failure, waiting_on LIKE 'start %' AS "waits for its start" FROM run ORDER BY 1;
SELECT durable.advance_clock('61 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('120 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, runtime_status, output, failure ->> 'message' AS failure, parent_instance_id FROM durable.instances ORDER BY 1;
SELECT seq, event, task, name, payload FROM story('p');
SELECT setval('attempts', 1, false);
-- attempts run out; an id of one's own
SELECT durable.start('parent', jsonb_build_array(100, durable.retry(max_attempts => 2, first_interval => '0'), 'my child'), 'q');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, failure FROM run WHERE instance_id = 'q' OR instance_id LIKE 'my child%' ORDER BY 1;
-- an error that is not worth another attempt
SELECT durable.start('parent', jsonb_build_array(100, durable.retry(non_retryable => '{P0001}')), 'r');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, failure ->> 'message' AS failure FROM run WHERE instance_id LIKE 'r%' ORDER BY 1;
-- the parent is terminated while the child waits for its next attempt
SELECT durable.start('parent', jsonb_build_array(100, durable.retry(first_interval => '1 hour')), 's');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.terminate('s');
CALL durable.drain();
SELECT instance_id, status FROM run WHERE instance_id LIKE 's%' ORDER BY 1;

SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
