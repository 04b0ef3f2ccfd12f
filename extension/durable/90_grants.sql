-- Privileges.  PUBLIC has none.  durable.grant_usage grants USAGE on the schema and EXECUTE on the functions for
-- users.  Only the engine writes the tables.

-- The functions for users of the engine, as opposed to those that run it.
CREATE FUNCTION durable.user_functions() RETURNS SETOF regprocedure
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.oid::regprocedure
    FROM pg_proc p
    WHERE p.pronamespace = 'durable'::regnamespace
      AND p.proname = ANY (ARRAY[
          -- clients
          'start', 'start_or_get', 'run', 'raise_event', 'wait', 'wait_for', 'status', 'history', 'query', 'explain', 'calls', 'progress', 'source', 'shorten', 'mermaid_text',
          'terminate', 'suspend', 'resume', 'purge', 'purge_family', 'purge_history', 'restart', 'rewind', 'rewind_all',
          'start_with_event', 'publish', 'subscribe_instance', 'unsubscribe_instance', 'wait_any', 'wait_for_any',
          'version', 'doctor', 'retry', 'stat_reset',
          'verify_replay', 'repin', 'repin_all',
          'register_orchestration', 'register_activity',
          'unregister_orchestration', 'unregister_activity',
          'register_entity', 'unregister_entity', 'signal_entity', 'signal_entity_text', 'apply_entity', 'entity_state', 'purge_entity',
          'schedule', 'alter_schedule', 'unschedule', 'pause_schedule', 'unpause_schedule', 'trigger_schedule', 'backfill',
          'schedule_times', 'tick_schedule', 'tick_schedules', 'run_one_by_one',
          'register_queue', 'unregister_queue', 'pause_queue', 'unpause_queue', 'grant_queue', 'revoke_queue',
          -- workers outside of the database
          'fetch_work', 'wait_for_work', 'complete_tasks', 'complete_tasks_text', 'fail_task', 'fail_tasks', 'extend_lease', 'release_work',
          'fetch_turns', 'turn_events', 'complete_turn', 'complete_turns', 'fetch_entities', 'complete_entity', 'complete_entities', 'start_external', 'raise_event_text', 'instance_states', 'external_history',
          -- orchestrations
          'call_activity', 'schedule_activity', 'call_sql', 'wait_until', 'compensate_with', 'run_compensations',
          'call_sub_orchestrator', 'schedule_sub_orchestrator',
          'create_timer', 'sleep', 'cancel_timer', 'cancel',
          'external_event', 'wait_for_external_event',
          'when_all', 'when_any', 'result',
          'start_orchestration', 'send_event', 'continue_as_new',
          'call_entity', 'lock_entities', 'unlock_entities', 'in_critical_section',
          'now', 'uuid', 'random', 'instance_id', 'parent_instance_id',
          'attempt', 'is_replaying', 'patched', 'set_custom_status', 'log', 'subscribe', 'unsubscribe',
          -- the views call these as their reader
          'may_see', 'may_read', 'clock', 'waits', 'worker_slots', 'stats',
          -- tests; they do nothing unless durable.testing is on
          'drain', 'advance_clock']::name[]);
END;

-- Functions for workers outside of the database, which durable.grant_queue grants.
CREATE FUNCTION durable.worker_functions() RETURNS SETOF regprocedure
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.oid::regprocedure
    FROM pg_proc p
    WHERE p.pronamespace = 'durable'::regnamespace
      AND p.proname = ANY (ARRAY['fetch_work', 'wait_for_work', 'complete_tasks', 'complete_tasks_text', 'fail_task', 'fail_tasks', 'extend_lease',
                                 'release_work', 'fetch_turns', 'turn_events', 'complete_turn', 'complete_turns',
                                 'fetch_entities', 'complete_entity', 'complete_entities', 'version']::name[]);
END;

-- Each grant writes an access control list of all grantees for each function, so the cost
-- of many grants is quadratic, and at about 3,000 grantees the list does not fit into a row.
CREATE FUNCTION durable.grant_usage(role regrole) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    routine regprocedure;
    relation regclass;
    grantees bigint;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'role must not be null';
    END IF;
    PERFORM FROM pg_roles r WHERE r.oid = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role);
    END IF;
    SELECT count(DISTINCT a.grantee) INTO grantees
    FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.nspname = 'durable' AND a.grantee <> role;
    IF grantees >= 2000 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded',
            MESSAGE = format('too many roles have been granted the use of schema "durable": %s', grantees),
            HINT = 'Grant it to one role and make the others members of it: CREATE ROLE workflow_users; SELECT durable.grant_usage(''workflow_users''); GRANT workflow_users TO ...;';
    ELSIF grantees >= 100 THEN
        RAISE WARNING USING
            MESSAGE = format('%s roles have been granted the use of schema "durable" one by one', grantees),
            DETAIL = 'Each further grant takes longer than the one before.',
            HINT = 'Grant it to one role and make the others members of it: CREATE ROLE workflow_users; SELECT durable.grant_usage(''workflow_users''); GRANT workflow_users TO ...;';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA durable TO %s', role);
    FOR routine IN SELECT * FROM durable.user_functions() UNION ALL SELECT * FROM durable.http_functions() LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine, role);
    END LOOP;
    FOR relation IN SELECT c.oid FROM pg_class c
                    WHERE c.relnamespace = 'durable'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON %s TO %s', relation, role);
    END LOOP;
END;
$$;

-- For a role that serves requests to mounted functions only: other routes of durable.http need EXECUTE on further
-- functions.
CREATE FUNCTION durable.http_functions() RETURNS SETOF regprocedure
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.oid::regprocedure
    FROM pg_proc p
    WHERE p.pronamespace = 'durable'::regnamespace
      AND p.proname ~ '^(http|url|grpc)(_|$)' AND p.proname NOT IN ('http_functions');
END;

CREATE FUNCTION durable.grant_http(role regrole) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    routine regprocedure;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'role must not be null';
    END IF;
    PERFORM FROM pg_roles r WHERE r.oid = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA durable TO %s', role);
    FOR routine IN SELECT * FROM durable.http_functions() LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', routine, role);
    END LOOP;
END;
$$;

CREATE FUNCTION durable.revoke_usage(role regrole) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'role must not be null';
    END IF;
    PERFORM FROM pg_roles r WHERE r.oid = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role);
    END IF;
    EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA durable FROM %s', role);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA durable FROM %s', role);
    EXECUTE format('REVOKE ALL ON SCHEMA durable FROM %s', role);
END;
$$;

COMMENT ON FUNCTION durable.user_functions() IS 'functions that durable.grant_usage grants';
COMMENT ON FUNCTION durable.http_functions() IS 'functions that durable.grant_http grants';
COMMENT ON FUNCTION durable.grant_http(regrole) IS
    'allows a role to call durable.http for requests to mounted functions, and nothing else';
COMMENT ON FUNCTION durable.worker_functions() IS 'functions that durable.grant_queue grants';
COMMENT ON FUNCTION durable.grant_usage(regrole) IS
    'allows a role to write, start and control its own workflows';
COMMENT ON FUNCTION durable.revoke_usage(regrole) IS
    'revokes the privileges granted by durable.grant_usage; unfinished workflows of the role can then make no durable calls';

REVOKE ALL ON ALL TABLES IN SCHEMA durable FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA durable FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA durable FROM PUBLIC;

-- Members of pg_monitor see the instances of all roles, without their payloads.
GRANT USAGE ON SCHEMA durable TO pg_monitor;
GRANT SELECT ON durable.instances, durable.counts, durable.stuck, durable.waiting, durable.buffered_events, durable.workers,
    durable.registrations, durable.stat_orchestrations, durable.stat_activities, durable.schedules, durable.queues, durable.leases, durable.kept_code,
    durable.entities
TO pg_monitor;
GRANT EXECUTE ON FUNCTION
    durable.status(text), durable.history(text),
    durable.query(text, text[], timestamptz, timestamptz, text, jsonb, integer, text),
    durable.explain(text, text), durable.calls(text), durable.progress(text), durable.source(text), durable.shorten(text), durable.mermaid_text(text),
    durable.doctor(interval), durable.version(),
    durable.may_see(regrole), durable.may_read(regrole), durable.clock(),
    durable.waits(text, timestamptz), durable.worker_slots(), durable.stats(), durable.schedule_times(text, text, timestamptz, integer)
TO pg_monitor;

DO $$
BEGIN
    PERFORM durable.grant_http('pg_monitor');
END
$$;
