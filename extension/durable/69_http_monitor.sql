-- The routes for the pages of the monitor, below /api/v1.  GET reads, POST bulk acts on several instances, POST
-- schedules/NAME/ACTION and queues/NAME/ACTION act on these.  Actions on one instance are in the management API.

CREATE FUNCTION durable.http_payload(payload jsonb, longest integer) RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN length(payload::text) <= longest THEN payload::json
                WHEN payload IS NOT NULL THEN json_build_object('isCut', true, 'length', length(payload::text), 'beginning', left(payload::text, longest)) END
$$;

CREATE FUNCTION durable.http_waits(instance_id text, owner regrole) RETURNS json
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT coalesce(json_agg(json_strip_nulls(json_build_object(
               'kind', w.kind, 'detail', w.detail, 'since', durable.http_timestamp(w.since), 'due', durable.http_timestamp(w.due), 'line', w.line))
               ORDER BY w.due, w.since, w.kind, w.detail), '[]')
    FROM durable.waiting w WHERE w.instance_id = $1 AND w.owner = $2
$$;

-- GET instances: newest first, a page at a time; the parameter after is the next of the page before.
CREATE FUNCTION durable.http_monitor_list(parameters jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    size integer := least(greatest(durable.http_integer(parameters ->> 'top', 100), 1), 1000);
    statuses text[];
    answer json;
BEGIN
    -- Here an unknown status is an error, which durable.query raises.
    SELECT array_agg(btrim(s)) INTO statuses FROM string_to_table(nullif(parameters ->> 'status', ''), ',') AS s;
    SELECT json_build_object(
            'instances', coalesce(json_agg(json_build_object(
                'instanceId', q.instance_id, 'name', q.name, 'runtimeStatus', q.runtime_status, 'waitingOn', q.waiting_on,
                'waits', CASE WHEN q.completed_time IS NULL THEN durable.http_waits(q.instance_id, q.owner) ELSE '[]' END,
                'createdTime', durable.http_timestamp(q.created_time), 'lastUpdatedTime', durable.http_timestamp(q.last_updated_time),
                'completedTime', durable.http_timestamp(q.completed_time), 'durationMs', round(extract(epoch FROM q.duration) * 1000),
                'computeMs', round(extract(epoch FROM q.compute_time) * 1000, 3), 'turns', q.turns, 'execution', q.execution,
                'parentInstanceId', q.parent_instance_id, 'version', q.version, 'owner', q.owner::text,
                'customStatus', durable.http_payload(q.custom_status, 1000), 'tags', durable.http_payload(q.tags, 1000),
                'failure', durable.http_payload(q.failure, 1000), 'suspendReason', q.suspend_reason, 'droppedEvents', q.dropped_events)
                ORDER BY q.ordinality), '[]'),
            'next', CASE WHEN count(*) = size THEN (array_agg(q.page_cursor ORDER BY q.ordinality DESC))[1] END)
        INTO answer
    FROM durable.query(name => nullif(parameters ->> 'name', ''), statuses => statuses,
                       created_from => durable.http_time(parameters ->> 'createdfrom'), created_to => durable.http_time(parameters ->> 'createdto'),
                       id_prefix => nullif(parameters ->> 'prefix', ''), tags => nullif(parameters ->> 'tags', '')::jsonb,
                       page_size => size, after => nullif(parameters ->> 'after', '')) WITH ORDINALITY AS q;
    RETURN durable.http_json(200, answer::text);
END;
$$;

-- GET instances/ID.  Payloads of more than 64 KB are cut, unless the parameter full is true.
CREATE FUNCTION durable.http_monitor_instance(instance_id text, parameters jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s durable.instance_status := durable.status(http_monitor_instance.instance_id);
    longest integer := CASE WHEN durable.http_boolean(parameters ->> 'full', false) THEN 2147483647 ELSE 65536 END;
BEGIN
    RETURN durable.http_json(200, json_build_object(
        'instanceId', s.instance_id, 'name', s.name, 'runtimeStatus', s.runtime_status, 'waitingOn', s.waiting_on,
        'waits', CASE WHEN s.completed_time IS NULL THEN durable.http_waits(s.instance_id, s.owner) ELSE '[]' END,
        'createdTime', durable.http_timestamp(s.created_time), 'lastUpdatedTime', durable.http_timestamp(s.last_updated_time),
        'completedTime', durable.http_timestamp(s.completed_time), 'durationMs', round(extract(epoch FROM s.duration) * 1000),
        'computeMs', round(extract(epoch FROM s.compute_time) * 1000, 3), 'turns', s.turns, 'execution', s.execution,
        'parentInstanceId', s.parent_instance_id, 'version', s.version, 'owner', s.owner::text,
        'customStatus', durable.http_payload(s.custom_status, longest), 'tags', durable.http_payload(s.tags, longest),
        'input', durable.http_payload(s.input, longest), 'output', durable.http_payload(s.output, longest),
        'failure', durable.http_payload(s.failure, longest), 'suspendReason', s.suspend_reason, 'droppedEvents', s.dropped_events,
        'mayRead', durable.may_read(s.owner), 'mayControl', pg_has_role(s.owner, 'USAGE'), 'now', durable.http_timestamp(durable.clock()),
        'bufferedEvents', (SELECT coalesce(json_agg(json_build_object('event', b.event, 'seq', b.seq, 'receivedAt', durable.http_timestamp(b.received_at))
                                                    ORDER BY b.received_at, b.seq), '[]')
                           FROM durable.buffered_events b WHERE b.instance_id = s.instance_id AND b.owner = s.owner),
        'children', (SELECT coalesce(json_agg(json_build_object('instanceId', c.target, 'name', c.name, 'state', c.state) ORDER BY c.task), '[]')
                     FROM durable.calls(s.instance_id) c WHERE c.kind = 'orchestration')
        )::text);
END;
$$;

-- GET instances/ID/history: events with a seq greater than the parameter after, top of them.
CREATE FUNCTION durable.http_monitor_history(instance_id text, parameters jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    size integer := least(greatest(durable.http_integer(parameters ->> 'top', 1000), 1), 10000);
    after integer := durable.http_integer(parameters ->> 'after', -1);
    longest integer := CASE WHEN durable.http_boolean(parameters ->> 'full', false) THEN 2147483647 ELSE 4096 END;
    answer json;
BEGIN
    SELECT json_build_object(
            'events', coalesce(json_agg(json_build_object(
                'execution', h.execution, 'seq', h.seq, 'eventType', h.event_type, 'task', h.task, 'name', h.name,
                'payload', durable.http_payload(h.payload, longest), 'createdAt', durable.http_timestamp(h.created_at), 'detail', h.detail)
                ORDER BY h.ordinality), '[]'),
            'next', CASE WHEN count(*) = size THEN max(h.seq) END)
        INTO answer
    FROM (SELECT * FROM durable.history(http_monitor_history.instance_id) WITH ORDINALITY AS e
          WHERE e.seq > after OR (e.seq IS NULL AND after < 0) ORDER BY e.ordinality LIMIT size) AS h;
    RETURN durable.http_json(200, answer::text);
END;
$$;

CREATE FUNCTION durable.http_monitor_calls(instance_id text) RETURNS durable.http_response
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT durable.http_json(200, json_build_object('calls', coalesce(json_agg(json_build_object(
               'task', c.task, 'kind', c.kind, 'name', c.name, 'target', c.target, 'input', durable.http_payload(c.input, 4096),
               'due', durable.http_timestamp(c.due), 'calledAt', durable.http_timestamp(c.called_at), 'state', c.state,
               'answeredAt', durable.http_timestamp(c.answered_at), 'result', durable.http_payload(c.result, 4096)) ORDER BY c.task), '[]'))::text)
    FROM durable.calls($1) c
$$;

-- GET instances/ID/source, and the lines that wait.
CREATE FUNCTION durable.http_monitor_source(instance_id text) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s durable.instance_status := durable.status(http_monitor_source.instance_id);
BEGIN
    RETURN durable.http_json(200, json_build_object(
        'source', durable.source(s.instance_id),
        'lines', (SELECT coalesce(json_agg(DISTINCT w.line) FILTER (WHERE w.line IS NOT NULL), '[]')
                  FROM durable.waiting w WHERE w.instance_id = s.instance_id AND w.owner = s.owner))::text);
END;
$$;

-- POST bulk: {"action": ..., "instanceIds": [...], "reason": ...}.  An error for one instance does not affect the
-- others.
CREATE FUNCTION durable.http_bulk(input jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    action text := input ->> 'action';
    reason text := input ->> 'reason';
    ids text[];
    id text;
    done text[] := '{}';
    refused jsonb := '[]';
BEGIN
    IF jsonb_typeof(input) IS DISTINCT FROM 'object' OR jsonb_typeof(input -> 'instanceIds') IS DISTINCT FROM 'array' THEN
        RETURN durable.http_error(400, 'The body has to be an object with the members action and instanceIds.');
    ELSIF action IS NULL OR action NOT IN ('terminate', 'suspend', 'resume', 'rewind', 'restart', 'purge') THEN
        RETURN durable.http_error(400, 'The action has to be one of terminate, suspend, resume, rewind, restart, purge.');
    ELSIF jsonb_array_length(input -> 'instanceIds') > 1000 THEN
        RETURN durable.http_error(400, 'There are more than 1000 instance ids.');
    END IF;
    SELECT coalesce(array_agg(e), '{}') INTO ids FROM jsonb_array_elements_text(input -> 'instanceIds') AS e;
    FOREACH id IN ARRAY ids LOOP
        BEGIN
            CASE action
                WHEN 'terminate' THEN PERFORM durable.terminate(id, reason);
                WHEN 'suspend' THEN PERFORM durable.suspend(id, reason);
                WHEN 'resume' THEN PERFORM durable.resume(id, reason);
                WHEN 'rewind' THEN PERFORM durable.rewind(id, reason);
                WHEN 'restart' THEN PERFORM durable.restart(id);
                WHEN 'purge' THEN PERFORM durable.purge(id);
            END CASE;
            done := done || id;
        EXCEPTION
            WHEN OTHERS THEN
                IF durable.http_status_of(SQLSTATE) >= 500 THEN
                    RAISE;
                END IF;
                refused := refused || jsonb_build_object('instanceId', id, 'sqlState', SQLSTATE, 'message', SQLERRM);
        END;
    END LOOP;
    RETURN durable.http_json(200, json_build_object('done', done, 'refused', refused)::text);
END;
$$;

-- POST schedules/NAME/pause, unpause and trigger, queues/NAME/pause and unpause.
CREATE FUNCTION durable.http_act(kind text, name text, action text) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    message text;
    hint text;
BEGIN
    CASE kind || ' ' || action
        WHEN 'schedules pause' THEN PERFORM durable.pause_schedule(name);
        WHEN 'schedules unpause' THEN PERFORM durable.unpause_schedule(name);
        WHEN 'schedules trigger' THEN
            RETURN durable.http_json(202, json_build_object('instanceId', durable.trigger_schedule(name))::text);
        WHEN 'queues pause' THEN PERFORM durable.pause_queue(name);
        WHEN 'queues unpause' THEN PERFORM durable.unpause_queue(name);
        ELSE RETURN durable.http_empty(404);
    END CASE;
    RETURN durable.http_empty(202);
EXCEPTION
    -- The path names the schedule or the queue, so this is 404 and not 400.
    WHEN undefined_object THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        RETURN durable.http_error(404, message, SQLSTATE, hint);
END;
$$;

-- GET waiting: what unfinished instances wait for, and how many of them.  With the parameter kind: the
-- instances that wait for that, the longest waiting first; their rows are like those of GET instances.
-- This reads unfinished instances one by one, so it stops after a number of waits, and isPartial says so.  Without
-- synchronized scans those that are read first are, by and large, the oldest.
CREATE FUNCTION durable.http_waiting(parameters jsonb) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
SET synchronize_seqscans TO off
SET jit TO off
AS $$
DECLARE
    size integer := least(greatest(durable.http_integer(parameters ->> 'top', 100), 1), 1000);
    skip integer := least(greatest(durable.http_integer(parameters ->> 'after', 0), 0), 100000);
    most CONSTANT integer := 100000;
    answer json;
BEGIN
    IF nullif(parameters ->> 'kind', '') IS NULL THEN
        SELECT json_build_object('isPartial', coalesce(sum(g.waits), 0) >= most, 'groups', coalesce(json_agg(json_build_object(
                   'name', g.name, 'kind', g.kind, 'detail', g.detail, 'waits', g.waits,
                   'longestMs', round(extract(epoch FROM durable.clock() - g.since) * 1000), 'overdue', g.overdue, 'retrying', g.retrying)
                   ORDER BY g.overdue + g.retrying DESC, g.waits, g.since), '[]'))
            INTO answer
        FROM (SELECT w.name, w.kind, w.detail, min(w.since) AS since,
                     count(*) AS waits,
                     count(*) FILTER (WHERE w.due < durable.clock() - interval '1 minute' AND w.kind IN ('timer', 'start')) AS overdue,
                     count(w.attempt) AS retrying
              FROM (SELECT v.* FROM durable.waiting v
                    WHERE v.name = parameters ->> 'name' OR nullif(parameters ->> 'name', '') IS NULL LIMIT most) w
              GROUP BY w.name, w.kind, w.detail ORDER BY overdue DESC, retrying DESC, waits LIMIT 500) g;
    ELSE
        SELECT json_build_object(
                'instances', coalesce(json_agg(json_build_object(
                    'instanceId', i.instance_id, 'name', i.name, 'runtimeStatus', i.runtime_status,
                    'waits', durable.http_waits(i.instance_id, i.owner), 'createdTime', durable.http_timestamp(i.created_time),
                    'lastUpdatedTime', durable.http_timestamp(i.last_updated_time), 'completedTime', durable.http_timestamp(i.completed_time),
                    'durationMs', round(extract(epoch FROM i.duration) * 1000), 'computeMs', round(extract(epoch FROM i.compute_time) * 1000, 3),
                    'turns', i.turns, 'parentInstanceId', i.parent_instance_id, 'owner', i.owner::text) ORDER BY p.since, p.instance_id), '[]'),
                'next', CASE WHEN count(*) = size THEN (skip + size)::text END)
            INTO answer
        FROM (SELECT w.instance_id, w.owner, min(w.since) AS since
              FROM (SELECT v.* FROM durable.waiting v
                    WHERE v.name = parameters ->> 'name' OR nullif(parameters ->> 'name', '') IS NULL LIMIT most) w
              WHERE w.kind = parameters ->> 'kind' AND coalesce(w.detail, '') = coalesce(parameters ->> 'detail', '')
              GROUP BY w.instance_id, w.owner ORDER BY min(w.since), w.instance_id OFFSET skip LIMIT size) p
             CROSS JOIN LATERAL (SELECT * FROM durable.instances x WHERE x.instance_id = p.instance_id AND x.owner = p.owner OFFSET 0) i;
    END IF;
    RETURN durable.http_json(200, answer::text);
END;
$$;

-- Views of parts of the engine that may not be installed.  may_control says whether the caller may act on a row.
CREATE FUNCTION durable.http_view(name text) RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    rows json;
BEGIN
    IF to_regclass('durable.' || quote_ident(name)) IS NULL THEN
        RETURN durable.http_error(404, format('This version of the engine has no %s.', name));
    END IF;
    CASE name
        WHEN 'schedules' THEN SELECT json_agg(to_json(v)) INTO rows FROM (SELECT x.*, pg_has_role(x.owner, 'USAGE') AS may_control FROM durable.schedules x LIMIT 10000) v;
        WHEN 'queues' THEN SELECT json_agg(to_json(v)) INTO rows FROM (SELECT x.*, pg_has_role(x.owner, 'USAGE') AS may_control FROM durable.queues x LIMIT 10000) v;
        WHEN 'leases' THEN SELECT json_agg(to_json(v)) INTO rows FROM (SELECT * FROM durable.leases LIMIT 10000) v;
        WHEN 'entities' THEN SELECT json_agg(to_json(v)) INTO rows FROM (SELECT * FROM durable.entities LIMIT 10000) v;
        WHEN 'workers' THEN SELECT json_agg(to_json(v)) INTO rows FROM (SELECT * FROM durable.workers ORDER BY pid) v;
        WHEN 'registrations' THEN SELECT json_agg(to_json(v)) INTO rows FROM (SELECT * FROM durable.registrations ORDER BY kind, name, owner::text LIMIT 10000) v;
    END CASE;
    RETURN durable.http_json(200, json_build_object(name, coalesce(rows, '[]'))::text);
END;
$$;

-- GET counts.  Without the view durable.counts all instances are counted, which takes longer.
CREATE FUNCTION durable.http_counts() RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    rows json;
BEGIN
    IF to_regclass('durable.counts') IS NOT NULL THEN
        SELECT json_agg(to_json(c)) INTO rows FROM (SELECT * FROM durable.counts) c;
    ELSE
        SELECT json_agg(to_json(c)) INTO rows
        FROM (SELECT i.name, i.runtime_status, count(*) AS instances FROM durable.instances i GROUP BY 1, 2 ORDER BY 1, 2) c;
    END IF;
    RETURN durable.http_json(200, json_build_object('counts', coalesce(rows, '[]'))::text);
END;
$$;

-- For Prometheus.
CREATE FUNCTION durable.http_metrics() RETURNS durable.http_response
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    counts json := (durable.http_counts()).body::json -> 'counts';
    lines text;
BEGIN
    SELECT string_agg(format('durable_instances{name="%s",status="%s"} %s', replace(replace(replace(c.name, '\', '\\'), '"', '\"'), E'\n', '\n'),
                             c.runtime_status, c.instances) || E'\n', '' ORDER BY c.name, c.runtime_status)
        INTO lines
    FROM json_to_recordset(counts) AS c (name text, runtime_status text, instances bigint);
    RETURN ROW(200, '{"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}'::jsonb,
        E'# HELP durable_instances Instances by orchestration and status.\n# TYPE durable_instances gauge\n' || coalesce(lines, '')
        || E'# HELP durable_workers Worker processes of the database by state.\n# TYPE durable_workers gauge\n'
        || coalesce((SELECT string_agg(format(E'durable_workers{state="%s"} %s\n', w.state, w.n), '' ORDER BY w.state)
                     FROM (SELECT state, count(*) AS n FROM durable.workers GROUP BY state) w), ''))::durable.http_response;
END;
$$;

CREATE FUNCTION durable.http_monitor(method text, segments text[], query text, body text, headers jsonb) RETURNS durable.http_response
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    parameters jsonb := durable.url_query(query);
    nsegments integer := cardinality(segments);
    what text := lower(segments[1]);
    part text := lower(segments[3]);
BEGIN
    IF method = 'POST' THEN
        IF NOT (what = 'bulk' AND nsegments = 1) AND NOT (what IN ('schedules', 'queues') AND nsegments = 3) THEN
            RETURN durable.http_empty(404);
        ELSIF durable.http_is_form(body, headers) THEN
            RETURN durable.http_error(415, 'The body of a request has to be JSON, with Content-Type: application/json.');
        ELSIF what = 'bulk' THEN
            RETURN durable.http_bulk(durable.http_input(body));
        END IF;
        RETURN durable.http_act(what, segments[2], part);
    ELSIF method <> 'GET' THEN
        RETURN durable.http_empty(404);
    END IF;
    IF what = 'instances' AND nsegments = 1 THEN
        RETURN durable.http_monitor_list(parameters);
    ELSIF what = 'instances' AND nsegments = 2 THEN
        RETURN durable.http_monitor_instance(segments[2], parameters);
    ELSIF what = 'instances' AND nsegments = 3 THEN
        CASE part
            WHEN 'result' THEN RETURN durable.http_result(segments[2], parameters, headers);
            WHEN 'history' THEN RETURN durable.http_monitor_history(segments[2], parameters);
            WHEN 'calls' THEN RETURN durable.http_monitor_calls(segments[2]);
            WHEN 'source' THEN RETURN durable.http_monitor_source(segments[2]);
            WHEN 'explain' THEN
                RETURN ROW(200, '{"Content-Type": "text/plain; charset=utf-8"}',
                           (SELECT string_agg(e, E'\n') FROM durable.explain(segments[2], coalesce(parameters ->> 'format', 'text')) AS e))::durable.http_response;
            ELSE RETURN durable.http_empty(404);
        END CASE;
    ELSIF nsegments = 1 AND what IN ('schedules', 'queues', 'leases', 'entities', 'workers', 'registrations') THEN
        RETURN durable.http_view(what);
    ELSIF nsegments = 1 AND what = 'waiting' THEN
        RETURN durable.http_waiting(parameters);
    ELSIF nsegments = 1 AND what = 'counts' THEN
        RETURN durable.http_counts();
    ELSIF nsegments = 1 AND what = 'metrics' THEN
        RETURN durable.http_metrics();
    ELSIF nsegments = 1 AND what = 'doctor' THEN
        RETURN durable.http_json(200, json_build_object('checks',
            (SELECT json_agg(json_build_object('name', d.check_name, 'ok', d.ok, 'detail', d.detail, 'hint', d.hint)) FROM durable.doctor() d))::text);
    ELSIF nsegments = 1 AND what = 'about' THEN
        RETURN durable.http_json(200, json_build_object('version', durable.version(), 'server', current_setting('server_version'),
            'database', current_database(), 'role', current_user, 'now', durable.http_timestamp(durable.clock()),
            'isReadOnly', pg_is_in_recovery(),
            'mounts', (SELECT coalesce(json_agg(m.prefix), '[]') FROM durable.http_mounts() m))::text);
    END IF;
    RETURN durable.http_empty(404);
END;
$$;

COMMENT ON FUNCTION durable.http_monitor(text, text[], text, text, jsonb) IS 'answers a request to the routes of the monitor';
COMMENT ON FUNCTION durable.http_monitor_list(jsonb) IS 'GET instances of the monitor';
COMMENT ON FUNCTION durable.http_monitor_instance(text, jsonb) IS 'GET instances/ID of the monitor';
COMMENT ON FUNCTION durable.http_monitor_history(text, jsonb) IS 'GET instances/ID/history of the monitor';
COMMENT ON FUNCTION durable.http_monitor_calls(text) IS 'GET instances/ID/calls of the monitor';
COMMENT ON FUNCTION durable.http_monitor_source(text) IS 'GET instances/ID/source of the monitor';
COMMENT ON FUNCTION durable.http_waiting(jsonb) IS 'GET waiting of the monitor';
COMMENT ON FUNCTION durable.http_bulk(jsonb) IS 'POST bulk of the monitor';
COMMENT ON FUNCTION durable.http_act(text, text, text) IS 'POST schedules/NAME/ACTION and queues/NAME/ACTION of the monitor';
COMMENT ON FUNCTION durable.http_view(text) IS 'rows of a view, for the monitor';
COMMENT ON FUNCTION durable.http_metrics() IS 'metrics in the text format of Prometheus';
COMMENT ON FUNCTION durable.http_counts() IS 'GET counts of the monitor';
COMMENT ON FUNCTION durable.http_waits(text, regrole) IS 'tasks for which an instance waits, for the monitor';
COMMENT ON FUNCTION durable.http_payload(jsonb, integer) IS 'payload for the monitor, truncated if it is long';
