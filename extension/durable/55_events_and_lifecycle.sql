-- Further functions for clients: restarting, starting with an event, topics, waiting for one of several instances.

CREATE FUNCTION durable.restart(instance_id text, new_instance_id boolean DEFAULT false)
RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_restart';

CREATE FUNCTION durable.rewind(instance_id text, reason text DEFAULT NULL)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_rewind';

CREATE FUNCTION durable.rewind_all(
    name            text        DEFAULT NULL,
    failed_since    timestamptz DEFAULT NULL,
    reason          text        DEFAULT NULL)
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_rewind_all';

CREATE FUNCTION durable.start_with_event(
    name            text,
    instance_id     text,
    event           text,
    data            "any"       DEFAULT NULL,
    input           "any"       DEFAULT NULL,
    tags            jsonb       DEFAULT NULL,
    on_finished     text        DEFAULT 'error')
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_start_with_event';

CREATE FUNCTION durable.publish(topic text, data "any" DEFAULT NULL)
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_publish';

CREATE FUNCTION durable.subscribe_instance(instance_id text, topic text)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_subscribe_instance';

CREATE FUNCTION durable.unsubscribe_instance(instance_id text, topic text)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_unsubscribe_instance';

-- For orchestrations.  These run as activities, so they are part of the history and of the commit.
CREATE FUNCTION durable.subscribe(topic text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM durable.call_activity('durable.subscribe_instance(text, text)',
                                  pg_catalog.jsonb_build_object('instance_id', durable.instance_id(), 'topic', topic));
END;
$$;

CREATE FUNCTION durable.unsubscribe(topic text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM durable.call_activity('durable.unsubscribe_instance(text, text)',
                                  pg_catalog.jsonb_build_object('instance_id', durable.instance_id(), 'topic', topic));
END;
$$;

CREATE FUNCTION durable.wait_any(instance_ids text[], timeout interval DEFAULT '30 s')
RETURNS durable.instance_status
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_wait_any';

CREATE PROCEDURE durable.wait_for_any(
    instance_ids         text[],
    timeout              interval DEFAULT '30 s',
    INOUT instance_id    text     DEFAULT NULL,
    INOUT runtime_status text     DEFAULT NULL,
    INOUT output         jsonb    DEFAULT NULL,
    INOUT failure        jsonb    DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_wait_for_any';

COMMENT ON PROCEDURE durable.wait_for_any(text[], interval, text, text, jsonb, jsonb) IS
    'waits as durable.wait_any does, but ends the transaction first and holds no snapshot; works on a standby';
COMMENT ON FUNCTION durable.restart(text, boolean) IS
    'starts the orchestration of an instance again with the same input and tags, either in place of the finished instance or under a new id, and returns the id';
COMMENT ON FUNCTION durable.rewind(text, text) IS
    'continues a failed instance: runs the failed parts of the instance and of its sub-orchestrations again';
COMMENT ON FUNCTION durable.rewind_all(text, timestamptz, text) IS
    'rewinds the failed instances of an orchestration that ended since the given time, and returns their number';
COMMENT ON FUNCTION durable.start_with_event(text, text, text, "any", "any", jsonb, text) IS
    'sends an event to an instance and starts the instance if it does not exist';
COMMENT ON FUNCTION durable.publish(text, "any") IS
    'sends an event with the name of the topic to every instance that is subscribed to the topic, and returns the number of these instances';
COMMENT ON FUNCTION durable.subscribe_instance(text, text) IS
    'subscribes an instance to the events of a topic';
COMMENT ON FUNCTION durable.unsubscribe_instance(text, text) IS 'ends a subscription made with durable.subscribe_instance';
COMMENT ON FUNCTION durable.subscribe(text) IS
    'subscribes this instance to the events of a topic, also after durable.continue_as_new';
COMMENT ON FUNCTION durable.unsubscribe(text) IS 'ends a subscription made with durable.subscribe';
COMMENT ON FUNCTION durable.wait_any(text[], interval) IS
    'waits until one of the instances is finished and returns its status; all columns are null if the timeout expires first';
