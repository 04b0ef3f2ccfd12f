/*
 * The orchestrations: the five workflows of a game.  Each reads from top to
 * bottom.  The engine answers every durable call that was made before from the
 * history, so the function may be run again from its first line at any time,
 * and waits for days without holding anything.
 *
 *   dd_new_user
 *     |-- RunUserParallelWorkflow               fan-out, fan-in
 *     |     `-- UserConfirmationWorkflow        a human, or a deadline
 *     |           `.. RunUserSequentialWorkflow     step by step
 *     |                 `.. GameMonitorWorkflow     two events, in any order
 *     `-- UserMonitorWorkflow                   a watchman
 *
 * (`-- is waited for, `.. is started and left alone.)  Their input is the
 * player's name.  They may not read tables: whatever they know they were given,
 * or an activity has returned it.
 *
 * Each is registered in two versions.  The one named external has its code outside of
 * the database (examples/dungeon-js).  A sub-orchestration has the version of its
 * parent, so a game is played by one version from its beginning to its end.
 */

-- Instance ids look like GameMonitorWorkflow:Pat-0f3ac9d2b1e8.
CREATE FUNCTION dungeon.workflow_id(workflow text, game_key text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT $1 || ':' || $2
$$;
COMMENT ON FUNCTION dungeon.workflow_id(text, text) IS 'the instance id of a game''s workflow';

-- For use inside an orchestration.  One that was started by hand under an id of
-- another form passes the whole of it on as the key.
CREATE FUNCTION dungeon.same_game(workflow text) RETURNS text
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT dungeon.workflow_id($1, regexp_replace(durable.instance_id(), '^[^:]*:', ''))
$$;
COMMENT ON FUNCTION dungeon.same_game(text) IS
    'inside an orchestration: the instance id of another workflow of the same game';

CREATE FUNCTION dungeon.myself(workflow text, player text) RETURNS jsonb
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('player', $2, 'workflow', $1, 'instance', durable.instance_id())
$$;
COMMENT ON FUNCTION dungeon.myself(text, text) IS
    'inside an orchestration: who it is, for the activities SignIn and OpenGame';

CREATE FUNCTION dungeon.run_user_parallel_workflow(player text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.call_activity('SignIn', dungeon.myself('RunUserParallelWorkflow', player));

    PERFORM durable.when_all(
        durable.schedule_activity('CreateUser', player),
        durable.schedule_activity('CreateMonster', player),
        durable.schedule_activity('CreateRoom', player),
        durable.schedule_activity('CreateInventory', player));

    RETURN durable.call_sub_orchestrator('UserConfirmationWorkflow', player,
                                         instance_id => dungeon.same_game('UserConfirmationWorkflow'));
END
$$;
COMMENT ON FUNCTION dungeon.run_user_parallel_workflow(text) IS
    'orchestration RunUserParallelWorkflow: makes player, monster, room and inventory side by side, then asks the player; returns whether he confirmed';

CREATE FUNCTION dungeon.user_confirmation_workflow(player text) RETURNS boolean
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    patience  interval;
    approval  durable.task;
    deadline  durable.task;
    confirmed boolean := false;
BEGIN
    PERFORM durable.call_activity('SignIn', dungeon.myself('UserConfirmationWorkflow', player));

    patience := durable.call_activity('ReadSettings') ->> 'confirm_timeout';
    PERFORM durable.call_activity('Narrate', jsonb_build_object('player', player, 'message',
        format('The gatekeeper turns an hourglass: %s has %s to confirm, or the trapdoor opens.', player, dungeon.spell_out(patience))));

    approval := durable.external_event('ApprovalTask');
    deadline := durable.create_timer(durable.now() + patience);

    IF durable.when_any(approval, deadline) = approval THEN
        confirmed := coalesce(durable.result(approval) #>> '{}' = 'true', false);
        PERFORM durable.cancel_timer(deadline);
    END IF;

    IF confirmed THEN
        PERFORM durable.call_activity('Narrate', jsonb_build_object('player', player, 'message',
            format('%s has confirmed. The gatekeeper stops the hourglass and lets down a ladder.', player)));
        PERFORM durable.start_orchestration('RunUserSequentialWorkflow', player,
                                            dungeon.same_game('RunUserSequentialWorkflow'));
    ELSE
        PERFORM durable.call_activity('Narrate', jsonb_build_object('player', player, 'message',
            format('%s has not confirmed. The gatekeeper reaches for a lever.', player)));
        PERFORM durable.call_activity('KillUser', player);
    END IF;

    PERFORM durable.call_activity('Narrate', jsonb_build_object('player', player, 'message',
        format('The gatekeeper closes the file on %s. The confirmation is over.', player)));
    RETURN confirmed;
END
$$;
COMMENT ON FUNCTION dungeon.user_confirmation_workflow(text) IS
    'orchestration UserConfirmationWorkflow: waits for the event ApprovalTask, but not for ever, and lets the player in or kills him; returns whether he confirmed';

CREATE FUNCTION dungeon.user_monitor_workflow(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    settings jsonb;
    deadline timestamptz;
    state    text := 'missing';
BEGIN
    PERFORM durable.call_activity('SignIn', dungeon.myself('UserMonitorWorkflow', player));

    settings := durable.call_activity('ReadSettings');
    deadline := durable.now() + (settings ->> 'monitor_timeout')::interval;

    WHILE durable.now() < deadline LOOP
        state := durable.call_activity('MonitorUser', player) #>> '{}';
        EXIT WHEN state IN ('dead', 'treasure');
        PERFORM durable.sleep((settings ->> 'monitor_interval')::interval);
    END LOOP;

    PERFORM durable.call_activity('Narrate', jsonb_build_object('player', player, 'message', format(
        CASE state
            WHEN 'dead' THEN 'The watchman writes "%s: gone" and goes home.'
            WHEN 'treasure' THEN 'The watchman writes "%s: rich" and goes home.'
            ELSE 'The watchman writes "%s: no news", for his shift has ended, and goes home.' END, player)));
    RETURN state;
END
$$;
COMMENT ON FUNCTION dungeon.user_monitor_workflow(text) IS
    'orchestration UserMonitorWorkflow: looks at the player now and then until he is dead, has the treasure, or time is up; returns the last that was seen';

CREATE FUNCTION dungeon.run_user_sequential_workflow(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.call_activity('SignIn', dungeon.myself('RunUserSequentialWorkflow', player));

    PERFORM durable.call_activity('PlaceUser', player);
    PERFORM durable.call_activity('PlaceWeapon', player);
    PERFORM durable.call_activity('PlaceMonster', player);
    PERFORM durable.call_activity('PlaceTreasure', player);

    RETURN durable.start_orchestration('GameMonitorWorkflow', player, dungeon.same_game('GameMonitorWorkflow'));
END
$$;
COMMENT ON FUNCTION dungeon.run_user_sequential_workflow(text) IS
    'orchestration RunUserSequentialWorkflow: sets the scene step by step, then starts the game''s monitor; returns the monitor''s instance id';

CREATE FUNCTION dungeon.game_monitor_workflow(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.call_activity('OpenGame', dungeon.myself('GameMonitorWorkflow', player));

    PERFORM durable.when_all(
        durable.external_event('KillMonster'),
        durable.external_event('GotTreasure'));

    PERFORM durable.call_activity('Narrate', jsonb_build_object('player', player, 'message',
        format('The monster is slain, the treasure is taken: %s has won! Somewhere a band begins to play.', player)));
    RETURN 'won';
END
$$;
COMMENT ON FUNCTION dungeon.game_monitor_workflow(text) IS
    'orchestration GameMonitorWorkflow: waits for the events KillMonster and GotTreasure in any order; then the player has won';

-- These come first, so that the versions in SQL are the newest, which start without a version means.
SELECT durable.register_queue('dungeon');
SELECT durable.register_orchestration(n.name, version => 'external', execution => 'external', queue => 'dungeon',
    description => 'the same, with its code outside of the database')
FROM pg_catalog.unnest(ARRAY['RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                             'RunUserSequentialWorkflow', 'GameMonitorWorkflow']) AS n (name);

SELECT durable.register_orchestration('RunUserParallelWorkflow',
    'dungeon.run_user_parallel_workflow(text)'::pg_catalog.regprocedure,
    description => 'makes a new player''s dungeon, then asks him to confirm');
SELECT durable.register_orchestration('UserConfirmationWorkflow',
    'dungeon.user_confirmation_workflow(text)'::pg_catalog.regprocedure,
    description => 'waits for a player to confirm, or kills him');
SELECT durable.register_orchestration('UserMonitorWorkflow',
    'dungeon.user_monitor_workflow(text)'::pg_catalog.regprocedure,
    description => 'watches a player until he is dead, rich, or nobody cares any more');
SELECT durable.register_orchestration('RunUserSequentialWorkflow',
    'dungeon.run_user_sequential_workflow(text)'::pg_catalog.regprocedure,
    description => 'puts player, weapon, monster and treasure into their places');
SELECT durable.register_orchestration('GameMonitorWorkflow',
    'dungeon.game_monitor_workflow(text)'::pg_catalog.regprocedure,
    description => 'declares a player the winner');

-- Instances belong to the engine and outlive the game that is dropped.  Those of
-- an earlier dungeon must not act in this one: they know its players by their
-- names only.  This is for a first installation, not for an update.
DO $$
DECLARE
    instance text;
BEGIN
    FOR instance IN
        SELECT i.instance_id FROM durable.instances i
        WHERE i.name IN ('RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                         'RunUserSequentialWorkflow', 'GameMonitorWorkflow')
          AND i.runtime_status IN ('Pending', 'Running', 'Suspended')
          AND i.owner = pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))
    LOOP
        BEGIN
            PERFORM durable.terminate(instance, 'the dungeon it belonged to is gone');
        EXCEPTION
            -- with its parent, or by itself, in the meantime
            WHEN SQLSTATE 'WF003' OR SQLSTATE 'WF004' THEN NULL;
        END;
    END LOOP;
END
$$;
