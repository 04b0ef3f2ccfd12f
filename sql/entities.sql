--
-- Entities: operations, signals, calls, critical sections.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- A counter, which keeps a record of what it has done in a table: effects and state are one commit.
CREATE TABLE done (n integer GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION counter(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
DECLARE
    now_is integer := coalesce(state::integer, 0);
BEGIN
    INSERT INTO app.done (what) VALUES (concat_ws(' ', operation, input));
    CASE operation
        WHEN 'add' THEN now_is := now_is + input::integer;
        WHEN 'get' THEN NULL;
        WHEN 'delete' THEN RETURN (NULL, state)::durable.entity_result;
        WHEN 'fail' THEN RAISE EXCEPTION 'not today' USING ERRCODE = 'AB123', DETAIL = 'nor tomorrow';
    END CASE;
    RETURN (to_jsonb(now_is), to_jsonb(now_is))::durable.entity_result;
END $$;
SELECT durable.register_entity('Counter', 'counter(jsonb,text,jsonb)', 'counts');
SELECT kind, name, handler, description FROM durable.registrations WHERE kind = 'entity';

-- signals, in their order, whatever the case of the name
SELECT durable.signal_entity('counter', 'a', 'add', 5);
SELECT durable.signal_entity('COUNTER', 'a', 'get');
SELECT durable.signal_entity('counter', 'a', 'add', 7);
SELECT durable.entity_state('counter', 'a');
CALL durable.drain();
SELECT durable.entity_state('counter', 'a');
SELECT what FROM done ORDER BY n;
SELECT entity_id, name, key, owner, state, locked_by, waiting, last_failure, problem, next_try FROM durable.entities;

-- one that fails leaves nothing but its failure, and the next one is run
TRUNCATE done;
SELECT durable.signal_entity('counter', 'a', 'fail');
SELECT durable.signal_entity('counter', 'b', 'fail');
CALL durable.drain();
SELECT what FROM done ORDER BY n;
SELECT entity_id, state, last_failure - 'context' AS last_failure FROM durable.entities ORDER BY 1;
SELECT durable.signal_entity('counter', 'a', 'add', 1);
CALL durable.drain();
SELECT entity_id, state, last_failure - 'context' AS last_failure FROM durable.entities ORDER BY 1;

-- the key is any text
SELECT durable.signal_entity('counter', key, 'add', 1) FROM unnest(ARRAY['', '@', ' ', 'a@b@c', E'x\ny', 'ä']) key;
CALL durable.drain();
SELECT to_json(key) AS key, to_json(entity_id) AS entity_id, state, durable.entity_state(name, key) FROM durable.entities
WHERE key NOT IN ('a', 'b') ORDER BY entity_id COLLATE "C";
SELECT count(durable.purge_entity('counter', key)) FROM unnest(ARRAY['', '@', ' ', 'a@b@c', E'x\ny', 'ä']) key;

-- without a state it is gone
SELECT durable.signal_entity('counter', 'a', 'delete');
SELECT durable.signal_entity('counter', 'b', 'delete');
CALL durable.drain();
SELECT durable.entity_state('counter', 'a');
SELECT count(*) FROM durable.entity;

-- for later: in the order of the times
TRUNCATE done;
SELECT durable.signal_entity('counter', 'a', 'add', 3, durable.clock() + interval '3 hours');
SELECT durable.signal_entity('counter', 'a', 'add', 2, durable.clock() + interval '2 hours');
SELECT durable.signal_entity('counter', 'a', 'add', 1, durable.clock() - interval '2 hours');
CALL durable.drain();
SELECT what FROM done ORDER BY n;
SELECT durable.advance_clock('2 hours 1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT what FROM done ORDER BY n;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT what FROM done ORDER BY n;
SELECT durable.entity_state('counter', 'a'), (SELECT count(*) FROM durable.entity_operation) AS later, (SELECT count(*) FROM durable.timer) AS timers;

-- what is refused
SELECT durable.signal_entity('countr', 'a', 'add', 1);
SELECT durable.signal_entity('nothing like it', 'a', 'add', 1);
SELECT durable.signal_entity('a@b', 'a', 'add', 1);
SELECT durable.signal_entity('counter', NULL, 'add', 1);
SELECT durable.signal_entity('', 'a', 'add', 1);
SELECT durable.signal_entity('counter', 'a', NULL, 1);
SELECT durable.signal_entity('counter', 'a', E'a\nb', 1);
SELECT durable.signal_entity('counter', repeat('x', 1020), 'add', 1);
SELECT durable.call_entity('counter', 'a', 'get');
SELECT durable.lock_entities('@counter@a');
SELECT durable.register_entity('twice', 'twice(integer)');
SELECT durable.register_entity('a@b', 'counter(jsonb,text,jsonb)');
SELECT durable.register_entity('counter', NULL);
CREATE FUNCTION strict(state jsonb, operation text, input jsonb) RETURNS durable.entity_result STRICT LANGUAGE sql AS 'SELECT state, input';
SELECT durable.register_entity('strict', 'strict(jsonb,text,jsonb)');
SELECT durable.unregister_entity('nothing');

-- calls from an orchestration, with results and errors; many to one in one unit are one update of it
CREATE FUNCTION calls(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    results jsonb := '[]';
BEGIN
    PERFORM durable.signal_entity('counter', 'c', 'add', 100);
    FOR i IN 1 .. n LOOP
        results := results || durable.call_entity('counter', 'c', 'add', i);
    END LOOP;
    BEGIN
        PERFORM durable.call_entity('counter', 'c', 'fail');
    EXCEPTION WHEN SQLSTATE 'AB123' THEN
        results := results || to_jsonb(SQLERRM);
    END;
    RETURN results || coalesce(durable.call_entity('counter', 'new', 'delete'), '"null"');
END $$;
TRUNCATE done;
SELECT durable.start('calls', 3, 'calls');
CALL durable.drain();
SELECT * FROM run;
SELECT * FROM story('calls');
SELECT what FROM done ORDER BY n;
SELECT entity_id, state FROM durable.entities ORDER BY 1;

-- errors of the call itself; one that nobody catches is the orchestration's
CREATE FUNCTION calls_nothing(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_entity(name, 'c', 'fail');
END $$;
SELECT durable.start('calls_nothing', 'nothing', 'nothing');
SELECT durable.start('calls_nothing', 'counter', 'failing');
CALL durable.drain();
SELECT * FROM run WHERE instance_id IN ('nothing', 'failing') ORDER BY 1 DESC;
CREATE FUNCTION reads(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.entity_state('counter', 'c');
END $$;
SELECT durable.start('reads', 1, 'reads');
CALL durable.drain();
SELECT * FROM run WHERE instance_id = 'reads';

-- an orchestration signals for later, and does not wait for it
CREATE FUNCTION reminds(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.signal_entity('counter', 'later', 'add', n, durable.now() + interval '1 hour');
    RETURN 'reminded';
END $$;
SELECT durable.start('reminds', 4, 'reminds');
CALL durable.drain();
SELECT status, output, durable.entity_state('counter', 'later') FROM run WHERE instance_id = 'reminds';
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.entity_state('counter', 'later');

-- the code calls another entity than the history has: an instance under way keeps its code
CREATE FUNCTION changes(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_entity('counter', 'c', 'get');
    RETURN durable.wait_for_external_event('go');
END $$;
SELECT durable.start('changes', 1, 'changes');
CALL durable.drain();
CREATE OR REPLACE FUNCTION changes(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_entity('counter', 'd', 'get');
    RETURN durable.wait_for_external_event('go');
END $$;
SELECT durable.repin('changes');
SELECT durable.raise_event('changes', 'go');
CALL durable.drain();
SELECT instance_id, runtime_status, suspend_reason FROM durable.instances WHERE instance_id = 'changes';

-- only letters of ASCII are made lower case
SELECT durable.register_entity('ZÄhler', 'counter(jsonb,text,jsonb)'), durable.unregister_entity('zÄHLER');

-- the handler cannot be called: operations wait, and are run when it has been mended
SELECT durable.unregister_entity('counter');
SELECT durable.start('calls_nothing', 'counter', 'unregistered');
CALL durable.drain();
SELECT status, failure FROM run WHERE instance_id = 'unregistered';
SELECT durable.register_entity('counter', 'counter(jsonb,text,jsonb)');
SELECT durable.signal_entity('counter', 'h', 'add', 1);
SELECT durable.signal_entity('counter', 'h', 'add', 2);
SELECT durable.unregister_entity('counter');
CALL durable.drain();
SELECT entity_id, state, waiting, problem, next_try > durable.clock() AS later FROM durable.entities WHERE key = 'h';
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT entity_id, state, waiting, problem, next_try > durable.clock() AS later FROM durable.entities WHERE key = 'h';
SELECT ok, regexp_replace(detail, '\d+', 'N'), hint FROM durable.doctor() WHERE check_name = 'entities';
SELECT durable.register_entity('counter', 'counter(jsonb,text,jsonb)');
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT entity_id, state, waiting, problem, next_try FROM durable.entities WHERE key = 'h';
SELECT count(*) FROM durable.timer;

-- in the transaction of the caller: seen at once, and taken back with it
BEGIN;
SELECT durable.apply_entity('counter', 'now', 'add', 5), durable.entity_state('counter', 'now');
SAVEPOINT s;
SELECT durable.apply_entity('counter', 'now', 'add', 5), durable.entity_state('counter', 'now');
ROLLBACK TO s;
SELECT durable.apply_entity('counter', 'now', 'fail');
ROLLBACK TO s;
COMMIT;
SELECT durable.entity_state('counter', 'now');
BEGIN;
SELECT durable.apply_entity('counter', 'now', 'delete'), durable.entity_state('counter', 'now');
ROLLBACK;
SELECT durable.apply_entity('counter', 'now', 'add', 1);
SELECT durable.apply_entity('counter', 'now', 'delete');
SELECT count(*) FROM durable.entity WHERE entity_id = '@counter@now';
SELECT durable.apply_entity('nothing', 'now', 'delete');
-- an activity applies, also where its batch has the same entity in memory: then it has a transaction of its own
CREATE FUNCTION adds(key text, n integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.apply_entity('counter', key, 'add', n) $$;
SELECT durable.register_activity('adds', 'adds(text,integer)', execution => 'inline');
CREATE FUNCTION adds_twice(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    results jsonb := '[]';
BEGIN
    results := results || durable.call_activity('adds', '["act", 1]'::jsonb);
    results := results || durable.call_entity('counter', 'act', 'add', 10);
    results := results || durable.call_activity('adds', '["act", 100]'::jsonb);
    RETURN results || durable.call_entity('counter', 'act', 'add', 1000);
END $$;
SELECT durable.start('adds_twice', 1, 'adds_twice');
CALL durable.drain();
SELECT output, durable.entity_state('counter', 'act') FROM durable.instances WHERE instance_id = 'adds_twice';
CREATE FUNCTION nested(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
BEGIN
    RETURN (state, durable.apply_entity('nested', 'x', 'again'))::durable.entity_result;
END $$;
SELECT durable.register_entity('nested', 'nested(jsonb,text,jsonb)');
SELECT durable.apply_entity('nested', 'x', 'go');

-- purge
SELECT durable.signal_entity('counter', 'h', 'add', 2, durable.clock() + interval '1 hour');
SELECT durable.purge_entity('counter', 'h'), durable.purge_entity('counter', 'h'), durable.entity_state('counter', 'h');
SELECT count(*) FROM durable.entity_operation;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.entity_state('counter', 'h'), (SELECT count(*) FROM durable.timer) AS timers;

-- entities belong to their owner
CREATE ROLE regress_entities LOGIN;
SELECT durable.grant_usage('regress_entities');
GRANT USAGE ON SCHEMA app TO regress_entities;
GRANT INSERT ON done TO regress_entities;
SET ROLE regress_entities;
SELECT count(*) FROM durable.entities;
SELECT durable.entity_state('counter', 'c');
SELECT durable.entity_state('counter', 'c', current_user::regrole);
SELECT durable.entity_state('counter', 'c', (SELECT rolname FROM pg_roles WHERE oid = 10)::regrole) IS NULL;
SELECT durable.purge_entity('counter', 'c');
SELECT durable.signal_entity('counter', 'c', 'add', 1);	-- the registration of a superuser counts for everybody
CALL durable.drain();
SELECT entity_id, owner, state FROM durable.entities;
RESET ROLE;
SELECT entity_id, owner = 'regress_entities'::regrole AS hers FROM durable.entities WHERE key = 'c' ORDER BY 2;
SET ROLE regress_entities;
SELECT durable.purge_entity('counter', 'c');
RESET ROLE;
SELECT durable.revoke_usage('regress_entities');
DROP OWNED BY regress_entities;
DROP ROLE regress_entities;
