/*
 * The players' functions.  They run as the extension's owner, who owns the
 * workflows too, so that a role that may call them needs nothing else.
 *
 * A refusal of the game is a reply, not an error, because an error would roll back the
 * line on the console.  Errors are left for problems of other kinds, such as a server
 * that cannot write.
 *
 * http_status is the status for a gateway: 200, 400 for a refusal, 404 for a
 * confirmation that is not awaited.
 */

CREATE TYPE dungeon.reply AS (
    ok          boolean,
    http_status integer,
    message     text
);
COMMENT ON TYPE dungeon.reply IS 'the answer of a player''s function: whether it did what was asked, and the same in words';

-- The console files a line under a name only if there could be a player of that name.
CREATE FUNCTION dungeon.refuse(player text, message text, http_status integer DEFAULT 400) RETURNS dungeon.reply
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dungeon.say(CASE WHEN player ~ '\S' AND length(player) <= 200 THEN player END, message);
    RETURN ROW(false, http_status, message)::dungeon.reply;
END
$$;
COMMENT ON FUNCTION dungeon.refuse(text, text, integer) IS 'tells the console why not, and returns it as a reply';

CREATE FUNCTION dungeon.grant_wish(player text, message text) RETURNS dungeon.reply
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dungeon.say(player, message);
    RETURN ROW(true, 200, message)::dungeon.reply;
END
$$;
COMMENT ON FUNCTION dungeon.grant_wish(text, text) IS 'tells the console what was done, and returns it as a reply';

-- Expects world_lock, and to be called once for each deed.  A monitor that has
-- not opened the game yet will find the deed then; one that was stopped by hand
-- hears nothing any more.
CREATE FUNCTION dungeon.report_deed(player text, event text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    monitor text;
BEGIN
    PERFORM dungeon.world_add_deed(player, event);
    IF dungeon.is_in_entities(player) AND (SELECT count(*) = 2 FROM dungeon.world_deeds(player)) THEN
        PERFORM dungeon.entities_finish(player);
    END IF;
    FOR monitor IN SELECT dungeon.world_workflows(player, 'GameMonitorWorkflow') LOOP
        BEGIN
            PERFORM durable.raise_event(monitor, event, player);
        EXCEPTION
            WHEN SQLSTATE 'WF003' OR SQLSTATE 'WF004' THEN NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION dungeon.report_deed(text, text) IS 'writes the deed down and raises the event for the game''s monitor';

CREATE FUNCTION dungeon.begin_workflow(player text, workflow text, game_key text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dungeon.world_sign_in(player, workflow,
        durable.start(workflow, player, instance_id => dungeon.workflow_id(workflow, game_key),
                      version => (SELECT nullif(s.orchestrations, 'sql') FROM dungeon.settings s)));
END
$$;
COMMENT ON FUNCTION dungeon.begin_workflow(text, text, text) IS 'starts a workflow of the player''s game';

CREATE FUNCTION @extschema@.dd_new_user(name text) RETURNS dungeon.reply
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    game_key text;
BEGIN
    IF name IS NULL OR name !~ '\S' THEN
        RETURN dungeon.refuse(NULL, 'Somebody knocks at the gate but gives no name, and is not let in.');
    END IF;
    IF length(name) > 200 THEN
        RETURN dungeon.refuse(name, format(
            'Somebody knocks at the gate with a name of %s letters. The visitors'' book has room for 200.', length(name)));
    END IF;

    game_key := dungeon.world_begin(name);
    IF game_key IS NULL THEN
        RETURN dungeon.refuse(name, format(
            'A second %s knocks at the gate. There is one already, and names are used once.', name));
    END IF;

    PERFORM dungeon.begin_workflow(name, 'RunUserParallelWorkflow', game_key);
    PERFORM dungeon.begin_workflow(name, 'UserMonitorWorkflow', game_key);
    RETURN dungeon.grant_wish(name, format('%s knocks at the gate of the dungeon.', name));
END
$$;
COMMENT ON FUNCTION @extschema@.dd_new_user(text) IS
    'begins a game; refuses an empty name and one that is taken';

CREATE FUNCTION @extschema@.dd_confirm(name text) RETURNS dungeon.reply
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    confirmation text;
    answered     boolean := false;
BEGIN
    IF dungeon.world_key(name) IS NULL THEN
        RETURN dungeon.refuse(name, format(
            'The gatekeeper looks through his files: nobody called "%s" has ever knocked.', dungeon.clip(name)));
    END IF;

    FOR confirmation IN SELECT dungeon.world_workflows(name, 'UserConfirmationWorkflow') LOOP
        BEGIN
            PERFORM durable.raise_event(confirmation, 'ApprovalTask', true);
            answered := true;
        EXCEPTION
            -- decided already
            WHEN SQLSTATE 'WF003' OR SQLSTATE 'WF004' THEN NULL;
        END;
        EXIT WHEN answered;
    END LOOP;
    IF NOT answered THEN
        RETURN dungeon.refuse(name, format('The gatekeeper is not waiting for an answer from %s.', name), 404);
    END IF;
    RETURN dungeon.grant_wish(name, format('%s calls out to the gatekeeper: "Let me in!"', name));
END
$$;
COMMENT ON FUNCTION @extschema@.dd_confirm(text) IS
    'confirms a game that has been begun; refuses an unknown name, and one that no UserConfirmationWorkflow waits for (404)';

CREATE FUNCTION @extschema@.dd_action(name text, action text, target text DEFAULT NULL, weapon text DEFAULT NULL)
RETURNS dungeon.reply
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    verb   text := lower(btrim(action));
    player record;
    taken  record;
    tool   record;
    fight  record;
BEGIN
    SELECT * INTO player FROM dungeon.world_lock(name);
    IF player.is_alive IS NULL THEN
        RETURN dungeon.refuse(name, format('Nobody called "%s" is in the dungeon.', dungeon.clip(name)));
    END IF;
    IF NOT player.is_alive THEN
        RETURN dungeon.refuse(name, format('%s is dead, and the dead rest.', name));
    END IF;
    IF verb IS NULL OR verb NOT IN ('get', 'kill') THEN
        RETURN dungeon.refuse(name, format('%s wants to %s. What can be done here is get and kill.',
                                           name, coalesce('"' || dungeon.clip(action) || '"', 'do nothing')));
    END IF;
    IF target IS NULL OR target !~ '\S' THEN
        RETURN dungeon.refuse(name, format('%s wants to %s, but what?', name, verb));
    END IF;
    IF player.current_room IS NULL THEN
        RETURN dungeon.refuse(name, format('%s is not in any room yet, and there is nothing to %s.', name, verb));
    END IF;

    IF verb = 'get' THEN
        SELECT * INTO taken FROM dungeon.world_take(name, target);
        CASE taken.outcome
            WHEN 'taken' THEN
                IF taken.is_treasure THEN
                    PERFORM dungeon.report_deed(name, 'GotTreasure');
                END IF;
                RETURN dungeon.grant_wish(name, format(
                    CASE WHEN taken.is_treasure THEN '%s lifts up the %s, and for a moment it is quite still.'
                         ELSE '%s picks up the %s and feels a little braver.' END, name, taken.item));
            WHEN 'carried' THEN
                RETURN dungeon.refuse(name, format('%s has the %s already.', name, taken.item));
            WHEN 'guarded' THEN
                RETURN dungeon.refuse(name, format('%s reaches for the %s. The %s is sitting on it and shows its teeth.',
                                                   name, taken.item, taken.monster));
            WHEN 'absent' THEN
                RETURN dungeon.refuse(name, format('%s looks for "%s" in vain. What lies here: %s.',
                                                   name, dungeon.clip(target), dungeon.world_in_sight(name)));
        END CASE;
    END IF;

    IF weapon IS NULL OR weapon !~ '\S' THEN
        RETURN dungeon.refuse(name, format('%s wants to kill with bare hands. That has been tried; choose a weapon.', name));
    END IF;
    SELECT * INTO tool FROM dungeon.world_carries(name, weapon);
    IF tool.item IS NULL THEN
        RETURN dungeon.refuse(name, format('%s feels for "%s" and does not have it.', name, dungeon.clip(weapon)));
    END IF;
    IF tool.is_treasure THEN
        RETURN dungeon.refuse(name, format('%s weighs the %s in one hand: too precious to hit anybody with.', name, tool.item));
    END IF;

    SELECT * INTO fight FROM dungeon.world_slay(name, target);
    CASE fight.outcome
        WHEN 'slain' THEN
            PERFORM dungeon.report_deed(name, 'KillMonster');
            RETURN dungeon.grant_wish(name, format(
                '%s swings the %s. The %s falls%s.', name, tool.item, fight.monster,
                coalesce(', and the ' || fight.treasure || ' rolls across the floor', '')));
        WHEN 'dead' THEN
            RETURN dungeon.refuse(name, format('The %s is dead already; %s makes sure once more.', fight.monster, name));
        WHEN 'absent' THEN
            RETURN dungeon.refuse(name, format('%s swings the %s at "%s" and hits the air: nobody of that name is here.',
                                               name, tool.item, dungeon.clip(target)));
    END CASE;
END
$$;
COMMENT ON FUNCTION @extschema@.dd_action(text, text, text, text) IS
    'what a player does: get an item, or kill a monster with a weapon he carries; names are found without regard to case';

CREATE FUNCTION @extschema@.dd_status(name text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT dungeon.world_look($1)
$$;
COMMENT ON FUNCTION @extschema@.dd_status(text) IS
    'the game as it stands: user, monster, inventory, room; NULL when there is no such player';

-- The views of the engine are security barriers: a join with one reads all of it, and a lateral subquery (OFFSET 0 keeps
-- it one) only the row with the id.  So it is in 55_http.sql.
CREATE FUNCTION @extschema@.dd_check_status(name text, workflow text,
                                            OUT created timestamptz, OUT status text, OUT ended timestamptz)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT i.created_time, i.runtime_status, i.completed_time
    FROM dungeon.world_workflows($1, $2) AS w (instance_id)
    CROSS JOIN LATERAL (SELECT * FROM durable.instances x WHERE x.instance_id = w.instance_id OFFSET 0) i
    WHERE i.owner = to_regrole(quote_ident(current_user))
    ORDER BY i.created_time DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION @extschema@.dd_check_status(text, text) IS
    'the player''s latest instance of the workflow: when it was created, its status, when it ended; no row when there is none';

-- The state of the engine, by the engine's clock.
CREATE FUNCTION @extschema@.dd_time_left(name text) RETURNS interval
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT max(greatest(waiting.due - durable.clock(), interval '0'))
    FROM dungeon.world_workflows($1, 'UserConfirmationWorkflow') AS w (instance_id)
    CROSS JOIN LATERAL (SELECT * FROM durable.waiting x WHERE x.instance_id = w.instance_id OFFSET 0) waiting
    WHERE waiting.kind = 'timer' AND waiting.owner = to_regrole(quote_ident(current_user))
$$;
COMMENT ON FUNCTION @extschema@.dd_time_left(text) IS
    'how long the gatekeeper still waits for the player to confirm; NULL when he does not wait';

/* --- the end of a game --------------------------------------------------------------------------------------------- */

-- Instances that outlived their game would act in the next one of that name.
-- Those that have not signed in yet have ids made of the game's key.
CREATE FUNCTION dungeon.stop_workflows() RETURNS trigger
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    instance text;
BEGIN
    FOR instance IN
        SELECT w.instance_id FROM dungeon.workflow w WHERE w.player = OLD.player
        UNION
        SELECT dungeon.workflow_id(n.name, OLD.game_key)
        FROM unnest(ARRAY['UserConfirmationWorkflow', 'RunUserSequentialWorkflow', 'GameMonitorWorkflow']) AS n (name)
    LOOP
        BEGIN
            PERFORM durable.terminate(instance, 'the game was deleted');
        EXCEPTION
            WHEN SQLSTATE 'WF003' OR SQLSTATE 'WF004' THEN NULL;
        END;
    END LOOP;
    IF OLD.world = 'entities' THEN
        PERFORM dungeon.entities_forget(OLD.player);
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION dungeon.stop_workflows() IS 'trigger: a game that is deleted has its workflows terminated';

CREATE TRIGGER stop_workflows BEFORE DELETE ON dungeon.game
    FOR EACH ROW EXECUTE FUNCTION dungeon.stop_workflows();
