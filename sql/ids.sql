--
-- Instance ids are unique for each owner: which instance an id means, and ids of sub-orchestrations.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
CREATE ROLE regress_ids_ann LOGIN;
CREATE ROLE regress_ids_bob LOGIN;
CREATE ROLE regress_ids_both LOGIN IN ROLE regress_ids_ann, regress_ids_bob;
CREATE ROLE regress_ids_watch LOGIN IN ROLE pg_monitor;
SELECT durable.grant_usage(r::regrole) FROM unnest('{regress_ids_ann,regress_ids_bob,regress_ids_both,regress_ids_watch}'::text[]) r;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION waits(who text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.set_custom_status(to_jsonb(who));
    RETURN jsonb_build_array(who, durable.wait_for_external_event('Go'));
END $$;
CREATE FUNCTION sends(id text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.send_event(id, 'Go', current_user); RETURN 'sent'; END $$;
CREATE VIEW what AS SELECT instance_id, owner, runtime_status, output FROM durable.instances ORDER BY instance_id, owner::text;
GRANT SELECT ON what TO PUBLIC;

-- the same id for two, and each acts on his own
SET ROLE regress_ids_ann;
SELECT durable.start('app.waits', 'ann', 'x');
SELECT durable.start('app.waits', 'ann', 'x');
SET ROLE regress_ids_bob;
SELECT durable.start('app.waits', 'bob', 'x');
SELECT durable.start('app.waits', 'bob', 'x', on_conflict => 'return');
CALL durable.drain();
SET ROLE regress_ids_ann;
CALL durable.drain();
SELECT owner, custom_status FROM durable.status('x');
SELECT count(*) FROM durable.instances WHERE instance_id = 'x';
SELECT payload FROM durable.history('x') WHERE event_type = 'ExecutionStarted';
SELECT owner, runtime_status FROM durable.wait('x', '0');

-- who may see both must say which: any function that takes an id
SET ROLE regress_ids_both;
SELECT durable.status('x');
SELECT durable.wait('x', '0');
SELECT durable.history('x');
SELECT durable.raise_event('x', 'Go');
SELECT durable.suspend('x');
SELECT durable.resume('x');
SELECT durable.terminate('x');
SELECT durable.purge('x');
SELECT instance_id, owner FROM durable.instances ORDER BY owner::text;
SELECT instance_id, kind, owner FROM durable.waiting ORDER BY owner::text;
SET ROLE regress_ids_watch;
SELECT durable.status('x');
RESET ROLE;
SELECT durable.terminate('x');

-- the own one comes first, also before those of roles whose privileges one has
SET ROLE regress_ids_both;
SELECT durable.start('app.waits', 'both', 'x');
CALL durable.drain();
SELECT owner, custom_status FROM durable.status('x');
SELECT durable.raise_event('x', 'Go', 1);
CALL durable.drain();
SELECT durable.raise_event('x', 'Go', 2);
SELECT durable.purge('x');
SELECT durable.purge('x');

-- events of orchestrations: to the own instance, else to the only one; to none of two
SET ROLE regress_ids_both;
SELECT durable.start('app.sends', 'x', 's1');
CALL durable.drain();
SELECT instance_id, event, owner FROM durable.buffered_events ORDER BY owner::text;
SET ROLE regress_ids_bob;
SELECT durable.start('app.sends', 'x', 's1');
CALL durable.drain();
TABLE what;
SET ROLE regress_ids_both;
SELECT durable.purge('x');
SET ROLE regress_ids_bob;
SELECT durable.purge('x');
SET ROLE regress_ids_both;
SELECT durable.start('app.sends', 'x', 's2');
CALL durable.drain();
SET ROLE regress_ids_ann;
CALL durable.drain();
RESET ROLE;
TABLE what;
SELECT durable.purge_history('0');

-- ids of sub-orchestrations belong to one life of the parent, and to no user's guess
CREATE FUNCTION child(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n $$;
CREATE FUNCTION parent(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT durable.call_sub_orchestrator('child', n)::integer $$;
SELECT durable.start('child', 0, 'order:1');
SELECT durable.start('child', 0, 'order:1#2');
SELECT durable.start('parent', 1, 'order');
CALL durable.drain();
SELECT output FROM durable.status('order');
SELECT durable.start('parent', 2, 'order', on_conflict => 'replace_finished');
CALL durable.drain();
SELECT output FROM durable.status('order');
-- also when the former child goes on, because it waits or its parent was deleted by hand
CREATE FUNCTION patient() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.wait_for_external_event('Go') $$;
CREATE FUNCTION leaves(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.schedule_sub_orchestrator('patient', close_policy => 'abandon');
    RETURN n;
END $$;
SELECT durable.start('leaves', 1, 'leaves');
CALL durable.drain();
SELECT durable.start('leaves', 2, 'leaves', on_conflict => 'replace_finished');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('leaves');
SELECT count(*), count(DISTINCT instance_id) FROM durable.instances WHERE name = 'app.patient';
SELECT durable.terminate(instance_id) FROM durable.instances WHERE name = 'app.patient' AND runtime_status <> 'Terminated';
CALL durable.drain();

-- an id that the orchestration chose and that is taken fails the call, whatever the policy, and runs nothing
CREATE FUNCTION charges() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('effect', 'charged');
    RETURN 'charged';
END $$;
CREATE FUNCTION chooses(retry boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sub_orchestrator('charges', NULL, 'charge', CASE WHEN retry THEN durable.retry(first_interval => '0') END);
EXCEPTION WHEN SQLSTATE 'WF002' THEN
    RETURN to_jsonb(SQLERRM);
END $$;
SELECT durable.start('chooses', true, 'chooses 1');
CALL durable.drain();
SELECT durable.start('chooses', true, 'chooses 2'), durable.start('chooses', false, 'chooses 3');
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE instance_id LIKE 'ch%' ORDER BY 1;
SELECT what, count(*) FROM effects GROUP BY what;
-- and a further attempt has an id of its own, whatever ids there are
CREATE FUNCTION fails() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION tries() RETURNS jsonb LANGUAGE sql AS
    $$ SELECT durable.call_sub_orchestrator('fails', NULL, 'tried', durable.retry(max_attempts => 3, first_interval => '0')) $$;
SELECT durable.start('child', 0, 'tried#2'), durable.start('child', 0, 'tried#3');
SELECT durable.start('tries', NULL, 'tries');
CALL durable.drain();
SELECT instance_id, runtime_status, failure ->> 'sqlstate' AS sqlstate FROM durable.instances WHERE instance_id LIKE 'trie%' ORDER BY 1;

SELECT durable.purge_history('0') > 0 AS purged;
SELECT (SELECT count(*) FROM durable.instance) AS instances, (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.task_queue) AS tasks, (SELECT count(*) FROM durable.finished) AS finished;
DROP VIEW what;
SELECT durable.revoke_usage(r::regrole) FROM unnest('{regress_ids_ann,regress_ids_bob,regress_ids_both,regress_ids_watch}'::text[]) r;
DROP ROLE regress_ids_ann, regress_ids_bob, regress_ids_both, regress_ids_watch;
