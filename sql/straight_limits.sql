--
-- An orchestration that is run straight through, its activities within its turn, does
-- what it does turn by turn: also where its code puts activities into a subtransaction
-- that it rolls back, or calls them under another user, search_path or settings.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('effect', 'effect(text)', execution => 'inline');

-- twenty of each: some turn by turn, the others straight; what comes out is the same
CREATE PROCEDURE go(name text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.start(name, n, name || ' ' || n) FROM generate_series(1, 20) n;
    CALL durable.drain();
END $$;
CREATE VIEW outcome AS
    SELECT split_part(instance_id, ' ', 1) AS name, runtime_status AS status, replace(output::text, split_part(instance_id, ' ', 2), 'n') AS output, count(*)
    FROM durable.instances GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
CREATE VIEW what_is_done AS
    SELECT regexp_replace(what, '\d+', 'n') AS what, count(*) AS times, count(DISTINCT what) AS different FROM effects GROUP BY 1 ORDER BY 1;

-- a block that is rolled back after an activity in it has completed: completed is completed
CREATE FUNCTION blocks(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('effect', 'before ' || n);
    BEGIN
        PERFORM durable.call_activity('effect', 'in the block ' || n);
        BEGIN
            PERFORM durable.call_activity('effect', 'in the inner block ' || n);
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
    PERFORM durable.call_activity('effect', 'after ' || n);
    RETURN n;
END $$;
CALL go('blocks');
SELECT * FROM outcome WHERE name = 'blocks';
SELECT * FROM what_is_done;
-- the same when nothing comes after the block
CREATE FUNCTION last_block(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('effect', 'in the last block ' || n);
    PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
    RETURN n;
END $$;
CALL go('last_block');
SELECT * FROM outcome WHERE name = 'last_block';
SELECT * FROM what_is_done WHERE what LIKE '%last block%';
-- a block that is rolled back and has no activity in it is no obstacle, and none that is not rolled back
CREATE FUNCTION harmless(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM durable.call_activity('effect', 'harmless ' || n);
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
    BEGIN
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
    RETURN n;
END $$;
CALL go('harmless');
SELECT * FROM outcome WHERE name = 'harmless';
SELECT * FROM what_is_done WHERE what LIKE 'harmless%';
SELECT count(*) > 0 AS "some in one turn" FROM durable.instances WHERE instance_id LIKE 'harmless%' AND turns = 1;

-- activities run as the owner, whoever the orchestration, or a function that it calls, runs as
CREATE ROLE regress_straight_owner LOGIN;
CREATE ROLE regress_straight_definer LOGIN;
SELECT durable.grant_usage('regress_straight_owner');
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT CREATE ON SCHEMA app TO regress_straight_definer, regress_straight_owner;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA durable TO regress_straight_definer;
GRANT USAGE ON SCHEMA durable TO regress_straight_definer;
GRANT SELECT ON outcome TO PUBLIC;
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$ SELECT current_user || ', ' || current_setting('search_path') || ', ' || current_setting('DateStyle') $$;
SET SESSION AUTHORIZATION regress_straight_definer;
CREATE FUNCTION app.definer(n integer) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN durable.call_activity('app.who') || to_jsonb(current_user);
END $$;
CREATE FUNCTION app.definers_helper() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN durable.call_activity('app.who') || to_jsonb(current_user);
END $$;
SET SESSION AUTHORIZATION regress_straight_owner;
SET search_path TO app, public;
SELECT durable.register_activity('app.who', 'who()', execution => 'inline');
CREATE FUNCTION calls_helper(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('app.who') || definers_helper();
END $$;
CALL go('definer');
CALL go('calls_helper');
SELECT * FROM outcome;
RESET SESSION AUTHORIZATION;

-- under the owner's search_path and settings, not the function's
SELECT durable.register_activity('who', 'who()', execution => 'inline');
CREATE SCHEMA other;
CREATE FUNCTION other.who() RETURNS text LANGUAGE sql AS $$ SELECT 'the wrong one'::text $$;
CREATE FUNCTION with_set(n integer) RETURNS jsonb LANGUAGE plpgsql SET search_path TO other, pg_temp SET DateStyle TO 'SQL, DMY' AS $$
BEGIN
    RETURN durable.call_activity('who') || to_jsonb(current_setting('DateStyle'));
END $$;
CREATE FUNCTION sets(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'other', false);
    RETURN durable.call_activity('who') || to_jsonb(current_setting('search_path'));
END $$;
CREATE FUNCTION sets_local(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL DateStyle TO 'SQL, DMY';
    RETURN durable.call_activity('who') || to_jsonb(current_setting('DateStyle'));
END $$;
SET DateStyle TO 'ISO, YMD';
CALL go('with_set');
CALL go('sets');
CALL go('sets_local');
SELECT name, status, replace(output, current_user, 'the superuser') AS output, count FROM outcome WHERE name IN ('with_set', 'sets', 'sets_local');
SHOW search_path;
SHOW DateStyle;

DROP OWNED BY regress_straight_owner, regress_straight_definer;
DROP ROLE regress_straight_owner, regress_straight_definer;
