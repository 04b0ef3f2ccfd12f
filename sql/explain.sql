--
-- durable.explain, durable.calls and durable.source.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
SET datestyle TO iso;
SET timezone TO 'UTC';
CREATE FUNCTION app.double(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n * 2 $$;
CREATE FUNCTION app.fail(n jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RAISE unique_violation USING MESSAGE = 'no room for ' || (n #>> '{}');
END $$;
CREATE FUNCTION app.child(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.wait_for_external_event('Child');
END $$;
CREATE FUNCTION app.everything(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    t durable.task;
    w durable.task;
BEGIN
    PERFORM durable.set_custom_status('"busy"');
    PERFORM durable.call_activity('app.double', 21);
    BEGIN
        PERFORM durable.call_activity('app.fail', repeat('x', 100));
    EXCEPTION WHEN unique_violation THEN
        PERFORM durable.log('no room; "still" <b>going</b>' || chr(10) || 'on #1');
    END;
    t := durable.create_timer('2100-01-01 00:00:00+00');
    w := durable.external_event('Never');
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.cancel_timer(t);
    PERFORM durable.cancel_timer(w);
    PERFORM durable.send_event('one', 'Extra', 1);
    PERFORM durable.wait_for_external_event('extra');
    PERFORM durable.schedule_sub_orchestrator('app.child', 1, 'the child');
    PERFORM durable.sleep('1 hour');
    RETURN durable.wait_for_external_event('Stop');
END $$;
-- times are masked
CREATE FUNCTION app.plain(line text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(line, '(?!2100)20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?\+00(:00)?', '<time>', 'g'),
                          'after \d+\.\d+ s', 'after <time>', 'g'), '\d+ turns', '<n> turns')
$$;

SELECT durable.start('everything', '{"a": 1}', 'one');
SELECT app.plain(e) FROM durable.explain('one') e;
CALL durable.drain();
SELECT app.plain(e) FROM durable.explain('one') e;
SELECT durable.raise_event('one', 'Go', 'go');
CALL durable.drain();
SELECT task, kind, name, target, input, state, CASE jsonb_typeof(result) WHEN 'object' THEN result - 'context' ELSE result END AS result, answered_at >= called_at AS is_later FROM durable.calls('one');
SELECT app.plain(e) FROM durable.explain('one') e;
SELECT app.plain(e) FROM durable.explain('one', 'mermaid') e;
SELECT j ->> 'runtime_status' AS status, jsonb_array_length(j -> 'calls') AS calls, j #> '{calls,1,name}' AS second, (j #> '{waits_for,0}') - 'since'::text - 'due'::text AS wait
FROM durable.explain('one', 'json') e, LATERAL (SELECT e::jsonb AS j) x;
SELECT app.plain(e) FROM durable.explain('the child') e;

-- the line that waits is a line of the source
SELECT trim((string_to_array(durable.source('one'), E'\n'))[w.line]) FROM durable.waiting w WHERE instance_id = 'one' AND kind = 'timer';

-- suspended, failed, terminated, completed
SELECT durable.suspend('one', 'lunch');
CALL durable.drain();
SELECT app.plain(e) FROM durable.explain('one') e WHERE e LIKE '%resume%' OR e LIKE '%Suspended%';
SELECT durable.terminate('one', 'enough');
SELECT durable.start('fail', 7, 'failed');
SELECT durable.start('double', 7, 'completed');
CALL durable.drain();
SELECT app.plain(e) FROM durable.explain('failed') e;
SELECT app.plain(e) FROM durable.explain('completed') e;
SELECT app.plain(e) FROM durable.explain('one') e WHERE e LIKE 'reason%' OR e LIKE 'waits%';
SELECT app.plain(e) FROM durable.explain('completed', 'mermaid') e;

-- long ones are cut
CREATE FUNCTION app.long(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM durable.call_activity('app.double', i);
    END LOOP;
    RETURN n;
END $$;
SELECT durable.start('long', 1000, 'long');
CALL durable.drain();
SELECT count(*), min(e) FILTER (WHERE e LIKE '%earlier%') FROM durable.explain('long') e;
SELECT count(*) FROM durable.explain('long', 'mermaid') e;
SELECT jsonb_array_length(e::jsonb -> 'calls') FROM durable.explain('long', 'json') e;

-- how far a batch has come
CREATE FUNCTION app.batch(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks := tasks || durable.schedule_activity('app.double', i);
    END LOOP;
    tasks := tasks || durable.schedule_activity('app.fail', 1);
    tasks := tasks || durable.schedule_sub_orchestrator('app.child', 1, 'slow child');
    PERFORM durable.create_timer('infinity');
    PERFORM durable.when_all(VARIADIC tasks);
    RETURN n;
END $$;
SELECT durable.start('batch', 500, 'batch');
SELECT * FROM durable.progress('batch');
CALL durable.drain();
SELECT * FROM durable.progress('batch');
SELECT * FROM durable.progress('nobody');
SELECT * FROM durable.progress(NULL);

-- the function is gone
DROP FUNCTION app.everything;
SELECT durable.source('one');
SELECT count(*) > 5 AS still_explained FROM durable.explain('one');

-- monitoring sees no payloads, others nothing
CREATE ROLE regress_explain_watch IN ROLE pg_monitor;
CREATE ROLE regress_explain_other;
SELECT durable.grant_usage('regress_explain_other');
SET ROLE regress_explain_watch;
SELECT e FROM pg_catalog.regexp_replace('', '', '') r, durable.explain('completed') e WHERE e LIKE 'output%';
SELECT count(*) FROM durable.calls('one') WHERE input IS NOT NULL OR result IS NOT NULL;
SET ROLE regress_explain_other;
SELECT durable.explain('completed');
SELECT durable.calls('completed');
SELECT durable.source('completed');
RESET ROLE;
SELECT durable.revoke_usage('regress_explain_other');
DROP ROLE regress_explain_watch, regress_explain_other;

-- refused
SELECT durable.explain('nobody');
SELECT durable.explain(NULL);
SELECT durable.explain('');
SELECT durable.explain('one', NULL);
SELECT durable.explain('one', 'TEXT');
SELECT durable.explain('one', 'yaml');
SELECT durable.explain(repeat('x', 2000));
