-- What the regression tests of the engine have in common: some activities, and
-- views that leave out what differs from run to run (times, contexts of errors).
--
--   \set ECHO none
--   \getenv top PG_ABS_SRCDIR
--   \set file :top '/test/lib/engine.sql'
--   \i :file
--   \set ECHO all

SET client_min_messages TO warning;
CREATE SCHEMA app;
SET search_path TO app, public;
\pset null '(null)'

-- No unique constraint: what happens twice is there twice.
CREATE TABLE effects (n integer GENERATED ALWAYS AS IDENTITY, what text);

CREATE FUNCTION effect(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.effects (what) VALUES (effect.what);
    RETURN 'did ' || what;
END $$;

CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT 2 * n $$;

CREATE FUNCTION fail(sqlstate text, message text, detail text DEFAULT NULL, hint text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.effects (what) VALUES ('to be rolled back');
    RAISE EXCEPTION USING ERRCODE = sqlstate, MESSAGE = message,
        DETAIL = coalesce(detail, ''), HINT = coalesce(hint, '');
END $$;

-- Fails until it has been called so often. A sequence remembers what a rollback forgets.
CREATE SEQUENCE attempts;
CREATE FUNCTION flaky(succeeds_at integer, sqlstate text DEFAULT 'P0001')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    attempt bigint := nextval('app.attempts');
BEGIN
    INSERT INTO app.effects (what) VALUES ('attempt ' || attempt);
    IF attempt < succeeds_at THEN
        RAISE EXCEPTION USING ERRCODE = sqlstate, MESSAGE = 'attempt ' || attempt || ' failed';
    END IF;
    RETURN 'attempt ' || attempt;
END $$;

-- How an instance stands.
CREATE VIEW run AS
SELECT instance_id, runtime_status AS status, waiting_on, output, failure - 'context' AS failure
FROM durable.instances;

-- What happened in it.
CREATE FUNCTION story(instance_id text,
    OUT seq integer, OUT event text, OUT task integer, OUT name text, OUT payload jsonb)
RETURNS SETOF record LANGUAGE sql AS $$
    SELECT seq, event_type, task::integer, name,
           CASE WHEN jsonb_typeof(payload) = 'object' THEN payload - 'context' ELSE payload END
    FROM durable.history(instance_id) ORDER BY execution, seq
$$;
RESET client_min_messages;
