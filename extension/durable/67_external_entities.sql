-- External entities: programs outside of the database run their operations.

-- Operations of an entity that a worker has fetched; docs/external.md describes them.
CREATE TYPE durable.entity_batch AS (
    token        text,
    queue        text COLLATE "C",
    name         text,
    entity_id    text COLLATE "C",
    attempt      integer,
    state        text,
    operations   jsonb,
    leased_until timestamptz,
    scheduled_at timestamptz
);

CREATE FUNCTION durable.fetch_entities(
    queue        text,
    worker       text     DEFAULT NULL,
    max_batches  integer  DEFAULT 1,
    lease        interval DEFAULT '30 seconds',
    names        text[]   DEFAULT NULL,
    with_session boolean  DEFAULT false)
RETURNS SETOF durable.entity_batch LANGUAGE C VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'durable_fetch_entities';

CREATE FUNCTION durable.complete_entity(token text, results jsonb, state text, actions jsonb DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_complete_entity';

CREATE FUNCTION durable.complete_entities(
    tokens   text[],
    results  jsonb[],
    states   text[],
    actions  jsonb[] DEFAULT NULL,
    on_stale text    DEFAULT 'error')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_complete_entities';

CREATE FUNCTION durable.signal_entity_text(
    entity_id  text,
    operation  text,
    input      text        DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    queue      text        DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_signal_entity_text';

COMMENT ON TYPE durable.entity_batch IS 'operations of an external entity that a worker has fetched';
COMMENT ON FUNCTION durable.fetch_entities(text, text, integer, interval, text[], boolean) IS
    'leases operations of external entities from a queue';
COMMENT ON FUNCTION durable.complete_entity(text, jsonb, text, jsonb) IS
    'completes operations of an entity with their results, the new state, and actions';
COMMENT ON FUNCTION durable.complete_entities(text[], jsonb[], text[], jsonb[], text) IS
    'completes operations of several entities, and returns the number of valid tokens';
COMMENT ON FUNCTION durable.signal_entity_text(text, text, text, timestamptz, text) IS
    'sends an operation to an entity with a text that is stored byte for byte';
