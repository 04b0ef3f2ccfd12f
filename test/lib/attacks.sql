-- The stage for the attacks: a superuser's secrets, a victim with some of his own, an attacker who may use the engine and
-- has a schema, and loot, in which the attacker's code writes as whom it runs. test/t/210_attacks.pl plays.

CREATE ROLE mallory LOGIN;
CREATE ROLE victor LOGIN;
CREATE ROLE admin LOGIN IN ROLE mallory;		-- may do all that mallory may, and more
CREATE ROLE bypasser LOGIN BYPASSRLS;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
SELECT durable.grant_usage(r) FROM unnest('{mallory,victor,admin,bypasser}'::regrole[]) r;

CREATE SCHEMA mallory AUTHORIZATION mallory;
CREATE SCHEMA victor AUTHORIZATION victor;
CREATE SCHEMA admin AUTHORIZATION admin;
GRANT USAGE ON SCHEMA mallory, victor, admin TO PUBLIC;

CREATE TABLE secret (what text);
INSERT INTO secret VALUES ('of the superuser');
CREATE TABLE victor.secret (what text);
ALTER TABLE victor.secret OWNER TO victor;
INSERT INTO victor.secret VALUES ('of victor');

-- Where the attacker has got to: label, current and session user, and what they may read.
CREATE TABLE loot (label text, who name, session name, superuser text, reads_secret boolean, reads_victor boolean);
GRANT INSERT, SELECT ON loot TO PUBLIC;
CREATE FUNCTION report(label text) RETURNS text LANGUAGE sql SET search_path TO pg_catalog, pg_temp AS $$
	INSERT INTO public.loot VALUES (label, current_user, session_user, current_setting('is_superuser'),
		has_table_privilege(current_user, 'public.secret', 'SELECT'), has_table_privilege(current_user, 'victor.secret', 'SELECT'))
	RETURNING label
$$;
-- The same for code that may run where nothing can be written.
CREATE FUNCTION whoami() RETURNS text LANGUAGE sql SET search_path TO pg_catalog, pg_temp AS $$
	SELECT concat_ws(' ', current_user, session_user, current_setting('is_superuser'), current_setting('role'))
$$;

-- Tries a statement; what came of it.
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done as ' || public.whoami();
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

-- An orchestration for any one activity, and for any SQL as an activity.
CREATE FUNCTION act(activity text, input jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity(activity, input);
END $$;
CREATE FUNCTION act_sql(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_sql(query);
END $$;
CREATE FUNCTION patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.set_custom_status('"private status"');
	RETURN durable.wait_for_external_event('Go');
END $$;
