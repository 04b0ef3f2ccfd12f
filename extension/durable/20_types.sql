-- Types of the public functions.

-- The number of a durable call in its instance.  durable.schedule_activity and similar functions return it,
-- durable.when_any and similar functions take it.
CREATE DOMAIN durable.task AS bigint;

-- The columns of the view durable.instances, in the same order.
CREATE TYPE durable.instance_status AS (
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
    dropped_events      integer
);

-- Return value of the handler of an entity.  A null state deletes the entity.
CREATE TYPE durable.entity_result AS (
    state   jsonb,
    result  jsonb
);

COMMENT ON TYPE durable.entity_result IS 'return value of the handler of an entity: its new state, and the result of the operation';
COMMENT ON DOMAIN durable.task IS 'handle of an activity, timer, event wait, or sub-orchestration that an orchestration has scheduled';
COMMENT ON TYPE durable.instance_status IS 'status of an instance: a row of durable.instances';
