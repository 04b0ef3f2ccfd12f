-- Views that show the state of the engine.
--
-- The views belong to the extension's owner, so they can read the tables.  The functions may_see and may_read
-- decide which rows and payloads a user sees: own instances, those of roles of which the user is a member, and
-- for members of pg_monitor those of all roles without payloads.  Users of a view need EXECUTE on the functions
-- in it; none of these discloses more than the views.

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

-- waiting_on: "event ApprovalTask, timer 2026-01-01 00:02:00+00"; an activity or
-- sub-orchestration that has failed and is tried again has the number of the attempt
-- that is next, or runs, when it is due, and the last error.  A wait for data
-- (durable.wait_until) has its query, the number of the next look and its time.
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
                (SELECT nullif(concat_ws(' and ',
                               string_agg(concat_ws(' ', CASE WHEN r.is_look THEN 'data' ELSE w.kind END,
                                              CASE WHEN r.is_look THEN CASE WHEN durable.may_read(i.owner) THEN translate(left(r.query, 60), E'\n\r\t', '   ') END
                                              ELSE w.detail END, w.due,
                                              '(' || nullif(concat_ws(', ', 'attempt ' || r.attempt,
                                                                      'next try ' || r.next_try,
                                                                      'last error: ' || CASE WHEN durable.may_read(i.owner)
                                                                                        THEN r.last_error END), '') || ')'),
                                          ', ' ORDER BY w.ordinality)
                                   FILTER (WHERE w.kind NOT IN ('buffered', 'more')),
                               max(w.number) FILTER (WHERE w.kind = 'more') || ' more'), '')
                 FROM durable.waits(i.waiting, coalesce(i.started_at, i.created_at))
                      WITH ORDINALITY AS w
                      LEFT JOIN LATERAL (
                          SELECT t.attempt, t.last_failure ->> 'message' AS last_error, coalesce(t.held_run_at, t.run_at) AS next_try,
                                 t.handler = 'durable.wait_until' AS is_look, t.input ->> 'query' AS query
                          FROM durable.task_queue t
                          WHERE w.kind = 'activity' AND t.key = i.key AND t.execution = i.execution AND t.task = w.number
                            AND (t.last_failure IS NOT NULL OR t.handler = 'durable.wait_until')
                          UNION ALL
                          SELECT CASE WHEN q.last_failure IS NOT NULL THEN q.attempt END,
                                 coalesce(q.last_failure ->> 'message', 'workers have given it back, times: ' || nullif(q.given_back, 0)), q.at, false, NULL
                          FROM durable.queued_task q
                          WHERE w.kind IN ('activity', 'turn') AND q.key = i.key AND q.execution = i.execution AND q.task = w.number
                            AND (q.last_failure IS NOT NULL OR q.given_back > 0) AND (q.state IN ('r', 'd', 'h') OR q.state = 'l' AND q.handler IS NULL)
                          UNION ALL
                          (SELECT c.parent_attempt,
                                  (SELECT p.failure ->> 'message' FROM durable.instance p
                                   WHERE p.parent_key = c.parent_key AND p.parent_task = c.parent_task
                                     AND p.parent_execution = c.parent_execution AND p.parent_attempt = c.parent_attempt - 1),
                                  (SELECT s.due FROM durable.waits(c.waiting, c.created_at) AS s WHERE s.kind = 'start'), false, NULL
                           FROM durable.instance c
                           WHERE w.kind = 'orchestration' AND c.parent_key = i.key AND c.parent_execution = i.execution
                             AND c.parent_task = w.number AND c.parent_attempt > 1
                           ORDER BY c.parent_attempt DESC LIMIT 1)) AS r ON true)
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
       CASE WHEN durable.may_read(i.owner) THEN i.tags END AS tags,
       CASE WHEN durable.may_read(i.owner) THEN i.suspend_reason END AS suspend_reason,
       coalesce(i.dropped_events, 0) AS dropped_events
FROM durable.instance i
WHERE durable.may_see(i.owner);

-- Instances are not counted for it: see durable.tally.
CREATE VIEW durable.counts WITH (security_barrier = true) AS
SELECT t.name,
       CASE t.status WHEN 'P' THEN 'Pending' WHEN 'R' THEN 'Running' WHEN 'S' THEN 'Suspended'
           WHEN 'C' THEN 'Completed' WHEN 'F' THEN 'Failed' ELSE 'Terminated' END AS runtime_status,
       t.owner,
       sum(t.n)::bigint AS instances
FROM durable.tally t
WHERE t.name IS NOT NULL AND durable.may_see(t.owner)
GROUP BY t.name, t.status, t.owner
HAVING sum(t.n) <> 0;

-- A suspended instance waits for its resumption, whatever else it waits for.  queue: the queue in which an
-- activity or the turn of an external orchestration waits; worker, leased_at: set if a worker has leased it.
CREATE VIEW durable.waiting WITH (security_barrier = true) AS
SELECT i.instance_id,
       i.name,
       CASE WHEN r.is_look THEN 'data' ELSE w.kind END AS kind,
       CASE WHEN r.is_look THEN CASE WHEN durable.may_read(i.owner) THEN r.query END ELSE w.detail END AS detail,
       w.since,
       w.due,
       w.line,
       i.owner,
       nullif(w.number, 0)::durable.task AS task,
       r.attempt,
       CASE WHEN durable.may_read(i.owner) THEN r.last_error END AS last_error,
       r.next_try,
       r.queue,
       r.worker,
       r.leased_at
FROM durable.instance i
     CROSS JOIN LATERAL durable.waits(i.waiting, coalesce(i.started_at, i.created_at)) AS w
     LEFT JOIN LATERAL (
         SELECT t.attempt, t.last_failure ->> 'message' AS last_error, coalesce(t.held_run_at, t.run_at) AS next_try,
                t.handler = 'durable.wait_until' AS is_look, t.input ->> 'query' AS query,
                NULL AS queue, NULL AS worker, NULL::timestamptz AS leased_at
         FROM durable.task_queue t
         WHERE w.kind = 'activity' AND t.key = i.key AND t.execution = i.execution AND t.task = w.number
           AND (t.last_failure IS NOT NULL OR t.handler = 'durable.wait_until')
         UNION ALL
         SELECT CASE WHEN q.last_failure IS NOT NULL THEN q.attempt WHEN q.lost > 0 THEN q.lost + 1 END,
                coalesce(q.last_failure ->> 'message', 'workers have given it back, times: ' || nullif(q.given_back, 0)),
                CASE WHEN q.last_failure IS NOT NULL OR q.state = 'd' THEN q.at END, false, NULL, q.queue, q.worker, q.leased_at
         FROM durable.queued_task q
         WHERE w.kind IN ('activity', 'turn') AND q.key = i.key AND q.execution = i.execution AND q.task = w.number
           AND (q.state IN ('r', 'd', 'h') OR q.state = 'l' AND q.handler IS NULL)
         UNION ALL
         (SELECT c.parent_attempt,
                 (SELECT p.failure ->> 'message' FROM durable.instance p
                  WHERE p.parent_key = c.parent_key AND p.parent_task = c.parent_task
                    AND p.parent_execution = c.parent_execution AND p.parent_attempt = c.parent_attempt - 1),
                 (SELECT s.due FROM durable.waits(c.waiting, c.created_at) AS s WHERE s.kind = 'start'), false, NULL, NULL, NULL, NULL
          FROM durable.instance c
          WHERE w.kind = 'orchestration' AND c.parent_key = i.key AND c.parent_execution = i.execution
            AND c.parent_task = w.number AND c.parent_attempt > 1
          ORDER BY c.parent_attempt DESC LIMIT 1)) AS r ON true
WHERE i.status IN ('P', 'R', 'S') AND durable.may_see(i.owner)
  AND w.kind NOT IN ('buffered', 'more')
UNION ALL
SELECT i.instance_id, i.name, 'resume',
       CASE WHEN durable.may_read(i.owner) THEN i.suspend_reason END,
       coalesce(i.updated_at, i.started_at, i.created_at), NULL, NULL, i.owner, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM durable.instance i
WHERE i.status = 'S' AND durable.may_see(i.owner);

-- seq is the number of the event in the history; events that are still in the inbox have none.
CREATE VIEW durable.buffered_events WITH (security_barrier = true) AS
SELECT i.instance_id,
       i.name,
       b.detail AS event,
       b.number AS seq,
       b.since AS received_at,
       i.owner
FROM durable.instance i
     CROSS JOIN LATERAL durable.waits(i.waiting, coalesce(i.started_at, i.created_at)) AS b
WHERE i.status IN ('P', 'R', 'S') AND durable.may_see(i.owner) AND b.kind = 'buffered'
UNION ALL
SELECT i.instance_id, i.name, m.name, NULL, m.sent_at, i.owner
FROM durable.inbox m
     JOIN durable.instance i USING (key)
WHERE m.kind = 'e' AND i.status IN ('P', 'R', 'S') AND durable.may_see(i.owner);

-- Workers of this database.  state: starting, idle, turns, or activity (one with its own transaction, of the
-- instance named).
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
    'returns true if the current user may see that instances of the given role exist';
COMMENT ON FUNCTION durable.may_read(regrole) IS
    'returns true if the current user may read inputs, outputs and failures of instances of the given role';
COMMENT ON FUNCTION durable.clock() IS
    'current time of the engine: the time of the server plus the intervals added by durable.advance_clock';
COMMENT ON FUNCTION durable.waits(text, timestamptz) IS
    'tasks for which an instance waits, taken from its column waiting; times in it are relative to base';
COMMENT ON FUNCTION durable.worker_slots() IS 'workers that the view durable.workers shows';
COMMENT ON VIEW durable.instances IS
    'instances that you may see: your own, those of roles of which you are a member, and for members of pg_monitor those of all roles without the payloads';
COMMENT ON VIEW durable.counts IS
    'number of instances of each name, status and owner';
COMMENT ON VIEW durable.waiting IS
    'tasks for which unfinished instances wait: activity, data, timer, event, orchestration, entity, lock, turn, start or resume, and the line of the code that waits';
COMMENT ON VIEW durable.buffered_events IS
    'events that were raised and that no wait has consumed yet';
COMMENT ON VIEW durable.workers IS 'worker processes of this database';
