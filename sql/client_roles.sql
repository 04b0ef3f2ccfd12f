--
-- Whose instances are whose: two ordinary roles, a group, one who monitors.
--
\pset null '(null)'
CREATE ROLE regress_client_anna LOGIN;
CREATE ROLE regress_client_bert LOGIN;
CREATE ROLE regress_client_team LOGIN;
CREATE ROLE regress_client_carl LOGIN IN ROLE regress_client_team;
CREATE ROLE regress_client_dora LOGIN NOINHERIT IN ROLE regress_client_team;
CREATE ROLE regress_client_watch LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_client_locked NOLOGIN;
CREATE ROLE "regress client ""Odd""" LOGIN;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN jsonb_build_object('who', current_user, 'event', durable.wait_for_external_event('Go')); END $$;
CREATE FUNCTION app.secret(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT input $$;
REVOKE EXECUTE ON FUNCTION app.secret(jsonb) FROM PUBLIC;
CREATE VIEW public.what AS
SELECT instance_id, owner, runtime_status, waiting_on, input, output, failure, custom_status, tags FROM durable.instances ORDER BY instance_id;
ALTER VIEW public.what SET (security_invoker = true);
GRANT SELECT ON public.what TO PUBLIC;

-- without grant_usage nothing goes
SET SESSION AUTHORIZATION regress_client_anna;
SELECT durable.start('app.patient', NULL, 'x');
SELECT * FROM durable.instances;
RESET SESSION AUTHORIZATION;

SELECT durable.grant_usage(r::regrole) FROM unnest('{regress_client_anna,regress_client_bert,regress_client_team,regress_client_carl,regress_client_dora,regress_client_locked}'::text[]) r;
SELECT durable.grant_usage('"regress client ""Odd"""');
SELECT durable.grant_usage(NULL);
SELECT durable.grant_usage('regress_client_nobody');
SELECT durable.grant_usage(0), durable.grant_usage('-');
SELECT durable.grant_usage(4294967295);
SELECT durable.revoke_usage(4294967295);

-- everybody starts one
SET SESSION AUTHORIZATION regress_client_anna;
SELECT durable.start('app.patient', '"a"'::jsonb, 'annas', tags => '{"private": true}');
SELECT durable.start('app.secret', '"a"'::jsonb, 'not allowed');
SET SESSION AUTHORIZATION regress_client_bert;
SELECT durable.start('app.patient', '"b"'::jsonb, 'berts');
SET SESSION AUTHORIZATION regress_client_carl;
SET ROLE regress_client_team;
SELECT durable.start('app.patient', '"t"'::jsonb, 'the team''s');
RESET ROLE;
SET SESSION AUTHORIZATION "regress client ""Odd""";
SELECT durable.start('app.patient', '"o"'::jsonb, 'odds');

-- each sees his own, a member that of the group, who monitors all but the payloads, a superuser all
SET SESSION AUTHORIZATION regress_client_anna;
TABLE what;
SET SESSION AUTHORIZATION regress_client_bert;
TABLE what;
SET SESSION AUTHORIZATION regress_client_carl;
TABLE what;
SET SESSION AUTHORIZATION regress_client_dora;
TABLE what;
SET ROLE regress_client_team;
TABLE what;
RESET ROLE;
SET SESSION AUTHORIZATION "regress client ""Odd""";
TABLE what;
SET SESSION AUTHORIZATION regress_client_watch;
TABLE what;
RESET SESSION AUTHORIZATION;
TABLE what;

-- somebody else's instance does not exist, whatever one asks of it; its id is free
SET SESSION AUTHORIZATION regress_client_bert;
SELECT durable.status('annas');
SELECT durable.wait('annas', '0');
SELECT * FROM durable.history('annas');
SELECT durable.raise_event('annas', 'Go');
SELECT durable.terminate('annas');
SELECT durable.suspend('annas');
SELECT durable.resume('annas');
SELECT durable.purge('annas');
BEGIN;
SELECT durable.start('app.patient', NULL, 'annas');
SELECT instance_id, owner FROM durable.status('annas');
SELECT durable.start('app.patient', NULL, 'annas', on_conflict => 'return');
ROLLBACK;
BEGIN;
SELECT durable.start('app.patient', NULL, 'annas', on_conflict => 'replace_finished');
ROLLBACK;

-- who monitors may look, and only look
SET SESSION AUTHORIZATION regress_client_anna;
CALL durable.drain();
SELECT durable.raise_event('annas', 'Stop', 'private');
CALL durable.drain();
SELECT durable.suspend('annas', 'a private reason');
CALL durable.drain();
SELECT kind, detail FROM durable.waiting ORDER BY 1;
SET SESSION AUTHORIZATION regress_client_watch;
SELECT kind, detail FROM durable.waiting ORDER BY 1;
SELECT instance_id, event FROM durable.buffered_events;
SELECT runtime_status, input, tags FROM durable.status('annas');
SELECT seq, event_type, name, payload, detail FROM durable.history('annas');
SELECT durable.raise_event('annas', 'Go');
SELECT durable.terminate('annas');
SELECT durable.start('app.patient');
SELECT check_name FROM durable.doctor() WHERE check_name = 'paused';

-- a member acts for the group; the instance runs as the group
SET SESSION AUTHORIZATION regress_client_carl;
SELECT durable.raise_event('the team''s', 'Go', 'from carl');
SET SESSION AUTHORIZATION regress_client_team;
CALL durable.drain();
SET SESSION AUTHORIZATION regress_client_carl;
SELECT output FROM durable.status('the team''s');
SELECT durable.purge('the team''s');

-- an owner's instances only, also when purging
SET SESSION AUTHORIZATION regress_client_bert;
SELECT durable.terminate('berts');
CALL durable.drain();
SET SESSION AUTHORIZATION regress_client_anna;
CALL durable.drain();
SELECT durable.terminate('annas');
CALL durable.drain();
SELECT durable.purge_history('0');
SELECT durable.purge_history('0');
SET SESSION AUTHORIZATION regress_client_bert;
SELECT instance_id, runtime_status FROM durable.instances;

-- what a SECURITY DEFINER function starts belongs to its owner
RESET SESSION AUTHORIZATION;
GRANT CREATE ON SCHEMA app TO regress_client_anna;
SET SESSION AUTHORIZATION regress_client_anna;
CREATE FUNCTION app.start_for_anna(id text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ SELECT durable.start('app.patient', NULL, id) $$;
SET SESSION AUTHORIZATION regress_client_bert;
SELECT app.start_for_anna('through a door');
SELECT * FROM durable.instances WHERE instance_id = 'through a door';
RESET SESSION AUTHORIZATION;
SELECT owner FROM durable.instances WHERE instance_id = 'through a door';

-- a role without LOGIN cannot have workers, on any version
SET ROLE regress_client_locked;
SELECT durable.start('app.patient');
RESET ROLE;

-- what only those who operate the engine may do
SET SESSION AUTHORIZATION regress_client_anna;
SELECT durable.pause();
SELECT durable.unpause();
SELECT durable.adopt();
SELECT durable.grant_usage('regress_client_bert');
SELECT durable.revoke_usage('regress_client_bert');
SELECT durable.user_functions();
TABLE durable.instance;
TABLE durable.engine;
INSERT INTO durable.inbox (id, owner, key, kind, sent_at) VALUES (1, 'regress_client_bert', 1, 'e', now());
UPDATE durable.instances SET owner = 'regress_client_bert';
SELECT nextval('durable.instance_key_seq');
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION durable.pause(), durable.unpause() TO regress_client_anna;
SET SESSION AUTHORIZATION regress_client_anna;
SELECT durable.pause();
SELECT durable.unpause();
RESET SESSION AUTHORIZATION;

-- taken back
SELECT durable.revoke_usage('regress_client_anna');
SET SESSION AUTHORIZATION regress_client_anna;
SELECT durable.start('app.patient');
SELECT durable.pause();
TABLE what;
RESET SESSION AUTHORIZATION;

-- many roles: better one that the others are members of
BEGIN;
DO $$ BEGIN FOR i IN 1 .. 100 LOOP EXECUTE format('CREATE ROLE regress_client_many_%s LOGIN', i); EXECUTE format('GRANT USAGE ON SCHEMA durable TO regress_client_many_%s', i); END LOOP; END $$;
SELECT durable.grant_usage('regress_client_many_1');
CREATE ROLE regress_client_group;
SET LOCAL client_min_messages = error;
SELECT durable.grant_usage('regress_client_group');
GRANT regress_client_group TO regress_client_many_7;
SET SESSION AUTHORIZATION regress_client_many_7;
SELECT durable.start('app.patient', instance_id => 'of a member');
SELECT owner FROM durable.instances WHERE instance_id = 'of a member';
ROLLBACK;

SELECT count(*) FROM (SELECT durable.terminate(instance_id) FROM durable.instances WHERE runtime_status IN ('Pending', 'Running')) t;
DROP VIEW public.what;
DROP FUNCTION app.start_for_anna(text);
SELECT durable.revoke_usage(r::regrole) FROM unnest('{regress_client_bert,regress_client_team,regress_client_carl,regress_client_dora,regress_client_locked}'::text[]) r;
SELECT durable.revoke_usage('"regress client ""Odd"""');
DROP OWNED BY regress_client_anna;
DROP ROLE regress_client_anna, regress_client_bert, regress_client_carl, regress_client_dora, regress_client_team,
          regress_client_watch, regress_client_locked, "regress client ""Odd""";
