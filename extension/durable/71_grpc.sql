-- The RPCs of the Durable Task protocol, for the gRPC listener of durable serve.  A request is the
-- JSON of its message, with the names of clients/serve/grpc/messages.c; so is each message of the
-- answer.  durable.grpc runs as the role of the task hub, with its privileges.  For workers the gateway
-- calls the functions of docs/external.md directly.

CREATE FUNCTION durable.grpc_statuses(statuses jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN (SELECT array_agg(DISTINCT CASE s WHEN 'Canceled' THEN 'Terminated' WHEN 'ContinuedAsNew' THEN 'Running' ELSE s END)
        FROM jsonb_array_elements_text(statuses) AS s);

-- The type of a failure in SQL is its SQLSTATE.
CREATE FUNCTION durable.grpc_failure(failure jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN failure || jsonb_build_object('type', coalesce(failure ->> 'type', failure ->> 'sqlstate', 'Error'),
                                     'message', coalesce(failure ->> 'message', failure ->> 'reason', ''),
                                     'stack', coalesce(failure ->> 'stack', failure ->> 'context'));

-- The state of an instance for a client.
CREATE FUNCTION durable.grpc_state(s durable.instance_state, payloads boolean) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.jsonb_build_object(
    'instance_id', (s).instance_id,
    'name', (s).name,
    'version', (s).version,
    'status', (s).runtime_status,
    'created_at', (s).created_time,
    'updated_at', (s).last_updated_time,
    'completed_at', (s).completed_time,
    'input', CASE WHEN payloads THEN (s).input END,
    'output', CASE WHEN payloads THEN CASE (s).runtime_status WHEN 'Terminated' THEN (s).failure OPERATOR(pg_catalog.->>) 'reason' ELSE (s).output END END,
    'custom_status', CASE WHEN payloads THEN (s).custom_status END,
    'failure', CASE WHEN (s).runtime_status OPERATOR(pg_catalog.=) 'Failed' THEN durable.grpc_failure((s).failure) END,
    'execution_id', (s).execution::pg_catalog.text,
    'parent_instance_id', (s).parent_instance_id,
    'tags', (SELECT pg_catalog.jsonb_object_agg(t.key, t.value) FROM pg_catalog.jsonb_each_text((s).tags) AS t));

CREATE FUNCTION durable.grpc_instance(s durable.instance_state, payloads boolean) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (s).instance_id IS NULL THEN '{"exists": false}'::jsonb
            ELSE pg_catalog.jsonb_build_object('exists', true, 'state', durable.grpc_state(s, payloads)) END;

-- The queue of a task hub.
CREATE FUNCTION durable.grpc_queue(queue text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM durable.queues q WHERE q.name = queue;
    IF NOT FOUND THEN
        PERFORM durable.register_queue(queue);
    END IF;
EXCEPTION
    -- Another session has just registered it, or another role owns it and has granted its use.
    WHEN unique_violation OR insufficient_privilege THEN NULL;
END;
$$;

-- With a policy, an instance of the same id is replaced if its status is one of those listed.  One that goes on is told to
-- terminate first, and the caller asks again ("again") until it has ended.
CREATE FUNCTION durable.grpc_start(queue text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    id text := nullif(request ->> 'instance_id', '');
    policy jsonb := request -> 'reuse_policy';
    statuses text[];
    present durable.instance_state;
    start_at timestamptz := (request ->> 'start_at')::timestamptz;
BEGIN
    IF left(id, 1) = '@' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'instance ids that begin with @ belong to entities';
    END IF;
    IF coalesce(request ->> 'name', '') = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'the name of the orchestration is missing';
    END IF;
    IF policy IS NOT NULL THEN
        statuses := coalesce(durable.grpc_statuses(policy -> 'statuses'), '{}');
        IF statuses && '{Running,Pending,Suspended}' AND NOT statuses && '{Terminated}' THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = 'Invalid reusable statuses: cannot exclude ''Terminated'' while also allowing reuse of running instances';
        END IF;
        SELECT * INTO present FROM durable.instance_states(ARRAY[id], false) LIMIT 1;
        IF present.instance_id IS NOT NULL THEN
            IF policy ->> 'action' = 'ignore' AND (statuses = '{}' OR present.runtime_status = ANY (statuses)) THEN
                RETURN jsonb_build_object('instance_id', id);
            ELSIF NOT present.runtime_status = ANY (statuses) THEN
                RAISE EXCEPTION USING ERRCODE = 'WF002',
                    MESSAGE = format('instance "%s" already exists and has status %s', id, present.runtime_status);
            ELSIF present.completed_time IS NULL THEN
                BEGIN
                    PERFORM durable.terminate(id, 'replaced by a new instance');
                EXCEPTION
                    WHEN SQLSTATE 'WF003' OR SQLSTATE 'WF004' THEN NULL;    -- it has just ended
                END;
                RETURN '{"again": true}';
            END IF;
        END IF;
    END IF;
    RETURN jsonb_build_object('instance_id', durable.start_external(
        queue, request ->> 'name', request ->> 'input', id,
        start_at => CASE WHEN start_at > clock_timestamp() THEN start_at END,
        version => nullif(request ->> 'version', ''), tags => request -> 'tags', on_conflict => 'replace_finished', trace => request ->> 'trace'));
END;
$$;

-- Raises an event, terminates, suspends or resumes.  Has no effect on an instance that has ended.
CREATE FUNCTION durable.grpc_control(rpc text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    id text := request ->> 'instance_id';
BEGIN
    CASE rpc
        WHEN 'RaiseEvent' THEN PERFORM durable.raise_event_text(id, request ->> 'name', request ->> 'input');
        WHEN 'TerminateInstance' THEN PERFORM durable.terminate(id, nullif(request ->> 'output', ''), (request ->> 'recursive')::boolean);
        WHEN 'SuspendInstance' THEN PERFORM durable.suspend(id, nullif(request ->> 'reason', ''));
        WHEN 'ResumeInstance' THEN PERFORM durable.resume(id, nullif(request ->> 'reason', ''));
        ELSE
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('invalid value for parameter "rpc": "%s"', left(coalesce(rpc, 'null'), 100)),
                HINT = 'Valid values are "RaiseEvent", "TerminateInstance", "SuspendInstance", and "ResumeInstance".';
    END CASE;
    RETURN '{}';
EXCEPTION
    WHEN SQLSTATE 'WF004' THEN RETURN '{}';
END;
$$;

CREATE FUNCTION durable.grpc_rewind(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    present durable.instance_status := durable.status(request ->> 'instance_id');
BEGIN
    IF present.runtime_status <> 'Failed' THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('rewinding is not allowed: instance "%s" has status %s', present.instance_id, present.runtime_status),
            HINT = 'Only failed instances can be rewound.';
    END IF;
    PERFORM durable.rewind(present.instance_id, nullif(request ->> 'reason', ''));
    RETURN '{}';
END;
$$;

-- Purges one instance, several instances, or those that match a filter.  Unfinished instances are skipped.
CREATE FUNCTION durable.grpc_purge(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    finished CONSTANT text[] := '{Completed,Failed,Terminated}';
    filter jsonb := request -> 'filter';
    statuses text[] := durable.grpc_statuses(filter -> 'statuses');
    until timestamptz := clock_timestamp() + make_interval(secs => least(coalesce(nullif((filter ->> 'timeout')::float8, 0), 4), 4));
    after text;
    page record;
    id text;
    ids text[];
    deleted integer := 0;
    is_complete boolean := true;
BEGIN
    IF filter IS NULL THEN
        ids := CASE WHEN request ? 'batch' THEN ARRAY(SELECT jsonb_array_elements_text(request #> '{batch,instance_ids}'))
                    ELSE ARRAY[request ->> 'instance_id'] END;
        IF cardinality(ids) > 500 THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'cannot purge more than 500 instances at once';
        END IF;
        FOREACH id IN ARRAY ids LOOP
            deleted := deleted + durable.grpc_purge_one(id, coalesce((request ->> 'recursive')::boolean, false));
        END LOOP;
        RETURN jsonb_build_object('deleted', deleted, 'is_complete', true);
    END IF;
    SELECT coalesce(array_agg(f), '{}') INTO statuses FROM unnest(finished) AS f WHERE statuses IS NULL OR f = ANY (statuses);
    WHILE statuses <> '{}' LOOP
        SELECT array_agg(q.instance_id ORDER BY q.ordinality) FILTER (WHERE pg_has_role(q.owner, 'USAGE')) AS ids,
               (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1] AS last, count(*) AS many
            INTO page
        FROM durable.query(statuses => statuses, created_from => (filter ->> 'created_from')::timestamptz,
                           created_to => (filter ->> 'created_to')::timestamptz, page_size => 500, after => after) WITH ORDINALITY AS q;
        FOREACH id IN ARRAY coalesce(page.ids, '{}') LOOP
            deleted := deleted + durable.grpc_purge_one(id, coalesce((request ->> 'recursive')::boolean, false));
        END LOOP;
        EXIT WHEN page.many < 500;
        IF clock_timestamp() > until THEN
            is_complete := false;
            EXIT;
        END IF;
        after := page.last;
    END LOOP;
    RETURN jsonb_build_object('deleted', deleted, 'is_complete', is_complete);
END;
$$;

CREATE FUNCTION durable.grpc_purge_one(instance_id text, is_recursive boolean) RETURNS integer
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    -- Sub-orchestrations that have ended are deleted in any case.
    RETURN CASE WHEN is_recursive THEN durable.purge_family(instance_id) ELSE least(durable.purge_family(instance_id), 1) END;
EXCEPTION
    -- there is none, it runs, several roles have it
    WHEN SQLSTATE 'WF003' OR object_not_in_prerequisite_state OR SQLSTATE '42P08' THEN RETURN 0;
END;
$$;

CREATE FUNCTION durable.grpc_query(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    query jsonb := coalesce(request -> 'query', '{}');
    size integer := least(coalesce(nullif(greatest((query ->> 'page_size')::integer, 0), 0), 1000), 1000);
    payloads boolean := coalesce((query ->> 'with_payloads')::boolean, false);
    ids text[];
    owners regrole[];
    next text;
BEGIN
    SELECT coalesce(array_agg(q.instance_id ORDER BY q.ordinality), '{}'), array_agg(q.owner ORDER BY q.ordinality), (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1]
        INTO ids, owners, next
    FROM durable.query(statuses => durable.grpc_statuses(query -> 'statuses'),
                       created_from => (query ->> 'created_from')::timestamptz, created_to => (query ->> 'created_to')::timestamptz,
                       id_prefix => nullif(query ->> 'id_prefix', ''), page_size => size,
                       after => nullif(query ->> 'after', '')) WITH ORDINALITY AS q;
    RETURN jsonb_build_object(
        'states', (SELECT coalesce(jsonb_agg(durable.grpc_state(s, payloads) ORDER BY s.n), '[]')
                   FROM durable.instance_states(ids, payloads) AS s WHERE s.owner = owners[s.n]),
        'next', CASE WHEN cardinality(ids) = size THEN next END);
END;
$$;

-- Those that have ended.  A page may have fewer ids than were asked for, and there may still be a next one.
CREATE FUNCTION durable.grpc_list_ids(request jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    finished CONSTANT text[] := '{Completed,Failed,Terminated}';
    wanted text[] := durable.grpc_statuses(request -> 'statuses');
    statuses text[] := ARRAY(SELECT f FROM unnest(finished) AS f WHERE wanted IS NULL OR f = ANY (wanted));
    size integer := least(coalesce(nullif(greatest((request ->> 'page_size')::integer, 0), 0), 100), 1000);
    completed_from timestamptz := coalesce((request ->> 'completed_from')::timestamptz, '-infinity');
    completed_to timestamptz := coalesce((request ->> 'completed_to')::timestamptz, 'infinity');
    ids jsonb := '[]';
    next text;
    many bigint;
BEGIN
    IF statuses <> '{}' THEN
        SELECT coalesce(jsonb_agg(q.instance_id ORDER BY q.ordinality)
                            FILTER (WHERE q.completed_time >= completed_from AND q.completed_time < completed_to), '[]'),
               (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1], count(*)
            INTO ids, next, many
        FROM durable.query(statuses => statuses, page_size => size, after => nullif(request ->> 'after', '')) WITH ORDINALITY AS q;
    END IF;
    RETURN jsonb_build_object('instance_ids', ids, 'next', CASE WHEN many = size THEN next END);
END;
$$;

-- In messages of at most 500 events, and 256 kB or one event.
CREATE FUNCTION durable.grpc_history(request jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most CONSTANT bigint := 256 * 1024 * 1024;
    present durable.instance_state;
    events refcursor;
    event record;
    chunk jsonb[];
    n integer := 0;
    bytes bigint := 0;
    sent bigint := 0;
BEGIN
    SELECT * INTO present FROM durable.instance_states(ARRAY[request ->> 'instance_id'], false) LIMIT 1;
    IF present.instance_id IS NULL THEN
        RETURN;
    ELSIF request ? 'token' THEN
        -- The turn that a worker has: its past events.
        OPEN events FOR SELECT to_jsonb(e) AS event FROM durable.turn_events(request ->> 'token') AS e WHERE NOT e.is_new ORDER BY e.n;
    ELSIF present.is_external THEN
        OPEN events FOR SELECT to_jsonb(e) AS event FROM durable.external_history(present.instance_id) AS e ORDER BY e.n;
    ELSE
        OPEN events FOR
            SELECT jsonb_build_object(
                  'type', CASE h.event_type WHEN 'ExecutionFailed' THEN 'ExecutionCompleted' ELSE h.event_type END,
                  'event_id', CASE WHEN h.event_type IN ('TaskScheduled', 'SubOrchestrationInstanceCreated', 'TimerCreated', 'EventSent', 'EntityOperationCalled',
                                                         'EntityOperationSignaled', 'EntityLockRequested', 'EntityUnlockSent') THEN h.task::integer ELSE -1 END,
                  'request_id', CASE WHEN h.event_type = 'EntityUnlockSent' THEN h.payload::text WHEN h.event_type LIKE 'Entity%' THEN h.task::text END,
                  'lock_set', CASE h.event_type WHEN 'EntityLockRequested' THEN h.payload END,
                  'task_id', h.task::integer,
                  'at', h.created_at,
                  'name', h.name,
                  'input', CASE WHEN h.event_type IN ('ExecutionTerminated', 'ExecutionSuspended', 'ExecutionResumed') THEN h.payload ->> 'reason'
                                WHEN h.event_type NOT IN ('TaskFailed', 'SubOrchestrationInstanceFailed', 'ExecutionFailed', 'EntityOperationFailed', 'EntityLockRequested', 'EntityUnlockSent') THEN h.payload::text END,
                  'failure', CASE WHEN h.event_type IN ('TaskFailed', 'SubOrchestrationInstanceFailed', 'ExecutionFailed', 'EntityOperationFailed') THEN durable.grpc_failure(h.payload) END,
                  'status', CASE h.event_type WHEN 'ExecutionFailed' THEN 'Failed' WHEN 'ExecutionCompleted' THEN 'Completed' END,
                  'instance_id', CASE h.event_type WHEN 'ExecutionStarted' THEN request ->> 'instance_id'
                                                   ELSE coalesce(h.detail ->> 'id', h.detail ->> 'instance_id') END,
                  'due_at', (h.detail ->> 'fire_at')::timestamptz) AS event
            FROM durable.history(present.instance_id) AS h WHERE h.seq IS NOT NULL ORDER BY h.seq;
    END IF;
    LOOP
        FETCH events INTO event;
        IF n > 0 AND (NOT FOUND OR n = 500 OR bytes + pg_column_size(event.event) > 262144) THEN
            RETURN NEXT jsonb_build_object('events', to_jsonb(chunk));
            chunk := '{}';
            sent := sent + bytes;
            n := 0;
            bytes := 0;
        END IF;
        EXIT WHEN NOT FOUND;
        IF sent > most THEN
            RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('the history of instance "%s" is larger than 256 MB', present.instance_id),
                HINT = 'Use durable.history() or durable.external_history() to read it in SQL.';
        END IF;
        chunk[n + 1] := event.event;
        n := n + 1;
        bytes := bytes + pg_column_size(event.event);
    END LOOP;
    CLOSE events;
END;
$$;

/* --- entities --------------------------------------------------------------------------------------- */

-- An id, or its beginning, as the engine stores it: with the name in lower case.
CREATE FUNCTION durable.grpc_entity_id(id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN lower(substring(id FROM '^@?[^@]*@?')) || substring(id FROM '^@?[^@]*@?(.*)$');

-- A name that is not registered is that of an external entity in the queue of the task hub.
CREATE FUNCTION durable.grpc_entity(queue text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    id text := durable.grpc_entity_id(coalesce(request ->> 'instance_id', ''));
    query jsonb := coalesce(request -> 'query', '{}');
    size integer := least(coalesce(nullif(greatest((query ->> 'page_size')::integer, 0), 0), 100), 1000);
    entities jsonb;
    next text;
BEGIN
    IF request ? 'operation' THEN
        IF length(id) > 100 THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('entity id has %s characters, but the limit is 100 characters', length(id));
        END IF;
        PERFORM durable.signal_entity_text(id, request ->> 'operation', request ->> 'input', (request ->> 'due_at')::timestamptz, queue);
        RETURN '{}';
    ELSIF request ? 'instance_id' THEN
        SELECT jsonb_build_object('exists', true, 'entity', durable.grpc_entity_state(e, (request ->> 'with_state')::boolean)) INTO entities
        FROM durable.entities e
        WHERE e.entity_id = id AND pg_has_role(e.owner, 'USAGE') AND e.state IS NOT NULL
        ORDER BY e.owner::name <> current_user LIMIT 1;
        RETURN coalesce(entities, '{"exists": false}');
    END IF;
    SELECT jsonb_agg(durable.grpc_entity_state(e, (query ->> 'with_state')::boolean) ORDER BY e.entity_id),
           CASE WHEN count(*) = size THEN max(e.entity_id) END
        INTO entities, next
    FROM (SELECT * FROM durable.entities e
          WHERE starts_with(e.entity_id, durable.grpc_entity_id(coalesce(query ->> 'id_prefix', ''))) AND pg_has_role(e.owner, 'USAGE')
            AND (e.state IS NOT NULL OR (query ->> 'with_transient')::boolean)
            AND e.entity_id > coalesce(nullif(query ->> 'after', ''), '')
            AND e.last_updated_time >= coalesce((query ->> 'modified_from')::timestamptz, '-infinity')
            AND e.last_updated_time < coalesce((query ->> 'modified_to')::timestamptz, 'infinity')
          ORDER BY e.entity_id LIMIT size) e;
    RETURN jsonb_build_object('entities', coalesce(entities, '[]'), 'next', next);
END;
$$;

CREATE FUNCTION durable.grpc_entity_state(e durable.entities, with_state boolean) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
RETURN jsonb_build_object('instance_id', e.entity_id, 'modified_at', e.last_updated_time, 'backlog', e.waiting,
                          'locked_by', e.locked_by, 'state', CASE WHEN with_state THEN e.state_text END);

/* --- all of them ------------------------------------------------------------------------------------- */

CREATE FUNCTION durable.grpc(rpc text, queue text, request jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF rpc = 'StreamInstanceHistory' THEN
        RETURN QUERY SELECT h FROM durable.grpc_history(request) AS h;
        RETURN;
    END IF;
    RETURN NEXT CASE
        WHEN rpc = 'StartInstance' THEN durable.grpc_start(queue, request)
        WHEN rpc = 'GetInstance' THEN durable.grpc_get(request)
        WHEN rpc IN ('RaiseEvent', 'TerminateInstance', 'SuspendInstance', 'ResumeInstance') THEN durable.grpc_control(rpc, request)
        WHEN rpc = 'RewindInstance' THEN durable.grpc_rewind(request)
        WHEN rpc = 'RestartInstance' THEN jsonb_build_object('instance_id', durable.restart(request ->> 'instance_id', (request ->> 'new_id')::boolean))
        WHEN rpc = 'PurgeInstances' THEN durable.grpc_purge(request)
        WHEN rpc = 'QueryInstances' THEN durable.grpc_query(request)
        WHEN rpc = 'ListInstanceIds' THEN durable.grpc_list_ids(request)
        WHEN rpc IN ('SignalEntity', 'GetEntity', 'QueryEntities') THEN durable.grpc_entity(queue, request)
        -- There is nothing to clean: entities without a state and locks without a holder are not kept.
        WHEN rpc IN ('CreateTaskHub', 'DeleteTaskHub', 'CleanEntityStorage') THEN '{}'
        -- All of them were terminated at once.
        WHEN rpc = 'SkipGracefulOrchestrationTerminations' THEN durable.grpc_skip_terminations(request)
        ELSE durable.grpc_unknown(rpc)
    END;
END;
$$;

CREATE FUNCTION durable.grpc_get(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF request ->> 'instance_id' IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'the instance id is missing';
    END IF;
    RETURN coalesce((SELECT durable.grpc_instance(s, (request ->> 'with_payloads')::boolean)
                     FROM durable.instance_states(ARRAY[request ->> 'instance_id'], (request ->> 'with_payloads')::boolean) AS s LIMIT 1),
                    '{"exists": false}');
END;
$$;

CREATE FUNCTION durable.grpc_skip_terminations(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    id text;
    missing jsonb := '[]';
BEGIN
    FOR id IN SELECT jsonb_array_elements_text(request #> '{batch,instance_ids}') LOOP
        BEGIN
            PERFORM durable.terminate(id, nullif(request ->> 'reason', ''));
        EXCEPTION
            WHEN SQLSTATE 'WF004' THEN NULL;
            WHEN SQLSTATE 'WF003' OR SQLSTATE '42501' THEN missing := missing || to_jsonb(id);
        END;
    END LOOP;
    RETURN jsonb_build_object('instance_ids', missing);
END;
$$;

CREATE FUNCTION durable.grpc_unknown(rpc text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('RPC "%s" is not supported', rpc);
END;
$$;

COMMENT ON FUNCTION durable.grpc(text, text, jsonb) IS
    'answers a request of the Durable Task protocol as the current user; queue is that of the task hub';
COMMENT ON FUNCTION durable.grpc_statuses(jsonb) IS 'statuses of a request as those of durable.query';
COMMENT ON FUNCTION durable.grpc_failure(jsonb) IS 'failure in the form of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_state(durable.instance_state, boolean) IS 'state of an instance for a client of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_instance(durable.instance_state, boolean) IS 'response of RPC GetInstance for a state';
COMMENT ON FUNCTION durable.grpc_queue(text) IS 'registers the queue of a task hub unless it exists';
COMMENT ON FUNCTION durable.grpc_start(text, jsonb) IS 'RPC StartInstance';
COMMENT ON FUNCTION durable.grpc_get(jsonb) IS 'RPC GetInstance';
COMMENT ON FUNCTION durable.grpc_control(text, jsonb) IS 'RPCs RaiseEvent, TerminateInstance, SuspendInstance and ResumeInstance';
COMMENT ON FUNCTION durable.grpc_rewind(jsonb) IS 'RPC RewindInstance';
COMMENT ON FUNCTION durable.grpc_purge(jsonb) IS 'RPC PurgeInstances';
COMMENT ON FUNCTION durable.grpc_purge_one(text, boolean) IS 'purges an instance if it has ended, and returns the number of purged instances';
COMMENT ON FUNCTION durable.grpc_query(jsonb) IS 'RPC QueryInstances';
COMMENT ON FUNCTION durable.grpc_list_ids(jsonb) IS 'RPC ListInstanceIds';
COMMENT ON FUNCTION durable.grpc_history(jsonb) IS 'RPC StreamInstanceHistory';
COMMENT ON FUNCTION durable.grpc_entity_id(text) IS 'id of an entity, or its beginning, with the name in lower case';
COMMENT ON FUNCTION durable.grpc_entity(text, jsonb) IS 'RPCs SignalEntity, GetEntity and QueryEntities';
COMMENT ON FUNCTION durable.grpc_entity_state(durable.entities, boolean) IS 'state of an entity for a client of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_skip_terminations(jsonb) IS 'RPC SkipGracefulOrchestrationTerminations';
COMMENT ON FUNCTION durable.grpc_unknown(text) IS 'raises the error for an RPC that is not supported';
