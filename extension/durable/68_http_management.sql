-- The HTTP management API of Durable Functions, below /runtime/webhooks/durabletask.
-- Routes, statuses and payloads are those of its source, HttpApiHandler.cs; docs/http.md lists
-- where we deviate.  Functions without a search_path of their own look up names of orchestrations.

-- Refuses bodies that browsers send to other origins without a preflight request.
CREATE FUNCTION durable.http_is_form(body text, headers jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(body <> '' AND lower(split_part(headers ->> 'content-type', ';', 1))
                    ~ '^\s*(text/plain|application/x-www-form-urlencoded|multipart/form-data)\s*$', false)
$$;

-- The URLs of an instance.  They contain no key: their users have to present credentials of their own.
CREATE FUNCTION durable.http_links(instance_id text, headers jsonb, parameters jsonb) RETURNS json
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    address text := durable.http_base(headers) || '/runtime/webhooks/durabletask/instances/' || durable.url_encode(instance_id);
    suffix text := 'taskHub=' || durable.url_encode(coalesce(nullif(parameters ->> 'taskhub', ''), current_database()))
                   || '&connection=' || durable.url_encode(coalesce(nullif(parameters ->> 'connection', ''), 'Storage'));
BEGIN
    RETURN json_build_object(
        'id', instance_id,
        'statusQueryGetUri', address || '?' || suffix || CASE WHEN durable.http_boolean(parameters ->> 'returninternalservererroronfailure', false)
                                                              THEN '&returnInternalServerErrorOnFailure=true' ELSE '' END,
        'sendEventPostUri', address || '/raiseEvent/{eventName}?' || suffix,
        'terminatePostUri', address || '/terminate?reason={text}&' || suffix,
        'purgeHistoryDeleteUri', address || '?' || suffix,
        'restartPostUri', address || '/restart?' || suffix,
        'suspendPostUri', address || '/suspend?reason={text}&' || suffix,
        'resumePostUri', address || '/resume?reason={text}&' || suffix);
END;
$$;

-- 202, and the URL of the status.  With timeout and pollingInterval the gateway polls on behalf of the
-- client once this transaction is committed: at Durable-Wait-Path, for Durable-Wait-Seconds.
CREATE FUNCTION durable.http_accepted(instance_id text, headers jsonb, parameters jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    links json := durable.http_links(instance_id, headers, parameters);
    seconds double precision := durable.http_seconds(parameters ->> 'timeout');
    answer jsonb := jsonb_build_object('Location', links ->> 'statusQueryGetUri', 'Retry-After', '10');
BEGIN
    IF seconds IS NOT NULL AND durable.http_seconds(parameters ->> 'pollinginterval') IS NOT NULL THEN
        answer := answer || jsonb_build_object(
            'Durable-Wait-Seconds', seconds::text,
            'Durable-Wait-Path', '/api/v1/instances/' || durable.url_encode(instance_id) || '/result'
                                 || CASE WHEN durable.http_boolean(parameters ->> 'returninternalservererroronfailure', false)
                                         THEN '?returnInternalServerErrorOnFailure=true' ELSE '' END);
    END IF;
    RETURN durable.http_json(202, links::text, answer);
END;
$$;

CREATE FUNCTION durable.http_start(name text, instance_id text, parameters jsonb, body text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_catalog.left(instance_id, 1) OPERATOR(pg_catalog.=) '@' THEN
        RETURN durable.http_error(400, 'Instance ids that begin with @ belong to entities.');
    END IF;
    instance_id := durable.start(name, durable.http_input(body),
                                 COALESCE(NULLIF(instance_id, ''), pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', '')),
                                 version => parameters OPERATOR(pg_catalog.->>) 'version', on_conflict => 'replace_finished');
    RETURN durable.http_accepted(instance_id, headers, parameters);
END;
$$;

-- StatusResponsePayload.
CREATE FUNCTION durable.http_status(
    name            text,
    instance_id     text,
    runtime_status  text,
    input           jsonb,
    custom_status   jsonb,
    output          jsonb,
    failure         jsonb,
    created         timestamptz,
    updated         timestamptz)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.json_build_object(
    'name', name,
    'instanceId', instance_id,
    'runtimeStatus', runtime_status,
    'input', input,
    'customStatus', custom_status,
    'output', CASE runtime_status WHEN 'Failed' THEN pg_catalog.jsonb_extract_path(failure, 'message')
                                  WHEN 'Terminated' THEN pg_catalog.jsonb_extract_path(failure, 'reason')
                                  ELSE output END,
    'createdTime', durable.http_timestamp(created, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'lastUpdatedTime', durable.http_timestamp(updated, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));

-- The history in the form of Durable Functions: calls are merged with their answers.
CREATE FUNCTION durable.http_history(instance_id text, show_output boolean, show_input boolean) RETURNS json
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    WITH h AS MATERIALIZED (SELECT * FROM durable.history($1) WHERE seq IS NOT NULL)
    SELECT coalesce(json_agg(json_strip_nulls(json_build_object(
            'EventType', CASE a.event_type WHEN 'ExecutionFailed' THEN 'ExecutionCompleted' ELSE a.event_type END,
            'Timestamp', durable.http_timestamp(a.created_at),
            'OrchestrationStatus', CASE a.event_type WHEN 'ExecutionCompleted' THEN 'Completed' WHEN 'ExecutionFailed' THEN 'Failed'
                                                     WHEN 'ExecutionTerminated' THEN 'Terminated' END,
            'ScheduledTime', CASE WHEN a.event_type <> 'ExecutionStarted' THEN durable.http_timestamp(c.created_at) END,
            'FunctionName', CASE WHEN a.event_type = 'ExecutionStarted' THEN a.name
                                 WHEN c.event_type IN ('TaskScheduled', 'SubOrchestrationInstanceCreated') THEN c.name END,
            'Name', CASE WHEN a.event_type IN ('EventRaised', 'EventSent') THEN a.name END,
            'InstanceId', CASE WHEN a.event_type = 'EventSent' THEN a.detail ->> 'id' END,
            'FireAt', CASE WHEN a.event_type = 'TimerFired' THEN c.detail ->> 'fire_at' END,
            'Reason', CASE WHEN a.event_type IN ('TaskFailed', 'SubOrchestrationInstanceFailed') THEN a.payload ->> 'message'
                           WHEN a.event_type IN ('ExecutionSuspended', 'ExecutionResumed', 'ExecutionTerminated') THEN a.payload ->> 'reason' END,
            'Input', CASE WHEN $3 THEN CASE WHEN a.event_type IN ('ExecutionStarted', 'EventRaised', 'EventSent') THEN a.payload
                                            WHEN c.event_type IN ('TaskScheduled', 'SubOrchestrationInstanceCreated') THEN c.payload END END,
            'Result', CASE WHEN $2 THEN CASE WHEN a.event_type IN ('TaskCompleted', 'SubOrchestrationInstanceCompleted', 'ExecutionCompleted') THEN a.payload
                                             WHEN a.event_type = 'ExecutionFailed' THEN a.payload -> 'message' END END
        )) ORDER BY a.seq), '[]')
    FROM h a
         LEFT JOIN h c ON c.task = a.task AND c.event_type IN ('TaskScheduled', 'SubOrchestrationInstanceCreated', 'TimerCreated')
                       AND a.event_type IN ('TaskCompleted', 'TaskFailed', 'SubOrchestrationInstanceCompleted', 'SubOrchestrationInstanceFailed', 'TimerFired')
    WHERE a.event_type IN ('ExecutionStarted', 'TaskCompleted', 'TaskFailed', 'TimerFired', 'EventRaised', 'EventSent',
                           'SubOrchestrationInstanceCompleted', 'SubOrchestrationInstanceFailed', 'ExecutionSuspended', 'ExecutionResumed',
                           'ExecutionCompleted', 'ExecutionFailed', 'ExecutionTerminated')
$$;

CREATE FUNCTION durable.http_instance(instance_id text, parameters jsonb, query text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    instance durable.instance_status := durable.status(instance_id);
    show_input boolean := durable.http_boolean(parameters ->> 'showinput', true);
    answer text := durable.http_status(instance.name, instance.instance_id, instance.runtime_status, CASE WHEN show_input THEN instance.input END,
                                       instance.custom_status, instance.output, instance.failure, instance.created_time,
                                       instance.last_updated_time)::text;
BEGIN
    IF durable.http_boolean(parameters ->> 'showhistory', false) THEN
        answer := left(answer, -1) || ',"historyEvents" : '
                  || durable.http_history(instance_id, durable.http_boolean(parameters ->> 'showhistoryoutput', false), show_input) || '}';
    END IF;
    IF instance.runtime_status IN ('Completed', 'Terminated') THEN
        RETURN durable.http_json(200, answer);
    ELSIF instance.runtime_status = 'Failed' THEN
        RETURN durable.http_json(CASE WHEN durable.http_boolean(parameters ->> 'returninternalservererroronfailure', false) THEN 500 ELSE 200 END, answer);
    END IF;
    -- The same address, without the key.
    IF query ~* '(^|&)code(=|&|$)' THEN
        query := array_to_string(ARRAY(SELECT pair FROM string_to_table(query, '&') AS pair WHERE pair !~* '^code(=|$)'), '&');
    END IF;
    RETURN durable.http_json(202, answer, jsonb_build_object('Retry-After', '5', 'Location',
        durable.http_base(headers) || '/runtime/webhooks/durabletask/instances/' || durable.url_encode(instance_id) || coalesce('?' || nullif(query, ''), '')));
END;
$$;

-- The response to a client that waits: the output at the end, and 202 before that.
CREATE FUNCTION durable.http_result(instance_id text, parameters jsonb, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    instance durable.instance_status := durable.status(instance_id);
BEGIN
    IF instance.runtime_status = 'Completed' THEN
        RETURN durable.http_json(200, coalesce(instance.output::text, 'null'));
    ELSIF instance.runtime_status IN ('Failed', 'Terminated') THEN
        RETURN durable.http_instance(instance_id, parameters, NULL, headers);
    END IF;
    RETURN durable.http_json(202, durable.http_links(instance_id, headers, parameters)::text, '{"Retry-After": "10"}');
END;
$$;

CREATE FUNCTION durable.http_list(parameters jsonb, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    known CONSTANT text[] := '{Pending,Running,Suspended,Completed,Failed,Terminated}';
    statuses text[];
    size integer := least(greatest(durable.http_integer(parameters ->> 'top', 100), 1), 1000);
    show_input boolean := durable.http_boolean(parameters ->> 'showinput', true);
    rows json;
    last text;
    many bigint;
BEGIN
    -- Unknown names are ignored, as in Durable Functions.
    SELECT nullif(array_agg(k), '{}') INTO statuses
    FROM unnest(known) AS k
    WHERE lower(k) = ANY (SELECT lower(btrim(s)) FROM string_to_table(parameters ->> 'runtimestatus', ',') AS s);
    SELECT coalesce(json_agg(durable.http_status(q.name, q.instance_id, q.runtime_status, CASE WHEN show_input THEN q.input END, q.custom_status,
                                                 q.output, q.failure, q.created_time, q.last_updated_time) ORDER BY q.ordinality), '[]'),
           (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1], count(*)
        INTO rows, last, many
    FROM durable.query(statuses => statuses,
                       created_from => durable.http_time(parameters ->> 'createdtimefrom'),
                       created_to => durable.http_time(parameters ->> 'createdtimeto'),
                       id_prefix => nullif(parameters ->> 'instanceidprefix', ''),
                       page_size => size,
                       after => nullif(headers ->> 'x-ms-continuation-token', '')) WITH ORDINALITY AS q;
    RETURN durable.http_json(200, rows::text,
                             jsonb_build_object('x-ms-continuation-token', CASE WHEN many = size THEN last ELSE '' END));
END;
$$;

-- Purges finished instances for which the caller has the privileges.  Instances that another session purges meanwhile are skipped.
CREATE FUNCTION durable.http_purge(parameters jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    finished CONSTANT text[] := '{Completed,Failed,Terminated}';
    created_from timestamptz := durable.http_time(parameters ->> 'createdtimefrom');
    created_to timestamptz := durable.http_time(parameters ->> 'createdtimeto');
    statuses text[] := finished;
    after text;
    page record;
    instance text;
    deleted bigint := 0;
BEGIN
    IF created_from IS NULL THEN
        RETURN durable.http_error(400, 'Please provide value for ''createdTimeFrom'' parameter.');
    END IF;
    IF created_to IS NULL AND nullif(parameters ->> 'createdtimeto', '') IS NOT NULL THEN
        RETURN durable.http_error(400, 'Please provide a time for the ''createdTimeTo'' parameter.');
    END IF;
    IF nullif(parameters ->> 'runtimestatus', '') IS NOT NULL THEN
        SELECT coalesce(array_agg(k), '{}') INTO statuses
        FROM unnest(finished) AS k
        WHERE lower(k) = ANY (SELECT lower(btrim(s)) FROM string_to_table(parameters ->> 'runtimestatus', ',') AS s);
        IF statuses = '{}' THEN
            RETURN durable.http_error(400, 'Please provide some of Completed, Failed, Terminated for the ''runtimeStatus'' parameter.');
        END IF;
    END IF;
    LOOP
        SELECT array_agg(q.instance_id ORDER BY q.ordinality) FILTER (WHERE pg_has_role(q.owner, 'USAGE')) AS ids,
               (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1] AS last, count(*) AS many
            INTO page
        FROM durable.query(statuses => statuses, created_from => created_from, created_to => coalesce(created_to, 'infinity'),
                           page_size => 1000, after => after) WITH ORDINALITY AS q;
        FOREACH instance IN ARRAY coalesce(page.ids, '{}') LOOP
            BEGIN
                PERFORM durable.purge(instance);
                deleted := deleted + 1;
            EXCEPTION
                -- gone with its parent, or an id that several roles have
                WHEN SQLSTATE 'WF003' OR SQLSTATE '42P08' THEN NULL;
            END;
        END LOOP;
        EXIT WHEN page.many < 1000;
        after := page.last;
    END LOOP;
    IF deleted = 0 THEN
        RETURN durable.http_empty(404);
    END IF;
    RETURN durable.http_json(200, json_build_object('instancesDeleted', deleted)::text);
END;
$$;

CREATE FUNCTION durable.http_raise_event(instance_id text, name text, body text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    instance durable.instance_status := durable.status(instance_id);
BEGIN
    IF instance.completed_time IS NOT NULL THEN
        RETURN durable.http_empty(410);
    ELSIF lower(btrim(split_part(headers ->> 'content-type', ';', 1))) IS DISTINCT FROM 'application/json' THEN
        RETURN durable.http_error(400, 'Only application/json request content is supported');
    END IF;
    PERFORM durable.raise_event(instance_id, name, durable.http_input(body));
    RETURN durable.http_empty(202);
END;
$$;

-- terminate, suspend, resume, rewind.
CREATE FUNCTION durable.http_control(instance_id text, operation text, reason text) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    instance durable.instance_status := durable.status(instance_id);
BEGIN
    IF operation = 'rewind' THEN
        IF instance.runtime_status IN ('Completed', 'Terminated') THEN
            RETURN durable.http_empty(410);
        ELSIF instance.runtime_status <> 'Failed' THEN
            RETURN durable.http_error(409, format('This orchestration has status %s, but only orchestrations in the "Failed" state can be rewound.', instance.runtime_status));
        END IF;
        PERFORM durable.rewind(instance_id, reason);
        RETURN durable.http_empty(202);
    END IF;
    IF instance.completed_time IS NOT NULL THEN
        RETURN durable.http_empty(410);
    END IF;
    CASE operation
        WHEN 'terminate' THEN PERFORM durable.terminate(instance_id, reason);
        WHEN 'suspend' THEN PERFORM durable.suspend(instance_id, reason);
        WHEN 'resume' THEN PERFORM durable.resume(instance_id, reason);
    END CASE;
    RETURN durable.http_empty(202);
END;
$$;

CREATE FUNCTION durable.http_restart(instance_id text, parameters jsonb, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
AS $$
DECLARE
    new_id boolean := durable.http_boolean(parameters OPERATOR(pg_catalog.->>) 'restartwithnewinstanceid', true);
BEGIN
    BEGIN
        instance_id := durable.restart(instance_id, new_id);
    EXCEPTION
        WHEN SQLSTATE 'WF003' THEN RETURN durable.http_error(400, 'InstanceId does not match a valid orchestration instance.', 'WF003');
        WHEN SQLSTATE '55000' THEN RETURN durable.http_error(409, 'A non-terminal instance with this instance ID already exists.', '55000');
    END;
    RETURN durable.http_accepted(instance_id, headers, parameters);
END;
$$;

-- GET entities, entities/NAME, entities/NAME/KEY; POST and DELETE of the last.  $ is the empty key.  Entities are those of
-- the current user.
CREATE FUNCTION durable.http_entities(method text, segments text[], parameters jsonb, body text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    name text := lower(segments[2]);
    key text := CASE WHEN segments[3] = '$' THEN '' ELSE segments[3] END;
    state jsonb;
BEGIN
    IF cardinality(segments) = 3 AND method = 'GET' THEN
        state := durable.entity_state(name, key);
        IF state IS NULL THEN
            RETURN durable.http_empty(404);
        END IF;
        RETURN durable.http_json(200, state::text);
    ELSIF cardinality(segments) = 3 AND method IN ('POST', 'DELETE') THEN
        PERFORM durable.signal_entity(name, key, CASE WHEN method = 'DELETE' THEN 'delete' ELSE parameters ->> 'op' END,
                                      CASE WHEN method = 'POST' THEN durable.http_input(body) END);
        RETURN durable.http_empty(202);
    ELSIF cardinality(segments) <= 2 AND method = 'GET' THEN
        RETURN durable.http_entity_list(name, parameters, headers ->> 'x-ms-continuation-token');
    END IF;
    RETURN durable.http_empty(404);
END;
$$;

-- The token is the last id that was shown, in base64.
CREATE FUNCTION durable.http_entity_list(name text, parameters jsonb, token text) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    top integer := least(greatest(durable.http_integer(parameters ->> 'top', 100), 1), 10000);
    since timestamptz := durable.http_time(parameters ->> 'lastoperationtimefrom');
    until timestamptz := durable.http_time(parameters ->> 'lastoperationtimeto');
    with_state boolean := durable.http_boolean(parameters ->> 'fetchstate', false);
    after text;
    last text;
    found bigint;
    result json;
BEGIN
    BEGIN
        after := convert_from(decode(coalesce(token, ''), 'base64'), 'UTF8');
    EXCEPTION
        WHEN data_exception THEN
            RETURN durable.http_error(400, 'The continuation token is not valid.');
    END;
    IF name IS NOT NULL AND after COLLATE "C" < '@' || name THEN
        after := '@' || name;
    END IF;
    SELECT json_agg(row ORDER BY entity_id COLLATE "C"), max(entity_id COLLATE "C"), count(*) INTO result, last, found
    FROM (SELECT e.entity_id,
                 CASE WHEN with_state
                      THEN json_build_object('entityId', json_build_object('name', e.name, 'key', e.key),
                                             'lastOperationTime', durable.http_timestamp(e.last_updated_time), 'state', e.state)
                      ELSE json_build_object('entityId', json_build_object('name', e.name, 'key', e.key),
                                             'lastOperationTime', durable.http_timestamp(e.last_updated_time)) END AS row
          FROM durable.entities e
          WHERE e.owner = to_regrole(quote_ident(current_user)) AND e.state IS NOT NULL
            AND e.entity_id > after AND (http_entity_list.name IS NULL OR e.entity_id < '@' || http_entity_list.name || 'A')
            AND (http_entity_list.name IS NULL OR e.name = http_entity_list.name)
            AND (since IS NULL OR e.last_updated_time >= since)
            AND (until IS NULL OR e.last_updated_time <= until)
          ORDER BY e.entity_id COLLATE "C" LIMIT top) AS page (entity_id, row);
    RETURN durable.http_json(200, coalesce(result, '[]')::text, jsonb_build_object('x-ms-continuation-token',
        CASE WHEN found = top THEN translate(encode(convert_to(last, 'UTF8'), 'base64'), E'\n', '') ELSE '' END));
END;
$$;

CREATE FUNCTION durable.http_management(method text, segments text[], query text, body text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
AS $$
DECLARE
    nsegments integer := pg_catalog.cardinality(segments);
    parameters jsonb := CASE WHEN pg_catalog.length(query) OPERATOR(pg_catalog.>) 0 THEN durable.url_query(query) ELSE '{}' END;
    what text := pg_catalog.lower(segments[1]);
    operation text := pg_catalog.lower(segments[3]);
BEGIN
    -- raiseEvent has a different status for this error.
    IF method <> 'GET' AND operation IS DISTINCT FROM 'raiseevent' AND durable.http_is_form(body, headers) THEN
        RETURN durable.http_error(415, 'The body of a request has to be JSON, with Content-Type: application/json.');
    END IF;
    IF what = 'instances' THEN
        IF nsegments = 2 AND method = 'GET' THEN
            RETURN durable.http_instance(segments[2], parameters, query, headers);
        ELSIF nsegments = 2 AND method = 'DELETE' THEN
            PERFORM durable.purge(segments[2]);
            RETURN durable.http_json(200, '{"instancesDeleted":1}');
        ELSIF nsegments = 1 AND method = 'GET' THEN
            RETURN durable.http_list(parameters, headers);
        ELSIF nsegments = 1 AND method = 'DELETE' THEN
            RETURN durable.http_purge(parameters);
        ELSIF nsegments = 4 AND method = 'POST' AND operation = 'raiseevent' THEN
            RETURN durable.http_raise_event(segments[2], segments[4], body, headers);
        ELSIF nsegments = 3 AND method = 'POST' AND operation = 'restart' THEN
            RETURN durable.http_restart(segments[2], parameters, headers);
        ELSIF nsegments = 3 AND method = 'POST' AND operation IN ('terminate', 'suspend', 'resume', 'rewind') THEN
            RETURN durable.http_control(segments[2], operation, parameters OPERATOR(pg_catalog.->>) 'reason');
        END IF;
    ELSIF what = 'orchestrators' AND method = 'POST' AND nsegments BETWEEN 2 AND 3 THEN
        RETURN durable.http_start(segments[2], segments[3], parameters, body, headers);
    ELSIF what = 'entities' THEN
        RETURN durable.http_entities(method, segments, parameters, body, headers);
    END IF;
    RETURN durable.http_empty(404);
END;
$$;

COMMENT ON FUNCTION durable.http_management(text, text[], text, text, jsonb) IS 'answers a request to the management API of Durable Functions';
COMMENT ON FUNCTION durable.http_entities(text, text[], jsonb, text, jsonb) IS 'GET, POST and DELETE entities/NAME/KEY, GET entities';
COMMENT ON FUNCTION durable.http_entity_list(text, jsonb, text) IS 'GET entities and entities/NAME';
COMMENT ON FUNCTION durable.http_is_form(text, jsonb) IS 'returns true if a browser sends this body to other origins without a preflight request';
COMMENT ON FUNCTION durable.http_links(text, jsonb, jsonb) IS 'URLs for the management of an instance';
COMMENT ON FUNCTION durable.http_accepted(text, jsonb, jsonb) IS 'response to a request that has started an instance';
COMMENT ON FUNCTION durable.http_start(text, text, jsonb, text, jsonb) IS 'POST orchestrators/NAME/ID';
COMMENT ON FUNCTION durable.http_status(text, text, text, jsonb, jsonb, jsonb, jsonb, timestamptz, timestamptz) IS 'status of an instance in the form of Durable Functions';
COMMENT ON FUNCTION durable.http_history(text, boolean, boolean) IS 'history of an instance in the form of Durable Functions';
COMMENT ON FUNCTION durable.http_instance(text, jsonb, text, jsonb) IS 'GET instances/ID';
COMMENT ON FUNCTION durable.http_result(text, jsonb, jsonb) IS 'response to a client that waits for the end of an instance';
COMMENT ON FUNCTION durable.http_list(jsonb, jsonb) IS 'GET instances';
COMMENT ON FUNCTION durable.http_purge(jsonb) IS 'DELETE instances';
COMMENT ON FUNCTION durable.http_raise_event(text, text, text, jsonb) IS 'POST instances/ID/raiseEvent/NAME';
COMMENT ON FUNCTION durable.http_control(text, text, text) IS 'POST instances/ID/terminate, suspend, resume and rewind';
COMMENT ON FUNCTION durable.http_restart(text, jsonb, jsonb) IS 'POST instances/ID/restart';
