--
-- Queues: limits, priorities, fairness, pause and grants, for workers outside of the
-- database and for activities in SQL.
--
\set ECHO none
SET client_min_messages = warning;
\set ECHO all
CREATE SCHEMA app;
CREATE ROLE regress_queues_owner LOGIN;
CREATE ROLE regress_queues_worker LOGIN;
CREATE ROLE regress_queues_other LOGIN;
SELECT durable.grant_usage('regress_queues_owner'), durable.grant_usage('regress_queues_other');
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION app.fan(name text, n integer, tenant text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks[i] := durable.schedule_activity(name, jsonb_build_object('n', i, 'tenant', tenant));
    END LOOP;
    RETURN to_jsonb(durable.when_all(VARIADIC tasks));
END $$;
CREATE FUNCTION app.start(id text, name text, n integer, tenant text) RETURNS text LANGUAGE sql
    AS $$ SELECT durable.start('app.fan', jsonb_build_object('name', name, 'n', n, 'tenant', tenant), id) $$;
CREATE TABLE work (n bigserial, LIKE durable.leases);
CREATE TABLE tokens (token text, input jsonb);

-- the smallest priority first, and within it keys take turns
SELECT durable.register_activity('urgent', execution => 'external', queue => 'fair', priority => -1, key => 'tenant');
SELECT durable.register_activity('usual', execution => 'external', queue => 'fair', key => 'tenant');
SELECT app.start('many', 'usual', 100, 'a');
CALL durable.drain();
SELECT string_agg(input ->> 'tenant', '' ORDER BY token) FROM durable.fetch_work('fair', max_tasks => 10);
SELECT app.start('few', 'usual', 3, 'b'), app.start('now', 'urgent', 2, 'c');
CALL durable.drain();
SELECT array_agg(w.input ->> 'tenant' ORDER BY w.ordinality) FROM durable.fetch_work('fair', max_tasks => 10) WITH ORDINALITY AS w;
SELECT ready, delayed, leased FROM durable.queues WHERE name = 'fair';

-- how many run at a time
SELECT durable.register_queue('narrow', concurrency => 3);
SELECT durable.register_activity('narrow', execution => 'external', queue => 'narrow');
SELECT app.start('narrow', 'narrow', 10, 'a');
CALL durable.drain();
INSERT INTO tokens SELECT token, input FROM durable.fetch_work('narrow', max_tasks => 10);
SELECT count(*) FROM tokens;
SELECT count(*) FROM durable.fetch_work('narrow', max_tasks => 10);
SELECT durable.complete_tasks(array_agg(token)) FROM (SELECT token FROM tokens LIMIT 2) t;
SELECT count(*) FROM durable.fetch_work('narrow', max_tasks => 10);
-- leases that have ended do not count
SELECT durable.advance_clock('31 s') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('narrow', max_tasks => 10);
SELECT durable.register_queue('narrow', concurrency => 5);
SELECT count(*) FROM durable.fetch_work('narrow', max_tasks => 10);

-- and of one key
SELECT durable.register_queue('keys', key_concurrency => 2);
SELECT durable.register_activity('keys', execution => 'external', queue => 'keys', key => 'tenant');
SELECT app.start('keys a', 'keys', 50, 'a'), app.start('keys b', 'keys', 3, 'b');
CALL durable.drain();
TRUNCATE tokens;
INSERT INTO tokens SELECT token, input FROM durable.fetch_work('keys', max_tasks => 10);
SELECT input ->> 'tenant' AS tenant, count(*) FROM tokens GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM durable.fetch_work('keys', max_tasks => 10);
SELECT durable.complete_tasks(array_agg(token)) FROM tokens WHERE input ->> 'tenant' = 'b';
SELECT input ->> 'tenant' AS tenant, count(*) FROM durable.fetch_work('keys', max_tasks => 10) GROUP BY 1;

-- how many begin within a period, wherever that begins
SELECT durable.register_queue('rated', rate => 10, per => '1 minute');
SELECT durable.register_activity('rated', execution => 'external', queue => 'rated');
SELECT app.start('rated', 'rated', 50, 'a');
CALL durable.drain();
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 6, lease => '1 hour');
SELECT durable.advance_clock('40 s') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 20, lease => '1 hour');
SELECT durable.advance_clock('10 s') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 20, lease => '1 hour');
SELECT durable.advance_clock('14 s') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 20, lease => '1 hour');
SELECT durable.advance_clock('1 day') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 20, lease => '1 hour');

-- a pause
SELECT durable.pause_queue('rated');
SELECT durable.advance_clock('1 day') IS NOT NULL;
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 20);
SELECT is_paused FROM durable.queues WHERE name = 'rated';
SELECT durable.unpause_queue('rated');
SELECT count(*) FROM durable.fetch_work('rated', max_tasks => 20);

-- activities in SQL: the engine lets them begin
CREATE TABLE app.done (tenant text, at timestamptz, n bigserial);
CREATE FUNCTION app.sql_work(tenant text, n integer) RETURNS integer LANGUAGE sql AS $$ INSERT INTO app.done VALUES (tenant, durable.clock()); SELECT n $$;
SELECT durable.register_queue('sql', rate => 5, per => '1 minute');
SELECT durable.register_activity('sql', 'app.sql_work(text,integer)', queue => 'sql', key => 'tenant');
SELECT app.start('sql', 'sql', 8, 'a'), app.start('sql b', 'sql', 1, 'b');
CALL durable.drain();
SELECT tenant, count(*) FROM app.done GROUP BY 1 ORDER BY 1;
SELECT ready, leased FROM durable.queues WHERE name = 'sql';
SELECT durable.advance_clock('64 s') IS NOT NULL;
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('sql');
SELECT count(*) FROM durable.task_queue;
SELECT count(*) FROM durable.queued_task WHERE queue = 'sql';

-- an attempt that failed gives up its place until the next one; so does one whose instance is suspended
CREATE SEQUENCE attempts;
CREATE FUNCTION app.sql_flaky(tenant text, n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF tenant = 'bad' AND nextval('attempts') = 1 THEN RAISE 'not yet'; END IF;
    INSERT INTO app.done VALUES (tenant);
    RETURN n;
END $$;
SELECT durable.register_queue('one', concurrency => 1);
SELECT durable.register_activity('one', 'app.sql_flaky(text,integer)', queue => 'one', retry => durable.retry(first_interval => '1 hour'));
TRUNCATE app.done;
SELECT app.start('bad', 'one', 1, 'bad');
CALL durable.drain();
SELECT app.start('good', 'one', 3, 'good');
CALL durable.drain();
SELECT tenant FROM app.done;
SELECT instance_id, runtime_status, waiting_on ~ 'last error: not yet' AS error FROM durable.instances WHERE instance_id IN ('bad', 'good') ORDER BY 1;
SELECT delayed, leased FROM durable.queues WHERE name = 'one';
SELECT durable.suspend('bad');
CALL durable.drain();
SELECT durable.advance_clock('2 hours') IS NOT NULL;
CALL durable.drain();
SELECT runtime_status FROM durable.status('bad');
SELECT durable.resume('bad');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('bad');
SELECT durable.pause_queue('one');
SELECT app.start('ended', 'one', 2, 'good');
CALL durable.drain();
SELECT durable.terminate('ended');
CALL durable.drain();
SELECT count(*) FROM durable.queued_task WHERE queue = 'one';

-- a worker's role needs nothing but the grant
SET ROLE regress_queues_owner;
SELECT durable.register_queue('private');
SELECT durable.register_activity('private', execution => 'external', queue => 'private');
SELECT app.start('private', 'private', 1, 'x');
CALL durable.drain();
SET ROLE regress_queues_worker;
SELECT * FROM durable.fetch_work('private');
SET ROLE regress_queues_other;
SELECT * FROM durable.fetch_work('private');
SELECT durable.register_activity('spy', execution => 'external', queue => 'private');
SELECT durable.register_queue('private', concurrency => 1);
SELECT durable.pause_queue('private');
SELECT durable.grant_queue('private', 'regress_queues_other');
SELECT name FROM durable.queues;
SET ROLE regress_queues_owner;
SELECT durable.grant_queue('private', 'regress_queues_worker');
SET ROLE regress_queues_worker;
CREATE TEMP TABLE mine AS SELECT * FROM durable.fetch_work('private');
SELECT input FROM mine;
SELECT * FROM durable.fetch_work('fair');
SELECT durable.start('app.fan');
SELECT durable.extend_lease(array_agg(token)), durable.complete_tasks(array_agg(token)) FROM mine;
CALL durable.wait_for_work('private', '0');
CALL durable.wait_for_work('fair', '0');
RESET ROLE;
GRANT SELECT ON mine TO regress_queues_other;
SET ROLE regress_queues_other;
SELECT durable.complete_tasks(array_agg(token)) FROM mine;
SET ROLE regress_queues_owner;
SELECT durable.revoke_queue('private', 'regress_queues_worker');
SET ROLE regress_queues_worker;
SELECT * FROM durable.fetch_work('private');
RESET ROLE;

-- waiting
CALL durable.wait_for_work('narrow', '0');
CALL durable.wait_for_work('fair', '0');
CALL durable.wait_for_work('fair', '0', names => '{unknown}');
BEGIN;
CALL durable.wait_for_work('fair', '0');
ROLLBACK;

-- bad input
SELECT durable.register_queue(NULL);
SELECT durable.register_queue('x', concurrency => 0);
SELECT durable.register_queue('x', rate => -1);
SELECT durable.register_queue('x', rate => 1, per => '0');
SELECT durable.register_queue('x', key_concurrency => 0);
SELECT durable.unregister_queue('x');
SELECT durable.unregister_queue('sql');
SELECT durable.pause_queue('x');
SELECT durable.grant_queue('fair', NULL);
SELECT durable.grant_queue('fair', 4294967295);
SELECT durable.register_queue('short'), durable.unregister_queue('short');

SELECT count(durable.terminate(instance_id)) > 0 FROM durable.instances WHERE runtime_status = 'Running' AND owner = current_user::regrole;
CALL durable.drain();
SELECT count(*) FROM durable.queued_task;
SELECT durable.purge_history('0') > 0;
DROP TABLE mine;
SELECT durable.revoke_usage('regress_queues_owner'), durable.revoke_usage('regress_queues_other'), durable.revoke_usage('regress_queues_worker');
DELETE FROM durable.queue_grant; DELETE FROM durable.queue WHERE name = 'private'; DELETE FROM durable.activity WHERE name = 'private';
DROP ROLE regress_queues_owner, regress_queues_worker, regress_queues_other;
