--
-- Games whose workflows are run outside of the database.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS durable_dungeon CASCADE;
RESET client_min_messages;

-- two versions of each workflow, and start without a version means the one in SQL
SELECT name, version, execution, queue, is_newest FROM durable.registrations
WHERE kind = 'orchestration' ORDER BY name COLLATE "C", version;

\set VERBOSITY terse
UPDATE dungeon.settings SET orchestrations = 'nowhere';
\set VERBOSITY default
SELECT (dd_new_user('Ann')).ok;
UPDATE dungeon.settings SET orchestrations = 'external';
SELECT (dd_new_user('Pat')).ok;
CALL durable.drain('1 minute');

-- Ann's game is played in SQL
SELECT split_part(instance_id, ':', 1) AS workflow, version, input, runtime_status FROM durable.instances
WHERE input #>> '{}' IN ('Ann', '"Pat"') ORDER BY input::text COLLATE "C", 1;
CREATE TEMP TABLE out AS SELECT * FROM durable.fetch_turns('dungeon', 'a test', 10);
SELECT t.name, t.version, e.input FROM out t, LATERAL durable.turn_events(t.token) e
WHERE e.type = 'ExecutionStarted' ORDER BY t.name;

-- activities are those in SQL, and a sub-orchestration of that version is external as well
SELECT durable.complete_turn(token, jsonb_build_array(
    jsonb_build_object('type', 'schedule_task', 'id', 1, 'name', 'SignIn', 'input', jsonb_build_object(
        'player', 'Pat', 'workflow', name, 'instance', instance_id)::text),
    jsonb_build_object('type', 'schedule_task', 'id', 2, 'name', 'ReadSettings'),
    jsonb_build_object('type', 'schedule_task', 'id', 3, 'name', 'CreateUser', 'input', '"Pat"'),
    jsonb_build_object('type', 'create_sub_orchestration', 'id', 4, 'name', 'UserConfirmationWorkflow', 'input', '"Pat"',
        'version', version, 'instance_id', replace(instance_id, name, 'UserConfirmationWorkflow'))))
FROM out WHERE name = 'RunUserParallelWorkflow';
CALL durable.drain('1 minute');
CREATE TEMP TABLE later AS SELECT * FROM durable.fetch_turns('dungeon', 'a test', 10);
SELECT t.name, t.version, e.n, e.type, e.task_id, e.input FROM later t, LATERAL durable.turn_events(t.token) e
WHERE e.is_new ORDER BY t.name, e.n;
SELECT status FROM dd_check_status('Pat', 'RunUserParallelWorkflow');

-- the player is there, and the gatekeeper hears him
SELECT dd_status('Pat') #> '{user,isAlive}' AS alive;
SELECT durable.complete_turn(token, jsonb_build_array(
    jsonb_build_object('type', 'schedule_task', 'id', 1, 'name', 'SignIn', 'input', jsonb_build_object(
        'player', 'Pat', 'workflow', name, 'instance', instance_id)::text),
    jsonb_build_object('type', 'create_timer', 'id', 2, 'due_at', durable.clock() + '2 minutes')))
FROM later WHERE name = 'UserConfirmationWorkflow';
CALL durable.drain('1 minute');
SELECT dd_time_left('Pat') BETWEEN '110 seconds' AND '2 minutes' AS time_left;
SELECT ok, http_status FROM dd_confirm('Pat');
CALL durable.drain('1 minute');
SELECT t.name, e.type, e.name AS event, e.input FROM durable.fetch_turns('dungeon', 'a test', 10) t, LATERAL durable.turn_events(t.token) e
WHERE e.is_new AND e.type = 'EventRaised';

-- a game that is deleted takes its workflows with it
DELETE FROM dungeon.game WHERE player = 'Pat';
CALL durable.drain('1 minute');
SELECT split_part(instance_id, ':', 1) AS workflow, runtime_status FROM durable.instances WHERE version = 'external' ORDER BY 1;
SELECT count(*) AS turns FROM durable.fetch_turns('dungeon', 'a test', 10);
