--
-- durable.status, wait, run, history and the views.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
SET datestyle TO iso;
SET timezone TO 'UTC';
CREATE FUNCTION app.double(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n * 2 $$;
CREATE FUNCTION app.fail(n jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RAISE unique_violation USING MESSAGE = 'no room for ' || (n #>> '{}'), DETAIL = 'The shelf is full.', HINT = 'Buy another shelf.';
END $$;
CREATE FUNCTION app.everything(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    t durable.task;
BEGIN
    PERFORM durable.set_custom_status('"busy"');
    PERFORM durable.call_activity('app.double', 21);
    t := durable.create_timer('2100-01-01 00:00:00+00');
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.cancel_timer(t);
    RETURN '"done"';
END $$;
CREATE FUNCTION app.fan(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.external_event('Event ' || i) FROM generate_series(1, n) i;
    PERFORM durable.when_all(VARIADIC ARRAY(SELECT i::durable.task FROM generate_series(1, n) i));
    RETURN 'all';
END $$;

-- the composite type has the view's columns
SELECT count(*) AS differences FROM (
    (SELECT attnum, attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = 'durable.instances'::regclass AND attnum > 0
     EXCEPT SELECT attnum, attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = 'durable.instance_status'::regclass)
    UNION ALL
    (SELECT attnum, attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = 'durable.instance_status'::regclass AND attnum > 0
     EXCEPT SELECT attnum, attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = 'durable.instances'::regclass)) d;

-- how an instance is, from its start to its end
SELECT durable.start('everything', '{"a": 1}', 'one', tags => '{"kind": "test"}');
SELECT runtime_status, waiting_on, started.completed_time, turns, execution, input, tags, owner = 'postgres'::regrole AS mine,
       duration >= '0' AS has_duration, compute_time FROM durable.status('one') AS started;
CALL durable.drain();
SELECT runtime_status, waiting_on, custom_status, output, turns > 0 AS has_turns, compute_time > '0' AS has_compute_time,
       last_updated_time >= created_time AS is_updated FROM durable.status('one');
SELECT s.instance_id, s.name, s.owner, s.input, s.tags FROM durable.status('one') s JOIN durable.instances i
    ON (i.instance_id, i.name, i.runtime_status, i.waiting_on, i.created_time, i.turns) = (s.instance_id, s.name, s.runtime_status, s.waiting_on, s.created_time, s.turns);
SELECT kind, detail, due, line, since > created_time AS is_later
FROM durable.waiting w JOIN durable.instances i USING (instance_id) ORDER BY kind;
SELECT execution, seq, event_type, task, name, payload, detail FROM durable.history('one');
SELECT durable.raise_event('one', 'Go', 'go');
CALL durable.drain();
SELECT runtime_status, waiting_on, custom_status, output, completed_time >= created_time AS is_over,
       duration = completed_time - created_time AS lasted FROM durable.status('one');
SELECT execution, seq, event_type, task, name, payload, detail FROM durable.history('one');
SELECT bool_and(later) AS times_grow FROM (SELECT created_at >= lag(created_at) OVER (ORDER BY seq) AS later FROM durable.history('one')) t;

-- a failure is kept as it was raised
SELECT durable.start('fail', 7, 'failed');
CALL durable.drain();
SELECT runtime_status, failure - 'context' AS failure FROM durable.status('failed');
SELECT seq, event_type, payload - 'context' AS payload FROM durable.history('failed') WHERE seq > 0;

-- only so many waits are listed
SELECT durable.start('fan', 25, 'fan');
CALL durable.drain();
SELECT waiting_on LIKE 'event Event 1, event Event 2, %, event Event 20 and 5 more' AS is_short FROM durable.status('fan');
SELECT count(*) FROM durable.waiting WHERE instance_id = 'fan';

-- wait returns at once when it is finished, and how it is when the time is over
SELECT runtime_status, output FROM durable.wait('one');
SELECT runtime_status, output FROM durable.wait('one', NULL);
SELECT runtime_status, output FROM durable.wait('fan', '0');
SELECT runtime_status, output FROM durable.wait('fan', '-1 day');
SELECT runtime_status, output FROM durable.wait('fan', '10 ms');
SET statement_timeout = '100 ms';
SELECT runtime_status FROM durable.wait('fan', NULL);
RESET statement_timeout;

-- not on what cannot begin before this transaction ends, wherever in it it was started
BEGIN;
SELECT durable.start('double', 1, 'mine');
SELECT durable.wait('mine');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT durable.start('double', 1, 'mine');
RELEASE s;
SELECT durable.wait('mine');
ROLLBACK;

-- an error inside leaves the caller's block intact
DO $$
BEGIN
    BEGIN
        PERFORM durable.wait('nobody');
    EXCEPTION WHEN SQLSTATE 'WF003' THEN
        RAISE NOTICE 'caught %: %', SQLSTATE, SQLERRM;
    END;
    PERFORM durable.start('app.double', 1, 'after an error');
END $$;
SELECT runtime_status FROM durable.status('after an error');

-- run needs to commit
BEGIN;
CALL durable.run('double', 1);
ROLLBACK;
CREATE FUNCTION app.runner() RETURNS void LANGUAGE plpgsql AS $$
DECLARE o jsonb; BEGIN CALL durable.run('app.double', 1, NULL, o); END $$;
SELECT app.runner();
CALL durable.run('nothing');
-- it goes on when nobody waits for it any more
\set VERBOSITY sqlstate
CALL durable.run('double', 5, '10 ms');
\set VERBOSITY default
CALL durable.drain();
SELECT runtime_status, output FROM durable.instances WHERE name = 'app.double' AND input = '5';

-- refused
SELECT durable.status('nobody');
SELECT durable.status(NULL);
SELECT durable.status('');
SELECT durable.wait('nobody');
SELECT durable.wait(NULL);
SELECT * FROM durable.history('nobody');
SELECT * FROM durable.history(NULL);

-- of those that have ended, the functions say what the view says, also to who may not see everything
CREATE VIEW public.compared WITH (security_invoker = true) AS
SELECT i.runtime_status, count(i.output) > 0 AS has_output, count(i.failure) > 0 AS has_failure,
       bool_and(ROW(i.*) IS NOT DISTINCT FROM ROW(s.*)) AS is_same
FROM durable.instances i, durable.status(i.instance_id) s WHERE i.completed_time IS NOT NULL GROUP BY 1 ORDER BY 1;
TABLE public.compared;
CREATE ROLE regress_client_watch IN ROLE pg_monitor;
SELECT durable.grant_usage('regress_client_watch');
GRANT SELECT ON public.compared TO regress_client_watch;
SET ROLE regress_client_watch;
TABLE public.compared;
RESET ROLE;
DROP VIEW public.compared;
SELECT durable.revoke_usage('regress_client_watch');
DROP ROLE regress_client_watch;

-- one by its id takes an index, also through the security barrier and for others than the owner
INSERT INTO durable.instance (key, instance_id, owner, status, name, handler, created_at, updated_at)
SELECT nextval('durable.instance_key_seq'), 'bulk ' || n, 'postgres'::regrole, 'C', 'x', 'x', now(), now() FROM generate_series(1, 20000) n;
ANALYZE durable.instance;
EXPLAIN (COSTS OFF) SELECT instance_id, runtime_status, input FROM durable.instances WHERE instance_id = 'one';
CREATE ROLE regress_client_status;
SELECT durable.grant_usage('regress_client_status');
SET ROLE regress_client_status;
EXPLAIN (COSTS OFF) SELECT runtime_status FROM durable.instances WHERE instance_id = 'one' AND name = 'x';
RESET ROLE;
SELECT durable.revoke_usage('regress_client_status');
DROP ROLE regress_client_status;
