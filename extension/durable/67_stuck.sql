-- Instances that need attention.

-- Each part looks at a limited number of rows, so the view takes the same time however many
-- instances there are.  (LIMIT 512 is the size of a range: the planner does not know it, and
-- would compile the query for a million rows.)  The last row, without an instance, says what was not looked at.
CREATE VIEW durable.stuck WITH (security_barrier = true) AS
WITH RECURSIVE suspended_range AS (
    SELECT t.range, sum(t.n) AS n
    FROM durable.tally t WHERE t.range IS NOT NULL AND t.status = 'S'
    GROUP BY t.range HAVING sum(t.n) > 0 ORDER BY t.range DESC LIMIT 50
), live_range AS (
    -- The oldest ones, because problems that are not solved remain the oldest.
    SELECT t.range
    FROM durable.tally t WHERE t.range IS NOT NULL AND t.status IN ('P', 'R')
    GROUP BY t.range HAVING sum(t.n) > 0 ORDER BY t.range LIMIT 4
), message_owner (owner) AS (
    (SELECT m.owner FROM durable.inbox m ORDER BY m.owner LIMIT 1)
    UNION ALL
    SELECT n.owner FROM message_owner o, LATERAL (SELECT m.owner FROM durable.inbox m WHERE m.owner > o.owner ORDER BY m.owner LIMIT 1) n
), timer_owner (owner) AS (
    (SELECT t.owner FROM durable.timer t ORDER BY t.owner LIMIT 1)
    UNION ALL
    SELECT n.owner FROM timer_owner o, LATERAL (SELECT t.owner FROM durable.timer t WHERE t.owner > o.owner ORDER BY t.owner LIMIT 1) n
), task_owner (owner) AS (
    (SELECT t.owner FROM durable.task_queue t ORDER BY t.owner LIMIT 1)
    UNION ALL
    SELECT n.owner FROM task_owner o, LATERAL (SELECT t.owner FROM durable.task_queue t WHERE t.owner > o.owner ORDER BY t.owner LIMIT 1) n
), quiet_queue (name, kind) AS (
    -- Queues from which no worker has leased anything at present.  One with a thousand leases is none of them, whatever is leased.
    SELECT q.name, k.kind
    FROM durable.queue q,
         LATERAL (SELECT array_agg(DISTINCT l.kind) AS kinds, count(*) AS n
                  FROM (SELECT l.kind FROM durable.queued_task l
                        WHERE l.queue = q.name AND l.state = 'l' AND l.at > durable.clock() ORDER BY l.at LIMIT 1000) l) l,
         (VALUES ('e'::"char"), ('n'::"char"), ('o'::"char")) k (kind)
    WHERE l.n < 1000 AND k.kind <> ALL (coalesce(l.kinds, '{}'))
), found (key, reason, since, detail) AS (
    SELECT s.key, 'suspended', s.since, s.suspend_reason
    FROM suspended_range r,
         LATERAL (SELECT i.key, coalesce(i.updated_at, i.started_at, i.created_at) AS since, i.suspend_reason
                  FROM (SELECT i.key, i.status, i.created_at, i.started_at, i.updated_at, i.suspend_reason FROM durable.instance i
                        WHERE i.key >= r.range << 9 AND i.key < (r.range + 1) << 9 ORDER BY i.key LIMIT 512) i
                  WHERE i.status = 'S') s
    UNION ALL
    SELECT m.key, 'message not taken', m.sent_at, NULL
    FROM message_owner o,
         LATERAL (SELECT m.key, m.sent_at FROM durable.inbox m WHERE m.owner = o.owner ORDER BY m.key, m.id LIMIT 100) m
    WHERE m.sent_at < durable.clock() - interval '1 minute'
    UNION ALL
    SELECT t.key, 'timer overdue', t.due_at, NULL
    FROM timer_owner o,
         LATERAL (SELECT t.key, t.due_at FROM durable.timer t WHERE t.owner = o.owner ORDER BY t.due_at LIMIT 100) t
    WHERE t.due_at < durable.clock() - interval '1 minute'
    UNION ALL
    SELECT t.key, CASE WHEN t.last_failure IS NULL THEN 'activity not run' ELSE 'activity fails' END,
           CASE WHEN t.last_failure IS NULL THEN t.run_at ELSE t.scheduled_at END,
           concat_ws(': ', t.name, t.last_failure ->> 'message')
    FROM task_owner o,
         LATERAL (SELECT t.key, t.name, t.attempt, t.run_at, t.held_run_at, t.scheduled_at, t.last_failure
                  FROM durable.task_queue t WHERE t.owner = o.owner ORDER BY t.run_at LIMIT 100) t
    WHERE (t.last_failure IS NOT NULL AND t.attempt > 3 AND t.held_run_at IS NULL)
       OR (t.run_at < durable.clock() - interval '1 minute' AND t.key NOT IN (SELECT w.key FROM durable.worker_slots() w WHERE w.key IS NOT NULL))
    UNION ALL
    SELECT t.key, CASE q.kind WHEN 'o' THEN 'turn not fetched' ELSE 'activity not fetched' END, t.at, format('%s in queue %s', t.name, q.name)
    FROM quiet_queue q,
         LATERAL (SELECT t.key, t.name, t.at FROM durable.queued_task t WHERE t.queue = q.name AND t.kind = q.kind AND t.state = 'r'
                  ORDER BY t.priority, t.round, t.id LIMIT 100) t
    WHERE q.kind <> 'n' AND t.at < durable.clock() - interval '1 minute'
    UNION ALL
    SELECT t.key, CASE t.kind WHEN 'o' THEN 'turn loses leases' ELSE 'activity loses leases' END, t.scheduled_at,
           format('%s in queue %s: %s leases', t.name, q.name, t.lost)
    FROM durable.queue q,
         LATERAL (SELECT t.key, t.kind, t.name, t.lost, t.scheduled_at FROM durable.queued_task t
                  WHERE t.queue = q.name AND t.lost >= 3 AND t.kind <> 'n' AND t.state IN ('r', 'd', 'l', 'h') LIMIT 100) t
    UNION ALL
    SELECT t.key, CASE t.kind WHEN 'o' THEN 'turn given back' ELSE 'activity given back' END, t.scheduled_at,
           format('%s in queue %s: %s times', t.name, q.name, t.given_back)
    FROM durable.queue q,
         LATERAL (SELECT t.key, t.kind, t.name, t.given_back, t.scheduled_at FROM durable.queued_task t
                  WHERE t.queue = q.name AND t.given_back >= 5 AND t.kind <> 'n' AND t.state IN ('r', 'd', 'l', 'h') LIMIT 100) t
    UNION ALL
    SELECT t.key, 'activity fails', t.scheduled_at, concat_ws(': ', t.name, t.last_failure ->> 'message')
    FROM durable.queue q,
         LATERAL (SELECT t.key, t.name, t.attempt, t.scheduled_at, t.last_failure FROM durable.queued_task t
                  WHERE t.queue = q.name AND t.state = 'd' ORDER BY t.at LIMIT 100) t
    WHERE t.last_failure IS NOT NULL AND t.attempt > 3
    UNION ALL
    SELECT u.key, 'nothing to wait for', u.since, u.waiting
    FROM live_range r,
         LATERAL (SELECT i.key, coalesce(i.updated_at, i.started_at, i.created_at) AS since, i.waiting
                  FROM (SELECT i.key, i.owner, i.status, i.created_at, i.started_at, i.updated_at, i.waiting, i.handler FROM durable.instance i
                        WHERE i.key >= r.range << 9 AND i.key < (r.range + 1) << 9 ORDER BY i.key LIMIT 512) i
                  -- An external orchestration waits for events in its own code.
                  WHERE i.status IN ('P', 'R') AND i.handler NOT LIKE '-%'
                    AND coalesce(i.updated_at, i.started_at, i.created_at) < durable.clock() - interval '1 minute'
                    AND NOT EXISTS (SELECT FROM durable.waits(i.waiting, coalesce(i.started_at, i.created_at)) w
                                    WHERE w.kind NOT IN ('activity', 'timer', 'orchestration', 'start', 'buffered', 'more')
                                       OR (w.due IS NOT NULL AND EXISTS (
                                           SELECT FROM durable.timer t WHERE t.owner = i.owner AND t.due_at = w.due AND t.key = i.key)))
                    AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.owner = i.owner AND m.key = i.key)
                    AND NOT EXISTS (SELECT FROM durable.task_queue t WHERE t.key = i.key)
                    AND NOT EXISTS (SELECT FROM durable.queued_task q WHERE q.key = i.key)
                    AND NOT EXISTS (SELECT FROM durable.instance c WHERE c.parent_key = i.key AND c.status IN ('P', 'R', 'S'))) u
), found_entity (entity_id, name, owner, reason, since, detail) AS (
    -- Operations of external entities that are ready, or out.
    SELECT t.input #>> '{}', t.name, t.owner, 'operations not fetched', t.at, format('%s in queue %s', t.name, q.name)
    FROM quiet_queue q,
         LATERAL (SELECT t.input, t.name, t.owner, t.at FROM durable.queued_task t WHERE t.queue = q.name AND t.kind = q.kind AND t.state = 'r'
                  ORDER BY t.priority, t.round, t.id LIMIT 100) t
    WHERE q.kind = 'n' AND t.at < durable.clock() - interval '1 minute'
    UNION ALL
    SELECT t.input #>> '{}', t.name, t.owner, CASE WHEN t.lost >= 3 THEN 'operations lose leases' ELSE 'operations given back' END, t.scheduled_at,
           CASE WHEN t.lost >= 3 THEN format('%s in queue %s: %s leases', t.name, q.name, t.lost)
                ELSE format('%s in queue %s: %s times', t.name, q.name, t.given_back) END
    FROM durable.queue q,
         LATERAL (SELECT t.input, t.name, t.owner, t.scheduled_at, t.lost, t.given_back FROM durable.queued_task t
                  WHERE t.queue = q.name AND (t.lost >= 3 OR t.given_back >= 5) AND t.kind = 'n' AND t.state IN ('r', 'd', 'l') LIMIT 100) t
)
SELECT i.instance_id,
       i.name,
       i.owner,
       f.reason,
       f.since,
       CASE WHEN durable.may_read(i.owner) THEN f.detail END AS detail,
       CASE f.reason
           WHEN 'suspended' THEN format('SELECT durable.resume(%L); when the reason is gone.', i.instance_id)
           WHEN 'activity fails' THEN format('SELECT * FROM durable.waiting WHERE instance_id = %L; shows the error and the next attempt.', i.instance_id)
           WHEN 'turn not fetched' THEN 'SELECT check_name, detail, hint FROM durable.doctor() WHERE check_name = ''queues''; shows queues from which no worker fetches.'
           WHEN 'activity not fetched' THEN 'SELECT check_name, detail, hint FROM durable.doctor() WHERE check_name = ''queues''; shows queues from which no worker fetches.'
           WHEN 'turn loses leases' THEN format('SELECT * FROM durable.waiting WHERE instance_id = %L; shows the worker that has it and the next try.', i.instance_id)
           WHEN 'turn given back' THEN 'No worker runs it. Does one have this orchestration in this version?'
           WHEN 'activity given back' THEN 'No worker runs it. Does one have this activity in this version?'
           WHEN 'activity loses leases' THEN format('SELECT * FROM durable.waiting WHERE instance_id = %L; shows the worker that has it and the next try.', i.instance_id)
           WHEN 'nothing to wait for' THEN format('SELECT durable.suspend(%1$L); SELECT durable.resume(%1$L); runs it once more. Please report this.', i.instance_id)
           ELSE 'SELECT check_name, detail, hint FROM durable.doctor() WHERE NOT ok; shows why the work of this owner is not done.'
       END AS hint
FROM (SELECT f.key, (array_agg(f.reason ORDER BY f.since))[1] AS reason, min(f.since) AS since, (array_agg(f.detail ORDER BY f.since))[1] AS detail
      FROM found f GROUP BY f.key ORDER BY 3 LIMIT 1000) f
     JOIN durable.instance i ON i.key = f.key
WHERE durable.may_see(i.owner)
UNION ALL
(SELECT e.entity_id, e.name, e.owner, e.reason, e.since, e.detail,
        CASE e.reason
            WHEN 'operations not fetched' THEN 'SELECT check_name, detail, hint FROM durable.doctor() WHERE check_name = ''queues''; shows queues from which no worker fetches.'
            WHEN 'operations lose leases' THEN format('SELECT * FROM durable.leases WHERE instance_id = %L; shows the worker that has them.', e.entity_id)
            ELSE 'No worker runs them. Does one have this entity?'
        END
 FROM found_entity e
 WHERE durable.may_see(e.owner)
 ORDER BY e.since LIMIT 1000)
UNION ALL
SELECT NULL, NULL, NULL, 'not looked at', NULL,
       format('%s unfinished instances whose waits were not compared with the tables, %s suspended ones',
              greatest(sum(t.n) FILTER (WHERE t.status IN ('P', 'R') AND t.range NOT IN (SELECT l.range FROM live_range l)), 0),
              greatest(sum(t.n) FILTER (WHERE t.status = 'S' AND t.range NOT IN (SELECT s.range FROM suspended_range s)), 0)),
       'SELECT * FROM durable.doctor(''1 minute''); looks at more.'
FROM durable.tally t
WHERE t.range IS NOT NULL AND t.status IN ('P', 'R', 'S')
HAVING sum(t.n) FILTER (WHERE (t.status IN ('P', 'R') AND t.range NOT IN (SELECT l.range FROM live_range l))
                           OR (t.status = 'S' AND t.range NOT IN (SELECT s.range FROM suspended_range s))) > 0;

COMMENT ON VIEW durable.stuck IS
    'instances that are suspended, whose work is overdue, whose activity fails again and again, whose work outside of the database is not done, or that wait for something that does not exist; entities whose operations outside of the database are not run; looks at a limited number of rows';
