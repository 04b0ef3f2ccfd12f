-- More that clients call: restarting, starting with an event, topics, waiting for one of many.

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

-- In an orchestration: activities, so they are part of its history and of its commit.
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

COMMENT ON FUNCTION durable.restart(text, boolean) IS
    'starts the orchestration of an instance once more with the same input and tags, in place of it when it is finished or under a new id, and returns the id';
COMMENT ON FUNCTION durable.rewind(text, text) IS
    'lets a failed instance go on where it was: what has failed in it, and in its sub-orchestrations, is run again';
COMMENT ON FUNCTION durable.rewind_all(text, timestamptz, text) IS
    'rewinds the failed instances of an orchestration that have ended since then, and returns how many';
COMMENT ON FUNCTION durable.start_with_event(text, text, text, "any", "any", jsonb, text) IS
    'sends an event to an instance, which is started if it is not there';
COMMENT ON FUNCTION durable.publish(text, "any") IS
    'sends an event, named like the topic, to every instance that has subscribed to the topic, and returns how many there are';
COMMENT ON FUNCTION durable.subscribe_instance(text, text) IS
    'lets an instance get the events that are published on a topic';
COMMENT ON FUNCTION durable.unsubscribe_instance(text, text) IS 'ends what durable.subscribe_instance has begun';
COMMENT ON FUNCTION durable.subscribe(text) IS
    'lets this instance get the events that are published on a topic, also after durable.continue_as_new';
COMMENT ON FUNCTION durable.unsubscribe(text) IS 'ends what durable.subscribe has begun';
COMMENT ON FUNCTION durable.wait_any(text[], interval) IS
    'waits until one of the instances is finished, and returns how it is; all columns are null when the time is over before that';
