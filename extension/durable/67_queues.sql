-- Queues: activities that programs outside of the database do, limits for these and for
-- activities in SQL, and what is to be seen of them.

-- What a worker gets.  input is that of the call, payload its text; idempotency_key is the same
-- whenever the same attempt is handed out again.  version, tags and trace are those that an external
-- orchestration has given its call, and task_id is the number of the call.
CREATE TYPE durable.work AS (
    token           text,
    queue           text COLLATE "C",
    name            text,
    input           jsonb,
    instance_id     text COLLATE "C",
    attempt         integer,
    idempotency_key text,
    leased_until    timestamptz,
    scheduled_at    timestamptz,
    payload         text,
    version         text,
    tags            jsonb,
    trace           text,
    task_id         integer
);

CREATE FUNCTION durable.register_queue(
    name            text,
    concurrency     integer  DEFAULT NULL,
    rate            integer  DEFAULT NULL,
    per             interval DEFAULT '1 second',
    key_concurrency integer  DEFAULT NULL,
    description     text     DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_register_queue';

CREATE FUNCTION durable.unregister_queue(name text)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_unregister_queue';

CREATE FUNCTION durable.pause_queue(name text)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_pause_queue';

CREATE FUNCTION durable.unpause_queue(name text)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_unpause_queue';

CREATE FUNCTION durable.grant_queue(name text, role regrole)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_grant_queue';

CREATE FUNCTION durable.revoke_queue(name text, role regrole)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_revoke_queue';

CREATE FUNCTION durable.fetch_work(
    queue     text,
    worker    text     DEFAULT NULL,
    max_tasks integer  DEFAULT 1,
    lease     interval DEFAULT '30 seconds',
    names     text[]   DEFAULT NULL)
RETURNS SETOF durable.work LANGUAGE C VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'durable_fetch_work';

CREATE PROCEDURE durable.wait_for_work(
    queue           text,
    timeout         interval DEFAULT '30 seconds',
    INOUT available boolean  DEFAULT NULL,
    names           text[]   DEFAULT NULL,
    kind            text     DEFAULT 'tasks')
LANGUAGE C AS 'MODULE_PATHNAME', 'durable_wait_for_work';

CREATE FUNCTION durable.complete_tasks(tokens text[], results jsonb[] DEFAULT NULL, on_stale text DEFAULT 'error')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_complete_tasks';

CREATE FUNCTION durable.complete_tasks_text(tokens text[], results text[] DEFAULT NULL, on_stale text DEFAULT 'error')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_complete_tasks_text';

CREATE FUNCTION durable.fail_task(token text, failure jsonb, retryable boolean DEFAULT true)
RETURNS boolean LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_fail_task';

CREATE FUNCTION durable.fail_tasks(tokens text[], failures jsonb[], on_stale text DEFAULT 'error')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_fail_tasks';

CREATE FUNCTION durable.extend_lease(tokens text[], lease interval DEFAULT '30 seconds')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_extend_lease';

CREATE FUNCTION durable.release_work(tokens text[], delay interval DEFAULT '0')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_release_work';

-- A turn of an external orchestration; docs/external.md describes the events.
CREATE TYPE durable.turn AS (
    token              text,
    queue              text COLLATE "C",
    name               text,
    version            text,
    instance_id        text COLLATE "C",
    execution_id       text COLLATE "C",
    parent_instance_id text COLLATE "C",
    attempt            integer,
    past_events        jsonb,
    new_events         jsonb,
    past               integer,
    new                integer,
    leased_until       timestamptz,
    scheduled_at       timestamptz,
    trace              text
);

CREATE TYPE durable.turn_event AS (
    n                   integer,
    is_new              boolean,
    event_id            integer,
    type                text COLLATE "C",
    at                  timestamptz,
    task_id             integer,
    name                text,
    version             text,
    input               text,
    failure             jsonb,
    instance_id         text COLLATE "C",
    execution_id        text COLLATE "C",
    due_at              timestamptz,
    parent              jsonb,
    tags                jsonb,
    trace               text,
    orchestration_trace text,
    status              text COLLATE "C",
    request_id          text,
    lock_set            jsonb
);

CREATE FUNCTION durable.start_external(
    queue       text,
    name        text,
    input       text        DEFAULT NULL,
    instance_id text        DEFAULT NULL,
    start_at    timestamptz DEFAULT NULL,
    version     text        DEFAULT NULL,
    tags        jsonb       DEFAULT NULL,
    on_conflict text        DEFAULT 'error',
    trace       text        DEFAULT NULL)
RETURNS text LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_start_external';

CREATE FUNCTION durable.raise_event_text(instance_id text, name text, data text DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_raise_event_text';

CREATE FUNCTION durable.fetch_turns(
    queue        text,
    worker       text     DEFAULT NULL,
    max_turns    integer  DEFAULT 1,
    lease        interval DEFAULT '30 seconds',
    names        text[]   DEFAULT NULL,
    with_events  boolean  DEFAULT true,
    with_session boolean  DEFAULT false)
RETURNS SETOF durable.turn LANGUAGE C VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'durable_fetch_turns';

CREATE FUNCTION durable.turn_events(token text)
RETURNS SETOF durable.turn_event LANGUAGE C STABLE ROWS 20 AS 'MODULE_PATHNAME', 'durable_turn_events_of';

CREATE FUNCTION durable.complete_turn(token text, actions jsonb DEFAULT '[]', custom_status text DEFAULT NULL, trace text DEFAULT NULL)
RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_complete_turn';

CREATE FUNCTION durable.complete_turns(
    tokens          text[],
    actions         jsonb[],
    custom_statuses text[] DEFAULT NULL,
    traces          text[] DEFAULT NULL,
    on_stale        text   DEFAULT 'error')
RETURNS integer LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_complete_turns';

-- For gateways.  input, output and custom_status: the texts of an external orchestration, or JSON.  n: the place
-- of the id in the argument.
CREATE TYPE durable.instance_state AS (
    instance_id        text COLLATE "C",
    owner              regrole,
    name               text,
    version            text,
    runtime_status     text,
    is_external        boolean,
    created_time       timestamptz,
    last_updated_time  timestamptz,
    completed_time     timestamptz,
    execution          integer,
    parent_instance_id text COLLATE "C",
    tags               jsonb,
    failure            jsonb,
    custom_status      text,
    input              text,
    output             text,
    n                  integer
);

CREATE FUNCTION durable.instance_states(instance_ids text[], with_payloads boolean DEFAULT true, awaited text[] DEFAULT NULL)
RETURNS SETOF durable.instance_state LANGUAGE C STABLE ROWS 10 AS 'MODULE_PATHNAME', 'durable_instance_states';

CREATE FUNCTION durable.external_history(instance_id text)
RETURNS SETOF durable.turn_event LANGUAGE C STABLE ROWS 20 AS 'MODULE_PATHNAME', 'durable_external_history';

-- Counts are of the whole queue; oldest: since when the task that has waited longest is ready.
CREATE VIEW durable.queues WITH (security_barrier = true) AS
SELECT q.name,
       q.owner,
       q.is_paused,
       q.concurrency,
       q.rate,
       CASE WHEN q.rate IS NOT NULL THEN q.per END AS per,
       q.key_concurrency,
       (SELECT count(*) FROM durable.queued_task t WHERE t.queue = q.name AND t.state = 'r') AS ready,
       (SELECT count(*) FROM durable.queued_task t WHERE t.queue = q.name AND t.state = 'd') AS delayed,
       (SELECT count(*) FROM durable.queued_task t WHERE t.queue = q.name AND t.state = 'l') AS leased,
       (SELECT min(t.at) FROM (VALUES ('e'::"char"), ('n'::"char"), ('o'::"char"), ('s'::"char")) k (kind),
             LATERAL (SELECT t.at FROM durable.queued_task t WHERE t.queue = q.name AND t.kind = k.kind AND t.state = 'r'
                      ORDER BY t.priority, t.round, t.id LIMIT 1) t) AS oldest,
       q.description
FROM durable.queue q
WHERE durable.may_see(q.owner);

-- Work that is out.  pid: of the session with which the lease ends, if it does.
CREATE VIEW durable.leases WITH (security_barrier = true) AS
SELECT t.queue,
       CASE WHEN t.kind = 'n' THEN t.input #>> '{}' ELSE i.instance_id END AS instance_id,
       t.name,
       nullif(t.task, 0)::durable.task AS task,
       CASE WHEN t.kind IN ('o', 'n') THEN t.lost + 1 ELSE t.attempt END AS attempt,
       t.worker,
       t.leased_at,
       CASE WHEN t.kind <> 's' THEN t.at END AS leased_until,
       t.lost,
       t.owner,
       CASE t.kind WHEN 'o' THEN 'turn' WHEN 'n' THEN 'entity' ELSE 'activity' END AS kind,
       (t.session & 4294967295)::integer AS pid,
       t.given_back
FROM durable.queued_task t
     LEFT JOIN durable.instance i USING (key)
WHERE t.state = 'l' AND durable.may_see(t.owner);

COMMENT ON TYPE durable.work IS 'a task that a worker has fetched';
COMMENT ON FUNCTION durable.register_queue(text, integer, integer, interval, integer, text) IS
    'makes a queue, or changes its limits, which hold for all workers together';
COMMENT ON FUNCTION durable.unregister_queue(text) IS
    'removes a queue that no activity names and in which nothing waits';
COMMENT ON FUNCTION durable.pause_queue(text) IS
    'lets nothing begin in a queue until durable.unpause_queue; what is out goes on';
COMMENT ON FUNCTION durable.unpause_queue(text) IS
    'lets a queue go on';
COMMENT ON FUNCTION durable.grant_queue(text, regrole) IS
    'lets a role work for a queue; it needs no other right';
COMMENT ON FUNCTION durable.revoke_queue(text, regrole) IS
    'takes back what durable.grant_queue has granted';
COMMENT ON FUNCTION durable.fetch_work(text, text, integer, interval, text[]) IS
    'takes tasks from a queue and leases them for a while';
COMMENT ON PROCEDURE durable.wait_for_work(text, interval, boolean, text[], text) IS
    'waits until durable.fetch_work or durable.fetch_turns would find something, and holds no transaction or snapshot meanwhile';
COMMENT ON FUNCTION durable.complete_tasks(text[], jsonb[], text) IS
    'completes tasks with their results; returns how many tokens were good';
COMMENT ON FUNCTION durable.complete_tasks_text(text[], text[], text) IS
    'completes tasks with results that are texts, which an external orchestration gets byte for byte; returns how many tokens were good';
COMMENT ON FUNCTION durable.fail_tasks(text[], jsonb[], text) IS
    'says that attempts have failed, as durable.fail_task does; returns how many tokens were good';
COMMENT ON FUNCTION durable.fail_task(text, jsonb, boolean) IS
    'says that an attempt has failed; returns whether there is to be another one';
COMMENT ON FUNCTION durable.extend_lease(text[], interval) IS
    'makes leases end later, counted from now; returns how many tokens were good';
COMMENT ON FUNCTION durable.release_work(text[], interval) IS
    'gives tasks back unfinished, for others to take, after a delay; returns how many tokens were good';
COMMENT ON VIEW durable.queues IS
    'queues with their limits, and how much waits in them and is out';
COMMENT ON VIEW durable.leases IS
    'tasks of queues that workers have and have not answered yet';
COMMENT ON TYPE durable.turn IS 'a turn of an external orchestration that a worker has fetched';
COMMENT ON TYPE durable.turn_event IS 'an event in the history of an external orchestration';
COMMENT ON FUNCTION durable.start_external(text, text, text, text, timestamptz, text, jsonb, text, text) IS
    'starts an external orchestration, which need not be registered, with a text that is kept byte for byte; returns the instance id';
COMMENT ON FUNCTION durable.raise_event_text(text, text, text) IS
    'sends an event to an instance with a text that is kept byte for byte';
COMMENT ON TYPE durable.instance_state IS 'an instance as gateways show it, with payloads that are texts';
COMMENT ON FUNCTION durable.instance_states(text[], boolean, text[]) IS
    'status of several instances, with payloads that are texts; with awaited of those that have started or ended';
COMMENT ON FUNCTION durable.external_history(text) IS
    'history of an external orchestration, in the form in which its worker sees it';
COMMENT ON FUNCTION durable.fetch_turns(text, text, integer, interval, text[], boolean, boolean) IS
    'takes turns of external orchestrations from a queue and leases them for a while';
COMMENT ON FUNCTION durable.turn_events(text) IS
    'events of a turn that has been fetched, as rows';
COMMENT ON FUNCTION durable.complete_turn(text, jsonb, text, text) IS
    'completes a turn with the actions that the orchestration has decided on';
COMMENT ON FUNCTION durable.complete_turns(text[], jsonb[], text[], text[], text) IS
    'completes several turns; returns how many tokens were good';
