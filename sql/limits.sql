--
-- Limits: events of a history, durable calls without a wait.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
CREATE FUNCTION steps(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM durable.call_activity('twice', i);
    END LOOP;
    RETURN n;
END $$;
CREATE FUNCTION wide(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks[i] := durable.schedule_activity('twice', i);
    END LOOP;
    RETURN cardinality(durable.when_all(VARIADIC tasks));
END $$;
SET durable.history_limit = 100;
SELECT durable.start('steps', 50, 'fits'), durable.start('steps', 51, 'too long');
CALL durable.drain();
SELECT instance_id, runtime_status, output, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message, failure ->> 'hint' AS hint
FROM durable.instances ORDER BY 1;
-- one that has got further under another limit is replayed, but makes no further call
RESET durable.history_limit;
CREATE FUNCTION waits(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM steps(n);
    PERFORM durable.wait_for_external_event('go');
    PERFORM durable.call_activity('twice', 1);
    RETURN 'done';
END $$;
SELECT durable.start('waits', 60, 'over'), durable.start('waits', 60, 'caught');
CALL durable.drain();
SET durable.history_limit = 100;
SELECT durable.raise_event('over', 'go');
CALL durable.drain();
SELECT runtime_status, failure ->> 'message' AS message FROM durable.instances WHERE instance_id = 'over';
RESET durable.history_limit;

SET durable.turn_calls_limit = 10;
SELECT durable.start('wide', 10, 'narrow'), durable.start('wide', 11, 'too wide'), durable.start('steps', 30, 'one after the other');
CALL durable.drain();
SELECT instance_id, runtime_status, output, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message, failure ->> 'hint' AS hint
FROM durable.instances WHERE instance_id IN ('narrow', 'too wide', 'one after the other') ORDER BY 1;
RESET durable.turn_calls_limit;

-- told of in the log, once
SET durable.history_warn = 20;
SELECT durable.start('waits', 10, 'long');
SET client_min_messages = log;
CALL durable.drain();
SELECT durable.raise_event('long', 'go');
CALL durable.drain();
RESET client_min_messages;
SELECT runtime_status FROM durable.instances WHERE instance_id = 'long';
SET durable.history_limit = 10;
SET durable.history_limit = 500001;
