--
-- A unit takes up to 50 instances, but not 50 large histories.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
CREATE FUNCTION collects(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM durable.wait_for_external_event('part');
    END LOOP;
    RETURN n;
END $$;
SELECT durable.start('collects', 12, 'large ' || i) FROM generate_series(1, 4) AS i;
SELECT count(durable.raise_event('large ' || i, 'part', repeat('x', 4000000))) FROM generate_series(1, 4) AS i, generate_series(1, 10);
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances ORDER BY 1;
-- in a session that has none of them in memory, in the order of the instances, not all in one transaction
\c -
SET search_path TO app, public;
SET durable.batch_limit = '10 s';
SELECT count(durable.raise_event('large ' || i, 'part')) FROM generate_series(1, 4) AS i;
CALL durable.drain();
SELECT count(DISTINCT xmin::text) > 1 AS "several units" FROM durable.instance;
SELECT count(durable.raise_event('large ' || i, 'part')) FROM generate_series(1, 4) AS i;
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances ORDER BY 1;
