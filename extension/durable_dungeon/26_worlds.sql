/*
 * The functions that the workflows and the players use: dungeon.world_NAME goes to the world in
 * which the game is kept, to dungeon.tables_NAME (10_world.sql) or dungeon.entities_NAME
 * (25_entities.sql).  All three have the same parameters and result.
 */

CREATE FUNCTION dungeon.is_in_entities(player text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM dungeon.game g WHERE g.player = $1 AND g.world = 'entities')
$$;
COMMENT ON FUNCTION dungeon.is_in_entities(text) IS 'whether the player''s game keeps its things in entities';

-- Creates dungeon.world_NAME for each dungeon.tables_NAME, with its description.
DO $$
DECLARE
    f record;
    call text;
BEGIN
    FOR f IN
        SELECT substr(p.proname, length('tables_') + 1) AS name,
               pg_get_function_arguments(p.oid) AS parameters,
               pg_get_function_result(p.oid) AS result,
               CASE p.provolatile WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END AS volatility,
               oidvectortypes(p.proargtypes) AS types,
               array_to_string(p.proargnames[:p.pronargs], ', ') AS inputs,
               array_to_string(p.proargnames[p.pronargs + 1:], ', ') AS outputs,
               replace(obj_description(p.oid, 'pg_proc'), 'tables_', 'world_') AS description
        FROM pg_proc p
        WHERE p.pronamespace = 'dungeon'::regnamespace AND starts_with(p.proname, 'tables_')
        ORDER BY p.oid
    LOOP
        call := CASE WHEN f.result = 'void' THEN 'PERFORM dungeon.%s_' || format('%s(%s)', f.name, f.inputs)
                     WHEN f.outputs <> '' THEN format('SELECT w.* INTO %s FROM dungeon.', f.outputs) || '%s_' || format('%s(%s) AS w', f.name, f.inputs)
                     ELSE 'RETURN dungeon.%s_' || format('%s(%s)', f.name, f.inputs) END;
        EXECUTE format($f$
CREATE FUNCTION dungeon.world_%1$s(%2$s) RETURNS %3$s
LANGUAGE plpgsql %4$s
SET search_path TO pg_catalog, pg_temp
AS $body$
#variable_conflict use_variable
BEGIN
    IF dungeon.is_in_entities(player) THEN
        %5$s;
    ELSE
        %6$s;
    END IF;
END
$body$
$f$, f.name, f.parameters, f.result, f.volatility, format(call, 'entities'), format(call, 'tables'));
        EXECUTE format('COMMENT ON FUNCTION dungeon.world_%s(%s) IS %L', f.name, f.types, f.description);
    END LOOP;
END
$$;
