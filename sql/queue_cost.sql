--
-- What it costs to put many activities into a queue: the order of a key's tasks is found once for a statement,
-- and not for each task.  What it costs to find leased work by its token: the other work that is leased is not read.
--
CREATE FUNCTION fan_out(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[] := '{}';
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.schedule_activity('outside', i);
    END LOOP;
    PERFORM durable.when_all(VARIADIC tasks);
    RETURN n;
END $$;
SELECT durable.register_queue('cost');
SELECT durable.register_activity('outside', execution => 'external', queue => 'cost');
SELECT durable.start('fan_out(integer)', 500) IS NOT NULL AS started;
CREATE FUNCTION scans() RETURNS bigint LANGUAGE sql AS $$
    SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot();
    SELECT sum(idx_scan)::bigint FROM pg_stat_all_indexes
    WHERE indexrelname IN ('queued_task_ready', 'queued_task_share') AND schemaname = 'durable' $$;
SELECT pg_stat_force_next_flush();
SELECT scans() AS before \gset
CALL durable.drain('1 minute');
SELECT pg_stat_force_next_flush();
SELECT scans() - :before BETWEEN 1 AND 50 AS few_scans;
SELECT count(*), count(DISTINCT round) FROM durable.queued_task WHERE queue = 'cost';

SELECT durable.register_orchestration('Turns', execution => 'external', queue => 'cost');
SELECT count(durable.start('Turns')) FROM generate_series(1, 200);
CALL durable.drain('1 minute');
SELECT array_agg(token) AS turns FROM durable.fetch_turns('cost', max_turns => 200) \gset
SELECT array_agg(token) AS tasks FROM durable.fetch_work('cost', max_tasks => 200) \gset
SELECT cardinality(:'turns'::text[]), cardinality(:'tasks'::text[]);
CREATE FUNCTION rows_read() RETURNS bigint LANGUAGE sql VOLATILE AS
    $$ SELECT idx_tup_fetch FROM pg_stat_xact_all_tables WHERE schemaname = 'durable' AND relname = 'queued_task' $$;
CREATE PROCEDURE few_rows(statement text, tokens text[]) LANGUAGE plpgsql AS $$
DECLARE
    before bigint := coalesce(rows_read(), 0);
    n bigint;
BEGIN
    EXECUTE statement USING tokens;
    n := rows_read() - before;
    RAISE NOTICE '%', CASE WHEN n BETWEEN cardinality(tokens) AND 5 * cardinality(tokens) THEN 'few rows' ELSE format('%s rows', n) END;
END $$;
CALL few_rows('SELECT durable.turn_events($1[1])', (:'turns'::text[])[1:1]);
CALL few_rows('SELECT durable.extend_lease($1)', (:'turns'::text[])[1:20]);
CALL few_rows('SELECT durable.complete_turns($1, NULL)', (:'turns'::text[])[1:20]);
CALL few_rows('SELECT durable.release_work($1)', (:'turns'::text[])[21:40]);
CALL few_rows('SELECT durable.extend_lease($1)', (:'tasks'::text[])[1:20]);
CALL few_rows('SELECT durable.complete_tasks($1, NULL)', (:'tasks'::text[])[1:20]);
CALL few_rows('SELECT durable.release_work($1)', (:'tasks'::text[])[21:40]);

-- durable.stuck counts leases to a limit.
INSERT INTO durable.queued_task (id, key, at, scheduled_at, leased_at, nonce, round, owner, execution, task, attempt, priority, state, kind, queue, share, name)
SELECT i, i, now() + interval '1 day', now(), now(), i, 0, 'postgres', 1, 1, 1, 0, 'l', 'e', 'cost', 'x', 'a' FROM generate_series(1000001, 1020000) i;
ANALYZE durable.queued_task;
BEGIN;
SELECT count(*) FROM durable.stuck WHERE reason LIKE '%not fetched';
SELECT seq_tup_read + idx_tup_fetch < 5000 AS few_rows FROM pg_stat_xact_all_tables WHERE schemaname = 'durable' AND relname = 'queued_task';
ROLLBACK;

-- A fetch from a queue with a limit counts its leases once.
SELECT durable.register_queue('narrow', concurrency => 1005);
INSERT INTO durable.queued_task (id, key, at, scheduled_at, leased_at, nonce, round, owner, execution, task, attempt, priority, state, kind, queue, share, name)
SELECT i, i, now() + interval '1 day', now(), now(), i, 0, 'postgres', 1, 1, 1, 0, 'l', 'e', 'narrow', 'x', 'a' FROM generate_series(2000001, 2001000) i;
ANALYZE durable.queued_task;
BEGIN;
SELECT rows_read() AS before \gset
SELECT count(*) FROM durable.fetch_work('narrow', max_tasks => 20);
SELECT rows_read() - :before BETWEEN 1000 AND 1900 AS counted_once;
ROLLBACK;
