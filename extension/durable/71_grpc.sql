-- The RPCs of the Durable Task protocol, for the gRPC listener of durable serve.  A request is the
-- JSON of its message, with the names of clients/serve/grpc/messages.c; so is each message of the
-- answer.  durable.grpc runs as the role of the task hub, with its rights.
-- Payloads of the protocol are texts.  Those of instances in SQL are read as JSON, or are strings.

-- A payload for an instance in SQL.  An empty text is no value.
CREATE FUNCTION durable.grpc_input(payload text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    RETURN nullif(payload, '')::jsonb;
EXCEPTION
    WHEN data_exception OR statement_too_complex OR program_limit_exceeded THEN
        RETURN to_jsonb(payload);
END;
$$;

-- The text of a payload: as it came, or JSON without blanks, as the SDKs write it.
CREATE FUNCTION durable.grpc_text(payload jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN CASE
    WHEN jsonb_typeof(payload) = 'object' AND payload ? '$text' THEN payload ->> '$text'
    WHEN jsonb_typeof(payload) = 'object' AND payload ? '$grpc' THEN payload #>> '{$grpc,input}'
    WHEN jsonb_typeof(payload) IN ('object', 'array') THEN regexp_replace(payload::text, '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g')
    ELSE payload::text
END;

CREATE FUNCTION durable.grpc_statuses(statuses jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN (SELECT array_agg(DISTINCT CASE s WHEN 'Canceled' THEN 'Terminated' WHEN 'ContinuedAsNew' THEN 'Running' ELSE s END)
        FROM jsonb_array_elements_text(statuses) AS s);

CREATE FUNCTION durable.grpc_failure(failure jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    -- The failure as the worker has reported it is the detail.
    IF failure ->> 'detail' LIKE '{"%' AND failure ->> 'sqlstate' = 'WF010' THEN
        RETURN durable.grpc_input(failure ->> 'detail');
    END IF;
    RETURN CASE WHEN failure IS NOT NULL THEN jsonb_build_object(
    'type', coalesce(failure ->> 'type', failure ->> 'sqlstate', 'Error'),
    'message', coalesce(failure ->> 'message', failure ->> 'reason', ''),
    'stack', coalesce(failure ->> 'stack', failure ->> 'context'),
    'non_retriable', coalesce((failure ->> 'non_retriable')::boolean, false),
    'inner', durable.grpc_failure(failure -> 'inner'),
    'properties', failure -> 'properties') END;
END;
$$;

-- The state of an instance.
CREATE FUNCTION durable.grpc_state(
    instance_id text,
    name        text,
    version     text,
    status      text,
    created     timestamptz,
    updated     timestamptz,
    completed   timestamptz,
    input       jsonb,
    output      jsonb,
    custom      jsonb,
    failure     jsonb,
    execution   integer,
    parent      text,
    tags        jsonb,
    payloads    boolean)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.jsonb_build_object(
    'instance_id', instance_id,
    'name', name,
    'version', version,
    'status', status,
    'created_at', created,
    'updated_at', updated,
    'completed_at', completed,
    'input', CASE WHEN payloads THEN durable.grpc_text(input) END,
    'output', CASE WHEN payloads THEN CASE status WHEN 'Terminated' THEN pg_catalog.jsonb_extract_path_text(failure, 'reason') ELSE durable.grpc_text(output) END END,
    'custom_status', CASE WHEN payloads THEN durable.grpc_text(custom) END,
    'failure', CASE WHEN status OPERATOR(pg_catalog.=) 'Failed' THEN durable.grpc_failure(failure) END,
    'execution_id', execution::text,
    'parent_instance_id', parent,
    'tags', (SELECT pg_catalog.jsonb_object_agg(t.key, t.value) FROM pg_catalog.jsonb_each_text(tags) AS t));

CREATE FUNCTION durable.grpc_state_of(s durable.instance_status, payloads boolean) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN durable.grpc_state(s.instance_id, s.name, s.version, s.runtime_status, s.created_time, s.last_updated_time, s.completed_time,
                          s.input, s.output, s.custom_status, s.failure, s.execution, s.parent_instance_id, s.tags, payloads);

-- NULL: there is no such instance that the caller may see.
CREATE FUNCTION durable.grpc_find(instance_id text) RETURNS durable.instance_status
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    RETURN durable.status(instance_id);
EXCEPTION
    WHEN SQLSTATE 'WF003' THEN RETURN NULL;
END;
$$;

-- With a policy, an instance of the same id is replaced if its status is one of those listed, a live one being terminated first.
CREATE FUNCTION durable.grpc_start(queue text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    id text := coalesce(nullif(request ->> 'instance_id', ''), replace(gen_random_uuid()::text, '-', ''));
    policy jsonb := request -> 'reuse_policy';
    statuses text[] := coalesce(durable.grpc_statuses(policy -> 'statuses'), '{}');
    present durable.instance_status;
    start_at timestamptz := (request ->> 'start_at')::timestamptz;
    conflict text := 'replace_finished';
BEGIN
    IF left(id, 1) = '@' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'instance ids that begin with @ belong to entities';
    END IF;
    IF coalesce(request ->> 'name', '') = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'the name of the orchestration is missing';
    END IF;
    IF statuses && '{Running,Pending,Suspended}' AND NOT statuses && '{Terminated}' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'Invalid reusable statuses: cannot exclude ''Terminated'' while also allowing reuse of running instances';
    END IF;
    IF policy IS NOT NULL THEN
        present := durable.grpc_find(id);
        IF present.instance_id IS NOT NULL THEN
            IF policy ->> 'action' = 'ignore' AND (statuses = '{}' OR present.runtime_status = ANY (statuses)) THEN
                RETURN jsonb_build_object('instance_id', id);
            ELSIF NOT present.runtime_status = ANY (statuses) THEN
                RAISE EXCEPTION USING ERRCODE = 'WF002',
                    MESSAGE = format('an instance with id "%s" exists already, and has status %s', id, present.runtime_status);
            ELSIF present.completed_time IS NULL THEN
                PERFORM durable.terminate(id, 'replaced by a new instance');
            END IF;
        END IF;
    END IF;
    PERFORM durable.grpc_register(queue, 'queue', NULL, NULL), durable.grpc_register(queue, 'orchestration', request ->> 'name', request ->> 'version');
    RETURN jsonb_build_object('instance_id', durable.start(
        request ->> 'name',
        CASE WHEN durable.grpc_is_external(request ->> 'name')
             THEN jsonb_build_object('$grpc', jsonb_strip_nulls(jsonb_build_object(
                      'name', request ->> 'name', 'version', nullif(request ->> 'version', ''), 'input', request ->> 'input',
                      'tags', request -> 'tags', 'trace', request ->> 'trace')))
             ELSE durable.grpc_input(request ->> 'input') END, id,
        start_at => CASE WHEN start_at > clock_timestamp() THEN start_at END,
        version => nullif(request ->> 'version', ''), tags => request -> 'tags', on_conflict => conflict));
END;
$$;

-- Raising an event, terminating, suspending, resuming: of an instance that has ended nothing is changed.
CREATE FUNCTION durable.grpc_control(rpc text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    id text := request ->> 'instance_id';
BEGIN
    CASE rpc
        WHEN 'RaiseEvent' THEN
            IF durable.grpc_is_external((durable.grpc_find(id)).name) THEN
                PERFORM durable.raise_event(id, '$event', jsonb_build_object('name', request ->> 'name', 'input', request ->> 'input'));
            ELSE
                PERFORM durable.raise_event(id, request ->> 'name', durable.grpc_input(request ->> 'input'));
            END IF;
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
    IF durable.grpc_is_external(present.name) THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = format('rewinding is not allowed: instance "%s" belongs to an orchestration that workers run', present.instance_id),
            HINT = 'Restart it.';
    ELSIF present.runtime_status <> 'Failed' THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('rewinding is not allowed: instance "%s" has status %s', present.instance_id, present.runtime_status),
            HINT = 'Only failed instances can be rewound.';
    END IF;
    PERFORM durable.rewind(present.instance_id, nullif(request ->> 'reason', ''));
    RETURN '{}';
END;
$$;

-- Of one instance, of some, or of those that match a filter; what has not ended is left alone.
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
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a batch of instances to purge has at most 500';
        END IF;
        FOREACH id IN ARRAY ids LOOP
            deleted := deleted + durable.grpc_purge_one(id);
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
            deleted := deleted + durable.grpc_purge_one(id);
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

CREATE FUNCTION durable.grpc_purge_one(instance_id text) RETURNS integer
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM durable.purge(instance_id);
    RETURN 1;
EXCEPTION
    -- there is none, it runs, several roles have it
    WHEN SQLSTATE 'WF003' OR object_not_in_prerequisite_state OR SQLSTATE '42P08' THEN RETURN 0;
END;
$$;

CREATE FUNCTION durable.grpc_query(request jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    query jsonb := coalesce(request -> 'query', '{}');
    size integer := least(coalesce(nullif(greatest((query ->> 'page_size')::integer, 0), 0), 1000), 1000);
    payloads boolean := coalesce((query ->> 'with_payloads')::boolean, false);
    states jsonb;
    next text;
    many bigint;
BEGIN
    SELECT coalesce(jsonb_agg(durable.grpc_state(q.instance_id, q.name, q.version, q.runtime_status, q.created_time, q.last_updated_time,
                                                 q.completed_time, q.input, q.output, q.custom_status, q.failure, q.execution,
                                                 q.parent_instance_id, q.tags, payloads) ORDER BY q.ordinality), '[]'),
           (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1], count(*)
        INTO states, next, many
    FROM durable.query(statuses => durable.grpc_statuses(query -> 'statuses'),
                       created_from => (query ->> 'created_from')::timestamptz, created_to => (query ->> 'created_to')::timestamptz,
                       id_prefix => nullif(query ->> 'id_prefix', ''), page_size => size,
                       after => nullif(query ->> 'after', '')) WITH ORDINALITY AS q;
    RETURN jsonb_build_object('states', states, 'next', CASE WHEN many = size THEN next END);
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

-- In messages of some hundred events.
CREATE FUNCTION durable.grpc_history(request jsonb) RETURNS SETOF jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('events', jsonb_agg(e.event ORDER BY e.seq))
    FROM (SELECT h.seq, jsonb_build_object(
              'type', CASE h.event_type WHEN 'ExecutionFailed' THEN 'ExecutionCompleted' ELSE h.event_type END,
              'event_id', CASE WHEN h.event_type IN ('TaskScheduled', 'SubOrchestrationInstanceCreated', 'TimerCreated', 'EventSent') THEN h.task::integer ELSE -1 END,
              'task_id', h.task::integer,
              'at', h.created_at,
              'name', h.name,
              'input', CASE WHEN h.event_type IN ('ExecutionTerminated', 'ExecutionSuspended', 'ExecutionResumed') THEN h.payload ->> 'reason'
                            WHEN h.event_type NOT IN ('TaskFailed', 'SubOrchestrationInstanceFailed', 'ExecutionFailed') THEN h.payload::text END,
              'failure', CASE WHEN h.event_type IN ('TaskFailed', 'SubOrchestrationInstanceFailed', 'ExecutionFailed') THEN durable.grpc_failure(h.payload) END,
              'status', CASE h.event_type WHEN 'ExecutionFailed' THEN 'Failed' WHEN 'ExecutionCompleted' THEN 'Completed' END,
              'instance_id', CASE h.event_type WHEN 'ExecutionStarted' THEN request ->> 'instance_id'
                                               ELSE coalesce(h.detail ->> 'id', h.detail ->> 'instance_id') END,
              'due_at', (h.detail ->> 'fire_at')::timestamptz) AS event
          FROM durable.history(coalesce((durable.grpc_find(request ->> 'instance_id')).instance_id, '')) AS h
          WHERE h.seq IS NOT NULL) AS e
    GROUP BY e.seq / 500
    ORDER BY e.seq / 500
$$;

/* --- entities --------------------------------------------------------------------------------------- */

CREATE FUNCTION durable.grpc_entity(request jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    query jsonb;
    entities jsonb;
    next text;
BEGIN
    IF request ? 'operation' THEN
        IF length(request ->> 'instance_id') > 100 THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('the length of the id of an entity is at most 100, not %s', length(request ->> 'instance_id'));
        END IF;
        PERFORM durable.signal_entity(substring(request ->> 'instance_id' FROM '^@([^@]*)@'), substring(request ->> 'instance_id' FROM '^@[^@]*@(.*)$'),
                                      request ->> 'operation', durable.grpc_input(request ->> 'input'),
                                      nullif(greatest((request ->> 'due_at')::timestamptz, clock_timestamp()), clock_timestamp()));
        RETURN '{}';
    ELSIF request ? 'instance_id' THEN
        SELECT jsonb_build_object('exists', true, 'entity', durable.grpc_entity_state(e, (request ->> 'with_state')::boolean)) INTO entities
        FROM durable.entities e WHERE e.entity_id = request ->> 'instance_id' AND pg_has_role(e.owner, 'USAGE') AND (e.state IS NOT NULL OR e.waiting > 0);
        RETURN coalesce(entities, '{"exists": false}');
    END IF;
    query := coalesce(request -> 'query', '{}');
    SELECT jsonb_agg(durable.grpc_entity_state(e, (query ->> 'with_state')::boolean) ORDER BY e.entity_id),
           CASE WHEN count(*) = least(coalesce(nullif((query ->> 'page_size')::integer, 0), 100), 1000) THEN max(e.entity_id) END
        INTO entities, next
    FROM (SELECT * FROM durable.entities e
          WHERE starts_with(e.entity_id, lower(coalesce(query ->> 'id_prefix', ''))) AND pg_has_role(e.owner, 'USAGE')
            AND (e.state IS NOT NULL OR (query ->> 'with_transient')::boolean)
            AND e.entity_id > coalesce(nullif(query ->> 'after', ''), '')
            AND e.last_updated_time >= coalesce((query ->> 'modified_from')::timestamptz, '-infinity')
            AND e.last_updated_time < coalesce((query ->> 'modified_to')::timestamptz, 'infinity')
          ORDER BY e.entity_id LIMIT least(coalesce(nullif((query ->> 'page_size')::integer, 0), 100), 1000)) e;
    RETURN jsonb_build_object('entities', coalesce(entities, '[]'), 'next', next);
END;
$$;

CREATE FUNCTION durable.grpc_entity_state(e durable.entities, with_state boolean) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
RETURN jsonb_build_object('instance_id', e.entity_id, 'modified_at', e.last_updated_time, 'backlog', e.waiting,
                          'locked_by', e.locked_by, 'state', CASE WHEN with_state THEN e.state::text END);

/* --- work ------------------------------------------------------------------------------------------- */

-- Work for the streams of workers: at most so many turns and activities, of these names (NULL: all).  item is
-- the message for the worker.  kind: o a turn, e an activity.
CREATE FUNCTION durable.grpc_fetch(
    queue       text,
    worker      text,
    max_turns   integer,
    turn_names  text[],
    max_tasks   integer,
    task_names  text[])
RETURNS TABLE (kind text, token text, instance_id text, name text, version text, task_id integer, item jsonb)
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM durable.grpc_register(grpc_fetch.queue, 'queue', NULL, NULL);
    IF max_turns > 0 THEN
        RETURN QUERY
            SELECT 'o', w.token, w.instance_id::text, w.input ->> 'name', coalesce(w.input ->> 'version', ''), 0,
                   jsonb_build_object('token', w.token, 'turn', jsonb_build_object(
                       'instance_id', w.instance_id, 'execution_id', w.input ->> 'execution_id',
                       'past_events', durable.grpc_events(w.instance_id, false), 'new_events', w.input -> 'new',
                       'orchestration_trace', w.input ->> 'trace'))
            FROM durable.fetch_work(grpc_fetch.queue || '/turns', left(grpc_fetch.worker, 60), max_turns, '30 seconds',
                                    CASE WHEN turn_names IS NOT NULL THEN ARRAY(SELECT '@turn:' || t FROM unnest(turn_names) AS t) END) AS w;
    END IF;
    IF max_tasks > 0 THEN
        RETURN QUERY
            SELECT 'e', w.token, w.instance_id::text, w.name, ''::text, t.task,
                   jsonb_build_object('token', w.token, 'task', jsonb_build_object(
                       'name', w.name, 'input', w.input::text, 'instance_id', w.instance_id, 'task_id', t.task))
            FROM durable.fetch_work(grpc_fetch.queue, left(grpc_fetch.worker, 60), max_tasks, '30 seconds', task_names) AS w,
                 split_part(reverse(w.idempotency_key), '.', 2) AS r, CAST(reverse(r) AS integer) AS t (task);
    END IF;
END;
$$;

-- Answers of workers, together in one transaction; how many were good.  One that is too late, or comes again, changes nothing.
CREATE FUNCTION durable.grpc_complete(queue text, kind text, answers jsonb) RETURNS integer
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    answer jsonb;
    failure jsonb;
    tokens text[] := '{}';
    results jsonb[] := '{}';
    good integer := 0;
BEGIN
    FOR answer IN SELECT a FROM jsonb_array_elements(answers) AS a LOOP
        IF kind = 'turns' AND durable.extend_lease(ARRAY[answer ->> 'token']) = 0 THEN
            CONTINUE;           -- it is handed out again, or was answered
        ELSIF kind = 'turns' THEN
            tokens := tokens || (answer ->> 'token');
            results := results || durable.grpc_turn_result(queue, answer);
        ELSIF NOT answer ? 'failure' THEN
            tokens := tokens || (answer ->> 'token');
            results := results || durable.grpc_input(answer ->> 'result');
        ELSE
            failure := answer -> 'failure';
            BEGIN
                PERFORM durable.fail_task(answer ->> 'token',
                                          failure || jsonb_build_object('message', coalesce(failure ->> 'message', ''), 'detail', jsonb_strip_nulls(failure)::text,
                                                                        'context', failure ->> 'stack'),
                                          NOT coalesce((failure ->> 'non_retriable')::boolean, false));
                good := good + 1;
            EXCEPTION
                WHEN SQLSTATE 'WF008' THEN NULL;
            END;
        END IF;
    END LOOP;
    IF tokens <> '{}' THEN
        good := good + durable.complete_tasks(tokens, results, on_stale => 'skip');
    END IF;
    RETURN good;
EXCEPTION
    WHEN invalid_parameter_value THEN
        -- A token of this form was never given.
        IF jsonb_array_length(answers) = 1 AND SQLERRM LIKE 'invalid token%' THEN
            RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = 'there is no work with this token';
        END IF;
        RAISE;
    WHEN SQLSTATE 'WF006' THEN
        -- What cannot be kept fails the instance.
        IF kind <> 'turns' OR jsonb_array_length(answers) > 1 THEN
            RAISE;
        END IF;
        RETURN durable.complete_tasks(ARRAY[answers #>> '{0,token}'], ARRAY[durable.grpc_refused(SQLERRM)], on_stale => 'skip');
END;
$$;

-- The result of a turn that fails the instance, because of what its worker has answered.
CREATE FUNCTION durable.grpc_refused(problem text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN jsonb_build_object('actions', jsonb_build_array(jsonb_build_object('type', 'complete', 'id', -1, 'status', 'Failed',
    'failure', jsonb_build_object('type', 'InvalidAnswer', 'message', problem, 'non_retriable', true))));

-- What the answer to a turn has in it, if all of it can be carried out.  Names that nobody has registered are those of workers.
CREATE FUNCTION durable.grpc_turn_result(queue text, answer jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    action jsonb;
    actions jsonb[] := '{}';
    name text;
    due timestamptz;
BEGIN
    FOR action IN SELECT a FROM jsonb_array_elements(answer -> 'actions') AS a LOOP
        name := action ->> 'name';
        CASE action ->> 'type'
            WHEN 'schedule_task', 'create_sub_orchestration' THEN
                IF coalesce(name, '') = '' OR octet_length(name) > 200 OR name ~ '[[:cntrl:]]' THEN
                    RETURN durable.grpc_refused('The name of an activity or a sub-orchestration is not valid.');
                END IF;
                IF action ->> 'type' = 'schedule_task' THEN
                    PERFORM durable.grpc_register(queue, 'activity', name, NULL);
                ELSE
                    PERFORM durable.grpc_register(queue, 'orchestration', name, action ->> 'version');
                    -- SDKs start a sub-orchestration that has failed again with the same id.
                    action := action || jsonb_build_object('is_external', durable.grpc_is_external(name),
                        'replaces', (durable.grpc_find(coalesce(action ->> 'instance_id', ''))).completed_time IS NOT NULL);
                END IF;
            WHEN 'create_timer' THEN
                due := (action ->> 'due_at')::timestamptz;
                IF due IS NULL THEN
                    RETURN durable.grpc_refused('A timer has no time.');
                END IF;
            WHEN 'send_event' THEN
                action := action || jsonb_build_object('is_external', durable.grpc_is_external((durable.grpc_find(coalesce(action ->> 'instance_id', ''))).name));
            WHEN 'terminate', 'complete' THEN NULL;
            ELSE
                RETURN durable.grpc_refused(format('Actions of type "%s" are not supported.', coalesce(action ->> 'type', 'unknown')));
        END CASE;
        actions := actions || action;
    END LOOP;
    RETURN jsonb_build_object('actions', to_jsonb(actions), 'custom_status', answer ->> 'custom_status', 'trace', answer ->> 'trace');
EXCEPTION
    WHEN data_exception THEN RETURN durable.grpc_refused(SQLERRM);
END;
$$;

-- Whether an orchestration of that name is one of workers.
CREATE FUNCTION durable.grpc_is_external(orchestration text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM durable.registrations r
    WHERE r.kind = 'orchestration' AND r.name = orchestration AND r.handler LIKE 'durable.grpc_orchestration(%';
    RETURN FOUND;
END;
$$;

-- Registers what workers have and nobody has registered.  The turns of a hub have a queue of their own.
CREATE FUNCTION durable.grpc_register(queue text, what text, name text, version text) RETURNS void
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    CASE what
        WHEN 'queue' THEN
            PERFORM FROM durable.queues q WHERE q.name = grpc_register.queue || '/turns';
            IF NOT FOUND THEN
                PERFORM durable.register_queue(grpc_register.queue), durable.register_queue(grpc_register.queue || '/turns');
            END IF;
        WHEN 'activity' THEN
            PERFORM FROM durable.registrations r WHERE r.kind = 'activity' AND r.name = grpc_register.name;
            IF NOT FOUND THEN
                PERFORM durable.register_activity(grpc_register.name, execution => 'external', queue => grpc_register.queue,
                                                  retry => durable.retry(max_attempts => 1));
            END IF;
        WHEN 'orchestration' THEN
            PERFORM FROM durable.registrations r WHERE r.kind = 'orchestration' AND r.name = grpc_register.name
                AND (nullif(grpc_register.version, '') IS NULL OR r.version = grpc_register.version OR r.handler NOT LIKE 'durable.grpc_orchestration(%');
            IF NOT FOUND THEN
                PERFORM durable.register_orchestration(grpc_register.name, 'durable.grpc_orchestration(jsonb)', version => nullif(grpc_register.version, ''));
            END IF;
            PERFORM FROM durable.registrations r WHERE r.kind = 'activity' AND r.name = '@turn:' || grpc_register.name;
            IF NOT FOUND AND durable.grpc_is_external(grpc_register.name) THEN
                PERFORM durable.register_activity('@turn:' || grpc_register.name, execution => 'external', queue => grpc_register.queue || '/turns');
            END IF;
        ELSE
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('invalid value for parameter "what": "%s"', left(coalesce(what, 'null'), 100)),
                HINT = 'Valid values are "queue", "activity", and "orchestration".';
    END CASE;
EXCEPTION
    -- Somebody else has just done it.
    WHEN unique_violation THEN NULL;
END;
$$;

-- The handler of all orchestrations of workers.  A turn is an external activity: its input are the new events, its result
-- are the actions that the worker has decided on.  What happens between turns happens here, so it is as durable as in
-- any other orchestration: the actions become durable calls, and the answers to these become the next turn's events.
CREATE FUNCTION durable.grpc_orchestration(input jsonb) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    start jsonb := input OPERATOR(pg_catalog.->) '$grpc';
    is_external boolean := start IS NOT NULL;
    name text;
    version text;
    execution text := pg_catalog.replace(durable.uuid()::text, '-', '');
    events jsonb;
    answer jsonb;
    action jsonb;
    done jsonb;
    failure jsonb;
    tasks durable.task[] := '{}';
    kinds text[] := '{}';
    ids integer[] := '{}';
    due timestamptz[] := '{}';
    raised durable.task;
    barrier durable.task;
    got durable.task;
    i integer;
    event jsonb;
    message text;
    detail text;
    state text;
    context text;
BEGIN
    -- Started by SQL: the input is a value.
    IF NOT is_external THEN
        start := pg_catalog.jsonb_build_object('input', durable.grpc_text(input),
            'name', durable.call_sql('SELECT i.name FROM durable.instances i WHERE i.instance_id = $1', pg_catalog.jsonb_build_array(durable.instance_id()))
                        OPERATOR(pg_catalog.#>) '{0,name}');
    END IF;
    name := start OPERATOR(pg_catalog.->>) 'name';
    version := start OPERATOR(pg_catalog.->>) 'version';
    events := durable.grpc_first_events(start, durable.instance_id(), durable.parent_instance_id(), execution, durable.now());
    raised := durable.external_event('$event');
    LOOP
        answer := durable.result(durable.schedule_activity('@turn:' OPERATOR(pg_catalog.||) name, pg_catalog.jsonb_build_object(
            'name', name, 'version', version, 'execution_id', execution, 'new', events, 'trace', answer OPERATOR(pg_catalog.->) 'trace')));
        PERFORM durable.set_custom_status(durable.grpc_input(answer OPERATOR(pg_catalog.->>) 'custom_status'));
        done := NULL;
        FOR action IN SELECT a FROM pg_catalog.jsonb_array_elements(answer OPERATOR(pg_catalog.->) 'actions') AS a LOOP
            got := NULL;
            CASE action OPERATOR(pg_catalog.->>) 'type'
                WHEN 'schedule_task' THEN
                    got := durable.schedule_activity(action OPERATOR(pg_catalog.->>) 'name', durable.grpc_input(action OPERATOR(pg_catalog.->>) 'input'));
                WHEN 'create_timer' THEN
                    got := durable.create_timer((action OPERATOR(pg_catalog.->>) 'due_at')::timestamptz);
                WHEN 'create_sub_orchestration' THEN
                    IF (action OPERATOR(pg_catalog.->>) 'replaces')::boolean THEN
                        PERFORM durable.call_activity('durable.grpc_purge_one(text)', action OPERATOR(pg_catalog.->) 'instance_id');
                    END IF;
                    got := durable.schedule_sub_orchestrator(
                        action OPERATOR(pg_catalog.->>) 'name',
                        CASE WHEN (action OPERATOR(pg_catalog.->>) 'is_external')::boolean
                             THEN pg_catalog.jsonb_build_object('$grpc', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
                                      'name', action OPERATOR(pg_catalog.->) 'name', 'version', action OPERATOR(pg_catalog.->) 'version',
                                      'input', action OPERATOR(pg_catalog.->) 'input', 'tags', action OPERATOR(pg_catalog.->) 'tags',
                                      'trace', action OPERATOR(pg_catalog.->) 'trace',
                                      'parent', pg_catalog.jsonb_build_object('name', name, 'version', version, 'instance_id', durable.instance_id(),
                                                                              'execution_id', execution, 'task_id', action OPERATOR(pg_catalog.->) 'id'))))
                             ELSE durable.grpc_input(action OPERATOR(pg_catalog.->>) 'input') END,
                        instance_id => NULLIF(action OPERATOR(pg_catalog.->>) 'instance_id', ''));
                WHEN 'send_event' THEN
                    IF (action OPERATOR(pg_catalog.->>) 'is_external')::boolean THEN
                        PERFORM durable.send_event(action OPERATOR(pg_catalog.->>) 'instance_id', '$event', pg_catalog.jsonb_build_object(
                            'name', action OPERATOR(pg_catalog.->) 'name', 'input', action OPERATOR(pg_catalog.->) 'input'));
                    ELSE
                        PERFORM durable.send_event(action OPERATOR(pg_catalog.->>) 'instance_id', action OPERATOR(pg_catalog.->>) 'name',
                                                   durable.grpc_input(action OPERATOR(pg_catalog.->>) 'input'));
                    END IF;
                WHEN 'terminate' THEN
                    PERFORM durable.schedule_activity('durable.grpc_control(text, jsonb)', pg_catalog.jsonb_build_object(
                        'rpc', 'TerminateInstance', 'request', pg_catalog.jsonb_build_object('instance_id', action OPERATOR(pg_catalog.->) 'instance_id',
                            'output', action OPERATOR(pg_catalog.->) 'reason', 'recursive', action OPERATOR(pg_catalog.->) 'recurse')));
                WHEN 'complete' THEN
                    done := action;
            END CASE;
            IF got IS NOT NULL THEN
                tasks := pg_catalog.array_append(tasks::bigint[], got::bigint);
                kinds := pg_catalog.array_append(kinds, action OPERATOR(pg_catalog.->>) 'type');
                ids := pg_catalog.array_append(ids, (action OPERATOR(pg_catalog.->>) 'id')::integer);
                due := pg_catalog.array_append(due, (action OPERATOR(pg_catalog.->>) 'due_at')::timestamptz);
            END IF;
        END LOOP;

        IF done IS NOT NULL THEN
            CASE done OPERATOR(pg_catalog.->>) 'status'
                WHEN 'ContinuedAsNew' THEN
                    PERFORM durable.continue_as_new(pg_catalog.jsonb_build_object('$grpc', pg_catalog.jsonb_strip_nulls(start OPERATOR(pg_catalog.||)
                        pg_catalog.jsonb_build_object('input', done OPERATOR(pg_catalog.->) 'output', 'carryover', done OPERATOR(pg_catalog.->) 'carryover',
                            'version', COALESCE(done OPERATOR(pg_catalog.->) 'version', start OPERATOR(pg_catalog.->) 'version')))));
                WHEN 'Completed' THEN
                    RETURN CASE WHEN is_external AND done OPERATOR(pg_catalog.->>) 'output' OPERATOR(pg_catalog.<>) ''
                                THEN pg_catalog.jsonb_build_object('$text', done OPERATOR(pg_catalog.->) 'output')
                                ELSE durable.grpc_input(done OPERATOR(pg_catalog.->>) 'output') END;
                ELSE
                    failure := COALESCE(done OPERATOR(pg_catalog.->) 'failure', pg_catalog.jsonb_build_object('type', done OPERATOR(pg_catalog.->) 'status',
                                        'message', COALESCE(done OPERATOR(pg_catalog.->>) 'output', '')));
                    RAISE EXCEPTION USING ERRCODE = 'WF010', MESSAGE = COALESCE(failure OPERATOR(pg_catalog.->>) 'message', ''), DETAIL = failure::text;
            END CASE;
        END IF;

        -- One event at least, and what else is there.  The barrier comes after all that is.
        events := pg_catalog.jsonb_build_array();
        barrier := NULL;
        LOOP
            got := durable.when_any(VARIADIC pg_catalog.array_append(CASE WHEN barrier IS NULL THEN tasks::bigint[]
                                             ELSE pg_catalog.array_append(tasks::bigint[], barrier::bigint) END, raised::bigint)::durable.task[]);
            EXIT WHEN got OPERATOR(pg_catalog.=) barrier;
            IF got OPERATOR(pg_catalog.=) raised THEN
                event := durable.result(raised);
                event := pg_catalog.jsonb_build_object('type', 'EventRaised', 'name', event OPERATOR(pg_catalog.->) 'name', 'input', event OPERATOR(pg_catalog.->) 'input');
                raised := durable.external_event('$event');
            ELSE
                i := pg_catalog.array_position(tasks::bigint[], got::bigint);
                BEGIN
                    event := durable.result(got);
                    event := pg_catalog.jsonb_build_object('type', CASE kinds[i] WHEN 'schedule_task' THEN 'TaskCompleted' WHEN 'create_timer' THEN 'TimerFired'
                                                                                ELSE 'SubOrchestrationInstanceCompleted' END,
                                                           'input', durable.grpc_text(event), 'due_at', due[i]);
                EXCEPTION
                    WHEN OTHERS THEN
                        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, state = RETURNED_SQLSTATE;
                        event := pg_catalog.jsonb_build_object('type', CASE kinds[i] WHEN 'schedule_task' THEN 'TaskFailed' ELSE 'SubOrchestrationInstanceFailed' END,
                            'failure', durable.grpc_failure(pg_catalog.jsonb_build_object('message', message, 'detail', detail, 'sqlstate', state)));
                END;
                event := event OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('task_id', ids[i]);
                tasks := (tasks[1:i - 1])::bigint[] OPERATOR(pg_catalog.||) (tasks[i + 1:])::bigint[];
                kinds := kinds[1:i - 1] OPERATOR(pg_catalog.||) kinds[i + 1:];
                ids := ids[1:i - 1] OPERATOR(pg_catalog.||) ids[i + 1:];
                due := due[1:i - 1] OPERATOR(pg_catalog.||) due[i + 1:];
            END IF;
            events := events OPERATOR(pg_catalog.||) (event OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('event_id', -1, 'at', durable.now()));
            EXIT WHEN barrier IS NULL AND pg_catalog.cardinality(tasks) OPERATOR(pg_catalog.<) 2;
            IF barrier IS NULL THEN
                barrier := durable.create_timer(durable.now());
            END IF;
        END LOOP;
        events := pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('type', 'OrchestratorStarted', 'event_id', -1, 'at', durable.now())) OPERATOR(pg_catalog.||) events;
    END LOOP;
END;
$$;

CREATE FUNCTION durable.grpc_first_events(start jsonb, instance_id text, parent_id text, execution text, at timestamptz) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
RETURN jsonb_build_array(
    jsonb_build_object('type', 'OrchestratorStarted', 'event_id', -1, 'at', at),
    jsonb_build_object('type', 'ExecutionStarted', 'event_id', -1, 'at', at, 'name', start ->> 'name', 'version', start ->> 'version',
                       'input', nullif(start ->> 'input', ''), 'instance_id', instance_id, 'execution_id', execution, 'tags', start -> 'tags', 'trace', start -> 'trace',
                       'parent', coalesce(start -> 'parent', CASE WHEN parent_id IS NOT NULL THEN jsonb_build_object('instance_id', parent_id, 'name', '') END)))
    || coalesce((SELECT jsonb_agg(jsonb_build_object('type', 'EventRaised', 'event_id', -1, 'at', at, 'name', c ->> 'name', 'input', c ->> 'input'))
                 FROM jsonb_array_elements(start -> 'carryover') AS c), '[]');

-- The events of the turns that have been answered, in the present execution.  Nobody reads the inputs of calls, so workers do not get them.
CREATE FUNCTION durable.grpc_events(instance_id text, with_inputs boolean) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(e.event ORDER BY h.task, e.part, e.n), '[]')
    FROM (SELECT s.task, s.payload -> 'new' AS new, c.payload -> 'actions' AS actions, c.created_at
          FROM durable.history($1) s JOIN durable.history($1) c ON c.task = s.task AND c.event_type = 'TaskCompleted'
          WHERE s.event_type = 'TaskScheduled' AND s.name LIKE '@turn:%') AS h,
         LATERAL (SELECT 1 AS part, n, event FROM jsonb_array_elements(h.new) WITH ORDINALITY AS x (event, n)
                  UNION ALL
                  SELECT 2, n, jsonb_build_object(
                      'type', CASE a ->> 'type' WHEN 'schedule_task' THEN 'TaskScheduled' WHEN 'create_timer' THEN 'TimerCreated'
                                                WHEN 'create_sub_orchestration' THEN 'SubOrchestrationInstanceCreated' WHEN 'send_event' THEN 'EventSent'
                                                WHEN 'complete' THEN 'ExecutionCompleted' END,
                      'event_id', (a ->> 'id')::integer, 'at', h.created_at, 'name', a -> 'name', 'version', a -> 'version',
                      'instance_id', a -> 'instance_id', 'due_at', a -> 'due_at', 'tags', a -> 'tags', 'trace', a -> 'trace', 'status', a -> 'status',
                      'failure', a -> 'failure', 'input', CASE WHEN a ? 'output' THEN a -> 'output' WHEN $2 OR a ->> 'type' = 'send_event' THEN a -> 'input' END)
                  FROM jsonb_array_elements(h.actions) WITH ORDINALITY AS x (a, n)
                  WHERE a ->> 'type' <> 'terminate' AND ($2 OR a ->> 'type' <> 'complete')) AS e
$$;

-- Another worker gets it a second later.
CREATE FUNCTION durable.grpc_abandon(token text) RETURNS integer
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    RETURN durable.release_work(ARRAY[token], '1 second');
EXCEPTION
    WHEN invalid_parameter_value THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = 'there is no work with this token';
END;
$$;

/* --- all of them ------------------------------------------------------------------------------------- */

CREATE FUNCTION durable.grpc(rpc text, queue text, request jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    present durable.instance_status;
BEGIN
    IF rpc = 'StreamInstanceHistory' AND durable.grpc_is_external((durable.grpc_find(request ->> 'instance_id')).name) THEN
        RETURN QUERY
            SELECT jsonb_build_object('events', jsonb_agg(e ORDER BY n))
            FROM jsonb_array_elements(durable.grpc_events(request ->> 'instance_id', true)) WITH ORDINALITY AS t (e, n)
            GROUP BY n / 500 ORDER BY n / 500;
        RETURN;
    ELSIF rpc = 'StreamInstanceHistory' THEN
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
        WHEN rpc IN ('SignalEntity', 'GetEntity', 'QueryEntities') THEN durable.grpc_entity(request)
        -- There is nothing to be cleaned: entities without state and locks without holders do not stay.
        WHEN rpc IN ('CreateTaskHub', 'DeleteTaskHub', 'CleanEntityStorage') THEN '{}'
        -- All of them were terminated at once.
        WHEN rpc = 'SkipGracefulOrchestrationTerminations' THEN durable.grpc_skip_terminations(request)
        ELSE durable.grpc_unknown(rpc)
    END;
END;
$$;

CREATE FUNCTION durable.grpc_get(request jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    present durable.instance_status := durable.grpc_find(request ->> 'instance_id');
BEGIN
    IF present.instance_id IS NULL THEN
        RETURN '{"exists": false}';
    END IF;
    RETURN jsonb_build_object('exists', true, 'state', durable.grpc_state_of(present, (request ->> 'with_payloads')::boolean));
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

-- For clients that wait: which of these have ended, or have started, and their states.  What does not exist has ended, too.
CREATE FUNCTION durable.grpc_waits(ids text[], starts boolean[], payloads boolean[]) RETURNS TABLE (n bigint, answer jsonb)
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT w.n, CASE WHEN s.instance_id IS NULL THEN '{"exists": false}'
                     ELSE jsonb_build_object('exists', true, 'state', durable.grpc_state_of(s, w.payloads)) END
    FROM unnest($1, $2, $3) WITH ORDINALITY AS w (id, starts, payloads, n), durable.grpc_find(w.id) AS s
    WHERE s.instance_id IS NULL OR s.completed_time IS NOT NULL OR (w.starts AND s.runtime_status <> 'Pending')
$$;

COMMENT ON FUNCTION durable.grpc(text, text, jsonb) IS
    'answers a request of the Durable Task protocol as the current user; queue is that of the task hub';
COMMENT ON FUNCTION durable.grpc_input(text) IS 'a payload of the Durable Task protocol as jsonb';
COMMENT ON FUNCTION durable.grpc_statuses(jsonb) IS 'statuses of a request as those of durable.query';
COMMENT ON FUNCTION durable.grpc_failure(jsonb) IS 'a failure as the Durable Task protocol has it';
COMMENT ON FUNCTION durable.grpc_state(text, text, text, text, timestamptz, timestamptz, timestamptz, jsonb, jsonb, jsonb, jsonb, integer, text, jsonb, boolean) IS
    'the state of an instance for a client of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_state_of(durable.instance_status, boolean) IS 'the state of an instance for a client of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_find(text) IS 'the status of an instance, null if there is none';
COMMENT ON FUNCTION durable.grpc_start(text, jsonb) IS 'RPC StartInstance';
COMMENT ON FUNCTION durable.grpc_get(jsonb) IS 'RPC GetInstance';
COMMENT ON FUNCTION durable.grpc_control(text, jsonb) IS 'RPCs RaiseEvent, TerminateInstance, SuspendInstance and ResumeInstance';
COMMENT ON FUNCTION durable.grpc_rewind(jsonb) IS 'RPC RewindInstance';
COMMENT ON FUNCTION durable.grpc_purge(jsonb) IS 'RPC PurgeInstances';
COMMENT ON FUNCTION durable.grpc_purge_one(text) IS 'purges an instance if it has ended, and returns how many were purged';
COMMENT ON FUNCTION durable.grpc_query(jsonb) IS 'RPC QueryInstances';
COMMENT ON FUNCTION durable.grpc_list_ids(jsonb) IS 'RPC ListInstanceIds';
COMMENT ON FUNCTION durable.grpc_history(jsonb) IS 'RPC StreamInstanceHistory';
COMMENT ON FUNCTION durable.grpc_entity(jsonb) IS 'RPCs SignalEntity, GetEntity and QueryEntities';
COMMENT ON FUNCTION durable.grpc_entity_state(durable.entities, boolean) IS 'the state of an entity for a client of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_skip_terminations(jsonb) IS 'RPC SkipGracefulOrchestrationTerminations';
COMMENT ON FUNCTION durable.grpc_fetch(text, text, integer, text[], integer, text[]) IS 'fetches work for workers of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_complete(text, text, jsonb) IS 'applies the answers of workers of the Durable Task protocol, and returns how many were good';
COMMENT ON FUNCTION durable.grpc_text(jsonb) IS 'a payload as the text that the Durable Task protocol has';
COMMENT ON FUNCTION durable.grpc_refused(text) IS 'the result of a turn whose answer cannot be carried out';
COMMENT ON FUNCTION durable.grpc_turn_result(text, jsonb) IS 'the result of a turn for an answer of a worker';
COMMENT ON FUNCTION durable.grpc_is_external(text) IS 'returns whether the orchestration of that name is one of workers of the Durable Task protocol';
COMMENT ON FUNCTION durable.grpc_register(text, text, text, text) IS 'registers what workers of the Durable Task protocol have and nobody has registered';
COMMENT ON FUNCTION durable.grpc_orchestration(jsonb) IS 'the handler of orchestrations that workers of the Durable Task protocol run';
COMMENT ON FUNCTION durable.grpc_first_events(jsonb, text, text, text, timestamptz) IS 'the new events of the first turn';
COMMENT ON FUNCTION durable.grpc_events(text, boolean) IS 'the events of the turns that were answered';
COMMENT ON FUNCTION durable.grpc_abandon(text) IS 'gives work back that a worker of the Durable Task protocol has abandoned';
COMMENT ON FUNCTION durable.grpc_unknown(text) IS 'the error for an RPC that is not supported';
COMMENT ON FUNCTION durable.grpc_waits(text[], boolean[], boolean[]) IS 'the answers for clients that wait and need not wait any more';
