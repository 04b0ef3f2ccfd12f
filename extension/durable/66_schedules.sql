-- Starts orchestrations at the times of a cron expression.  Jobs of pg_cron call the engine at these times.

CREATE FUNCTION durable.schedule(
    schedule_name   text,
    cron            text,
    orchestration   text,
    input           "any"       DEFAULT NULL,
    timezone        text        DEFAULT 'UTC',
    overlap         text        DEFAULT 'skip',
    catch_up        interval    DEFAULT '1 hour',
    jitter          interval    DEFAULT NULL,
    starts_at       timestamptz DEFAULT NULL,
    ends_at         timestamptz DEFAULT NULL)
RETURNS timestamptz
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_schedule';

CREATE FUNCTION durable.alter_schedule(
    schedule_name   text,
    cron            text        DEFAULT NULL,
    orchestration   text        DEFAULT NULL,
    input           "any"       DEFAULT NULL,
    timezone        text        DEFAULT NULL,
    overlap         text        DEFAULT NULL,
    catch_up        interval    DEFAULT NULL,
    jitter          interval    DEFAULT NULL,
    starts_at       timestamptz DEFAULT NULL,
    ends_at         timestamptz DEFAULT NULL)
RETURNS timestamptz
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_alter_schedule';

CREATE FUNCTION durable.unschedule(schedule_name text)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_unschedule';

CREATE FUNCTION durable.pause_schedule(schedule_name text)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_pause_schedule';

CREATE FUNCTION durable.unpause_schedule(schedule_name text)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_unpause_schedule';

CREATE FUNCTION durable.trigger_schedule(schedule_name text)
RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_trigger_schedule';

CREATE FUNCTION durable.backfill(schedule_name text, from_time timestamptz, to_time timestamptz)
RETURNS integer
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_backfill';

CREATE FUNCTION durable.schedule_times(
    cron            text,
    timezone        text        DEFAULT 'UTC',
    from_time       timestamptz DEFAULT NULL,
    count           integer     DEFAULT 10)
RETURNS SETOF timestamptz
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_schedule_times';

CREATE FUNCTION durable.tick_schedule(schedule_name text)
RETURNS integer
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_tick_schedule';

CREATE FUNCTION durable.tick_schedules()
RETURNS integer
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_tick_schedules';

-- The runner of a schedule whose overlap policy makes runs wait for each other.  This orchestration gets each
-- run as an event, and never ends.  An execution runs one instance; queue has the runs that came meanwhile.
CREATE FUNCTION durable.run_one_by_one(queue jsonb DEFAULT '[]') RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    run     jsonb := queue -> 0;
    ended   durable.task;
    event   durable.task;
    another jsonb;
BEGIN
    IF run IS NULL THEN
        run := durable.wait_for_external_event('run');
    END IF;
    queue := queue OPERATOR(pg_catalog.-) 0;
    IF run ->> 'start_at' IS NOT NULL THEN
        PERFORM durable.result(durable.create_timer((run ->> 'start_at')::timestamptz, 'jitter'));
    END IF;
    PERFORM durable.set_custom_status(pg_catalog.jsonb_build_object('last_begun', run ->> 'instance_id'));
    ended := durable.schedule_sub_orchestrator(run ->> 'orchestration', run -> 'input', run ->> 'instance_id',
                                               close_policy => 'abandon');
    LOOP
        event := durable.external_event('run');
        EXIT WHEN durable.when_any(ended, event) = ended;
        another := durable.result(event);
        IF another ->> 'replace' IS NOT NULL THEN
            queue := '[]';
        END IF;
        queue := queue || pg_catalog.jsonb_build_array(another);
    END LOOP;
    PERFORM durable.cancel_timer(event);
    PERFORM durable.continue_as_new(queue);
END;
$$;

CREATE VIEW durable.schedules WITH (security_barrier = true) AS
SELECT s.name,
       s.cron,
       s.timezone,
       s.orchestration,
       s.overlap,
       s.catch_up,
       s.jitter,
       s.starts_at,
       s.ends_at,
       s.is_paused,
       CASE WHEN NOT s.is_paused THEN
           (SELECT t FROM durable.schedule_times(s.cron, s.timezone, greatest(durable.clock(), s.starts_at), 1) t
            WHERE s.ends_at IS NULL OR t <= s.ends_at)
       END AS next_time,
       s.last_time,
       s.last_instance,
       s.missed,
       s.skipped,
       s.owner,
       CASE WHEN durable.may_read(s.owner) THEN s.input END AS input
FROM durable.schedule s
WHERE durable.may_see(s.owner);

COMMENT ON FUNCTION durable.schedule(text, text, text, "any", text, text, interval, interval, timestamptz, timestamptz) IS
    'starts an orchestration at the times of a cron expression in a time zone, and returns the first time; requires pg_cron';
COMMENT ON FUNCTION durable.alter_schedule(text, text, text, "any", text, text, interval, interval, timestamptz, timestamptz) IS
    'changes a schedule and returns its next time; parameters that are null change nothing';
COMMENT ON FUNCTION durable.unschedule(text) IS 'removes a schedule; instances that it has started continue';
COMMENT ON FUNCTION durable.pause_schedule(text) IS 'pauses a schedule: it starts no instances';
COMMENT ON FUNCTION durable.unpause_schedule(text) IS
    'ends durable.pause_schedule(); times within the pause are skipped';
COMMENT ON FUNCTION durable.trigger_schedule(text) IS
    'runs a schedule now according to its overlap policy, and returns the instance id, or null if the run was skipped';
COMMENT ON FUNCTION durable.backfill(text, timestamptz, timestamptz) IS
    'starts an instance for each time of a schedule in a past interval that has none, and returns their number';
COMMENT ON FUNCTION durable.schedule_times(text, text, timestamptz, integer) IS
    'lists the next times of a cron expression in a time zone';
COMMENT ON FUNCTION durable.tick_schedule(text) IS
    'starts the due runs of a schedule and returns their number; called by the pg_cron job of the schedule';
COMMENT ON FUNCTION durable.tick_schedules() IS
    'calls durable.tick_schedule() for all schedules of the current user; called by a pg_cron job after a start of the server';
COMMENT ON FUNCTION durable.run_one_by_one(jsonb) IS
    'orchestration that runs the instances of a schedule one after the other';
COMMENT ON VIEW durable.schedules IS
    'schedules that you may see, with their next and last times';
