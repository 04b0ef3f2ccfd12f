\echo Use "CREATE EXTENSION durable_dungeon" to load this file. \quit

-- extension/durable_dungeon/10_world.sql

/*
 * The world: who and what is where, and the console that tells about it.
 *
 * Everything below the tables is the only code that reads or writes them: the
 * activities, the players' functions and the orchestrations go through the
 * functions world_... and say().  So the world can be kept elsewhere one day
 * without touching the workflows.
 *
 * Locks.  One row, dungeon.player, guards a whole game: whoever wants to change
 * something that two sessions could fight over takes it first with world_lock()
 * and nothing else after it.  FOR NO KEY UPDATE, so that foreign keys pointing
 * at the player are not held up.  The game's row is locked before, as rows that
 * point at it will do later anyway: who deletes a game takes the two in this order.
 *
 * Names are the players' own: any text, quotes, markup and line breaks
 * included.  They are values here and never become part of a statement.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA dungeon;

-- A name is taken from the moment its game is begun, before its player exists.
-- game_key goes into the instance ids of the game's workflows.  Deleting a game
-- stops them (50_players.sql).
CREATE TABLE dungeon.game (
    player         text        PRIMARY KEY,
    game_key       text        NOT NULL UNIQUE,
    begun_at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
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

-- Which instances of which workflows are a player's.  Those that dd_new_user
-- starts are written down there; every other signs in with its first activity, so
-- that one which somebody has started by hand is known as well.  The engine can
-- find an instance by its id in no time, but by its input only by reading all.
CREATE TABLE dungeon.workflow (
    player         text        NOT NULL REFERENCES dungeon.game ON DELETE CASCADE,
    name           text        NOT NULL,
    instance_id    text        NOT NULL,
    signed_in_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (player, name, instance_id)
);

-- The narration.  Ids are given out when a line is written and become visible
-- at commit, so a smaller one may appear after a larger one: see docs/game.md
-- for reading without a gap.  No foreign key: the story outlives its game.
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
-- the key one nobody can have used before: not an earlier installation, and not
-- somebody who guesses ids.
CREATE FUNCTION dungeon.world_begin(player text) RETURNS text
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.game (player, game_key)
    VALUES ($1, regexp_replace(left($1, 24), '[^[:alnum:]]+', '_', 'g')
                || '-' || left(replace(gen_random_uuid()::text, '-', ''), 12))
    ON CONFLICT (player) DO NOTHING
    RETURNING game_key
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

CREATE FUNCTION dungeon.world_add_player(player text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.player (name) VALUES ($1)
$$;
COMMENT ON FUNCTION dungeon.world_add_player(text) IS 'creates the player, alive and nowhere yet';

CREATE FUNCTION dungeon.world_add_room(player text, name text, description text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.room (player, name, description) VALUES ($1, $2, $3)
$$;
COMMENT ON FUNCTION dungeon.world_add_room(text, text, text) IS 'adds a room to the player''s game';

CREATE FUNCTION dungeon.world_add_monster(player text, name text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.monster (player, name) VALUES ($1, $2)
$$;
COMMENT ON FUNCTION dungeon.world_add_monster(text, text) IS 'adds a monster, alive and nowhere yet, to the player''s game';

CREATE FUNCTION dungeon.world_add_item(player text, name text, is_treasure boolean) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    INSERT INTO dungeon.item (player, name, is_treasure) VALUES ($1, $2, $3)
$$;
COMMENT ON FUNCTION dungeon.world_add_item(text, text, boolean) IS
    'adds a weapon or a treasure, not placed yet, to the player''s game';

/* --- placing ------------------------------------------------------------------------------------------------------ */

-- A game has one room, one monster, one weapon and one treasure; INTO STRICT
-- turns a game without them into an error of the activity instead of a game
-- that hangs.
CREATE FUNCTION dungeon.world_place_player(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    place text;
BEGIN
    UPDATE dungeon.player p SET current_room = r.name
    FROM dungeon.room r
    WHERE p.name = world_place_player.player AND r.player = p.name
    RETURNING r.name INTO STRICT place;
    RETURN place;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_player(text) IS 'puts the player into the room and returns the room''s name';

CREATE FUNCTION dungeon.world_place_weapon(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    weapon text;
BEGIN
    UPDATE dungeon.item i SET room = r.name
    FROM dungeon.room r
    WHERE i.player = world_place_weapon.player AND NOT i.is_treasure AND r.player = i.player
    RETURNING i.name INTO STRICT weapon;
    RETURN weapon;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_weapon(text) IS 'puts the weapon into the room and returns its name';

CREATE FUNCTION dungeon.world_place_monster(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    monster text;
BEGIN
    UPDATE dungeon.monster m SET current_room = r.name
    FROM dungeon.room r
    WHERE m.player = world_place_monster.player AND r.player = m.player
    RETURNING m.name INTO STRICT monster;
    RETURN monster;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_monster(text) IS 'puts the monster into the room and returns its name';

-- A quick player may have killed the monster before its treasure arrived.
CREATE FUNCTION dungeon.world_place_treasure(player text, OUT treasure text, OUT monster text, OUT room text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM dungeon.world_lock(world_place_treasure.player);
    UPDATE dungeon.item i
    SET monster = CASE WHEN m.is_alive THEN m.name END,
        room = CASE WHEN NOT m.is_alive THEN m.current_room END
    FROM dungeon.monster m
    WHERE i.player = world_place_treasure.player AND i.is_treasure AND m.player = i.player
    RETURNING i.name, m.name, i.room
    INTO STRICT world_place_treasure.treasure, world_place_treasure.monster, world_place_treasure.room;
END
$$;
COMMENT ON FUNCTION dungeon.world_place_treasure(text) IS
    'gives the treasure to the monster; to the room, whose name is then returned too, when the monster is dead already';

/* --- happening ---------------------------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.world_lock(player text, OUT is_alive boolean, OUT current_room text)
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
COMMENT ON FUNCTION dungeon.world_lock(text) IS
    'locks the player''s game until the end of the transaction and says how the player is; NULLs when there is no such player';

CREATE FUNCTION dungeon.world_kill_player(player text) RETURNS boolean
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    WITH dead AS (
        UPDATE dungeon.player p SET is_alive = false WHERE p.name = $1 AND p.is_alive RETURNING 1
    )
    SELECT EXISTS (SELECT FROM dead)
$$;
COMMENT ON FUNCTION dungeon.world_kill_player(text) IS 'kills the player; false when there was nobody left to kill';

-- Found by name without regard to case.  outcome: taken, carried (he has it
-- already), guarded (the monster has it), absent.
CREATE FUNCTION dungeon.world_take(player text, target text,
                                   OUT outcome text, OUT item text, OUT monster text, OUT is_treasure boolean)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    SELECT CASE WHEN i.is_carried THEN 'carried'
                WHEN i.room = p.current_room THEN 'taken'
                WHEN m.current_room = p.current_room THEN 'guarded'
                ELSE 'absent' END, i.name, m.name, i.is_treasure
    INTO world_take.outcome, world_take.item, world_take.monster, world_take.is_treasure
    FROM dungeon.player p
    JOIN dungeon.item i ON i.player = p.name
    LEFT JOIN dungeon.monster m ON m.player = i.player AND m.name = i.monster
    WHERE p.name = world_take.player AND lower(i.name) = lower(world_take.target);

    IF world_take.outcome = 'taken' THEN
        UPDATE dungeon.item i SET room = NULL, is_carried = true
        WHERE i.player = world_take.player AND i.name = world_take.item;
    END IF;
    world_take.outcome := coalesce(world_take.outcome, 'absent');
END
$$;
COMMENT ON FUNCTION dungeon.world_take(text, text) IS
    'moves an item from the player''s room into his inventory; outcome is taken, carried, guarded or absent; expects world_lock';

CREATE FUNCTION dungeon.world_carries(player text, target text, OUT item text, OUT is_treasure boolean)
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT i.name, i.is_treasure FROM dungeon.item i
    WHERE i.player = $1 AND i.is_carried AND lower(i.name) = lower($2)
$$;
COMMENT ON FUNCTION dungeon.world_carries(text, text) IS
    'the item of that name in the player''s inventory; NULLs when he does not carry it';

-- outcome: slain, dead (it was already), absent.
CREATE FUNCTION dungeon.world_slay(player text, target text,
                                   OUT outcome text, OUT monster text, OUT treasure text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    SELECT CASE WHEN m.is_alive THEN 'slain' ELSE 'dead' END, m.name
    INTO world_slay.outcome, world_slay.monster
    FROM dungeon.monster m
    JOIN dungeon.player p ON p.name = m.player AND p.current_room = m.current_room
    WHERE m.player = world_slay.player AND lower(m.name) = lower(world_slay.target);

    IF world_slay.outcome = 'slain' THEN
        UPDATE dungeon.monster m SET is_alive = false
        WHERE m.player = world_slay.player AND m.name = world_slay.monster;

        UPDATE dungeon.item i SET monster = NULL, room = m.current_room
        FROM dungeon.monster m
        WHERE m.player = world_slay.player AND m.name = world_slay.monster
          AND i.player = m.player AND i.monster = m.name
        RETURNING i.name INTO world_slay.treasure;
    END IF;
    world_slay.outcome := coalesce(world_slay.outcome, 'absent');
END
$$;
COMMENT ON FUNCTION dungeon.world_slay(text, text) IS
    'kills the monster of that name in the player''s room, which drops what it has; outcome is slain, dead or absent; expects world_lock';

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

-- Somebody who has no game has no workflows: the watchman may be sent for anybody.
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
CREATE FUNCTION dungeon.world_look(player text) RETURNS jsonb
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
COMMENT ON FUNCTION dungeon.world_look(text) IS
    'the player''s game as it stands, for dd_status; NULL when there is no such player';

CREATE FUNCTION dungeon.world_state(player text) RETURNS text
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
COMMENT ON FUNCTION dungeon.world_state(text) IS
    'missing (not created yet), dead, treasure (alive and carrying it), or alive without it: outside, unarmed, armed, safe (the monster is dead)';

-- What can be picked up where the player stands, for hints.
CREATE FUNCTION dungeon.world_in_sight(player text) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(i.name, ', ' ORDER BY i.is_treasure, i.name), 'nothing')
    FROM dungeon.player p
    JOIN dungeon.item i ON i.player = p.name AND i.room = p.current_room
    WHERE p.name = $1
$$;
COMMENT ON FUNCTION dungeon.world_in_sight(text) IS 'names of the items that lie in the player''s room';

-- extension/durable_dungeon/20_words.sql

/*
 * The settings, among them the word lists, and the makers that draw names from
 * the lists.  The settings are read by activities only: an orchestration may not
 * read tables, because a later replay could find something else in them.
 */

-- Names of items are joined with commas in dd_status, so words have none.
CREATE FUNCTION dungeon.is_word_list(words text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_ndims($1) = 1, false)
       AND NOT EXISTS (SELECT FROM unnest($1) AS w (word) WHERE w.word IS NULL OR w.word !~ '\S' OR w.word ~ ',')
$$;
COMMENT ON FUNCTION dungeon.is_word_list(text[]) IS
    'true for a list of at least one word, none of them null, blank or with a comma';

CREATE TABLE dungeon.settings (
    singleton         boolean   PRIMARY KEY DEFAULT true CHECK (singleton),
    confirm_timeout   interval  NOT NULL DEFAULT '2 minutes' CHECK (confirm_timeout > '0'),
    monitor_interval  interval  NOT NULL DEFAULT '20 seconds' CHECK (monitor_interval > '0'),
    monitor_timeout   interval  NOT NULL DEFAULT '1 hour' CHECK (monitor_timeout > '0'),

    -- a monster is an adjective, a colour and a beast
    adjectives text[] NOT NULL CHECK (dungeon.is_word_list(adjectives)) DEFAULT ARRAY[
        'Bashful', 'Bellowing', 'Brooding', 'Clumsy', 'Cross-Eyed', 'Disgruntled', 'Drowsy', 'Fretful', 'Gloomy',
        'Grinning', 'Haughty', 'Hiccuping', 'Lopsided', 'Melancholy', 'Mumbling', 'Nearsighted', 'Overfed', 'Peckish',
        'Quarrelsome', 'Ravenous', 'Sleepwalking', 'Snoring', 'Soggy', 'Spiteful', 'Unemployed', 'Yodelling'],
    colours text[] NOT NULL CHECK (dungeon.is_word_list(colours)) DEFAULT ARRAY[
        'Amber', 'Beige', 'Bronze', 'Charcoal', 'Cobalt', 'Copper', 'Coral', 'Crimson', 'Emerald', 'Indigo', 'Ivory',
        'Jade', 'Khaki', 'Lavender', 'Magenta', 'Maroon', 'Mustard', 'Ochre', 'Olive', 'Pink', 'Plaid', 'Scarlet',
        'Teal', 'Turquoise', 'Violet', 'Zebra-Striped'],
    beasts text[] NOT NULL CHECK (dungeon.is_word_list(beasts)) DEFAULT ARRAY[
        'Badger', 'Basilisk', 'Bog Hag', 'Bugbear', 'Cave Squid', 'Centipede', 'Chimera', 'Cockatrice', 'Gargoyle',
        'Ghoul', 'Griffin', 'Harpy', 'Hydra', 'Imp', 'Kobold', 'Lindworm', 'Manticore', 'Mimic', 'Moth King', 'Ogre',
        'Owl Knight', 'Scarecrow', 'Slime', 'Sphinx', 'Tax Collector', 'Toad', 'Troll', 'Vampire Hare'],

    -- a weapon or a treasure is a condition and a thing
    conditions text[] NOT NULL CHECK (dungeon.is_word_list(conditions)) DEFAULT ARRAY[
        'Battered', 'Bent', 'Blessed', 'Borrowed', 'Charred', 'Cursed', 'Dented', 'Dusty', 'Engraved', 'Ever-Humming',
        'Forgotten', 'Frosty', 'Gleaming', 'Glued-Together', 'Half-Eaten', 'Haunted', 'Heirloom', 'Legendary',
        'Mildewed', 'Oversized', 'Polished', 'Secondhand', 'Singing', 'Sticky', 'Suspicious', 'Tarnished', 'Wobbly'],
    weapons text[] NOT NULL CHECK (dungeon.is_word_list(weapons)) DEFAULT ARRAY[
        'Battleaxe', 'Blowpipe', 'Boomerang', 'Broomstick', 'Candlestick', 'Catapult', 'Claymore', 'Crossbow', 'Cudgel',
        'Cutlass', 'Dagger', 'Frying Pan', 'Glaive', 'Halberd', 'Harpoon', 'Lance', 'Longbow', 'Morning Star',
        'Pitchfork', 'Quarterstaff', 'Rapier', 'Rolling Pin', 'Sabre', 'Sling', 'Spear', 'Trident', 'Warhammer'],
    treasures text[] NOT NULL CHECK (dungeon.is_word_list(treasures) AND NOT treasures && weapons) DEFAULT ARRAY[
        'Amulet', 'Astrolabe', 'Cake Recipe', 'Chalice', 'Crown', 'Crystal Skull', 'Diadem', 'Fiddle', 'Goblet',
        'Golden Goose', 'Hourglass', 'Idol', 'Lamp', 'Library Card', 'Map of Atlantis', 'Music Box', 'Opal', 'Pearl',
        'Phoenix Egg', 'Punch Card', 'Rubber Duck', 'Sceptre', 'Signet Ring', 'Snow Globe', 'Spyglass', 'Tapestry'],

    -- a room is a mood and a chamber, with walls and contents
    moods text[] NOT NULL CHECK (dungeon.is_word_list(moods)) DEFAULT ARRAY[
        'Abandoned', 'Bottomless', 'Crooked', 'Draughty', 'Echoing', 'Flooded', 'Forbidden', 'Hidden', 'Humid',
        'Lamplit', 'Leaning', 'Moonlit', 'Narrow', 'Nameless', 'Overgrown', 'Peculiar', 'Revolving', 'Silent',
        'Sunken', 'Unfinished', 'Upside-Down', 'Whispering'],
    chambers text[] NOT NULL CHECK (dungeon.is_word_list(chambers)) DEFAULT ARRAY[
        'Alcove', 'Antechamber', 'Armoury', 'Attic', 'Bakery', 'Ballroom', 'Bathhouse', 'Catacomb', 'Cellar', 'Chapel',
        'Cistern', 'Crypt', 'Gallery', 'Granary', 'Grotto', 'Laboratory', 'Larder', 'Mine Shaft', 'Observatory',
        'Oubliette', 'Scriptorium', 'Stable', 'Vault', 'Waiting Room'],
    walls text[] NOT NULL CHECK (dungeon.is_word_list(walls)) DEFAULT ARRAY[
        'basalt that sweats', 'bookshelves without books', 'bricks signed by their bricklayer', 'chalk covered in sums',
        'cobwebbed oak', 'dripping limestone', 'fading frescoes of heroes running away', 'glass with something behind it',
        'ice that never melts', 'iron plates and rivets', 'mirrors that lag a little', 'mossy granite',
        'mud and good intentions', 'packed earth and roots', 'patient grey stone', 'peeling wallpaper',
        'quilted velvet', 'sandstone full of names', 'slate with a shopping list on it', 'stacked barrels',
        'tiles with one missing', 'warm marble', 'wattle and daub', 'wet clay with fingerprints'],
    contents text[] NOT NULL CHECK (dungeon.is_word_list(contents)) DEFAULT ARRAY[
        'a bathtub full of leaves', 'a birdcage with its door open', 'a bucket that is listening',
        'a chessboard in the middle of a game', 'a clock that runs backwards', 'a heap of left boots',
        'a map of a different dungeon', 'a rocking chair that has not stopped yet', 'a row of identical doormats',
        'a snoring suit of armour', 'a stuffed pheasant with a monocle', 'a table laid for thirteen',
        'a trapdoor nailed shut from below', 'a well with a sign saying NO WISHES', 'an anvil on a silk cushion',
        'an empty throne and a queue', 'an organ with its pipes stolen', 'candles that light themselves',
        'crates stamped RETURN TO SENDER', 'half a rowing boat', 'nothing but an echo', 'one very large egg cup',
        'seven keys and no door', 'three ladders leading nowhere']
);
COMMENT ON TABLE dungeon.settings IS
    'one row: how long things take, and the words that names are drawn from; INSERT ... DEFAULT VALUES brings the defaults back';
COMMENT ON COLUMN dungeon.settings.confirm_timeout IS 'how long a new player has to confirm before he dies';
COMMENT ON COLUMN dungeon.settings.monitor_interval IS 'how often UserMonitorWorkflow looks in';
COMMENT ON COLUMN dungeon.settings.monitor_timeout IS 'after how long UserMonitorWorkflow gives up';

-- The row that comes last counts.  So the row of a dump replaces the one that
-- CREATE EXTENSION has just made, and the defaults can be inserted again.
CREATE FUNCTION dungeon.replace_settings() RETURNS trigger
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM dungeon.settings;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION dungeon.replace_settings() IS 'trigger: a new row of settings takes the place of the old one';

CREATE TRIGGER replace_settings BEFORE INSERT ON dungeon.settings
    FOR EACH ROW EXECUTE FUNCTION dungeon.replace_settings();

INSERT INTO dungeon.settings DEFAULT VALUES;

/* --- makers ------------------------------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.draw(words text[]) RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT $1[array_lower($1, 1) + floor(random() * cardinality($1))::integer]
$$;
COMMENT ON FUNCTION dungeon.draw(text[]) IS 'one of the words, each as likely as the others';

CREATE FUNCTION dungeon.make_monster() RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.adjectives), dungeon.draw(s.colours), dungeon.draw(s.beasts))
    FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_monster() IS 'a monster''s name: adjective, colour, beast';

CREATE FUNCTION dungeon.make_weapon() RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.conditions), dungeon.draw(s.weapons)) FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_weapon() IS 'a weapon''s name: condition, weapon';

CREATE FUNCTION dungeon.make_treasure() RETURNS text
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.conditions), dungeon.draw(s.treasures)) FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_treasure() IS 'a treasure''s name: condition, treasure';

CREATE FUNCTION dungeon.make_room(OUT name text, OUT description text)
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', dungeon.draw(s.moods), dungeon.draw(s.chambers)),
           format('The walls are %s. In the middle: %s.', dungeon.draw(s.walls), dungeon.draw(s.contents))
    FROM dungeon.settings s
$$;
COMMENT ON FUNCTION dungeon.make_room() IS 'a room''s name, mood and chamber, and what it looks like: walls and contents';

/* --- wording ------------------------------------------------------------------------------------------------------ */

-- 2 minutes; 1 minute 30 seconds; 0.5 seconds.  Does not depend on IntervalStyle.
CREATE FUNCTION dungeon.spell_out(span interval) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(trim_scale(part.amount) || ' ' || part.unit
                               || CASE WHEN part.amount = 1 THEN '' ELSE 's' END, ' ' ORDER BY part.place),
                    '0 seconds')
    FROM (SELECT extract(epoch FROM $1) AS seconds) AS total
    CROSS JOIN LATERAL (VALUES
        (1, div(total.seconds, 3600), 'hour'),
        (2, mod(div(total.seconds, 60), 60), 'minute'),
        (3, mod(total.seconds, 60), 'second')) AS part (place, amount, unit)
    WHERE part.amount > 0
$$;
COMMENT ON FUNCTION dungeon.spell_out(interval) IS 'an interval in words';

-- What a player typed is repeated to him, and to everybody who listens, but not all ten thousand characters of it.
CREATE FUNCTION dungeon.clip(words text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN length($1) > 200 THEN left($1, 200) || '...' ELSE $1 END
$$;
COMMENT ON FUNCTION dungeon.clip(text) IS 'the first 200 characters';

-- extension/durable_dungeon/30_activities.sql

/*
 * The activities: the only part of a workflow that changes the world or tells
 * the console.  Each is an ordinary function that a worker calls in a
 * transaction together with the bookkeeping of the workflow, so it takes effect
 * exactly once.
 */

CREATE FUNCTION dungeon.narrate(player text, message text) RETURNS bigint
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT dungeon.say($1, $2)
$$;
COMMENT ON FUNCTION dungeon.narrate(text, text) IS 'activity Narrate: tells the console; returns the line''s id';

-- The style is fixed so that what an orchestration reads back is what was written.
CREATE FUNCTION dungeon.read_settings() RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
SET intervalstyle TO postgres
AS $$
DECLARE
    settings jsonb;
BEGIN
    SELECT jsonb_build_object('confirm_timeout', s.confirm_timeout,
                              'monitor_interval', s.monitor_interval,
                              'monitor_timeout', s.monitor_timeout)
    INTO settings
    FROM dungeon.settings s;
    IF settings IS NULL THEN
        RAISE EXCEPTION 'the dungeon has no settings'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'INSERT INTO dungeon.settings DEFAULT VALUES brings them back.';
    END IF;
    RETURN settings;
END
$$;
COMMENT ON FUNCTION dungeon.read_settings() IS 'activity ReadSettings: how long things take';

/* --- a new player: four that run side by side ----------------------------------------------------------------- */

CREATE FUNCTION dungeon.create_user(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF dungeon.world_key(player) IS NULL THEN
        RAISE EXCEPTION 'no game has been begun for "%"', player
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Start games with dd_new_user.';
    END IF;
    PERFORM dungeon.world_add_player(player);
    PERFORM dungeon.say(player, format('%s signs the visitors'' book of the dungeon. The ink is still wet.', player));
    RETURN player;
END
$$;
COMMENT ON FUNCTION dungeon.create_user(text) IS 'activity CreateUser: the player comes to life; returns his name';

CREATE FUNCTION dungeon.create_monster(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    monster text := dungeon.make_monster();
BEGIN
    PERFORM dungeon.world_add_monster(player, monster);
    PERFORM dungeon.say(player, format('Deep below, a door creaks open and the %s asks who %s might be.', monster, player));
    RETURN monster;
END
$$;
COMMENT ON FUNCTION dungeon.create_monster(text) IS 'activity CreateMonster: a monster for the player; returns its name';

CREATE FUNCTION dungeon.create_room(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    room record := dungeon.make_room();
BEGIN
    PERFORM dungeon.world_add_room(player, room.name, room.description);
    PERFORM dungeon.say(player, format('The masons finish the %s for %s. %s', room.name, player, room.description));
    RETURN room.name;
END
$$;
COMMENT ON FUNCTION dungeon.create_room(text) IS 'activity CreateRoom: a room for the player; returns its name';

CREATE FUNCTION dungeon.create_inventory(player text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    weapon   text := dungeon.make_weapon();
    treasure text := dungeon.make_treasure();
BEGIN
    PERFORM dungeon.world_add_item(player, weapon, is_treasure => false);
    PERFORM dungeon.world_add_item(player, treasure, is_treasure => true);
    PERFORM dungeon.say(player, format('The storekeeper counts what there is for %s: one %s, one %s.', player, weapon, treasure));
    RETURN jsonb_build_object('weapon', weapon, 'treasure', treasure);
END
$$;
COMMENT ON FUNCTION dungeon.create_inventory(text) IS
    'activity CreateInventory: a weapon and a treasure for the player; returns their names';

/* --- setting the scene: four in a row -------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.place_user(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    room text := dungeon.world_place_player(player);
BEGIN
    PERFORM dungeon.say(player, format('%s climbs down the ladder into the %s. The ladder is pulled up.', player, room));
    RETURN room;
END
$$;
COMMENT ON FUNCTION dungeon.place_user(text) IS 'activity PlaceUser: puts the player into the room; returns its name';

CREATE FUNCTION dungeon.place_weapon(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    weapon text := dungeon.world_place_weapon(player);
BEGIN
    PERFORM dungeon.say(player, format('Something clatters down behind %s: the %s.', player, weapon));
    RETURN weapon;
END
$$;
COMMENT ON FUNCTION dungeon.place_weapon(text) IS 'activity PlaceWeapon: puts the weapon into the room; returns its name';

CREATE FUNCTION dungeon.place_monster(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    monster text := dungeon.world_place_monster(player);
BEGIN
    PERFORM dungeon.say(player, format('%s is not alone any more: the %s has found the room.', player, monster));
    RETURN monster;
END
$$;
COMMENT ON FUNCTION dungeon.place_monster(text) IS 'activity PlaceMonster: puts the monster into the room; returns its name';

CREATE FUNCTION dungeon.place_treasure(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    placed record := dungeon.world_place_treasure(player);
BEGIN
    PERFORM dungeon.say(player,
        CASE WHEN placed.room IS NULL
             THEN format('The %s sits down on the %s and dares %s to come closer.', placed.monster, placed.treasure, player)
             ELSE format('The %s rolls to the feet of %s: the %s is past guarding it.', placed.treasure, player, placed.monster) END);
    RETURN placed.treasure;
END
$$;
COMMENT ON FUNCTION dungeon.place_treasure(text) IS 'activity PlaceTreasure: gives the treasure to the monster; returns its name';

/* --- what becomes of the player ---------------------------------------------------------------------------------- */

CREATE FUNCTION dungeon.kill_user(player text) RETURNS boolean
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    died boolean := dungeon.world_kill_player(player);
BEGIN
    IF died THEN
        PERFORM dungeon.say(player, format('The trapdoor under %s opens. It is a long way down, and then %s is dead.', player, player));
    END IF;
    RETURN died;
END
$$;
COMMENT ON FUNCTION dungeon.kill_user(text) IS 'activity KillUser: the player dies; false when he was dead already';

-- Looks only, without a lock: what it misses by a moment it sees the next time.
CREATE FUNCTION dungeon.monitor_user(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    state text := dungeon.world_state(player);
BEGIN
    PERFORM dungeon.say(player, format(
        CASE state
            WHEN 'missing' THEN 'The watchman looks in: nobody answers to the name of %s so far.'
            WHEN 'dead' THEN 'The watchman looks in and takes off his hat: %s is dead.'
            WHEN 'treasure' THEN 'The watchman looks in and cheers: %s has the treasure!'
            WHEN 'outside' THEN 'The watchman looks in: %s is alive, and still at the gate.'
            WHEN 'unarmed' THEN 'The watchman looks in: %s is alive, without a weapon and without the treasure.'
            WHEN 'armed' THEN 'The watchman looks in: %s is alive, armed, and without the treasure.'
            WHEN 'safe' THEN 'The watchman looks in: %s is alive, the monster is not, and nobody has taken the treasure.' END,
        player));
    RETURN CASE WHEN state IN ('missing', 'dead', 'treasure') THEN state ELSE 'alive' END;
END
$$;
COMMENT ON FUNCTION dungeon.monitor_user(text) IS
    'activity MonitorUser: tells how the player is; returns missing, alive, dead or treasure';

/* --- the workflows themselves ------------------------------------------------------------------------------------ */

CREATE FUNCTION dungeon.sign_in(player text, workflow text, instance text) RETURNS void
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT dungeon.world_sign_in($1, $2, $3)
$$;
COMMENT ON FUNCTION dungeon.sign_in(text, text, text) IS
    'activity SignIn: from now on the instance is known as one of the player''s workflows';

-- A quick player has done deeds before there was a monitor to hear of them.  The
-- lock makes this and dd_action take turns: a deed is passed on either here or
-- there.
CREATE FUNCTION dungeon.open_game(player text, workflow text, instance text) RETURNS integer
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    deed text;
    done integer := 0;
BEGIN
    PERFORM dungeon.world_lock(player);
    PERFORM dungeon.world_sign_in(player, workflow, instance);
    FOR deed IN SELECT dungeon.world_deeds(player) LOOP
        PERFORM durable.raise_event(instance, deed, player);
        done := done + 1;
    END LOOP;
    PERFORM dungeon.say(player, format(
        CASE WHEN done = 0 THEN 'The game is on, %s: slay the monster and get the treasure.'
             ELSE 'The game is on, %s, who has not waited for it to begin.' END, player));
    RETURN done;
END
$$;
COMMENT ON FUNCTION dungeon.open_game(text, text, text) IS
    'activity OpenGame: the monitor is listening from now on; returns how many deeds were done before';

SELECT durable.register_activity('Narrate', 'dungeon.narrate(text, text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('ReadSettings', 'dungeon.read_settings()'::pg_catalog.regprocedure);
SELECT durable.register_activity('CreateUser', 'dungeon.create_user(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('CreateMonster', 'dungeon.create_monster(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('CreateRoom', 'dungeon.create_room(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('CreateInventory', 'dungeon.create_inventory(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('PlaceUser', 'dungeon.place_user(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('PlaceWeapon', 'dungeon.place_weapon(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('PlaceMonster', 'dungeon.place_monster(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('PlaceTreasure', 'dungeon.place_treasure(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('KillUser', 'dungeon.kill_user(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('MonitorUser', 'dungeon.monitor_user(text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('SignIn', 'dungeon.sign_in(text, text, text)'::pg_catalog.regprocedure);
SELECT durable.register_activity('OpenGame', 'dungeon.open_game(text, text, text)'::pg_catalog.regprocedure);

-- extension/durable_dungeon/40_orchestrations.sql

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
-- names only.
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

-- extension/durable_dungeon/50_players.sql

/*
 * The players' functions.  They run as the extension's owner, who owns the
 * workflows too, so that a role that may call them needs nothing else.
 *
 * What the game refuses is a reply, not an error: an error would take the line
 * on the console back with it.  Errors are left for what the game knows nothing
 * about, a server that cannot write for example.
 *
 * http_status is what a gateway answers: 200, 400 for a refusal, 404 for a
 * confirmation nobody waits for.
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
        durable.start(workflow, player, instance_id => dungeon.workflow_id(workflow, game_key)));
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

CREATE FUNCTION @extschema@.dd_check_status(name text, workflow text, OUT created timestamptz, OUT status text)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT i.created_time, i.runtime_status
    FROM dungeon.world_workflows($1, $2) AS w (instance_id)
    JOIN durable.instances i USING (instance_id)
    ORDER BY i.created_time DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION @extschema@.dd_check_status(text, text) IS
    'when the player''s latest instance of the workflow was created and how it stands; no row when there is none';

-- What the engine says, by the clock that it goes by.
CREATE FUNCTION @extschema@.dd_time_left(name text) RETURNS interval
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT max(greatest(waiting.due - durable.clock(), interval '0'))
    FROM dungeon.world_workflows($1, 'UserConfirmationWorkflow') AS w (instance_id)
    JOIN durable.waiting USING (instance_id)
    WHERE waiting.kind = 'timer'
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
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION dungeon.stop_workflows() IS 'trigger: a game that is deleted has its workflows terminated';

CREATE TRIGGER stop_workflows BEFORE DELETE ON dungeon.game
    FOR EACH ROW EXECUTE FUNCTION dungeon.stop_workflows();

-- extension/durable_dungeon/60_grants.sql

/*
 * Privileges: nobody but the owner has any, and what a dump keeps.
 */

REVOKE ALL ON SCHEMA dungeon FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA dungeon FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA dungeon FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA dungeon FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dd_new_user(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dd_confirm(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dd_action(text, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dd_status(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dd_check_status(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.dd_time_left(text) FROM PUBLIC;

-- Runs as whoever calls it: only the owner of these things can grant them.
CREATE FUNCTION dungeon.grant_play(role name) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    players text;
BEGIN
    PERFORM FROM pg_roles r WHERE r.rolname = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = format('role %s does not exist', coalesce('"' || role || '"', 'null')),
            HINT = 'CREATE ROLE makes one; to let everybody play, grant what this function grants to PUBLIC.';
    END IF;

    SELECT n.nspname INTO STRICT players
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'durable_dungeon';

    EXECUTE format('GRANT USAGE ON SCHEMA dungeon, %I TO %I', players, role);
    EXECUTE format('GRANT SELECT ON dungeon.console TO %I', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %1$I.dd_new_user(text), %1$I.dd_confirm(text), '
                   '%1$I.dd_action(text, text, text, text), %1$I.dd_status(text), '
                   '%1$I.dd_check_status(text, text), %1$I.dd_time_left(text) TO %2$I', players, role);
END
$$;
REVOKE ALL ON FUNCTION dungeon.grant_play(name) FROM PUBLIC;
COMMENT ON FUNCTION dungeon.grant_play(name) IS
    'lets a role play: the players'' functions, and reading the console';

SELECT pg_catalog.pg_extension_config_dump('dungeon.game', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.room', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.player', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.monster', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.item', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.deed', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.workflow', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.console', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.console_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('dungeon.settings', '');
