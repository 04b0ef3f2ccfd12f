--
-- Thousands of random orchestrations: in batches as they come, and one activity at
-- a time with everything that arrives in random order, they come to what they must.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/random_programs.sql'
\i :file
\set ECHO all
\set seed 0.25
\echo seed :seed

SELECT random_program.generate(1000, :seed) > 5000 AS "many nodes";
-- of every kind, and many that fail
WITH RECURSIVE node AS (
    SELECT jsonb_array_elements(code) AS node FROM random_program.program
    UNION ALL
    SELECT m.member FROM node, LATERAL (SELECT jsonb_array_elements(node -> 'of') UNION ALL SELECT node -> 'body' UNION ALL SELECT node -> 'handler') m (member)
    WHERE m.member IS NOT NULL
)
SELECT string_agg(op, ' ' ORDER BY op) FROM (SELECT node ->> 'op' AS op FROM node GROUP BY 1 HAVING count(*) > 50) o;
SELECT count(*) FILTER (WHERE sqlstate IS NOT NULL) > 100 AS "many fail", count(*) FILTER (WHERE result IS NOT NULL) > 100 AS "many succeed",
       sum(effects) > 1000 AS "many effects", sum(jsonb_array_length(events)) > 100 AS "many events" FROM random_program.program;

-- lets those run that can, until all that is left waits for events
CREATE PROCEDURE let_run() LANGUAGE plpgsql AS $$
BEGIN
    CALL durable.drain(NULL);
    WHILE EXISTS (SELECT FROM durable.timer WHERE due_at < durable.clock() + interval '1 day') LOOP
        PERFORM durable.advance_clock('1 minute');
        CALL durable.drain(NULL);
    END LOOP;
END $$;

-- in batches as they come, all events there before the first turn
BEGIN;
SELECT random_program.start('inline', 'inline ');
SELECT random_program.raise('inline ') > 0 AS raised;
COMMIT;
CALL let_run();
SELECT * FROM random_program.unfinished;
SELECT * FROM random_program.wrong;

-- as the engine sees fit, the events afterwards
SELECT random_program.start('auto', 'auto ');
CALL let_run();
SELECT count(*) > 0 AS "some wait for events" FROM random_program.unfinished;
SELECT random_program.raise('auto ') > 0 AS raised;
CALL let_run();
SELECT * FROM random_program.unfinished;
SELECT * FROM random_program.wrong;

-- each activity in a transaction of its own, turn by turn: completions in random order, events
-- one by one, and instances that are suspended and resumed at random
CREATE FUNCTION shuffle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.run_at := NEW.run_at - random() * interval '1 hour';
    RETURN NEW;
END $$;
CREATE TRIGGER shuffle BEFORE INSERT ON durable.task_queue FOR EACH ROW EXECUTE FUNCTION shuffle();
CREATE PROCEDURE let_run_disturbed() LANGUAGE plpgsql AS $$
DECLARE
    rounds integer := 0;
BEGIN
    WHILE EXISTS (SELECT FROM random_program.unfinished) LOOP
        rounds := rounds + 1;
        IF rounds > 200 THEN
            RAISE EXCEPTION 'it does not end';
        END IF;
        PERFORM durable.suspend(instance_id) FROM random_program.unfinished WHERE random() < 0.1;
        PERFORM random_program.raise('task ', 0.5);
        COMMIT;
        CALL durable.drain(NULL);
        PERFORM durable.resume(instance_id) FROM random_program.unfinished WHERE runtime_status = 'Suspended';
        PERFORM durable.advance_clock('7 seconds');
        COMMIT;
    END LOOP;
END $$;
SELECT random_program.start('task', 'task ');
CALL let_run_disturbed();
SELECT * FROM random_program.unfinished;
SELECT * FROM random_program.wrong;

-- each of them three times, and nothing is left
SELECT count(*) FROM random_program.instance;
SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;

-- the comparison finds what is wrong
UPDATE random_program.program SET result = result + 1 WHERE id = (SELECT min(id) FROM random_program.program WHERE sqlstate IS NULL);
INSERT INTO random_program.effect SELECT instance_id, n FROM random_program.effect WHERE instance_id LIKE 'task %' LIMIT 1;
DELETE FROM random_program.effect WHERE ctid = (SELECT max(ctid) FROM random_program.effect WHERE instance_id LIKE 'auto %');
SELECT count(*) AS wrong FROM random_program.wrong;
