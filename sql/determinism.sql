--
-- What an orchestration must not do, and what it is told to do instead.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- One orchestration for each thing, with a body of one statement; each is run, and its failure shown.
CREATE TABLE things (x integer);
INSERT INTO things VALUES (1);
CREATE VIEW things_seen AS SELECT x FROM things;
CREATE SEQUENCE numbers;
SELECT nextval('numbers');
CREATE TABLE bodies (name text PRIMARY KEY, body text);
INSERT INTO bodies VALUES
    -- writing
    ('insert',             'INSERT INTO things VALUES (2)'),
    ('update',             'UPDATE things SET x = 2'),
    ('delete',             'DELETE FROM things'),
    ('writing CTE',        'PERFORM * FROM (SELECT 1) s; WITH w AS (INSERT INTO things VALUES (2) RETURNING x) SELECT x FROM w INTO n'),
    ('create table',       'CREATE TABLE made (x integer)'),
    ('create temp table',  'CREATE TEMP TABLE made (x integer)'),
    ('temp table',         'INSERT INTO temporary VALUES (2)'),
    ('select into temp',   'EXECUTE ''CREATE TEMP TABLE made AS SELECT 1'''),
    ('truncate',           'TRUNCATE things'),
    ('drop',               'DROP TABLE things'),
    ('comment',            'COMMENT ON TABLE things IS ''changed'''),
    ('nextval',            'n := nextval(''numbers'')'),
    ('setval',             'PERFORM setval(''numbers'', 1)'),
    ('lo_create',          'PERFORM lo_create(0)'),
    ('lo_from_bytea',      'PERFORM lo_from_bytea(0, ''x'')'),
    ('notify',             'NOTIFY x'),
    ('listen',             'LISTEN x'),
    ('lock',               'LOCK TABLE things IN ACCESS SHARE MODE'),
    ('copy',               'COPY things TO ''/dev/null'''),
    ('pg_notify',          'PERFORM pg_notify(''x'', ''y'')'),
    ('pg_advisory_lock',   'PERFORM pg_advisory_lock(1)'),
    ('read write',         'SET TRANSACTION READ WRITE; INSERT INTO things VALUES (2)'),
    ('read write setting', 'PERFORM set_config(''transaction_read_only'', ''off'', true); INSERT INTO things VALUES (2)'),
    -- reading
    ('select',             'SELECT x INTO n FROM things'),
    ('view',               'SELECT x INTO n FROM things_seen'),
    ('exists',             'IF EXISTS (SELECT FROM things) THEN n := 1; END IF'),
    ('scalar subquery',    'n := (SELECT max(x) FROM things)'),
    ('reading CTE',        'WITH r AS MATERIALIZED (SELECT x FROM things) SELECT x FROM r INTO n'),
    ('for update',         'SELECT x INTO n FROM things FOR UPDATE'),
    ('loop',               'FOR n IN SELECT x FROM things LOOP NULL; END LOOP'),
    ('dynamic',            'EXECUTE ''SELECT x FROM things'' INTO n'),
    ('engine''s view',     'SELECT count(*) INTO n FROM durable.instances'),
    ('sequence',           'SELECT last_value INTO n FROM numbers'),
    ('currval',            'n := currval(''numbers'')'),
    ('lastval',            'n := lastval()'),
    -- the time
    ('now()',              't := now()'),
    ('now() in a query',   'SELECT now() INTO t FROM generate_series(1, 1)'),
    ('now() in SQL',       't := sql_now()'),
    ('now() in a default', 't := default_now()'),
    ('clock_timestamp',    't := clock_timestamp()'),
    ('statement_timestamp', 't := statement_timestamp()'),
    ('transaction_timestamp', 't := transaction_timestamp()'),
    ('timeofday',          't := timeofday()'),
    ('CURRENT_TIMESTAMP',  't := CURRENT_TIMESTAMP'),
    ('CURRENT_TIMESTAMP(0)', 't := CURRENT_TIMESTAMP(0)'),
    ('CURRENT_DATE',       't := CURRENT_DATE'),
    ('CURRENT_TIME',       'PERFORM CURRENT_TIME'),
    ('LOCALTIME',          'PERFORM LOCALTIME'),
    ('LOCALTIMESTAMP',     't := LOCALTIMESTAMP'),
    ('constant now',       't := ''now''::timestamptz'),
    ('constant today',     't := date ''Today'' + interval ''1 day'''),
    ('constant yesterday', 'PERFORM 1 WHERE durable.now() < ''yesterday'''),
    ('constant tomorrow',  'PERFORM ''[2024-02-29, tomorrow]''::tstzrange'),
    ('constants now',      'PERFORM ''{epoch,now}''::date[]'),
    ('pg_sleep',           'PERFORM pg_sleep(0)'),
    ('pg_sleep_for',       'PERFORM pg_sleep_for(''0'')'),
    ('pg_sleep_until',     'PERFORM pg_sleep_until(''2000-01-01'')'),
    -- chance
    ('random',             'n := random()'),
    ('setseed',            'PERFORM setseed(0)'),
    ('gen_random_uuid',    'PERFORM gen_random_uuid()'),
    ('random in a helper', 'n := helper()'),
    ('order by random',    'SELECT g INTO n FROM generate_series(1, 3) g ORDER BY random() LIMIT 1'),
    -- where it runs
    ('txid_current',       'PERFORM txid_current()'),
    ('pg_current_xact_id', 'PERFORM pg_current_xact_id()'),
    ('pg_backend_pid',     'PERFORM pg_backend_pid()'),
    ('pg_current_snapshot', 'PERFORM pg_current_snapshot()'),
    ('pg_terminate_backend', 'PERFORM pg_terminate_backend(0)'),
    ('pg_read_file',       'PERFORM pg_read_file(''PG_VERSION'')'),
    ('query_to_xml',       'PERFORM query_to_xml(''SELECT * FROM app.things'', true, true, '''')'),
    -- what belongs to clients
    ('start',              'PERFORM durable.start(''twice'', 1)'),
    ('run',                'EXECUTE ''CALL durable.run(''''twice'''', 1)'''),
    ('clock',              't := durable.clock()'),
    ('worker_slots',       'PERFORM durable.worker_slots()'),
    ('raise_event',        'PERFORM durable.raise_event(''select'', ''x'')'),
    ('wait',               'PERFORM durable.wait(''select'')'),
    ('status',             'PERFORM durable.status(''select'')'),
    ('history',            'PERFORM durable.history(''select'')'),
    ('terminate',          'PERFORM durable.terminate(''select'')'),
    ('suspend',            'PERFORM durable.suspend(''select'')'),
    ('resume',             'PERFORM durable.resume(''select'')'),
    ('purge',              'PERFORM durable.purge(''select'')'),
    ('purge_history',      'PERFORM durable.purge_history()'),
    ('register_activity',  'PERFORM durable.register_activity(''x'', ''app.twice(integer)'')'),
    ('advance_clock',      'PERFORM durable.advance_clock(''0'')'),
    ('commit',             'COMMIT'),
    -- this is all right
    ('catalogs',           'SELECT count(*) INTO n FROM pg_class JOIN pg_namespace ns ON ns.oid = relnamespace WHERE nspname = ''no such schema'''),
    ('names',              'PERFORM ''app.things''::regclass::text, to_regclass(''app.none''), ''integer''::regtype, format(''%I'', ''x'')'),
    ('values',             'SELECT sum(x) INTO n FROM (VALUES (1), (2)) v (x), generate_series(1, 3)'),
    ('given times',        't := date_trunc(''day'', durable.now()) + interval ''1 day''; PERFORM extract(epoch FROM t), make_date(2024, 2, 29), to_char(t, ''YYYY'')'),
    ('given constants',    'PERFORM timestamptz ''2024-02-29 12:00 UTC'', ''now''::text, ''today and now'', date ''epoch'', ''{2024-02-29,infinity}''::date[]'),
    ('who am I',           'PERFORM current_user, session_user, current_schema'),
    ('large value',        'n := length(repeat(''x'', 1000000))');
CREATE FUNCTION sql_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT now() $$;
CREATE FUNCTION default_now(t timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RETURN t; END $$;
CREATE FUNCTION helper() RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RETURN random() + 1; END $$;
CREATE TEMP TABLE temporary (x integer);
SELECT format('CREATE FUNCTION %I() RETURNS text LANGUAGE plpgsql AS %L', 'o: ' || name,
              E'DECLARE n integer; t timestamptz;\nBEGIN\n' || body || E';\nRETURN ''end'';\nEND')
FROM bodies \gexec
SELECT count(durable.start(format('%I', 'o: ' || name), NULL, name)) FROM bodies;
CALL durable.drain();
SELECT instance_id, coalesce(failure ->> 'sqlstate', status) AS state, failure ->> 'message' AS message, failure ->> 'hint' AS hint
FROM run ORDER BY failure ->> 'sqlstate', failure ->> 'message', instance_id COLLATE "C";
SELECT DISTINCT failure ->> 'detail' AS detail FROM run WHERE failure ->> 'sqlstate' = 'WF001';
SELECT * FROM things;
SELECT * FROM temporary;
SELECT to_regclass('made'), nextval('numbers');
SELECT count(*) FROM durable.instances;

-- input parameters' defaults are evaluated in the turn
CREATE FUNCTION defaulted(t timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE sql AS $$ SELECT t $$;
SELECT durable.start('defaulted', NULL, 'defaulted');
CALL durable.drain();
SELECT failure ->> 'message' AS message FROM run WHERE instance_id = 'defaulted';

-- what cannot be seen, because it was parsed before or is known at run time only, gives the turn's time
CREATE VIEW seen_now AS SELECT now() AS a, CURRENT_DATE AS b, LOCALTIMESTAMP AS c, statement_timestamp() AS d;
CREATE FUNCTION atomic_now() RETURNS timestamptz LANGUAGE sql STABLE BEGIN ATOMIC SELECT CURRENT_TIMESTAMP; END;
CREATE FUNCTION atomic_time() RETURNS timetz LANGUAGE sql STABLE BEGIN ATOMIC SELECT CURRENT_TIME; END;
CREATE FUNCTION plain_now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RETURN now(); END $$;
CREATE FUNCTION plain_date() RETURNS date LANGUAGE plpgsql AS $$ BEGIN RETURN CURRENT_DATE; END $$;
CREATE FUNCTION plain_timestamp() RETURNS timestamp LANGUAGE plpgsql AS $$ BEGIN RETURN LOCALTIMESTAMP; END $$;
CREATE FUNCTION cast_now() RETURNS timestamptz LANGUAGE plpgsql AS $$ DECLARE word text := 'now'; BEGIN RETURN word; END $$;
CREATE FUNCTION differences() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v seen_now;
    t timestamptz := durable.now();
BEGIN
    SELECT b, c INTO v.b, v.c FROM (SELECT b, c FROM seen_now) s;
    RETURN concat_ws(' ', v.b - t::date, v.c - t::timestamp, atomic_now() - t, atomic_time() = t::timetz,
                     plain_date() - t::date, plain_timestamp() - t::timestamp, cast_now() - t, 'today'::text::date - t::date);
END $$;
-- in the same transaction, and before, so that PL/pgSQL has its expressions ready
CREATE FUNCTION real_times() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN plain_now() > clock_timestamp() - interval '1 hour' AND plain_timestamp() > clock_timestamp()::timestamp - interval '1 hour'
        AND plain_date() = plain_now()::date AND cast_now() = plain_now() AND (SELECT a = plain_now() AND d > clock_timestamp() - interval '1 hour' FROM seen_now);
END $$;
SELECT durable.register_activity('real_times', 'app.real_times()', execution => 'inline') IS NOT NULL AS registered;
CREATE FUNCTION unseen() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    answer jsonb := '[]';
BEGIN
    FOR i IN 1..3 LOOP
        answer := answer || durable.call_activity('real_times') || to_jsonb(differences());
        PERFORM durable.sleep('10 days');
        answer := answer || to_jsonb(differences());
    END LOOP;
    RETURN answer || durable.call_activity('real_times') || to_jsonb(differences());
END $$;
SELECT durable.start('unseen', NULL, 'unseen');
CALL durable.drain();
SELECT durable.advance_clock('10 days') IS NOT NULL AS advanced;
CALL durable.drain();
SELECT durable.advance_clock('10 days') IS NOT NULL AS advanced;
CALL durable.drain();
SELECT durable.advance_clock('10 days') IS NOT NULL AS advanced;
CALL durable.drain();
SELECT status, failure ->> 'message' AS message, e.* FROM run, jsonb_array_elements(coalesce(output, '[0]')) WITH ORDINALITY e WHERE instance_id = 'unseen' ORDER BY ordinality;
SELECT real_times();

-- the error can be handled like any other
CREATE FUNCTION handles() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM x FROM things;
    RETURN 'read';
EXCEPTION WHEN SQLSTATE 'WF001' THEN
    RETURN durable.call_sql('SELECT x FROM app.things');
END $$;
SELECT durable.start('handles', NULL, 'handles');
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'handles';

-- activities may do all of it
CREATE FUNCTION free() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO things SELECT nextval('numbers') WHERE random() < 2 AND now() IS NOT NULL AND CURRENT_DATE IS NOT NULL;
    RETURN count(*) FROM things;
END $$;
CREATE FUNCTION calls_free() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('free') $$;
SELECT durable.start('calls_free', NULL, 'calls_free');
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'calls_free';

-- warn, off
CREATE FUNCTION careless() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM x FROM things;
    PERFORM random();
    PERFORM CURRENT_DATE;
    RETURN 'end';
END $$;
CREATE FUNCTION careless_too() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM x FROM things;
    PERFORM random();
    PERFORM CURRENT_DATE;
    RETURN 'end';
END $$;
SET durable.determinism TO warn;
SELECT durable.start('careless', NULL, 'warn');
CALL durable.drain();
SET durable.determinism TO off;
SELECT durable.start('careless_too', NULL, 'off');
SELECT durable.start('"o: insert"', NULL, 'writes, off');
CALL durable.drain();
RESET durable.determinism;
SELECT instance_id, status, output, failure ->> 'message' AS message FROM run
WHERE instance_id IN ('warn', 'off', 'writes, off') ORDER BY instance_id;
SET durable.determinism TO sometimes;

-- a session that is not in a turn is not concerned
SELECT count(*) > 0 AND now() IS NOT NULL AND random() < 1 AS "as ever" FROM things;
