/*
 * The functions that the workflows and the players use: each goes to the world in which
 * the game is kept, in tables (10_world.sql) or in entities (25_entities.sql).
 */

CREATE FUNCTION dungeon.is_in_entities(player text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM dungeon.game g WHERE g.player = $1 AND g.world = 'entities')
$$;
COMMENT ON FUNCTION dungeon.is_in_entities(text) IS 'whether the player''s game keeps its things in entities';

CREATE FUNCTION dungeon.world_add_player(player text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        PERFORM dungeon.entities_add_player(player);
    ELSE
        PERFORM dungeon.tables_add_player(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_add_player(text) IS
    'creates the player, alive and nowhere yet';

CREATE FUNCTION dungeon.world_add_room(player text, name text, description text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        PERFORM dungeon.entities_add_room(player, name, description);
    ELSE
        PERFORM dungeon.tables_add_room(player, name, description);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_add_room(text, text, text) IS
    'adds a room to the player''s game';

CREATE FUNCTION dungeon.world_add_monster(player text, name text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        PERFORM dungeon.entities_add_monster(player, name);
    ELSE
        PERFORM dungeon.tables_add_monster(player, name);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_add_monster(text, text) IS
    'adds a monster, alive and nowhere yet, to the player''s game';

CREATE FUNCTION dungeon.world_add_item(player text, name text, is_treasure boolean) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        PERFORM dungeon.entities_add_item(player, name, is_treasure);
    ELSE
        PERFORM dungeon.tables_add_item(player, name, is_treasure);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_add_item(text, text, boolean) IS
    'adds a weapon or a treasure, not placed yet, to the player''s game';

CREATE FUNCTION dungeon.world_place_player(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_place_player(player);
    ELSE
        RETURN dungeon.tables_place_player(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_player(text) IS
    'puts the player into the room and returns the room''s name';

CREATE FUNCTION dungeon.world_place_weapon(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_place_weapon(player);
    ELSE
        RETURN dungeon.tables_place_weapon(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_weapon(text) IS
    'puts the weapon into the room and returns its name';

CREATE FUNCTION dungeon.world_place_monster(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_place_monster(player);
    ELSE
        RETURN dungeon.tables_place_monster(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_monster(text) IS
    'puts the monster into the room and returns its name';

CREATE FUNCTION dungeon.world_place_treasure(player text, OUT treasure text, OUT monster text, OUT room text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        SELECT w.treasure, w.monster, w.room INTO treasure, monster, room FROM dungeon.entities_place_treasure(player) AS w;
    ELSE
        SELECT w.treasure, w.monster, w.room INTO treasure, monster, room FROM dungeon.tables_place_treasure(player) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_treasure(text) IS
    'gives the treasure to the monster; to the room, whose name is then returned too, when the monster is dead already';

CREATE FUNCTION dungeon.world_lock(player text, OUT is_alive boolean, OUT current_room text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        SELECT w.is_alive, w.current_room INTO is_alive, current_room FROM dungeon.entities_lock(player) AS w;
    ELSE
        SELECT w.is_alive, w.current_room INTO is_alive, current_room FROM dungeon.tables_lock(player) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_lock(text) IS
    'locks the player''s game until the end of the transaction and says how the player is; NULLs when there is no such player';

CREATE FUNCTION dungeon.world_kill_player(player text) RETURNS boolean
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_kill_player(player);
    ELSE
        RETURN dungeon.tables_kill_player(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_kill_player(text) IS
    'kills the player; false when there was nobody left to kill';

CREATE FUNCTION dungeon.world_take(player text, target text, OUT outcome text, OUT item text, OUT monster text, OUT is_treasure boolean)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        SELECT w.outcome, w.item, w.monster, w.is_treasure INTO outcome, item, monster, is_treasure FROM dungeon.entities_take(player, target) AS w;
    ELSE
        SELECT w.outcome, w.item, w.monster, w.is_treasure INTO outcome, item, monster, is_treasure FROM dungeon.tables_take(player, target) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_take(text, text) IS
    'moves an item from the player''s room into his inventory; outcome is taken, carried, guarded or absent; expects world_lock';

CREATE FUNCTION dungeon.world_carries(player text, target text, OUT item text, OUT is_treasure boolean)
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        SELECT w.item, w.is_treasure INTO item, is_treasure FROM dungeon.entities_carries(player, target) AS w;
    ELSE
        SELECT w.item, w.is_treasure INTO item, is_treasure FROM dungeon.tables_carries(player, target) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_carries(text, text) IS
    'the item of that name in the player''s inventory; NULLs when he does not carry it';

CREATE FUNCTION dungeon.world_slay(player text, target text, OUT outcome text, OUT monster text, OUT treasure text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        SELECT w.outcome, w.monster, w.treasure INTO outcome, monster, treasure FROM dungeon.entities_slay(player, target) AS w;
    ELSE
        SELECT w.outcome, w.monster, w.treasure INTO outcome, monster, treasure FROM dungeon.tables_slay(player, target) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_slay(text, text) IS
    'kills the monster of that name in the player''s room, which drops what it has; outcome is slain, dead or absent; expects world_lock';

CREATE FUNCTION dungeon.world_look(player text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_look(player);
    ELSE
        RETURN dungeon.tables_look(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_look(text) IS
    'the player''s game as it stands, for dd_status; NULL when there is no such player';

CREATE FUNCTION dungeon.world_state(player text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_state(player);
    ELSE
        RETURN dungeon.tables_state(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_state(text) IS
    'missing (not created yet), dead, treasure (alive and carrying it), or alive without it: outside, unarmed, armed, safe (the monster is dead)';

CREATE FUNCTION dungeon.world_in_sight(player text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        RETURN dungeon.entities_in_sight(player);
    ELSE
        RETURN dungeon.tables_in_sight(player);
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.world_in_sight(text) IS
    'names of the items that lie in the player''s room';
