--
-- Many activities or children of one instance: its turns and what is stored of it
-- do not grow with their number.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
CREATE TABLE seen (bytes integer);
CREATE FUNCTION leaf(i integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen SELECT length(waiting) FROM durable.instance WHERE instance_id LIKE 'fan%';
    RETURN i;
END $$;
CREATE FUNCTION sprout(i integer) RETURNS integer LANGUAGE sql AS 'SELECT i';
SELECT durable.register_activity('inline leaf', 'leaf(integer)', execution => 'inline');
SELECT durable.register_activity('task leaf', 'leaf(integer)', execution => 'task');
CREATE FUNCTION fan(name text, n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        IF name = 'sprout' THEN
            tasks[i] := durable.schedule_sub_orchestrator(name, i);
        ELSE
            tasks[i] := durable.schedule_activity(name, i);
        END IF;
    END LOOP;
    RETURN (SELECT sum(r::text::integer) FROM unnest(durable.when_all(VARIADIC tasks)) AS r);
END $$;

-- run inline over many batches
SELECT durable.start('fan', '["inline leaf", 1000]'::jsonb, 'fan 1');
CALL durable.drain();
SELECT runtime_status, output, turns < 5 AS "few turns" FROM durable.instances WHERE instance_id = 'fan 1';
SELECT count(*), coalesce(max(bytes), 0) < 200 AS "a short list" FROM seen;

-- as tasks, and as children: one turn schedules, one goes on when all are there
SELECT durable.start('fan', '["task leaf", 400]'::jsonb, 'fan 2');
CALL durable.drain();
SELECT runtime_status, output, turns < 5 AS "few turns" FROM durable.instances WHERE instance_id = 'fan 2';
SELECT durable.start('fan', '["sprout", 1000]'::jsonb, 'fan 3');
CALL durable.drain();
SELECT runtime_status, output, turns < 5 AS "few turns" FROM durable.instances WHERE instance_id = 'fan 3';

-- what is shown meanwhile, from all of them to the last one
CREATE FUNCTION gate(i integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('go');
    RETURN i;
END $$;
CREATE FUNCTION gates(n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks[i] := durable.schedule_sub_orchestrator('gate', i, 'gate ' || i);
    END LOOP;
    RETURN (SELECT sum(r::text::integer) FROM unnest(durable.when_all(VARIADIC tasks || tasks[1:2])) AS r);
END $$;
SELECT durable.start('gates', 23, 'gates');
CALL durable.drain();
SELECT count(*), min(line) IS NOT NULL AS line FROM durable.waiting WHERE instance_id = 'gates';
SELECT right(waiting_on, 40) AS waiting_on FROM durable.instances WHERE instance_id = 'gates';
SELECT count(durable.raise_event('gate ' || i, 'go')) FROM generate_series(1, 20) AS i WHERE i <> 3;
CALL durable.drain();
SELECT waiting_on, turns FROM durable.instances WHERE instance_id = 'gates';
-- an event for it, and another turn, tell the rest
SELECT durable.raise_event('gates', 'unexpected');
CALL durable.drain();
SELECT waiting_on, turns FROM durable.instances WHERE instance_id = 'gates';
SELECT count(durable.raise_event('gate ' || i, 'go')) FROM generate_series(1, 23) AS i WHERE i = 3 OR i > 20;
CALL durable.drain();
SELECT runtime_status, output, turns FROM durable.instances WHERE instance_id = 'gates';

-- one that fails or is terminated counts as an answer
CREATE FUNCTION odd(i integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF i % 2 = 1 THEN
        RAISE 'odd %', i;
    END IF;
    RETURN i;
END $$;
SELECT durable.register_activity('odd', 'odd(integer)', execution => 'task');
SELECT durable.start('fan', '["odd", 10]'::jsonb, 'odd');
CALL durable.drain();
SELECT runtime_status, failure ->> 'message' AS failure FROM durable.instances WHERE instance_id = 'odd';

-- where activities run within the turn, and one of them has to be run outside of it after others were answered
CREATE TABLE written (i integer);
CREATE TABLE writes ();
CREATE FUNCTION mixed(i integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF i = 60 AND EXISTS (SELECT FROM app.writes) THEN
        INSERT INTO app.written VALUES (i);
    END IF;
    RETURN i;
END $$;
SELECT durable.register_activity('mixed', 'mixed(integer)', execution => 'inline');
CREATE FUNCTION mixes(n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks[i] := durable.schedule_activity('mixed', i);
    END LOOP;
    RETURN (SELECT sum(r::text::integer) FROM unnest(durable.when_all(VARIADIC tasks)) AS r);
END $$;
SELECT count(durable.start('mixes', 90, 'mixes ' || i)) FROM generate_series(1, 4) AS i;
CALL durable.drain();
INSERT INTO writes DEFAULT VALUES;
SELECT durable.start('mixes', 90, 'mixes 5');
CALL durable.drain();
SELECT runtime_status, output, count(*) FROM durable.instances WHERE instance_id LIKE 'mixes %' GROUP BY 1, 2;
SELECT * FROM written;
