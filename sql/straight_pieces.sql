--
-- A long burst of activities that leave nothing in the database is run in pieces: many
-- activities within one turn.  What comes out is what comes out turn by turn.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
CREATE FUNCTION bump(n integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN n + 1; END';
CREATE FUNCTION refuse(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', n USING ERRCODE = '22012'; END $$;
CREATE FUNCTION nap(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.7); RETURN n; END $$;
SELECT durable.register_activity(name, handler::regprocedure, execution => 'inline')
FROM (VALUES ('bump', 'bump(int)'), ('refuse', 'refuse(int)'), ('nap', 'nap(int)'), ('effect', 'effect(text)')) v(name, handler);

-- what it does at step 250 depends on the input
CREATE FUNCTION make(signature text, settings text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format('CREATE FUNCTION app.%s RETURNS text LANGUAGE plpgsql %s AS %L', signature, settings, $$
DECLARE
    n integer := 0;
    said text := 'nothing';
BEGIN
    FOR i IN 1 .. steps LOOP
        n := durable.call_activity('bump', n);
        CASE
            WHEN what = 'write' AND i % 100 = 0 THEN
                PERFORM durable.call_activity('effect', 'written at ' || i);
            WHEN i <> 250 THEN NULL;
            WHEN what = 'catch' THEN
                BEGIN
                    PERFORM durable.call_activity('refuse', i);
                EXCEPTION WHEN division_by_zero THEN
                    said := 'caught ' || SQLERRM;
                END;
            WHEN what = 'fail' THEN PERFORM durable.call_activity('refuse', i);
            WHEN what = 'raise' THEN RAISE EXCEPTION 'raised at %', i;
            WHEN what = 'block' THEN
                BEGIN
                    n := n + durable.call_activity('bump', 100)::integer - 101;
                    PERFORM 1 / 0;
                EXCEPTION WHEN division_by_zero THEN
                    said := 'rolled a block back';
                END;
            WHEN what = 'wait' THEN said := durable.wait_for_external_event('go') #>> '{}';
            WHEN what = 'sleep' THEN PERFORM durable.sleep('1 hour');
            WHEN what = 'nap' THEN said := durable.call_activity('nap', i) #>> '{}';
            WHEN what = 'log' THEN PERFORM durable.log('half way'), durable.set_custom_status('"half way"');
            WHEN what = 'detach' THEN PERFORM durable.schedule_activity('effect', 'detached');
            WHEN what = 'again' THEN PERFORM durable.continue_as_new(jsonb_build_array(steps, 'last'));
            ELSE NULL;
        END CASE;
    END LOOP;
    RETURN n || ', ' || said;
END
    $$);
END $make$;
SELECT make('burst(steps integer, what text)');
-- one that takes too long within a turn is not run in pieces for long: it gets a function of its own
SELECT make('napping(steps integer, what text)');
-- the same, except that nothing is run within the turn of a function with settings of its own
SELECT make('stepwise(steps integer, what text)', 'SET work_mem TO ''8MB''');

CREATE TEMP TABLE cases (what) AS VALUES ('plain'), ('write'), ('catch'), ('fail'), ('raise'), ('block'), ('wait'), ('sleep'), ('nap'), ('log'), ('detach'), ('again');
-- an orchestration that has computed for longer than that fails; it is not to blame for its activities
SET durable.turn_timeout TO '600 ms';
SELECT count(durable.start(CASE WHEN name = 'burst' AND what = 'nap' THEN 'napping' ELSE name END, jsonb_build_array(400, what), name || ' ' || what)) FROM cases, (VALUES ('burst'), ('stepwise')) v(name);
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances WHERE runtime_status = 'Running' ORDER BY instance_id COLLATE "C";
SELECT durable.raise_event(instance_id, 'go', '"gone"') FROM durable.instances WHERE instance_id LIKE '% wait';
CALL durable.drain();
SELECT durable.advance_clock('2 hours') > now() AS later;
CALL durable.drain();
RESET durable.turn_timeout;

SELECT what, b.runtime_status, b.output, b.failure ->> 'message' AS failure, b.custom_status,
       (b.runtime_status, b.output, b.failure - 'context', b.custom_status) IS NOT DISTINCT FROM
       (s.runtime_status, s.output, s.failure - 'context', s.custom_status) AS "same as turn by turn",
       CASE WHEN what <> 'nap' THEN b.turns < s.turns END AS "fewer turns"
FROM cases JOIN durable.instances b ON b.instance_id = 'burst ' || what JOIN durable.instances s ON s.instance_id = 'stepwise ' || what
ORDER BY what COLLATE "C";
-- so are the histories, event by event
CREATE FUNCTION told(name text, what text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(story::text, name || '|napping', 'name') FROM story(name || ' ' || what)
$$;
SELECT what, (SELECT count(*) FROM told('burst', what)) AS events,
       (SELECT count(*) FROM (SELECT told('burst', what) EXCEPT ALL SELECT told('stepwise', what)) d) AS differences
FROM cases ORDER BY what COLLATE "C";
-- and each effect is there once for each of the two
SELECT what, count(*) FROM effects GROUP BY what ORDER BY what COLLATE "C";
