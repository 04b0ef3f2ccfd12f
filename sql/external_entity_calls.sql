--
-- External orchestrations call, signal and lock entities, in SQL and external ones.
--
\set ECHO none
SET client_min_messages = warning;
SET timezone = 'UTC';
\set ECHO all
CREATE SCHEMA app;
CREATE FUNCTION app.account(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
DECLARE
    balance integer := coalesce(state::integer, 0);
BEGIN
    IF operation = 'deposit' THEN
        balance := balance + input::integer;
    ELSIF operation = 'withdraw' THEN
        balance := balance - input::integer;
        IF balance < 0 THEN
            RAISE EXCEPTION 'not enough' USING ERRCODE = 'AC001';
        END IF;
    END IF;
    RETURN ROW(to_jsonb(balance), jsonb_build_object('balance', balance))::durable.entity_result;
END $$;
SELECT durable.register_entity('account', 'app.account(jsonb,text,jsonb)');
SELECT durable.register_orchestration('Flow', execution => 'external', queue => 'app');
CREATE FUNCTION app.shown(events jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', e ->> 'type', '#' || nullif(e ->> 'event_id', '-1'), '->' || (e ->> 'task_id'), e ->> 'name', '[' || (e ->> 'request_id') || ']',
                                e ->> 'instance_id', '<' || (e ->> 'input') || '>', e ->> 'lock_set', e -> 'failure' ->> 'sqlstate', e -> 'failure' ->> 'message'), E'\n' ORDER BY o)
    FROM jsonb_array_elements(events) WITH ORDINALITY AS j (e, o) WHERE e ->> 'type' NOT IN ('OrchestratorStarted', 'ExecutionStarted')
$$;
CREATE TABLE turns (n serial, t durable.turn);
CREATE PROCEDURE app.fetch() LANGUAGE plpgsql AS $$
BEGIN
    CALL durable.drain();
    INSERT INTO turns (t) SELECT f FROM durable.fetch_turns('app', 'worker', 10) f;
END $$;
CREATE FUNCTION app.done(instance text, VARIADIC actions jsonb[]) RETURNS void LANGUAGE sql AS $$
    SELECT durable.complete_turn((SELECT (t).token FROM turns WHERE (t).instance_id = instance ORDER BY n DESC LIMIT 1),
                                 (SELECT coalesce(jsonb_agg(a ORDER BY o), '[]') FROM unnest(actions) WITH ORDINALITY AS u (a, o)))
$$;
-- a worker for external entities, whose state is the list of its operations
CREATE PROCEDURE app.entities() LANGUAGE plpgsql AS $$
BEGIN
    CALL durable.drain();
    PERFORM durable.complete_entity(b.token, (SELECT jsonb_agg(CASE WHEN e ->> 'name' = 'fail' THEN '{"failure": {"message": "refused", "type": "TypeError"}}'
                                                                    ELSE jsonb_build_object('output', concat('did ', e ->> 'name', ' ', e ->> 'input')) END ORDER BY o)
                                              FROM jsonb_array_elements(b.operations) WITH ORDINALITY AS j (e, o)),
                                    (SELECT concat_ws(' ', b.state, string_agg(e ->> 'name', ' ' ORDER BY o)) FROM jsonb_array_elements(b.operations) WITH ORDINALITY AS j (e, o)))
    FROM durable.fetch_entities('app', 'entities', 10) b;
END $$;
CREATE VIEW app.last AS SELECT (t).instance_id, app.shown((t).past_events) AS past, app.shown((t).new_events) AS new FROM turns ORDER BY n DESC LIMIT 1;

-- an entity in SQL: the answer is there with the next turn, and a failure has its SQLSTATE
SELECT durable.start('Flow', NULL, 'one');
CALL app.fetch();
SELECT app.done('one', '{"type": "signal_entity", "id": 1, "instance_id": "@Account@a", "operation": "deposit", "input": "100", "request_id": "r1"}',
    '{"type": "call_entity", "id": 2, "instance_id": "@account@a", "operation": "withdraw", "input": " 30 ", "request_id": "r2"}',
    '{"type": "call_entity", "id": 3, "instance_id": "@account@a", "operation": "withdraw", "input": "90", "request_id": "r3"}');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT is_new, event_id, type, task_id, name, input, instance_id, request_id FROM durable.turn_events((SELECT (t).token FROM turns ORDER BY n DESC LIMIT 1)) WHERE type LIKE 'Entity%';
-- an external entity whose name nobody has registered, in the queue of the orchestration
SELECT app.done('one', '{"type": "call_entity", "id": 7, "instance_id": "@Lamp@x", "operation": "on", "input": "{\"b\": 1,  \"a\": 2}", "request_id": "r4"}',
    '{"type": "call_entity", "id": 8, "instance_id": "@lamp@x", "operation": "fail", "request_id": "r5"}',
    '{"type": "signal_entity", "id": 9, "instance_id": "@lamp@x", "operation": "later", "due_at": "2100-01-01 00:00:00+00", "request_id": "r6"}');
CALL durable.drain();
SELECT kind, detail FROM durable.waiting WHERE instance_id = 'one' ORDER BY task;
CALL app.fetch();
SELECT count(*) FROM turns;
CALL app.entities();
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT entity_id, state_text, waiting, queue FROM durable.entities ORDER BY 1;
SELECT count(*) FROM durable.entity_operation WHERE due_at = '2100-01-01 00:00:00+00';
-- a critical section: lock, two calls, unlock one after the other
SELECT app.done('one', '{"type": "lock_entities", "id": 10, "lock_set": ["@lamp@y", "@account@b", "@Lamp@y"], "request_id": "s1"}');
CALL app.fetch();
SELECT new FROM app.last;
SELECT entity_id, locked_by FROM durable.entities WHERE locked_by IS NOT NULL ORDER BY 1;
SELECT durable.signal_entity('account', 'b', 'deposit', 5);
SELECT app.done('one', '{"type": "call_entity", "id": 11, "instance_id": "@account@b", "operation": "deposit", "input": "1", "request_id": "r7"}',
    '{"type": "call_entity", "id": 12, "instance_id": "@lamp@y", "operation": "off", "request_id": "r8"}');
CALL app.entities();
CALL app.fetch();
SELECT new FROM app.last;
SELECT app.done('one', '{"type": "unlock_entity", "id": 13, "instance_id": "@account@b", "request_id": "s1"}');
CALL durable.drain();
SELECT entity_id, locked_by, state_text FROM durable.entities WHERE key IN ('b', 'y') ORDER BY 1;
SELECT durable.raise_event('one', 'go');
CALL app.fetch();
SELECT app.done('one', '{"type": "unlock_entity", "id": 14, "instance_id": "@lamp@y", "request_id": "s1"}',
    '{"type": "unlock_entity", "id": 14, "instance_id": "@lamp@y", "request_id": "never"}');
CALL durable.drain();
SELECT entity_id, locked_by, state_text FROM durable.entities WHERE key IN ('b', 'y') ORDER BY 1;
SELECT durable.raise_event('one', 'go');
CALL app.fetch();
SELECT past FROM app.last;
SELECT app.done('one', '{"type": "complete", "id": 15, "status": "Completed", "output": "fine"}');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('one');
SELECT event_type, task, name, payload FROM durable.history('one') WHERE event_type LIKE 'Entity%' ORDER BY seq;

-- locks are free when their holder ends: completed, failed, terminated, continued as new
SELECT durable.start('Flow', NULL, id) FROM unnest(ARRAY['completes', 'fails', 'goes', 'again']) id;
CALL app.fetch();
SELECT app.done(id, jsonb_build_object('type', 'lock_entities', 'id', 1, 'lock_set', jsonb_build_array('@lamp@' || id, '@account@' || id), 'request_id', 's'))
FROM unnest(ARRAY['completes', 'fails', 'goes', 'again']) id;
CALL app.fetch();
SELECT entity_id, locked_by FROM durable.entities WHERE locked_by IS NOT NULL ORDER BY 1;
SELECT app.done('completes', '{"type": "complete", "id": 2, "status": "Completed"}');
SELECT app.done('fails', '{"type": "complete", "id": 2, "status": "Failed", "failure": {"message": "bad luck"}}');
SELECT app.done('again', '{"type": "complete", "id": 2, "status": "ContinuedAsNew"}');
SELECT durable.terminate('goes');
CALL app.fetch();
SELECT entity_id, locked_by FROM durable.entities WHERE locked_by IS NOT NULL ORDER BY 1;
-- after a rewind it has the locks before its next turn
SELECT durable.start('Flow', NULL, 'other');
CALL app.fetch();
SELECT app.done('other', '{"type": "lock_entities", "id": 1, "lock_set": ["@lamp@fails"], "request_id": "s"}');
CALL app.fetch();
SELECT durable.rewind('fails', 'repaired');
CALL app.fetch();
SELECT instance_id, new FROM app.last;
SELECT app.done('other', '{"type": "complete", "id": 2, "status": "Completed"}');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT entity_id, locked_by FROM durable.entities WHERE locked_by IS NOT NULL ORDER BY 1;
SELECT app.done('fails', '{"type": "complete", "id": 3, "status": "Completed"}');
SELECT app.done('again', '{"type": "complete", "id": 3, "status": "Completed"}');
CALL durable.drain();
-- several sections at a time, which the SDKs do not allow: all of them end with the instance
SELECT durable.start('Flow', NULL, 'greedy');
CALL app.fetch();
SELECT app.done('greedy', '{"type": "lock_entities", "id": 1, "lock_set": ["@lamp@g1"], "request_id": "s1"}',
    '{"type": "lock_entities", "id": 2, "lock_set": ["@lamp@g2"], "request_id": "s2"}',
    '{"type": "lock_entities", "id": 3, "lock_set": ["@lamp@g1"], "request_id": "s3"}');
CALL app.fetch();
SELECT entity_id, locked_by, waiting FROM durable.entities WHERE locked_by IS NOT NULL ORDER BY 1;
SELECT durable.terminate('greedy');
CALL durable.drain();
SELECT entity_id, locked_by, waiting FROM durable.entities WHERE locked_by IS NOT NULL OR waiting > 0 ORDER BY 1;

-- bad messages change nothing
SELECT durable.start('Flow', NULL, 'bad');
CALL app.fetch();
CREATE FUNCTION app.try(action jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM app.done('bad', action || '{"id": 1}');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail);
END $$;
SELECT app.try(a::jsonb) FROM unnest(ARRAY['{}', '{"type": "call_entity"}', '{"type": "shout_at_entity", "request_id": "r", "instance_id": "@a@b"}',
    '{"type": "call_entity", "request_id": "r"}', '{"type": "call_entity", "request_id": "r", "instance_id": "b"}', '{"type": "call_entity", "request_id": "r", "instance_id": "@a@b"}',
    '{"type": "call_entity", "request_id": "r", "instance_id": "@a@b", "operation": "x\ny"}', '{"type": "call_entity", "request_id": "r", "instance_id": "@a@b", "operation": "x", "input": 1}',
    '{"type": "signal_entity", "request_id": "r", "instance_id": "@a@b", "operation": "x", "due_at": 1}', '{"type": "unlock_entity", "request_id": "r"}', '{"type": "unlock_entity", "instance_id": "@a@b"}',
    '{"type": "lock_entities", "request_id": "r"}', '{"type": "lock_entities", "request_id": "r", "lock_set": []}', '{"type": "lock_entities", "request_id": "r", "lock_set": [1]}',
    '{"type": "lock_entities", "request_id": "r", "lock_set": ["x"]}']) a;
SELECT app.try(jsonb_build_object('type', 'lock_entities', 'request_id', 'r', 'lock_set', (SELECT jsonb_agg('@a@' || n) FROM generate_series(1, 101) n)));
SELECT durable.terminate('bad');
CALL durable.drain();
SELECT count(*) FROM durable.inbox;
