/*
 * Durable calls: what an orchestration can do.  Anywhere else they raise WF005.
 */

CREATE FUNCTION durable.call_activity(name text, input "any" DEFAULT NULL,
    retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_activity';
COMMENT ON FUNCTION durable.call_activity(text, "any", jsonb, interval) IS
'runs an activity and waits for its result; raises the failure of the activity with its SQLSTATE';

CREATE FUNCTION durable.schedule_activity(name text, input "any" DEFAULT NULL,
    retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_schedule_activity';
COMMENT ON FUNCTION durable.schedule_activity(text, "any", jsonb, interval) IS
'schedules an activity without waiting for it; use durable.result() to wait for the task';

CREATE FUNCTION durable.call_sql(query text, params jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_sql_text';
COMMENT ON FUNCTION durable.call_sql(text, jsonb) IS
'runs one SQL statement as an activity; $1, $2 and so on are the elements of params; returns the rows as an array of objects';

-- In the history it is one activity with one answer, however often the query was run.
CREATE FUNCTION durable.wait_until(query text, recheck interval DEFAULT '1 minute',
    watched regclass[] DEFAULT NULL, params jsonb DEFAULT NULL, timeout interval DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_wait_until';
COMMENT ON FUNCTION durable.wait_until(text, interval, regclass[], jsonb, interval) IS
'waits until a query returns a row, or true, and returns the rows; runs it when a watched table has changed, and after each recheck interval';

CREATE FUNCTION durable.call_sub_orchestrator(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL, retry jsonb DEFAULT NULL,
    close_policy text DEFAULT 'terminate', version text DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_sub_orchestrator';
COMMENT ON FUNCTION durable.call_sub_orchestrator(text, "any", text, jsonb, text, text) IS
'runs another orchestration as part of this one and waits for its output';

CREATE FUNCTION durable.schedule_sub_orchestrator(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL, retry jsonb DEFAULT NULL,
    close_policy text DEFAULT 'terminate', version text DEFAULT NULL)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_schedule_sub_orchestrator';
COMMENT ON FUNCTION durable.schedule_sub_orchestrator(text, "any", text, jsonb, text, text) IS
'runs another orchestration as part of this one without waiting for it; use durable.result() to wait for the task';

CREATE FUNCTION durable.compensate_with(name text, input "any" DEFAULT NULL, retry jsonb DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_compensate_with';
COMMENT ON FUNCTION durable.compensate_with(text, "any", jsonb) IS
'records an activity that undoes a step; the recorded activities run in reverse order if this instance fails or is terminated';

-- The orchestration that runs them; steps are objects with name, handler, input and retry, in the order in which they run.
CREATE FUNCTION durable.run_compensations(steps jsonb) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    n integer := pg_catalog.jsonb_array_length(steps);
    step jsonb;
BEGIN
    FOR i IN 0 .. n - 1 LOOP
        step := steps -> i;
        PERFORM durable.set_custom_status(pg_catalog.jsonb_build_object('done', i, 'all', n, 'running', step -> 'name'));
        PERFORM durable.call_activity(step ->> 'handler', step -> 'input', step -> 'retry');
    END LOOP;
    PERFORM durable.set_custom_status(pg_catalog.jsonb_build_object('done', n, 'all', n));
    RETURN n;
END;
$$;
COMMENT ON FUNCTION durable.run_compensations(jsonb) IS
'orchestration that runs the activities recorded with durable.compensate_with; the engine starts it';

CREATE FUNCTION durable.create_timer(fire_at timestamptz, label text DEFAULT NULL)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_create_timer';
COMMENT ON FUNCTION durable.create_timer(timestamptz, text) IS
'creates a task that completes at the given time; infinity means never; durable.waiting shows the label';

CREATE FUNCTION durable.sleep(duration interval, label text DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_sleep';
COMMENT ON FUNCTION durable.sleep(interval, text) IS
'waits for the given duration without holding a process or a transaction; durable.waiting shows the label';

CREATE FUNCTION durable.cancel_timer(task durable.task)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_cancel_timer';
COMMENT ON FUNCTION durable.cancel_timer(durable.task) IS
'cancels a timer or the wait for an event; a canceled wait never consumes an event';

CREATE FUNCTION durable.cancel(task durable.task, reason text DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_cancel';
COMMENT ON FUNCTION durable.cancel(durable.task, text) IS
'cancels a timer, the wait for an event, or a sub-orchestration, which is terminated with the reason and not tried again';

CREATE FUNCTION durable.external_event(name text)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_external_event';
COMMENT ON FUNCTION durable.external_event(text) IS
'creates a task that completes when the next event of the given name arrives; names are case-insensitive';

CREATE FUNCTION durable.wait_for_external_event(name text, timeout interval DEFAULT NULL,
    default_value jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_wait_for_external_event';
COMMENT ON FUNCTION durable.wait_for_external_event(text, interval, jsonb) IS
'waits for an event and returns its data, or default_value after the timeout';

CREATE FUNCTION durable.when_all(VARIADIC tasks durable.task[])
RETURNS jsonb[] LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_when_all';
COMMENT ON FUNCTION durable.when_all(durable.task[]) IS
'waits for all tasks and returns their results in the order of the tasks, or raises the first failure in that order';

CREATE FUNCTION durable.when_any(VARIADIC tasks durable.task[])
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_when_any';
COMMENT ON FUNCTION durable.when_any(durable.task[]) IS
'waits for any of the tasks and returns the first task that has completed or failed';

CREATE FUNCTION durable.result(task durable.task)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_result';
COMMENT ON FUNCTION durable.result(durable.task) IS
'waits for a task and returns its result, or raises its failure';

CREATE FUNCTION durable.start_orchestration(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL, version text DEFAULT NULL)
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_start_orchestration';
COMMENT ON FUNCTION durable.start_orchestration(text, "any", text, text) IS
'starts another orchestration that runs independently, and returns its instance id';

CREATE FUNCTION durable.send_event(instance_id text, name text, data "any" DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_send_event';
COMMENT ON FUNCTION durable.send_event(text, text, "any") IS
'sends an event to another instance; has no effect if the instance does not exist or is finished';

CREATE FUNCTION durable.continue_as_new(input "any" DEFAULT NULL,
    preserve_unprocessed_events boolean DEFAULT true)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_continue_as_new';
COMMENT ON FUNCTION durable.continue_as_new("any", boolean) IS
'restarts this instance from its beginning, with a new input and an empty history';

CREATE FUNCTION durable.now()
RETURNS timestamptz LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_now';
COMMENT ON FUNCTION durable.now() IS 'time of the last event that this turn has seen; the same in every replay';

CREATE FUNCTION durable.uuid()
RETURNS uuid LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_uuid';
COMMENT ON FUNCTION durable.uuid() IS
'generates a unique identifier, the same in every replay; it can be guessed, so do not use it for secrets';

CREATE FUNCTION durable.random()
RETURNS double precision LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_random';
COMMENT ON FUNCTION durable.random() IS
'generates a number from 0 to below 1, the same in every replay; it can be guessed, so do not use it for secrets';

CREATE FUNCTION durable.instance_id()
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_instance_id';
COMMENT ON FUNCTION durable.instance_id() IS 'id of the running instance';

CREATE FUNCTION durable.parent_instance_id()
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_parent_instance_id';
COMMENT ON FUNCTION durable.parent_instance_id() IS
'id of the instance that called this one as a sub-orchestration, or NULL';

CREATE FUNCTION durable.attempt()
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_attempt';
COMMENT ON FUNCTION durable.attempt() IS
'number of the current attempt of the running activity, from 1; in a sub-orchestration, of the call that started it';

CREATE FUNCTION durable.is_replaying()
RETURNS boolean LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_is_replaying';
COMMENT ON FUNCTION durable.is_replaying() IS
'returns true if this part of the orchestration has already run in an earlier turn';

CREATE FUNCTION durable.patched(change_id text)
RETURNS boolean LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_patched';
COMMENT ON FUNCTION durable.patched(text) IS
'returns true if this execution runs the changed code: it is new, or had not yet passed the point of the change';

CREATE FUNCTION durable.set_custom_status(status jsonb)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_set_custom_status';
COMMENT ON FUNCTION durable.set_custom_status(jsonb) IS
'sets the value of durable.instances.custom_status at the end of this turn';

CREATE FUNCTION durable.log(message text)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_log';
COMMENT ON FUNCTION durable.log(text) IS
'writes a line to the history and the server log once, even if it is replayed';
