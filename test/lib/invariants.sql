-- What must be true of the engine's tables after whatever has happened, and of the traces that test/lib/chaos.sql's
-- workflows leave. SELECT * FROM invariant.violations(finished) says what is not; finished: everything should have come
-- to its end by now. To be created and called by a superuser while no worker runs anything.
--
--	I1	what was acknowledged to a client is there; nothing is there that nobody started; all of it ends, as it should
--	I2	each activity that completed has had its effect once, and nothing else has had one
--	I3	a history has no holes; every answer has one call before it, every call one answer at most; the end is last
--	I4	money is neither made nor lost, and compensation compensates
--	I5	timers fire once, not too early; time does not go backwards in a history
--	I6	acknowledged events arrive once, in the order in which each sender sent them
--	I7	no two turns of an instance overlap
--	I8	the end of a sub-orchestration is told to its parent, once and truly; the end of a parent reaches its children
--	I10	whatever has not ended waits for something that will come
--	I11	nothing is left over for instances that have ended or are gone
--	I13	tables and indexes are sound
-- I9 (external activities) has nothing to look at yet. I12, the replay of each history, is durable.verify_replay's.

CREATE SCHEMA invariant;

-- What src/value/history.c writes, each event as an array of its own: type, task, name, time, extra, payload (left out for NULL).
CREATE FUNCTION invariant.decoded(at timestamptz, events jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	us bigint := extract(epoch FROM at - '2000-01-01 00:00:00+00') * 1000000;
	n int := 0;
	code int;
	name jsonb;
	extra jsonb;
BEGIN
	WHILE n < jsonb_array_length(events) LOOP
		code := events -> n;
		name := 'null';
		extra := 'null';
		n := n + 1;
		IF code & 32 <> 0 THEN
			us := us + (events -> n)::bigint;
			n := n + 1;
		END IF;
		IF code & 64 <> 0 THEN
			name := events -> n;
			n := n + 1;
		END IF;
		IF code & 128 <> 0 THEN
			extra := CASE WHEN code & 31 IN (4, 6) THEN to_jsonb(us + (events -> n)::bigint) ELSE events -> n END;
			n := n + 1;
		END IF;
		IF code & 256 <> 0 THEN
			RETURN NEXT jsonb_build_array(code & 31, code >> 9, name, us, extra, events -> n);
			n := n + 1;
		ELSE
			RETURN NEXT jsonb_build_array(code & 31, code >> 9, name, us, extra);
		END IF;
	END LOOP;
END $$;

-- And back, to plant faults.
CREATE FUNCTION invariant.encoded(at timestamptz, events jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	before bigint := extract(epoch FROM at - '2000-01-01 00:00:00+00') * 1000000;
	result jsonb := '[]';
	e jsonb;
	us bigint;
BEGIN
	FOR e IN SELECT * FROM jsonb_array_elements(events) LOOP
		us := e -> 3;
		result := result || to_jsonb((e -> 0)::int + (e -> 1)::int * 512 + CASE WHEN us <> before THEN 32 ELSE 0 END +
			CASE WHEN e -> 2 <> 'null' THEN 64 ELSE 0 END + CASE WHEN e -> 4 <> 'null' THEN 128 ELSE 0 END +
			CASE WHEN jsonb_array_length(e) > 5 THEN 256 ELSE 0 END);
		IF us <> before THEN
			result := result || to_jsonb(us - before);
		END IF;
		before := us;
		IF e -> 2 <> 'null' THEN
			result := result || jsonb_build_array(e -> 2);
		END IF;
		IF e -> 4 <> 'null' THEN
			result := result || jsonb_build_array(CASE WHEN e -> 0 IN ('4', '6') THEN to_jsonb((e -> 4)::bigint - us) ELSE e -> 4 END);
		END IF;
		IF jsonb_array_length(e) > 5 THEN
			result := result || jsonb_build_array(e -> 5);
		END IF;
	END LOOP;
	RETURN result;
END $$;

-- Stored events as rows, from the tables themselves: durable.history() would hide what does not belong there.
CREATE VIEW invariant.event AS
SELECT i.key, i.instance_id, h.execution, h.seq + e.n::int - 1 AS seq, e.item ->> 0 AS type, (e.item ->> 1)::int AS task,
       e.item ->> 2 AS name, (e.item ->> 3)::bigint AS at, e.item -> 4 AS extra, e.item -> 5 AS payload,
       i.execution AS current_execution, i.status, i.events AS stored
FROM durable.history h
     JOIN durable.instance i USING (key)
     CROSS JOIN LATERAL invariant.decoded(h.at, h.events) WITH ORDINALITY AS e (item, n);

CREATE FUNCTION invariant.violations(finished boolean DEFAULT true)
RETURNS TABLE (invariant text, instance_id text, detail text)
LANGUAGE plpgsql
SET search_path TO pg_catalog, invariant, pg_temp
SET client_min_messages TO warning
AS $$
#variable_conflict use_column
DECLARE
	relation record;
	problem record;
BEGIN
	DROP TABLE IF EXISTS e, call, answer, told;
	CREATE TEMP TABLE e AS SELECT * FROM invariant.event;
	CREATE INDEX ON e (key, execution, task);
	CREATE TEMP TABLE call AS SELECT * FROM e WHERE type IN ('1', '4', '7', '11');
	CREATE INDEX ON call (key, execution, task);
	CREATE TEMP TABLE answer AS SELECT * FROM e WHERE type IN ('2', '3', '5', '12', '13');
	CREATE INDEX ON answer (key, execution, task);
	CREATE TEMP TABLE told AS
	SELECT action, instance_id, item,
	       count(*) FILTER (WHERE word = 'try') AS tried, count(*) FILTER (WHERE word = 'ack') AS acknowledged,
	       min(line) FILTER (WHERE word = 'ack') AS line, min(client) AS client
	FROM chaos.client_log GROUP BY 1, 2, 3;
	ANALYZE e, call, answer, told;

	-- I1
	RETURN QUERY
	SELECT 'I1', t.instance_id, 'was acknowledged and is not there'
	FROM told t WHERE t.action = 'start' AND t.acknowledged > 0
	AND NOT EXISTS (SELECT FROM durable.instance i WHERE i.instance_id = t.instance_id);

	RETURN QUERY
	SELECT 'I1', i.instance_id, 'nobody started it'
	FROM durable.instance i
	WHERE i.parent_key IS NULL AND i.instance_id !~ 'listener$'
	AND NOT EXISTS (SELECT FROM told t WHERE t.action = 'start' AND t.tried > 0 AND t.instance_id = i.instance_id);

	RETURN QUERY
	SELECT 'I1', i.instance_id, format('%s has not ended, status %s', i.name, i.status)
	FROM durable.instance i WHERE finished AND i.status NOT IN ('C', 'F', 'T');

	RETURN QUERY
	SELECT 'I1', s.instance_id, format('ended as %s %s, and not as %s %s', s.runtime_status, coalesce(s.output, s.failure), o.status, o.output)
	FROM durable.instances s
	     JOIN durable.instance i USING (instance_id)
	     CROSS JOIN LATERAL chaos.outcome(s.instance_id, s.name, s.input) o
	WHERE i.status IN ('C', 'F', 'T')
	AND (s.runtime_status <> o.status OR s.output IS DISTINCT FROM o.output);

	RETURN QUERY
	SELECT 'I1', i.instance_id, format('status %s, but completed_at %s, output %s, failure %s', i.status, i.completed_at, i.output, i.failure)
	FROM durable.instance i
	WHERE (i.status IN ('C', 'F', 'T')) <> (i.completed_at IS NOT NULL)
	OR (i.status <> 'C' AND i.output IS NOT NULL)
	OR (i.status = 'F') <> (i.failure IS NOT NULL AND i.status <> 'T');

	-- I2
	RETURN QUERY
	SELECT 'I2', f.instance_id, format('%s times: %s', count(*), f.step)
	FROM chaos.effect f GROUP BY f.instance_id, f.step HAVING count(*) > 1;

	RETURN QUERY
	SELECT 'I2', c.instance_id, format('completed without an effect: %s', c.payload ->> 'step')
	FROM call c
	     JOIN answer a USING (key, execution, task)
	WHERE c.type = '1' AND a.type = '2' AND c.payload ->> 'step' IS NOT NULL
	AND NOT EXISTS (SELECT FROM chaos.effect f
					WHERE f.instance_id = c.payload ->> 'instance' AND f.step = c.payload ->> 'step'
					AND f.value = (c.payload ->> 'value')::int)
	AND NOT EXISTS (SELECT FROM chaos.ledger l
					WHERE l.instance_id = c.payload ->> 'instance' AND l.step = c.payload ->> 'step');

	RETURN QUERY
	SELECT 'I2', f.instance_id, format('has had an effect and is not completed: %s', f.step)
	FROM chaos.effect f
	WHERE f.step !~ '^round'
	AND NOT EXISTS (SELECT FROM call c
					     JOIN answer a USING (key, execution, task)
					WHERE c.instance_id = f.instance_id AND c.type = '1' AND a.type = '2' AND c.payload ->> 'step' = f.step);

	RETURN QUERY
	SELECT 'I2', i.instance_id, format('%s effects of %s', count(f.step), o.steps)
	FROM durable.instance i
	     CROSS JOIN LATERAL chaos.outcome(i.instance_id, i.name, i.input) o
	     LEFT JOIN chaos.effect f ON f.instance_id = i.instance_id AND f.step <> 'ship'
	WHERE i.status = 'C'
	GROUP BY i.instance_id, i.name, i.input, o.steps
	HAVING count(f.step) <> CASE WHEN i.name = 'chaos.saga' AND i.input::int % 3 <> 0 THEN 1 ELSE o.steps END;

	RETURN QUERY
	SELECT 'I2', f.instance_id, format('done by %s instead of %s', f.owner, i.owner)
	FROM chaos.effect f JOIN durable.instance i USING (instance_id)
	WHERE f.owner <> i.owner::text;

	-- I3
	RETURN QUERY
	SELECT 'I3', i.instance_id, format('%s events are numbered %s to %s, %s should be there', count(e.seq), min(e.seq), max(e.seq), i.events)
	FROM durable.instance i LEFT JOIN e ON e.key = i.key AND e.execution = i.execution
	GROUP BY i.key, i.instance_id, i.events
	HAVING count(e.seq) <> i.events OR count(DISTINCT e.seq) <> i.events
	OR (i.events > 0 AND (min(e.seq) <> 1 OR max(e.seq) <> i.events));

	RETURN QUERY
	SELECT DISTINCT 'I3', e.instance_id, format('history of execution %s in execution %s', e.execution, e.current_execution)
	FROM e WHERE e.execution <> e.current_execution;

	RETURN QUERY
	SELECT 'I3', NULL, format('history of an instance that is gone: %s', h.key)
	FROM durable.history h WHERE NOT EXISTS (SELECT FROM durable.instance i WHERE i.key = h.key);

	RETURN QUERY
	SELECT 'I3', a.instance_id, format('event %s answers task %s, which has no such call before it', a.seq, a.task)
	FROM answer a
	WHERE NOT EXISTS (SELECT FROM call c
					  WHERE c.key = a.key AND c.execution = a.execution AND c.task = a.task AND c.seq < a.seq
					  AND (c.type, a.type) IN (('1', '2'), ('1', '3'), ('4', '5'), ('11', '12'), ('11', '13')));

	RETURN QUERY
	SELECT 'I3', a.instance_id, format('task %s was answered %s times', a.task, count(*))
	FROM answer a GROUP BY a.key, a.instance_id, a.execution, a.task HAVING count(*) > 1;

	RETURN QUERY
	SELECT 'I3', e.instance_id, format('task %s was called %s times', e.task, count(*))
	FROM e WHERE e.type IN ('1', '4', '6', '7', '8', '10', '11', '14') AND e.task > 0
	GROUP BY e.key, e.instance_id, e.execution, e.task HAVING count(*) > 1;

	-- As users see it: a beginning, one end, which is last.
	RETURN QUERY
	SELECT 'I3', i.instance_id, format('%s beginnings, %s ends, the last event is number %s of %s: %s', count(*) FILTER (WHERE h.event_type = 'ExecutionStarted'),
		   count(*) FILTER (WHERE h.event_type IN ('ExecutionCompleted', 'ExecutionFailed', 'ExecutionTerminated')), max(h.seq), i.events,
		   (array_agg(h.event_type ORDER BY h.seq DESC))[1])
	FROM durable.instance i CROSS JOIN LATERAL durable.history(i.instance_id) h
	WHERE i.status IN ('C', 'F', 'T') AND i.started_at IS NOT NULL
	GROUP BY i.key, i.instance_id, i.events
	HAVING count(*) FILTER (WHERE h.event_type = 'ExecutionStarted') <> 1
	OR count(*) FILTER (WHERE h.event_type IN ('ExecutionCompleted', 'ExecutionFailed', 'ExecutionTerminated')) <> 1
	OR (array_agg(h.event_type ORDER BY h.seq DESC))[1] NOT IN ('ExecutionCompleted', 'ExecutionFailed', 'ExecutionTerminated')
	OR max(h.seq) <> i.events + 1 OR count(*) <> i.events + 2;

	-- I4
	RETURN QUERY
	SELECT 'I4', NULL, format('the balances add up to %s', sum(b.amount)) FROM chaos.balance b HAVING sum(b.amount) <> 0;

	RETURN QUERY
	SELECT 'I4', NULL, format('account %s has %s and should have %s', b.account, b.amount, coalesce(m.amount, 0))
	FROM chaos.balance b
	     LEFT JOIN (SELECT (p.payload ->> p.side)::int AS account, sum(CASE p.side WHEN 0 THEN - (p.payload ->> 2)::int ELSE (p.payload ->> 2)::int END) AS amount
					FROM (SELECT c.payload, s.side FROM call c JOIN answer a USING (key, execution, task) CROSS JOIN (VALUES (0), (1)) s (side)
						  WHERE c.name = 'chaos.move' AND a.type = '2') p
					GROUP BY 1) m USING (account)
	WHERE b.amount <> coalesce(m.amount, 0);

	RETURN QUERY
	SELECT 'I4', l.instance_id, format('the ledger adds up to %s', sum(l.amount)) FROM chaos.ledger l GROUP BY l.instance_id HAVING sum(l.amount) <> 0;

	RETURN QUERY
	SELECT 'I4', i.instance_id, format('%s, and the customer has paid %s', i.output, coalesce(-sum(l.amount), 0))
	FROM durable.instance i LEFT JOIN chaos.ledger l ON l.instance_id = i.instance_id AND l.account = 'customer'
	WHERE i.name = 'chaos.saga' AND i.status = 'C'
	GROUP BY i.instance_id, i.output, i.input
	HAVING coalesce(-sum(l.amount), 0) <> CASE i.output #>> '{}' WHEN 'shipped' THEN i.input::int ELSE 0 END
	OR count(*) <> CASE i.output #>> '{}' WHEN 'shipped' THEN 1 ELSE 2 END;

	-- I5
	RETURN QUERY
	SELECT 'I5', c.instance_id, format('timer %s fired %s us too early', c.task, (c.extra #>> '{}')::bigint - a.at)
	FROM call c JOIN answer a USING (key, execution, task)
	WHERE c.type = '4' AND a.type = '5' AND a.at < (c.extra #>> '{}')::bigint;

	RETURN QUERY
	SELECT 'I5', e.instance_id, format('timer %s was cancelled and fired later', a.task)
	FROM e JOIN answer a ON a.key = e.key AND a.execution = e.execution AND a.task = (e.payload #>> '{}')::int
	WHERE e.type = '6' AND a.type = '5' AND a.seq > e.seq;

	RETURN QUERY
	SELECT 'I5', t.instance_id, format('event %s happened %s us before the one before it', t.seq, t.before - t.at)
	FROM (SELECT e.instance_id, e.seq, e.at, lag(e.at) OVER (PARTITION BY e.key, e.execution ORDER BY e.seq) AS before
		  FROM e) t
	WHERE t.at < t.before;

	RETURN QUERY
	SELECT 'I5', i.instance_id, format('began at %s, ended at %s', i.started_at, i.completed_at)
	FROM durable.instance i WHERE i.completed_at < i.started_at;

	-- I6: buffered events of a finished execution that continued as new are in the next one
	RETURN QUERY
	SELECT 'I6', t.instance_id, format('item %s was tried %s times, acknowledged %s times and has arrived %s times', t.item, t.tried, t.acknowledged,
									   (SELECT count(*) FROM e WHERE e.instance_id = t.instance_id AND e.type = '9' AND e.payload = to_jsonb(t.item)))
	FROM told t
	WHERE t.action = 'raise'
	AND (SELECT count(*) FROM e WHERE e.instance_id = t.instance_id AND e.type = '9' AND e.payload = to_jsonb(t.item))
		NOT BETWEEN CASE WHEN finished THEN t.acknowledged ELSE 0 END AND t.tried;

	RETURN QUERY
	SELECT 'I6', o.instance_id, format('item %s arrived before item %s', o.item, o.former)
	FROM (SELECT a.instance_id, a.item, lag(a.item) OVER (PARTITION BY a.instance_id ORDER BY a.seq) AS former
		  FROM (SELECT e.instance_id, (e.payload #>> '{}')::int AS item, min(e.seq) AS seq
				FROM e WHERE e.type = '9' AND e.name = 'Item' GROUP BY 1, 2) a) o
	WHERE o.item < o.former;

	-- I7: turns that overlap would write the same events; a step that runs beside another one does not see its effect
	RETURN QUERY
	SELECT 'I7', e.instance_id, format('event %s of execution %s was written %s times', e.seq, e.execution, count(*))
	FROM e GROUP BY e.key, e.instance_id, e.execution, e.seq HAVING count(*) > 1;

	RETURN QUERY
	SELECT 'I7', f.instance_id, format('effects have seen %s effects before them', array_agg(f.seen ORDER BY f.seen))
	FROM chaos.effect f JOIN durable.instance i USING (instance_id)
	WHERE i.name IN ('chaos.sequence', 'chaos.again', 'chaos.saga')
	GROUP BY f.instance_id
	HAVING max(f.seen) <> count(*) - 1 OR count(DISTINCT f.seen) <> count(*);

	-- I8
	RETURN QUERY
	SELECT 'I8', c.instance_id, format('%s, but its parent has heard %s', c.status, CASE a.type WHEN '12' THEN a.payload WHEN '13' THEN '"it failed"' END)
	FROM durable.instance c
	     JOIN durable.instance p ON p.key = c.parent_key
	     LEFT JOIN answer a ON a.key = p.key AND a.execution = c.parent_execution AND a.task = c.parent_task
	WHERE p.execution = c.parent_execution AND c.status IN ('C', 'F', 'T') AND (finished OR p.status = 'C')
	AND (CASE WHEN a.type IS NULL THEN p.status <> 'T'
			  WHEN c.status = 'C' THEN a.type <> '12' OR a.payload IS DISTINCT FROM c.output
			  ELSE a.type <> '13' END);

	RETURN QUERY
	SELECT 'I8', c.instance_id, format('has not ended, but its parent has: %s', p.status)
	FROM durable.instance c JOIN durable.instance p ON p.key = c.parent_key
	WHERE finished AND c.status NOT IN ('C', 'F', 'T') AND p.status IN ('C', 'F', 'T');

	RETURN QUERY
	SELECT 'I8', c.instance_id, format('sub-orchestration %s is not there', c.task)
	FROM call c WHERE c.type = '11'
	AND NOT EXISTS (SELECT FROM durable.instance s
					WHERE s.parent_key = c.key AND s.parent_execution = c.execution AND s.parent_task = c.task);

	-- I10: what answers an open call is on its way
	RETURN QUERY
	SELECT 'I10', c.instance_id, format('nobody will answer task %s', c.task)
	FROM call c
	WHERE c.status IN ('P', 'R') AND c.execution = c.current_execution
	AND NOT EXISTS (SELECT FROM answer a WHERE a.key = c.key AND a.execution = c.execution AND a.task = c.task)
	AND NOT EXISTS (SELECT FROM e WHERE e.type = '6' AND e.key = c.key AND e.execution = c.execution AND (e.payload #>> '{}')::int = c.task)
	AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.key = c.key AND (m.kind = 'k' OR m.task = c.task))
	AND CASE c.type
		WHEN '1' THEN NOT EXISTS (SELECT FROM durable.task_queue t WHERE t.key = c.key AND t.execution = c.execution AND t.task = c.task)
		WHEN '4' THEN NOT EXISTS (SELECT FROM durable.timer t WHERE t.key = c.key AND t.execution = c.execution AND t.task = c.task
								  AND t.due_at = '2000-01-01 00:00:00+00'::timestamptz + (c.extra #>> '{}')::bigint * interval '1 microsecond')
		WHEN '11' THEN NOT EXISTS (SELECT FROM durable.instance s WHERE s.parent_key = c.key AND s.parent_execution = c.execution
								   AND s.parent_task = c.task AND s.status IN ('P', 'R', 'S'))
		ELSE false
		END;

	RETURN QUERY
	SELECT 'I10', i.instance_id, format('status %s, waits for nothing', i.status)
	FROM durable.instance i
	WHERE (i.status = 'P' AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.key = i.key)
		   AND NOT EXISTS (SELECT FROM durable.timer t WHERE t.key = i.key AND t.task = 0))
	OR (i.status = 'R' AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.key = i.key)
		AND NOT EXISTS (SELECT FROM durable.waits(i.waiting, i.created_at) w WHERE w.kind NOT IN ('buffered', 'pending')));

	-- I11
	RETURN QUERY
	SELECT 'I11', i.instance_id, format('%s for an instance that has ended or is gone', l.what)
	FROM (SELECT m.key, format('message %s of kind %s', m.id, m.kind) AS what FROM durable.inbox m
		  UNION ALL
		  SELECT t.key, format('timer %s, due at %s', t.task, t.due_at) FROM durable.timer t
		  UNION ALL
		  SELECT t.key, format('activity %s', t.name) FROM durable.task_queue t) l
	     LEFT JOIN durable.instance i USING (key)
	WHERE i.key IS NULL OR (finished AND i.status IN ('C', 'F', 'T'));

	RETURN QUERY
	SELECT 'I11', i.instance_id, format('still noted as running at %s crashes', i.crashes)
	FROM durable.instance i WHERE finished AND i.crashes <> 0;

	RETURN QUERY
	SELECT 'I11', i.instance_id, format('status %s since %s, but in the list of finished instances as %s', i.status, i.completed_at,
		array_agg(format('%s %s', f.status, f.completed_at)))
	FROM durable.instance i LEFT JOIN (SELECT k AS key, e.owner, e.name, e.status, e.completed_at
		FROM durable.finished e, unnest(e.key || e.others) k) f USING (key) GROUP BY i.key
	HAVING CASE WHEN i.status IN ('C', 'F', 'T')
		THEN count(f.key) <> 1 OR bool_or((f.owner, f.name, f.status, f.completed_at) IS DISTINCT FROM (i.owner, i.name, i.status, i.completed_at))
		ELSE count(f.key) > 0 END;

	RETURN QUERY
	SELECT 'I11', NULL, format('in the list of finished instances, and gone: %s', f.key)
	FROM durable.finished f WHERE NOT EXISTS (SELECT FROM durable.instance i WHERE i.key = ANY (f.key || f.others));

	-- I13
	CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA invariant;
	FOR relation IN SELECT c.oid::regclass AS name, c.relkind AS kind
					FROM pg_class c JOIN pg_am a ON a.oid = c.relam
					WHERE c.relnamespace = 'durable'::regnamespace AND (c.relkind = 'r' OR (c.relkind = 'i' AND a.amname = 'btree')) LOOP
		BEGIN
			IF relation.kind = 'i' THEN
				EXECUTE format('SELECT invariant.bt_index_check(%L::regclass, true)', relation.name);
			ELSE
				FOR problem IN EXECUTE format('SELECT blkno, offnum, attnum, msg FROM invariant.verify_heapam(%L::regclass)', relation.name) LOOP
					RETURN QUERY SELECT 'I13', NULL::text, format('%s: %s', relation.name, problem);
				END LOOP;
			END IF;
		EXCEPTION WHEN index_corrupted OR data_corrupted THEN
			RETURN QUERY SELECT 'I13', NULL::text, format('%s: %s', relation.name, SQLERRM);
		END;
	END LOOP;
END $$;
