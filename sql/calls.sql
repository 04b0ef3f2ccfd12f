--
-- Every durable call: what it returns, what is recorded of it, what it refuses.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- activities: by position and by name, inputs of every kind, none at all
CREATE TYPE pair AS (a integer, b text);
CREATE FUNCTION reflect(x jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT x $$;
CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE FUNCTION inputs() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(
        durable.call_activity('reflect', 'text'),
        durable.call_activity('reflect', 1.50),
        durable.call_activity('reflect', true),
        durable.call_activity('reflect', ROW(1, 'x')::app.pair),
        durable.call_activity('reflect', ARRAY[1, 2]),
        durable.call_activity('reflect', '{"k": [null]}'::jsonb),
        durable.call_activity(name => 'reflect', input => '2024-02-29'::date),
        durable.call_activity('reflect', NULL),
        durable.call_activity('reflect', 'null'::jsonb),
        durable.call_activity('reflect'),
        durable.call_activity('nothing', 'dropped'),
        durable.call_activity('app.twice', 21),
        durable.call_activity('twice(integer)', '{"a": 1}'::jsonb #> '{a}'));
END $$;
SELECT durable.start('inputs', NULL, 'inputs');
CALL durable.drain();
SELECT status, jsonb_array_elements(output) FROM run WHERE instance_id = 'inputs';
SELECT name, payload FROM story('inputs') WHERE event = 'TaskScheduled';

-- scheduling without waiting: tasks are numbered as the calls are made, and asked for later, in any order, again and again
CREATE FUNCTION scheduled() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a durable.task := durable.schedule_activity('twice', 1);
    b durable.task := durable.schedule_activity('twice', 2);
    c durable.task := durable.schedule_activity('twice', 3);
BEGIN
    RETURN jsonb_build_object('tasks', ARRAY[a, b, c],
        'results', jsonb_build_array(durable.result(c), durable.result(a), durable.result(b), durable.result(a)),
        'all', durable.when_all(b, a, b),
        'none', durable.when_all(VARIADIC '{}'),
        'array', durable.when_all(VARIADIC ARRAY[c]));
END $$;
SELECT durable.start('scheduled', NULL, 'scheduled');
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'scheduled';

-- SQL as an activity
CREATE FUNCTION queries() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object(
        'rows', durable.call_sql('SELECT n, n * n AS square FROM generate_series(1, 3) n'),
        'parameters', durable.call_sql('SELECT $1::int + 1 AS a, upper($2) AS b, $3::text AS c', '[41, "x", null]'),
        'none', durable.call_sql('SELECT 1 WHERE false'),
        'insert', durable.call_sql('INSERT INTO app.effects (what) VALUES ($1) RETURNING what', '["by call_sql"]'),
        'utility', durable.call_sql('CREATE TABLE app.made (x int)'));
END $$;
SELECT durable.start('queries', NULL, 'queries');
CALL durable.drain();
SELECT status, key, value FROM run, jsonb_each(output) WHERE instance_id = 'queries';
SELECT what FROM effects;
SELECT * FROM made;
CREATE FUNCTION query(q text, p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sql(q, p);
END $$;
SELECT durable.start('query', jsonb_build_array(q, p::jsonb), id)
FROM (VALUES ('no table', 'SELECT * FROM no_such_table', NULL),
             ('two statements', 'SELECT 1; SELECT 2', NULL),
             ('too many parameters', 'SELECT 1', '[1]'),
             ('too few parameters', 'SELECT $1::int, $2::int', '[1]'),
             ('no array', 'SELECT $1::int', '{"1": 1}'),
             ('untyped', 'SELECT $1 AS it, pg_typeof($1)', '[1]'),
             ('wrong type', 'SELECT $1::int', '["x"]'),
             ('commit', 'COMMIT', NULL),
             ('null', NULL, NULL)) AS v (id, q, p);
CALL durable.drain();
SELECT instance_id, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message FROM run
WHERE instance_id NOT IN ('inputs', 'scheduled', 'queries') ORDER BY instance_id COLLATE "C";

-- time, numbers and names are the same in every replay, and each is its own
CREATE FUNCTION constants() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := durable.now();
    u uuid := durable.uuid();
    r float8 := durable.random();
BEGIN
    PERFORM durable.call_activity('effect', jsonb_build_object('now', started, 'uuid', u, 'random', r)::text);
    PERFORM durable.sleep('1 hour');
    PERFORM durable.call_activity('effect', jsonb_build_object('now', started, 'uuid', u, 'random', r)::text);
    RETURN jsonb_build_object('slept', durable.now() - started BETWEEN '1 hour' AND '1 hour 1 minute',
        'differ', durable.uuid() <> u AND durable.random() <> r,
        'in range', r >= 0 AND r < 1,
        'version', substr(u::text, 15, 1),
        'instance', durable.instance_id(), 'parent', durable.parent_instance_id());
END $$;
SELECT durable.start('constants', NULL, 'constants');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'constants';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE '{%';

-- two instances draw different numbers
CREATE FUNCTION draw() RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_array(durable.uuid(), durable.random()) $$;
SELECT count(durable.start('draw', NULL, 'draw ' || n)) FROM generate_series(1, 100) n;
CALL durable.drain();
SELECT count(DISTINCT output -> 0) AS uuids, count(DISTINCT output -> 1) AS numbers,
       min((output -> 1)::float8) < 0.2 AS low, max((output -> 1)::float8) > 0.8 AS high
FROM run WHERE instance_id LIKE 'draw%';

-- the status a program shows of itself, what it writes down once, and whether it is being replayed
CREATE FUNCTION chatty() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.set_custom_status('{"step": 1}');
    PERFORM durable.log('before, replaying ' || durable.is_replaying());
    IF NOT durable.is_replaying() THEN
        RAISE LOG 'not replaying: the beginning';
    END IF;
    PERFORM durable.sleep('1 minute');
    IF NOT durable.is_replaying() THEN
        RAISE LOG 'not replaying: after the sleep';
    END IF;
    PERFORM durable.log('after, replaying ' || durable.is_replaying());
    PERFORM durable.set_custom_status('{"step": 2}');
    PERFORM durable.call_activity('twice', 1);
    PERFORM durable.log(NULL);
    PERFORM durable.sleep('1 minute');
    RETURN 'end';
END $$;
SET client_min_messages TO log;
SET log_min_messages TO fatal;
\set VERBOSITY terse
SELECT durable.start('chatty', NULL, 'chatty');
CALL durable.drain();
SELECT custom_status FROM durable.status('chatty');
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT custom_status FROM durable.status('chatty');
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
\set VERBOSITY default
RESET client_min_messages;
RESET log_min_messages;
SELECT runtime_status, custom_status, output FROM durable.status('chatty');
SELECT seq, event, payload FROM story('chatty') WHERE event = 'LogWritten';
CREATE FUNCTION forgets_status() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.set_custom_status('"something"');
    PERFORM durable.set_custom_status(NULL);
    RETURN 'end';
END $$;
SELECT durable.start('forgets_status', NULL, 'forgets_status');
CALL durable.drain();
SELECT custom_status FROM durable.status('forgets_status');

-- outside of an orchestration: not in a session, not in an activity
SELECT durable.call_activity('twice', 1);
SELECT durable.schedule_activity('twice', 1);
SELECT durable.call_sql('SELECT 1');
SELECT durable.call_sub_orchestrator('twice', 1);
SELECT durable.schedule_sub_orchestrator('twice', 1);
SELECT durable.create_timer('2030-01-01');
SELECT durable.sleep('1 s');
SELECT durable.cancel_timer(1);
SELECT durable.external_event('x');
SELECT durable.wait_for_external_event('x');
SELECT durable.when_all(1);
SELECT durable.when_any(1);
SELECT durable.result(1);
SELECT durable.start_orchestration('twice', 1);
SELECT durable.send_event('x', 'y');
SELECT durable.continue_as_new(1);
SELECT durable.now();
SELECT durable.uuid();
SELECT durable.random();
SELECT durable.instance_id();
SELECT durable.parent_instance_id();
SELECT durable.is_replaying();
SELECT durable.set_custom_status('1');
SELECT durable.log('x');
CREATE FUNCTION confused() RETURNS timestamptz LANGUAGE sql AS $$ SELECT durable.now() $$;
CREATE FUNCTION calls_confused() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('confused') $$;
SELECT durable.start('calls_confused', NULL, 'confused');
CALL durable.drain();
SELECT failure FROM run WHERE instance_id = 'confused';

-- what calls refuse, the program can handle; nothing of it is recorded twice
CREATE FUNCTION refusals() RETURNS SETOF text LANGUAGE sql AS $$
    VALUES ('durable.call_activity(NULL)'),
           ('durable.call_activity('''')'),
           ('durable.call_activity(repeat(''x'', 1025))'),
           ('durable.call_activity(''twice'', ''x'')'),
           ('durable.call_activity(''twice'', 1, retry => ''{"tries": 3}'')'),
           ('durable.call_activity(''twice'', 1, retry => ''[]'')'),
           ('durable.call_activity(''twice'', 1, timeout => ''0'')'),
           ('durable.call_activity(''twice'', 1, timeout => ''-1 s'')'),
           ('durable.call_activity(''twice'', repeat(''x'', 5000000))'),
           ('durable.schedule_activity(''twice'', 1, retry => ''{"backoff": 0}'')'),
           ('durable.call_sub_orchestrator(NULL)'),
           ('durable.call_sub_orchestrator(''twice'', ''x'')'),
           ('durable.call_sub_orchestrator(''twice'', 1, instance_id => '''')'),
           ('durable.call_sub_orchestrator(''twice'', 1, retry => ''1'')'),
           ('durable.start_orchestration(''twice'', ''x'')'),
           ('durable.start_orchestration(''twice'', 1, '''')'),
           ('durable.send_event(NULL, ''x'')'),
           ('durable.send_event(''x'', NULL)'),
           ('durable.send_event(''x'', '''')'),
           ('durable.send_event(''x'', ''y'', repeat(''x'', 5000000))'),
           ('durable.create_timer(NULL)'),
           ('durable.sleep(NULL)'),
           ('durable.sleep(''300000 years'')'),
           ('durable.cancel_timer(NULL)'),
           ('durable.cancel_timer(0)'),
           ('durable.cancel_timer(10000)'),
           ('durable.external_event(NULL)'),
           ('durable.external_event('''')'),
           ('durable.wait_for_external_event('''')'),
           ('durable.wait_for_external_event(''x'', ''300000 years'')'),
           ('durable.result(NULL)'),
           ('durable.result(0)'),
           ('durable.result(-1)'),
           ('durable.result(10000)'),
           ('durable.result(9223372036854775807)'),
           ('durable.when_all(VARIADIC NULL)'),
           ('durable.when_all(1, NULL)'),
           ('durable.when_any(VARIADIC ''{}'')'),
           ('durable.when_any(NULL)'),
           ('durable.when_any(10000)'),
           ('durable.set_custom_status(to_jsonb(repeat(''x'', 5000000)))'),
           ('durable.log(repeat(''x'', 5000000))'),
           ('durable.continue_as_new(repeat(''x'', 5000000))') $$;
CREATE FUNCTION refused() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    call text;
    told text;
    detail text;
    hint text;
    answers jsonb := '[]';
BEGIN
    PERFORM durable.log('task 1 cannot be waited for');
    FOR call IN SELECT * FROM refusals() LOOP
        BEGIN
            EXECUTE 'SELECT ' || call;
            answers := answers || jsonb_build_array(call || ': accepted');
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            answers := answers || jsonb_build_array(concat_ws(' / ',
                replace(call, repeat('x', 5000000), 'xxxxx...') || ': ' || SQLSTATE || ' ' || told,
                nullif(detail, ''), nullif(hint, '')));
        END;
    END LOOP;
    BEGIN
        PERFORM durable.result(1);
    EXCEPTION WHEN OTHERS THEN
        answers := answers || to_jsonb(SQLERRM);
    END;
    PERFORM durable.sleep('1 s');
    PERFORM durable.call_activity('effect', answers::text);
    PERFORM durable.sleep('1 s');
    RETURN answers;
END $$;
SELECT durable.start('refused', NULL, 'refused');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT jsonb_array_elements_text(output) FROM run WHERE instance_id = 'refused';
SELECT what = (SELECT output::text FROM run WHERE instance_id = 'refused') AS "the same in each turn" FROM effects WHERE what LIKE '[%';
SELECT count(*) FROM effects WHERE what LIKE '[%';

-- a refused call has its number, but is nothing that could be waited for
CREATE FUNCTION refused_task() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM durable.schedule_activity('twice', 1, timeout => '0');
    EXCEPTION WHEN invalid_parameter_value THEN
        RETURN durable.result(1);
    END;
END $$;
SELECT durable.start('refused_task', NULL, 'refused_task');
CALL durable.drain();
SELECT status, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message FROM run WHERE instance_id = 'refused_task';

-- a limit that was raised or lowered meanwhile does not change the past
CREATE FUNCTION large() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text := 'accepted';
BEGIN
    BEGIN
        PERFORM durable.call_activity('reflect', repeat('x', 100000));
    EXCEPTION WHEN OTHERS THEN
        told := SQLSTATE;
    END;
    PERFORM durable.sleep('1 s');
    RETURN told;
END $$;
SELECT durable.start('large', NULL, 'large, accepted');
CALL durable.drain();
SET durable.max_payload TO '10 kB';
SELECT durable.start('large', NULL, 'large, refused');
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
RESET durable.max_payload;
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE 'large%' ORDER BY 1;

-- results that are too large: the activity's failure, or the instance's
CREATE FUNCTION of_size(kb integer) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', kb * 1024) $$;
CREATE FUNCTION asks_for(kb integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('of_size', kb) $$;
SET durable.max_payload TO '10 kB';
SELECT durable.start('asks_for', 20, 'large result');
SELECT durable.start('of_size', 20, 'large output');
CALL durable.drain();
RESET durable.max_payload;
SELECT instance_id, status, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message FROM run WHERE instance_id IN ('large result', 'large output') ORDER BY 1;

-- almost 4 MB
SELECT durable.start('asks_for', 4000, 'just fits');
CALL durable.drain();
SELECT status, length(output #>> '{}') FROM run WHERE instance_id = 'just fits';
