--
-- An owner's work is done as that owner, with his rights and his settings; a unit of
-- work touches nobody else's.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
CREATE ROLE regress_owners_anna LOGIN;
CREATE ROLE regress_owners_bert LOGIN;
CREATE ROLE regress_owners_team LOGIN;
CREATE ROLE regress_owners_carl LOGIN IN ROLE regress_owners_team;
SELECT durable.grant_usage(r::regrole) FROM unnest('{regress_owners_anna,regress_owners_bert,regress_owners_team,regress_owners_carl}'::text[]) r;
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT INSERT ON effects TO regress_owners_anna, regress_owners_bert;
GRANT SELECT ON effects, run TO PUBLIC;

-- as whom turns and activities run
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.effects (what) VALUES ('who: ' || current_user);
    RETURN current_user || ' ' || session_user;
END $$;
CREATE FUNCTION asks_who() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    me text := current_user;
BEGIN
    RETURN jsonb_build_array(me, durable.call_activity('who'), durable.call_activity('who'), durable.call_sql('SELECT current_user AS u'),
                             durable.call_sub_orchestrator('asks_child'), durable.wait_for_external_event('Go'));
END $$;
CREATE FUNCTION asks_child() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN current_user; END $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SET search_path TO app, public;
SELECT durable.start('asks_who', NULL, 'anna');
SET SESSION AUTHORIZATION regress_owners_bert;
SELECT durable.start('asks_who', NULL, 'bert');

-- a unit of Bert's does Bert's work only
CALL durable.drain();
RESET SESSION AUTHORIZATION;
SELECT instance_id, owner, runtime_status FROM durable.instances ORDER BY 1;
SET SESSION AUTHORIZATION regress_owners_anna;
CALL durable.drain();
SELECT durable.raise_event('anna', 'Go', current_user);
SELECT durable.raise_event('bert', 'Go', current_user);
SELECT instance_id, status FROM run ORDER BY 1;
RESET SESSION AUTHORIZATION;
-- who may act for everybody may send to everybody; it stays the owner's
SELECT durable.raise_event('bert', 'Go', 'a superuser');
CALL durable.drain();
SELECT instance_id, status FROM run ORDER BY 1;
SET SESSION AUTHORIZATION regress_owners_anna;
CALL durable.drain();
SET SESSION AUTHORIZATION regress_owners_bert;
CALL durable.drain();
RESET SESSION AUTHORIZATION;
SELECT i.instance_id, i.owner, i.runtime_status, i.output FROM durable.instances i ORDER BY 1;
SELECT what, count(*) FROM effects GROUP BY what ORDER BY what;

-- what the owner may not do fails, and is seen at each call
CREATE TABLE secrets (what text);
INSERT INTO secrets VALUES ('a secret');
CREATE FUNCTION reads_secret() RETURNS text LANGUAGE sql AS $$ SELECT what FROM app.secrets $$;
CREATE FUNCTION forbidden() RETURNS text LANGUAGE sql AS $$ SELECT 'done'::text $$;
REVOKE EXECUTE ON FUNCTION forbidden() FROM PUBLIC;
CREATE FUNCTION tries() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
    what text;
BEGIN
    FOREACH what IN ARRAY '{reads_secret}'::text[] LOOP
        BEGIN
            told := told || durable.call_activity(what);
        EXCEPTION WHEN insufficient_privilege THEN
            told := told || to_jsonb(SQLERRM);
        END;
    END LOOP;
    BEGIN
        told := told || durable.call_sql('SELECT * FROM durable.instance');
    EXCEPTION WHEN insufficient_privilege THEN
        told := told || to_jsonb(SQLERRM);
    END;
    BEGIN
        told := told || durable.call_sql('SET ROLE pg_monitor');
    EXCEPTION WHEN insufficient_privilege THEN
        told := told || to_jsonb(SQLERRM);
    END;
    RETURN told;
END $$;
CREATE FUNCTION tries_forbidden(child boolean) RETURNS jsonb LANGUAGE sql AS $$
    SELECT CASE WHEN child THEN durable.call_sub_orchestrator('forbidden') ELSE durable.call_activity('forbidden') END $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('tries_forbidden', child, 'forbidden ' || child) FROM unnest('{f,t}'::boolean[]) child;
CALL durable.drain();
SELECT i.name, status, detail FROM run JOIN durable.instances i USING (instance_id) LEFT JOIN durable.waiting w ON w.instance_id = i.instance_id AND w.kind = 'resume'
WHERE i.name LIKE '%forbidden' ORDER BY 1, 2;
SELECT count(durable.terminate(instance_id)) FROM run WHERE instance_id LIKE 'forbidden%';
CALL durable.drain();
SELECT durable.start('tries', NULL, 'tries');
CALL durable.drain();
SELECT status, jsonb_array_elements(output) FROM run WHERE instance_id = 'tries';
RESET SESSION AUTHORIZATION;
-- rights that are granted, and taken away, while it waits
CREATE FUNCTION waits_then_tries() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN durable.call_activity('forbidden');
END $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('waits_then_tries', NULL, 'granted'), durable.start('waits_then_tries', NULL, 'orchestration revoked');
CALL durable.drain();
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION forbidden() TO regress_owners_anna;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.raise_event('granted', 'Go');
CALL durable.drain();
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION waits_then_tries() FROM PUBLIC;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.raise_event('orchestration revoked', 'Go');
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id IN ('granted', 'orchestration revoked') ORDER BY 1;
SELECT detail FROM durable.waiting WHERE kind = 'resume';
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION waits_then_tries() TO regress_owners_anna;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.resume('orchestration revoked');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'orchestration revoked';
RESET SESSION AUTHORIZATION;

-- a function with SECURITY DEFINER is its owner's business: turns and activities may call one
CREATE FUNCTION tells_secret() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO app, pg_temp AS $$ SELECT what || ', told by ' || current_user FROM secrets $$;
CREATE FUNCTION asks_secret() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('tells_secret') $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('asks_secret', NULL, 'asks_secret');
CALL durable.drain();
SELECT status, replace(output::text, (SELECT rolname FROM pg_roles WHERE oid = 10), 'the superuser') AS output FROM run WHERE instance_id = 'asks_secret';
RESET SESSION AUTHORIZATION;

-- started by a function with SECURITY DEFINER: the definer's
CREATE FUNCTION starts_for_anna() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO app, pg_temp AS $$ SELECT durable.start('who', NULL, 'for anna') $$;
ALTER FUNCTION starts_for_anna() OWNER TO regress_owners_anna;
SET SESSION AUTHORIZATION regress_owners_bert;
SELECT starts_for_anna();
RESET SESSION AUTHORIZATION;
SELECT owner FROM durable.instances WHERE instance_id = 'for anna';

-- row security: each sees his own rows, in activities as in his own sessions
CREATE TABLE rows (owner name DEFAULT current_user, x integer);
GRANT SELECT, INSERT ON rows TO PUBLIC;
ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rows USING (owner = current_user);
INSERT INTO rows VALUES ('regress_owners_anna', 1), ('regress_owners_anna', 2), ('regress_owners_bert', 4);
CREATE FUNCTION sees() RETURNS bigint LANGUAGE sql AS $$ SELECT sum(x) FROM app.rows $$;
CREATE FUNCTION asks_rows() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('sees') $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('asks_rows', NULL, 'annas rows');
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'annas rows';
SET SESSION AUTHORIZATION regress_owners_bert;
SELECT durable.start('asks_rows', NULL, 'berts rows');
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'berts rows';
RESET SESSION AUTHORIZATION;

-- events that an orchestration sends reach those that its owner may act for, and nobody else's
CREATE FUNCTION waits() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.wait_for_external_event('E', '1 hour', '"nothing came"') $$;
CREATE FUNCTION sends(receiver text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.send_event(receiver, 'E', 'from ' || current_user); END $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('waits', NULL, 'annas wait');
CALL durable.drain();
SET SESSION AUTHORIZATION regress_owners_team;
SELECT durable.start('waits', NULL, 'teams wait');
CALL durable.drain();
SET SESSION AUTHORIZATION regress_owners_carl;
SELECT durable.start('sends', id, 'to ' || id) FROM unnest('{annas wait,teams wait}'::text[]) id;
CALL durable.drain();
SET SESSION AUTHORIZATION regress_owners_team;
CALL durable.drain();
RESET SESSION AUTHORIZATION;
SELECT instance_id, status, output FROM run WHERE instance_id LIKE '%wait' ORDER BY 1;
SELECT count(*) FROM durable.inbox;

-- an id that belongs to somebody else is free, for a child, too
CREATE FUNCTION wants_child(instance_id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sub_orchestrator('waits', NULL, instance_id);
EXCEPTION WHEN SQLSTATE 'WF002' THEN
    RETURN to_jsonb(SQLERRM);
END $$;
SET SESSION AUTHORIZATION regress_owners_bert;
SELECT durable.start('wants_child', 'annas wait', 'wants_child');
CALL durable.drain();
SELECT durable.raise_event('annas wait', 'E', 'own child');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'wants_child';
RESET SESSION AUTHORIZATION;

-- a registration of one's own is found first; another ordinary role's is not found at all
CREATE FUNCTION annas() RETURNS text LANGUAGE sql AS $$ SELECT 'Anna''s' $$;
CREATE FUNCTION everybodys() RETURNS text LANGUAGE sql AS $$ SELECT 'everybody''s' $$;
CREATE FUNCTION asks_named() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('Named');
END $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.register_activity('Named', 'annas()');
SET SESSION AUTHORIZATION regress_owners_bert;
SELECT durable.start('asks_named', NULL, 'bert, nothing');
CALL durable.drain();
RESET SESSION AUTHORIZATION;
SELECT durable.register_activity('Named', 'everybodys()');
SET SESSION AUTHORIZATION regress_owners_bert;
SELECT durable.start('asks_named', NULL, 'bert, everybody''s');
CALL durable.drain();
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('asks_named', NULL, 'anna, her own');
CALL durable.drain();
RESET SESSION AUTHORIZATION;
SELECT instance_id, output FROM run WHERE instance_id ~ '^(anna|bert), ' ORDER BY 1;

-- nobody writes the engine's tables, not even in an activity
CREATE FUNCTION forges(statement text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; END $$;
CREATE FUNCTION tries_to_forge() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    told jsonb := '[]';
BEGIN
    FOREACH statement IN ARRAY ARRAY['UPDATE durable.instance SET owner = 10', 'INSERT INTO durable.inbox VALUES (1, 10, 1, ''e'')', 'DELETE FROM durable.history',
        'UPDATE durable.task_queue SET owner = 10', 'TRUNCATE durable.timer', 'SELECT nextval(''durable.inbox_id_seq'')', 'DELETE FROM durable.engine', 'UPDATE durable.activity SET handler = ''x''']
    LOOP
        BEGIN
            PERFORM durable.call_activity('forges', statement);
            told := told || to_jsonb('done: ' || statement);
        EXCEPTION WHEN insufficient_privilege THEN
            told := told || to_jsonb(SQLERRM);
        END;
    END LOOP;
    RETURN told;
END $$;
SET SESSION AUTHORIZATION regress_owners_anna;
SELECT durable.start('tries_to_forge', NULL, 'forger');
CALL durable.drain();
SELECT status, jsonb_array_elements_text(output) FROM run WHERE instance_id = 'forger';
RESET SESSION AUTHORIZATION;

-- a role that has instances and is gone: theirs stay as they are, and others' go on
SELECT durable.start('waits', NULL, 'superuser''s');
CALL durable.drain();
DROP OWNED BY regress_owners_anna, regress_owners_bert, regress_owners_team, regress_owners_carl;
DROP ROLE regress_owners_anna, regress_owners_bert, regress_owners_carl, regress_owners_team;
SELECT durable.raise_event('superuser''s', 'E', 'still here');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'superuser''s';
SELECT count(*) > 0 AS "instances of nobody" FROM durable.instances i WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = i.owner::oid);
