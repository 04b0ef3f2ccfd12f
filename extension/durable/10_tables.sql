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

-- Fails if the schema exists: its owner could replace objects of the engine.
CREATE SCHEMA durable;
REVOKE ALL ON SCHEMA durable FROM PUBLIC;

-- The cluster and the database to which this engine belongs, and whether it is paused.  The first
-- start of an instance writes the row, by which a copy of the database is recognized.  There is
-- usually one row; concurrent first starts each write one instead of waiting for each other, so
-- there is no unique index.  The engine runs if all rows name this cluster and database, and none
-- is paused.
CREATE TABLE durable.engine (
    system_identifier bigint  NOT NULL,
    database          oid     NOT NULL,
    paused            boolean NOT NULL DEFAULT false
);
ALTER TABLE durable.engine REPLICA IDENTITY FULL;

-- The order of the columns avoids padding, because there may be millions of rows.  The fillfactor
-- leaves room for another version of each row on its page.
--
-- close_policy: action for a sub-orchestration when its parent ends: NULL it is terminated, a it
-- continues, t it is terminated only if its parent is terminated.
-- status: P pending, R running, S suspended, C completed, F failed, T terminated.
-- crashes: 5 for each time that its code has ended its process, 1 for each end of the whole server, see src/process/blame.c.
-- waiting: what it waits for, see src/turn/waiting.c.
-- handler: the function's signature, without the name if the signature begins with it; or
-- -external:QUEUE, and then input, output and custom_status are strings that contain texts
-- (src/value/verbatim.c).
-- runs_at: number of events that the history must have before a turn makes progress, if it waits
-- for several tasks; NULL: not known; 2147483647: a turn of an external orchestration is in its queue.
-- code_hash: hash of the function's code when the instance first ran.
-- updated_at: the time of its last unit of work; NULL: that is started_at, or before the start
-- created_at.  Other columns that are NULL stand for 0.
-- started_at: when this execution began, which is the time that its first turn sees.
-- parent_call: the id that an external parent has given the call; NULL: it is parent_task.
-- next_activity: the first call of an activity that has not been dispatched; NULL: there is none.
-- dropped_events: number of events that came after the end; NULL: none.
-- events: number of history events of this execution; the next event has seq = events + 1.
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
    parent_call       integer,
    next_activity     integer,
    runs_at           integer,
    dropped_events    integer,
    crashes           smallint    NOT NULL DEFAULT 0,
    status            "char"      NOT NULL DEFAULT 'P',
    close_policy      "char",
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
    suspend_reason    text,
    trace             text
) WITH (fillfactor = 43, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.instance_key_seq OWNED BY durable.instance.key;
CREATE UNIQUE INDEX instance_pkey ON durable.instance (key) WITH (fillfactor = 96);
ALTER TABLE durable.instance ADD CONSTRAINT instance_pkey PRIMARY KEY USING INDEX instance_pkey;
-- Ids are unique for each owner.  The id comes first, because clients search it among the instances of all owners that they may see.
CREATE UNIQUE INDEX instance_id_key ON durable.instance (instance_id, owner) WITH (fillfactor = 96);
-- No index has a column that is updated, so updates are HOT.  For names see durable.name_range.
-- instance_sample has every 64th instance.  It tells between which keys a time of creation lies,
-- and takes half a byte for each instance (src/api/query_api.c).
CREATE INDEX instance_sample ON durable.instance (created_at, key) WHERE key % 64 = 0;
CREATE INDEX instance_tags ON durable.instance USING gin (tags jsonb_path_ops) WITH (gin_pending_list_limit = 256) WHERE tags IS NOT NULL;
CREATE INDEX instance_parent ON durable.instance (parent_key, parent_task) WHERE parent_key IS NOT NULL;

-- A row has the events that one unit of work has appended.  seq is the number of the first one, and
-- at its time.  events is an array, see src/value/history.c.
CREATE TABLE durable.history (
    key               bigint      NOT NULL,
    at                timestamptz NOT NULL,
    execution         integer     NOT NULL,
    seq               integer     NOT NULL,
    format            "char"      NOT NULL,
    events            jsonb       NOT NULL,
    PRIMARY KEY (key, execution, seq) WITH (fillfactor = 75)
);

-- Finished instances.  The unit that ends instances inserts rows, the deletion of the last instance of
-- a row deletes it, and rows are never updated.  Retention and queries by status, name and time use
-- these indexes, so durable.instance needs none on a column that changes.  An instance that has failed
-- or was terminated has its own row.  Instances of one owner and name that complete in one unit share a
-- row: the column others has the keys of all but the first.  Some of them may have been deleted since.
CREATE TABLE durable.finished (
    completed_at      timestamptz NOT NULL,
    key               bigint      NOT NULL,
    owner             regrole     NOT NULL,
    status            "char"      NOT NULL,
    name              text        COLLATE "C" NOT NULL,
    others            bigint[]
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX finished_name ON durable.finished (owner, name, completed_at);
CREATE INDEX finished_failed ON durable.finished (owner, completed_at) WHERE status = 'F';
ALTER TABLE durable.finished REPLICA IDENTITY FULL;

-- Numbers of instances.  Each transaction that creates, changes or deletes instances adds rows with
-- the differences, and the coordinator replaces these by sums: n for an owner, name and handler, and
-- n for a range of keys.  A difference has all of these columns.  handler: as in durable.instance.
-- See src/store/tally.c.
CREATE TABLE durable.tally (
    range             bigint,
    n                 bigint      NOT NULL,
    owner             regrole,
    status            "char"      NOT NULL,
    name              text        COLLATE "C",
    handler           text        COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE durable.tally REPLICA IDENTITY FULL;

-- Ranges of keys in which a name has instances, except for those of differences in durable.tally.
-- The instances may have been deleted since.
CREATE TABLE durable.name_range (
    range             bigint      NOT NULL,
    name              text        COLLATE "C" NOT NULL,
    PRIMARY KEY (name, range)
);

-- Messages that make an instance runnable.  kind: s start, e event,
-- c completed and f failed (answers to the task), x a turn that a worker outside of the database has run
-- (task: number of events that it was given), t terminate, u suspend, r resume, w rewind, k continue where a
-- batch stopped.  is_text: the payload is a text (src/value/verbatim.c); NULL: it is not.  attempt: the
-- attempt of the task that is answered.  id: increases in the order of sending; 0 for the start by a
-- client, which is always the first message.  A key of 2^62 or higher is that of an entity
-- (src/value/entity_id.c), and then kind is o signal, q call, l lock, n unlock, b results of a batch that a
-- worker outside of the database has run, or k; name is the entity's id, a line break, and the operation; sender,
-- execution and task are those of the instance that made the call.  A rewind from a parent has the parent's sender, execution,
-- task and attempt, and the id of its instance as name.
CREATE TABLE durable.inbox (
    id                bigint      NOT NULL,
    owner             regrole     NOT NULL,
    key               bigint      NOT NULL,
    kind              "char"      NOT NULL,
    execution         integer,
    task              integer,
    attempt           integer,
    is_text           boolean,
    name              text,
    payload           jsonb,
    sent_at           timestamptz NOT NULL,
    sender            bigint,
    PRIMARY KEY (owner, key, id) WITH (fillfactor = 96)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.inbox_id_seq OWNED BY durable.inbox.id;

-- task 0 is the start of an instance with start_at.  The index has only the columns that scans use, so
-- there is no primary key, and the replica identity is the whole row.
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

-- Instances that receive the events of a topic, whose name is in lower case.
CREATE TABLE durable.subscription (
    owner             regrole     NOT NULL,
    key               bigint      NOT NULL,
    topic             text        COLLATE "C" NOT NULL,
    PRIMARY KEY (topic, key)
);

-- Activities that run in their own transaction.  While the instance is suspended, those that have not
-- begun are held: run_at is infinity, so that workers do not find them, and held_run_at is the former
-- run_at.  queued_id: id of the row of durable.queued_task from which the activity was taken; NULL: it
-- did not come from a queue.  watched: for durable.wait_until, the tables whose change makes it due, but
-- not before rest_until.
CREATE TABLE durable.task_queue (
    id                bigint      NOT NULL,
    owner             regrole     NOT NULL,
    run_at            timestamptz NOT NULL,
    held_run_at       timestamptz,
    rest_until        timestamptz,
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
    queued_id         bigint,
    watched           oid[],
    PRIMARY KEY (owner, run_at, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.task_queue_id_seq OWNED BY durable.task_queue.id;
CREATE INDEX task_queue_key ON durable.task_queue (key, execution, task);
CREATE INDEX task_queue_watched ON durable.task_queue USING gin (watched) WITH (fastupdate = off) WHERE watched IS NOT NULL;

-- Queues, with limits that apply to all workers together; NULL: no limit.  concurrency: number of
-- activities that run at a time, key_concurrency: the same for each key, rate: number of starts within
-- per.  starts: number of starts in each of the last parts of per; the newest is the last one, which
-- began at starts_at (src/store/queue_table.c).
CREATE TABLE durable.queue (
    name              text        COLLATE "C" PRIMARY KEY,
    owner             regrole     NOT NULL,
    concurrency       integer,
    rate              integer,
    per               interval,
    key_concurrency   integer,
    is_paused         boolean     NOT NULL,
    starts            integer[],
    starts_at         timestamptz,
    description       text
);

-- Roles that may fetch from a queue, besides its owner.
CREATE TABLE durable.queue_grant (
    queue             text        COLLATE "C" NOT NULL,
    role              regrole     NOT NULL,
    PRIMARY KEY (queue, role)
);

-- Work in queues: activities, turns of external orchestrations, and batches of operations of external entities.
-- kind: e an activity for programs outside of the database, s an activity in SQL, o a turn (task is 0, and attempt is
-- the number of events of the turn), n a batch (key and name are those of the entity, input is its id).
-- call: further members of the call of an external orchestration, NULL for other activities; the ids of the operations
-- of a batch.  session: the session that has fetched the turn or the batch.
--
-- state: r ready, d delayed until "at", l leased until "at", h held because the
-- instance is suspended ("at": as before).
-- round: order within a priority that is fair to the keys: the first waiting task of each key has a lower
-- number than the second task of any key.  lost: number of leases of this attempt that ended without an answer.
-- given_back: how often this attempt was given back by workers that cannot do it (release_work without a delay).
-- crashes: of kind s while it waits for another attempt, as in durable.task_queue.
CREATE TABLE durable.queued_task (
    id                bigint      NOT NULL,
    key               bigint      NOT NULL,
    at                timestamptz NOT NULL,
    scheduled_at      timestamptz NOT NULL,
    leased_at         timestamptz,
    nonce             bigint,
    round             bigint      NOT NULL,
    owner             regrole     NOT NULL,
    execution         integer     NOT NULL,
    task              integer     NOT NULL,
    attempt           integer     NOT NULL,
    priority          integer     NOT NULL,
    lost              integer     NOT NULL DEFAULT 0,
    given_back        integer     NOT NULL DEFAULT 0,
    session           bigint,
    crashes           smallint    NOT NULL DEFAULT 0,
    state             "char"      NOT NULL,
    kind              "char"      NOT NULL,
    queue             text        COLLATE "C" NOT NULL,
    share             text        COLLATE "C" NOT NULL,
    name              text        NOT NULL,
    handler           text,
    worker            text,
    input             jsonb,
    retry             jsonb,
    timeout           interval,
    last_failure      jsonb,
    call              jsonb,
    PRIMARY KEY (key, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE SEQUENCE durable.queued_task_id_seq OWNED BY durable.queued_task.id;
CREATE INDEX queued_task_ready ON durable.queued_task (queue, kind, priority, round, id) WHERE state = 'r';
CREATE INDEX queued_task_share ON durable.queued_task (queue, kind, share, priority, round, id) WHERE state = 'r';
CREATE INDEX queued_task_delayed ON durable.queued_task (queue, at) WHERE state = 'd';
CREATE INDEX queued_task_leased ON durable.queued_task (queue, at) WHERE state = 'l';
CREATE INDEX queued_task_sql ON durable.queued_task (queue, state) WHERE kind = 's';
CREATE INDEX queued_task_session ON durable.queued_task (session) WHERE kind IN ('o', 'n') AND state = 'l';
CREATE INDEX queued_task_lost ON durable.queued_task (queue) WHERE lost >= 3 OR given_back >= 5;

-- Recent answers of workers.  A row is for activities that were leased with the same nonce and answered
-- together.  ids: ids of their former rows in durable.queued_task; id: the smallest of these.  answer: c
-- completed, f failed.
CREATE TABLE durable.queued_answer (
    nonce             bigint      NOT NULL,
    id                bigint      NOT NULL,
    at                timestamptz NOT NULL,
    answer            "char"      NOT NULL,
    queue             text        COLLATE "C" NOT NULL,
    ids               bigint[]    NOT NULL,
    PRIMARY KEY (nonce, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queued_answer_at ON durable.queued_answer (at);

-- Names for functions, with options.  A registration applies to its owner, to roles that have the owner's
-- privileges, and to all roles if its owner is a superuser or the owner of the extension.  version: '' if
-- there is none.  registered_at: when its owner registered that version for the first time.  queue: of an
-- external orchestration, which has no handler.
CREATE TABLE durable.orchestration (
    owner             regrole     NOT NULL,
    name              text        NOT NULL,
    version           text        NOT NULL DEFAULT '',
    handler           text,
    registered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    retention         interval,
    description       text,
    queue             text        COLLATE "C",
    PRIMARY KEY (name, owner, version)
);

-- execution: auto, inline, task, or external, which has no handler.
-- share: the member of the input that is the key in the queue; NULL: the owner is the key.
CREATE TABLE durable.activity (
    owner             regrole     NOT NULL,
    name              text        NOT NULL,
    handler           text,
    execution         text        NOT NULL DEFAULT 'auto',
    retry             jsonb,
    timeout           interval,
    description       text,
    queue             text        COLLATE "C",
    priority          integer     NOT NULL DEFAULT 0,
    share             text,
    PRIMARY KEY (name, owner)
);

-- Kinds of entities.  name is in lower case.  queue: of an external entity, which has no handler.
CREATE TABLE durable.entity_type (
    owner             regrole     NOT NULL,
    name              text        NOT NULL,
    handler           text,
    description       text,
    queue             text        COLLATE "C",
    PRIMARY KEY (name, owner)
);

-- Entities that have a state, or are locked, or have operations that wait.  Only a unit that
-- has the row locked runs operations of the entity.
--
-- key: computed from entity_id (src/value/entity_id.c); two ids may have the same.
-- locked_by: key of the instance whose critical section it is in, with the execution and the task
-- of its request.  parked: how many of its operations wait in durable.entity_operation.
-- held_until: time of the next attempt, if its operation could not be run since problem_at for the reason in
-- problem.  failure: of its last signal; NULL: that has not failed.  crashes: as in durable.instance.  queue:
-- the queue for batches of its operations, if it was external at the last look.  is_out: there is such a
-- batch, a row of durable.queued_task, or a message that completes it.  is_text: the state is a text that an
-- external program has set.
CREATE TABLE durable.entity (
    key               bigint      NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    locked_by         bigint,
    held_until        timestamptz,
    problem_at        timestamptz,
    owner             regrole     NOT NULL,
    locked_execution  integer,
    locked_task       integer,
    parked            integer,
    crashes           smallint,
    is_out            boolean,
    is_text           boolean,
    entity_id         text        COLLATE "C" NOT NULL,
    queue             text        COLLATE "C",
    state             jsonb,
    failure           jsonb,
    problem           text,
    PRIMARY KEY (entity_id, owner)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX entity_key ON durable.entity (key);
CREATE INDEX entity_problem ON durable.entity (problem_at) WHERE problem_at IS NOT NULL;

-- Operations that were taken from the inbox and cannot run yet, with due_at -infinity and in the order of
-- their ids; and signals that are scheduled for a later time.  Columns are as in durable.inbox.
CREATE TABLE durable.entity_operation (
    id                bigint      NOT NULL,
    owner             regrole     NOT NULL,
    key               bigint      NOT NULL,
    due_at            timestamptz NOT NULL,
    sent_at           timestamptz NOT NULL,
    sender            bigint,
    execution         integer,
    task              integer,
    attempt           integer,
    kind              "char"      NOT NULL,
    is_text           boolean,
    name              text        NOT NULL,
    payload           jsonb,
    PRIMARY KEY (owner, key, due_at, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

-- Orchestrations that are started at the times of a cron expression.  seen_until: times up to this one have
-- been handled.  running: ids of its instances that were unfinished at the last look.  A pg_cron job of the
-- same owner calls durable.tick_schedule.
CREATE TABLE durable.schedule (
    owner             regrole     NOT NULL,
    name              text        COLLATE "C" NOT NULL,
    cron              text        NOT NULL,
    orchestration     text        NOT NULL,
    input             jsonb,
    timezone          text        NOT NULL,
    overlap           text        NOT NULL,
    catch_up          interval    NOT NULL,
    jitter            interval,
    starts_at         timestamptz,
    ends_at           timestamptz,
    is_paused         boolean     NOT NULL DEFAULT false,
    seen_until        timestamptz NOT NULL,
    last_time         timestamptz,
    last_instance     text,
    missed            bigint      NOT NULL DEFAULT 0,
    skipped           bigint      NOT NULL DEFAULT 0,
    running           text[]      NOT NULL DEFAULT '{}',
    PRIMARY KEY (owner, name)
);

-- Limits of an owner, which durable.set_quota sets.  NULL: none.
CREATE TABLE durable.quota (
    owner             regrole     PRIMARY KEY,
    max_live          integer,
    start_rate        integer,
    per               interval    NOT NULL
);

-- Code that was replaced or dropped while instances were running it: the function of that
-- signature had that hash, and copy is the function that holds the code now (src/code/kept_code.c).
CREATE TABLE durable.code (
    id                bigint      NOT NULL,
    signature         text        COLLATE "C" NOT NULL,
    code_hash         bigint      NOT NULL,
    copy              text        NOT NULL,
    owner             regrole     NOT NULL,
    replaced_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (signature, code_hash)
);
CREATE SEQUENCE durable.code_id_seq OWNED BY durable.code.id;
ALTER TABLE durable.code ALTER COLUMN id SET DEFAULT nextval('durable.code_id_seq');

-- A dump also contains registrations that extensions have made.  It is restored after CREATE EXTENSION has
-- made them again, so a later row replaces an earlier one.
CREATE FUNCTION durable.replace_registration() RETURNS trigger
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'activity' THEN
        DELETE FROM durable.activity WHERE name = NEW.name AND owner = NEW.owner;
    ELSIF TG_TABLE_NAME = 'entity_type' THEN
        DELETE FROM durable.entity_type WHERE name = NEW.name AND owner = NEW.owner;
    ELSE
        DELETE FROM durable.orchestration WHERE name = NEW.name AND owner = NEW.owner AND version = NEW.version;
    END IF;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION durable.replace_registration() IS 'trigger function that replaces an existing registration of the same name, owner and version';

CREATE TRIGGER replace_registration BEFORE INSERT ON durable.orchestration
    FOR EACH ROW EXECUTE FUNCTION durable.replace_registration();
CREATE TRIGGER replace_registration BEFORE INSERT ON durable.activity
    FOR EACH ROW EXECUTE FUNCTION durable.replace_registration();
CREATE TRIGGER replace_registration BEFORE INSERT ON durable.entity_type
    FOR EACH ROW EXECUTE FUNCTION durable.replace_registration();

-- The same for queues, whose names are unique in the database.  durable.register_queue must not replace the
-- queue of another role.  It inserts a row with is_paused null, which a row of a dump never has.
CREATE FUNCTION durable.replace_queue() RETURNS trigger
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'queue_grant' THEN
        PERFORM FROM durable.queue_grant WHERE queue = NEW.queue AND role = NEW.role;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    ELSIF NEW.is_paused IS NULL THEN
        NEW.is_paused := false;
    ELSE
        DELETE FROM durable.queue WHERE name = NEW.name;
    END IF;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION durable.replace_queue() IS 'trigger function that replaces a queue, or a privilege on a queue, by the row of a dump';

CREATE TRIGGER replace_queue BEFORE INSERT ON durable.queue
    FOR EACH ROW EXECUTE FUNCTION durable.replace_queue();
CREATE TRIGGER replace_queue BEFORE INSERT ON durable.queue_grant
    FOR EACH ROW EXECUTE FUNCTION durable.replace_queue();

SELECT pg_catalog.pg_extension_config_dump('durable.engine', '');
SELECT pg_catalog.pg_extension_config_dump('durable.instance', '');
SELECT pg_catalog.pg_extension_config_dump('durable.instance_key_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.history', '');
SELECT pg_catalog.pg_extension_config_dump('durable.finished', '');
SELECT pg_catalog.pg_extension_config_dump('durable.tally', '');
SELECT pg_catalog.pg_extension_config_dump('durable.name_range', '');
SELECT pg_catalog.pg_extension_config_dump('durable.inbox', '');
SELECT pg_catalog.pg_extension_config_dump('durable.inbox_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.timer', '');
SELECT pg_catalog.pg_extension_config_dump('durable.task_queue', '');
SELECT pg_catalog.pg_extension_config_dump('durable.task_queue_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.subscription', '');
SELECT pg_catalog.pg_extension_config_dump('durable.queue', '');
SELECT pg_catalog.pg_extension_config_dump('durable.queue_grant', '');
SELECT pg_catalog.pg_extension_config_dump('durable.queued_task', '');
SELECT pg_catalog.pg_extension_config_dump('durable.queued_task_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.queued_answer', '');
SELECT pg_catalog.pg_extension_config_dump('durable.code', '');
SELECT pg_catalog.pg_extension_config_dump('durable.code_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('durable.orchestration', '');
SELECT pg_catalog.pg_extension_config_dump('durable.activity', '');
SELECT pg_catalog.pg_extension_config_dump('durable.entity_type', '');
SELECT pg_catalog.pg_extension_config_dump('durable.entity', '');
SELECT pg_catalog.pg_extension_config_dump('durable.entity_operation', '');
SELECT pg_catalog.pg_extension_config_dump('durable.schedule', '');
SELECT pg_catalog.pg_extension_config_dump('durable.quota', '');

REVOKE ALL ON ALL TABLES IN SCHEMA durable FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA durable FROM PUBLIC;

COMMENT ON SCHEMA durable IS 'durable workflows: tables, views and functions of the engine';
COMMENT ON TABLE durable.engine IS 'identity of this engine and whether it is paused';
COMMENT ON TABLE durable.instance IS 'one row for each run of an orchestration; see the view durable.instances';
COMMENT ON TABLE durable.history IS 'events of each instance; see durable.history(instance_id)';
COMMENT ON TABLE durable.finished IS 'finished instances: owner, name, status, time, and the keys of those that were completed together';
COMMENT ON TABLE durable.inbox IS 'messages that instances have not yet consumed';
COMMENT ON TABLE durable.name_range IS 'ranges of keys in which a name has instances; see durable.query';
COMMENT ON TABLE durable.tally IS 'numbers of instances by owner, name and status; see the view durable.counts';
COMMENT ON TABLE durable.timer IS 'open timers';
COMMENT ON TABLE durable.task_queue IS 'activities that wait for their own transaction or run in it';
COMMENT ON TABLE durable.entity_type IS 'registered entities';
COMMENT ON TABLE durable.entity IS 'one row for each entity with a state; see the view durable.entities';
COMMENT ON TABLE durable.entity_operation IS 'operations of entities that are waiting or scheduled for a later time';
COMMENT ON TABLE durable.queue IS 'queues of activities with their limits; see the view durable.queues';
COMMENT ON TABLE durable.queue_grant IS 'roles that may fetch work from a queue';
COMMENT ON TABLE durable.queued_task IS 'work that waits in a queue or that a worker has leased';
COMMENT ON TABLE durable.queued_answer IS 'activities that workers have answered in the last five minutes';
COMMENT ON TABLE durable.subscription IS 'instances that are subscribed to a topic';
COMMENT ON TABLE durable.quota IS 'limits on the instances of an owner; see durable.set_quota';
COMMENT ON TABLE durable.code IS 'copies of code that was replaced while instances were running it';
COMMENT ON TABLE durable.orchestration IS 'registered orchestrations';
COMMENT ON TABLE durable.activity IS 'registered activities';
COMMENT ON TABLE durable.schedule IS 'schedules; see the view durable.schedules';
