--
-- Where activities run - in the batch or in a transaction of their own - and how
-- much fits into one batch makes no difference.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- one program, its activities as tasks, inline, and as the engine sees fit: the same history
CREATE FUNCTION sum(numbers integer[]) RETURNS bigint LANGUAGE sql AS $$ SELECT sum(x) FROM unnest(numbers) x $$;
CREATE FUNCTION works(kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
    a durable.task; b durable.task;
BEGIN
    told := told || durable.call_activity('effect: ' || kind, 'one');
    BEGIN
        PERFORM durable.call_activity('fail: ' || kind, '["XY123", "no", "d", "h"]'::jsonb);
    EXCEPTION WHEN SQLSTATE 'XY123' THEN
        told := told || to_jsonb(SQLERRM);
    END;
    a := durable.schedule_activity('sum: ' || kind, '[1, 2, 3]'::jsonb);
    b := durable.schedule_activity('sum: ' || kind, '[4, 5, 6]'::jsonb);
    told := told || to_jsonb(durable.when_all(a, b));
    PERFORM durable.sleep('1 hour');
    told := told || durable.call_activity('effect: ' || kind, 'two');
    BEGIN
        PERFORM durable.call_activity('effect: ' || kind, '[1, 2]'::jsonb);
        PERFORM durable.call_activity('sum: ' || kind, 'no array');
    EXCEPTION WHEN invalid_text_representation OR invalid_parameter_value THEN
        told := told || to_jsonb(SQLSTATE);
    END;
    PERFORM durable.wait_for_external_event('Go', '1 hour');
    RETURN told || durable.call_activity('sum: ' || kind, '[7]'::jsonb);
END $$;
SELECT durable.register_activity('effect: ' || kind, 'effect(text)', execution => kind),
       durable.register_activity('fail: ' || kind, 'fail(text,text,text,text)', execution => kind),
       durable.register_activity('sum: ' || kind, 'sum(integer[])', execution => kind)
FROM unnest('{auto,inline,task}'::text[]) kind;
SELECT durable.start('works', kind, kind) FROM unnest('{auto,inline,task}'::text[]) kind;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT count(durable.raise_event(kind, 'Go')) FROM unnest('{auto,inline,task}'::text[]) kind;
CALL durable.drain();
SELECT status, output, count(*) FROM run GROUP BY status, output;
CREATE FUNCTION essence(instance_id text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', seq, event, task, replace(name, instance_id, 'kind'), replace(payload::text, instance_id, 'kind')), E'\n' ORDER BY seq)
    FROM story(instance_id) $$;
SELECT essence('inline') = essence('task') AS "inline as task", essence('inline') = essence('auto') AS "inline as auto";
SELECT string_agg(what, ', ' ORDER BY what) FROM effects WHERE what ~ '^(one|two)';

-- an inline activity that takes too long is taken back, and becomes a task
CREATE FUNCTION dawdles() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + interval '60 ms';
BEGIN
    INSERT INTO effects (what) VALUES ('dawdled ' || nextval('attempts'));
    WHILE clock_timestamp() < until LOOP END LOOP;
    RETURN 'at last';
END $$;
SELECT durable.register_activity('Dawdles', 'dawdles()', execution => 'inline');
CREATE FUNCTION calls(name text, input jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity(name, input) $$;
SET durable.inline_limit TO '1 ms';
SELECT durable.start('calls', '["Dawdles"]'::jsonb, 'dawdles');
CALL durable.drain();
RESET durable.inline_limit;
SELECT status, output FROM run WHERE instance_id = 'dawdles';
SELECT event, task, payload FROM story('dawdles');
SELECT what FROM effects WHERE what LIKE 'dawdled%';

-- 300 activities one after the other, each with a subtransaction that writes: more than one batch allows
CREATE FUNCTION loops(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        PERFORM durable.call_activity('effect: inline', 'loop ' || i);
    END LOOP;
    RETURN to_jsonb(n);
END $$;
SELECT durable.start('loops', 300, 'loops');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'loops';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'loop %';
SELECT count(*) > 4 AS "more than one unit" FROM durable.history h JOIN durable.instance i USING (key) WHERE i.instance_id = 'loops';
SELECT count(*), bool_and(task = seq / 2 + seq % 2) AS "in order" FROM story('loops') WHERE event LIKE 'Task%';

-- 1,000 at once: a fan-out, and in again
CREATE FUNCTION fans_out(n integer, name text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
    total bigint := 0;
    r jsonb;
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.schedule_activity(name, jsonb_build_array(i));
    END LOOP;
    FOREACH r IN ARRAY durable.when_all(VARIADIC tasks) LOOP
        total := total + r::bigint;
    END LOOP;
    RETURN to_jsonb(total);
END $$;
SELECT durable.start('fans_out', jsonb_build_array(1000, 'sum: ' || kind), 'fan: ' || kind) FROM unnest('{inline,task}'::text[]) kind;
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE 'fan%' ORDER BY 1;
CREATE FUNCTION writes(i integer[]) RETURNS integer LANGUAGE sql AS $$ INSERT INTO effects (what) VALUES ('fan ' || i[1]) RETURNING i[1] $$;
SELECT durable.register_activity('Writes', 'writes(integer[])', execution => 'inline');
SELECT durable.start('fans_out', '[1000, "Writes"]'::jsonb, 'fan that writes');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'fan that writes';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'fan %';

-- many that are left over when a program ends are run all the same
CREATE FUNCTION leaves(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        PERFORM durable.schedule_activity('effect: inline', 'left ' || i);
    END LOOP;
    RETURN 'end';
END $$;
SELECT durable.start('leaves', 200, 'leaves');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'leaves';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'left %';
-- also when it fails, or starts anew
CREATE FUNCTION leaves_badly(how text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF how <> 'end' THEN
        FOR i IN 1..200 LOOP
            PERFORM durable.schedule_activity('effect: inline', how || ' ' || i);
        END LOOP;
    END IF;
    IF how = 'failing' THEN
        RAISE EXCEPTION 'too bad';
    ELSIF how = 'anew' THEN
        PERFORM durable.continue_as_new('end');
    END IF;
    RETURN how;
END $$;
SELECT durable.start('leaves_badly', how, how) FROM unnest('{failing,anew}'::text[]) how;
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id IN ('failing', 'anew') ORDER BY 1;
SELECT split_part(what, ' ', 1) AS how, count(*), count(DISTINCT what) FROM effects WHERE what ~ '^(failing|anew) ' GROUP BY 1 ORDER BY 1;

-- also when it ends before it has been told to go on with them
CREATE FUNCTION floods(instance_id text) RETURNS void LANGUAGE sql AS $$
    SELECT durable.raise_event(instance_id, 'E') FROM generate_series(1, 500) $$;
SELECT durable.register_activity('Floods', 'floods(text)', execution => 'inline');
CREATE FUNCTION overtakes() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.schedule_activity('Floods', durable.instance_id());
    FOR i IN 1..200 LOOP
        PERFORM durable.schedule_activity('effect: inline', 'overtaken ' || i);
    END LOOP;
    PERFORM durable.wait_for_external_event('E');
    RETURN 'end';
END $$;
SELECT durable.start('overtakes', NULL, 'overtakes');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'overtakes';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'overtaken %';

-- suspended between two batches of one burst: what was to be run is run when it goes on
CREATE FUNCTION effect_and_suspend(what text, instance_id text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM effect(what);
    IF instance_id IS NOT NULL THEN
        PERFORM durable.suspend(instance_id, 'in the middle');
    END IF;
    RETURN what;
END $$;
SELECT durable.register_activity('Effect and suspend', 'effect_and_suspend(text,text)', execution => 'inline');
CREATE FUNCTION interrupted(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
    told jsonb[];
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.schedule_activity('Effect and suspend',
            jsonb_build_array('burst ' || i, CASE WHEN i = 1 THEN durable.instance_id() END));
    END LOOP;
    told := durable.when_all(VARIADIC tasks);
    RETURN to_jsonb(cardinality(told));
END $$;
SELECT durable.start('interrupted', 200, 'interrupted');
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'interrupted';
SELECT count(*) < 200 AS "some are left" FROM effects WHERE what LIKE 'burst%';
SELECT durable.raise_event('interrupted', 'Anything');
CALL durable.drain();
SELECT durable.suspend('interrupted', 'once more'), durable.resume('interrupted'), durable.suspend('interrupted', 'and again');
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'interrupted';
SELECT durable.resume('interrupted');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'interrupted';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'burst%';
-- the same with a function that is gone meanwhile, and whose code was not kept
SELECT durable.start('interrupted', 200, 'parked');
TRUNCATE effects;
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'parked';
ALTER FUNCTION interrupted(integer) RENAME TO away;
DELETE FROM durable.code;
SELECT durable.resume('parked');
CALL durable.drain();
SELECT detail FROM durable.waiting WHERE instance_id = 'parked' AND kind = 'resume';
ALTER FUNCTION away(integer) RENAME TO interrupted;
SELECT durable.resume('parked');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'parked';
SELECT count(*), count(DISTINCT what) FROM effects WHERE what LIKE 'burst%';
-- and terminated in the middle: the rest is not run
SELECT durable.start('interrupted', 200, 'stopped');
TRUNCATE effects;
CALL durable.drain();
SELECT durable.terminate('stopped');
CALL durable.drain();
SELECT count(*) < 200 AS "some were left", count(*) = count(DISTINCT what) AS "each once" FROM effects WHERE what LIKE 'burst%';

-- more instances than one batch takes, with more messages than one batch reads
CREATE FUNCTION collects(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    total integer := 0;
BEGIN
    FOR i IN 1..n LOOP
        total := total + (durable.wait_for_external_event('N'))::integer;
    END LOOP;
    RETURN to_jsonb(total);
END $$;
SELECT count(durable.start('collects', 5, 'c' || n)) FROM generate_series(1, 300) n;
SELECT count(durable.raise_event('c' || n, 'N', i)) FROM generate_series(1, 5) i, generate_series(1, 300) n;
CALL durable.drain();
SELECT status, output, count(*) FROM run WHERE instance_id LIKE 'c%' GROUP BY status, output;
-- one instance with many thousands
SELECT durable.start('collects', 3000, 'flood');
SELECT count(durable.raise_event('flood', 'N', 1)) FROM generate_series(1, 3000) n;
SELECT durable.start('collects', 1, 'behind the flood');
SELECT durable.raise_event('behind the flood', 'N', 1);
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE '%flood' ORDER BY 1;

-- large histories are cut into rows, and read again as one
CREATE FUNCTION hoards(n integer, kb integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    total bigint := 0;
BEGIN
    FOR i IN 1..n LOOP
        total := total + length(durable.call_activity('reflect', jsonb_build_array(repeat('x', kb * 1024))) #>> '{}');
    END LOOP;
    PERFORM durable.sleep('1 hour');
    RETURN to_jsonb(total);
END $$;
CREATE FUNCTION reflect(x text) RETURNS text LANGUAGE sql AS $$ SELECT x $$;
SELECT durable.register_activity('reflect', 'reflect(text)', execution => 'inline');
SELECT durable.start('hoards', '[20, 300]'::jsonb, 'hoards');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output::bigint / 1024 AS kb FROM run WHERE instance_id = 'hoards';
SELECT count(*) > 5 AS "several rows" FROM durable.history h JOIN durable.instance i USING (key) WHERE i.instance_id = 'hoards';
SELECT count(*) FROM story('hoards');

SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
SELECT instance_id, status FROM run WHERE status NOT IN ('Completed', 'Terminated', 'Failed');
