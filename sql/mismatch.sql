--
-- Code that does not match the history of an instance: it is parked, nothing is
-- lost, and it goes on when the code is right again.  Instances keep the code that
-- they began with, so they are moved to the other code by force.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- Each case runs its first body until it waits, then its second, and then the first again.
CREATE TABLE cases (id text PRIMARY KEY, before text, after text);
INSERT INTO cases VALUES
    ('another name',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.call_activity(''twice'', 1);'),
    ('another kind',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.create_timer(durable.now());'),
    ('another event',
     'PERFORM durable.external_event(''one'');',
     'PERFORM durable.external_event(''two'');'),
    ('a timer no more',
     'PERFORM durable.create_timer(durable.now() + interval ''1 hour'');',
     'PERFORM durable.external_event(''one'');'),
    ('another sub-orchestration',
     'PERFORM durable.schedule_sub_orchestrator(''twice'', 1);',
     'PERFORM durable.schedule_sub_orchestrator(''thrice'', 1);'),
    ('another start',
     'PERFORM durable.start_orchestration(''twice'', 1);',
     'PERFORM durable.schedule_sub_orchestrator(''twice'', 1);'),
    ('another receiver''s event',
     'PERFORM durable.send_event(''nobody'', ''one'');',
     'PERFORM durable.send_event(''nobody'', ''two'');'),
    ('a log line instead',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.log(''x'');'),
    ('SQL instead',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.call_sql(''SELECT 1'');'),
    ('a call less',
     'PERFORM durable.call_activity(''effect'', id || '': 1''); PERFORM durable.call_activity(''effect'', id || '': 2'');',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');'),
    ('a call more in front',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.log(''x''); PERFORM durable.call_activity(''effect'', id || '': 1'');'),
    ('a call more in between',
     'PERFORM durable.call_activity(''effect'', id || '': 1''); PERFORM durable.call_activity(''effect'', id || '': 2'');',
     'PERFORM durable.call_activity(''effect'', id || '': 1''); PERFORM durable.log(''x''); PERFORM durable.call_activity(''effect'', id || '': 2'');'),
    ('the other way round',
     'PERFORM durable.schedule_activity(''effect'', id || '': 1''); PERFORM durable.external_event(''one'');',
     'PERFORM durable.external_event(''one''); PERFORM durable.schedule_activity(''effect'', id || '': 1'');'),
    ('returns early',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.call_activity(''effect'', id || '': 1''); RETURN ''early'';'),
    ('returns at once',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'RETURN ''at once'';'),
    ('fails early',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'RAISE EXCEPTION ''a bug'';'),
    ('waits early',
     'PERFORM durable.schedule_activity(''effect'', id || '': 1''); PERFORM durable.schedule_activity(''effect'', id || '': 2'');',
     'PERFORM durable.schedule_activity(''effect'', id || '': 1''); PERFORM durable.wait_for_external_event(''Go'');'),
    ('continues as new early',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.continue_as_new(id);'),
    ('a handler that swallows all',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'BEGIN PERFORM durable.call_activity(''twice'', 1); EXCEPTION WHEN query_canceled OR OTHERS THEN RETURN ''swallowed''; END;'),
    -- no call is the other one, so this is no mismatch: the input is not compared, and time and log lines may change
    ('another input',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.call_activity(''effect'', id || '': 1 changed'');'),
    ('another log line',
     'PERFORM durable.log(''one'');',
     'PERFORM durable.log(''two'');'),
    ('another case of the event',
     'PERFORM durable.external_event(''one'');',
     'PERFORM durable.external_event(''ONE'');'),
    ('a call more at the end',
     'PERFORM durable.call_activity(''effect'', id || '': 1'');',
     'PERFORM durable.call_activity(''effect'', id || '': 1''); PERFORM set_config(''my.thing'', ''1'', true), durable.uuid(), durable.now();');
CREATE FUNCTION thrice(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT 3 * n $$;
CREATE PROCEDURE define(which text) LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM cases LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION %I(id text) RETURNS text LANGUAGE plpgsql AS %L', 'o: ' || c.id,
            E'BEGIN\n    ' || CASE which WHEN 'before' THEN c.before ELSE c.after END ||
            E'\n    PERFORM durable.wait_for_external_event(''Go'');\n    PERFORM durable.call_activity(''effect'', id || '': end'');\n    RETURN ''end of '' || id;\nEND');
    END LOOP;
END $$;
CALL define('before');
SELECT count(durable.start(format('%I', 'o: ' || id), id, id)) FROM cases;
CALL durable.drain();
SELECT status, count(*) FROM run WHERE instance_id IN (SELECT id FROM cases) GROUP BY status;
CREATE TABLE histories AS
    SELECT c.id, count(*) AS events FROM cases c, LATERAL durable.history(c.id) GROUP BY c.id;

-- the code changes; only when something happens does anybody notice
CALL define('after');
SELECT count(durable.repin(id, force => true)) FROM cases;
CALL durable.drain();
SELECT status, count(*) FROM run WHERE instance_id IN (SELECT id FROM cases) GROUP BY status;
SELECT count(durable.raise_event(id, 'Go')) FROM cases;
CALL durable.drain();
SELECT r.instance_id, r.status, w.detail FROM run r LEFT JOIN durable.waiting w ON w.instance_id = r.instance_id AND w.kind = 'resume'
WHERE r.instance_id IN (SELECT id FROM cases) ORDER BY r.status DESC, r.instance_id COLLATE "C";

-- of the turn that did not match nothing is left but the event that caused it
SELECT c.id FROM cases c JOIN run r ON r.instance_id = c.id JOIN histories h ON h.id = c.id
WHERE r.status = 'Suspended' AND (SELECT count(*) FROM durable.history(c.id)) <> h.events + 1;
SELECT count(*) FROM effects WHERE what LIKE '%: end' AND NOT EXISTS
    (SELECT FROM run WHERE status = 'Completed' AND what = instance_id || ': end');

-- resumed with the wrong code still: parked again, for the same reason
SELECT count(durable.resume(instance_id)) FROM run WHERE status = 'Suspended';
CALL durable.drain();
SELECT status, count(*) FROM run WHERE instance_id IN (SELECT id FROM cases) GROUP BY status;

-- the code is as it was: all of them end
CALL define('before');
SELECT count(durable.repin(instance_id, force => true)) FROM run WHERE status = 'Suspended';
SELECT count(durable.resume(instance_id)) FROM run WHERE status = 'Suspended';
CALL durable.drain();
SELECT status, count(*) FROM run WHERE instance_id IN (SELECT id FROM cases) GROUP BY status;
SELECT c.id, r.output FROM cases c JOIN run r ON r.instance_id = c.id WHERE r.output IS DISTINCT FROM to_jsonb('end of ' || c.id);
-- each effect once
SELECT what, count(*) FROM effects GROUP BY what HAVING count(*) > 1;
SELECT count(*) FROM effects WHERE what LIKE '%: end';

-- the parked one is shown as such
CREATE FUNCTION shown() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.set_custom_status('"before"');
    PERFORM durable.call_activity('twice', 1);
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'end';
END $$;
SELECT durable.start('shown', NULL, 'shown');
CALL durable.drain();
CREATE OR REPLACE FUNCTION shown() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.set_custom_status('"after"');
    PERFORM durable.call_activity('thrice', 1);
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'end';
END $$;
SELECT durable.repin('shown', force => true);
SET client_min_messages TO log;
SET log_min_messages TO fatal;
SELECT durable.raise_event('shown', 'Go');
CALL durable.drain();
RESET client_min_messages;
RESET log_min_messages;
SELECT runtime_status, waiting_on, custom_status FROM durable.status('shown');
SELECT kind, detail, line FROM durable.waiting WHERE instance_id = 'shown' ORDER BY kind;
SELECT event, seq, received_at IS NOT NULL AS received FROM durable.buffered_events WHERE instance_id = 'shown';
-- it takes messages meanwhile, and can be ended
SELECT durable.raise_event('shown', 'Other', 1);
CALL durable.drain();
SELECT event FROM durable.buffered_events WHERE instance_id = 'shown' ORDER BY seq;
SELECT durable.terminate('shown', 'hopeless');
CALL durable.drain();
SELECT runtime_status, failure FROM durable.status('shown');

-- the function goes with its schema: parked; made again: goes on
CREATE SCHEMA going;
CREATE FUNCTION going.gone(x integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'end';
END $$;
SELECT durable.start('going.gone', 1, 'gone'), durable.start('going.gone', 1, 'gone before it starts', start_at => clock_timestamp() + interval '1 hour');
CALL durable.drain();
DROP SCHEMA going CASCADE;
SELECT durable.raise_event('gone', 'Go');
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, detail FROM durable.waiting WHERE instance_id LIKE 'gone%' AND kind = 'resume' ORDER BY 1;
-- another argument list is another function
CREATE SCHEMA going;
CREATE FUNCTION going.gone(x text) RETURNS text LANGUAGE sql AS $$ SELECT 'the wrong one' $$;
SELECT durable.resume('gone');
CALL durable.drain();
SELECT detail FROM durable.waiting WHERE instance_id = 'gone' AND kind = 'resume';
CREATE FUNCTION going.gone(x integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'end';
END $$;
SELECT durable.resume('gone'), durable.resume('gone before it starts');
CALL durable.drain();
SELECT instance_id, status, waiting_on, output FROM run WHERE instance_id LIKE 'gone%' ORDER BY 1;

-- the schema is renamed
CREATE SCHEMA moving;
CREATE FUNCTION moving.on() RETURNS text LANGUAGE sql AS $$ SELECT durable.sleep('1 hour'); SELECT 'end'::text; $$;
SELECT durable.start('moving.on', NULL, 'moving');
CALL durable.drain();
ALTER SCHEMA moving RENAME TO moved;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT detail FROM durable.waiting WHERE instance_id = 'moving' AND kind = 'resume';
ALTER SCHEMA moved RENAME TO moving;
SELECT durable.resume('moving');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'moving';

-- an activity that is gone suspends the instance, which goes on when it is there again
CREATE FUNCTION passing(what text) RETURNS text LANGUAGE sql AS $$ SELECT what $$;
SELECT durable.register_activity('Passing', 'passing(text)', execution => 'task');
CREATE FUNCTION calls_passing() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('Passing', 'x');
EXCEPTION WHEN undefined_function THEN
    RETURN to_jsonb('not to be handled: ' || SQLERRM);
END $$;
DROP FUNCTION passing(text);
SELECT durable.start('calls_passing', NULL, 'calls_passing');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'calls_passing';
SELECT detail FROM durable.waiting WHERE instance_id = 'calls_passing' AND kind = 'resume';
CREATE FUNCTION passing(what text) RETURNS text LANGUAGE sql AS $$ SELECT 'back with ' || what $$;
SELECT durable.resume('calls_passing');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'calls_passing';
