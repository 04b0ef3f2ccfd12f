/*
 * The other world: the things of a game as entities.
 *
 *   User           @user@PLAYER             {name, isAlive, currentRoom, inventory, isActive}
 *   Monster        @monster@PLAYER          {name, isAlive, currentRoom, inventory}
 *   Room           @room@PLAYER             {name, description, monster, inventory}
 *   InventoryList  @inventorylist@PLAYER    names of the things of the game
 *   Inventory      @inventory@[PLAYER, THING]  {name, isTreasure, room, monster, isCarried}
 *   UserCounter    @usercounter@User        {active, total}
 *
 * An action of a player concerns several of them: a player who kills a monster must be alive, in
 * its room, and carry a weapon.  Reading these and sending signals afterwards would be wrong,
 * because two sessions could both find the monster alive.  So the functions apply the operations
 * in one transaction, which has the player's entity locked from its first step: a critical
 * section.  All games share the counter of heroes; it gets signals, because its answer is not
 * needed and the games must not wait for each other.
 */

/* --- handlers --------------------------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.user_entity(state jsonb, operation text, input jsonb) RETURNS durable.entity_result
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF state IS NULL AND operation <> 'new' THEN
        RAISE EXCEPTION 'there is no such user' USING ERRCODE = 'no_data_found';
    END IF;
    CASE operation
        WHEN 'new' THEN
            IF state IS NOT NULL THEN
                RAISE EXCEPTION 'user % already exists', state -> 'name' USING ERRCODE = 'unique_violation';
            END IF;
            state := jsonb_build_object('name', input, 'isAlive', true, 'currentRoom', NULL, 'inventory', '[]'::jsonb, 'isActive', true);
        WHEN 'get' THEN NULL;
        WHEN 'setRoom' THEN
            state := state || jsonb_build_object('currentRoom', input);
        WHEN 'addInventory' THEN
            state := jsonb_set(state, '{inventory}', (state -> 'inventory') || input);
        WHEN 'kill' THEN
            RETURN (state || '{"isAlive": false, "isActive": false}', state)::durable.entity_result;
        WHEN 'finish' THEN
            RETURN (state || '{"isActive": false}', state)::durable.entity_result;
        WHEN 'forget' THEN
            RETURN (NULL, state)::durable.entity_result;
    END CASE;
    RETURN (state, state)::durable.entity_result;
END
$$;
COMMENT ON FUNCTION dungeon.user_entity(jsonb, text, jsonb) IS
    'entity User: new, get, setRoom, addInventory, kill, finish, forget; the last three return the state before';

CREATE FUNCTION dungeon.monster_entity(state jsonb, operation text, input jsonb) RETURNS durable.entity_result
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF state IS NULL AND operation <> 'new' THEN
        RAISE EXCEPTION 'there is no such monster' USING ERRCODE = 'no_data_found';
    END IF;
    CASE operation
        WHEN 'new' THEN
            state := jsonb_build_object('name', input, 'isAlive', true, 'currentRoom', NULL, 'inventory', '[]'::jsonb);
        WHEN 'get' THEN NULL;
        WHEN 'setRoom' THEN
            state := state || jsonb_build_object('currentRoom', input);
        WHEN 'addInventory' THEN
            state := jsonb_set(state, '{inventory}', (state -> 'inventory') || input);
        WHEN 'kill' THEN
            -- it drops what it has
            RETURN (state || '{"isAlive": false, "inventory": []}', state)::durable.entity_result;
        WHEN 'forget' THEN
            RETURN (NULL, state)::durable.entity_result;
    END CASE;
    RETURN (state, state)::durable.entity_result;
END
$$;
COMMENT ON FUNCTION dungeon.monster_entity(jsonb, text, jsonb) IS
    'entity Monster: new, get, setRoom, addInventory, kill, forget; the last two return the state before';

CREATE FUNCTION dungeon.room_entity(state jsonb, operation text, input jsonb) RETURNS durable.entity_result
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF state IS NULL AND operation <> 'new' THEN
        RAISE EXCEPTION 'there is no such room' USING ERRCODE = 'no_data_found';
    END IF;
    CASE operation
        WHEN 'new' THEN
            state := jsonb_build_object('name', input, 'description', NULL, 'monster', NULL, 'inventory', '[]'::jsonb);
        WHEN 'get' THEN NULL;
        WHEN 'setDescription' THEN
            state := state || jsonb_build_object('description', input);
        WHEN 'setMonster' THEN
            state := state || jsonb_build_object('monster', input);
        WHEN 'addInventory' THEN
            state := jsonb_set(state, '{inventory}', (state -> 'inventory') || input);
        WHEN 'removeInventory' THEN
            state := jsonb_set(state, '{inventory}', (state -> 'inventory') - (input #>> '{}'));
        WHEN 'forget' THEN
            RETURN (NULL, state)::durable.entity_result;
    END CASE;
    RETURN (state, state)::durable.entity_result;
END
$$;
COMMENT ON FUNCTION dungeon.room_entity(jsonb, text, jsonb) IS
    'entity Room: new, get, setDescription, setMonster, addInventory, removeInventory, forget';

-- A thing lies in a room, or a monster has it, or the user carries it.
CREATE FUNCTION dungeon.inventory_entity(state jsonb, operation text, input jsonb) RETURNS durable.entity_result
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    nowhere CONSTANT jsonb := '{"room": null, "monster": null, "isCarried": false}';
BEGIN
    IF state IS NULL AND operation <> 'new' THEN
        RAISE EXCEPTION 'there is no such thing' USING ERRCODE = 'no_data_found';
    END IF;
    CASE operation
        WHEN 'new' THEN
            state := nowhere || jsonb_build_object('name', input, 'isTreasure', false);
        WHEN 'get' THEN NULL;
        WHEN 'setTreasure' THEN
            state := state || '{"isTreasure": true}';
        WHEN 'setRoom' THEN
            state := state || nowhere || jsonb_build_object('room', input);
        WHEN 'setMonster' THEN
            state := state || nowhere || jsonb_build_object('monster', input);
        WHEN 'setUser' THEN
            state := state || nowhere || '{"isCarried": true}';
        WHEN 'forget' THEN
            RETURN (NULL, state)::durable.entity_result;
    END CASE;
    RETURN (state, state)::durable.entity_result;
END
$$;
COMMENT ON FUNCTION dungeon.inventory_entity(jsonb, text, jsonb) IS
    'entity Inventory: new, get, setTreasure, setRoom, setMonster, setUser, forget';

CREATE FUNCTION dungeon.inventory_list_entity(state jsonb, operation text, input jsonb) RETURNS durable.entity_result
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    CASE operation
        WHEN 'add' THEN state := coalesce(state, '[]') || input;
        WHEN 'get' THEN NULL;
        WHEN 'forget' THEN RETURN (NULL, state)::durable.entity_result;
    END CASE;
    RETURN (state, state)::durable.entity_result;
END
$$;
COMMENT ON FUNCTION dungeon.inventory_list_entity(jsonb, text, jsonb) IS 'entity InventoryList: add, get, forget';

CREATE FUNCTION dungeon.user_counter_entity(state jsonb, operation text, input jsonb) RETURNS durable.entity_result
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    active integer := coalesce((state -> 'active')::integer, 0);
    total  integer := coalesce((state -> 'total')::integer, 0);
BEGIN
    CASE operation
        WHEN 'newuser' THEN
            active := active + 1;
            total := total + 1;
        WHEN 'done' THEN
            active := active - 1;
    END CASE;
    RETURN (jsonb_build_object('active', active, 'total', total), to_jsonb(active))::durable.entity_result;
END
$$;
COMMENT ON FUNCTION dungeon.user_counter_entity(jsonb, text, jsonb) IS
    'entity UserCounter: newuser, done; counts heroes who are under way';

SELECT durable.register_entity('User', 'dungeon.user_entity(jsonb,text,jsonb)'::pg_catalog.regprocedure, 'a player of the dungeon');
SELECT durable.register_entity('Monster', 'dungeon.monster_entity(jsonb,text,jsonb)'::pg_catalog.regprocedure, 'the monster of a game');
SELECT durable.register_entity('Room', 'dungeon.room_entity(jsonb,text,jsonb)'::pg_catalog.regprocedure, 'the room of a game');
SELECT durable.register_entity('Inventory', 'dungeon.inventory_entity(jsonb,text,jsonb)'::pg_catalog.regprocedure, 'a weapon or a treasure');
SELECT durable.register_entity('InventoryList', 'dungeon.inventory_list_entity(jsonb,text,jsonb)'::pg_catalog.regprocedure, 'what there is in a game');
SELECT durable.register_entity('UserCounter', 'dungeon.user_counter_entity(jsonb,text,jsonb)'::pg_catalog.regprocedure, 'how many heroes are under way');

-- Entities belong to the engine and outlive the game that is dropped, as instances do.
DO $$
DECLARE
    entity record;
BEGIN
    FOR entity IN
        SELECT e.name, e.key FROM durable.entities e
        WHERE e.name IN ('user', 'monster', 'room', 'inventory', 'inventorylist', 'usercounter')
          AND e.owner = pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))
    LOOP
        PERFORM durable.purge_entity(entity.name, entity.key);
    END LOOP;
END
$$;

/* --- reading ---------------------------------------------------------------------------------------------------- */

-- Through the view, and so by the snapshot of the statement: all that it reads is of one moment.
CREATE FUNCTION dungeon.entity(name text, key text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT e.state FROM durable.entities e
    WHERE e.entity_id = '@' || $1 || '@' || $2 AND e.owner = to_regrole(quote_ident(current_user))
$$;
COMMENT ON FUNCTION dungeon.entity(text, text) IS 'the state of an entity of the dungeon; NULL when there is none';

CREATE FUNCTION dungeon.thing_key(player text, thing text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_array($1, $2)::text
$$;
COMMENT ON FUNCTION dungeon.thing_key(text, text) IS 'the key of the entity Inventory of a thing of the player''s game';

CREATE FUNCTION dungeon.things(player text,
                               OUT name text, OUT is_treasure boolean, OUT room text, OUT monster text, OUT is_carried boolean)
RETURNS SETOF record
LANGUAGE sql STABLE ROWS 2
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT t.state ->> 'name', (t.state -> 'isTreasure')::boolean, t.state ->> 'room', t.state ->> 'monster',
           (t.state -> 'isCarried')::boolean
    FROM jsonb_array_elements_text(dungeon.entity('inventorylist', $1)) AS l (name),
         dungeon.entity('inventory', dungeon.thing_key($1, l.name)) AS t (state)
$$;
COMMENT ON FUNCTION dungeon.things(text) IS 'the things of the player''s game, from their entities';

/* --- making ------------------------------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.entities_add_player(player text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.apply_entity('user', player, 'new', to_jsonb(player));
    PERFORM durable.signal_entity('usercounter', 'User', 'newuser');
END
$$;
COMMENT ON FUNCTION dungeon.entities_add_player(text) IS 'creates the player, alive and nowhere yet, and counts him';

CREATE FUNCTION dungeon.entities_add_room(player text, name text, description text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.apply_entity('room', player, 'new', to_jsonb(name));
    PERFORM durable.apply_entity('room', player, 'setDescription', to_jsonb(description));
END
$$;
COMMENT ON FUNCTION dungeon.entities_add_room(text, text, text) IS 'adds a room to the player''s game';

CREATE FUNCTION dungeon.entities_add_monster(player text, name text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.apply_entity('monster', player, 'new', to_jsonb(name));
END
$$;
COMMENT ON FUNCTION dungeon.entities_add_monster(text, text) IS 'adds a monster, alive and nowhere yet, to the player''s game';

CREATE FUNCTION dungeon.entities_add_item(player text, name text, is_treasure boolean) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    thing text := dungeon.thing_key(player, name);
BEGIN
    PERFORM durable.apply_entity('inventorylist', player, 'add', to_jsonb(name));
    PERFORM durable.apply_entity('inventory', thing, 'new', to_jsonb(name));
    IF is_treasure THEN
        PERFORM durable.apply_entity('inventory', thing, 'setTreasure');
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.entities_add_item(text, text, boolean) IS
    'adds a weapon or a treasure, not placed yet, to the player''s game';

/* --- placing ------------------------------------------------------------------------------------------------------ */

CREATE FUNCTION dungeon.entities_place_player(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place jsonb := durable.apply_entity('room', player, 'get') -> 'name';
BEGIN
    PERFORM durable.apply_entity('user', player, 'setRoom', place);
    RETURN place #>> '{}';
END
$$;
COMMENT ON FUNCTION dungeon.entities_place_player(text) IS 'puts the player into the room and returns the room''s name';

CREATE FUNCTION dungeon.entities_place_weapon(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place  jsonb := durable.apply_entity('room', player, 'get') -> 'name';
    weapon text;
BEGIN
    SELECT t.name INTO STRICT weapon FROM dungeon.things(player) t WHERE NOT t.is_treasure;
    PERFORM durable.apply_entity('room', player, 'addInventory', to_jsonb(weapon));
    PERFORM durable.apply_entity('inventory', dungeon.thing_key(player, weapon), 'setRoom', place);
    RETURN weapon;
END
$$;
COMMENT ON FUNCTION dungeon.entities_place_weapon(text) IS 'puts the weapon into the room and returns its name';

CREATE FUNCTION dungeon.entities_place_monster(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place   jsonb := durable.apply_entity('room', player, 'get') -> 'name';
    monster jsonb := durable.apply_entity('monster', player, 'setRoom', place) -> 'name';
BEGIN
    PERFORM durable.apply_entity('room', player, 'setMonster', monster);
    RETURN monster #>> '{}';
END
$$;
COMMENT ON FUNCTION dungeon.entities_place_monster(text) IS 'puts the monster into the room and returns its name';

-- A quick player may have killed the monster before its treasure arrived.
CREATE FUNCTION dungeon.entities_place_treasure(player text, OUT treasure text, OUT monster text, OUT room text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    beast jsonb;
    thing text;
BEGIN
    PERFORM dungeon.entities_lock(player);
    SELECT t.name INTO STRICT entities_place_treasure.treasure FROM dungeon.things(player) t WHERE t.is_treasure;
    thing := dungeon.thing_key(player, treasure);
    beast := durable.apply_entity('monster', player, 'get');
    monster := beast ->> 'name';
    IF (beast -> 'isAlive')::boolean THEN
        PERFORM durable.apply_entity('monster', player, 'addInventory', to_jsonb(treasure));
        PERFORM durable.apply_entity('inventory', thing, 'setMonster', to_jsonb(monster));
    ELSE
        room := beast ->> 'currentRoom';
        PERFORM durable.apply_entity('room', player, 'addInventory', to_jsonb(treasure));
        PERFORM durable.apply_entity('inventory', thing, 'setRoom', to_jsonb(room));
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.entities_place_treasure(text) IS
    'gives the treasure to the monster; to the room, whose name is then returned too, when the monster is dead already';

/* --- happening ---------------------------------------------------------------------------------------------------- */

-- An operation that changes nothing keeps the entity locked like any other.
CREATE FUNCTION dungeon.entities_lock(player text, OUT is_alive boolean, OUT current_room text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    hero jsonb;
BEGIN
    PERFORM FROM dungeon.game g WHERE g.player = entities_lock.player FOR KEY SHARE;
    IF dungeon.entity('user', player) IS NULL THEN
        RETURN;
    END IF;
    hero := durable.apply_entity('user', player, 'get');
    is_alive := (hero -> 'isAlive')::boolean;
    current_room := hero ->> 'currentRoom';
END
$$;
COMMENT ON FUNCTION dungeon.entities_lock(text) IS
    'locks the player''s game until the end of the transaction and says how the player is; NULLs when there is no such player';

CREATE FUNCTION dungeon.entities_kill_player(player text) RETURNS boolean
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    before jsonb;
BEGIN
    IF dungeon.entity('user', player) IS NULL THEN
        RETURN false;
    END IF;
    before := durable.apply_entity('user', player, 'kill');
    IF (before -> 'isActive')::boolean THEN
        PERFORM durable.signal_entity('usercounter', 'User', 'done');
    END IF;
    RETURN (before -> 'isAlive')::boolean;
END
$$;
COMMENT ON FUNCTION dungeon.entities_kill_player(text) IS 'kills the player; false when there was nobody left to kill';

CREATE FUNCTION dungeon.entities_take(player text, target text,
                                      OUT outcome text, OUT item text, OUT monster text, OUT is_treasure boolean)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place text := durable.apply_entity('user', player, 'get') ->> 'currentRoom';
BEGIN
    SELECT CASE WHEN t.is_carried THEN 'carried'
                WHEN t.room = place THEN 'taken'
                WHEN m.state ->> 'currentRoom' = place THEN 'guarded'
                ELSE 'absent' END, t.name, t.monster, t.is_treasure
    INTO entities_take.outcome, entities_take.item, entities_take.monster, entities_take.is_treasure
    FROM dungeon.things(player) t
    LEFT JOIN LATERAL dungeon.entity('monster', player) AS m (state) ON m.state ->> 'name' = t.monster
    WHERE lower(t.name) = lower(target);

    IF outcome = 'taken' THEN
        PERFORM durable.apply_entity('room', player, 'removeInventory', to_jsonb(item));
        PERFORM durable.apply_entity('inventory', dungeon.thing_key(player, item), 'setUser', to_jsonb(player));
        PERFORM durable.apply_entity('user', player, 'addInventory', to_jsonb(item));
    END IF;
    outcome := coalesce(outcome, 'absent');
END
$$;
COMMENT ON FUNCTION dungeon.entities_take(text, text) IS
    'moves an item from the player''s room into his inventory; outcome is taken, carried, guarded or absent; expects entities_lock';

CREATE FUNCTION dungeon.entities_carries(player text, target text, OUT item text, OUT is_treasure boolean)
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT t.name, t.is_treasure FROM dungeon.things($1) t WHERE t.is_carried AND lower(t.name) = lower($2)
$$;
COMMENT ON FUNCTION dungeon.entities_carries(text, text) IS
    'the item of that name in the player''s inventory; NULLs when he does not carry it';

CREATE FUNCTION dungeon.entities_slay(player text, target text,
                                      OUT outcome text, OUT monster text, OUT treasure text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place text := durable.apply_entity('user', player, 'get') ->> 'currentRoom';
    beast jsonb := dungeon.entity('monster', player);
    thing text;
BEGIN
    IF lower(beast ->> 'name') IS DISTINCT FROM lower(target) OR beast ->> 'currentRoom' IS DISTINCT FROM place THEN
        outcome := 'absent';
        RETURN;
    END IF;
    monster := beast ->> 'name';
    -- the state before, as the operation found it
    beast := durable.apply_entity('monster', player, 'kill');
    IF NOT (beast -> 'isAlive')::boolean THEN
        outcome := 'dead';
        RETURN;
    END IF;
    outcome := 'slain';
    FOR thing IN SELECT jsonb_array_elements_text(beast -> 'inventory') LOOP
        PERFORM durable.apply_entity('room', player, 'addInventory', to_jsonb(thing));
        PERFORM durable.apply_entity('inventory', dungeon.thing_key(player, thing), 'setRoom', to_jsonb(place));
        treasure := thing;
    END LOOP;
END
$$;
COMMENT ON FUNCTION dungeon.entities_slay(text, text) IS
    'kills the monster of that name in the player''s room, which drops what it has; outcome is slain, dead or absent; expects entities_lock';

-- A hero who has done both deeds is no longer counted as active.
CREATE FUNCTION dungeon.entities_finish(player text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF (durable.apply_entity('user', player, 'finish') -> 'isActive')::boolean THEN
        PERFORM durable.signal_entity('usercounter', 'User', 'done');
    END IF;
END
$$;
COMMENT ON FUNCTION dungeon.entities_finish(text) IS 'the player has won, and is not counted any more';

CREATE FUNCTION dungeon.entities_forget(player text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    entity record;
BEGIN
    IF (dungeon.entity('user', player) -> 'isActive')::boolean THEN
        PERFORM durable.signal_entity('usercounter', 'User', 'done');
    END IF;
    FOR entity IN
        SELECT 'inventory' AS name, dungeon.thing_key(entities_forget.player, t.name) AS key FROM dungeon.things(entities_forget.player) t
        UNION ALL
        SELECT n.name, entities_forget.player FROM unnest(ARRAY['user', 'monster', 'room', 'inventorylist']) AS n (name)
    LOOP
        PERFORM durable.purge_entity(entity.name, entity.key);
    END LOOP;
END
$$;
COMMENT ON FUNCTION dungeon.entities_forget(text) IS 'removes the things of a game that is deleted';

/* --- looking ------------------------------------------------------------------------------------------------------ */

CREATE FUNCTION dungeon.entities_look(player text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'user', jsonb_build_object(
            'name', u.state -> 'name',
            'isAlive', u.state -> 'isAlive',
            'currentRoom', u.state -> 'currentRoom',
            'inventoryItems', coalesce(things.carried, '')),
        'monster', CASE WHEN m.state IS NOT NULL THEN jsonb_build_object(
            'name', m.state -> 'name',
            'isAlive', m.state -> 'isAlive',
            'currentRoom', m.state -> 'currentRoom',
            'inventoryItems', coalesce(things.guarded, '')) END,
        'inventory', coalesce(things.everything, '[]'),
        'room', CASE WHEN r.state IS NOT NULL THEN jsonb_build_object(
            'name', r.state -> 'name',
            'description', r.state -> 'description',
            'monster', r.state -> 'monster',
            'inventoryItems', coalesce(things.lying, '')) END,
        'activeUsers', coalesce(dungeon.entity('usercounter', 'User') -> 'active', '0'))
    FROM dungeon.entity('user', $1) AS u (state),
         dungeon.entity('monster', $1) AS m (state),
         dungeon.entity('room', $1) AS r (state)
    CROSS JOIN LATERAL (
        SELECT string_agg(i.name, ',' ORDER BY i.is_treasure, i.name) FILTER (WHERE i.is_carried) AS carried,
               string_agg(i.name, ',' ORDER BY i.is_treasure, i.name) FILTER (WHERE i.monster = m.state ->> 'name') AS guarded,
               string_agg(i.name, ',' ORDER BY i.is_treasure, i.name) FILTER (WHERE i.room = r.state ->> 'name') AS lying,
               jsonb_agg(jsonb_build_object(
                   'name', i.name,
                   'isTreasure', i.is_treasure,
                   'monster', i.monster,
                   'room', i.room) ORDER BY i.is_treasure, i.name) AS everything
        FROM dungeon.things($1) i
    ) AS things
    WHERE u.state IS NOT NULL
$$;
COMMENT ON FUNCTION dungeon.entities_look(text) IS
    'the player''s game as it stands, for dd_status, and how many heroes are under way; NULL when there is no such player';

CREATE FUNCTION dungeon.entities_state(player text) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN u.state IS NULL THEN 'missing'
                WHEN NOT (u.state -> 'isAlive')::boolean THEN 'dead'
                WHEN things.treasure THEN 'treasure'
                WHEN u.state ->> 'currentRoom' IS NULL THEN 'outside'
                WHEN NOT (dungeon.entity('monster', $1) -> 'isAlive')::boolean THEN 'safe'
                WHEN things.weapon THEN 'armed'
                ELSE 'unarmed' END
    FROM dungeon.entity('user', $1) AS u (state)
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(i.is_treasure), false) AS treasure, coalesce(bool_or(NOT i.is_treasure), false) AS weapon
        FROM dungeon.things($1) i WHERE i.is_carried
    ) AS things
$$;
COMMENT ON FUNCTION dungeon.entities_state(text) IS
    'missing (not created yet), dead, treasure (alive and carrying it), or alive without it: outside, unarmed, armed, safe (the monster is dead)';

CREATE FUNCTION dungeon.entities_in_sight(player text) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(i.name, ', ' ORDER BY i.is_treasure, i.name), 'nothing')
    FROM dungeon.things($1) i
    WHERE i.room = dungeon.entity('user', $1) ->> 'currentRoom'
$$;
COMMENT ON FUNCTION dungeon.entities_in_sight(text) IS 'names of the items that lie in the player''s room';
