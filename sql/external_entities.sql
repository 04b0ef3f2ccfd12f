--
-- External entities: workers outside of the database run their operations.
--
\set ECHO none
SET client_min_messages = warning;
SET timezone = 'UTC';
\set ECHO all
CREATE SCHEMA app;
SELECT durable.register_entity('Counter', execution => 'external', queue => 'app');
SELECT kind, name, handler, execution, queue FROM durable.registrations WHERE kind = 'entity';

-- A worker: the program of a counter, and how it runs a batch of operations.
CREATE PROCEDURE app.run(op jsonb, INOUT state text, INOUT result jsonb, INOUT actions jsonb) LANGUAGE plpgsql AS $$
DECLARE
    kept text := state;
    n integer := coalesce(state, '0')::integer;
    -- from SQL comes the text of a JSON value
    word text := CASE WHEN op ->> 'input' LIKE '"%' THEN (op ->> 'input')::jsonb #>> '{}' ELSE op ->> 'input' END;
BEGIN
    CASE op ->> 'name'
        WHEN 'add' THEN n := n + coalesce((op ->> 'input')::integer, 1);
        WHEN 'get' THEN NULL;
        WHEN 'fail' THEN RAISE EXCEPTION 'no %', word;
        WHEN 'tell' THEN actions := actions || jsonb_build_object('type', 'signal_entity', 'instance_id', word, 'operation', 'add', 'input', n::text);
        WHEN 'later' THEN actions := actions || jsonb_build_object('type', 'signal_entity', 'instance_id', word, 'operation', 'add', 'input', n::text,
            'due_at', durable.clock() + interval '1 hour');
        WHEN 'start' THEN actions := actions || jsonb_build_object('type', 'start_orchestration', 'name', word, 'instance_id', 'started by ' || n, 'input', n::text);
        WHEN 'delete' THEN state := NULL; result := '{}'; RETURN;
    END CASE;
    state := n;
    result := jsonb_build_object('output', n::text);
EXCEPTION WHEN raise_exception THEN
    state := kept;
    result := jsonb_build_object('failure', jsonb_build_object('message', SQLERRM, 'type', 'Error'));
END $$;
CREATE TABLE batches (n serial, b durable.entity_batch);
CREATE PROCEDURE app.fetch(queue text DEFAULT 'app', most integer DEFAULT 10) LANGUAGE plpgsql AS $$
BEGIN
    CALL durable.drain();
    INSERT INTO batches (b) SELECT f FROM durable.fetch_entities(queue, 'worker', most) f;
END $$;
-- Completes all operations of a batch, or the first ones.
CREATE PROCEDURE app.complete(batch durable.entity_batch, most integer DEFAULT 1000) LANGUAGE plpgsql AS $$
DECLARE
    op jsonb;
    state text := batch.state;
    result jsonb;
    results jsonb := '[]';
    actions jsonb := '[]';
BEGIN
    FOR op IN SELECT e FROM jsonb_array_elements(batch.operations) WITH ORDINALITY AS j (e, o) ORDER BY o LIMIT most LOOP
        CALL app.run(op, state, result, actions);
        results := results || result;
    END LOOP;
    PERFORM durable.complete_entity(batch.token, results, state, actions);
END $$;
CREATE PROCEDURE app.work(rounds integer DEFAULT 1) LANGUAGE plpgsql AS $$
DECLARE
    batch durable.entity_batch;
BEGIN
    FOR i IN 1 .. rounds LOOP
        CALL durable.drain();
        FOR batch IN SELECT * FROM durable.fetch_entities('app', 'worker', 10) LOOP
            CALL app.complete(batch);
        END LOOP;
    END LOOP;
    CALL durable.drain();
END $$;
CREATE FUNCTION app.last() RETURNS durable.entity_batch LANGUAGE sql AS 'SELECT b FROM batches ORDER BY n DESC LIMIT 1';
CREATE FUNCTION app.shown(b durable.entity_batch) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', b.entity_id, coalesce(b.state, '-'), '|', (SELECT string_agg(concat_ws(' ', e ->> 'type', e ->> 'name', '<' || (e ->> 'input') || '>', 'for ' || (e ->> 'parent_instance_id')), ', ' ORDER BY o)
        FROM jsonb_array_elements(b.operations) WITH ORDINALITY AS j (e, o)))
$$;

-- signals; those that come while a batch is out are the next one
SELECT durable.signal_entity('counter', 'a', 'add', 1);
SELECT durable.signal_entity('COUNTER', 'a', 'add', 2);
CALL app.fetch();
SELECT app.shown(app.last());
SELECT (app.last()).queue, (app.last()).name, (app.last()).attempt, (app.last()).leased_until > now() AS leased;
SELECT durable.signal_entity('counter', 'a', 'add', 4);
CALL app.fetch();
SELECT count(*) FROM batches;
SELECT entity_id, state, waiting, queue FROM durable.entities;
SELECT instance_id, kind, name, attempt, worker FROM durable.leases;
SELECT name, ready, leased FROM durable.queues;
CALL app.complete(app.last());
CALL app.fetch();
SELECT entity_id, state, state_text, waiting FROM durable.entities;
SELECT durable.entity_state('counter', 'a');
SELECT app.shown(app.last());
-- fewer results than operations: the rest comes again, in front of what came since
SELECT durable.signal_entity('counter', 'a', 'fail', 'luck');
CALL app.complete(app.last());
SELECT durable.signal_entity('counter', 'a', 'add', 8);
SELECT durable.signal_entity('counter', 'a', 'add', 16);
CALL app.fetch();
SELECT app.shown(app.last());
CALL app.complete(app.last(), 1);
SELECT durable.signal_entity('counter', 'a', 'get');
CALL app.fetch();
SELECT app.shown(app.last());
SELECT last_failure, state FROM durable.entities;
CALL app.complete(app.last());
CALL durable.drain();
SELECT last_failure, state, waiting FROM durable.entities;
SELECT count(*) FROM durable.queued_task;

-- an orchestration in SQL calls it, and gets results and failures
CREATE FUNCTION app.caller(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a jsonb;
BEGIN
    a := durable.call_entity('counter', input ->> 'key', 'add', 100);
    BEGIN
        PERFORM durable.call_entity('counter', input ->> 'key', 'fail', 'chance');
    EXCEPTION WHEN SQLSTATE 'WF010' THEN
        RETURN jsonb_build_object('sum', a, 'failure', SQLERRM);
    END;
END $$;
SELECT durable.start('app.caller', '{"key": "a"}'::jsonb, 'caller');
CALL app.fetch();
SELECT app.shown(app.last());
SELECT kind, detail FROM durable.waiting WHERE instance_id = 'caller';
CALL app.complete(app.last());
CALL app.work(2);
SELECT runtime_status, output FROM durable.status('caller');
SELECT event_type, name, payload FROM durable.history('caller') WHERE event_type LIKE 'Entity%' ORDER BY seq;

-- actions: signals, also for later, and starts, in the transaction of the results
CREATE FUNCTION app.greet(input jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT jsonb_build_object(''hello'', input)';
SELECT durable.register_orchestration('greet', 'app.greet(jsonb)');
SELECT durable.signal_entity('counter', 'a', 'tell', '@counter@b');
SELECT durable.signal_entity('counter', 'a', 'later', '@counter@c');
SELECT durable.signal_entity('counter', 'a', 'start', 'greet');
SELECT durable.signal_entity('counter', 'a', 'start', 'greet');
CALL app.work(2);
SELECT entity_id, state_text FROM durable.entities ORDER BY 1;
SELECT runtime_status, output FROM durable.status('started by 131');
SELECT durable.advance_clock('2 hours') IS NOT NULL;
CALL app.work(2);
SELECT entity_id, state_text FROM durable.entities ORDER BY 1;

-- a state that is null: the entity is gone
SELECT durable.signal_entity('counter', 'c', 'delete');
CALL app.work(1);
SELECT count(*) FROM durable.entities WHERE key = 'c';
SELECT durable.purge_entity('counter', 'b');

-- texts are kept byte for byte
SELECT durable.signal_entity_text('@Counter@text', 'add', '  7');
CALL app.fetch();
SELECT app.shown(app.last());
SELECT durable.complete_entity((app.last()).token, '[{}]', '{"b":1,  "a":2}');
CALL durable.drain();
SELECT state, state_text FROM durable.entities WHERE key = 'text';
SELECT durable.entity_state('counter', 'text');

-- critical sections: calls of the holder are served, signals wait
CREATE FUNCTION app.section(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a jsonb;
    b jsonb;
BEGIN
    PERFORM durable.lock_entities('@counter@x', '@counter@y');
    PERFORM durable.wait_for_external_event('go');
    a := durable.call_entity('counter', 'x', 'add', -1);
    b := durable.call_entity('counter', 'y', 'add', 1);
    PERFORM durable.unlock_entities();
    RETURN jsonb_build_array(a, b);
END $$;
SELECT durable.start('app.section', NULL, 'one');
CALL durable.drain();
SELECT durable.start('app.section', NULL, 'two');
SELECT durable.signal_entity('counter', 'x', 'add', 1000);
CALL app.fetch();
SELECT entity_id, locked_by, waiting FROM durable.entities WHERE key IN ('x', 'y') ORDER BY 1;
SELECT count(*) FROM durable.queued_task;
SELECT durable.raise_event('one', 'go');
CALL app.fetch();
SELECT app.shown(app.last());
CALL app.complete(app.last());
CALL app.fetch();
SELECT app.shown(app.last());
CALL app.complete(app.last());
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('one');
SELECT entity_id, locked_by, waiting, state_text FROM durable.entities WHERE key IN ('x', 'y') ORDER BY 1;
-- the second has requested its locks before the signal came
SELECT durable.raise_event('two', 'go');
CALL app.work(3);
SELECT runtime_status, output FROM durable.status('two');
SELECT entity_id, locked_by, waiting, state_text FROM durable.entities WHERE key IN ('x', 'y') ORDER BY 1;
-- a request for locks waits for the batch that is out, and operations that come after it wait for it
SELECT durable.signal_entity('counter', 'x', 'add', 1);
CALL app.fetch();
SELECT durable.start('app.section', NULL, 'three');
CALL durable.drain();
SELECT durable.signal_entity('counter', 'x', 'add', 5);
CALL durable.drain();
SELECT locked_by, waiting FROM durable.entities WHERE key = 'x';
CALL app.complete(app.last());
CALL durable.drain();
SELECT locked_by, waiting, state_text FROM durable.entities WHERE key = 'x';
-- the holder is terminated while its call is out: the lock is free, and the call is completed
SELECT durable.raise_event('three', 'go');
CALL app.fetch();
SELECT app.shown(app.last());
SELECT durable.terminate('three', 'enough');
CALL durable.drain();
SELECT locked_by, waiting FROM durable.entities WHERE key = 'x';
CALL app.complete(app.last());
CALL app.work(1);
SELECT entity_id, locked_by, waiting, state_text FROM durable.entities WHERE key IN ('x', 'y') ORDER BY 1;

-- leases
SELECT durable.signal_entity('counter', 'lease', 'add', 1);
CALL app.fetch();
SELECT durable.extend_lease(ARRAY[(app.last()).token]);
SELECT durable.advance_clock('1 minute') IS NOT NULL;
CALL app.fetch();
SELECT (b).attempt FROM batches ORDER BY n DESC LIMIT 2;
CREATE FUNCTION app.try(token text, results jsonb, state text DEFAULT NULL, actions jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM durable.complete_entity(token, results, state, actions);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, regexp_replace(SQLERRM, '"[0-9a-f-]{20,}"', '"TOKEN"'), detail);
END $$;
SELECT app.try((SELECT (b).token FROM batches ORDER BY n DESC OFFSET 1 LIMIT 1), '[{}]');
SELECT durable.complete_entities(ARRAY[(SELECT (b).token FROM batches ORDER BY n DESC OFFSET 1 LIMIT 1), (app.last()).token],
    ARRAY['[{}]', '[{"output": "x"}]']::jsonb[], ARRAY['1', '2'], on_stale => 'skip');
SELECT app.try((app.last()).token, '[{}]');
CALL durable.drain();
SELECT state_text FROM durable.entities WHERE key = 'lease';
SELECT durable.signal_entity('counter', 'lease', 'add', 1);
CALL app.fetch();
SELECT durable.release_work(ARRAY[(app.last()).token]);
CALL app.fetch();
SELECT (app.last()).attempt;
SELECT durable.complete_entity((app.last()).token, '[{}]', '3');
CALL durable.drain();

-- durable.stuck: operations that nobody fetches, that lose leases, that workers give back again and again
SELECT durable.signal_entity('counter', 'stuck', 'add', 1);
CALL durable.drain();
SELECT count(*) FROM durable.stuck WHERE instance_id LIKE '@%';
SELECT durable.advance_clock('2 minutes') IS NOT NULL;
SELECT instance_id, name, owner = current_user::regrole AS own, reason, since IS NOT NULL AS since, detail FROM durable.stuck WHERE instance_id LIKE '@%';
DO $$ BEGIN
    FOR i IN 1 .. 5 LOOP
        PERFORM durable.release_work(ARRAY[token], NULL) FROM durable.fetch_entities('app', 'refuses');
        PERFORM durable.advance_clock('31 s');
    END LOOP;
END $$;
SELECT instance_id, name, reason, detail, hint FROM durable.stuck WHERE instance_id LIKE '@%';
SELECT ok, detail FROM durable.doctor() WHERE check_name = 'given_back';
DO $$ BEGIN
    FOR i IN 1 .. 3 LOOP
        PERFORM durable.fetch_entities('app', 'ends', lease => '1 ms');
        PERFORM durable.advance_clock('1 s');
    END LOOP;
    PERFORM durable.fetch_entities('app', 'none');      -- takes note of the last lease
END $$;
SELECT instance_id, name, reason, detail, hint FROM durable.stuck WHERE instance_id LIKE '@%';
SELECT durable.advance_clock('2 minutes') IS NOT NULL;
CALL app.fetch();
SELECT durable.complete_entity((app.last()).token, '[{}]', '3');
CALL durable.drain();
SELECT count(*) FROM durable.stuck WHERE instance_id LIKE '@%';

-- everything that is refused changes nothing
SELECT durable.signal_entity('counter', 'bad', 'add', 1);
CALL app.fetch();
SELECT app.try((app.last()).token, r::jsonb) FROM unnest(ARRAY[NULL, '{}', '[]', '[1]', '[{}, {}]', '[{"output": 1}]', '[{"failure": {}}]', '[{"failure": "x"}]']) r;
SELECT app.try((app.last()).token, '[{}]', '1', a::jsonb) FROM unnest(ARRAY['{}', '[1]', '[{}]', '[{"type": "fly"}]', '[{"type": "signal_entity"}]',
    '[{"type": "signal_entity", "operation": "x"}]', '[{"type": "signal_entity", "operation": "x", "instance_id": "nobody"}]',
    '[{"type": "signal_entity", "operation": "x\ny", "instance_id": "@a@b"}]', '[{"type": "signal_entity", "operation": "x", "instance_id": "@a@b", "due_at": "x"}]',
    '[{"type": "start_orchestration"}]', '[{"type": "start_orchestration", "name": "x", "tags": 1}]']) a;
SELECT app.try('x', '[{}]');
SELECT app.try('1-1-1-1', '[{}]');
SELECT durable.complete_entities(ARRAY[(app.last()).token], ARRAY[]::jsonb[], ARRAY['1']);
SELECT waiting, state FROM durable.entities WHERE key = 'bad';
CALL app.complete(app.last());
SELECT durable.fetch_entities('nowhere');
SELECT durable.fetch_entities('app', max_batches => 0);
SELECT durable.apply_entity('counter', 'a', 'add', 1);
SELECT durable.register_entity('x');
SELECT durable.register_entity('x', execution => 'external');
SELECT durable.register_entity('x', 'app.greet(jsonb)', queue => 'app');
SELECT durable.register_entity('x', 'app.greet(jsonb)', execution => 'external', queue => 'app');
SELECT durable.register_entity('x', execution => 'maybe');
SELECT durable.unregister_queue('app');
CALL durable.wait_for_work('app', '0', NULL, kind => 'entities');
SELECT durable.signal_entity_text('nothing', 'x');
SELECT durable.signal_entity_text('@nothing@x', 'x');
CREATE ROLE regress_entities_worker;
SET ROLE regress_entities_worker;
SELECT durable.fetch_entities('app');
RESET ROLE;
SELECT durable.grant_queue('app', 'regress_entities_worker');
SELECT durable.signal_entity('counter', 'granted', 'add', 1);
CALL durable.drain();
SET ROLE regress_entities_worker;
SELECT count(*) FROM durable.fetch_entities('app', max_batches => 10);
RESET ROLE;
SELECT durable.revoke_queue('app', 'regress_entities_worker');
DROP OWNED BY regress_entities_worker;
DROP ROLE regress_entities_worker;
CALL app.work(1);

-- names that nobody has registered: the queue comes with the first operation
SELECT durable.signal_entity_text('@free@1', 'add', '5', queue => 'app');
CALL app.work(1);
SELECT entity_id, state_text, queue FROM durable.entities WHERE name = 'free';
SELECT durable.signal_entity_text('@free@1', 'add', '5', queue => 'other');
CALL app.work(1);
SELECT entity_id, state_text, queue FROM durable.entities WHERE name = 'free';

-- the name becomes that of a function while a batch is out, and back
CREATE FUNCTION app.counter(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE sql AS $$
    SELECT ROW(to_jsonb(coalesce(state::integer, 0) + coalesce(input::integer, 1)), to_jsonb(operation))::durable.entity_result
$$;
SELECT durable.signal_entity('counter', 'moves', 'add', 1);
CALL app.work(1);
SELECT durable.signal_entity('counter', 'moves', 'add', 10);
CALL app.fetch();
SELECT durable.register_entity('counter', 'app.counter(jsonb,text,jsonb)');
CALL durable.drain();
SELECT state, state_text, queue, waiting FROM durable.entities WHERE key = 'moves';
SELECT app.try((app.last()).token, '[{}]');
SELECT durable.register_entity('counter', execution => 'external', queue => 'app');
SELECT durable.signal_entity('counter', 'moves', 'add', 100);
CALL app.work(1);
SELECT state, state_text, queue, waiting FROM durable.entities WHERE key = 'moves';
-- not registered: the operations of one that has been external go on
SELECT durable.unregister_entity('counter');
SELECT durable.signal_entity_text('@counter@moves', 'add', '1000', queue => 'app');
CALL app.work(1);
SELECT state_text, problem FROM durable.entities WHERE key = 'moves';
SELECT count(*) FROM durable.queued_task;
SELECT count(*) FROM durable.entity_operation;
SELECT count(*) FROM durable.inbox;
