--
-- Sub-orchestrations and orchestrations that are started and left alone.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('effect', 'effect(text)', execution => 'inline');
CREATE VIEW family AS
    SELECT instance_id, name, runtime_status AS status, parent_instance_id AS parent, output, failure - 'context' AS failure
    FROM durable.instances ORDER BY instance_id COLLATE "C";

-- output, failure, who is whose parent; ids are made from the parent's and the number of the call
CREATE FUNCTION child(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('effect', 'child ' || n);
    IF n < 0 THEN
        RAISE EXCEPTION 'negative: %', n USING ERRCODE = 'XN001', DETAIL = 'Not a natural number.', HINT = 'Use a larger one.';
    END IF;
    RETURN jsonb_build_array(n, durable.instance_id(), durable.parent_instance_id());
END $$;
CREATE FUNCTION parent() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
    a durable.task; b durable.task;
BEGIN
    PERFORM durable.log('the first call is no child');
    told := told || jsonb_build_array(durable.call_sub_orchestrator('child', 1));
    told := told || jsonb_build_array(durable.call_sub_orchestrator('child', 2, 'an id of its own'));
    told := told || jsonb_build_array(durable.call_sub_orchestrator(name => 'app.child', input => 3));
    a := durable.schedule_sub_orchestrator('child', 4);
    b := durable.schedule_sub_orchestrator('child', 5, instance_id => durable.instance_id() || '/five');
    told := told || to_jsonb(durable.when_all(b, a));
    BEGIN
        PERFORM durable.call_sub_orchestrator('child', -1);
    EXCEPTION WHEN SQLSTATE 'XN001' THEN
        told := told || to_jsonb(SQLERRM);
    END;
    BEGIN
        PERFORM durable.call_sub_orchestrator('child', 6, 'an id of its own');
    EXCEPTION WHEN SQLSTATE 'WF002' THEN
        told := told || to_jsonb(SQLERRM);
    END;
    RETURN told || jsonb_build_array(durable.parent_instance_id());
END $$;
SELECT durable.start('parent', NULL, 'parent');
CALL durable.drain();
SELECT jsonb_array_elements(output) FROM family WHERE instance_id = 'parent';
SELECT * FROM family WHERE instance_id <> 'parent';
SELECT what, count(*) FROM effects GROUP BY what ORDER BY what;
SELECT event, task, name, payload FROM story('parent') WHERE event LIKE 'Sub%';
SELECT detail FROM durable.history('parent') WHERE event_type = 'SubOrchestrationInstanceCreated';

-- the parent fails with what the child failed with
CREATE FUNCTION fails_with_child() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_sub_orchestrator('child', -2) $$;
SELECT durable.start('fails_with_child', NULL, 'fails');
CALL durable.drain();
SELECT * FROM family WHERE instance_id LIKE 'fails%';

-- an id that somebody else's instance has, finished or not; one's own
SELECT durable.start('parent', NULL, 'taken');
CALL durable.drain();
SELECT status, failure FROM family WHERE instance_id = 'taken';
CREATE FUNCTION own_id() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_sub_orchestrator('child', 1, durable.instance_id()) $$;
SELECT durable.start('own_id', NULL, 'own');
CALL durable.drain();
SELECT * FROM family WHERE instance_id LIKE 'own%';

-- deep: each calls one more
CREATE FUNCTION deep(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF n = 0 THEN
        RETURN to_jsonb(length(durable.instance_id()));
    END IF;
    RETURN durable.call_sub_orchestrator('deep', n - 1);
END $$;
SELECT durable.start('deep', 100, 'd');
CALL durable.drain();
SELECT status, output FROM family WHERE instance_id = 'd';
SELECT count(*), count(*) FILTER (WHERE status = 'Completed') AS completed FROM family WHERE name = 'app.deep';
-- until the ids get too long, which is said
SELECT durable.start('deep', 600, 'e');
CALL durable.drain();
SELECT status, failure FROM family WHERE instance_id = 'e';

-- wide
CREATE FUNCTION wide(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
    total integer := 0;
    r jsonb;
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.schedule_sub_orchestrator('child', i);
    END LOOP;
    FOREACH r IN ARRAY durable.when_all(VARIADIC tasks) LOOP
        total := total + (r -> 0)::integer;
    END LOOP;
    RETURN to_jsonb(total);
END $$;
SELECT durable.start('wide', 200, 'wide');
CALL durable.drain();
SELECT status, output FROM family WHERE instance_id = 'wide';

-- the view of what is waited for
CREATE FUNCTION patient_child() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.wait_for_external_event('Go') $$;
CREATE FUNCTION patient() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sub_orchestrator('patient_child');
EXCEPTION WHEN OTHERS THEN
    RETURN jsonb_build_array(SQLSTATE, SQLERRM);
END $$;
CREATE FUNCTION grandparent() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_sub_orchestrator('patient', NULL, durable.instance_id() || '-child') $$;
SELECT durable.start('patient', NULL, 'patient');
CALL durable.drain();
SELECT instance_id, kind, detail FROM durable.waiting ORDER BY 1;
SELECT durable.raise_event(instance_id, 'Go', 'gone') FROM durable.instances WHERE parent_instance_id = 'patient';
CALL durable.drain();
SELECT * FROM family WHERE instance_id LIKE 'patient%';

-- terminate reaches children and their children, and activities that are queued; not what was started detached
CREATE FUNCTION starts_detached() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.start_orchestration('patient_child', NULL, 'detached');
    PERFORM durable.schedule_activity('fail', '["P0001", "no"]'::jsonb, retry => durable.retry(first_interval => '1 hour'));
    PERFORM durable.schedule_sub_orchestrator('grandparent', NULL, 'middle');
    RETURN durable.wait_for_external_event('Go');
END $$;
SELECT durable.start('starts_detached', NULL, 'top');
CALL durable.drain();
SELECT instance_id, status, parent FROM family WHERE status = 'Running';
SELECT count(*) AS tasks FROM durable.task_queue;
SELECT durable.suspend('middle-child');
CALL durable.drain();
SELECT durable.terminate('top', 'all of you');
CALL durable.drain();
SELECT instance_id, status, failure FROM family WHERE instance_id ~ '^(top|middle|detached)';
SELECT count(*) AS tasks FROM durable.task_queue;
SELECT durable.raise_event('detached', 'Go');
CALL durable.drain();
SELECT status FROM family WHERE instance_id = 'detached';

-- a child that is terminated is a failure of the call, which OTHERS catches
SELECT durable.start('patient', NULL, 'bereaved');
CALL durable.drain();
SELECT durable.terminate(instance_id, 'because') FROM durable.instances WHERE parent_instance_id = 'bereaved';
CALL durable.drain();
SELECT status, output, failure FROM family WHERE instance_id LIKE 'bereaved%';

-- and the parent learns the reason
CREATE FUNCTION bereft() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_sub_orchestrator('patient_child', NULL, 'departed') $$;
SELECT durable.start('bereft', NULL, 'bereft');
CALL durable.drain();
SELECT durable.terminate('departed', 'it was time');
CALL durable.drain();
SELECT status, failure FROM family WHERE instance_id = 'bereft';

-- a parent that has ended, or goes on without: the child's answer is for nobody, and it goes with its parent
CREATE FUNCTION leaves_behind(fails boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.schedule_sub_orchestrator('grandparent', NULL, 'left by ' || durable.instance_id());
    PERFORM durable.schedule_sub_orchestrator('child', 1, 'ended in ' || durable.instance_id());
    PERFORM durable.sleep('1 minute');
    IF fails THEN
        RAISE EXCEPTION 'early';
    END IF;
    RETURN 'left';
END $$;
SELECT durable.start('leaves_behind', false, 'one who completes'), durable.start('leaves_behind', true, 'one who fails');
CALL durable.drain();
SELECT count(*) FROM family WHERE instance_id ~ 'one who' AND status = 'Running';
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT regexp_replace(instance_id, '-[0-9a-z]+$', '') AS id, status, failure FROM family WHERE instance_id ~ 'one who' ORDER BY 1;
-- but not when it is to be abandoned, however the parent ends; a policy that is not known
CREATE FUNCTION refuses_policy() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
    policy text;
BEGIN
    FOREACH policy IN ARRAY '{leave,NULL,Terminate}'::text[] LOOP
        BEGIN
            PERFORM durable.schedule_sub_orchestrator('child', 1, close_policy => policy);
        EXCEPTION WHEN invalid_parameter_value THEN
            told := told || to_jsonb(SQLERRM);
        END;
    END LOOP;
    RETURN told;
END $$;
SELECT durable.start('refuses_policy', NULL, 'refuses_policy');
CALL durable.drain();
SELECT output FROM family WHERE instance_id = 'refuses_policy';
CREATE FUNCTION leaves_child() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.schedule_sub_orchestrator('patient_child', NULL, 'orphan of ' || durable.instance_id(), close_policy => 'abandon');
    IF durable.instance_id() = 'is terminated' THEN
        PERFORM durable.sleep('1 hour');
    END IF;
    IF durable.instance_id() = 'fails early' THEN
        RAISE EXCEPTION 'early';
    END IF;
    RETURN 'left';
END $$;
SELECT durable.start('leaves_child', NULL, 'leaves'), durable.start('leaves_child', NULL, 'fails early'), durable.start('leaves_child', NULL, 'is terminated');
CALL durable.drain();
SELECT durable.terminate('is terminated');
CALL durable.drain();
SELECT instance_id, status, parent FROM family WHERE instance_id ~ 'leaves|fails early|is terminated';
SELECT durable.raise_event('orphan of leaves', 'Go'), durable.terminate('orphan of fails early'), durable.terminate('orphan of is terminated');
SELECT durable.purge('leaves');
CALL durable.drain();
SELECT instance_id, status, parent FROM family WHERE instance_id ~ 'leaves|fails early';
SELECT count(*) AS messages FROM durable.inbox;

-- detached: ids are made, or one's own; one that is taken is left alone; the id is the same in each replay
CREATE FUNCTION starter() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a text := durable.start_orchestration('child', 10);
    b text := durable.start_orchestration('child', 11, 'eleven');
    c text := durable.start_orchestration('child', 12, 'eleven');
BEGIN
    PERFORM durable.call_activity('effect', 'started ' || a);
    PERFORM durable.sleep('1 hour');
    PERFORM durable.call_activity('effect', 'started ' || a);
    RETURN jsonb_build_array(a ~ '^[0-9a-f]{32}$', b, c, a <> durable.start_orchestration('child', 13));
END $$;
SET client_min_messages TO log;
SET log_min_messages TO fatal;
SELECT durable.start('starter', NULL, 'starter');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
RESET client_min_messages;
RESET log_min_messages;
SELECT status, output FROM family WHERE instance_id = 'starter';
SELECT CASE WHEN length(instance_id) = 32 THEN 'made' ELSE instance_id END AS id, status, parent, output -> 0 AS n
FROM family WHERE parent IS NULL AND (output -> 0)::text IN ('10', '11', '12', '13') ORDER BY n;
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'started%';

-- registered: name, version and all
SELECT durable.register_orchestration('Child', 'child(integer)', version => '2');
CREATE FUNCTION by_name() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.start_orchestration('Child', 20, 'detached by name');
    RETURN durable.call_sub_orchestrator('Child', 21, 'child by name');
END $$;
SELECT durable.start('by_name', NULL, 'by_name');
CALL durable.drain();
SELECT instance_id, name, version, runtime_status FROM durable.instances WHERE instance_id LIKE '%by name' ORDER BY 1;

-- cancel(): a child that waits, with a retry policy that does not count; one that has answered; what cannot be canceled
CREATE FUNCTION waits_long() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.sleep('1 day');
    RETURN 'slept';
END $$;
CREATE FUNCTION cancels() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    slow durable.task := durable.schedule_sub_orchestrator('waits_long', retry => durable.retry(5, '1 s'));
    quick durable.task := durable.schedule_sub_orchestrator('child', 30);
    work durable.task := durable.schedule_activity('effect', 'not to be canceled');
    answer jsonb := durable.result(quick);
    state text;
    detail text;
    refused text;
BEGIN
    PERFORM durable.cancel(quick, 'too late');
    PERFORM durable.cancel(slow, 'no longer needed');
    PERFORM durable.cancel(slow);
    BEGIN
        PERFORM durable.cancel(work);
    EXCEPTION WHEN wrong_object_type THEN
        refused := SQLERRM;
    END;
    BEGIN
        PERFORM durable.result(slow);
    EXCEPTION WHEN SQLSTATE 'WF004' THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
    END;
    PERFORM durable.result(work);
    RETURN jsonb_build_object('quick', answer -> 0, 'state', state, 'detail', detail, 'refused', refused);
END $$;
SELECT durable.start('cancels', NULL, 'canceler');
CALL durable.drain();
SELECT runtime_status, output, failure FROM durable.instances WHERE instance_id = 'canceler';
SELECT runtime_status, failure ->> 'message' AS message FROM durable.instances WHERE parent_instance_id = 'canceler' ORDER BY created_time, runtime_status;
SELECT event_type, payload, detail FROM durable.history('canceler') WHERE event_type LIKE '%Cancel%';

SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
