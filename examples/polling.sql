-- Waits until a job of another system is done: looks after 1 s, 2 s, 4 s and so on, at most every minute, for one hour.
CREATE SCHEMA polling;

CREATE TABLE polling.job (id text PRIMARY KEY, state text NOT NULL);

-- In real life this asks the other system.
CREATE FUNCTION polling.look(id text) RETURNS text
    LANGUAGE sql AS $$ SELECT j.state FROM polling.job j WHERE j.id = look.id $$;

CREATE FUNCTION polling.wait_for_job(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := durable.now() + interval '1 hour';
    pause interval := '1 s';
    looks integer := 0;
    state text;
BEGIN
    LOOP
        state := durable.call_activity('polling.look', id) #>> '{}';
        looks := looks + 1;
        IF state IN ('done', 'failed') THEN
            RETURN jsonb_build_object('state', state, 'looks', looks);
        ELSIF durable.now() + pause > deadline THEN
            RAISE EXCEPTION 'job % has not ended within an hour', id;
        END IF;
        PERFORM durable.sleep(pause, 'look again');
        pause := least(pause * 2, interval '1 minute');
    END LOOP;
END $$;

INSERT INTO polling.job VALUES ('export', 'running'), ('import', 'running');
SELECT durable.start('polling.wait_for_job', 'export'::text, 'wait-export');
SELECT durable.start('polling.wait_for_job', 'import'::text, 'wait-import');
