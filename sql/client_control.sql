--
-- durable.raise_event, terminate, suspend, resume: what an instance is told.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.approval(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('ApprovalTask'); END $$;
CREATE FUNCTION app.three(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    collected jsonb := '[]';
BEGIN
    FOR i IN 1..3 LOOP
        collected := collected || jsonb_build_array(durable.wait_for_external_event('Item'));
    END LOOP;
    RETURN collected;
END $$;
CREATE FUNCTION app.parent(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.call_sub_orchestrator('app.approval', input, 'child of ' || (input #>> '{}')); END $$;
CREATE VIEW app.brief AS
SELECT instance_id, runtime_status, waiting_on, output, failure FROM durable.instances;

-- an event before the first turn, of another case, with data of any type
SELECT durable.start('approval', NULL, 'early');
SELECT durable.raise_event('early', 'APPROVALTASK', ARRAY[1, 2]);
SELECT event, seq FROM durable.buffered_events;
CALL durable.drain();
TABLE app.brief;
SELECT durable.raise_event('early', 'ApprovalTask');

-- in the order they were raised; without data
SELECT durable.start('three', NULL, 'three');
CALL durable.drain();
SELECT durable.raise_event('three', 'Item', 1), durable.raise_event('three', 'Item'), durable.raise_event('three', 'Item', 'c');
CALL durable.drain();
SELECT output FROM durable.status('three');

-- part of the transaction
SELECT durable.start('approval', NULL, 'undecided');
CALL durable.drain();
BEGIN;
SELECT durable.raise_event('undecided', 'ApprovalTask', true);
ROLLBACK;
CALL durable.drain();
SELECT runtime_status, waiting_on FROM durable.status('undecided');
BEGIN;
SELECT durable.start('approval', NULL, 'all at once');
SELECT durable.raise_event('all at once', 'ApprovalTask', 'yes');
COMMIT;
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('all at once');

-- an event that nobody waits for is kept, and can be seen
SELECT durable.raise_event('undecided', 'ApprovaTask', 1);
CALL durable.drain();
SELECT instance_id, name, event, seq FROM durable.buffered_events;
SELECT ok, detail, hint FROM durable.doctor() WHERE check_name = 'buffered_events';

-- suspend and resume
SELECT durable.suspend('undecided', 'the boss is on holiday');
CALL durable.drain();
SELECT runtime_status, waiting_on FROM durable.status('undecided');
SELECT kind, detail FROM durable.waiting WHERE instance_id = 'undecided' ORDER BY kind;
SELECT durable.raise_event('undecided', 'ApprovalTask', 'later');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('undecided');
SELECT durable.suspend('undecided');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('undecided');
SELECT durable.resume('undecided', 'she is back');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('undecided');
SELECT seq, event_type, name, payload FROM durable.history('undecided');

-- resuming what is not suspended does nothing
SELECT durable.start('approval', NULL, 'running');
CALL durable.drain();
SELECT durable.resume('running');
CALL durable.drain();
SELECT runtime_status, waiting_on FROM durable.status('running');

-- terminate: running, not begun, suspended; with its children
SELECT durable.terminate('running', 'enough');
CALL durable.drain();
SELECT runtime_status, waiting_on, output, failure, completed_time IS NOT NULL AS has_end FROM durable.status('running');
SELECT event_type, payload FROM durable.history('running') WHERE event_type LIKE 'Execution%';
SELECT durable.start('approval', NULL, 'not begun');
SELECT durable.terminate('not begun');
CALL durable.drain();
SELECT runtime_status, failure FROM durable.status('not begun');
SELECT durable.start('approval', NULL, 'asleep');
SELECT durable.suspend('asleep');
CALL durable.drain();
SELECT durable.terminate('asleep');
CALL durable.drain();
SELECT runtime_status FROM durable.status('asleep');
SELECT durable.start('parent', 'Pat', 'the parent');
CALL durable.drain();
SELECT instance_id, runtime_status, waiting_on, parent_instance_id FROM durable.instances
WHERE instance_id IN ('the parent', 'child of Pat') ORDER BY 1;
SELECT durable.terminate('the parent', 'family matters');
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances
WHERE instance_id IN ('the parent', 'child of Pat') ORDER BY 1;

-- a message that came too late is dropped
SELECT durable.start('approval', NULL, 'late');
CALL durable.drain();
SELECT durable.raise_event('late', 'ApprovalTask', 1), durable.raise_event('late', 'ApprovalTask', 2), durable.terminate('late');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('late');

-- refused
SELECT durable.raise_event('nobody', 'ApprovalTask');
SELECT durable.raise_event(NULL, 'ApprovalTask');
SELECT durable.raise_event('', 'ApprovalTask');
SELECT durable.raise_event(repeat('x', 10000), 'ApprovalTask');
SELECT durable.raise_event(repeat('x', 300), 'ApprovalTask');
SELECT durable.raise_event('late', NULL);
SELECT durable.raise_event('late', '');
SELECT durable.raise_event('late', repeat('x', 1025));
SELECT durable.raise_event('late', 'ApprovalTask');
SELECT durable.terminate('late');
SELECT durable.suspend('late');
SELECT durable.resume('late');
SELECT durable.terminate('nobody');
SELECT durable.suspend('nobody');
SELECT durable.resume('nobody');
SELECT durable.start('approval', NULL, 'open');
SET durable.max_payload = '10kB';
SELECT durable.raise_event('open', 'ApprovalTask', repeat('x', 20000));
SELECT durable.terminate('open', repeat('x', 20000));
RESET durable.max_payload;
BEGIN READ ONLY;
SELECT durable.raise_event('open', 'ApprovalTask');
ROLLBACK;

-- the same words in an orchestration are refused, in an activity they are allowed
CREATE FUNCTION app.impatient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN PERFORM durable.raise_event('open', 'ApprovalTask'); RETURN NULL; END $$;
CREATE FUNCTION app.delegating(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.call_activity('app.approve', input); END $$;
CREATE FUNCTION app.approve(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN PERFORM durable.raise_event('open', 'ApprovalTask', input); RETURN '"approved"'; END $$;
SELECT durable.start('impatient', NULL, 'impatient'), durable.start('delegating', 'fine', 'delegating');
CALL durable.drain();
SELECT failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message, failure ->> 'hint' AS hint
FROM durable.status('impatient');
SELECT instance_id, runtime_status, output FROM durable.instances WHERE instance_id IN ('open', 'delegating') ORDER BY 1;
-- waiting is not for activities either
CREATE FUNCTION app.idle(input jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT to_jsonb(runtime_status) FROM durable.wait('running') $$;
CREATE FUNCTION app.idling(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.call_activity('app.idle'); END $$;
SELECT durable.start('idling', NULL, 'idling');
CALL durable.drain();
SELECT failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message, failure ->> 'hint' AS hint
FROM durable.status('idling');
SELECT runtime_status FROM durable.wait('running', '0');
SELECT count(*) AS messages_left FROM durable.inbox;
