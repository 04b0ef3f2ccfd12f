--
-- durable.restart, and durable.terminate that leaves children alone.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.double(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n * 2 $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE FUNCTION app.parent(depth integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF depth = 0 THEN
        RETURN durable.wait_for_external_event('Go');
    END IF;
    RETURN durable.call_sub_orchestrator('app.parent', depth - 1, 'level ' || depth - 1);
END $$;

-- the same id, with input and tags
SELECT durable.start('double', 21, 'one', tags => '{"a": 1}');
SELECT durable.restart('one');
CALL durable.drain();
SELECT durable.restart('one');
SELECT runtime_status, input, output, tags FROM durable.status('one');
CALL durable.drain();
SELECT runtime_status, input, output, tags FROM durable.status('one');

-- another id, of a finished and of a running one
SELECT durable.restart('one', new_instance_id => true) AS two \gset
SELECT :'two' <> 'one' AS is_new, runtime_status, input, tags FROM durable.status(:'two');
SELECT durable.start('patient', 'x', 'runs');
CALL durable.drain();
SELECT durable.restart('runs');
SELECT durable.restart('runs', true) <> 'runs' AS is_new;
CALL durable.drain();
SELECT runtime_status, input, count(*) FROM durable.instances WHERE name IN ('app.double', 'app.patient') GROUP BY 1, 2 ORDER BY 2, 1;

-- rolled back
BEGIN;
SELECT durable.restart('one');
SELECT runtime_status FROM durable.status('one');
ROLLBACK;
SELECT runtime_status, output FROM durable.status('one');

-- a failed one, after its function was mended
SELECT durable.start('fail', 1, 'failed');
CALL durable.drain();
CREATE OR REPLACE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN '"mended"'; END $$;
SELECT durable.restart('failed');
CALL durable.drain();
SELECT runtime_status, input, output FROM durable.status('failed');

-- it stays its owner's, whoever restarts it; others find none
CREATE ROLE regress_restart_owner LOGIN;
CREATE ROLE regress_restart_other LOGIN;
SELECT durable.grant_usage('regress_restart_owner');
SELECT durable.grant_usage('regress_restart_other');
GRANT USAGE ON SCHEMA app TO regress_restart_owner;
SET ROLE regress_restart_owner;
SELECT durable.start('app.double', 4, 'theirs');
CALL durable.drain();
SET ROLE regress_restart_other;
SELECT durable.restart('theirs');
RESET ROLE;
SELECT durable.restart('theirs');
SELECT current_user;
SELECT runtime_status, owner FROM durable.status('theirs');
REVOKE USAGE ON SCHEMA app FROM regress_restart_owner;
SET ROLE regress_restart_owner;
CALL durable.drain();
RESET ROLE;
SELECT durable.restart('theirs', true);
SELECT current_user;

-- refused
SELECT durable.restart('nobody');
SELECT durable.restart(NULL);
SELECT durable.restart('');
SELECT durable.restart('one', NULL);
SELECT durable.restart(repeat('x', 2000));
DROP FUNCTION app.double;
SELECT durable.restart('one');
SELECT runtime_status, output FROM durable.status('one');

-- terminate: all, and one alone
SELECT durable.start('parent', 2, 'level 2');
CALL durable.drain();
SELECT durable.terminate('level 2', 'alone', recursive => false);
CALL durable.drain();
SELECT instance_id, runtime_status, failure FROM durable.instances WHERE instance_id LIKE 'level%' ORDER BY 1;
SELECT durable.terminate('level 1', 'with its child');
CALL durable.drain();
SELECT instance_id, runtime_status, failure FROM durable.instances WHERE instance_id LIKE 'level%' ORDER BY 1;
SELECT durable.start('parent', 1, 'level 2');
SELECT durable.start('parent', 1, 'level 2', on_conflict => 'replace_finished');
SELECT count(durable.purge(instance_id)) FROM durable.instances WHERE instance_id IN ('level 0', 'level 1');
CALL durable.drain();
SELECT durable.terminate('level 2', NULL, NULL);
SELECT durable.terminate('level 2', recursive => false);
CALL durable.drain();
-- the child that was left goes on to its end
SELECT durable.raise_event('level 0', 'Go', 1);
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances WHERE instance_id LIKE 'level%' ORDER BY 1;

SELECT durable.revoke_usage('regress_restart_owner');
SELECT durable.revoke_usage('regress_restart_other');
SELECT count(durable.purge(instance_id)) FROM durable.instances WHERE owner = 'regress_restart_owner'::regrole AND completed_time IS NOT NULL;
DROP ROLE regress_restart_owner, regress_restart_other;
