--
-- Two minutes to confirm, an hour to be watched: on the virtual clock.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS durable_dungeon CASCADE;
RESET client_min_messages;
CREATE TEMP VIEW workflow AS
    SELECT p.player, w.name, c.status
    FROM (VALUES ('Tom'), ('Fay'), ('Odd'), ('Ida')) AS p (player),
         unnest(ARRAY['RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                      'RunUserSequentialWorkflow', 'GameMonitorWorkflow']) WITH ORDINALITY AS w (name, place),
         LATERAL dd_check_status(p.player, w.name) AS c
    ORDER BY p.player, w.place;
-- The watchman's lines. He may come for the first time before the player is there: then he tells the first line a second time.
CREATE TEMP VIEW look AS
    SELECT player, id, message
    FROM (SELECT player, id, message, lag(message) OVER (PARTITION BY player ORDER BY id) AS before
          FROM (SELECT player, id, replace(message, format('nobody answers to the name of %s so far', player),
                                           player || ' is alive, and still at the gate') AS message
                FROM dungeon.console WHERE message ~ 'watchman') AS said) AS told
    WHERE message IS DISTINCT FROM before;

-- Tom does not confirm
SELECT ok FROM dd_new_user('Tom');
CALL durable.drain('1 minute');
SELECT message FROM dungeon.console WHERE player = 'Tom' AND message ~ 'gatekeeper' ORDER BY id;
SELECT dd_time_left('Tom') BETWEEN '1 minute 30 seconds' AND '2 minutes' AS two_minutes;
SELECT durable.advance_clock('1 minute 45 seconds') IS NOT NULL AS later;
SELECT dd_time_left('Tom') BETWEEN '0' AND '15 seconds' AS seconds;
CALL durable.drain('1 minute');
SELECT dd_status('Tom') #> '{user,isAlive}' AS alive;
SELECT name, status FROM workflow WHERE player = 'Tom';
-- a confirmation that is rolled back is none, and a refusal that is rolled back leaves no line
BEGIN;
SELECT ok FROM dd_confirm('Tom');
SELECT ok FROM dd_action('Tom', 'get', 'anything');
ROLLBACK;
SELECT durable.advance_clock('15 seconds') IS NOT NULL AS later;
-- the timer is over, and nobody has seen it yet
SELECT dd_time_left('Tom');
CALL durable.drain('1 minute');
SELECT dd_status('Tom') #> '{user}' AS tom;
SELECT dd_time_left('Tom') IS NULL AS is_over, dd_time_left('Nobody') IS NULL AS never_was, dd_time_left(NULL) IS NULL AS unknown;
SELECT message FROM dungeon.console WHERE player = 'Tom' AND message ~ 'Tom|gatekeeper|trapdoor under' AND message !~ 'visitors|creaks|masons|storekeeper|watchman' ORDER BY id;
SELECT http_status, message FROM dd_confirm('Tom');
SELECT http_status, message FROM dd_action('Tom', 'get', 'anything');

-- the watchman sees it the next time he looks; then nothing of the game runs any more, and nothing else has begun
SELECT durable.advance_clock('20 seconds') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT name, status FROM workflow WHERE player = 'Tom';
SELECT message FROM dungeon.console WHERE player = 'Tom' AND message ~ 'watchman' ORDER BY id DESC LIMIT 2;
SELECT name, output FROM durable.instances WHERE input = '"Tom"' ORDER BY name;

-- whatever is not true is no confirmation
SELECT ok FROM dd_new_user('Fay');
CALL durable.drain('1 minute');
SELECT durable.raise_event(dungeon.workflow_id('UserConfirmationWorkflow', dungeon.world_key('Fay')),
                           'ApprovalTask', '{"please": "no"}'::jsonb);
CALL durable.drain('1 minute');
SELECT dd_status('Fay') #> '{user,isAlive}' AS alive;
SELECT message FROM dungeon.console WHERE player = 'Fay' AND message ~ 'gatekeeper|trapdoor under' ORDER BY id;
SELECT name, status FROM workflow WHERE player = 'Fay';

-- event and deadline are both there before anybody looks: what came first counts, and it is decided once
SELECT ok FROM dd_new_user('Odd');
CALL durable.drain('1 minute');
SELECT ok FROM dd_confirm('Odd');
SELECT durable.advance_clock('3 minutes') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT dd_status('Odd') #> '{user,isAlive}' AS alive,
       (SELECT output FROM durable.instances WHERE name = 'UserConfirmationWorkflow' AND input = '"Odd"') AS confirmed,
       (SELECT count(*) FROM dungeon.console WHERE player = 'Odd' AND message ~ 'has confirmed|has not confirmed') AS decisions;

-- other times, for the impatient
UPDATE dungeon.settings SET confirm_timeout = '1 second', monitor_interval = '1 second', monitor_timeout = '2 seconds';
SELECT ok FROM dd_new_user('Ivo');
CALL durable.drain('1 minute');
SELECT message FROM dungeon.console WHERE player = 'Ivo' AND message ~ 'hourglass';
SELECT durable.advance_clock('1 second') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT dd_status('Ivo') #> '{user,isAlive}' AS alive;
INSERT INTO dungeon.settings DEFAULT VALUES;

-- Ida confirms and then does nothing: the watchman looks in every 20 seconds for an hour, and tells what is new
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT ok FROM dd_new_user('Ida');
CALL durable.drain('1 minute');
SELECT ok FROM dd_confirm('Ida');
CALL durable.drain('1 minute');
\set ECHO none
SELECT s.step
FROM generate_series(1, 179) AS n,
     (VALUES (1, 'DO $$ BEGIN PERFORM durable.advance_clock(''20 seconds''); END $$'),
             (2, 'CALL durable.drain(''1 minute'')')) AS s (place, step)
ORDER BY n, s.place
\gexec
\set ECHO all
SELECT name, status FROM workflow WHERE player = 'Ida';
SELECT message, count(*) FROM look WHERE player = 'Ida' GROUP BY message ORDER BY message COLLATE "C";
SELECT durable.advance_clock('20 seconds') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT name, status FROM workflow WHERE player = 'Ida';
SELECT message, count(*) FROM look WHERE player = 'Ida' GROUP BY message ORDER BY message COLLATE "C";
SELECT count(*) = count(DISTINCT message) AS nothing_twice FROM dungeon.console WHERE player = 'Ida' AND message ~ 'watchman';
SELECT output FROM durable.instances WHERE name = 'UserMonitorWorkflow' AND input = '"Ida"';
-- Ida can still win
SELECT dd_status('Ida') #>> '{room,inventoryItems}' AS weapon, dd_status('Ida') #>> '{monster,name}' AS monster,
       dd_status('Ida') #>> '{monster,inventoryItems}' AS treasure \gset
SELECT (dd_action('Ida', 'get', :'weapon')).ok AS armed;
SELECT (dd_action('Ida', 'kill', :'monster', :'weapon')).ok AS victorious;
SELECT (dd_action('Ida', 'get', :'treasure')).ok AS rich;
CALL durable.drain('1 minute');
SELECT name, status FROM workflow WHERE player = 'Ida';

-- the watchman may come before the player: here there never is one
SELECT dungeon.world_begin('Zoe') IS NOT NULL AS begun;
SELECT durable.start('UserMonitorWorkflow', 'Zoe'::text,
                     instance_id => dungeon.workflow_id('UserMonitorWorkflow', dungeon.world_key('Zoe'))) IS NOT NULL AS started;
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Zoe', 'UserMonitorWorkflow');
SELECT durable.advance_clock('30 minutes') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT durable.advance_clock('30 minutes') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Zoe', 'UserMonitorWorkflow');
SELECT message FROM dungeon.console WHERE player = 'Zoe' ORDER BY id;
