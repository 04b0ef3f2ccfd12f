--
-- durable.rewind: only what has failed runs again.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE TABLE app.ran (id bigint GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE app.broken (what text);
CREATE FUNCTION app.act(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.ran (what) VALUES (what);
    IF EXISTS (SELECT FROM app.broken b WHERE b.what = act.what) THEN
        RAISE unique_violation USING MESSAGE = what || ' is broken';
    END IF;
    RETURN upper(what);
END $$;
CREATE FUNCTION app.level(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := durable.call_activity('app.act', 'before ' || n);
    tasks durable.task[] := ARRAY[durable.schedule_activity('app.act', 'left ' || n), durable.schedule_activity('app.act', 'right ' || n)];
    below jsonb;
BEGIN
    IF n > 1 THEN
        tasks := tasks || durable.schedule_sub_orchestrator('app.level', n - 1, 'level ' || n - 1);
    END IF;
    below := to_jsonb(durable.when_all(VARIADIC tasks));
    RETURN jsonb_build_array(before, below, durable.call_activity('app.act', 'after ' || n));
END $$;
CREATE VIEW app.states AS
SELECT instance_id, runtime_status, failure ->> 'message' AS message, completed_time IS NOT NULL AS has_ended FROM durable.instances ORDER BY 1;
CREATE FUNCTION app.run_times() RETURNS TABLE (what text, times bigint) LANGUAGE sql AS $$
    SELECT what, count(*) FROM app.ran GROUP BY what ORDER BY what $$;

-- effects of a failed activity are rolled back, so what is in ran has completed
INSERT INTO app.broken VALUES ('left 1'), ('right 3');
SELECT durable.start('level', 3, 'level 3');
CALL durable.drain();
TABLE app.states;
SELECT * FROM app.run_times();

-- while it is still broken it fails again
SELECT durable.rewind('level 3', 'a try');
CALL durable.drain();
TABLE app.states;
SELECT status, count(*) FROM durable.finished GROUP BY 1;

-- mended: only what had failed is run, on all levels
DELETE FROM app.broken;
SELECT durable.rewind('level 3', 'mended');
CALL durable.drain();
TABLE app.states;
SELECT output FROM durable.status('level 3');
SELECT * FROM app.run_times();
SELECT seq, event_type, task, CASE jsonb_typeof(payload) WHEN 'object' THEN payload - 'context' ELSE payload END AS payload, detail FROM durable.history('level 1')
WHERE event_type NOT IN ('ExecutionStarted', 'TaskScheduled') ORDER BY seq;
SELECT task, kind, name, state FROM durable.calls('level 1');
SELECT status, count(*) FROM durable.finished GROUP BY 1;

-- an error of the orchestration's own code: the last turn is run again
TRUNCATE app.ran;
CREATE FUNCTION app.buggy(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('app.act', 'once');
    RETURN 1 / n;
END $$;
SELECT durable.start('buggy', 0, 'buggy');
CALL durable.drain();
SELECT runtime_status, failure ->> 'message' FROM durable.status('buggy');
CREATE OR REPLACE FUNCTION app.buggy(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('app.act', 'once');
    RETURN 1 / (n + 1);
END $$;
SELECT durable.rewind('buggy');
CALL durable.drain();
SELECT runtime_status, output, failure FROM durable.status('buggy');
SELECT * FROM app.run_times();

-- timers that were open fire, and a child that was purged is started again
CREATE FUNCTION app.timed(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    timer durable.task := durable.create_timer(durable.now() + '1 hour');
    child durable.task := durable.schedule_sub_orchestrator('app.buggy', -1, 'the child');
BEGIN
    PERFORM durable.result(child);
    PERFORM durable.result(timer);
    RETURN '"both"';
END $$;
SELECT durable.start('timed', 1, 'timed');
CALL durable.drain();
SELECT runtime_status FROM durable.status('timed');
SELECT count(*) FROM durable.timer;
SELECT durable.purge('the child');
CREATE OR REPLACE FUNCTION app.buggy(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN n; END $$;
SELECT durable.rewind('timed');
CALL durable.drain();
SELECT runtime_status, waiting_on LIKE 'timer %' AS on_timer FROM durable.status('timed');
SELECT runtime_status, parent_instance_id, output FROM durable.status('the child');
SELECT count(durable.advance_clock('2 hours'));
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('timed');

-- what was running when it failed counts when it comes
CREATE FUNCTION app.hasty(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    slow durable.task := durable.schedule_sub_orchestrator('app.patient', 1, 'slow', close_policy => 'abandon');
    quick durable.task := durable.schedule_activity('app.act', 'quick');
BEGIN
    PERFORM durable.result(quick);
    RETURN durable.result(slow);
END $$;
CREATE FUNCTION app.patient(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
INSERT INTO app.broken VALUES ('quick');
SELECT durable.start('hasty', 1, 'hasty');
CALL durable.drain();
SELECT durable.raise_event('slow', 'Go', 'late answer');
CALL durable.drain();
SELECT instance_id, runtime_status, output, failure ->> 'message' AS message, completed_time IS NOT NULL AS ended
FROM durable.instances WHERE instance_id IN ('hasty', 'slow') ORDER BY 1;
SELECT count(*) FROM durable.finished JOIN durable.instance USING (key) WHERE instance_id = 'hasty';
DELETE FROM app.broken;
SELECT durable.rewind('hasty');
CALL durable.drain();
SELECT runtime_status, output, failure FROM durable.status('hasty');

-- a child that was terminated because its parent failed is started again
CREATE FUNCTION app.hasty_2(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    slow durable.task := durable.schedule_sub_orchestrator('app.patient', 1, 'slow 2');
    quick durable.task := durable.schedule_activity('app.act', 'quick');
BEGIN
    PERFORM durable.result(quick);
    RETURN durable.result(slow);
END $$;
INSERT INTO app.broken VALUES ('quick');
SELECT durable.start('hasty_2', 1, 'hasty 2');
CALL durable.drain();
DELETE FROM app.broken;
SELECT durable.rewind('hasty 2');
CALL durable.drain();
SELECT runtime_status, parent_instance_id, failure FROM durable.instances WHERE name = 'app.patient' AND parent_instance_id = 'hasty 2' ORDER BY created_time;
SELECT count(durable.raise_event(instance_id, 'Go', 'again'::text)) FROM durable.instances
WHERE parent_instance_id = 'hasty 2' AND runtime_status = 'Running';
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('hasty 2');

-- an event that was sent before the failure and came after it counts, too
CREATE FUNCTION app.late(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('app.act', 'late');
    RETURN durable.wait_for_external_event('Go');
END $$;
INSERT INTO app.broken VALUES ('late');
SELECT durable.start('late', 1, 'late');
CALL durable.drain();
INSERT INTO durable.inbox (id, owner, key, kind, name, payload, sent_at)
SELECT nextval('durable.inbox_id_seq'), owner, key, 'e', 'Go', to_jsonb(n), now() FROM durable.instance, generate_series(1, 2) n WHERE instance_id = 'late';
CALL durable.drain();
SELECT runtime_status, dropped_events FROM durable.status('late');
DELETE FROM app.broken;
SELECT durable.rewind('late');
CALL durable.drain();
SELECT runtime_status, output, dropped_events FROM durable.status('late');

-- in bulk: by name and time, children with their parents
INSERT INTO app.broken VALUES ('before 1'), ('before 2');
SELECT durable.start('level', 1, 'old');
CALL durable.drain();
SELECT count(durable.advance_clock('1 day'));
SELECT count(durable.start('level', 1, 'new ' || n)) FROM generate_series(1, 5) n;
SELECT count(durable.start('act', 'before 1'::text, 'other ' || n)) FROM generate_series(1, 2) n;
CALL durable.drain();
SELECT runtime_status, count(*) FROM durable.instances WHERE instance_id ~ '^(new|old|other)' GROUP BY 1;
DELETE FROM app.broken;
BEGIN;
SELECT durable.rewind_all();
ROLLBACK;
CALL durable.drain();
SELECT runtime_status, count(*) FROM durable.instances WHERE instance_id ~ '^(new|old|other)' GROUP BY 1;
SELECT durable.rewind_all('app.level', durable.clock() - interval '1 hour', 'the disk is back');
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances WHERE instance_id ~ '^(new|old|other)' ORDER BY 1;
SELECT durable.rewind_all('none');
SELECT durable.rewind_all(failed_since => 'infinity');
SELECT durable.rewind_all(failed_since => '-infinity');
CALL durable.drain();
SELECT runtime_status, count(*) FROM durable.instances GROUP BY 1 ORDER BY 1;

-- twice in one go is once
INSERT INTO app.broken VALUES ('twice');
CREATE FUNCTION app.call_it(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('app.act', 'twice'); END $$;
SELECT durable.start('call_it', 1, 'twice');
CALL durable.drain();
DELETE FROM app.broken;
SELECT durable.rewind('twice'), durable.rewind('twice');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('twice');
SELECT * FROM app.run_times() WHERE what = 'twice';

-- refused
SELECT durable.rewind('twice');
SELECT durable.start('patient', 1, 'waits');
CALL durable.drain();
SELECT durable.rewind('waits');
SELECT durable.rewind('nobody');
SELECT durable.rewind(NULL);
SELECT durable.rewind('');
CREATE ROLE regress_rewind_other;
SELECT durable.grant_usage('regress_rewind_other');
INSERT INTO app.broken VALUES ('before 1');
SELECT durable.start('level', 1, 'fails');
CALL durable.drain();
SET ROLE regress_rewind_other;
SELECT durable.rewind('fails');
SELECT durable.rewind_all();
RESET ROLE;
SET durable.max_payload = 1;
SELECT durable.rewind('fails', repeat('x', 2000));
RESET durable.max_payload;
SELECT durable.revoke_usage('regress_rewind_other');
DROP ROLE regress_rewind_other;
