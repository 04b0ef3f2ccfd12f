/*
 * From 0.1 to 0.2.0, before functions are replaced.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

DROP FUNCTION @extschema@.dd_check_status(text, text);

-- They are created again, for both worlds (26_worlds.sql).
DROP FUNCTION dungeon.world_add_player(text), dungeon.world_add_room(text, text, text), dungeon.world_add_monster(text, text),
    dungeon.world_add_item(text, text, boolean), dungeon.world_place_player(text), dungeon.world_place_weapon(text),
    dungeon.world_place_monster(text), dungeon.world_place_treasure(text), dungeon.world_lock(text), dungeon.world_kill_player(text),
    dungeon.world_take(text, text), dungeon.world_carries(text, text), dungeon.world_slay(text, text), dungeon.world_look(text),
    dungeon.world_state(text), dungeon.world_in_sight(text);

-- They are registered again, after their versions named external: the version registered last is the newest.
SELECT durable.unregister_orchestration(r.name)
FROM durable.registrations r
WHERE r.kind = 'orchestration' AND r.owner = pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))
  AND r.name IN ('RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                 'RunUserSequentialWorkflow', 'GameMonitorWorkflow');
