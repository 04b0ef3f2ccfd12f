-- Finding instances among many.

-- The columns of durable.instances, and a cursor that marks the row.
CREATE TYPE durable.query_row AS (
    instance_id         text COLLATE "C",
    name                text,
    runtime_status      text,
    waiting_on          text,
    created_time        timestamptz,
    last_updated_time   timestamptz,
    completed_time      timestamptz,
    duration            interval,
    compute_time        interval,
    turns               integer,
    execution           integer,
    parent_instance_id  text COLLATE "C",
    version             text,
    owner               regrole,
    custom_status       jsonb,
    input               jsonb,
    output              jsonb,
    failure             jsonb,
    tags                jsonb,
    suspend_reason      text,
    dropped_events      integer,
    page_cursor         text
);

CREATE FUNCTION durable.query(
    name            text        DEFAULT NULL,
    statuses        text[]      DEFAULT NULL,
    created_from    timestamptz DEFAULT NULL,
    created_to      timestamptz DEFAULT NULL,
    id_prefix       text        DEFAULT NULL,
    tags            jsonb       DEFAULT NULL,
    page_size       integer     DEFAULT 100,
    after           text        DEFAULT NULL)
RETURNS SETOF durable.query_row
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'durable_query';

COMMENT ON TYPE durable.query_row IS
    'row of durable.query: the status of an instance as in durable.instances, and the cursor of the next page';
COMMENT ON FUNCTION durable.query(text, text[], timestamptz, timestamptz, text, jsonb, integer, text) IS
    'lists the instances that you may see and that match all given conditions, newest first, one page at a time';

-- The calls of the present execution, and their answers.  kind: activity, timer,
-- event, orchestration; send, start, log and patch, which have no answers.  state:
-- waiting, completed, failed, canceled.
CREATE FUNCTION durable.calls(
    instance_id     text,
    OUT task        durable.task,
    OUT kind        text,
    OUT name        text,
    OUT target      text,
    OUT input       jsonb,
    OUT due         timestamptz,
    OUT called_at   timestamptz,
    OUT state       text,
    OUT answered_at timestamptz,
    OUT result      jsonb)
RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_calls';

-- Counts activities and sub-orchestrations, to show the progress of a large fan-out.
CREATE FUNCTION durable.progress(
    instance_id     text,
    OUT scheduled   bigint,
    OUT completed   bigint,
    OUT failed      bigint,
    OUT waiting     bigint)
RETURNS record
LANGUAGE sql
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT count(*), count(*) FILTER (WHERE state = 'completed'), count(*) FILTER (WHERE state = 'failed'),
           count(*) FILTER (WHERE state = 'waiting')
    FROM durable.calls($1) WHERE kind IN ('activity', 'orchestration')
$$;

CREATE FUNCTION durable.source(instance_id text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_source';

-- Shortens a payload, which may be large and have several lines, to one line.
CREATE FUNCTION durable.shorten(payload text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN length(line) > 60 THEN left(line, 57) || '...' ELSE line END
    FROM translate(left(payload, 200), E'\n\r\t', '   ') AS line
$$;

-- Characters that have a meaning in a Mermaid diagram are written as character codes.
CREATE FUNCTION durable.mermaid_text(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT string_agg(CASE WHEN c ~ '^[A-Za-z0-9 _.,:()/@+-]$' THEN c ELSE '#' || ascii(c) || ';' END, '' ORDER BY n)
    FROM regexp_split_to_table(durable.shorten(words), '') WITH ORDINALITY AS t (c, n)
$$;

CREATE FUNCTION durable.explain(instance_id text, format text DEFAULT 'text') RETURNS SETOF text
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    shown CONSTANT integer := 200;
    s durable.instance_status;
    waits jsonb;
    calls jsonb;
    ncalls integer;
    source text[];
BEGIN
    IF explain.format IS NULL OR explain.format NOT IN ('text', 'json', 'mermaid') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid value for parameter "format": "%s"', left(coalesce(explain.format, 'null'), 100)),
            HINT = 'Valid values are "text", "json", and "mermaid".';
    END IF;
    s := durable.status(explain.instance_id);
    source := string_to_array(durable.source(explain.instance_id), E'\n');
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(w) - 'instance_id' - 'name' - 'owner') || jsonb_build_object('source', trim(source[w.line]))
                              ORDER BY w.since, w.kind, w.detail), '[]') INTO waits
    FROM durable.waiting w WHERE w.instance_id = s.instance_id AND w.owner = s.owner;
    SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.task), '[]'), count(*) INTO calls, ncalls
    FROM durable.calls(explain.instance_id) c;

    IF explain.format = 'json' THEN
        RETURN NEXT jsonb_pretty(jsonb_build_object(
            'instance_id', s.instance_id, 'name', s.name, 'runtime_status', s.runtime_status, 'owner', s.owner,
            'execution', s.execution, 'turns', s.turns, 'created_time', s.created_time, 'completed_time', s.completed_time,
            'custom_status', s.custom_status, 'input', s.input, 'output', s.output, 'failure', s.failure,
            'waits_for', waits, 'calls', calls));
        RETURN;
    END IF;

    IF explain.format = 'mermaid' THEN
        RETURN NEXT 'sequenceDiagram';
        RETURN NEXT '    participant This as ' || durable.mermaid_text(s.instance_id);
        RETURN QUERY
            SELECT format('    participant %s as %s', initcap(k.kind), k.kind)
            FROM (SELECT DISTINCT c.kind FROM jsonb_to_recordset(calls) AS c (kind text, task bigint)
                  WHERE c.task > ncalls - shown) k ORDER BY array_position('{activity,timer,event,orchestration,send,start,entity,signal,lock,unlock,log,patch}', k.kind);
        IF ncalls > shown THEN
            RETURN NEXT format('    Note over This: %s earlier calls', ncalls - shown);
        END IF;
        RETURN QUERY
            SELECT line FROM (
                SELECT c.called_at AS at, c.task, 1 AS side,
                       format('    This->>%s: %s', initcap(c.kind), durable.mermaid_text(concat_ws(' ', c.task || '.', coalesce(c.name, c.due::text), c.input))) AS line
                FROM jsonb_to_recordset(calls) AS c (task bigint, kind text, name text, input jsonb, due timestamptz, called_at timestamptz)
                WHERE c.task > ncalls - shown
                UNION ALL
                SELECT c.answered_at, c.task, 2,
                       format('    %s--%sThis: %s', initcap(c.kind), CASE c.state WHEN 'failed' THEN 'x' ELSE '>>' END,
                              durable.mermaid_text(concat_ws(' ', c.task || '.', c.state, coalesce(c.result ->> 'message', c.result::text))))
                FROM jsonb_to_recordset(calls) AS c (task bigint, kind text, state text, answered_at timestamptz, result jsonb)
                WHERE c.answered_at IS NOT NULL AND c.task > ncalls - shown) lines
            ORDER BY at, task, side;
        RETURN QUERY
            SELECT '    Note over This: ' || durable.mermaid_text(concat_ws(' ', 'waits for', w.kind, w.detail, w.due))
            FROM jsonb_to_recordset(waits) AS w (kind text, detail text, due timestamptz);
        IF s.completed_time IS NOT NULL THEN
            RETURN NEXT '    Note over This: ' || durable.mermaid_text(s.runtime_status);
        END IF;
        RETURN;
    END IF;

    RETURN NEXT format('%s "%s" of %s: %s, execution %s, %s turns', s.name, s.instance_id, s.owner, s.runtime_status, s.execution, s.turns);
    RETURN NEXT format('created %s%s', s.created_time, ', ended ' || s.completed_time);
    IF s.parent_instance_id IS NOT NULL THEN
        RETURN NEXT format('sub-orchestration of "%s"', s.parent_instance_id);
    END IF;
    IF s.custom_status IS NOT NULL THEN
        RETURN NEXT 'custom status: ' || durable.shorten(s.custom_status::text);
    END IF;
    IF ncalls > shown THEN
        RETURN NEXT format('%s earlier calls', ncalls - shown);
    END IF;
    RETURN QUERY
        SELECT concat_ws(' ', format('%s. %s', c.task, c.kind), c.name, '"' || c.target || '"', c.due, durable.shorten(c.input::text))
               || ': ' || c.state || coalesce(' after ' || round(extract(epoch FROM c.answered_at - c.called_at), 3) || ' s', '')
               || coalesce(': ' || durable.shorten(coalesce(CASE WHEN c.state = 'failed' THEN c.result ->> 'message' END, c.result::text)), '')
        FROM jsonb_to_recordset(calls) AS c (task bigint, kind text, name text, target text, input jsonb, due timestamptz,
                                             called_at timestamptz, state text, answered_at timestamptz, result jsonb)
        WHERE c.task > ncalls - shown ORDER BY c.task;
    IF s.output IS NOT NULL THEN
        RETURN NEXT 'output: ' || durable.shorten(s.output::text);
    ELSIF s.failure IS NOT NULL THEN
        RETURN NEXT concat_ws(' ', CASE s.runtime_status WHEN 'Failed' THEN 'failure:' ELSE 'reason:' END, s.failure ->> 'sqlstate',
                              durable.shorten(coalesce(s.failure ->> 'message', s.failure ->> 'reason')));
    END IF;
    RETURN QUERY
        SELECT concat_ws(' ', 'waits for', w.kind, w.detail, w.due, 'since ' || w.since)
               || coalesce(', in queue ' || w.queue || CASE WHEN w.leased_at IS NULL THEN ', no worker has it' ELSE
                                                       format(', worker %shas it since %s', '"' || w.worker || '" ', w.leased_at) END, '')
               || coalesce(', line ' || w.line || ': ' || w.source, '')
        FROM jsonb_to_recordset(waits) AS w (kind text, detail text, due timestamptz, since timestamptz, line integer, source text,
                                             queue text, worker text, leased_at timestamptz);
    -- These show names that were misspelled.
    RETURN QUERY
        SELECT format('has received event %s%s, and has not asked for it', b.event, CASE WHEN count(*) > 1 THEN ' ' || count(*) || ' times' END)
        FROM durable.buffered_events b WHERE b.instance_id = s.instance_id AND b.owner = s.owner GROUP BY b.event ORDER BY b.event;
END;
$$;

COMMENT ON FUNCTION durable.calls(text) IS
    'lists the durable calls that an instance has made in its current execution, and their answers';
COMMENT ON FUNCTION durable.progress(text) IS
    'counts the activities and sub-orchestrations that an instance has scheduled in its current execution, and those that were answered';
COMMENT ON FUNCTION durable.source(text) IS 'returns the source of the function that an instance runs';
COMMENT ON FUNCTION durable.shorten(text) IS 'shortens a text to one line for durable.explain';
COMMENT ON FUNCTION durable.mermaid_text(text) IS 'quotes a text for a diagram of durable.explain';
COMMENT ON FUNCTION durable.explain(text, text) IS
    'explains the state of an instance: its calls, their answers, and the calls for which it waits, with lines of the source; format is text, json or mermaid';
