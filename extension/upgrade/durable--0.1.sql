\echo Use "CREATE EXTENSION durable" to load this file. \quit

-- extension/durable/10_tables.sql

\echo Use "CREATE EXTENSION durable" to load this file. \quit

/*
 * Storage of the engine.  Nobody but the engine's C code writes these tables;
 * users see them through the views and functions of the later files.
 *
 * Flow is one way: client API -> inbox -> turn -> history, timer, task, other
 * inboxes.  Only a session that holds the row lock of an instance (FOR NO KEY
 * UPDATE) takes its messages and changes it.
 *
 * No foreign keys: an engine that locks parent rows for every message would
 * create multixacts and wait for users.  Payload columns are jsonb; roles are
 * regrole, so that a dump carries names and not object identifiers.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

-- Fails if there is one: who owns the schema owns what happens in it.
CREATE SCHEMA durable;
REVOKE ALL ON SCHEMA durable FROM PUBLIC;

-- Which cluster and database this engine belongs to (written by the first start,
-- so that a copy is recognised as one), and whether it is paused.  One row as a
-- rule; first starts at the same moment each write one rather than wait for each
-- other, so there is no unique index.  The engine runs when all rows name this
-- cluster and database, and none is paused.
CREATE TABLE durable.engine (
    system_identifier bigint  NOT NULL,
    database          oid     NOT NULL,
    paused            boolean NOT NULL DEFAULT false
);

-- Columns are in this order so that none is padded: there may be millions of rows,
-- and each has room for another version of itself on its page.
--
-- status: P pending, R running, S suspended, C completed, F failed, T terminated.
-- crashes: see src/crash.c; 0 unless it runs under suspicion.
-- waiting: what it waits for, see src/waiting.c.
-- handler: the function's signature, without the name where it begins with that.
-- code_hash: of the function's code when it first ran.
-- updated_at: the time of its last unit of work, NULL when that is started_at, or
-- created_at before it has started.  What is NULL has never been anything: 0.
-- started_at: when this execution began, which is the time its first turn sees.
-- events:  number of history events of this execution = the next event's seq - 1.
CREATE TABLE durable.instance (
    key               bigint      NOT NULL,
    created_at        timestamptz NOT NULL,
    owner             regrole     NOT NULL,
    execution         integer     NOT NULL DEFAULT 1,
    updated_at        timestamptz,
    compute_us        bigint,
    events            integer,
    turns             integer,
    started_at        timestamptz,
    completed_at      timestamptz,
    code_hash         bigint,
    parent_key        bigint,
    parent_execution  integer,
    parent_task       integer,
    parent_attempt    integer,
    crashes           smallint    NOT NULL DEFAULT 0,
    status            "char"      NOT NULL DEFAULT 'P',
    instance_id       text        COLLATE "C" NOT NULL,
    name              text        NOT NULL,
    handler           text        NOT NULL,
    version           text,
    input             jsonb,
    output            jsonb,
    failure           jsonb,
    custom_status     jsonb,
    tags              jsonb,
    waiting           text,
    suspend_reason    text
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.instance_key_seq OWNED BY durable.instance.key;
CREATE UNIQUE INDEX instance_pkey ON durable.instance (key) WITH (fillfactor = 96);
ALTER TABLE durable.instance ADD CONSTRAINT instance_pkey PRIMARY KEY USING INDEX instance_pkey;
CREATE UNIQUE INDEX instance_id_key ON durable.instance (instance_id) WITH (fillfactor = 96);
CREATE INDEX instance_parent ON durable.instance (parent_key) WHERE parent_key IS NOT NULL;

-- One row holds the events that one unit of work appended: seq is the first
-- one's number, at its time.  events is an array, see src/history.c.
CREATE TABLE durable.history (
    key               bigint      NOT NULL,
    at                timestamptz NOT NULL,
    execution         integer     NOT NULL,
    seq               integer     NOT NULL,
    format            "char"      NOT NULL,
    events            jsonb       NOT NULL,
    PRIMARY KEY (key, execution, seq) WITH (fillfactor = 75)
);

-- Messages that make an instance runnable.  kind: s start, e event,
-- c completed and f failed (of the task with that number), t terminate,
-- u suspend, r resume.  id: in the order in which they were sent; 0 for a start
-- by a client, before which there can be nothing.
CREATE TABLE durable.inbox (
    id                bigint      NOT NULL,
    owner             regrole     NOT NULL,
    key               bigint      NOT NULL,
    kind              "char"      NOT NULL,
    execution         integer,
    task              integer,
    name              text,
    payload           jsonb,
    sent_at           timestamptz NOT NULL,
    PRIMARY KEY (owner, key, id) WITH (fillfactor = 96)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.inbox_id_seq OWNED BY durable.inbox.id;

-- task 0 is the start of an instance with start_at.  The index has what scans go by
-- and no more; so there is no key, and a replica goes by the whole row.
CREATE TABLE durable.timer (
    owner             regrole     NOT NULL,
    due_at            timestamptz NOT NULL,
    key               bigint      NOT NULL,
    execution         integer     NOT NULL,
    task              integer     NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

CREATE INDEX timer_due ON durable.timer (owner, due_at, key) WITH (fillfactor = 75);
ALTER TABLE durable.timer REPLICA IDENTITY FULL;

-- Activities that run in a transaction of their own.
CREATE TABLE durable.task_queue (
    id                bigint      NOT NULL,
    owner             regrole     NOT NULL,
    run_at            timestamptz NOT NULL,
    key               bigint      NOT NULL,
    execution         integer     NOT NULL,
    task              integer     NOT NULL,
    attempt           integer     NOT NULL DEFAULT 1,
    name              text        NOT NULL,
    handler           text        NOT NULL,
    input             jsonb,
    retry             jsonb,
    timeout           interval,
    scheduled_at      timestamptz NOT NULL,
    last_failure      jsonb,
    crashes           smallint    NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, run_at, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.task_queue_id_seq OWNED BY durable.task_queue.id;
CREATE INDEX task_queue_key ON durable.task_queue (key);

-- Names for functions, with options.  A registration counts for its owner, for
-- roles that have the owner's privileges, and for everybody if a superuser or
-- the owner of the extension made it.
CREATE TABLE durable.orchestration (
    owner             regrole     NOT NULL,
    name              text        NOT NULL,
    handler           text        NOT NULL,
    version           text,
    retention         interval,
    description       text,
    PRIMARY KEY (name, owner)
);

-- execution: auto, inline, task.
CREATE TABLE durable.activity (
    owner             regrole     NOT NULL,
    name              text        NOT NULL,
    handler           text        NOT NULL,
    execution         text        NOT NULL DEFAULT 'auto',
    retry             jsonb,
    timeout           interval,
    description       text,
    PRIMARY KEY (name, owner)
);

-- A dump carries the registrations of extensions too, and is read after CREATE
-- EXTENSION has made those anew.  So the row that comes last takes the place of
-- the one before.
CREATE FUNCTION durable.replace_registration() RETURNS trigger
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'activity' THEN
        DELETE FROM durable.activity WHERE name = NEW.name AND owner = NEW.owner;
    ELSE
        DELETE FROM durable.orchestration WHERE name = NEW.name AND owner = NEW.owner;
    END IF;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION durable.replace_registration() IS 'trigger: a registration takes the place of the one of the same name and owner';

CREATE TRIGGER replace_registration BEFORE INSERT ON durable.orchestration
    FOR EACH ROW EXECUTE FUNCTION durable.replace_registration();
CREATE TRIGGER replace_registration BEFORE INSERT ON durable.activity
    FOR EACH ROW EXECUTE FUNCTION durable.replace_registration();

SELECT pg_catalog.pg_extension_config_dump('durable.engine', '');
SELECT pg_catalog.pg_extension_config_dump('durable.instance', '');
SELECT pg_catalog.pg_extension_config_dump('durable.instance_key_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.history', '');
SELECT pg_catalog.pg_extension_config_dump('durable.inbox', '');
SELECT pg_catalog.pg_extension_config_dump('durable.inbox_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.timer', '');
SELECT pg_catalog.pg_extension_config_dump('durable.task_queue', '');
SELECT pg_catalog.pg_extension_config_dump('durable.task_queue_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.orchestration', '');
SELECT pg_catalog.pg_extension_config_dump('durable.activity', '');

REVOKE ALL ON ALL TABLES IN SCHEMA durable FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA durable FROM PUBLIC;

COMMENT ON SCHEMA durable IS 'durable workflows: tables, views and functions of the engine';
COMMENT ON TABLE durable.engine IS 'identity of this engine and whether it is paused';
COMMENT ON TABLE durable.instance IS 'one row for each run of an orchestration; see the view durable.instances';
COMMENT ON TABLE durable.history IS 'what happened in each instance; see durable.history(instance_id)';
COMMENT ON TABLE durable.inbox IS 'messages that instances have not yet taken';
COMMENT ON TABLE durable.timer IS 'open timers';
COMMENT ON TABLE durable.task_queue IS 'activities waiting for, or in, a transaction of their own';
COMMENT ON TABLE durable.orchestration IS 'registered orchestrations';
COMMENT ON TABLE durable.activity IS 'registered activities';

-- extension/durable/20_types.sql

-- Types of the public functions.

-- The number of a durable call in its instance: what durable.schedule_activity
-- and its like return and durable.when_any and its like take.
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
    tags                jsonb
);

COMMENT ON DOMAIN durable.task IS 'something an orchestration has scheduled: an activity, timer, event or sub-orchestration';
COMMENT ON TYPE durable.instance_status IS 'how an instance is: a row of durable.instances';

-- extension/durable/30_orchestration_api.sql

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
    instance_id text DEFAULT NULL, retry jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_sub_orchestrator';
COMMENT ON FUNCTION durable.call_sub_orchestrator(text, "any", text, jsonb) IS
'runs another orchestration as part of this one and waits for its output';

CREATE FUNCTION durable.schedule_sub_orchestrator(name text, input "any" DEFAULT NULL,
    instance_id text DEFAULT NULL, retry jsonb DEFAULT NULL)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_schedule_sub_orchestrator';
COMMENT ON FUNCTION durable.schedule_sub_orchestrator(text, "any", text, jsonb) IS
'runs another orchestration as part of this one and does not wait for it; durable.result() of the task does';

CREATE FUNCTION durable.create_timer(fire_at timestamptz)
RETURNS durable.task LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_create_timer';
COMMENT ON FUNCTION durable.create_timer(timestamptz) IS
'makes a task that is answered at that time; infinity is never';

CREATE FUNCTION durable.sleep(duration interval)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_sleep';
COMMENT ON FUNCTION durable.sleep(interval) IS
'waits for that long, and holds no process and no transaction meanwhile';

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

-- extension/durable/40_registration.sql

/*
 * Names and options for orchestrations and activities.
 */

CREATE FUNCTION durable.register_orchestration(
    name        text,
    handler     regprocedure,
    version     text     DEFAULT NULL,
    retention   interval DEFAULT NULL,
    description text     DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_register_orchestration';

CREATE FUNCTION durable.register_activity(
    name        text,
    handler     regprocedure DEFAULT NULL,
    execution   text         DEFAULT 'auto',
    retry       jsonb        DEFAULT NULL,
    timeout     interval     DEFAULT NULL,
    description text         DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_register_activity';

CREATE FUNCTION durable.unregister_orchestration(name text) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_unregister_orchestration';

CREATE FUNCTION durable.unregister_activity(name text) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_unregister_activity';

CREATE FUNCTION durable.retry(
    max_attempts   integer          DEFAULT 3,
    first_interval interval         DEFAULT '1 second',
    backoff        double precision DEFAULT 2,
    max_interval   interval         DEFAULT '1 hour',
    timeout        interval         DEFAULT NULL,
    non_retryable  text[]           DEFAULT NULL
) RETURNS jsonb
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'durable_retry';

-- What counts for the current user (src/registry.c decides the same), and
-- everything for those who watch the server.
CREATE VIEW durable.registrations WITH (security_barrier) AS
SELECT r.kind, r.name, r.handler, r.owner, r.version, r.execution, r.retry, r.timeout, r.retention, r.description
FROM (
    SELECT 'orchestration' AS kind, o.name, o.handler, o.owner, o.version,
           NULL::text AS execution, NULL::jsonb AS retry, NULL::interval AS timeout,
           o.retention, o.description
    FROM durable.orchestration AS o
    UNION ALL
    SELECT 'activity', a.name, a.handler, a.owner, NULL,
           a.execution, a.retry, a.timeout,
           NULL, a.description
    FROM durable.activity AS a
) AS r
WHERE pg_catalog.pg_has_role(r.owner::oid, 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR r.owner::oid IN (SELECT u.oid FROM pg_catalog.pg_roles AS u WHERE u.rolsuper)
   OR r.owner::oid IN (SELECT e.extowner FROM pg_catalog.pg_extension AS e WHERE e.extname = 'durable');

COMMENT ON FUNCTION durable.register_orchestration(text, regprocedure, text, interval, text) IS
    'gives an orchestration a name and options; replaces the caller''s registration of that name';
COMMENT ON FUNCTION durable.register_activity(text, regprocedure, text, jsonb, interval, text) IS
    'gives an activity a name and options; replaces the caller''s registration of that name';
COMMENT ON FUNCTION durable.unregister_orchestration(text) IS
    'removes the caller''s registration of an orchestration; its instances go on';
COMMENT ON FUNCTION durable.unregister_activity(text) IS
    'removes the caller''s registration of an activity';
COMMENT ON FUNCTION durable.retry(integer, interval, double precision, interval, interval, text[]) IS
    'a retry policy: how often, how long between, and which SQLSTATEs never (max_attempts NULL: no limit)';
COMMENT ON VIEW durable.registrations IS
    'registered orchestrations and activities that count for the current user';

-- extension/durable/50_client_api.sql

-- What clients call.  All of it takes part in the caller's transaction.
-- Functions are VOLATILE and PARALLEL UNSAFE unless they say otherwise: they
-- write, or look with a newer snapshot than the query's.

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

CREATE FUNCTION durable.terminate(instance_id text, reason text DEFAULT NULL)
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

CREATE FUNCTION durable.purge_history(
    older_than      interval    DEFAULT '30 days',
    statuses        text[]      DEFAULT NULL,
    name            text        DEFAULT NULL,
    batch           integer     DEFAULT 1000)
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_purge_history';

COMMENT ON FUNCTION durable.start(text, "any", text, timestamptz, text, jsonb, text) IS
    'starts an orchestration at commit, or at start_at, and returns the instance id; on_conflict says what to do when the id is taken: error, return, replace_finished';
COMMENT ON PROCEDURE durable.run(text, "any", interval, jsonb) IS
    'starts an orchestration, commits, waits for its end and returns its output, or raises its failure';
COMMENT ON FUNCTION durable.raise_event(text, text, "any") IS
    'sends an event to an instance; it is kept until the instance waits for it';
COMMENT ON FUNCTION durable.wait(text, interval) IS
    'waits until an instance is finished or the time is over, and returns how it is then; NULL waits without limit';
COMMENT ON FUNCTION durable.status(text) IS 'how an instance is now';
COMMENT ON FUNCTION durable.history(text) IS
    'what happened in the present execution of an instance, one row for each event';
COMMENT ON FUNCTION durable.terminate(text, text) IS
    'ends an instance, its running activity and its sub-orchestrations';
COMMENT ON FUNCTION durable.suspend(text, text) IS
    'holds an instance; what arrives for it is kept until it is resumed';
COMMENT ON FUNCTION durable.resume(text, text) IS 'lets a suspended instance go on';
COMMENT ON FUNCTION durable.purge(text) IS 'deletes a finished instance and its history';
COMMENT ON FUNCTION durable.purge_history(interval, text[], text, integer) IS
    'deletes the caller''s finished instances that ended longer ago than that, and returns how many';

-- extension/durable/60_views.sql

-- The state of the engine, for people and programs to read.
--
-- The views belong to the extension's owner, so they can read the tables; what
-- a user gets to see is decided by the functions may_see (his own instances,
-- those of roles he is a member of, everybody's for members of pg_monitor) and
-- may_read (payloads: not for pg_monitor).  Whoever reads a view needs EXECUTE
-- on the functions in it; none of them tells more than the views do.

CREATE FUNCTION durable.may_see(owner regrole) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_may_see';

CREATE FUNCTION durable.may_read(owner regrole) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_may_read';

CREATE FUNCTION durable.clock() RETURNS timestamptz
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_clock';

CREATE FUNCTION durable.waits(
    waiting     text,
    base        timestamptz,
    OUT kind    text,
    OUT number  integer,
    OUT detail  text,
    OUT since   timestamptz,
    OUT due     timestamptz,
    OUT line    integer)
RETURNS SETOF record
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'durable_waits';

CREATE FUNCTION durable.worker_slots(
    OUT pid         integer,
    OUT owner       regrole,
    OUT state       text,
    OUT is_leaving  boolean,
    OUT started_at  timestamptz,
    OUT state_since timestamptz,
    OUT units       bigint,
    OUT turns       bigint,
    OUT activities  bigint,
    OUT key         bigint)
RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_worker_slots';

-- waiting_on: "event ApprovalTask, timer 2026-01-01 00:02:00+00".
CREATE VIEW durable.instances WITH (security_barrier = true) AS
SELECT i.instance_id,
       i.name,
       CASE WHEN i.status = 'P' THEN 'Pending'
            WHEN i.status = 'R' THEN 'Running'
            WHEN i.status = 'S' THEN 'Suspended'
            WHEN i.status = 'C' THEN 'Completed'
            WHEN i.status = 'F' THEN 'Failed'
            WHEN i.status = 'T' THEN 'Terminated'
       END AS runtime_status,
       CASE WHEN i.status = 'S' THEN 'resume'
            WHEN i.status IN ('P', 'R') THEN
                (SELECT string_agg(concat_ws(' ', w.kind, w.detail, w.due), ', ' ORDER BY w.ordinality)
                            FILTER (WHERE w.kind NOT IN ('buffered', 'pending', 'more'))
                        || coalesce(' and ' || max(w.number) FILTER (WHERE w.kind = 'more') || ' more', '')
                 FROM durable.waits(i.waiting, coalesce(i.started_at, i.created_at))
                      WITH ORDINALITY AS w)
       END AS waiting_on,
       i.created_at AS created_time,
       coalesce(i.updated_at, i.started_at, i.created_at) AS last_updated_time,
       i.completed_at AS completed_time,
       coalesce(i.completed_at, durable.clock()) - i.created_at AS duration,
       coalesce(i.compute_us, 0) * interval '1 microsecond' AS compute_time,
       coalesce(i.turns, 0) AS turns,
       i.execution,
       (SELECT p.instance_id FROM durable.instance p WHERE p.key = i.parent_key) AS parent_instance_id,
       i.version,
       i.owner,
       CASE WHEN durable.may_read(i.owner) THEN i.custom_status END AS custom_status,
       CASE WHEN durable.may_read(i.owner) THEN i.input END AS input,
       CASE WHEN durable.may_read(i.owner) THEN i.output END AS output,
       CASE WHEN durable.may_read(i.owner) THEN i.failure END AS failure,
       CASE WHEN durable.may_read(i.owner) THEN i.tags END AS tags
FROM durable.instance i
WHERE durable.may_see(i.owner);

-- A suspended instance waits for its resumption, whatever else it waits for.
CREATE VIEW durable.waiting WITH (security_barrier = true) AS
SELECT i.instance_id,
       i.name,
       w.kind,
       w.detail,
       w.since,
       w.due,
       w.line
FROM durable.instance i
     CROSS JOIN LATERAL durable.waits(i.waiting, coalesce(i.started_at, i.created_at)) AS w
WHERE i.status IN ('P', 'R', 'S') AND durable.may_see(i.owner)
  AND w.kind NOT IN ('buffered', 'pending', 'more')
UNION ALL
SELECT i.instance_id, i.name, 'resume',
       CASE WHEN durable.may_read(i.owner) THEN i.suspend_reason END,
       coalesce(i.updated_at, i.started_at, i.created_at), NULL, NULL
FROM durable.instance i
WHERE i.status = 'S' AND durable.may_see(i.owner);

-- seq is the number of the event in the history; events that the instance has
-- not taken notice of yet have none.
CREATE VIEW durable.buffered_events WITH (security_barrier = true) AS
SELECT i.instance_id,
       i.name,
       b.detail AS event,
       b.number AS seq,
       b.since AS received_at
FROM durable.instance i
     CROSS JOIN LATERAL durable.waits(i.waiting, coalesce(i.started_at, i.created_at)) AS b
WHERE i.status IN ('P', 'R', 'S') AND durable.may_see(i.owner) AND b.kind = 'buffered'
UNION ALL
SELECT i.instance_id, i.name, m.name, NULL, m.sent_at
FROM durable.inbox m
     JOIN durable.instance i USING (key)
WHERE m.kind = 'e' AND i.status IN ('P', 'R', 'S') AND durable.may_see(i.owner);

-- Workers of this database.  state: starting, idle, turns, activity (one with a
-- transaction of its own, for the instance named).
CREATE VIEW durable.workers AS
SELECT w.pid,
       current_database() AS database,
       w.owner,
       w.state,
       w.is_leaving,
       w.started_at,
       w.state_since,
       (SELECT i.instance_id FROM durable.instance i WHERE i.key = w.key) AS instance_id,
       w.units,
       w.turns,
       w.activities
FROM durable.worker_slots() w;

COMMENT ON FUNCTION durable.may_see(regrole) IS
    'may the current user see that instances of that role are there?';
COMMENT ON FUNCTION durable.may_read(regrole) IS
    'may the current user read inputs, outputs and failures of instances of that role?';
COMMENT ON FUNCTION durable.clock() IS
    'the time the engine goes by: the server''s, and what durable.advance_clock has added';
COMMENT ON FUNCTION durable.waits(text, timestamptz) IS
    'what an instance waits for, of its column waiting; times there count from base';
COMMENT ON FUNCTION durable.worker_slots() IS 'the workers behind the view durable.workers';
COMMENT ON VIEW durable.instances IS
    'the instances you may see: your own, those of roles you are a member of, and for members of pg_monitor everybody''s without the payloads';
COMMENT ON VIEW durable.waiting IS
    'what unfinished instances wait for: activity, timer, event, orchestration, start or resume, and the line of the code that waits';
COMMENT ON VIEW durable.buffered_events IS
    'events that were raised and that no wait has consumed yet';
COMMENT ON VIEW durable.workers IS 'the worker processes of this database';

-- extension/durable/70_admin.sql

-- Operating the engine of this database.

CREATE FUNCTION durable.pause() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_pause';

CREATE FUNCTION durable.unpause() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_unpause';

CREATE FUNCTION durable.adopt() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_adopt';

CREATE FUNCTION durable.version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_version';

CREATE FUNCTION durable.doctor(
    OUT check_name  text,
    OUT ok          boolean,
    OUT detail      text,
    OUT hint        text)
RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_doctor';

COMMENT ON FUNCTION durable.pause() IS
    'no more turns and activities in this database until durable.unpause(); what is running is finished';
COMMENT ON FUNCTION durable.unpause() IS 'ends durable.pause()';
COMMENT ON FUNCTION durable.adopt() IS
    'lets the instances of a restored or cloned database run here';
COMMENT ON FUNCTION durable.version() IS 'version of the loaded library';
COMMENT ON FUNCTION durable.doctor() IS
    'checks the engine of this database and says what to do about what is not well';

-- extension/durable/80_testing.sql

/*
 * Testing aids; they need durable.testing = on (postgresql.conf).
 */

CREATE PROCEDURE durable.drain(timeout interval DEFAULT '1 minute')
LANGUAGE C AS 'MODULE_PATHNAME', 'durable_drain';
COMMENT ON PROCEDURE durable.drain(interval) IS
'runs everything that is due, in this session and as the current user, until there is nothing left; for tests';

CREATE FUNCTION durable.advance_clock(step interval)
RETURNS timestamptz LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_advance_clock';
COMMENT ON FUNCTION durable.advance_clock(interval) IS
'moves the clock of the engine in this database and returns the time it shows then; for tests';

-- extension/durable/90_grants.sql

-- Who may do what.  Nobody may anything; USAGE on the schema is the gate, and
-- durable.grant_usage opens it.  Nobody but the engine ever writes the tables.

-- The functions for users of the engine, as opposed to those that run it.
CREATE FUNCTION durable.user_functions() RETURNS SETOF regprocedure
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.oid::regprocedure
    FROM pg_proc p
    WHERE p.pronamespace = 'durable'::regnamespace
      AND p.proname = ANY (ARRAY[
          -- clients
          'start', 'run', 'raise_event', 'wait', 'status', 'history',
          'terminate', 'suspend', 'resume', 'purge', 'purge_history',
          'version', 'doctor', 'retry',
          'register_orchestration', 'register_activity',
          'unregister_orchestration', 'unregister_activity',
          -- orchestrations
          'call_activity', 'schedule_activity', 'call_sql',
          'call_sub_orchestrator', 'schedule_sub_orchestrator',
          'create_timer', 'sleep', 'cancel_timer',
          'external_event', 'wait_for_external_event',
          'when_all', 'when_any', 'result',
          'start_orchestration', 'send_event', 'continue_as_new',
          'now', 'uuid', 'random', 'instance_id', 'parent_instance_id',
          'is_replaying', 'set_custom_status', 'log',
          -- the views call these as whoever reads them
          'may_see', 'may_read', 'clock', 'waits', 'worker_slots',
          -- tests; they do nothing unless durable.testing is on
          'drain', 'advance_clock']::name[]);
END;

CREATE FUNCTION durable.grant_usage(role regrole) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    routine regprocedure;
    relation regclass;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'role must not be null';
    END IF;
    PERFORM FROM pg_roles r WHERE r.oid = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA durable TO %s', role);
    FOR routine IN SELECT * FROM durable.user_functions() LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine, role);
    END LOOP;
    FOR relation IN SELECT c.oid FROM pg_class c
                    WHERE c.relnamespace = 'durable'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON %s TO %s', relation, role);
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

COMMENT ON FUNCTION durable.user_functions() IS 'the functions that durable.grant_usage grants';
COMMENT ON FUNCTION durable.grant_usage(regrole) IS
    'lets a role write, start and control workflows of its own';
COMMENT ON FUNCTION durable.revoke_usage(regrole) IS
    'takes back what durable.grant_usage has granted; unfinished workflows of the role can make no durable calls any more';

REVOKE ALL ON ALL TABLES IN SCHEMA durable FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA durable FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA durable FROM PUBLIC;

-- Monitoring sees everybody's instances, without their payloads.
GRANT USAGE ON SCHEMA durable TO pg_monitor;
GRANT SELECT ON durable.instances, durable.waiting, durable.buffered_events, durable.workers,
    durable.registrations
TO pg_monitor;
GRANT EXECUTE ON FUNCTION
    durable.status(text), durable.history(text), durable.doctor(), durable.version(),
    durable.may_see(regrole), durable.may_read(regrole), durable.clock(),
    durable.waits(text, timestamptz), durable.worker_slots()
TO pg_monitor;
