--
-- A whole game, won, on the virtual clock.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS durable_dungeon CASCADE;
RESET client_min_messages;

-- names that are known beforehand
UPDATE dungeon.settings SET
    adjectives = '{Grumpy}', colours = '{Grey}', beasts = '{Goblin}',
    conditions = '{Rusty}', weapons = '{Spoon}', treasures = '{Teapot}',
    moods = '{Tiny}', chambers = '{Closet}', walls = '{paper}', contents = '{a chair}';

-- nobody there, nothing started
SELECT dd_status('Pat') IS NULL AS nobody;
SELECT count(*) FROM dd_check_status('Pat', 'RunUserParallelWorkflow');

-- rolled back, it never happened
BEGIN;
SELECT * FROM dd_new_user('Pat');
ROLLBACK;
CALL durable.drain('1 minute');
SELECT count(*) FROM dungeon.console WHERE player = 'Pat';

-- the name is taken at once; the player is created by the workflow
SELECT * FROM dd_new_user('Pat');
SELECT status FROM dd_check_status('Pat', 'RunUserParallelWorkflow');
SELECT status FROM dd_check_status('Pat', 'UserMonitorWorkflow');
SELECT count(*) FROM dd_check_status('Pat', 'UserConfirmationWorkflow');
SELECT dd_status('Pat') IS NULL AS not_yet;

CALL durable.drain('1 minute');
SELECT jsonb_pretty(dd_status('Pat'));
CREATE TEMP VIEW workflow AS
    SELECT w.name, c.status, c.created IS NOT NULL AS dated
    FROM unnest(ARRAY['RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                      'RunUserSequentialWorkflow', 'GameMonitorWorkflow']) WITH ORDINALITY AS w (name, place)
    LEFT JOIN LATERAL dd_check_status('Pat', w.name) AS c ON true
    ORDER BY w.place;
SELECT * FROM workflow;

-- a minute later, in time
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT * FROM dd_confirm('Pat');
CALL durable.drain('1 minute');
SELECT jsonb_pretty(dd_status('Pat'));
SELECT * FROM workflow;

-- the deadline is cancelled: nobody dies two minutes later
SELECT durable.advance_clock('2 minutes') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT dd_status('Pat') #> '{user,isAlive}' AS alive;

-- the weapon, the monster, the treasure
SELECT * FROM dd_action('Pat', 'get', 'Rusty Spoon');
SELECT dd_status('Pat') #> '{user}' AS "user", dd_status('Pat') #> '{room,inventoryItems}' AS room;
SELECT * FROM dd_action('Pat', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT dd_status('Pat') #> '{monster}' AS monster, dd_status('Pat') #> '{room,inventoryItems}' AS room;
CALL durable.drain('1 minute');
SELECT * FROM workflow WHERE name = 'GameMonitorWorkflow';
SELECT * FROM dd_action('Pat', 'get', 'Rusty Teapot');
CALL durable.drain('1 minute');
SELECT * FROM workflow WHERE name = 'GameMonitorWorkflow';
SELECT jsonb_pretty(dd_status('Pat'));
SELECT event FROM dungeon.deed WHERE player = 'Pat' ORDER BY event;

-- the watchman notices
SELECT durable.advance_clock('20 seconds') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT * FROM workflow;
SELECT name, regexp_replace(output::text, '[0-9a-f]{12}', 'key') AS output
FROM durable.instances WHERE input = to_jsonb('Pat'::text) ORDER BY name;

-- the story: what the four did side by side, then the rest in order, then the watchman's
SELECT message FROM dungeon.console
WHERE player = 'Pat' AND message ~ 'visitors|creaks|masons|storekeeper' ORDER BY message COLLATE "C";
SELECT message FROM dungeon.console
WHERE player = 'Pat' AND message !~ 'visitors|creaks|masons|storekeeper|watchman' ORDER BY id;
-- (who may come for the first time before the player is there: then he tells the first line a second time)
CREATE TEMP VIEW look AS
    SELECT player, id, message
    FROM (SELECT player, id, message, lag(message) OVER (PARTITION BY player ORDER BY id) AS before
          FROM (SELECT player, id, replace(message, format('nobody answers to the name of %s so far', player),
                                           player || ' is alive, and still at the gate') AS message
                FROM dungeon.console WHERE message ~ 'watchman') AS said) AS told
    WHERE message IS DISTINCT FROM before;
SELECT message FROM look WHERE player = 'Pat' ORDER BY id;
SELECT bool_and(created_at IS NOT NULL) AS dated, count(*) = count(DISTINCT id) AS numbered
FROM dungeon.console WHERE player = 'Pat';

-- the two events may come in the other order
SELECT ok FROM dd_new_user('Sue');
CALL durable.drain('1 minute');
SELECT ok FROM dd_confirm('Sue');
CALL durable.drain('1 minute');
SELECT durable.raise_event(dungeon.workflow_id('GameMonitorWorkflow', dungeon.world_key('Sue')), 'GotTreasure');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Sue', 'GameMonitorWorkflow');
SELECT durable.raise_event(dungeon.workflow_id('GameMonitorWorkflow', dungeon.world_key('Sue')), 'killmonster');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Sue', 'GameMonitorWorkflow');
SELECT message FROM dungeon.console WHERE player = 'Sue' AND message ~ 'won';

-- a player who is quicker than the workflow that sets the scene: his deeds are
-- kept until there is a monitor, and the treasure of a dead monster falls down
SELECT dungeon.world_begin('Flash') IS NOT NULL AS begun;
SELECT dungeon.create_user('Flash'), dungeon.create_monster('Flash'), dungeon.create_room('Flash'),
       dungeon.create_inventory('Flash');
SELECT dungeon.place_user('Flash'), dungeon.place_weapon('Flash');
SELECT * FROM dd_action('Flash', 'get', 'rusty spoon');
SELECT * FROM dd_action('Flash', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT dungeon.place_monster('Flash');
SELECT * FROM dd_action('Flash', 'kill', 'grumpy grey GOBLIN', 'RUSTY spoon');
SELECT event FROM dungeon.deed WHERE player = 'Flash';
SELECT dungeon.place_treasure('Flash');
SELECT dd_status('Flash') #> '{room}' AS room, dd_status('Flash') #> '{monster}' AS monster;
SELECT count(*) FROM durable.instances WHERE input = to_jsonb('Flash'::text);
SELECT durable.start('GameMonitorWorkflow', 'Flash'::text,
                     instance_id => dungeon.workflow_id('GameMonitorWorkflow', dungeon.world_key('Flash'))) IS NOT NULL AS started;
CALL durable.drain('1 minute');
SELECT waiting_on FROM durable.instances WHERE name = 'GameMonitorWorkflow' AND input = '"Flash"';
SELECT message FROM dungeon.console WHERE player = 'Flash' AND message ~ 'game is on';
SELECT status FROM dd_check_status('Flash', 'GameMonitorWorkflow');
SELECT * FROM dd_action('Flash', 'get', 'Rusty Teapot');
SELECT event FROM dungeon.deed WHERE player = 'Flash' ORDER BY event;
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Flash', 'GameMonitorWorkflow');

-- a thousand players at once
SELECT count(*) FILTER (WHERE (dd_new_user('extra ' || n)).ok) AS let_in FROM generate_series(1, 1000) AS n;
CALL durable.drain('5 minutes');
SELECT count(*) FILTER (WHERE (dd_confirm('extra ' || n)).ok) AS confirmed FROM generate_series(1, 1000) AS n;
CALL durable.drain('5 minutes');
SELECT count(*) FILTER (WHERE (dd_action('extra ' || n, 'get', 'Rusty Spoon')).ok) AS armed,
       count(*) FILTER (WHERE (dd_action('extra ' || n, 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon')).ok) AS victorious,
       count(*) FILTER (WHERE (dd_action('extra ' || n, 'get', 'Rusty Teapot')).ok) AS rich
FROM generate_series(1, 1000) AS n;
CALL durable.drain('5 minutes');
SELECT c.status, count(*)
FROM generate_series(1, 1000) AS n, LATERAL dd_check_status('extra ' || n, 'GameMonitorWorkflow') AS c GROUP BY c.status;
SELECT count(*) FROM dungeon.console WHERE player LIKE 'extra %' AND message ~ 'has won';

-- workflows started by hand count too, once they have begun: the latest is looked at, and all monitors hear
SELECT dungeon.world_begin('Max') IS NOT NULL AS begun;
SELECT dungeon.create_user('Max'), dungeon.create_monster('Max'), dungeon.create_room('Max'), dungeon.create_inventory('Max');
SELECT dungeon.place_user('Max'), dungeon.place_weapon('Max'), dungeon.place_monster('Max'), dungeon.place_treasure('Max');
SELECT durable.start('UserConfirmationWorkflow', 'Max'::text, instance_id => 'first confirmation of Max');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Max', 'UserConfirmationWorkflow');
SELECT durable.terminate('first confirmation of Max', 'asked badly');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Max', 'UserConfirmationWorkflow');
SELECT http_status, message FROM dd_confirm('Max');
SELECT durable.start('UserConfirmationWorkflow', 'Max'::text, instance_id => 'second confirmation of Max');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Max', 'UserConfirmationWorkflow');
SELECT http_status, message FROM dd_confirm('Max');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Max', 'UserConfirmationWorkflow');
SELECT durable.start('GameMonitorWorkflow', 'Max'::text, instance_id => 'one monitor of Max') IS NOT NULL AS started;
CALL durable.drain('1 minute');
SELECT ok FROM dd_action('Max', 'get', 'Rusty Spoon');
SELECT ok FROM dd_action('Max', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT durable.start('GameMonitorWorkflow', 'Max'::text, instance_id => 'another monitor of Max') IS NOT NULL AS started;
CALL durable.drain('1 minute');
SELECT instance_id, runtime_status, waiting_on FROM durable.instances
WHERE name = 'GameMonitorWorkflow' AND input = '"Max"' ORDER BY created_time;
SELECT ok FROM dd_action('Max', 'get', 'Rusty Teapot');
CALL durable.drain('1 minute');
SELECT instance_id, runtime_status FROM durable.instances
WHERE name = 'GameMonitorWorkflow' AND input = '"Max"' ORDER BY created_time;

-- an instance that has been purged is none any more
SELECT durable.purge('another monitor of Max');
SELECT count(*), min(status) AS status FROM dd_check_status('Max', 'GameMonitorWorkflow');

-- a deleted game takes its world along, stops its workflows and leaves the story
SELECT count(*) AS lines FROM dungeon.console WHERE player = 'Pat' \gset
DELETE FROM dungeon.game WHERE player = 'Pat';
SELECT dd_status('Pat') IS NULL AS gone, count(*) = :lines AS told FROM dungeon.console WHERE player = 'Pat';
SELECT count(*) FROM dd_check_status('Pat', 'GameMonitorWorkflow');
SELECT (SELECT count(*) FROM dungeon.item WHERE player = 'Pat') AS items,
       (SELECT count(*) FROM dungeon.monster WHERE player = 'Pat') AS monsters,
       (SELECT count(*) FROM dungeon.room WHERE player = 'Pat') AS rooms,
       (SELECT count(*) FROM dungeon.deed WHERE player = 'Pat') AS deeds,
       (SELECT count(*) FROM dungeon.workflow WHERE player = 'Pat') AS workflows;
-- and the name is free again; the deadline of the old game is not that of the new one
SELECT ok FROM dd_new_user('Pat');
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Pat', 'UserConfirmationWorkflow');
SELECT durable.advance_clock('1 minute 30 seconds') IS NOT NULL AS later;
CALL durable.drain('1 minute');
DELETE FROM dungeon.game WHERE player = 'Pat';
SELECT ok FROM dd_new_user('Pat');
CALL durable.drain('1 minute');
SELECT durable.advance_clock('1 minute 30 seconds') IS NOT NULL AS later;
CALL durable.drain('1 minute');
SELECT dd_status('Pat') #> '{user,isAlive}' AS alive;
SELECT name, runtime_status, count(*) FROM durable.instances
WHERE input = '"Pat"' AND name <> 'GameMonitorWorkflow' AND name <> 'RunUserSequentialWorkflow' GROUP BY 1, 2 ORDER BY 1, 2;

-- nothing is left half-way for the tests after this one
SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain('5 minutes');
SELECT runtime_status, count(*) FROM durable.instances
WHERE input IN (SELECT to_jsonb(player) FROM dungeon.game) GROUP BY 1 ORDER BY 1;
INSERT INTO dungeon.settings DEFAULT VALUES;
