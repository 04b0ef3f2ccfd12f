--
-- A publication FOR ALL TABLES takes the engine's tables along: each of them can be updated and deleted from.
--
CREATE SCHEMA app;
SET search_path TO app, public;
SET client_min_messages TO error;       -- of wal_level
CREATE PUBLICATION everything FOR ALL TABLES;
RESET client_min_messages;
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'durable'::regnamespace AND c.relkind = 'r'
  AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary));

CREATE FUNCTION app.act(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT input $$;
CREATE FUNCTION app.everything(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    timer durable.task := durable.create_timer(durable.now() + interval '1 hour');
BEGIN
    PERFORM durable.sleep('1 second');
    PERFORM durable.cancel_timer(timer);
    RETURN durable.call_activity('act', input);
END $$;
SELECT durable.register_activity('act', 'app.act(jsonb)', execution => 'task');
SELECT durable.start('everything', 1, 'one');
SELECT durable.pause();
SELECT durable.unpause();
SELECT durable.adopt();
CALL durable.drain();
SELECT durable.advance_clock('1 second') IS NOT NULL AS later;
CALL durable.drain();
SELECT runtime_status, output FROM durable.instances;
SELECT durable.unregister_activity('act');
SELECT durable.purge('one');
SELECT (SELECT count(*) FROM durable.instance) AS instances, (SELECT count(*) FROM durable.finished) AS finished;
DROP PUBLICATION everything;
