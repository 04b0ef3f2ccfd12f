--
-- What it costs to put many activities into a queue: the order of a key's tasks is found once for a statement,
-- and not for each task.
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
