--
-- durable.patched: changes of code that instances under way take part in, or not.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

CREATE PROCEDURE replace(body text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION job(who text) RETURNS text LANGUAGE plpgsql AS %L', 'BEGIN ' || body || ' RETURN who; END');
END $$;
CREATE FUNCTION go() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE moved bigint := durable.repin_all('job');
BEGIN
    PERFORM durable.raise_event(instance_id, 'Go') FROM durable.instances WHERE runtime_status = 'Running';
    RETURN moved;
END $$;
-- three changes, one after the other; every instance is under way for at least one of them
CALL replace($$ PERFORM durable.call_activity('effect', who || ' a'); PERFORM durable.wait_for_external_event('Go');
                PERFORM durable.call_activity('effect', who || ' b'); PERFORM durable.wait_for_external_event('Go');
                PERFORM durable.call_activity('effect', who || ' c'); PERFORM durable.wait_for_external_event('Go'); $$);
SELECT durable.start('job', 'first', 'first');
CALL durable.drain();
-- 1: something before a, and something instead of b
CALL replace($$ IF durable.patched('before') THEN PERFORM durable.call_activity('effect', who || ' before'); END IF;
                PERFORM durable.call_activity('effect', who || ' a'); PERFORM durable.wait_for_external_event('Go');
                IF durable.patched('B') THEN PERFORM durable.call_activity('effect', who || ' B');
                ELSE PERFORM durable.call_activity('effect', who || ' b'); END IF; PERFORM durable.wait_for_external_event('Go');
                PERFORM durable.call_activity('effect', who || ' c'); PERFORM durable.wait_for_external_event('Go'); $$);
SELECT * FROM durable.verify_replay('job');
SELECT durable.start('job', 'second', 'second');
CALL durable.drain();
SELECT go() AS moved;
CALL durable.drain();
SELECT durable.start('job', 'third', 'third');
CALL durable.drain();
-- 2: the same id at two places, and c twice
CALL replace($$ IF durable.patched('before') THEN PERFORM durable.call_activity('effect', who || ' before'); END IF;
                PERFORM durable.call_activity('effect', who || ' a'); PERFORM durable.wait_for_external_event('Go');
                IF durable.patched('B') THEN PERFORM durable.call_activity('effect', who || ' B');
                ELSE PERFORM durable.call_activity('effect', who || ' b'); END IF;
                IF durable.patched('twice') THEN PERFORM durable.call_activity('effect', who || ' between'); END IF;
                PERFORM durable.wait_for_external_event('Go');
                PERFORM durable.call_activity('effect', who || ' c');
                IF durable.patched('twice') THEN PERFORM durable.call_activity('effect', who || ' c again'); END IF;
                PERFORM durable.wait_for_external_event('Go'); $$);
SELECT * FROM durable.verify_replay('job');
SELECT go() AS moved;
CALL durable.drain();
SELECT durable.start('job', 'fourth', 'fourth');
CALL durable.drain();
-- 3: B and what is before a without a question: only the first instance does not have them
CALL replace($$ PERFORM durable.call_activity('effect', who || ' before');
                PERFORM durable.call_activity('effect', who || ' a'); PERFORM durable.wait_for_external_event('Go');
                PERFORM durable.call_activity('effect', who || ' B');
                IF durable.patched('twice') THEN PERFORM durable.call_activity('effect', who || ' between'); END IF;
                PERFORM durable.wait_for_external_event('Go');
                PERFORM durable.call_activity('effect', who || ' c');
                IF durable.patched('twice') THEN PERFORM durable.call_activity('effect', who || ' c again'); END IF;
                PERFORM durable.wait_for_external_event('Go'); $$);
SELECT instance_id, problem FROM durable.verify_replay('job') ORDER BY 1;
SELECT go() AS moved;
CALL durable.drain();
SELECT instance_id, runtime_status, waiting_on FROM durable.instances ORDER BY 1;
SELECT go() AS moved;
CALL durable.drain();
SELECT go() AS moved;
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances ORDER BY 1;
SELECT split_part(what, ' ', 1) AS who, string_agg(substr(what, strpos(what, ' ') + 1), ', ' ORDER BY n) AS did FROM effects GROUP BY 1 ORDER BY 1;
SELECT i.instance_id, h.seq, h.name FROM durable.instances i, durable.history(i.instance_id) h WHERE event_type = 'PatchRecorded' ORDER BY 1, 2;
SELECT task, kind, name, state FROM durable.calls('third') ORDER BY task;
SELECT line FROM durable.explain('third') AS line WHERE line LIKE '%patch%';

-- numbers of calls, ids of children and random values do not depend on who asks
CREATE FUNCTION child(x jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT x $$;
CREATE FUNCTION numbers() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a boolean := durable.patched('a');
    b boolean := durable.patched('b');
    task durable.task := durable.schedule_activity('twice', 1);
    id uuid := durable.uuid();
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.patched('c');
    PERFORM durable.call_sub_orchestrator('child', 1);
    PERFORM durable.wait_for_external_event('Go');
    RETURN format('%s %s %s %s %s', a, b, task, durable.result(task), id = durable.uuid());
END $$;
SELECT durable.start('numbers', instance_id => 'numbers');
CALL durable.drain();
CREATE OR REPLACE FUNCTION numbers() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    task durable.task := durable.schedule_activity('twice', 1);
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.call_sub_orchestrator('child', 1);
    PERFORM durable.wait_for_external_event('Go');
    RETURN format('%s %s', task, durable.result(task));
END $$;
BEGIN;
SELECT durable.repin('numbers');
SELECT durable.raise_event('numbers', 'Go'), durable.raise_event('numbers', 'Go');
COMMIT;
CALL durable.drain();
SELECT output FROM durable.status('numbers');
SELECT task, kind, name, target ~ '^numbers:5' AS is_fifth FROM durable.calls('numbers') ORDER BY task;

-- asked in the other order, and for the first time behind the end of the history
CREATE FUNCTION orders() RETURNS text LANGUAGE plpgsql AS $$
DECLARE x boolean := durable.patched('x'); y boolean := durable.patched('y');
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN format('%s %s', x, y);
END $$;
SELECT durable.start('orders', instance_id => 'orders');
CALL durable.drain();
CREATE OR REPLACE FUNCTION orders() RETURNS text LANGUAGE plpgsql AS $$
DECLARE y boolean := durable.patched('y'); z boolean := durable.patched('z'); x boolean := durable.patched('x');
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN format('%s %s %s %s %s', x, y, z, durable.patched('w'), durable.patched('z'));
END $$;
SELECT durable.repin('orders'), durable.raise_event('orders', 'Go');
CALL durable.drain();
SELECT output FROM durable.status('orders');

-- a new execution has every change
CREATE OR REPLACE FUNCTION rounds(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.continue_as_new(n + 1);
END $$;
SELECT durable.start('rounds', 1, 'rounds');
CALL durable.drain();
CREATE OR REPLACE FUNCTION rounds(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('effect', format('round %s: %s', n, durable.patched('x')));
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.continue_as_new(n + 1);
END $$;
SELECT instance_id, problem FROM durable.verify_replay('rounds');
CREATE OR REPLACE FUNCTION rounds(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE x boolean := durable.patched('x');
BEGIN
    IF x THEN
        PERFORM durable.call_activity('effect', format('round %s', n));
    END IF;
    PERFORM durable.wait_for_external_event('Go');
    IF n = 3 THEN
        RETURN x;
    END IF;
    PERFORM durable.continue_as_new(n + 1);
END $$;
SELECT durable.repin('rounds');
SELECT durable.raise_event('rounds', 'Go') FROM generate_series(1, 3);
CALL durable.drain();
SELECT output FROM durable.status('rounds');
SELECT what FROM effects WHERE what LIKE 'round%' ORDER BY n;

-- an instance that has not reached the change in a loop, and one that has
CREATE FUNCTION looping() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..4 LOOP
        PERFORM durable.call_activity('effect', format('%s loop %s', durable.instance_id(), i));
        PERFORM durable.wait_for_external_event('Go');
    END LOOP;
    RETURN 'old';
END $$;
SELECT durable.start('looping', instance_id => 'old'), durable.raise_event('old', 'Go');
CALL durable.drain();
CREATE OR REPLACE FUNCTION looping() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..4 LOOP
        IF durable.patched('loop') THEN
            PERFORM durable.call_activity('effect', format('%s LOOP %s', durable.instance_id(), i));
        ELSE
            PERFORM durable.call_activity('effect', format('%s loop %s', durable.instance_id(), i));
        END IF;
        PERFORM durable.wait_for_external_event('Go');
    END LOOP;
    RETURN durable.patched('loop');
END $$;
SELECT durable.repin('old'), durable.start('looping', instance_id => 'new');
SELECT count(durable.raise_event(id, 'Go')) FROM unnest('{old,old,old,new,new,new,new}'::text[]) id;
CALL durable.drain();
SELECT instance_id, output, (SELECT string_agg(what, ', ' ORDER BY n) FROM effects WHERE what ILIKE instance_id || ' loop%') AS did
FROM durable.instances WHERE instance_id IN ('old', 'new') ORDER BY 1;
SELECT count(*) FROM durable.history('new') WHERE event_type = 'PatchRecorded';

-- within bursts, pieces and subtransactions; no line of the log is lost or written twice
CREATE FUNCTION burst(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE sum integer := 0;
BEGIN
    FOR i IN 1..n LOOP
        IF durable.patched('p' || i % 3) THEN
            sum := sum + (durable.call_activity('twice', i) #>> '{}')::integer;
        END IF;
        BEGIN
            PERFORM durable.patched('in block');
            RAISE EXCEPTION 'undone';
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
        IF durable.is_replaying() THEN
            CONTINUE;
        END IF;
    END LOOP;
    PERFORM durable.wait_for_external_event('Go');
    RETURN format('%s %s', sum, durable.is_replaying());
END $$;
SELECT durable.start('burst', n, 'burst ' || n) FROM unnest('{10,600}'::integer[]) n;
CALL durable.drain();
SELECT durable.raise_event('burst ' || n, 'Go') FROM unnest('{10,600}'::integer[]) n;
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances WHERE instance_id LIKE 'burst %' ORDER BY 1;
SELECT instance_id, count(*) FROM durable.instances, durable.history(instance_id)
WHERE instance_id LIKE 'burst %' AND event_type = 'PatchRecorded' GROUP BY 1 ORDER BY 1;

-- refused
SELECT durable.patched('outside');
CREATE FUNCTION refused(id text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN durable.patched(id); END $$;
SELECT durable.start('refused', to_jsonb(id), 'refused ' || n) FROM unnest(ARRAY[NULL, '', repeat('x', 1025), '"; DROP']) WITH ORDINALITY u (id, n);
CALL durable.drain();
SELECT instance_id, runtime_status, output, failure ->> 'sqlstate' AS state, failure ->> 'message' AS message
FROM durable.instances WHERE instance_id LIKE 'refused %' ORDER BY 1;
