--
-- Code that is replaced while instances run it: they go on with what they began with.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- three replacements in one sleep
CREATE PROCEDURE define(version integer) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($f$CREATE OR REPLACE FUNCTION sleeper(who text) RETURNS text LANGUAGE plpgsql AS $b$
BEGIN
    PERFORM durable.call_activity('effect', 'begun %1$s');
    PERFORM durable.sleep('1 hour');
    PERFORM durable.call_activity('effect', sleeper.who || ' %1$s');
    RETURN 'by code %1$s';
END $b$ $f$, version);
END $$;
CALL define(1);
SELECT durable.start('sleeper', 'one', 'one');
CALL durable.drain();
CALL define(2);
SELECT durable.start('sleeper', 'two', 'two');
CALL durable.drain();
CALL define(3);
SELECT durable.start('sleeper', 'three', 'three');
CALL durable.drain();
CALL define(4);
SELECT durable.start('sleeper', 'four', 'four');
SELECT handler, copy FROM durable.kept_code ORDER BY copy;
-- the same code again is no replacement
CALL define(4);
SELECT count(*) FROM durable.kept_code;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, output FROM run ORDER BY instance_id;
SELECT what FROM effects ORDER BY n;
-- nobody needs the copies any more
SELECT durable.drop_unused_code();
SELECT n.nspname, count(p.oid) FROM pg_namespace n LEFT JOIN pg_proc p ON p.pronamespace = n.oid
WHERE n.nspname LIKE 'durable_code%' GROUP BY 1 ORDER BY 1;

-- a function that no unfinished instance runs is just replaced
CALL define(5);
SELECT count(*) FROM durable.kept_code;

-- dropped, renamed, moved, altered; with a language of its own, defaults, settings and a body in the standard's way
CREATE FUNCTION by_sql(who text DEFAULT 'nobody', n integer DEFAULT 2) RETURNS text LANGUAGE sql
SET work_mem TO '1234kB'
BEGIN ATOMIC
    SELECT durable.sleep('1 hour');
    SELECT format('%s %s', who, n);
END;
CREATE FUNCTION renamed(input jsonb) RETURNS text LANGUAGE sql AS $$ SELECT durable.sleep('1 hour'); SELECT 'renamed'; $$;
CREATE FUNCTION moved(input jsonb) RETURNS text LANGUAGE sql AS $$ SELECT durable.sleep('1 hour'); SELECT 'moved with ' || (durable.call_activity('effect', 'by moved') #>> '{}'); $$;
CREATE FUNCTION altered(input jsonb) RETURNS text LANGUAGE sql AS $$ SELECT durable.sleep('1 hour'); SELECT 'altered under ' || current_setting('my.setting', true); $$;
ALTER FUNCTION altered SET my.setting TO 'old';
CREATE FUNCTION unstarted(input jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'unstarted'; $$;
SELECT durable.start('by_sql', '{"who": "Ada"}'::jsonb, 'by_sql'), durable.start('renamed', NULL, 'renamed'),
       durable.start('moved', NULL, 'moved'), durable.start('altered', NULL, 'altered'),
       durable.start('unstarted', NULL, 'unstarted', start_at => durable.clock() + interval '1 hour');
CALL durable.drain();
DROP FUNCTION by_sql;
ALTER FUNCTION renamed RENAME TO renamed_now;
CREATE SCHEMA elsewhere;
ALTER FUNCTION moved SET SCHEMA elsewhere;
ALTER FUNCTION altered SET my.setting TO 'new';
DROP FUNCTION unstarted(jsonb), sleeper(text);
SELECT handler, copy FROM durable.kept_code ORDER BY copy;
SELECT source LIKE '%sleep%' AS has_source FROM durable.source('by_sql') AS source;
SELECT durable.start('app.by_sql');
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id IN ('by_sql', 'renamed', 'moved', 'altered', 'unstarted') ORDER BY 1;
SELECT durable.drop_unused_code();

-- what is rolled back has kept nothing
CALL define(1);
SELECT durable.start('sleeper', 'back', 'back');
CALL durable.drain();
BEGIN;
CALL define(2);
SELECT count(*) FROM durable.kept_code;
ROLLBACK;
SELECT count(*) FROM durable.kept_code;
BEGIN;
SAVEPOINT a;
CALL define(2);
ROLLBACK TO a;
CALL define(3);
-- and what this transaction has made nobody has run
CALL define(4);
COMMIT;
SELECT count(*) FROM durable.kept_code;

-- back to code that is kept already
CALL define(1);
SELECT durable.start('sleeper', 'again', 'again');
CALL durable.drain();
CALL define(5);
SELECT copy FROM durable.kept_code;

-- what begins anew takes the present code
CREATE FUNCTION rounds(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.continue_as_new(n + 1);
END $$;
SELECT durable.start('rounds', 1, 'rounds');
CALL durable.drain();
CREATE OR REPLACE FUNCTION rounds(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'new code in round ' || n;
END $$;
SELECT durable.raise_event('rounds', 'Go');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'rounds';

-- a copy is run only as it was kept
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
ALTER FUNCTION durable_code.sleeper(text) STRICT;
CALL durable.drain();
SELECT instance_id, status FROM run WHERE instance_id IN ('back', 'again') ORDER BY 1;
SELECT DISTINCT detail FROM durable.waiting WHERE kind = 'resume';
SELECT check_name, detail FROM durable.doctor() WHERE NOT ok AND check_name IN ('orphan_handlers', 'old_code');
ALTER FUNCTION durable_code.sleeper(text) CALLED ON NULL INPUT;
SELECT durable.resume('back'), durable.resume('again');
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id IN ('back', 'again') ORDER BY 1;

-- rights: those of the original, also those that are taken away later
CREATE ROLE changing_owner LOGIN;
CREATE ROLE changing_user LOGIN;
SELECT durable.grant_usage('changing_owner'), durable.grant_usage('changing_user');
CREATE SCHEMA theirs AUTHORIZATION changing_owner;
GRANT USAGE ON SCHEMA theirs TO changing_user;
SET ROLE changing_owner;
CREATE FUNCTION theirs.work() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'old';
END $$;
REVOKE ALL ON FUNCTION theirs.work() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION theirs.work() TO changing_user;
SET ROLE changing_user;
SELECT durable.start('theirs.work', NULL, 'theirs');
CALL durable.drain();
CREATE OR REPLACE FUNCTION theirs.work() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
SET ROLE changing_owner;
CREATE OR REPLACE FUNCTION theirs.work() RETURNS text LANGUAGE sql AS $$ SELECT 'new' $$;
SELECT handler, copy FROM durable.kept_code;
CREATE FUNCTION durable_code.intruder() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
SELECT proname, proowner::regrole, proacl FROM pg_proc WHERE pronamespace = 'durable_code'::regnamespace AND proname = 'work';
REVOKE EXECUTE ON FUNCTION theirs.work() FROM changing_user;
SET ROLE changing_user;
SELECT durable.raise_event('theirs', 'Go');
CALL durable.drain();
SELECT detail FROM durable.waiting WHERE instance_id = 'theirs' AND kind = 'resume';
SET ROLE changing_owner;
GRANT EXECUTE ON FUNCTION theirs.work() TO changing_user;
SET ROLE changing_user;
SELECT durable.resume('theirs');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('theirs');
RESET ROLE;

-- comparing and moving
CREATE FUNCTION bill(amount integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF amount > 100 THEN
        PERFORM durable.call_activity('effect', 'approval');
    END IF;
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'old';
END $$;
CREATE FUNCTION bill_without_approval(amount integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.log('dry runs log nothing');
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'other';
END $$;
SELECT count(durable.start('bill', n, 'bill ' || n)) FROM unnest(ARRAY[1, 50, 150, 200]) n;
CALL durable.drain();
CREATE VIEW state AS SELECT i.instance_id, i.xmin AS version, (SELECT count(*) FROM durable.history h WHERE h.key = i.key) AS rows
FROM durable.instance i WHERE name = 'app.bill';
CREATE TABLE before AS SELECT * FROM state;
SELECT * FROM durable.verify_replay('bill');
SELECT * FROM durable.verify_replay('bill', 'bill_without_approval(integer)') ORDER BY 1;
-- any function will do for a comparison, but not what cannot be an orchestration
SELECT * FROM durable.verify_replay('bill', 'twice(integer)') ORDER BY 1;
SELECT * FROM durable.verify_replay('bill', 'effect(text)') ORDER BY 1;
SELECT * FROM durable.verify_replay('bill', 'define(integer)');
SELECT * FROM durable.verify_replay('bill', 'sum(integer)');
CREATE OR REPLACE FUNCTION bill(amount integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF amount > 100 THEN
        PERFORM durable.call_activity('effect', 'another approval');
        PERFORM durable.call_activity('twice', 1);
    END IF;
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'new';
END $$;
SELECT * FROM durable.verify_replay('app.bill') ORDER BY 1;
SELECT * FROM state EXCEPT SELECT * FROM before;
SELECT durable.repin('bill 150');
SELECT durable.repin('bill 1');
SELECT durable.repin_all('bill');
SELECT count(durable.raise_event(instance_id, 'Go')) FROM run WHERE instance_id LIKE 'bill %';
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id LIKE 'bill %' ORDER BY 1;
SELECT durable.repin('bill 1');
SELECT durable.repin('nobody');
SELECT durable.repin(NULL);
SELECT * FROM durable.verify_replay('nobody');
SELECT * FROM durable.verify_replay(NULL);
SELECT durable.repin_all('');
-- as the owner only
SELECT durable.start('bill', 1, 'not yours');
CALL durable.drain();
GRANT postgres TO changing_user;
SET ROLE changing_user;
SELECT durable.repin('not yours');
RESET ROLE;
REVOKE postgres FROM changing_user;
SELECT durable.terminate('not yours');
CALL durable.drain();

-- the guard
SELECT durable.start('sleeper', 'guarded', 'guarded');
CALL durable.drain();
SET durable.guard_ddl TO error;
CALL define(6);
DROP FUNCTION sleeper(text);
ALTER FUNCTION sleeper(text) RENAME TO dreamer;
DROP SCHEMA app CASCADE;
ALTER SCHEMA app RENAME TO app2;
-- it does not mind what breaks nothing
ALTER FUNCTION sleeper(text) COST 5;
CREATE OR REPLACE FUNCTION unrelated() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;
CREATE OR REPLACE FUNCTION unrelated() RETURNS integer LANGUAGE sql AS $$ SELECT 2 $$;
SET durable.guard_ddl TO warn;
SET client_min_messages TO warning;
CALL define(6);
BEGIN;
DROP SCHEMA app CASCADE;
ROLLBACK;
RESET durable.guard_ddl;

DROP OWNED BY changing_owner, changing_user;
DROP ROLE changing_owner, changing_user;
