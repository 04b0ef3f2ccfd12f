--
-- Everything the game refuses: a reply, a line on the console, and no change.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS durable_dungeon CASCADE;
RESET client_min_messages;
UPDATE dungeon.settings SET
    adjectives = '{Grumpy}', colours = '{Grey}', beasts = '{Goblin}',
    conditions = '{Rusty}', weapons = '{Spoon}', treasures = '{Teapot}',
    moods = '{Tiny}', chambers = '{Closet}', walls = '{paper}', contents = '{a chair}';
SELECT coalesce(max(id), 0) AS before FROM dungeon.console \gset

-- names
SELECT * FROM dd_new_user(NULL);
SELECT * FROM dd_new_user('');
SELECT * FROM dd_new_user(E' \t\n ');
SELECT * FROM dd_new_user(repeat('x', 201));
SELECT * FROM dd_new_user('Ray');
SELECT * FROM dd_new_user('Ray');
SELECT count(*) FROM durable.instances WHERE input = '"Ray"';

-- before anything has run
SELECT * FROM dd_confirm('Ray');
SELECT * FROM dd_action('Ray', 'get', 'Rusty Spoon');
CALL durable.drain('1 minute');
SELECT * FROM dd_new_user('Ray');

-- confirmations
SELECT * FROM dd_confirm(NULL);
SELECT * FROM dd_confirm('');
SELECT * FROM dd_confirm('Nobody');
SELECT ok FROM dd_confirm('Ray');

-- a player in no room yet
SELECT * FROM dd_action('Ray', 'get', 'Rusty Spoon');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
CALL durable.drain('1 minute');
SELECT * FROM dd_confirm('Ray');

-- actions
SELECT * FROM dd_action(NULL, 'get', 'Rusty Spoon');
SELECT * FROM dd_action('', 'get', 'Rusty Spoon');
SELECT * FROM dd_action('Nobody', 'get', 'Rusty Spoon');
SELECT * FROM dd_action('Ray', NULL, 'Rusty Spoon');
SELECT * FROM dd_action('Ray', '', 'Rusty Spoon');
SELECT * FROM dd_action('Ray', 'eat', 'Rusty Spoon');
SELECT ok, http_status, length(message) FROM dd_action('Ray', repeat('dance ', 1000), 'Rusty Spoon');

-- getting
SELECT * FROM dd_action('Ray', 'get');
SELECT * FROM dd_action('Ray', 'get', '  ');
SELECT * FROM dd_action('Ray', 'get', 'Golden Spoon');
SELECT * FROM dd_action('Ray', 'get', 'Grumpy Grey Goblin');
SELECT * FROM dd_action('Ray', 'get', 'Rusty Teapot');
SELECT ok, http_status, length(message) FROM dd_action('Ray', 'get', repeat('x', 10000));

-- killing: with what, whom
SELECT * FROM dd_action('Ray', 'kill');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin', ' ');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin', 'Rusty Teapot');
SELECT ok FROM dd_action('Ray', ' GET ', 'rusty SPOON');
SELECT * FROM dd_action('Ray', 'get', 'Rusty Spoon');
SELECT * FROM dd_action('Ray', 'get', 'Golden Spoon');
SELECT * FROM dd_action('Ray', 'kill', NULL, 'Rusty Spoon');
SELECT * FROM dd_action('Ray', 'kill', 'Ray', 'Rusty Spoon');
SELECT dd_status('Ray') #> '{monster,isAlive}' AS alive;
SELECT ok FROM dd_action('Ray', 'Kill', 'grumpy grey goblin', 'rusty spoon');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT ok FROM dd_action('Ray', 'get', 'Rusty Teapot');
SELECT * FROM dd_action('Ray', 'get', 'Rusty Teapot');
SELECT * FROM dd_action('Ray', 'kill', 'Grumpy Grey Goblin', 'Rusty Teapot');

-- two players do not meet, and do not share
SELECT ok FROM dd_new_user('Ann');
CALL durable.drain('1 minute');
SELECT ok FROM dd_confirm('Ann');
CALL durable.drain('1 minute');
SELECT dd_status('Ann') #>> '{user,inventoryItems}' AS ann, dd_status('Ray') #>> '{user,inventoryItems}' AS ray;
SELECT ok, message FROM dd_action('Ann', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT ok, message FROM dd_action('Ann', 'get', 'Rusty Teapot');

-- each event was raised once, although it was tried more often
CALL durable.drain('1 minute');
SELECT status FROM dd_check_status('Ray', 'GameMonitorWorkflow');
SELECT event FROM dungeon.deed WHERE player = 'Ray' ORDER BY event;
SELECT status FROM dd_check_status('Ann', 'GameMonitorWorkflow');

-- a monitor that somebody has stopped hears nothing, and the deed counts all the same
SELECT durable.terminate(dungeon.workflow_id('GameMonitorWorkflow', dungeon.world_key('Ann')), 'no referee');
CALL durable.drain('1 minute');
SELECT ok FROM dd_action('Ann', 'get', 'Rusty Spoon');
SELECT ok FROM dd_action('Ann', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon');
SELECT event FROM dungeon.deed WHERE player = 'Ann';

-- the dead
SELECT ok FROM dd_new_user('Ned');
CALL durable.drain('1 minute');
SELECT durable.raise_event(dungeon.workflow_id('UserConfirmationWorkflow', dungeon.world_key('Ned')), 'ApprovalTask', false);
CALL durable.drain('1 minute');
SELECT * FROM dd_action('Ned', 'get', 'Rusty Spoon');
SELECT * FROM dd_action('Ned', 'eat', 'Rusty Spoon');
SELECT * FROM dd_confirm('Ned');
SELECT * FROM dd_new_user('Ned');

-- every refusal above is on the console, word for word, under the name it concerns
SELECT player, left(message, 120) AS message FROM dungeon.console
WHERE id > :before
  AND message !~ '^The (gatekeeper (turns|closes)|watchman|game|masons|storekeeper|Grumpy Grey Goblin sits)|confirmed|knocks at the gate of|visitors'' book of|creaks|climbs|clatters|alone|trapdoor|picks up|falls|lifts up|calls out|has won'
ORDER BY id;

-- statuses of workflows that are not there
SELECT * FROM dd_check_status('Nobody', 'GameMonitorWorkflow');
SELECT * FROM dd_check_status('Ned', 'GameMonitorWorkflow');
SELECT * FROM dd_check_status('Ray', 'NoSuchWorkflow');
SELECT * FROM dd_check_status(NULL, 'GameMonitorWorkflow');
SELECT * FROM dd_check_status('Ray', NULL);
SELECT dd_status(NULL) IS NULL AS nothing;

-- a workflow started past dd_new_user says so
SELECT durable.start('RunUserParallelWorkflow', 'Stowaway'::text, instance_id => 'stowaway');
CALL durable.drain('1 minute');
SELECT runtime_status, failure ->> 'message' AS message FROM durable.instances WHERE instance_id = 'stowaway';

SELECT durable.advance_clock('2 hours') IS NOT NULL AS later;
CALL durable.drain('1 minute');
INSERT INTO dungeon.settings DEFAULT VALUES;
