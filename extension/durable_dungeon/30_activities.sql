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

-- The style is fixed so that what an orchestration reads back is what was written.  The
-- members seconds and patience are for orchestrations in other languages, which have no
-- type interval.
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
                              'monitor_timeout', s.monitor_timeout,
                              'patience', dungeon.spell_out(s.confirm_timeout),
                              'seconds', jsonb_build_object(
                                  'confirm_timeout', extract(epoch FROM s.confirm_timeout)::float8,
                                  'monitor_interval', extract(epoch FROM s.monitor_interval)::float8,
                                  'monitor_timeout', extract(epoch FROM s.monitor_timeout)::float8))
    INTO settings
    FROM dungeon.settings s;
    IF settings IS NULL THEN
        RAISE EXCEPTION 'the dungeon has no settings'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Use INSERT INTO dungeon.settings DEFAULT VALUES to create them again.';
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
        RAISE EXCEPTION 'player "%" has not started a game', player
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Use dd_new_user to start a game.';
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

-- Tells only what has changed since the last time, so that an idle game is quiet.
CREATE FUNCTION dungeon.monitor_user(player text) RETURNS text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    state text := dungeon.world_lock_state(player);
BEGIN
    IF dungeon.world_report(player, state) THEN
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
    END IF;
    RETURN CASE WHEN state IN ('missing', 'dead', 'treasure') THEN state ELSE 'alive' END;
END
$$;
COMMENT ON FUNCTION dungeon.monitor_user(text) IS
    'activity MonitorUser: tells how the player is, if that has changed; returns missing, alive, dead or treasure';

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
