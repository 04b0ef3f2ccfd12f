/*
 * The world: who and what is where, and the console that tells about it.
 *
 * Everything below the tables is the only code that reads or writes them: the
 * activities, the players' functions and the orchestrations go through the
 * functions world_... and say().  There are two ways to keep the things of a game:
 * in the tables room, player, monster and item, by the functions tables_... below, or
 * in entities (25_entities.sql).  dungeon.settings.world decides for games that begin,
 * and game.world remembers it; the functions world_... choose (26_worlds.sql).
 *
 * Locks.  The row of dungeon.player guards a whole game: a function that changes data which
 * two sessions could change at the same time locks it with world_lock() first, and takes no
 * other lock after it.  The lock is FOR NO KEY UPDATE, so that foreign keys that reference the
 * player do not wait for it.  The game's row is locked before, because rows that reference it
 * will lock it anyway.  The deletion of a game locks the two in this order.
 *
 * Names are the players' own: any text, quotes, markup and line breaks
 * included.  They are values here and never become part of a statement.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA dungeon;

-- A name is taken from the moment its game is begun, before its player exists.
-- game_key goes into the instance ids of the game's workflows.  Deleting a game
-- stops them (50_players.sql).  last_report is what the watchman told last.
-- world: tables or entities, see 26_worlds.sql.
CREATE TABLE dungeon.game (
    player         text        PRIMARY KEY,
    game_key       text        NOT NULL UNIQUE,
    begun_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    last_report    text,
    world          text        NOT NULL DEFAULT 'tables'
);

CREATE TABLE dungeon.room (
    player         text        NOT NULL REFERENCES dungeon.game ON DELETE CASCADE,
    name           text        NOT NULL,
    description    text        NOT NULL,
    PRIMARY KEY (player, name)
);

CREATE TABLE dungeon.player (
    name           text        PRIMARY KEY REFERENCES dungeon.game (player) ON DELETE CASCADE,
    is_alive       boolean     NOT NULL DEFAULT true,
    current_room   text,
    FOREIGN KEY (name, current_room) REFERENCES dungeon.room (player, name)
);

CREATE TABLE dungeon.monster (
    player         text        NOT NULL REFERENCES dungeon.game ON DELETE CASCADE,
    name           text        NOT NULL,
    is_alive       boolean     NOT NULL DEFAULT true,
    current_room   text,
    PRIMARY KEY (player, name),
    FOREIGN KEY (player, current_room) REFERENCES dungeon.room (player, name)
);

-- A thing lies in a room, or a monster has it, or the player carries it, or it
-- has not been placed yet.
CREATE TABLE dungeon.item (
    player         text        NOT NULL REFERENCES dungeon.game ON DELETE CASCADE,
    name           text        NOT NULL,
    is_treasure    boolean     NOT NULL,
    room           text,
    monster        text,
    is_carried     boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (player, name),
    FOREIGN KEY (player, room) REFERENCES dungeon.room (player, name),
    FOREIGN KEY (player, monster) REFERENCES dungeon.monster (player, name),
    CHECK (pg_catalog.num_nonnulls(room, monster) + is_carried::integer <= 1)
);

-- What a player has achieved, once each.
CREATE TABLE dungeon.deed (
    player         text        NOT NULL REFERENCES dungeon.game ON DELETE CASCADE,
    event          text        NOT NULL,
    PRIMARY KEY (player, event)
);

-- The instances of a player's workflows.  dd_new_user records those that it starts; every other
-- instance registers with its first activity, so that instances that were started by hand are
-- known as well.  The engine finds an instance by its id through an index, but by its input only
-- by reading all instances.
CREATE TABLE dungeon.workflow (
    player         text        NOT NULL REFERENCES dungeon.game ON DELETE CASCADE,
    name           text        NOT NULL,
    instance_id    text        NOT NULL,
    signed_in_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (player, name, instance_id)
);

-- The narration.  Ids are assigned when a line is written and become visible at commit, so a
-- smaller one may appear after a larger one: docs/game.md describes how to read without a gap.
-- There is no foreign key, because the narration outlives its game.
CREATE TABLE dungeon.console (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    player         text,
    message        text        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON SCHEMA dungeon IS 'the Durable Dungeon: its world, its workflows and its console';
COMMENT ON TABLE dungeon.game IS 'games begun: the player''s name and the key in the ids of the game''s workflows; deleting a row stops the workflows and removes the player''s world';
COMMENT ON TABLE dungeon.room IS 'rooms of each game';
COMMENT ON TABLE dungeon.player IS 'players that have been created';
COMMENT ON TABLE dungeon.monster IS 'monsters of each game';
COMMENT ON TABLE dungeon.item IS 'weapons and treasures, and where they are';
COMMENT ON TABLE dungeon.deed IS 'what players have achieved, once each';
COMMENT ON TABLE dungeon.workflow IS 'instances of the workflows of each game';
COMMENT ON TABLE dungeon.console IS 'the narration, one line a row; NOTIFY dungeon_console tells of new ones';

/* --- the console ------------------------------------------------------------------------------------------------ */

-- A notification holds less than 8,000 bytes: a line that would not fit is announced by its id alone.
CREATE FUNCTION dungeon.console_payload(id bigint, player text, message text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN octet_length(whole.payload) <= 7900 THEN whole.payload
                ELSE jsonb_build_object('id', $1)::text END
    FROM (SELECT jsonb_build_object('id', $1, 'player', $2, 'message', $3)::text AS payload) AS whole
$$;
COMMENT ON FUNCTION dungeon.console_payload(bigint, text, text) IS
    'what NOTIFY dungeon_console carries for a line of the console';

CREATE FUNCTION dungeon.say(player text, message text) RETURNS bigint
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    line bigint;
BEGIN
    INSERT INTO dungeon.console (player, message) VALUES (say.player, say.message) RETURNING id INTO line;
    PERFORM pg_notify('dungeon_console', dungeon.console_payload(line, say.player, say.message));
    RETURN line;
END
$$;
COMMENT ON FUNCTION dungeon.say(text, text) IS
    'writes a line to the console and notifies its listeners at commit; returns the line''s id';

/* --- making ------------------------------------------------------------------------------------------------------- */

-- The readable part keeps letters and digits of the name, the random part makes
-- the key unique: an earlier installation cannot have used it, and a user cannot have
-- guessed it.
CREATE FUNCTION dungeon.world_begin(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    key text;
BEGIN
    INSERT INTO dungeon.game AS g (player, game_key, world)
    VALUES (world_begin.player,
            regexp_replace(left(world_begin.player, 24), '[^[:alnum:]]+', '_', 'g')
            || '-' || left(replace(gen_random_uuid()::text, '-', ''), 12),
            coalesce((SELECT s.world FROM dungeon.settings s), 'tables'))
    ON CONFLICT ON CONSTRAINT game_pkey DO NOTHING
    RETURNING g.game_key INTO key;
    RETURN key;
END
$$;
COMMENT ON FUNCTION dungeon.world_begin(text) IS
    'takes the name for a new game and returns the game''s key; NULL when the name is taken';

CREATE FUNCTION dungeon.world_key(player text) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT g.game_key FROM dungeon.game g WHERE g.player = $1
$$;
COMMENT ON FUNCTION dungeon.world_key(text) IS 'the key of the player''s game; NULL when there is none';

CREATE FUNCTION dungeon.tables_add_player(player text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.player (name) VALUES ($1)
$$;
COMMENT ON FUNCTION dungeon.tables_add_player(text) IS 'creates the player, alive and nowhere yet';

CREATE FUNCTION dungeon.tables_add_room(player text, name text, description text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.room (player, name, description) VALUES ($1, $2, $3)
$$;
COMMENT ON FUNCTION dungeon.tables_add_room(text, text, text) IS 'adds a room to the player''s game';

CREATE FUNCTION dungeon.tables_add_monster(player text, name text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.monster (player, name) VALUES ($1, $2)
$$;
COMMENT ON FUNCTION dungeon.tables_add_monster(text, text) IS 'adds a monster, alive and nowhere yet, to the player''s game';

CREATE FUNCTION dungeon.tables_add_item(player text, name text, is_treasure boolean) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.item (player, name, is_treasure) VALUES ($1, $2, $3)
$$;
COMMENT ON FUNCTION dungeon.tables_add_item(text, text, boolean) IS
    'adds a weapon or a treasure, not placed yet, to the player''s game';

/* --- placing ------------------------------------------------------------------------------------------------------ */

-- A game has one room, one monster, one weapon and one treasure; INTO STRICT
-- turns a game without them into an error of the activity instead of a game
-- that hangs.
CREATE FUNCTION dungeon.tables_place_player(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place text;
BEGIN
    UPDATE dungeon.player p SET current_room = r.name
    FROM dungeon.room r
    WHERE p.name = tables_place_player.player AND r.player = p.name
    RETURNING r.name INTO STRICT place;
    RETURN place;
END
$$;
COMMENT ON FUNCTION dungeon.tables_place_player(text) IS 'puts the player into the room and returns the room''s name';

CREATE FUNCTION dungeon.tables_place_weapon(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    weapon text;
BEGIN
    UPDATE dungeon.item i SET room = r.name
    FROM dungeon.room r
    WHERE i.player = tables_place_weapon.player AND NOT i.is_treasure AND r.player = i.player
    RETURNING i.name INTO STRICT weapon;
    RETURN weapon;
END
$$;
COMMENT ON FUNCTION dungeon.tables_place_weapon(text) IS 'puts the weapon into the room and returns its name';

CREATE FUNCTION dungeon.tables_place_monster(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    monster text;
BEGIN
    UPDATE dungeon.monster m SET current_room = r.name
    FROM dungeon.room r
    WHERE m.player = tables_place_monster.player AND r.player = m.player
    RETURNING m.name INTO STRICT monster;
    RETURN monster;
END
$$;
COMMENT ON FUNCTION dungeon.tables_place_monster(text) IS 'puts the monster into the room and returns its name';

-- A quick player may have killed the monster before its treasure arrived.
CREATE FUNCTION dungeon.tables_place_treasure(player text, OUT treasure text, OUT monster text, OUT room text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dungeon.tables_lock(tables_place_treasure.player);
    UPDATE dungeon.item i
    SET monster = CASE WHEN m.is_alive THEN m.name END,
        room = CASE WHEN NOT m.is_alive THEN m.current_room END
    FROM dungeon.monster m
    WHERE i.player = tables_place_treasure.player AND i.is_treasure AND m.player = i.player
    RETURNING i.name, m.name, i.room
    INTO STRICT tables_place_treasure.treasure, tables_place_treasure.monster, tables_place_treasure.room;
END
$$;
COMMENT ON FUNCTION dungeon.tables_place_treasure(text) IS
    'gives the treasure to the monster; to the room, whose name is then returned too, when the monster is dead already';

/* --- happening ---------------------------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.tables_lock(player text, OUT is_alive boolean, OUT current_room text)
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT p.is_alive, p.current_room
    FROM dungeon.game g
    JOIN dungeon.player p ON p.name = g.player
    WHERE g.player = $1
    FOR KEY SHARE OF g
    FOR NO KEY UPDATE OF p
$$;
COMMENT ON FUNCTION dungeon.tables_lock(text) IS
    'locks the player''s game until the end of the transaction and says how the player is; NULLs when there is no such player';

-- The lock makes a look wait for a session that is changing the game, so that no player is
-- seen alive after the player's death was told.
CREATE FUNCTION dungeon.world_lock_state(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dungeon.world_lock(player);
    -- a statement of its own, which sees what was committed before the lock was granted
    RETURN dungeon.world_state(player);
END
$$;
COMMENT ON FUNCTION dungeon.world_lock_state(text) IS 'world_state, under world_lock';

-- A report of the watchman is told only if it differs from the previous one.
CREATE FUNCTION dungeon.world_report(player text, report text) RETURNS boolean
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    WITH news AS (
        UPDATE dungeon.game g SET last_report = $2
        WHERE g.player = $1 AND g.last_report IS DISTINCT FROM $2
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM news) OR NOT EXISTS (SELECT FROM dungeon.game g WHERE g.player = $1)
$$;
COMMENT ON FUNCTION dungeon.world_report(text, text) IS
    'writes down what the watchman has seen; false when it was the same the last time; always true for somebody without a game';

CREATE FUNCTION dungeon.tables_kill_player(player text) RETURNS boolean
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    WITH dead AS (
        UPDATE dungeon.player p SET is_alive = false WHERE p.name = $1 AND p.is_alive RETURNING 1
    )
    SELECT EXISTS (SELECT FROM dead)
$$;
COMMENT ON FUNCTION dungeon.tables_kill_player(text) IS 'kills the player; false when there was nobody left to kill';

-- The thing is found by name without regard to case.  outcome: taken, carried (the player
-- has it already), guarded (the monster has it), absent.
CREATE FUNCTION dungeon.tables_take(player text, target text,
                                   OUT outcome text, OUT item text, OUT monster text, OUT is_treasure boolean)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    SELECT CASE WHEN i.is_carried THEN 'carried'
                WHEN i.room = p.current_room THEN 'taken'
                WHEN m.current_room = p.current_room THEN 'guarded'
                ELSE 'absent' END, i.name, m.name, i.is_treasure
    INTO tables_take.outcome, tables_take.item, tables_take.monster, tables_take.is_treasure
    FROM dungeon.player p
    JOIN dungeon.item i ON i.player = p.name
    LEFT JOIN dungeon.monster m ON m.player = i.player AND m.name = i.monster
    WHERE p.name = tables_take.player AND lower(i.name) = lower(tables_take.target);

    IF tables_take.outcome = 'taken' THEN
        UPDATE dungeon.item i SET room = NULL, is_carried = true
        WHERE i.player = tables_take.player AND i.name = tables_take.item;
    END IF;
    tables_take.outcome := coalesce(tables_take.outcome, 'absent');
END
$$;
COMMENT ON FUNCTION dungeon.tables_take(text, text) IS
    'moves an item from the player''s room into his inventory; outcome is taken, carried, guarded or absent; expects tables_lock';

CREATE FUNCTION dungeon.tables_carries(player text, target text, OUT item text, OUT is_treasure boolean)
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT i.name, i.is_treasure FROM dungeon.item i
    WHERE i.player = $1 AND i.is_carried AND lower(i.name) = lower($2)
$$;
COMMENT ON FUNCTION dungeon.tables_carries(text, text) IS
    'the item of that name in the player''s inventory; NULLs when he does not carry it';

-- outcome: slain, dead (it was already), absent.
CREATE FUNCTION dungeon.tables_slay(player text, target text,
                                   OUT outcome text, OUT monster text, OUT treasure text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    SELECT CASE WHEN m.is_alive THEN 'slain' ELSE 'dead' END, m.name
    INTO tables_slay.outcome, tables_slay.monster
    FROM dungeon.monster m
    JOIN dungeon.player p ON p.name = m.player AND p.current_room = m.current_room
    WHERE m.player = tables_slay.player AND lower(m.name) = lower(tables_slay.target);

    IF tables_slay.outcome = 'slain' THEN
        UPDATE dungeon.monster m SET is_alive = false
        WHERE m.player = tables_slay.player AND m.name = tables_slay.monster;

        UPDATE dungeon.item i SET monster = NULL, room = m.current_room
        FROM dungeon.monster m
        WHERE m.player = tables_slay.player AND m.name = tables_slay.monster
          AND i.player = m.player AND i.monster = m.name
        RETURNING i.name INTO tables_slay.treasure;
    END IF;
    tables_slay.outcome := coalesce(tables_slay.outcome, 'absent');
END
$$;
COMMENT ON FUNCTION dungeon.tables_slay(text, text) IS
    'kills the monster of that name in the player''s room, which drops what it has; outcome is slain, dead or absent; expects tables_lock';

CREATE FUNCTION dungeon.world_add_deed(player text, event text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.deed (player, event) VALUES ($1, $2)
$$;
COMMENT ON FUNCTION dungeon.world_add_deed(text, text) IS
    'writes down what the player has achieved; an error the second time';

CREATE FUNCTION dungeon.world_deeds(player text) RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT d.event FROM dungeon.deed d WHERE d.player = $1
$$;
COMMENT ON FUNCTION dungeon.world_deeds(text) IS 'what the player has achieved so far';

-- A name without a game has no workflows: UserMonitorWorkflow may be started for any name.
CREATE FUNCTION dungeon.world_sign_in(player text, workflow text, instance text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.workflow (player, name, instance_id)
    SELECT g.player, $2, $3 FROM dungeon.game g WHERE g.player = $1
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION dungeon.world_sign_in(text, text, text) IS
    'writes down that this instance is one of the player''s workflows of that name';

CREATE FUNCTION dungeon.world_workflows(player text, workflow text) RETURNS SETOF text
LANGUAGE sql STABLE ROWS 1
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT w.instance_id FROM dungeon.workflow w WHERE w.player = $1 AND w.name = $2 ORDER BY w.signed_in_at DESC
$$;
COMMENT ON FUNCTION dungeon.world_workflows(text, text) IS
    'the instances of the player''s workflow of that name, the latest first';

/* --- looking ------------------------------------------------------------------------------------------------------ */

-- One statement, so one moment of the world.
CREATE FUNCTION dungeon.tables_look(player text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'user', jsonb_build_object(
            'name', p.name,
            'isAlive', p.is_alive,
            'currentRoom', p.current_room,
            'inventoryItems', coalesce(things.carried, '')),
        'monster', CASE WHEN m.name IS NOT NULL THEN jsonb_build_object(
            'name', m.name,
            'isAlive', m.is_alive,
            'currentRoom', m.current_room,
            'inventoryItems', coalesce(things.guarded, '')) END,
        'inventory', coalesce(things.everything, '[]'),
        'room', CASE WHEN r.name IS NOT NULL THEN jsonb_build_object(
            'name', r.name,
            'description', r.description,
            'monster', (SELECT x.name FROM dungeon.monster x WHERE x.player = r.player AND x.current_room = r.name),
            'inventoryItems', coalesce(things.lying, '')) END)
    FROM dungeon.player p
    LEFT JOIN dungeon.monster m ON m.player = p.name
    LEFT JOIN dungeon.room r ON r.player = p.name
    CROSS JOIN LATERAL (
        SELECT string_agg(i.name, ',' ORDER BY i.is_treasure, i.name) FILTER (WHERE i.is_carried) AS carried,
               string_agg(i.name, ',' ORDER BY i.is_treasure, i.name) FILTER (WHERE i.monster = m.name) AS guarded,
               string_agg(i.name, ',' ORDER BY i.is_treasure, i.name) FILTER (WHERE i.room = r.name) AS lying,
               jsonb_agg(jsonb_build_object(
                   'name', i.name,
                   'isTreasure', i.is_treasure,
                   'monster', i.monster,
                   'room', i.room) ORDER BY i.is_treasure, i.name) AS everything
        FROM dungeon.item i
        WHERE i.player = p.name
    ) AS things
    WHERE p.name = $1
$$;
COMMENT ON FUNCTION dungeon.tables_look(text) IS
    'the player''s game as it stands, for dd_status; NULL when there is no such player';

CREATE FUNCTION dungeon.tables_state(player text) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT CASE WHEN NOT p.is_alive THEN 'dead'
                    WHEN things.treasure THEN 'treasure'
                    WHEN p.current_room IS NULL THEN 'outside'
                    WHEN EXISTS (SELECT FROM dungeon.monster m WHERE m.player = p.name AND NOT m.is_alive) THEN 'safe'
                    WHEN things.weapon THEN 'armed'
                    ELSE 'unarmed' END
        FROM dungeon.player p
        CROSS JOIN LATERAL (
            SELECT coalesce(bool_or(i.is_treasure), false) AS treasure, coalesce(bool_or(NOT i.is_treasure), false) AS weapon
            FROM dungeon.item i
            WHERE i.player = p.name AND i.is_carried
        ) AS things
        WHERE p.name = $1), 'missing')
$$;
COMMENT ON FUNCTION dungeon.tables_state(text) IS
    'missing (not created yet), dead, treasure (alive and carrying it), or alive without it: outside, unarmed, armed, safe (the monster is dead)';

-- What can be picked up where the player stands, for hints.
CREATE FUNCTION dungeon.tables_in_sight(player text) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(i.name, ', ' ORDER BY i.is_treasure, i.name), 'nothing')
    FROM dungeon.player p
    JOIN dungeon.item i ON i.player = p.name AND i.room = p.current_room
    WHERE p.name = $1
$$;
COMMENT ON FUNCTION dungeon.tables_in_sight(text) IS 'names of the items that lie in the player''s room';
