--
-- External activities: workers outside of the database take them from queues.
--
\set ECHO none
SET client_min_messages = warning;
\set ECHO all
CREATE SCHEMA app;
SELECT durable.register_queue('mail');
SELECT durable.register_activity('send_mail', execution => 'external', queue => 'mail');
SELECT durable.register_activity('flaky', execution => 'external', queue => 'mail',
                                 retry => durable.retry(max_attempts => 3, first_interval => '10 minutes', backoff => 1));
SELECT durable.register_activity('slow', execution => 'external', queue => 'mail', timeout => '1 minute');
CREATE FUNCTION app.mails(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks[i] := durable.schedule_activity('send_mail', jsonb_build_object('n', i));
    END LOOP;
    RETURN to_jsonb(durable.when_all(VARIADIC tasks));
END $$;
CREATE FUNCTION app.calls(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity(name, '"x"'::jsonb);
EXCEPTION WHEN OTHERS THEN
    RETURN jsonb_build_array(SQLSTATE, SQLERRM);
END $$;

-- fetch, complete, and the result goes on
SELECT durable.start('app.mails', 3, 'three');
CALL durable.drain();
SELECT name, ready, delayed, leased, oldest IS NOT NULL AS waits FROM durable.queues;
CREATE TABLE work AS SELECT * FROM durable.fetch_work('mail', 'worker 1', max_tasks => 2);
SELECT queue, name, input, instance_id, attempt, leased_until - durable.clock() BETWEEN '25 s' AND '30 s' AS leased, idempotency_key ~ '^three:\d+\.1\.\d\.1$' AS key FROM work;
SELECT queue, instance_id, name, attempt, worker, lost FROM durable.leases;
SELECT durable.complete_tasks(array_agg(token), array_agg(input)) FROM work;
-- repeated: as before, and once
SELECT durable.complete_tasks(array_agg(token), array_agg(input)) FROM work;
CALL durable.drain();
SELECT runtime_status, waiting_on FROM durable.status('three');
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT durable.complete_tasks(ARRAY[(SELECT token FROM work WHERE input ->> 'n' = '3')]);
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('three');
SELECT * FROM durable.fetch_work('mail');

-- a lease that ends is another worker's, and the token of the first is no good any more
TRUNCATE work;
SELECT durable.start('app.mails', 1, 'lost');
CALL durable.drain();
INSERT INTO work SELECT * FROM durable.fetch_work('mail', 'first');
SELECT durable.extend_lease(ARRAY[token], '20 minutes') FROM work;
SELECT durable.advance_clock('15 minutes') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('mail', 'second');
SELECT durable.advance_clock('15 minutes') IS NOT NULL;
CREATE TABLE again AS SELECT * FROM durable.fetch_work('mail', 'second');
SELECT a.attempt, a.idempotency_key = w.idempotency_key AS same_key, a.token = w.token AS same_token FROM again a, work w;
SELECT durable.extend_lease(ARRAY[token]) FROM work;
DO $$ BEGIN PERFORM durable.complete_tasks(ARRAY[token]) FROM work; EXCEPTION WHEN SQLSTATE 'WF008' THEN RAISE WARNING '%', regexp_replace(SQLERRM, '"[0-9a-f-]+"', 'T'); END $$;
DO $$ BEGIN PERFORM durable.fail_task(token, '"no"') FROM work; EXCEPTION WHEN SQLSTATE 'WF008' THEN RAISE WARNING '%', regexp_replace(SQLERRM, '"[0-9a-f-]+"', 'T'); END $$;
SELECT durable.release_work(ARRAY[token]) FROM work;
SELECT durable.complete_tasks(ARRAY[w.token, a.token], on_stale => 'skip') FROM work w, again a;
DO $$ BEGIN PERFORM durable.fail_task(token, '"no"') FROM again; EXCEPTION WHEN SQLSTATE 'WF008' THEN RAISE WARNING '%', regexp_replace(SQLERRM, '"[0-9a-f-]+"', 'T'); END $$;
CALL durable.drain();
SELECT runtime_status FROM durable.status('lost');

-- released work is there again at once, or later
TRUNCATE work;
SELECT durable.start('app.mails', 1, 'released');
CALL durable.drain();
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT durable.release_work(ARRAY[token]) FROM work;
DO $$ BEGIN PERFORM durable.complete_tasks(ARRAY[token]) FROM work; EXCEPTION WHEN SQLSTATE 'WF008' THEN RAISE WARNING 'WF008'; END $$;
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT durable.release_work(ARRAY[token], '1 minute') FROM work;
SELECT count(*) FROM durable.fetch_work('mail');
SELECT durable.advance_clock('61 s') IS NOT NULL;
SELECT durable.complete_tasks(array_agg(token)) FROM durable.fetch_work('mail');
CALL durable.drain();

-- given back without a delay: the engine waits longer each time, 30 s at most; a lease that ends does not count
TRUNCATE work;
SELECT durable.start('app.calls', 'flaky'::text, 'refused');
CALL durable.drain();
DO $$
DECLARE
    delays interval[];
    n integer;
BEGIN
    FOR i IN 1 .. 7 LOOP
        SELECT durable.release_work(ARRAY[token], NULL) INTO n FROM durable.fetch_work('mail');
        SELECT array_append(delays, next_try - durable.clock()) INTO delays FROM durable.waiting WHERE instance_id = 'refused';
        PERFORM durable.advance_clock('31 s');
        IF i = 3 THEN
            PERFORM durable.fetch_work('mail', lease => '1 ms');
            PERFORM durable.advance_clock('1 s');
        END IF;
    END LOOP;
    RAISE WARNING '%', (SELECT array_agg(date_trunc('second', d + interval '0.5 s') ORDER BY o) FROM unnest(delays) WITH ORDINALITY AS u (d, o));
END $$;
SELECT attempt, last_error FROM durable.waiting WHERE instance_id = 'refused';
SELECT regexp_replace(waiting_on, 'next try [^,]*', 'next try TIME') AS waiting_on FROM durable.instances WHERE instance_id = 'refused';
SELECT reason, detail FROM durable.stuck WHERE instance_id = 'refused';
SELECT ok, detail FROM durable.doctor() WHERE check_name = 'given_back';
INSERT INTO work SELECT * FROM durable.fetch_work('mail', lease => '1 minute');
SELECT lost, given_back FROM durable.leases;
-- a failure is an answer, and the next attempt begins anew
SELECT durable.fail_task(token, '"busy"') FROM work;
SELECT durable.advance_clock('10 minutes') IS NOT NULL;
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT lost, given_back FROM durable.leases;
SELECT durable.complete_tasks(array_agg(token)) FROM work;
CALL durable.drain();
SELECT ok FROM durable.doctor() WHERE check_name = 'given_back';
SELECT runtime_status FROM durable.status('released');

-- failures: the retry policy is the engine's
TRUNCATE work;
SELECT durable.start('app.calls', 'flaky', 'flaky');
CALL durable.drain();
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT durable.fail_task(token, '{"message": "busy", "sqlstate": "53300", "detail": "of many"}') FROM work;
SELECT durable.fail_task(token, '"repeated"') FROM work;
SELECT waiting_on ~ 'attempt 2.*last error: busy' FROM durable.status('flaky');
SELECT event_type, name FROM durable.history('flaky') WHERE event_type ~ 'Attempt';
SELECT count(*) FROM durable.fetch_work('mail');
SELECT durable.advance_clock('11 minutes') IS NOT NULL;
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT attempt FROM work;
SELECT durable.fail_task(token, '{"message": "gone", "sqlstate": "WF010"}', retryable => false) FROM work;
SELECT durable.fail_task(token, '"repeated"') FROM work;
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('flaky');
SELECT durable.start('app.calls', 'send_mail', 'fails');
CALL durable.drain();
SELECT durable.fail_task(token, '"no retries"') FROM durable.fetch_work('mail');
CALL durable.drain();
SELECT output FROM durable.status('fails');

-- a timeout fails the attempt, whether or not somebody fetches
SELECT durable.start('app.calls', 'slow', 'slow');
CALL durable.drain();
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail', lease => '1 hour');
SELECT leased_until - durable.clock() <= '1 minute' AS bounded FROM work;
SELECT durable.extend_lease(ARRAY[token], '1 hour') FROM work;
SELECT durable.advance_clock('61 s') IS NOT NULL;
SELECT durable.extend_lease(ARRAY[token], '1 hour') FROM work;
CALL durable.drain();
CALL durable.drain();
SELECT output FROM durable.status('slow');

-- termination makes leases worthless, suspension holds what is not out
SELECT durable.start('app.mails', 2, 'stopped');
CALL durable.drain();
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail');
SELECT durable.suspend('stopped');
CALL durable.drain();
SELECT count(*) FROM durable.fetch_work('mail');
SELECT durable.extend_lease(ARRAY[token]) FROM work;
SELECT durable.release_work(ARRAY[token]) FROM work;
SELECT count(*) FROM durable.fetch_work('mail');
SELECT durable.resume('stopped');
CALL durable.drain();
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail', max_tasks => 5);
SELECT count(*) FROM work;
SELECT durable.terminate('stopped');
CALL durable.drain();
SELECT durable.extend_lease(array_agg(token)), durable.complete_tasks(array_agg(token), on_stale => 'skip') FROM work;
SELECT count(*) FROM durable.leases;

-- durable.doctor finds a queue that nobody fetches from, and a task that loses its leases
SELECT check_name, ok FROM durable.doctor() WHERE check_name IN ('queues', 'leases');
SELECT durable.start('app.mails', 1, 'nobody');
CALL durable.drain();
SELECT durable.advance_clock('2 minutes') IS NOT NULL;
SELECT ok, detail ~ '^queue "mail" has contained activities for 1[23]. s, but no worker has leased any of them$' AS detail FROM durable.doctor() WHERE check_name = 'queues';
SELECT count(*) FROM durable.fetch_work('mail', 'crashes');
SELECT ok FROM durable.doctor() WHERE check_name = 'queues';
SELECT durable.advance_clock('1 minute') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('mail', 'crashes');
SELECT durable.advance_clock('1 minute') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('mail', 'crashes');
SELECT durable.advance_clock('1 minute') IS NOT NULL;
-- now it waits a while
SELECT count(*) FROM durable.fetch_work('mail', 'crashes');
SELECT delayed FROM durable.queues WHERE name = 'mail';
SELECT ok, detail FROM durable.doctor() WHERE check_name = 'leases';
SELECT durable.advance_clock('1 minute') IS NOT NULL;
SELECT durable.complete_tasks(array_agg(token)) FROM durable.fetch_work('mail', 'good');
SELECT ok FROM durable.doctor() WHERE check_name = 'leases';
CALL durable.drain();

-- names that a worker does not know are left for others
SELECT durable.start('app.calls', 'slow', 'known'), durable.start('app.mails', 1, 'unknown');
CALL durable.drain();
SELECT name FROM durable.fetch_work('mail', max_tasks => 5, names => '{send_mail}');
TRUNCATE work;
INSERT INTO work SELECT * FROM durable.fetch_work('mail', max_tasks => 5);
SELECT name FROM work;

-- nothing changes when something is wrong
SELECT durable.complete_tasks('{"","zzz"}');
SELECT durable.complete_tasks('{1-1-1-0000000000000001}');
SELECT durable.complete_tasks('{1-1-1-0000000000000001}', ARRAY['1', '2']::jsonb[]);
SELECT durable.complete_tasks(NULL);
SELECT durable.complete_tasks('{}');
SELECT durable.complete_tasks('{}', on_stale => 'perhaps');
SELECT durable.fail_task(token, NULL) FROM work;
SELECT durable.fail_task(token, '{"text": 1}') FROM work;
SELECT durable.fail_task(token, '{"message": "m", "sqlstate": "00000"}') FROM work;
SELECT durable.fail_task('x', '"no"');
SELECT durable.extend_lease(array_agg(token)) FROM work;
SELECT * FROM durable.fetch_work('nowhere');
SELECT * FROM durable.fetch_work('');
SELECT * FROM durable.fetch_work('mail', max_tasks => 0);
SELECT * FROM durable.fetch_work('mail', lease => '-1 s');
SELECT * FROM durable.fetch_work('mail', lease => '1 year');
SELECT durable.extend_lease('{1-1-1-0000000000000001}', '0');
SELECT durable.release_work('{1-1-1-0000000000000001}', '-1 s');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM durable.fetch_work('mail');
ROLLBACK;
SELECT durable.register_activity('x', execution => 'external');
SELECT durable.register_activity('x');
SELECT durable.register_activity('x', 'app.calls(text)', execution => 'external', queue => 'mail');
SELECT durable.register_activity('x', 'app.calls(text)', execution => 'inline', queue => 'mail');
SELECT kind, name, handler, execution, queue, priority, key FROM durable.registrations WHERE queue IS NOT NULL ORDER BY name;

-- a purge takes the tasks along
SELECT durable.terminate('known'), durable.terminate('unknown');
CALL durable.drain();
SELECT durable.purge(instance_id) FROM durable.instances;
SELECT count(*) FROM durable.queued_task;

-- an answer deletes the tasks; one row remembers it for all tasks of a fetch, until it is forgotten
TRUNCATE work;
SELECT durable.advance_clock('6 minutes') IS NOT NULL;
CALL durable.drain();
SELECT count(*) FROM durable.queued_answer;
SELECT durable.start('app.mails', 50, 'fifty'), durable.start('app.calls', 'send_mail'::text, 'fails');
CALL durable.drain();
INSERT INTO work SELECT * FROM durable.fetch_work('mail', max_tasks => 60);
SELECT durable.complete_tasks(array_agg(token)) FROM work WHERE instance_id = 'fifty';
SELECT durable.fail_task(token, '"no"') FROM work WHERE instance_id = 'fails';
SELECT count(*) FROM durable.queued_task;
SELECT answer, cardinality(ids) FROM durable.queued_answer ORDER BY answer;
-- repetitions: as before; the other answer is stale; so are tokens with another number
SELECT durable.complete_tasks(array_agg(token), on_stale => 'skip') FROM work;
SELECT durable.fail_tasks(array_agg(token), array_agg('"no"'::jsonb), on_stale => 'skip') FROM work;
SELECT durable.complete_tasks(array_agg(left(token, -1) || CASE right(token, 1) WHEN '0' THEN '1' ELSE '0' END), on_stale => 'skip') FROM work;
-- one call with a task twice, of which the second is a repetition
SELECT durable.start('app.mails', 1, 'twice');
CALL durable.drain();
SELECT durable.complete_tasks(ARRAY[token, token]) FROM durable.fetch_work('mail');
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances ORDER BY 1;
SELECT durable.advance_clock('6 minutes') IS NOT NULL;
CALL durable.drain();
SELECT count(*) FROM durable.queued_answer;
SELECT durable.complete_tasks(array_agg(token), on_stale => 'skip') FROM work;
SELECT durable.fail_tasks(array_agg(token), array_agg('"no"'::jsonb), on_stale => 'skip') FROM work;
