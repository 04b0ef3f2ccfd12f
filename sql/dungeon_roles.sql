--
-- Installed by an ordinary role, played by one that may do nothing else.
-- In a database of its own: there is one dungeon in a database.
--
CREATE ROLE regress_dungeon_master LOGIN;
CREATE ROLE regress_dungeon_player LOGIN;
CREATE ROLE regress_dungeon_stranger LOGIN;
CREATE DATABASE regress_dungeon TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\set home :DBNAME
\c regress_dungeon
\set VERBOSITY terse
REVOKE ALL ON DATABASE regress_dungeon FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE regress_dungeon TO regress_dungeon_master, regress_dungeon_player, regress_dungeon_stranger;
CREATE EXTENSION durable;

-- what the master needs: CREATE on the database, the use of the engine, and a schema for the players' functions
SET ROLE regress_dungeon_master;
CREATE EXTENSION durable_dungeon;
RESET ROLE;
GRANT CREATE ON DATABASE regress_dungeon TO regress_dungeon_master;
SET ROLE regress_dungeon_master;
CREATE SCHEMA game;
DO $$ BEGIN
    CREATE EXTENSION durable_dungeon SCHEMA game;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'refused: %', SQLERRM;
END $$;
RESET ROLE;
SELECT durable.grant_usage('regress_dungeon_master') IS NOT NULL AS granted;
SET ROLE regress_dungeon_master;
CREATE EXTENSION durable_dungeon SCHEMA game;
SELECT extowner::regrole, extnamespace::regnamespace FROM pg_extension WHERE extname = 'durable_dungeon';

-- nobody has got any privilege on the way
RESET ROLE;
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('game', 'dungeon') AND has_function_privilege('regress_dungeon_stranger', p.oid, 'EXECUTE');
SELECT c.oid::regclass
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'dungeon' AND c.relkind IN ('r', 'S', 'v')
  AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('regress_dungeon_stranger', c.oid, 'USAGE, SELECT, UPDATE')
           ELSE has_table_privilege('regress_dungeon_stranger', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END;
SELECT has_schema_privilege('regress_dungeon_stranger', 'dungeon', 'USAGE') AS usage,
       has_schema_privilege('regress_dungeon_stranger', 'dungeon', 'CREATE') AS create;

-- the master lets the player in, and the player plays
SET ROLE regress_dungeon_master;
SELECT dungeon.grant_play('regress_dungeon_player');
SELECT dungeon.grant_play('regress_dungeon_nobody');
SELECT dungeon.grant_play('');
SELECT dungeon.grant_play(NULL);
UPDATE dungeon.settings SET
    adjectives = '{Grumpy}', colours = '{Grey}', beasts = '{Goblin}',
    conditions = '{Rusty}', weapons = '{Spoon}', treasures = '{Teapot}',
    moods = '{Tiny}', chambers = '{Closet}', walls = '{paper}', contents = '{a chair}';
SET ROLE regress_dungeon_player;
SELECT * FROM game.dd_new_user('Pat');
SET ROLE regress_dungeon_master;
CALL durable.drain('1 minute');
SET ROLE regress_dungeon_player;
SELECT * FROM game.dd_confirm('Pat');
SET ROLE regress_dungeon_master;
CALL durable.drain('1 minute');
SET ROLE regress_dungeon_player;
SELECT game.dd_status('Pat') -> 'room' AS room;
SELECT * FROM game.dd_action('Pat', 'get', 'Rusty Spoon');
SELECT * FROM game.dd_action('Pat', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT * FROM game.dd_action('Pat', 'get', 'Rusty Teapot');
SELECT * FROM game.dd_action('Pat', 'get', 'Holy Grail');
SET ROLE regress_dungeon_master;
CALL durable.drain('1 minute');
SET ROLE regress_dungeon_player;
SELECT status FROM game.dd_check_status('Pat', 'GameMonitorWorkflow');
SELECT message FROM dungeon.console WHERE player = 'Pat' AND message ~ 'won|vain' ORDER BY id;

-- and can do nothing else
SELECT * FROM dungeon.player;
SELECT * FROM dungeon.settings;
SELECT * FROM dungeon.game;
INSERT INTO dungeon.console (player, message) VALUES ('Pat', 'forged');
DELETE FROM dungeon.console;
UPDATE dungeon.item SET is_carried = true;
SELECT dungeon.say('Pat', 'forged');
SELECT dungeon.kill_user('Pat');
SELECT dungeon.world_take('Pat', 'Rusty Teapot');
SELECT dungeon.grant_play('regress_dungeon_stranger');
SELECT instance_id FROM durable.instances;
SELECT durable.start('UserMonitorWorkflow', 'Pat'::text);
SELECT durable.raise_event('UserConfirmationWorkflow', 'ApprovalTask', 'true'::text);

-- a search path of the player's making does not get into functions that run as somebody else
RESET ROLE;
GRANT CREATE, TEMPORARY ON DATABASE regress_dungeon TO regress_dungeon_player;
SET ROLE regress_dungeon_player;
CREATE SCHEMA trap;
CREATE FUNCTION trap.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught %', current_user; END $$;
CREATE FUNCTION trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught %', current_user; END $$;
CREATE FUNCTION trap.alike(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught %', current_user; END $$;
CREATE OPERATOR trap.!~ (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.alike);
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.alike);
CREATE TEMP TABLE player (name text);
CREATE TEMP TABLE pg_class (oid oid);
SET search_path = trap, pg_temp, pg_catalog;
SELECT ok FROM game.dd_new_user('Sue');
SELECT ok FROM game.dd_confirm('Sue');
SELECT ok FROM game.dd_action('Sue', 'get', 'x');
SELECT game.dd_status('Pat') #>> '{user,name}' AS name;
SELECT status FROM game.dd_check_status('Pat', 'GameMonitorWorkflow');
RESET search_path;
DROP TABLE pg_temp.player, pg_temp.pg_class;

-- every function of the game has a fixed search path, and only the players' functions run as their owner
RESET ROLE;
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('game', 'dungeon')
  AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('game', 'dungeon') AND p.prosecdef
ORDER BY p.proname;
SELECT DISTINCT p.proowner::regrole
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('game', 'dungeon');

-- the workflows belong to the master, whoever plays
SELECT owner::text, count(*) FROM durable.instances GROUP BY 1;

-- what there is has a comment
SELECT p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('game', 'dungeon') AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'dungeon' AND c.relkind = 'r' AND obj_description(c.oid, 'pg_class') IS NULL;

-- a dump takes along every table that has something in it, and the console's sequence
SELECT c.oid::regclass
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'dungeon' AND c.relkind IN ('r', 'S')
  AND NOT c.oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'durable_dungeon');

-- dropped in the middle of games: they hold; a new installation ends them, and its players have the same names
DROP OWNED BY regress_dungeon_player;
SET ROLE regress_dungeon_master;
DROP EXTENSION durable_dungeon;
SELECT count(*) FROM pg_namespace WHERE nspname = 'dungeon';
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT input, name, runtime_status FROM durable.instances WHERE runtime_status <> 'Completed' ORDER BY 1, 2;
CREATE EXTENSION durable_dungeon SCHEMA game;
SELECT ok FROM game.dd_new_user('Pat');
SELECT ok FROM game.dd_new_user('Sue');
CALL durable.drain('1 minute');
SELECT input, name, runtime_status FROM durable.instances WHERE runtime_status = 'Terminated' ORDER BY 1, 2;
SELECT ok FROM game.dd_confirm('Pat');
CALL durable.drain('1 minute');
SELECT status FROM game.dd_check_status('Pat', 'GameMonitorWorkflow');
DROP EXTENSION durable_dungeon;
RESET ROLE;

\c :home
DROP DATABASE regress_dungeon WITH (FORCE);
DROP ROLE regress_dungeon_master;
DROP ROLE regress_dungeon_player;
DROP ROLE regress_dungeon_stranger;
