/*
 * The game over HTTP: durable.http calls dungeon.http for requests below /api.
 * It runs as the game's owner, like the players' functions; a role that may call
 * it needs nothing else.  The first five routes are those of the original, found
 * without regard to case; the others are for the game's page.
 */

CREATE FUNCTION dungeon.http_text(status integer, message text) RETURNS durable.http_response
LANGUAGE sql IMMUTABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT ROW(status, '{"Content-Type": "text/plain; charset=utf-8"}'::jsonb, message)::durable.http_response
$$;
COMMENT ON FUNCTION dungeon.http_text(integer, text) IS 'a response in plain text';

-- An orchestration that is not begun yet is in the list, with nulls.
CREATE FUNCTION dungeon.http_workflows(player text) RETURNS json
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT json_agg(json_build_object(
               'workflow', n.name, 'instanceId', i.instance_id, 'status', i.runtime_status,
               'created', durable.http_timestamp(i.created_time), 'ended', durable.http_timestamp(i.completed_time),
               'durationMs', round(extract(epoch FROM i.duration) * 1000), 'computeMs', round(extract(epoch FROM i.compute_time) * 1000, 3),
               'turns', i.turns, 'waits', coalesce(durable.http_waits(i.instance_id, i.owner), '[]')) ORDER BY n.ordinality)
    FROM unnest(ARRAY['RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                      'RunUserSequentialWorkflow', 'GameMonitorWorkflow']) WITH ORDINALITY AS n (name)
         LEFT JOIN LATERAL (
             SELECT x.* FROM dungeon.world_workflows($1, n.name) AS w (instance_id)
                  CROSS JOIN LATERAL (SELECT * FROM durable.instances y WHERE y.instance_id = w.instance_id OFFSET 0) x
             WHERE x.owner = to_regrole(quote_ident(current_user))
             ORDER BY x.created_time DESC LIMIT 1) AS i ON true
$$;
COMMENT ON FUNCTION dungeon.http_workflows(text) IS 'the five workflows of a player''s game and what they wait for, as JSON';

-- The calls that the workflows of a game have made, for a drawing of them.  Payloads stay out.
CREATE FUNCTION dungeon.http_timeline(player text) RETURNS json
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(json_agg(json_build_object(
               'workflow', i.name, 'instanceId', i.instance_id, 'status', i.runtime_status,
               'created', durable.http_timestamp(i.created_time), 'ended', durable.http_timestamp(i.completed_time),
               'calls', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object(
                            'kind', c.kind, 'name', c.name, 'state', c.state, 'called', durable.http_timestamp(c.called_at),
                            'answered', durable.http_timestamp(c.answered_at), 'due', durable.http_timestamp(c.due))) ORDER BY c.task), '[]')
                         FROM durable.calls(i.instance_id) c)) ORDER BY i.created_time, i.instance_id), '[]')
    FROM (SELECT DISTINCT w.instance_id FROM dungeon.workflow w WHERE w.player = $1) AS w
         CROSS JOIN LATERAL (SELECT * FROM durable.instances x WHERE x.instance_id = w.instance_id OFFSET 0) i
    WHERE i.owner = to_regrole(quote_ident(current_user))
$$;
COMMENT ON FUNCTION dungeon.http_timeline(text) IS 'the calls of the workflows of a player''s game, as JSON';

-- New lines for a gateway that passes them on: one line each, the id, the player as a part of
-- a URL, and JSON.  The first line has the snapshot, so that the gateway knows from which id
-- on lines can still become visible.
CREATE FUNCTION dungeon.http_events(after bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' ', '#', pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot()),
                     (SELECT coalesce(max(id), 0) FROM dungeon.console)) || E'\n'
           || coalesce(string_agg(concat_ws(' ', c.id, coalesce(durable.url_encode(c.player), '-'),
                  json_build_object('id', c.id, 'player', c.player, 'message', c.message, 'created', durable.http_timestamp(c.created_at))::text) || E'\n',
                  '' ORDER BY c.id), '')
    FROM (SELECT * FROM dungeon.console WHERE id > $1 ORDER BY id LIMIT 1000) c
$$;
COMMENT ON FUNCTION dungeon.http_events(bigint) IS 'lines of the console after an id, for a gateway';

CREATE FUNCTION dungeon.http(method text, path text, query text, body text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    segments text[] := durable.http_segments(http.path);
    route text := lower(segments[1]);
    nsegments integer := cardinality(segments);
    parameters jsonb := durable.url_query(http.query);
    input jsonb;
    reply dungeon.reply;
    answer record;
    workflow text;
BEGIN
    IF http.method = 'POST' AND nsegments = 1 AND route IN ('newuser', 'confirmuser', 'action') THEN
        BEGIN
            input := durable.http_input(http.body);
        EXCEPTION
            WHEN invalid_text_representation THEN RETURN dungeon.http_text(400, 'The request is not JSON.');
        END;
        IF jsonb_typeof(input) IS DISTINCT FROM 'object' THEN
            RETURN dungeon.http_text(400, 'The request has to be a JSON object such as {"name": "Pat"}.');
        END IF;
        SELECT jsonb_object_agg(lower(e.key), e.value) INTO input FROM jsonb_each(input) e;
        CASE route
            WHEN 'newuser' THEN reply := @extschema@.dd_new_user(input ->> 'name');
            WHEN 'confirmuser' THEN reply := @extschema@.dd_confirm(input ->> 'name');
            WHEN 'action' THEN reply := @extschema@.dd_action(input ->> 'name', input ->> 'action', input ->> 'target', input ->> 'with');
        END CASE;
        IF reply.ok THEN
            RETURN durable.http_empty(200);
        END IF;
        RETURN dungeon.http_text(reply.http_status, reply.message);
    ELSIF http.method <> 'GET' THEN
        RETURN durable.http_empty(404);
    END IF;

    IF route = 'checkstatus' AND nsegments = 3 THEN
        SELECT n INTO workflow
        FROM unnest(ARRAY['RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                          'RunUserSequentialWorkflow', 'GameMonitorWorkflow']) AS n WHERE lower(n) = lower(segments[3]);
        SELECT * INTO answer FROM @extschema@.dd_check_status(segments[2], workflow);
        IF NOT FOUND THEN
            RETURN durable.http_empty(404);
        END IF;
        RETURN durable.http_json(200, json_build_object('created', durable.http_timestamp(answer.created), 'status', answer.status)::text);
    ELSIF route = 'gamestatus' AND nsegments = 2 THEN
        input := @extschema@.dd_status(segments[2]);
        IF input IS NULL THEN
            RETURN dungeon.http_text(400, format('There is no player called "%s".', dungeon.clip(segments[2])));
        END IF;
        RETURN durable.http_json(200, input::text);
    ELSIF route = 'workflows' AND nsegments = 2 THEN
        RETURN durable.http_json(200, json_build_object('workflows', dungeon.http_workflows(segments[2]),
            'timeLeftMs', round(extract(epoch FROM @extschema@.dd_time_left(segments[2])) * 1000),
            'now', durable.http_timestamp(durable.clock()))::text);
    ELSIF route = 'timeline' AND nsegments = 2 THEN
        RETURN durable.http_json(200, json_build_object('workflows', dungeon.http_timeline(segments[2]),
            'now', durable.http_timestamp(durable.clock()))::text);
    ELSIF route = 'source' AND nsegments = 2 THEN
        SELECT p.prosrc INTO workflow
        FROM durable.registrations r JOIN pg_proc p ON p.oid = to_regprocedure(r.handler)
        WHERE r.kind = 'orchestration' AND lower(r.name) = lower(segments[2]) AND p.pronamespace = 'dungeon'::regnamespace;
        IF workflow IS NULL THEN
            RETURN durable.http_empty(404);
        END IF;
        RETURN durable.http_json(200, json_build_object('source', workflow)::text);
    ELSIF route = 'console' AND nsegments = 1 THEN
        -- The last lines, or those after an id.
        RETURN durable.http_json(200, (SELECT json_build_object('lines', coalesce(json_agg(json_build_object(
                       'id', c.id, 'player', c.player, 'message', c.message, 'created', durable.http_timestamp(c.created_at)) ORDER BY c.id), '[]'))
            FROM (SELECT * FROM dungeon.console c
                  WHERE (c.player = parameters ->> 'player' OR NOT parameters ? 'player')
                    AND c.id > coalesce(substring(parameters ->> 'after' FROM '^\d{1,18}$')::bigint, 0)
                  ORDER BY CASE WHEN parameters ? 'after' THEN c.id ELSE -c.id END LIMIT 500) c)::text);
    ELSIF route = 'players' AND nsegments = 1 THEN
        RETURN durable.http_json(200, (SELECT json_build_object('players', coalesce(json_agg(json_build_object(
                       'name', g.player, 'begun', durable.http_timestamp(g.begun_at), 'isAlive', CASE WHEN w.state <> 'missing' THEN w.state <> 'dead' END,
                       'hasWon', w.state = 'treasure') ORDER BY g.begun_at DESC), '[]'))
            FROM (SELECT * FROM dungeon.game ORDER BY begun_at DESC LIMIT 100) g CROSS JOIN LATERAL dungeon.world_state(g.player) AS w (state))::text);
    ELSIF route = 'events' AND nsegments = 1 THEN
        RETURN dungeon.http_text(200, dungeon.http_events(coalesce(substring(parameters ->> 'after' FROM '^\d{1,18}$')::bigint, 0)));
    END IF;
    RETURN durable.http_empty(404);
END;
$$;
COMMENT ON FUNCTION dungeon.http(text, text, text, text, jsonb) IS
    'answers an HTTP request of a player; durable.http calls it for paths below /api';

-- The owner of the game need not have the privilege to mount functions.
DO $$
BEGIN
    PERFORM durable.mount_http('/api', 'dungeon.http(text, text, text, text, jsonb)', 'dungeon_console');
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the game''s HTTP routes are not mounted: permission denied'
            USING HINT = 'Run SELECT durable.mount_http(''/api'', ''dungeon.http'', ''dungeon_console'') as the owner of extension "durable".';
END
$$;
