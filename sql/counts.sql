--
-- durable.counts: as many instances as there are, whatever happens to them.
--
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.quick(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.wait_for_external_event('Go');
END $$;
CREATE FUNCTION app.again(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF n > 0 THEN
        PERFORM durable.continue_as_new(n - 1);
    END IF;
END $$;
CREATE FUNCTION app.parent(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM durable.schedule_sub_orchestrator('app.patient', NULL);
    END LOOP;
    PERFORM durable.wait_for_external_event('Go');
END $$;

-- what durable.counts and the sums for ranges say otherwise than the instances do: no rows, ever
CREATE VIEW app.wrong AS
SELECT 'counts' AS kind, name, runtime_status, owner::text, instances FROM (
    (SELECT name, runtime_status, owner, instances FROM durable.counts
     EXCEPT SELECT name, runtime_status, owner, count(*) FROM durable.instances GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT name, runtime_status, owner, count(*) FROM durable.instances GROUP BY 1, 2, 3
     EXCEPT SELECT name, runtime_status, owner, instances FROM durable.counts)) c
UNION ALL
SELECT 'ranges', NULL, status::text, range::text, n FROM (
    (SELECT status, range, sum(n) AS n FROM durable.tally WHERE range IS NOT NULL GROUP BY 1, 2 HAVING sum(n) <> 0
     EXCEPT SELECT status, key >> 9, count(*) FROM durable.instance GROUP BY 1, 2)
    UNION ALL
    (SELECT status, key >> 9, count(*) FROM durable.instance GROUP BY 1, 2
     EXCEPT SELECT status, range, sum(n) FROM durable.tally WHERE range IS NOT NULL GROUP BY 1, 2)) r;

TABLE durable.counts;

-- started, in savepoints that are rolled back and that are not
BEGIN;
SELECT durable.start('quick', 1, 'kept');
SAVEPOINT a;
SELECT durable.start('quick', 1, 'gone');
SAVEPOINT b;
SELECT durable.start('patient', 1, 'gone too');
RELEASE b;
ROLLBACK TO a;
SELECT durable.start('fail', 1, 'kept, too');
SAVEPOINT c;
SELECT durable.start('patient', 1, 'in c');
RELEASE c;
COMMIT;
SELECT name, runtime_status, instances FROM durable.counts ORDER BY 1, 2;
TABLE app.wrong;

BEGIN;
SELECT durable.start('quick', 1, 'not at all');
ROLLBACK;
TABLE app.wrong;

-- many ranges, each in a block that is rolled back or not: more than are kept in memory
DO $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        BEGIN
            PERFORM setval('durable.instance_key_seq', nextval('durable.instance_key_seq') + 500);
            PERFORM durable.start(CASE i % 3 WHEN 0 THEN 'quick' WHEN 1 THEN 'fail' ELSE 'patient' END, i);
            IF i % 4 = 0 THEN
                RAISE 'not this one';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
END $$;
BEGIN;
SELECT count(durable.start(CASE i % 3 WHEN 0 THEN 'quick' WHEN 1 THEN 'fail' ELSE 'patient' END, i,
                           i || ':' || setval('durable.instance_key_seq', nextval('durable.instance_key_seq') + 2000)))
FROM generate_series(1, 400) i;
SAVEPOINT a;
SELECT count(durable.start('quick', i, i || '.' || setval('durable.instance_key_seq', nextval('durable.instance_key_seq') + 2000)))
FROM generate_series(1, 400) i;
ROLLBACK TO a;
SELECT durable.start('quick', 1, 'last');
COMMIT;
SELECT name, runtime_status, instances FROM durable.counts ORDER BY 1, 2;
TABLE app.wrong;

-- run, suspended, resumed, terminated, continued as new, with children that end with their parent
CALL durable.drain();
SELECT name, runtime_status, instances FROM durable.counts ORDER BY 1, 2;
TABLE app.wrong;
SELECT durable.start('again', 3, 'again'), durable.start('parent', 5, 'parent'), durable.start('parent', 5, 'parent 2');
SELECT durable.start('quick', 1, 'later', start_at => durable.clock() + '1 hour');
SELECT durable.suspend('in c'), durable.suspend('parent');
SELECT durable.suspend('later');
CALL durable.drain();
SELECT name, runtime_status, instances FROM durable.counts WHERE runtime_status <> 'Completed' ORDER BY 1, 2;
TABLE app.wrong;
SELECT durable.resume('parent'), durable.resume('later');
SELECT durable.terminate('parent 2', 'enough');
SELECT durable.raise_event('parent', 'Go');
CALL durable.drain();
SELECT name, runtime_status, instances FROM durable.counts WHERE runtime_status <> 'Completed' ORDER BY 1, 2;
TABLE app.wrong;

-- a failed one that goes on; ones that are deleted
CREATE OR REPLACE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
SELECT durable.rewind('kept, too');
CALL durable.drain();
SELECT durable.restart('kept');
CALL durable.drain();
TABLE app.wrong;
SELECT durable.purge('kept'), durable.purge('parent 2');
SELECT durable.purge_history('0') > 1000;
SELECT name, runtime_status, instances FROM durable.counts ORDER BY 1, 2;
TABLE app.wrong;

-- the few among others, wherever they are
SELECT instance_id, runtime_status FROM durable.query(statuses => '{Suspended}');
SELECT instance_id, runtime_status FROM durable.query(statuses => '{Suspended,Pending}', name => 'app.quick');
SELECT count(*) FROM durable.query(statuses => '{Running}', page_size => 10000);
SELECT count(*) FROM durable.query(statuses => '{Failed}', name => 'app.patient');

-- and those of the same transaction
BEGIN;
SELECT durable.start('quick', 1, 'not committed'), durable.start('fail', 1, 'not either');
SELECT instance_id FROM durable.query(statuses => '{Pending}');
SELECT instance_id FROM durable.query(name => 'app.fail', page_size => 1);
SELECT instance_id FROM durable.query(name => 'app.quick', statuses => '{Pending}');
ROLLBACK;
SELECT count(*) FROM durable.query(name => 'app.fail', statuses => '{Pending}');

-- what others may see
CREATE ROLE regress_counts_other LOGIN;
CREATE ROLE regress_counts_watch IN ROLE pg_monitor;
SELECT durable.grant_usage('regress_counts_other');
SET ROLE regress_counts_other;
SELECT count(*) FROM durable.counts;
SELECT count(*) FROM durable.query(statuses => '{Running}');
SET ROLE regress_counts_watch;
SELECT count(*) > 0 FROM durable.counts;
RESET ROLE;

-- an extension that is dropped after a start leaves nothing to count
SELECT durable.revoke_usage('regress_counts_other');
DROP ROLE regress_counts_other, regress_counts_watch;
BEGIN;
SELECT durable.start('quick', 1, 'dropped');
SET client_min_messages TO warning;
DROP EXTENSION durable CASCADE;
COMMIT;
CREATE EXTENSION durable;
TABLE durable.counts;
