-- Finding instances among many.

-- The columns of durable.instances, and the cursor of the row.
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
    'a row of durable.query: how an instance is, as in durable.instances, and the cursor after which the next page begins';
COMMENT ON FUNCTION durable.query(text, text[], timestamptz, timestamptz, text, jsonb, integer, text) IS
    'the instances you may see that match all that is given, the newest first, a page at a time';
