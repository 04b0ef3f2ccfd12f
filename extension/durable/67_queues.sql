-- Queues: functions for workers outside of the database, limits for activities, and views.

-- A task for a worker.  input is that of the call, payload its text.  idempotency_key is the same whenever the
-- same attempt is leased again.  version, tags and trace are those of the call of an external orchestration, and
-- task_id is the number of the call.
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

-- Counts are for the whole queue; oldest: since when the oldest ready task has been ready.
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

-- Leased work.  pid: process id of the session with which the lease ends; NULL: it does not end with a session.
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

COMMENT ON TYPE durable.work IS 'task that a worker has leased';
COMMENT ON FUNCTION durable.register_queue(text, integer, integer, interval, integer, text) IS
    'creates a queue, or changes its limits, which apply to all workers together';
COMMENT ON FUNCTION durable.unregister_queue(text) IS
    'removes a queue that no registration uses and that is empty';
COMMENT ON FUNCTION durable.pause_queue(text) IS
    'pauses a queue until durable.unpause_queue(); leased work continues';
COMMENT ON FUNCTION durable.unpause_queue(text) IS
    'ends durable.pause_queue()';
COMMENT ON FUNCTION durable.grant_queue(text, regrole) IS
    'allows a role to work for a queue; it needs no other privilege';
COMMENT ON FUNCTION durable.revoke_queue(text, regrole) IS
    'revokes the privileges granted by durable.grant_queue';
COMMENT ON FUNCTION durable.fetch_work(text, text, integer, interval, text[]) IS
    'leases tasks from a queue';
COMMENT ON PROCEDURE durable.wait_for_work(text, interval, boolean, text[], text) IS
    'waits until a queue has work of the given kind, without holding a transaction or snapshot';
COMMENT ON FUNCTION durable.complete_tasks(text[], jsonb[], text) IS
    'completes tasks with their results, and returns the number of valid tokens';
COMMENT ON FUNCTION durable.complete_tasks_text(text[], text[], text) IS
    'completes tasks with texts as results, which an external orchestration receives byte for byte, and returns the number of valid tokens';
COMMENT ON FUNCTION durable.fail_tasks(text[], jsonb[], text) IS
    'reports failed attempts as durable.fail_task does, and returns the number of valid tokens';
COMMENT ON FUNCTION durable.fail_task(text, jsonb, boolean) IS
    'reports that an attempt has failed, and returns whether there is another one';
COMMENT ON FUNCTION durable.extend_lease(text[], interval) IS
    'extends leases to the given time from now, and returns the number of valid tokens';
COMMENT ON FUNCTION durable.release_work(text[], interval) IS
    'gives tasks back, after a delay, so that another worker can take them, and returns the number of valid tokens';
COMMENT ON VIEW durable.queues IS
    'queues with their limits, and the amount of waiting and leased work';
COMMENT ON VIEW durable.leases IS
    'work that workers have leased and not answered yet';
COMMENT ON TYPE durable.turn IS 'turn of an external orchestration that a worker has leased';
COMMENT ON TYPE durable.turn_event IS 'event in the history of an external orchestration';
COMMENT ON FUNCTION durable.start_external(text, text, text, text, timestamptz, text, jsonb, text, text) IS
    'starts an external orchestration, which need not be registered, with a text that is stored byte for byte, and returns the instance id';
COMMENT ON FUNCTION durable.raise_event_text(text, text, text) IS
    'sends an event to an instance with a text that is stored byte for byte';
COMMENT ON TYPE durable.instance_state IS 'status of an instance for gateways, with payloads as texts';
COMMENT ON FUNCTION durable.instance_states(text[], boolean, text[]) IS
    'status of several instances, with payloads as texts; with awaited only of those that have started or ended';
COMMENT ON FUNCTION durable.external_history(text) IS
    'history of an external orchestration in the form that its workers receive';
COMMENT ON FUNCTION durable.fetch_turns(text, text, integer, interval, text[], boolean, boolean) IS
    'leases turns of external orchestrations from a queue';
COMMENT ON FUNCTION durable.turn_events(text) IS
    'events of a leased turn, as rows';
COMMENT ON FUNCTION durable.complete_turn(text, jsonb, text, text) IS
    'completes a turn with the actions of the orchestration';
COMMENT ON FUNCTION durable.complete_turns(text[], jsonb[], text[], text[], text) IS
    'completes several turns, and returns the number of valid tokens';
