--
-- What fails in an activity fails in the orchestration, with its own SQLSTATE, in every replay.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');
SELECT durable.register_activity('Fail as a task', 'fail(text,text,text,text)', execution => 'task');
SELECT durable.register_activity('Fail inline', 'fail(text,text,text,text)', execution => 'inline');

-- uncaught: the instance fails with it
CREATE FUNCTION calls(name text, input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity(name, input);
END $$;
SELECT durable.start('calls', jsonb_build_array(name, '["XY123", "it did not work", "In detail.", "Try again."]'::jsonb), name)
FROM unnest('{Fail as a task,Fail inline}'::text[]) name;
CALL durable.drain();
SELECT instance_id, status, failure FROM run ORDER BY 1;
SELECT regexp_replace(failure ->> 'context', '^.*\n', '') AS context FROM durable.instances;
SELECT seq, event, task, payload FROM story('Fail as a task');
SELECT payload ->> 'context' AS context FROM durable.history('Fail as a task') WHERE event_type = 'TaskFailed';
SELECT count(*) AS "effects of what failed" FROM effects;

-- caught by name, by number, by OTHERS; all of what was said is there; the same in each replay
CREATE FUNCTION catches() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
    m text; d text; h text; s text;
BEGIN
    BEGIN
        PERFORM durable.call_activity('Fail as a task', '["unique_violation", "key exists", "Key (a)=(1)."]'::jsonb);
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
        told := told || jsonb_build_array(s, m, d, h);
    END;
    PERFORM durable.call_activity('Effect', told::text);
    BEGIN
        PERFORM durable.call_activity('Fail inline', '["XY123", "own class"]'::jsonb);
    EXCEPTION
        WHEN unique_violation THEN
            told := told || '"the wrong handler"';
        WHEN SQLSTATE 'XY123' THEN
            told := told || to_jsonb(SQLERRM);
    END;
    PERFORM durable.call_activity('Effect', told::text);
    BEGIN
        PERFORM durable.when_all(durable.schedule_activity('twice', 1),
                                 durable.schedule_activity('Fail as a task', '["22012", "the second"]'::jsonb),
                                 durable.schedule_activity('Fail inline', '["22023", "the third, which fails first"]'::jsonb));
    EXCEPTION WHEN data_exception OR division_by_zero OR invalid_parameter_value THEN
        told := told || to_jsonb(SQLERRM);
    END;
    PERFORM durable.call_activity('Effect', told::text);
    BEGIN
        BEGIN
            PERFORM durable.call_activity('Fail inline', '["P0004", "an assertion"]'::jsonb);
        EXCEPTION WHEN OTHERS THEN
            told := told || '"OTHERS does not catch assertions"';
        END;
    EXCEPTION WHEN assert_failure THEN
        told := told || to_jsonb(SQLERRM);
    END;
    RETURN told || durable.call_activity('Effect', told::text);
END $$;
SELECT durable.start('catches', NULL, 'catches');
CALL durable.drain();
SELECT status, jsonb_array_elements(output) FROM run WHERE instance_id = 'catches';
SELECT count(*), count(DISTINCT what) FROM effects;

-- asked again, a task fails again; when_any gives the one that failed without raising
CREATE FUNCTION asks_again() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    task durable.task := durable.schedule_activity('Fail inline', '["XY123", "once more"]'::jsonb);
    told jsonb := to_jsonb(durable.when_any(task));
BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            PERFORM durable.result(task);
        EXCEPTION WHEN SQLSTATE 'XY123' THEN
            told := told || to_jsonb(SQLERRM);
        END;
    END LOOP;
    RETURN told;
END $$;
SELECT durable.start('asks_again', NULL, 'asks_again');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'asks_again';

-- a failure of the orchestration itself, handled and not, raised again with another code
CREATE FUNCTION own(how text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Effect', 'own ' || how);
    CASE how
        WHEN 'division' THEN RETURN 1 / (length(how) - 8);
        WHEN 'raise' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'WF999', DETAIL = 'd', HINT = 'h';
        WHEN 'reraise' THEN
            BEGIN
                PERFORM durable.call_activity('Fail inline', '["XY123", "first"]'::jsonb);
            EXCEPTION WHEN OTHERS THEN
                RAISE EXCEPTION 'because of: %', SQLERRM USING ERRCODE = 'XY999';
            END;
        WHEN 'reraise as it is' THEN
            BEGIN
                PERFORM durable.call_activity('Fail inline', '["XY123", "as it is"]'::jsonb);
            EXCEPTION WHEN OTHERS THEN
                RAISE;
            END;
        WHEN 'assert' THEN ASSERT false, 'asserted';
        WHEN 'no result' THEN
            RAISE no_data_found;
        WHEN 'warning' THEN RAISE WARNING 'only a warning';
    END CASE;
    RETURN 'end of ' || how;
END $$;
SELECT durable.start('own', how, 'own: ' || how) FROM unnest('{division,raise,reraise,reraise as it is,assert,no result,warning,neither}'::text[]) how;
CALL durable.drain();
SELECT instance_id, status, output, failure FROM run WHERE instance_id LIKE 'own%' ORDER BY instance_id;

-- compensation: what was done is undone in reverse order, in the words of the language
CREATE FUNCTION book(what text, at_fault text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effects (what) VALUES ('booked ' || book.what);
    IF what = at_fault THEN
        RAISE EXCEPTION '% is not to be had', what USING ERRCODE = 'XB001';
    END IF;
    RETURN what;
END $$;
CREATE FUNCTION trip(at_fault text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    booked text[] := '{}';
    what text;
BEGIN
    FOREACH what IN ARRAY '{flight,hotel,car}'::text[] LOOP
        PERFORM durable.call_activity('book', jsonb_build_object('what', what, 'at_fault', at_fault));
        booked := what || booked;
    END LOOP;
    RETURN 'a nice trip';
EXCEPTION WHEN SQLSTATE 'XB001' THEN
    FOREACH what IN ARRAY booked LOOP
        PERFORM durable.call_activity('Effect', 'cancelled ' || what);
    END LOOP;
    RETURN 'stays at home: ' || SQLERRM;
END $$;
TRUNCATE effects;
SELECT durable.start('trip', 'car', 'trip'), durable.start('trip', 'nothing', 'nice trip');
CALL durable.drain();
SELECT instance_id, output FROM run WHERE instance_id LIKE '%trip' ORDER BY 1;
SELECT what, count(*) FROM effects GROUP BY what ORDER BY min(n);

-- names that mean nothing: 42883 with what they might have meant; also when they are found in no schema of the path
CREATE SCHEMA hidden;
CREATE FUNCTION hidden.activity() RETURNS text LANGUAGE sql AS $$ SELECT 'hidden' $$;
CREATE FUNCTION hidden.calls() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('activity') $$;
CREATE FUNCTION ambiguous(x integer) RETURNS text LANGUAGE sql AS $$ SELECT 'integer' $$;
CREATE FUNCTION ambiguous(x text) RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
CREATE PROCEDURE procedure() LANGUAGE sql AS $$ SELECT 1 $$;
CREATE AGGREGATE agg(integer) (sfunc = int4pl, stype = integer);
SELECT durable.start('calls', jsonb_build_array(name, 1), 'name: ' || name)
FROM unnest('{twyce,Effekt,app.twyce,nowhere.twice,activity,hidden.activity,ambiguous,ambiguous(integer),procedure,agg,generate_series,twice(text),x.y.z.w}'::text[]) name;
SELECT durable.start('hidden.calls', NULL, 'name: from its own schema');
CALL durable.drain();
SELECT instance_id, status, output, (SELECT detail FROM durable.waiting w WHERE w.instance_id = run.instance_id AND kind = 'resume') AS reason
FROM run WHERE instance_id LIKE 'name%' ORDER BY instance_id COLLATE "C";

-- inputs that do not fit, results that are no JSON
CREATE FUNCTION dates(a date, b date DEFAULT '2000-01-01') RETURNS date LANGUAGE sql AS $$ SELECT greatest(a, b) $$;
CREATE FUNCTION nans() RETURNS float8[] LANGUAGE sql AS $$ SELECT ARRAY['NaN', '-Infinity', 1.5]::float8[] $$;
CREATE FUNCTION nul() RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$;
CREATE TABLE inputs (id text, name text, input jsonb);
INSERT INTO inputs VALUES ('date', 'dates', '["2024-02-29"]'), ('no date', 'dates', '["2023-02-29"]'), ('too many', 'dates', '["2024-02-29", null, 1]'),
    ('by name', 'dates', '{"b": "2024-02-29", "a": null}'), ('unknown name', 'dates', '{"a": "2024-02-29", "c": 1}'), ('missing', 'dates', '{"b": "2024-02-29"}'),
    ('a scalar for two', 'dates', '1'), ('nans', 'nans', NULL), ('nul', 'nul', NULL);
SELECT durable.start('calls', jsonb_build_array(name, input), 'input: ' || id) FROM inputs;
CALL durable.drain();
SELECT instance_id, output, failure - 'attempt' - 'activity' AS failure, (SELECT detail FROM durable.waiting w WHERE w.instance_id = run.instance_id AND kind = 'resume') AS reason
FROM run WHERE instance_id LIKE 'input%' ORDER BY instance_id;
SELECT count(durable.terminate(instance_id)) AS terminated FROM run WHERE status = 'Suspended';
CALL durable.drain();

-- long texts of an error are cut at a character
SELECT durable.start('calls', jsonb_build_array('Fail inline', jsonb_build_array('XY123', repeat('ä', 10000), repeat('€', 10000), repeat('🐉', 10000))), 'long');
CALL durable.drain();
SELECT octet_length(failure ->> 'message') AS message, octet_length(failure ->> 'detail') AS detail, octet_length(failure ->> 'hint') AS hint,
       right(failure ->> 'message', 1) || right(failure ->> 'detail', 1) || right(failure ->> 'hint', 1) AS whole
FROM run WHERE instance_id = 'long';

-- timeouts of activities: failures like others, which OTHERS catches; inline and as a task
CREATE FUNCTION slow() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.effects (what) VALUES ('slow');
    LOOP END LOOP;
END $$;
SELECT durable.register_activity('Slow', 'slow()', execution => 'inline', timeout => '30 ms');
CREATE FUNCTION impatient() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
BEGIN
    BEGIN
        PERFORM durable.call_activity('slow', timeout => '20 ms');
    EXCEPTION WHEN OTHERS THEN
        told := told || jsonb_build_array(SQLSTATE, SQLERRM);
    END;
    BEGIN
        PERFORM durable.call_activity('Slow');
    EXCEPTION WHEN OTHERS THEN
        told := told || jsonb_build_array(SQLSTATE, SQLERRM);
    END;
    BEGIN
        PERFORM durable.call_activity('Slow', timeout => '10 ms');
    EXCEPTION WHEN OTHERS THEN
        told := told || jsonb_build_array(SQLSTATE, SQLERRM);
    END;
    RETURN told || durable.call_activity('Effect', 'after', timeout => '178000000 years');
END $$;
TRUNCATE effects;
SELECT durable.start('impatient', NULL, 'impatient');
CALL durable.drain();
SELECT status, jsonb_array_elements_text(output) FROM run WHERE instance_id = 'impatient';
SELECT what FROM effects;
-- the limit of all that have none
SET durable.activity_timeout TO '20 ms';
SELECT durable.start('calls', '["slow", null]'::jsonb, 'general limit');
CALL durable.drain();
RESET durable.activity_timeout;
SELECT status, failure FROM run WHERE instance_id = 'general limit';

-- an activity that is cut off by memory fails, and so does the orchestration that does not handle it
SELECT durable.start('calls', '["Fail inline", ["53200", "out of memory"]]'::jsonb, 'memory');
CALL durable.drain();
SELECT status, failure FROM run WHERE instance_id = 'memory';

-- who raises it decides and not its SQLSTATE: what the code raises counts, and is tried again as the policy says
CREATE FUNCTION conflicts() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    attempt integer := nextval('attempts');
BEGIN
    INSERT INTO effects (what) VALUES ('conflicts ' || attempt);
    IF attempt < 3 THEN
        RAISE EXCEPTION USING ERRCODE = CASE attempt WHEN 1 THEN '40001' ELSE '40P01' END, MESSAGE = 'conflict';
    END IF;
    RETURN 'attempt ' || attempt;
END $$;
SELECT durable.register_activity('Conflicts', 'conflicts()', execution => 'inline', retry => durable.retry(2));
TRUNCATE effects;
SELECT setval('attempts', 1, false);
SELECT durable.start('calls', '["Conflicts", null]'::jsonb, 'conflicts');
CALL durable.drain();
SELECT count(*), max(attempt) AS attempt, max(last_failure ->> 'sqlstate') AS sqlstate FROM durable.task_queue;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output, failure FROM run WHERE instance_id = 'conflicts';
SELECT event, payload FROM story('conflicts');
SELECT what FROM effects;

SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
