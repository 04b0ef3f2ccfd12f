-- Functions for clients.  They take part in the caller's transaction.  They are VOLATILE and PARALLEL UNSAFE
-- unless declared otherwise, because they write, or read with a newer snapshot than that of the query.

CREATE FUNCTION durable.start(
    name            text,
    input           "any"       DEFAULT NULL,
    instance_id     text        DEFAULT NULL,
    start_at        timestamptz DEFAULT NULL,
    version         text        DEFAULT NULL,
    tags            jsonb       DEFAULT NULL,
    on_conflict     text        DEFAULT 'error')
RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_start';

CREATE FUNCTION durable.start_or_get(
    name            text,
    input           "any"       DEFAULT NULL,
    INOUT instance_id text      DEFAULT NULL,
    start_at        timestamptz DEFAULT NULL,
    version         text        DEFAULT NULL,
    tags            jsonb       DEFAULT NULL,
    OUT is_new      boolean)
RETURNS record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_start_or_get';

CREATE PROCEDURE durable.run(
    name            text,
    input           "any"       DEFAULT NULL,
    timeout         interval    DEFAULT '30 s',
    INOUT output    jsonb       DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_run';

CREATE FUNCTION durable.raise_event(
    instance_id     text,
    name            text,
    data            "any"       DEFAULT NULL)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_raise_event';

CREATE FUNCTION durable.wait(
    instance_id     text,
    timeout         interval    DEFAULT '30 s')
RETURNS durable.instance_status
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_wait';

CREATE PROCEDURE durable.wait_for(
    instance_id          text,
    timeout              interval DEFAULT '30 s',
    INOUT runtime_status text     DEFAULT NULL,
    INOUT output         jsonb    DEFAULT NULL,
    INOUT failure        jsonb    DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_wait_for';

CREATE FUNCTION durable.status(instance_id text)
RETURNS durable.instance_status
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_status';

CREATE FUNCTION durable.history(
    instance_id     text,
    OUT execution   integer,
    OUT seq         integer,
    OUT event_type  text,
    OUT task        durable.task,
    OUT name        text,
    OUT payload     jsonb,
    OUT created_at  timestamptz,
    OUT detail      jsonb)
RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_history';

CREATE FUNCTION durable.terminate(
    instance_id     text,
    reason          text        DEFAULT NULL,
    recursive       boolean     DEFAULT true)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_terminate';

CREATE FUNCTION durable.suspend(instance_id text, reason text DEFAULT NULL)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_suspend';

CREATE FUNCTION durable.resume(instance_id text, reason text DEFAULT NULL)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_resume';

CREATE FUNCTION durable.purge(instance_id text)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_purge';

CREATE FUNCTION durable.purge_family(instance_id text)
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_purge_family';

CREATE FUNCTION durable.purge_history(
    older_than      interval    DEFAULT '30 days',
    statuses        text[]      DEFAULT NULL,
    name            text        DEFAULT NULL,
    batch           integer     DEFAULT 1000)
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_purge_history';

COMMENT ON FUNCTION durable.start(text, "any", text, timestamptz, text, jsonb, text) IS
    'starts an orchestration at commit, or at start_at, and returns the instance id; on_conflict selects the action if the id is taken: error, return, or replace_finished';
COMMENT ON FUNCTION durable.start_or_get(text, "any", text, timestamptz, text, jsonb) IS
    'starts an orchestration as durable.start does, unless the caller has an instance with that id; also returns whether it was started';
COMMENT ON PROCEDURE durable.run(text, "any", interval, jsonb) IS
    'starts an orchestration, commits, waits for its end, and returns its output or raises its failure';
COMMENT ON FUNCTION durable.raise_event(text, text, "any") IS
    'sends an event to an instance; the event is kept until the instance waits for it';
COMMENT ON FUNCTION durable.wait(text, interval) IS
    'waits until an instance is finished or the timeout expires, and returns its status; NULL waits without limit';
COMMENT ON PROCEDURE durable.wait_for(text, interval, text, jsonb, jsonb) IS
    'waits as durable.wait does, but ends the transaction first and holds no snapshot; works on a standby';
COMMENT ON FUNCTION durable.status(text) IS 'returns the current status of an instance';
COMMENT ON FUNCTION durable.history(text) IS
    'lists the events of the current execution of an instance, one row for each event';
COMMENT ON FUNCTION durable.terminate(text, text, boolean) IS
    'ends an instance, its running activity and, unless recursive is false, its sub-orchestrations';
COMMENT ON FUNCTION durable.suspend(text, text) IS
    'suspends an instance; messages are kept until it is resumed';
COMMENT ON FUNCTION durable.resume(text, text) IS 'resumes a suspended instance';
COMMENT ON FUNCTION durable.purge(text) IS 'deletes a finished instance and its history';
COMMENT ON FUNCTION durable.purge_family(text) IS
    'deletes a finished instance as durable.purge does, and returns the number of instances that were deleted, including its sub-orchestrations';
COMMENT ON FUNCTION durable.purge_history(interval, text[], text, integer) IS
    'deletes the finished instances of the caller that are older than the given interval, and returns their number';
