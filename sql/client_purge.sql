--
-- durable.purge and durable.purge_history.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.quick(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.call_activity('app.act', input); END $$;
CREATE FUNCTION app.act(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT input $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE VIEW app.left_over AS
SELECT (SELECT count(*) FROM durable.instance) AS instances, (SELECT count(*) FROM durable.history) AS history,
       (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timers,
       (SELECT count(*) FROM durable.task_queue) AS tasks, (SELECT count(*) FROM durable.finished) AS finished;

-- one
SELECT durable.start('quick', 1, 'one');
SELECT durable.purge('one');
CALL durable.drain();
SELECT instances, history FROM left_over;
BEGIN;
SELECT durable.purge('one');
TABLE left_over;
SELECT durable.status('one');
ROLLBACK;
SELECT durable.purge('one');
TABLE left_over;
SELECT durable.purge('one');
SELECT durable.purge(NULL);
SELECT durable.start('patient', 1, 'waits');
CALL durable.drain();
SELECT durable.purge('waits');
SELECT durable.suspend('waits');
CALL durable.drain();
SELECT durable.purge('waits');

-- a message that nobody will take goes, too
SELECT durable.start('quick', 1, 'finished');
CALL durable.drain();
INSERT INTO durable.inbox (id, owner, key, kind, sent_at)
SELECT nextval('durable.inbox_id_seq'), owner, key, 'e', now() FROM durable.instance WHERE instance_id = 'finished';
SELECT durable.purge('finished');
TABLE left_over;

-- many: by age, status and name
SELECT count(durable.start('quick', n, 'old ' || n)) FROM generate_series(1, 25) n;
SELECT count(durable.start('fail', n, 'bad ' || n)) FROM generate_series(1, 5) n;
CALL durable.drain();
SELECT durable.purge_history();
SELECT count(durable.advance_clock('31 days'));
SELECT count(durable.start('quick', n, 'new ' || n)) FROM generate_series(1, 3) n;
CALL durable.drain();
SELECT durable.purge_history(statuses => '{Failed}', name => 'app.quick');
SELECT durable.purge_history(statuses => '{}');
BEGIN;
SELECT durable.purge_history();
SELECT instance_id FROM durable.instances ORDER BY 1;
ROLLBACK;
SELECT durable.purge_history(statuses => '{Failed,Terminated}');
SELECT durable.purge_history(name => 'app.quick', batch => 4);
SELECT instance_id, runtime_status FROM durable.instances ORDER BY 1;
SELECT durable.purge_history('0');
TABLE left_over;
SELECT durable.purge_history(older_than => '0', batch => 1);

-- sub-orchestrations go with their parent, and theirs with them; not one that goes on
CREATE FUNCTION app.parent(ids jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.schedule_sub_orchestrator('patient', 1, ids ->> 0, close_policy => 'abandon');
    PERFORM durable.call_sub_orchestrator('grandparent', ids -> 2, ids ->> 1);
    RETURN '"done"';
END $$;
CREATE FUNCTION app.grandparent(id jsonb) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT durable.call_sub_orchestrator('quick', 1, id #>> '{}') $$;
SELECT durable.start('parent', '["patient", "middle", "lowest"]'::jsonb, 'parent');
CALL durable.drain();
SELECT durable.purge('parent');
SELECT instance_id, runtime_status, parent_instance_id FROM durable.instances ORDER BY 1;
SELECT (left_over).finished FROM left_over;
SELECT durable.terminate(instance_id) FROM durable.instances WHERE instance_id = 'patient' AND runtime_status = 'Running';
CALL durable.drain();
SELECT durable.start('parent', '["patient too", "middle", "lowest"]'::jsonb, 'parent');
CALL durable.drain();
SELECT durable.start('quick', 1, 'parent', on_conflict => 'replace_finished');
CALL durable.drain();
SELECT instance_id FROM durable.instances WHERE instance_id IN ('middle', 'lowest');
SELECT durable.terminate(instance_id) FROM durable.instances WHERE runtime_status = 'Running';
CALL durable.drain();
SELECT durable.purge_history('0') > 0 AS purged;
TABLE left_over;

-- instances that complete in one unit share an entry, which goes with the last of them
SELECT count(durable.start('quick', n, 'q' || n)), count(durable.start('fail', n, 'f' || n)) FROM generate_series(1, 3) n;
CALL durable.drain();
CREATE VIEW app.entries AS
SELECT f.name, f.status, (SELECT string_agg(coalesce(i.instance_id, 'gone'), ' ' ORDER BY n)
        FROM unnest(f.key || f.others) WITH ORDINALITY k (key, n) LEFT JOIN durable.instance i USING (key)) AS instances
FROM durable.finished f ORDER BY 1, 2, 3;
TABLE entries;
SELECT durable.purge('q1'), durable.purge('f1');
TABLE entries;
SELECT durable.purge('q3');
TABLE entries;
SELECT durable.purge_history('0');
TABLE entries;

-- the list of what has ended: how each ended, once
SELECT durable.start('quick', 1, 'completes'), durable.start('fail', 1, 'fails'), durable.start('patient', 1, 'is terminated');
CALL durable.drain();
SELECT durable.terminate('is terminated');
CALL durable.drain();
CREATE FUNCTION app.again(n jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN IF n::int < 3 THEN PERFORM durable.continue_as_new(n::int + 1); END IF; RETURN n; END $$;
SELECT durable.start('again', 1, 'continues as new');
CALL durable.drain();
SELECT i.instance_id, f.name, f.status, f.owner = i.owner AND f.completed_at = i.completed_time AS same
FROM durable.finished f JOIN durable.instance n ON n.key = ANY (f.key || f.others) JOIN durable.instances i USING (instance_id) ORDER BY 1;
SELECT durable.purge_history('0');
TABLE left_over;

-- refused; a sign too many would delete everything
SELECT durable.start('quick', 1, 'kept');
CALL durable.drain();
SELECT durable.purge_history(NULL);
SELECT durable.purge_history('-30 days');
SELECT durable.purge_history('1 day -24 hours -1 second');
SELECT durable.purge_history(statuses => '{completed}');
SELECT durable.purge_history(statuses => '{Running}');
SELECT durable.purge_history(statuses => '{NULL}');
SELECT durable.purge_history(batch => 0);
SELECT durable.purge_history(batch => NULL);
SELECT instance_id, runtime_status FROM durable.instances ORDER BY instance_id;
