--
-- External orchestrations: workers outside of the database run their turns.
--
\set ECHO none
SET client_min_messages = warning;
SET timezone = 'UTC';
\set ECHO all
CREATE SCHEMA app;
CREATE TABLE app.effects (n integer);
CREATE FUNCTION app.charge(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.effects VALUES ((input ->> 'n')::integer);
    RETURN jsonb_build_object('charged', input -> 'n');
END $$;
SELECT durable.register_activity('charge', 'app.charge(jsonb)', execution => 'inline');
SELECT durable.register_orchestration('Flow', execution => 'external', queue => 'app');
SELECT kind, name, handler, execution, queue FROM durable.registrations WHERE name = 'Flow';
-- A worker: shows what a turn has, and completes it.
CREATE FUNCTION app.shown(events jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', e ->> 'type', '#' || nullif(e ->> 'event_id', '-1'), '->' || (e ->> 'task_id'), e ->> 'name',
                                '<' || (e ->> 'input') || '>', e -> 'failure' ->> 'message'), E'\n' ORDER BY o)
    FROM jsonb_array_elements(events) WITH ORDINALITY AS j (e, o)
$$;
CREATE TABLE turns (n serial, t durable.turn);
CREATE PROCEDURE app.fetch() LANGUAGE plpgsql AS $$
BEGIN
    CALL durable.drain();
    INSERT INTO turns (t) SELECT f FROM durable.fetch_turns('app', 'worker') f;
END $$;
CREATE FUNCTION app.token() RETURNS text LANGUAGE sql AS 'SELECT (t).token FROM turns ORDER BY n DESC LIMIT 1';
CREATE VIEW app.last AS SELECT app.shown((t).past_events) AS past, app.shown((t).new_events) AS new FROM turns ORDER BY n DESC LIMIT 1;

-- an activity in SQL: its effect, its result, and the turn that follows
SELECT durable.start('Flow', '{"b":1,  "a":2}'::jsonb, 'one');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT runtime_status, waiting_on FROM durable.status('one');
SELECT durable.complete_turn(app.token(), '[{"type": "schedule_task", "id": 4, "name": "charge", "input": "{\"n\":7}"}]', 'busy');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT * FROM app.effects;
SELECT runtime_status, waiting_on, custom_status FROM durable.status('one');
SELECT durable.complete_turn(app.token(), '[{"type": "complete", "id": 9, "status": "Completed", "output": "{\"z\":1,\"a\":[1.0, 2]}"}]');
CALL durable.drain();
SELECT runtime_status, output, custom_status FROM durable.status('one');
SELECT count(*) FROM durable.fetch_turns('app');

-- timers, events, external activities whose names nobody has registered
SELECT durable.start_external('app', 'Free', 'not { JSON', 'two', tags => '{"k": "v"}', version => '1.5');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT (t).name, (t).version, (t).instance_id, length((t).execution_id), (t).attempt, (t).past, (t).new FROM turns ORDER BY n DESC LIMIT 1;
SELECT durable.complete_turn(app.token(), $$[{"type": "create_timer", "id": 1, "due_at": "2100-01-01 00:00:00+00"},
    {"type": "schedule_task", "id": 3, "name": "anything", "input": "raw text", "version": "2", "tags": {"x": "y"}}]$$);
CALL app.fetch();
SELECT count(*) FROM turns;
SELECT kind, detail, due FROM durable.waiting WHERE instance_id = 'two' ORDER BY task;
CREATE TABLE work AS SELECT * FROM durable.fetch_work('app');
SELECT name, input, instance_id FROM work;
-- an event arrives while a turn is out
SELECT durable.complete_tasks(ARRAY[token], ARRAY['{"r": 1}'::jsonb]) FROM work;
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT durable.raise_event_text('two', 'Go', '{"t":1,"t":2}');
CALL durable.drain();
SELECT durable.complete_turn(app.token(), '[{"type": "send_event", "id": 5, "instance_id": "nobody", "name": "hi", "input": "x"}]');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT is_new, event_id, type, task_id, name, version, input, instance_id, due_at, tags FROM durable.turn_events(app.token());
-- continue as new: what was carried over, then what came meanwhile
SELECT durable.raise_event('two', 'late', '{"k": 1}'::jsonb);
CALL durable.drain();
SELECT durable.complete_turn(app.token(), '[{"type": "complete", "id": 8, "status": "ContinuedAsNew", "output": "next", "version": "1.6", "carryover": [{"name": "go", "input": "kept"}]}]');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT (t).version FROM turns ORDER BY n DESC LIMIT 1;
SELECT count(DISTINCT (t).execution_id) FROM turns WHERE (t).instance_id = 'two';
SELECT durable.complete_turn(app.token(), '[{"type": "complete", "id": 1, "status": "Failed", "failure": {"message": "no luck", "type": "TypeError", "stack": "at x"}}]');
CALL durable.drain();
SELECT runtime_status, version, failure, tags FROM durable.status('two');

-- sub-orchestrations in both directions
CREATE FUNCTION app.parent(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sub_orchestrator('Flow', input, 'child of sql');
END $$;
CREATE FUNCTION app.child(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object('got', input);
END $$;
SELECT durable.register_orchestration('sql_child', 'app.child(jsonb)');
SELECT durable.start('app.parent', '{"p": 1}'::jsonb, 'sql parent');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT (t).parent_instance_id FROM turns ORDER BY n DESC LIMIT 1;
SELECT durable.complete_turn(app.token(), '[{"type": "create_sub_orchestration", "id": 0, "name": "sql_child", "input": "[1,2]"},
    {"type": "create_sub_orchestration", "id": 1, "name": "Other", "instance_id": "other", "input": "o"}]');
CALL app.fetch();
CALL app.fetch();
SELECT (t).name, (t).instance_id, app.shown((t).past_events) AS past, app.shown((t).new_events) AS new FROM turns ORDER BY n DESC LIMIT 2 \gx
-- the id of the call is the one that the parent has chosen; a parent in SQL has the engine's number
SELECT (t).instance_id, e -> 'parent' ->> 'instance_id' AS parent, e -> 'parent' -> 'task_id' AS task_id
FROM turns, jsonb_array_elements((t).new_events) e WHERE (t).instance_id IN ('child of sql', 'other') AND e ? 'parent' ORDER BY n;
SELECT durable.complete_turn((t).token, '[{"type": "complete", "id": 1, "status": "Completed", "output": "fine"}]') FROM turns WHERE (t).instance_id = 'other';
SELECT durable.complete_turn((t).token, '[]') FROM turns WHERE (t).instance_id = 'child of sql' AND (t).past > 0;
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT durable.complete_turn(app.token(), '[{"type": "complete", "id": 2, "status": "Completed", "output": "{\"done\":true}"}]');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('sql parent');

-- suspended while a turn is out: the turn is discarded, and run again
SELECT durable.start('Flow', NULL, 'three');
CALL app.fetch();
SELECT durable.suspend('three', 'why not');
CALL durable.drain();
SELECT durable.complete_turn(app.token(), '[{"type": "complete", "id": 1, "status": "Completed", "output": "too early"}]');
CALL app.fetch();
SELECT runtime_status, waiting_on FROM durable.status('three');
SELECT durable.resume('three');
CALL app.fetch();
SELECT * FROM app.last \gx
-- terminated while a turn is out: the token is no good any more
SELECT durable.extend_lease(ARRAY[app.token()]), durable.release_work(ARRAY['1-1-1-1']);
SELECT durable.terminate('three', 'enough');
CALL durable.drain();
SELECT durable.extend_lease(ARRAY[app.token()]);
DO $$ BEGIN PERFORM durable.complete_turn(app.token()); EXCEPTION WHEN SQLSTATE 'WF008' THEN RAISE WARNING 'WF008'; END $$;
SELECT durable.complete_turns(ARRAY[app.token()], ARRAY['[]'::jsonb], on_stale => 'skip');
SELECT runtime_status, failure FROM durable.status('three');

-- a lease that ends is another worker's; a released turn comes back
SELECT durable.start('Flow', NULL, 'four');
CALL app.fetch();
SELECT durable.advance_clock('1 minute') IS NOT NULL;
-- twice: the coordinator may be ending the lease at this moment, and then the row is skipped
CALL app.fetch();
DO $$ BEGIN PERFORM pg_sleep(0.5); END $$;
CALL app.fetch();
SELECT (t).attempt, (t).instance_id FROM turns ORDER BY n DESC LIMIT 2;
DO $$ BEGIN PERFORM durable.complete_turn((t).token) FROM (SELECT * FROM turns ORDER BY n DESC OFFSET 1 LIMIT 1) x; EXCEPTION WHEN SQLSTATE 'WF008' THEN RAISE WARNING 'WF008'; END $$;
SELECT durable.release_work(ARRAY[app.token()]);
CALL app.fetch();
SELECT durable.complete_turn(app.token(), '[{"type": "schedule_task", "id": 1, "name": "fails", "input": "1"}]');
CALL durable.drain();
SELECT durable.fail_task(token, '{"message": "boom"}', false) FROM durable.fetch_work('app');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT durable.complete_turn(app.token(), '[{"type": "complete", "id": 2, "status": "Failed", "failure": {"message": "boom"}}]');
CALL durable.drain();
-- rewind: the orchestration calls the failed activity again
SELECT durable.rewind('four', 'repaired');
CALL app.fetch();
SELECT * FROM app.last \gx
SELECT durable.complete_turn(app.token(), '[{"type": "terminate", "id": 5, "instance_id": "nobody"}, {"type": "complete", "id": 2, "status": "Terminated", "output": "over"}]');
CALL durable.drain();
SELECT runtime_status, failure FROM durable.status('four');
SELECT seq, event_type, task, name, payload FROM durable.history('four') ORDER BY seq;
-- restart with the same input
SELECT durable.restart('two');
CALL app.fetch();
SELECT * FROM app.last \gx

-- nothing starts when the transaction is rolled back
BEGIN;
SELECT durable.start('Flow', NULL, 'never');
ROLLBACK;
CALL durable.drain();
SELECT count(*) FROM durable.instances WHERE instance_id = 'never';

-- bad actions change nothing
CREATE FUNCTION app.try(actions jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM durable.complete_turn(app.token(), actions);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail);
END $$;
SELECT app.try(a::jsonb) FROM unnest(ARRAY['{}', '[1]', '[{}]', '[{"type": "fly", "id": 1}]', '[{"type": "schedule_task", "name": "x"}]',
    '[{"type": "schedule_task", "id": 1.5, "name": "x"}]', '[{"type": "schedule_task", "id": -1, "name": "x"}]', '[{"type": "schedule_task", "id": 1}]',
    '[{"type": "schedule_task", "id": 1, "name": "x", "input": {}}]', '[{"type": "create_timer", "id": 1}]', '[{"type": "create_timer", "id": 1, "due_at": "x"}]',
    '[{"type": "complete", "id": 1}]', '[{"type": "complete", "id": 1, "status": "Great"}]', '[{"type": "complete", "id": 1, "status": "Failed"}]',
    '[{"type": "complete", "id": 1, "status": "Completed"}, {"type": "complete", "id": 1, "status": "Completed"}]',
    '[{"type": "send_event", "id": 1, "name": "x"}]', '[{"type": "send_entity_message", "id": 1}]',
    '[{"type": "schedule_task", "id": 1, "name": "x", "tags": 1}]', '[{"type": "complete", "id": 1, "status": "ContinuedAsNew", "carryover": 1}]']) a;
SELECT durable.extend_lease(ARRAY[app.token()]);
SELECT durable.register_orchestration('x');
SELECT durable.register_orchestration('x', execution => 'external');
SELECT durable.register_orchestration('x', 'app.child(jsonb)', queue => 'app');
SELECT durable.register_orchestration('x', 'app.child(jsonb)', execution => 'external', queue => 'app');
SELECT durable.register_orchestration('x', execution => 'maybe');
SELECT durable.fetch_turns('nowhere');
SELECT durable.turn_events('x');

-- activities of external orchestrations: payload, version, tags and trace of the call; results byte for byte
SELECT durable.start_external('texts', 'Texts', '{"b":1,  "a":1.0}', 'text');
CALL durable.drain();
SELECT durable.complete_turn(token, $$[{"type": "schedule_task", "id": 7, "name": "anything", "input": "{\"z\":1,  \"a\":1.0}", "version": "2", "tags": {"k": "v"}, "trace": "00-1"},
    {"type": "schedule_task", "id": 9, "name": "anything", "input": "raw"}, {"type": "schedule_task", "id": 11, "name": "anything"}]$$)
FROM durable.fetch_turns('texts');
CALL durable.drain();
CREATE TABLE texts AS SELECT * FROM durable.fetch_work('texts', max_tasks => 10);
SELECT task_id, name, input, payload, version, tags, trace FROM texts ORDER BY task_id;
SELECT durable.complete_tasks_text(array_agg(token ORDER BY task_id), '{"{\"y\":1,  \"y\":2}",plain}') FROM texts WHERE task_id <> 11;
SELECT durable.complete_tasks_text(array_agg(token ORDER BY task_id), '{x,y}') FROM texts WHERE task_id <> 11;
SELECT durable.complete_tasks_text(array_agg(token), '{x,y}') FROM texts WHERE task_id = 11;
SELECT durable.complete_tasks_text('{1-1-1-1}', '{x}', on_stale => 'skip');
SELECT durable.fail_task(token, '{"message": "out of order", "type": "RangeError", "stack": "at f", "non_retriable": true, "inner": {"message": "deep"}, "properties": {"n": 1}}')
FROM texts WHERE task_id = 11;
CALL durable.drain();
CREATE TABLE text_turn AS SELECT * FROM durable.fetch_turns('texts');
SELECT type, task_id, input, failure FROM durable.turn_events((SELECT token FROM text_turn)) WHERE is_new AND task_id IS NOT NULL;
-- whoever does an activity of an orchestration in SQL gets its input as JSON, and may answer with a text
CREATE FUNCTION app.asks(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(durable.call_activity('asked', input), durable.call_activity('asked', '2'::jsonb));
END $$;
SELECT durable.register_activity('asked', execution => 'external', queue => 'asked');
SELECT durable.start('app.asks', '{"b": 1}'::jsonb, 'asks');
CALL durable.drain();
SELECT name, input, payload, version, tags, trace, task_id FROM durable.fetch_work('asked', lease => '1 ms');
SELECT durable.advance_clock('1 second') IS NOT NULL;
SELECT durable.complete_tasks_text(array_agg(token), '{"{\"n\": [1]}"}') FROM durable.fetch_work('asked');
CALL durable.drain();
SELECT durable.complete_tasks_text(array_agg(token), '{no JSON}') FROM durable.fetch_work('asked');
CALL durable.drain();
SELECT output FROM durable.status('asks');

-- for gateways: several states at once, and the whole history
SELECT instance_id, owner = current_user::regrole AS own, name, version, runtime_status, is_external, execution, parent_instance_id, tags, failure ->> 'message' AS failure,
    custom_status, input, output FROM durable.instance_states('{text,nobody,asks,two,NULL,one,child of sql,asks}');
SELECT instance_id, runtime_status, custom_status, input, output, failure ->> 'message' AS failure FROM durable.instance_states('{one,four}', with_payloads => false);
SELECT count(*) FROM durable.instance_states('{}');
SELECT durable.instance_states(NULL);
SELECT count(*) FROM durable.instance_states(array_fill('x'::text, '{10001}'));
SELECT n, is_new, type, event_id, task_id, name, input FROM durable.external_history('text');
SELECT durable.complete_turn(token, '[{"type": "complete", "id": 12, "status": "Completed", "output": "{\"x\":1,  \"x\":2}"}]') FROM text_turn;
CALL durable.drain();
SELECT n, is_new, type, event_id, task_id, name, input, status FROM durable.external_history('text') WHERE n > 8;
SELECT type, status, input, failure ->> 'type' AS failure FROM durable.external_history('three') WHERE status IS NOT NULL
UNION ALL SELECT type, status, input, failure ->> 'message' FROM durable.external_history('four') WHERE status IS NOT NULL;
SELECT durable.external_history('asks');
SELECT durable.external_history('nobody');
-- other roles see neither
CREATE ROLE regress_stranger LOGIN;
SELECT durable.grant_usage('regress_stranger');
SET ROLE regress_stranger;
SELECT count(*) FROM durable.instance_states('{text,one}');
SELECT durable.external_history('text');
RESET ROLE;
GRANT pg_monitor TO regress_stranger;
SET ROLE regress_stranger;
SELECT instance_id, runtime_status, input, output, tags FROM durable.instance_states('{text,two}');
SELECT durable.external_history('text');
RESET ROLE;
DROP OWNED BY regress_stranger;
DROP ROLE regress_stranger;

-- what an operator sees: who has a turn, and since when; what no worker fetches; what loses its leases
SELECT durable.start_external('seen', 'Seen', NULL, 'seen');
CALL durable.drain();
SELECT kind, detail, task, attempt, next_try IS NOT NULL AS has_next_try, queue, worker, leased_at IS NOT NULL AS is_leased FROM durable.waiting WHERE instance_id = 'seen';
SELECT regexp_replace(line, 'since [^,]*', 'since TIME') FROM durable.explain('seen') line WHERE line LIKE 'waits for%';
SELECT durable.advance_clock('2 minutes') IS NOT NULL;
SELECT instance_id, reason, detail, hint FROM durable.stuck WHERE instance_id = 'seen';
SELECT ok, detail ~ 'queue "seen" has contained turns for 12\d s, but no worker has leased any of them' AS detail, hint FROM durable.doctor() WHERE check_name = 'queues';
CREATE TABLE seen AS SELECT * FROM durable.fetch_turns('seen', 'worker 7', lease => '10 minutes');
SELECT kind, detail, task, attempt, next_try, queue, worker, leased_at IS NOT NULL AS is_leased FROM durable.waiting WHERE instance_id = 'seen';
SELECT regexp_replace(line, 'since [^,]*', 'since TIME', 'g') FROM durable.explain('seen') line WHERE line LIKE 'waits for%';
SELECT count(*) FROM durable.stuck WHERE instance_id = 'seen';
SELECT detail ~ 'queue "seen"' AS is_found FROM durable.doctor() WHERE check_name = 'queues';
SELECT durable.complete_turn(token, '[{"type": "schedule_task", "id": 1, "name": "sight"}]') FROM seen;
CALL durable.drain();
SELECT kind, detail, task, attempt, queue, worker FROM durable.waiting WHERE instance_id = 'seen';
-- a worker of activities does not hide that no worker fetches turns, nor the other way round
SELECT durable.start_external('seen', 'Seen', NULL, 'unseen');
CALL durable.drain();
SELECT durable.advance_clock('2 minutes') IS NOT NULL;
CREATE TABLE sight AS SELECT * FROM durable.fetch_work('seen', 'worker 8');
SELECT detail ~ 'queue "seen" has contained turns for 12\d s' AS turns, detail ~ 'queue "seen" has contained activities' AS activities FROM durable.doctor() WHERE check_name = 'queues';
SELECT instance_id, reason FROM durable.stuck WHERE instance_id LIKE '%seen' ORDER BY 1;
SELECT kind, detail, task, attempt, queue, worker FROM durable.waiting WHERE instance_id LIKE '%seen' ORDER BY 1, 2;
SELECT durable.complete_tasks_text(array_agg(token)) FROM sight;
CALL durable.drain();
-- four workers one after the other do not come back: then it is handed out once a minute at last
CREATE PROCEDURE app.lose(times integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. times LOOP
        PERFORM * FROM durable.fetch_turns('seen', 'gone', lease => '1 ms', names => '{Seen}');
        PERFORM durable.advance_clock('1 second');
        CALL durable.drain();
    END LOOP;
END $$;
SELECT count(*) FROM durable.fetch_turns('seen', 'keeps', names => '{Seen}', lease => '1 hour', max_turns => 1);
CALL app.lose(3);
SELECT count(*) FROM durable.fetch_turns('seen', 'too early');
SELECT w.instance_id, kind, attempt, next_try - durable.clock() BETWEEN '0' AND '60 s' AS has_next_try, worker FROM durable.waiting w WHERE instance_id LIKE '%seen' AND kind = 'turn' AND worker IS NULL;
SELECT instance_id, reason, detail, hint FROM durable.stuck WHERE reason = 'turn loses leases';
SELECT ok, detail FROM durable.doctor() WHERE check_name = 'leases';
DO $$
DECLARE
    last timestamptz;
    apart interval[];
BEGIN
    FOR i IN 1 .. 12 LOOP
        WHILE NOT EXISTS (SELECT FROM durable.fetch_turns('seen', 'gone', lease => '1 ms', names => '{Seen}')) LOOP
            PERFORM durable.advance_clock('1 second');
        END LOOP;
        apart := apart || (durable.clock() - last);
        last := durable.clock();
    END LOOP;
    RAISE WARNING 'first tries are apart by less than a minute: %, later ones by a minute: %',
        (SELECT bool_and(a < '50 s') FROM unnest(apart[2:4]) a), (SELECT bool_and(a BETWEEN '59 s' AND '63 s') FROM unnest(apart[8:12]) a);
END $$;
SELECT durable.advance_clock('2 seconds') IS NOT NULL;
CALL durable.drain();
SELECT durable.advance_clock('2 minutes') IS NOT NULL;
SELECT durable.complete_turn(token, '[{"type": "complete", "id": 9, "status": "Completed", "output": "at last"}]'), attempt > 12 AS attempt FROM durable.fetch_turns('seen', 'good');
CALL durable.drain();
SELECT ok FROM durable.doctor() WHERE check_name = 'leases';
SELECT count(*) FROM durable.instance_states('{seen,unseen}') WHERE output = 'at last';
-- an external activity that fails again and again
SELECT durable.register_activity('flaky', execution => 'external', queue => 'flaky', retry => durable.retry(max_attempts => 10, first_interval => '1 second', backoff => 1));
CREATE FUNCTION app.flaky() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('flaky'); END $$;
SELECT durable.start('app.flaky', instance_id => 'flaky');
DO $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        CALL durable.drain();
        PERFORM durable.fail_task(token, '"still broken"') FROM durable.fetch_work('flaky');
        PERFORM durable.advance_clock('1 second');
    END LOOP;
    CALL durable.drain();
    PERFORM durable.fail_task(token, '"still broken"') FROM durable.fetch_work('flaky');
END $$;
SELECT instance_id, reason, detail FROM durable.stuck WHERE instance_id = 'flaky';

-- traces, tags and versions of an instance and of a call; the id of the action that ends it
SELECT durable.start_external('trace', 'Traced', '1', 'traced', version => '3', tags => '{"t": "1"}', trace => 'from the client');
CALL durable.drain();
SELECT token AS traced, trace FROM durable.fetch_turns('trace') \gset
SELECT type, version, tags, trace, orchestration_trace FROM durable.turn_events(:'traced') WHERE type = 'ExecutionStarted';
SELECT durable.complete_turn(:'traced', '[{"type": "schedule_task", "id": 1, "name": "a", "input": "x", "trace": "of the call"}, {"type": "schedule_task", "id": 2, "name": "b", "version": "9"},
    {"type": "terminate", "id": 3, "instance_id": "nobody"}]', trace => 'of the turn');
CALL durable.drain();
SELECT name, version, tags, trace, task_id FROM durable.fetch_work('trace', max_tasks => 5) ORDER BY task_id;
SELECT durable.raise_event_text('traced', 'go');
CALL durable.drain();
SELECT token AS traced, trace FROM durable.fetch_turns('trace') \gset
SELECT :'trace' AS trace;
SELECT is_new, type, event_id FROM durable.turn_events(:'traced');
SELECT durable.complete_turn(:'traced', '[{"type": "complete", "id": 4, "status": "Failed", "failure": {"message": "over"}}]');
CALL durable.drain();
SELECT type, event_id, status FROM durable.external_history('traced') WHERE event_id <> -1;
SELECT durable.restart('traced');
CALL durable.drain();
SELECT e ->> 'trace' AS trace, version FROM durable.fetch_turns('trace'), jsonb_array_elements(new_events) e WHERE e ->> 'type' = 'ExecutionStarted';

-- several activities fail at once
SELECT durable.start_external('fails', 'Fails', instance_id => 'fails');
CALL durable.drain();
SELECT durable.complete_turn(token, '[{"type": "schedule_task", "id": 1, "name": "a"}, {"type": "schedule_task", "id": 2, "name": "b"}, {"type": "schedule_task", "id": 3, "name": "c"}]') FROM durable.fetch_turns('fails');
CALL durable.drain();
CREATE TABLE failing AS SELECT * FROM durable.fetch_work('fails', max_tasks => 5);
SELECT durable.fail_tasks(array_agg(token ORDER BY name), '{"\"one\"", "{\"message\": \"two\", \"type\": \"T\", \"inner\": {\"message\": \"in\"}}"}') FROM failing WHERE name <> 'c';
SELECT durable.fail_tasks(ARRAY[(SELECT token FROM failing WHERE name = 'a'), '1-1-1-1'], '{"\"again\"", "\"no\""}', on_stale => 'skip');
SELECT durable.fail_tasks('{1-1-1-1}', '{"\"no\""}');
SELECT durable.fail_tasks('{1-1-1-1}', '{}');
SELECT durable.fail_tasks(array_agg(token), '{NULL}') FROM failing WHERE name = 'c';
CALL durable.drain();
SELECT type, task_id, failure ->> 'type' AS class, failure ->> 'message' AS message, failure -> 'inner' AS inner FROM durable.external_history('fails') WHERE type = 'TaskFailed' ORDER BY task_id;

-- who waits for many instances asks only for those that have got so far
SELECT n, instance_id, runtime_status FROM durable.instance_states('{traced,fails,nobody,four,fails}', false, '{start,end,end,end,start}') ORDER BY n;
SELECT durable.start_external('fails', 'Doomed', instance_id => 'doomed');
CALL durable.drain();
SELECT durable.complete_turn(token, '[{"type": "complete", "id": 1, "status": "Failed", "failure": {"message": "x"}}]') FROM durable.fetch_turns('fails', names => '{Doomed}');
CALL durable.drain();
SELECT count(*) FROM durable.instance_states('{doomed}', false, '{end}');
SELECT durable.rewind('doomed');
SELECT count(*) FROM durable.instance_states('{doomed}', false, '{end}');
SELECT durable.instance_states('{four}', false, '{end,end}');
SELECT durable.instance_states('{four}', false, '{later}');

-- a parent and its children are deleted together, and counted
SELECT durable.start_external('family', 'Parent', instance_id => 'parent to purge');
CALL durable.drain();
SELECT durable.complete_turn(token, '[{"type": "create_sub_orchestration", "id": 1, "name": "Child"}, {"type": "create_sub_orchestration", "id": 2, "name": "Child"}]') FROM durable.fetch_turns('family');
CALL durable.drain();
SELECT durable.purge_family('parent to purge');
SELECT durable.terminate('parent to purge');
CALL durable.drain();
CALL durable.drain();
SELECT durable.purge_family('parent to purge');
SELECT durable.purge_family('parent to purge');

-- a queue is unregistered while an instance waits for an event; its next turn is in a queue that does not exist
SELECT durable.start_external('gone', 'Gone', instance_id => 'gone');
CALL durable.drain();
SELECT durable.complete_turn(token, '[]') FROM durable.fetch_turns('gone');
CALL durable.drain();
SELECT durable.unregister_queue('gone');
SELECT durable.raise_event_text('gone', 'e');
CALL durable.drain();
SELECT ok, detail ~ 'queue "gone" does not exist, but has contained work for \d+ s' AS detail, hint FROM durable.doctor() WHERE check_name = 'queues';
SELECT durable.register_queue('gone');
SELECT detail ~ 'does not exist' AS is_missing FROM durable.doctor() WHERE check_name = 'queues';
SELECT durable.complete_turn(token, '[{"type": "complete", "id": 1, "status": "Completed"}]') FROM durable.fetch_turns('gone');
CALL durable.drain();
SELECT runtime_status FROM durable.status('gone');

-- an event comes after the end: it is not a part of the history that a worker is given
SELECT durable.start_external('gone', 'Gone', instance_id => 'late');
CALL durable.drain();
SELECT durable.terminate('late');
SELECT durable.raise_event_text('late', 'e', 'after the end');
CALL durable.drain();
SELECT runtime_status, dropped_events FROM durable.instances WHERE instance_id = 'late';
SELECT type, status FROM durable.external_history('late');
