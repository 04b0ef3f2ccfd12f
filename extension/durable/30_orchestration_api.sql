/*
 * Durable calls: what an orchestration can do.  Anywhere else they raise WF005.
 */

CREATE FUNCTION durable.call_activity(name text, input "any" DEFAULT NULL,
    retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_activity';
COMMENT ON FUNCTION durable.call_activity(text, "any", jsonb, interval) IS
'runs an activity and waits for its result; its failure is raised with its own SQLSTATE';

CREATE FUNCTION durable.schedule_activity(name text, input "any" DEFAULT NULL,
    retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_schedule_activity';
COMMENT ON FUNCTION durable.schedule_activity(text, "any", jsonb, interval) IS
'schedules an activity and does not wait for it; durable.result() of the task does';

CREATE FUNCTION durable.call_sql(query text, params jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_sql_text';
COMMENT ON FUNCTION durable.call_sql(text, jsonb) IS
'runs one SQL statement as an activity, $1, $2 ... being the elements of params; its rows come back as an array of objects';

CREATE FUNCTION durable.call_sub_orchestrator(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL, retry jsonb DEFAULT NULL,
    close_policy text DEFAULT 'terminate')
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_sub_orchestrator';
COMMENT ON FUNCTION durable.call_sub_orchestrator(text, "any", text, jsonb, text) IS
'runs another orchestration as part of this one and waits for its output';

CREATE FUNCTION durable.schedule_sub_orchestrator(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL, retry jsonb DEFAULT NULL,
    close_policy text DEFAULT 'terminate')
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_schedule_sub_orchestrator';
COMMENT ON FUNCTION durable.schedule_sub_orchestrator(text, "any", text, jsonb, text) IS
'runs another orchestration as part of this one and does not wait for it; durable.result() of the task does';

CREATE FUNCTION durable.create_timer(fire_at timestamptz, label text DEFAULT NULL)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_create_timer';
COMMENT ON FUNCTION durable.create_timer(timestamptz, text) IS
'makes a task that is answered at that time; infinity is never; label is what durable.waiting shows';

CREATE FUNCTION durable.sleep(duration interval, label text DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_sleep';
COMMENT ON FUNCTION durable.sleep(interval, text) IS
'waits for that long, and holds no process and no transaction meanwhile; label is what durable.waiting shows';

CREATE FUNCTION durable.cancel_timer(task durable.task)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_cancel_timer';
COMMENT ON FUNCTION durable.cancel_timer(durable.task) IS
'gives up a timer, or the wait for an event, which then never takes one';

CREATE FUNCTION durable.external_event(name text)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_external_event';
COMMENT ON FUNCTION durable.external_event(text) IS
'makes a task that the next event of that name answers; names are case-insensitive';

CREATE FUNCTION durable.wait_for_external_event(name text, timeout interval DEFAULT NULL,
    default_value jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_wait_for_external_event';
COMMENT ON FUNCTION durable.wait_for_external_event(text, interval, jsonb) IS
'waits for an event and returns its data, or default_value after the timeout';

CREATE FUNCTION durable.when_all(VARIADIC tasks durable.task[])
RETURNS jsonb[] LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_when_all';
COMMENT ON FUNCTION durable.when_all(durable.task[]) IS
'waits for all tasks and returns their results in that order, or raises the first failure in that order';

CREATE FUNCTION durable.when_any(VARIADIC tasks durable.task[])
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_when_any';
COMMENT ON FUNCTION durable.when_any(durable.task[]) IS
'waits for any of the tasks and returns the one that was answered first, also if it failed';

CREATE FUNCTION durable.result(task durable.task)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_result';
COMMENT ON FUNCTION durable.result(durable.task) IS
'waits for a task and returns its result, or raises its failure';

CREATE FUNCTION durable.start_orchestration(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL)
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_start_orchestration';
COMMENT ON FUNCTION durable.start_orchestration(text, "any", text) IS
'starts another orchestration that goes its own way, and returns its instance id';

CREATE FUNCTION durable.send_event(instance_id text, name text, data "any" DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_send_event';
COMMENT ON FUNCTION durable.send_event(text, text, "any") IS
'sends an event to another instance; nothing happens if there is none, or it has finished';

CREATE FUNCTION durable.continue_as_new(input "any" DEFAULT NULL,
    preserve_unprocessed_events boolean DEFAULT true)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_continue_as_new';
COMMENT ON FUNCTION durable.continue_as_new("any", boolean) IS
'starts this instance again from the top, with a new input and an empty history';

CREATE FUNCTION durable.now()
RETURNS timestamptz LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_now';
COMMENT ON FUNCTION durable.now() IS 'the time of the last event this turn has seen, the same in every replay';

CREATE FUNCTION durable.uuid()
RETURNS uuid LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_uuid';
COMMENT ON FUNCTION durable.uuid() IS
'a unique identifier, the same in every replay; can be guessed, so not for secrets';

CREATE FUNCTION durable.random()
RETURNS double precision LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_random';
COMMENT ON FUNCTION durable.random() IS
'a number from 0 to below 1, the same in every replay; can be guessed, so not for secrets';

CREATE FUNCTION durable.instance_id()
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_instance_id';
COMMENT ON FUNCTION durable.instance_id() IS 'the id of the running instance';

CREATE FUNCTION durable.parent_instance_id()
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_parent_instance_id';
COMMENT ON FUNCTION durable.parent_instance_id() IS
'the id of the instance that called this one as its sub-orchestration, or NULL';

CREATE FUNCTION durable.attempt()
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_attempt';
COMMENT ON FUNCTION durable.attempt() IS
'which attempt of its task the running activity is, from 1; in a sub-orchestration, of the call that made it';

CREATE FUNCTION durable.is_replaying()
RETURNS boolean LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_is_replaying';
COMMENT ON FUNCTION durable.is_replaying() IS
'whether this part of the run has been run before';

CREATE FUNCTION durable.set_custom_status(status jsonb)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_set_custom_status';
COMMENT ON FUNCTION durable.set_custom_status(jsonb) IS
'sets what durable.instances.custom_status shows from the end of this turn on';

CREATE FUNCTION durable.log(message text)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_log';
COMMENT ON FUNCTION durable.log(text) IS
'writes a line to the history and the server log, once, however often it is replayed';
