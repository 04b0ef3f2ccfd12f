-- 10,000 rows in pieces of 500, each in a transaction of its own. Anybody can see how far it is, hold it and let it go on:
--     SELECT custom_status FROM durable.instances WHERE instance_id = 'recalculation';
--     SELECT durable.suspend('recalculation', 'peak hours');
--     SELECT durable.resume('recalculation');
CREATE SCHEMA batch;

CREATE TABLE batch.account (id integer PRIMARY KEY, balance numeric NOT NULL, interest numeric);
INSERT INTO batch.account SELECT n, n FROM generate_series(1, 10000) n;

-- Returns the last id of the piece, NULL when there is none left.
CREATE FUNCTION batch.piece(after integer, size integer) RETURNS integer LANGUAGE sql AS $$
    WITH done AS (
        UPDATE batch.account SET interest = balance * 0.01
        WHERE id IN (SELECT id FROM batch.account WHERE id > after ORDER BY id LIMIT size)
        RETURNING id)
    SELECT max(id) FROM done
$$;

-- Each execution of the orchestration does ten pieces, so that its history stays short.
CREATE FUNCTION batch.recalculate(after integer DEFAULT 0, size integer DEFAULT 500) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    last integer;
BEGIN
    FOR i IN 1 .. 10 LOOP
        last := durable.call_activity('batch.piece', jsonb_build_array(after, size), retry => durable.retry(5));
        IF last IS NULL THEN
            RETURN after;
        END IF;
        after := last;
        PERFORM durable.set_custom_status(jsonb_build_object('done', after));
        PERFORM durable.sleep('1 s', 'pause between pieces');
    END LOOP;
    PERFORM durable.continue_as_new(jsonb_build_array(after, size));
END $$;

SELECT durable.start('batch.recalculate', NULL, 'recalculation');
