/*
 * Privileges, which only the owner has at first, and the rows that a dump contains.
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

-- Runs with the privileges of its caller: only the owner of the objects can grant them.
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
            HINT = 'Use CREATE ROLE to create it. To let all roles play, grant the same privileges to PUBLIC.';
    END IF;

    SELECT n.nspname INTO STRICT players
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'durable_dungeon';

    EXECUTE format('GRANT USAGE ON SCHEMA dungeon, %I TO %I', players, role);
    EXECUTE format('GRANT SELECT ON dungeon.console TO %I', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION dungeon.http(text, text, text, text, jsonb) TO %I', role);
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
