-- Orchestrations that go straight through are run in one turn, with their
-- activities within it; whatever else they do, nothing of that attempt is left.
CREATE SCHEMA s;
SET search_path = s, public;
CREATE TABLE effect (n int, step text);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);

CREATE FUNCTION act(n int, step text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO s.effect VALUES (n, step);
    RETURN step;
END $$;
CREATE FUNCTION fail(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO s.effect VALUES (n, 'fail');
    RAISE EXCEPTION 'no %', n USING ERRCODE = '22012';
END $$;
CREATE FUNCTION orphan(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO s.child VALUES (n, 1000 + n);
    RETURN n;
END $$;
CREATE FUNCTION nested(n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('s.act', '[1, "nested"]'::jsonb);
    RETURN 'not refused';
EXCEPTION WHEN sqlstate 'WF005' THEN
    RETURN 'refused';
END $$;
SELECT durable.register_activity(name, handler::regprocedure, execution => 'inline')
FROM (VALUES ('s.act', 's.act(int, text)'), ('s.fail', 's.fail(int)'),
             ('s.orphan', 's.orphan(int)'), ('s.nested', 's.nested(int)')) v(name, handler);

-- What it does depends on its input, so that it can go straight first and then not.
CREATE FUNCTION flow(n int, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r jsonb;
BEGIN
    r := durable.call_activity('s.act', jsonb_build_array(n, 'first'));
    PERFORM durable.call_activity('s.act', jsonb_build_array(n, 'second'));
    PERFORM durable.log(format('flow %s: %s', n, what));
    CASE what
        WHEN 'straight' THEN NULL;
        WHEN 'wait' THEN PERFORM durable.wait_for_external_event('go');
        WHEN 'sleep' THEN PERFORM durable.sleep('1 hour');
        WHEN 'fail' THEN PERFORM durable.call_activity('s.fail', n);
        WHEN 'catch' THEN
            BEGIN
                PERFORM durable.call_activity('s.fail', n);
            EXCEPTION WHEN division_by_zero THEN
                RETURN 'caught ' || SQLERRM;
            END;
        WHEN 'raise' THEN RAISE EXCEPTION 'raised %', n;
        WHEN 'orphan' THEN PERFORM durable.call_activity('s.orphan', n);
        WHEN 'write' THEN INSERT INTO s.effect VALUES (n, 'by the orchestration');
        WHEN 'nested' THEN RETURN durable.call_activity('s.nested', n) #>> '{}';
        WHEN 'detach' THEN PERFORM durable.schedule_activity('s.act', jsonb_build_array(n, 'detached'));
        WHEN 'child' THEN PERFORM durable.start_orchestration('s.flow', jsonb_build_array(100 + n, 'straight'), 'child of ' || n);
        WHEN 'status' THEN PERFORM durable.set_custom_status(to_jsonb('done by ' || n));
    END CASE;
    RETURN r #>> '{}';
END $$;

-- After three runs turn by turn it goes straight: one turn.
SELECT count(durable.start('s.flow', jsonb_build_array(i, 'straight'), 'straight ' || i)) FROM generate_series(1, 6) i;
CALL durable.drain();
SELECT instance_id, runtime_status, turns, output FROM durable.instances ORDER BY instance_id COLLATE "C";
-- The history is that of any other run.
SELECT count(*) AS histories_alike FROM (
    SELECT array_agg((event_type, task, name) ORDER BY seq) FROM generate_series(1, 6) i, durable.history('straight ' || i) GROUP BY i
) h(events) GROUP BY events;
SELECT step, count(*), count(DISTINCT n) FROM effect GROUP BY step ORDER BY step;

-- A function that waited in vain is not tried again, so each case gets one of its own.
CREATE FUNCTION run_case(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FUNCTION s.%I(n int, what text) RETURNS text LANGUAGE plpgsql AS %L',
                   'flow_' || what, (SELECT prosrc FROM pg_proc WHERE oid = 's.flow'::regproc));
    TRUNCATE s.effect;
    PERFORM durable.start('s.flow_' || what, jsonb_build_array(i, 'straight'), what || ' ' || i) FROM generate_series(1, 4) i;
    RETURN durable.start('s.flow_' || what, jsonb_build_array(5, what), what || ' 5');
END $$;
CREATE FUNCTION shown(what text) RETURNS TABLE (status text, turns int, output jsonb, failure text, steps text, custom jsonb)
LANGUAGE sql AS $$
    SELECT i.runtime_status, i.turns, i.output, i.failure ->> 'message',
           (SELECT string_agg(step || ' x' || c, ', ' ORDER BY step)
            FROM (SELECT step, count(*) AS c FROM s.effect WHERE n IN (5, 105) GROUP BY step) e), i.custom_status
    FROM durable.instances i WHERE instance_id = what || ' 5'
$$;

SELECT run_case('wait');
CALL durable.drain();
SELECT * FROM shown('wait');
SELECT durable.raise_event('wait 5', 'go');
CALL durable.drain();
SELECT * FROM shown('wait');
SELECT run_case('fail');
CALL durable.drain();
SELECT * FROM shown('fail');
SELECT run_case('catch');
CALL durable.drain();
SELECT * FROM shown('catch');
SELECT run_case('raise');
CALL durable.drain();
SELECT * FROM shown('raise');
SELECT run_case('orphan');
CALL durable.drain();
SELECT * FROM shown('orphan');
SELECT count(*) AS orphans FROM child;
SELECT run_case('write');
CALL durable.drain();
SELECT * FROM shown('write');
SELECT run_case('nested');
CALL durable.drain();
SELECT * FROM shown('nested');
SELECT run_case('detach');
CALL durable.drain();
SELECT * FROM shown('detach');
SELECT run_case('child');
CALL durable.drain();
SELECT * FROM shown('child');
SELECT run_case('status');
CALL durable.drain();
SELECT * FROM shown('status');
SELECT run_case('sleep');
CALL durable.drain();
SELECT * FROM shown('sleep');
SELECT durable.advance_clock('2 hours') > now() AS later;
CALL durable.drain();
SELECT * FROM shown('sleep');

-- Log lines are recorded once.
SELECT instance_id, count(*) FROM durable.instances i, durable.history(i.instance_id) h
WHERE h.event_type = 'LogWritten' GROUP BY instance_id HAVING count(*) <> 1;
