--
-- The border to user code: which function a name means, what of an error comes across, and what a result may be.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

-- a function of the same name in a schema of the search_path does not take the place of the orchestration's neighbour
CREATE SCHEMA shared;
CREATE SCHEMA shop;
CREATE FUNCTION shop.charge(amount integer) RETURNS text LANGUAGE sql AS $$ SELECT 'shop charges ' || amount $$;
CREATE FUNCTION shop.ship() RETURNS text LANGUAGE sql AS $$ SELECT 'shop ships' $$;
CREATE FUNCTION shop.refuse() RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'unsuitable' $$;
CREATE FUNCTION shop.order_placed() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(durable.call_activity('charge', 5), durable.call_activity('charge(integer)', 6),
        durable.call_sub_orchestrator('ship'), durable.call_activity('elsewhere'), durable.call_activity('refuse'));
END $$;
CREATE FUNCTION shared.charge(amount integer) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$;
CREATE FUNCTION shared.ship() RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$;
CREATE FUNCTION shared.elsewhere() RETURNS text LANGUAGE sql AS $$ SELECT 'from the search_path' $$;
CREATE FUNCTION shared.refuse() RETURNS text LANGUAGE sql AS $$ SELECT 'suitable' $$;
SET search_path TO shared, app, public;
SELECT durable.start('shop.order_placed', NULL, 'order');
CALL durable.drain();
SELECT status, jsonb_array_elements_text(output) FROM run WHERE instance_id = 'order';
SET search_path TO app, public;

-- an error's objects come across, inline and as a task, and are in the failure
CREATE TABLE account (id integer CONSTRAINT account_key PRIMARY KEY, owner text NOT NULL, balance integer CONSTRAINT not_overdrawn CHECK (balance >= 0));
CREATE DOMAIN positive AS integer CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE FUNCTION withdraw(how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE how
        WHEN 'check' THEN INSERT INTO app.account VALUES (1, 'Pat', -1);
        WHEN 'not null' THEN INSERT INTO app.account VALUES (1, NULL, 1);
        WHEN 'domain' THEN PERFORM (-1)::app.positive;
        WHEN 'raise' THEN RAISE EXCEPTION 'own' USING SCHEMA = 's', TABLE = 't', COLUMN = 'c', DATATYPE = 'd', CONSTRAINT = 'k';
    END CASE;
END $$;
SELECT durable.register_activity('Withdraw as a task', 'withdraw(text)', execution => 'task');
SELECT durable.register_activity('Withdraw inline', 'withdraw(text)', execution => 'inline');
CREATE FUNCTION tells(activity text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
    how text; s text; t text; c text; d text; k text; x text;
BEGIN
    FOREACH how IN ARRAY '{check,not null,domain,raise}'::text[] LOOP
        BEGIN
            PERFORM durable.call_activity(activity, how);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, d = PG_DATATYPE_NAME, k = CONSTRAINT_NAME, x = PG_EXCEPTION_CONTEXT;
            told := told || to_jsonb(concat_ws(' ', how, s, t, c, d, k, '/', substring(x FROM 'function withdraw\(text\) line \d')));
        END;
    END LOOP;
    RETURN told;
END $$;
SELECT durable.start('tells', activity, activity) FROM unnest('{Withdraw as a task,Withdraw inline}'::text[]) activity;
CALL durable.drain();
SELECT instance_id, status, jsonb_array_elements_text(output) FROM run WHERE instance_id LIKE 'Withdraw%' ORDER BY instance_id;
CREATE FUNCTION fails_to_withdraw() RETURNS void LANGUAGE sql AS $$ SELECT durable.call_activity('Withdraw inline', 'check') $$;
SELECT durable.start('fails_to_withdraw', NULL, 'uncaught');
CALL durable.drain();
SELECT failure ->> 'schema', failure ->> 'table', failure ->> 'constraint', failure ->> 'activity', failure ->> 'context' LIKE '%withdraw(text)%' AS "says where" FROM durable.instances WHERE instance_id = 'uncaught';

-- two columns of one name would be one member of the row's object
CREATE FUNCTION asks(query text) RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_sql(query) $$;
SELECT durable.start('asks', query, query) FROM (VALUES ('SELECT 1 AS a, 2 AS a'), ('SELECT 1 AS a, 2 AS a WHERE false'), ('SELECT 1 AS a, 2 AS "A"')) AS q (query);
CALL durable.drain();
SELECT instance_id, status, output, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message, failure ->> 'hint' AS hint FROM run WHERE instance_id LIKE 'SELECT%' ORDER BY 1;

-- an orchestration that is called as an activity is told what it should be
CREATE FUNCTION nested() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('twice', 1) $$;
CREATE FUNCTION nests() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('nested') $$;
SELECT durable.start('nests', NULL, 'nests');
CALL durable.drain();
SELECT failure ->> 'sqlstate' AS sqlstate, failure ->> 'hint' AS hint FROM run WHERE instance_id = 'nests';
SELECT durable.call_activity('twice', 1);

-- errors that only look as if the server had raised them are the activity's: no attempt more than the policy allows
CREATE FUNCTION looks_like_the_server(how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('app.attempts');
    CASE how
        WHEN 'missing file' THEN PERFORM pg_read_file('no such file');
        WHEN 'missing directory' THEN PERFORM pg_ls_dir('no such directory');
        WHEN 'missing file for COPY' THEN EXECUTE $c$ COPY app.effects FROM '/nowhere/at/all' $c$;
        WHEN 'assigned' THEN
            BEGIN
                RAISE deadlock_detected;
            EXCEPTION WHEN deadlock_detected THEN
                RAISE;
            END;
        ELSE RAISE EXCEPTION USING ERRCODE = how, MESSAGE = 'raised';
    END CASE;
END $$;
SELECT durable.register_activity('Looks inline', 'looks_like_the_server(text)', execution => 'inline');
SELECT durable.register_activity('Looks as a task', 'looks_like_the_server(text)', execution => 'task', retry => durable.retry(3, '0 s'));
CREATE FUNCTION looks(activity text, how text) RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity(activity, how) $$;
SELECT setval('attempts', 1, false);
SELECT count(durable.start('looks', jsonb_build_array(activity, how), activity || ', ' || how))
FROM unnest('{Looks inline,Looks as a task}'::text[]) activity,
    unnest('{missing file,missing directory,missing file for COPY,assigned,40001,40P01,57014,57P01,53100,58030,XX001,XX002}'::text[]) how;
CALL durable.drain();
SELECT status, failure ->> 'activity' AS activity, failure ->> 'sqlstate' AS sqlstate, failure ->> 'attempt' AS attempt, count(*)
FROM run WHERE instance_id LIKE 'Looks%' GROUP BY 1, 2, 3, 4 ORDER BY 2, 3;
SELECT last_value AS attempts FROM attempts;
-- an orchestration, too
CREATE FUNCTION raises_itself(how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = how, MESSAGE = 'raised';
END $$;
SELECT count(durable.start('raises_itself', how, 'itself ' || how)) FROM unnest('{40001,57014,57P01,53100,58030,XX001}'::text[]) how;
CALL durable.drain();
SELECT instance_id, status, failure ->> 'sqlstate' AS sqlstate FROM run WHERE instance_id LIKE 'itself%' ORDER BY 1;

-- no isolation level can be chosen
CREATE FUNCTION sets_isolation() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
    RETURN current_setting('transaction_isolation');
END $$;
SELECT durable.register_activity('Set isolation', 'sets_isolation()', execution => 'task');
CREATE FUNCTION chooses() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('Set isolation') $$;
SELECT durable.start('chooses', NULL, 'chooses');
CALL durable.drain();
SELECT status, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message FROM run WHERE instance_id = 'chooses';

-- the meaning of a text is settled at the start, by the settings of the session that starts it
CREATE TYPE period AS (starts date, ends date);
CREATE FUNCTION takes_times(d date, t timestamptz DEFAULT NULL, i interval DEFAULT NULL, days date[] DEFAULT NULL, p period DEFAULT NULL,
    r daterange DEFAULT NULL, c regclass DEFAULT NULL, n integer DEFAULT NULL, x text DEFAULT NULL, j jsonb DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN concat_ws(' ', d, t AT TIME ZONE 'UTC', extract(epoch FROM i), days, p, r, c::oid = 'app.account'::regclass, n, x, j);
END $$;
CREATE TYPE sold AS (at date, price money, place point);
CREATE FUNCTION takes_a_sale(s sold) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', s.at, s.price = '12.5'::money, s.place) $$;
CREATE FUNCTION takes_a_date(d date) RETURNS date LANGUAGE sql AS $$ SELECT d $$;
SET DateStyle TO 'SQL, DMY';
SET TimeZone TO 'America/New_York';
SET IntervalStyle TO 'sql_standard';
SET search_path TO shared, app;
SELECT durable.start('app.takes_times', '{"d": "01/02/2026", "t": "01/02/2026 12:00", "i": "-1 2:03:04", "days": ["01/02/2026", null], "p": {"starts": "01/02/2026", "ends": null}, "r": "[01/02/2026,03/02/2026)", "c": "account", "n": "7", "x": "01/02/2026", "j": "01/02/2026"}'::jsonb, 'times by name'),
    durable.start('app.takes_times', '["01/02/2026", "01/02/2026 12:00", "-1 2:03:04"]'::jsonb, 'times by position'),
    durable.start('app.takes_times', '01/02/2026', 'one of several'),
    durable.start('app.takes_a_date', '01/02/2026', 'one'),
    durable.start('app.takes_a_sale', '{"at": "01/02/2026", "price": "12.5", "place": "(1,2)"}'::jsonb, 'one with money'),
    durable.start('app.takes_a_date', NULL, 'none');
CREATE FUNCTION app.parent_of_dates() RETURNS text LANGUAGE plpgsql SET DateStyle TO 'SQL, DMY' AS $$
BEGIN
    PERFORM durable.start_orchestration('takes_a_date', '01/02/2026', 'detached');
    RETURN durable.call_sub_orchestrator('takes_a_date', '01/02/2026');
END $$;
CREATE FUNCTION app.continues_with(d date, more boolean DEFAULT true) RETURNS date LANGUAGE plpgsql SET DateStyle TO 'SQL, DMY' AS $$
BEGIN
    IF more THEN
        PERFORM durable.continue_as_new('{"d": "01/02/2026", "more": false}'::jsonb);
    END IF;
    RETURN d;
END $$;
RESET DateStyle; RESET TimeZone; RESET IntervalStyle;
SET search_path TO app, public;
SET DateStyle TO 'ISO, MDY';
SELECT durable.start('parent_of_dates', NULL, 'parent of dates'), durable.start('continues_with', '{"d": "2026-03-03"}'::jsonb, 'continues with');
SELECT instance_id, input FROM durable.instances WHERE instance_id IN ('times by name', 'times by position', 'one of several', 'one', 'none') ORDER BY 1;
CALL durable.drain();
SELECT instance_id, i.input #>> '{}' AS input, status, i.output #>> '{}' AS output FROM run JOIN durable.instances i USING (instance_id)
WHERE instance_id LIKE 'times%' OR instance_id LIKE 'one%' OR instance_id IN ('parent of dates', 'none', 'detached', 'continues with') ORDER BY 1;
RESET DateStyle;
SELECT durable.start('takes_a_date', '2026-02-31');
SELECT durable.start('takes_times', '{"dd": "2026-01-01"}'::jsonb);

-- an activity gets a parameter with a default while instances are under way: they go on
CREATE FUNCTION grows(n integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
CREATE FUNCTION grows_json(j jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
CREATE FUNCTION grows_registered(n integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
SELECT durable.register_activity('Grows', 'grows_registered(integer)');
CREATE FUNCTION waits_for_growth() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    policy jsonb := durable.retry(2, '1 minute');
    early durable.task[] := ARRAY[durable.schedule_activity('grows', 5, policy), durable.schedule_activity('grows_json', '[1, 2]'::jsonb, policy), durable.schedule_activity('grows_json', '{"n": 1}'::jsonb, policy)];
BEGIN
    RETURN jsonb_build_array(durable.result(early[1]), durable.result(early[2]), durable.result(early[3]), durable.call_activity('Grows', 6), durable.call_activity('grows', 7));
END $$;
SELECT durable.start('waits_for_growth', NULL, 'waits for growth');
CALL durable.drain();
SELECT handler, attempt FROM durable.task_queue ORDER BY id;
DROP FUNCTION grows(integer), grows_json(jsonb), grows_registered(integer);
CREATE FUNCTION grows(n integer, more text DEFAULT 'more') RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(', ', 'two', n, more) $$;
CREATE FUNCTION grows_json(j jsonb, more text DEFAULT 'more', still_more text DEFAULT 'still more') RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(', ', 'two', j, more, still_more) $$;
CREATE FUNCTION grows_registered(n integer, more text DEFAULT 'more') RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(', ', 'two', n, more) $$;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output, failure FROM run WHERE instance_id = 'waits for growth';

-- what cannot be called suspends, inline and as a task, says why, and goes on after it has been put right
CREATE FUNCTION steady(n integer) RETURNS text LANGUAGE sql AS $$ SELECT 'called with ' || n $$;
CREATE FUNCTION calls_steady(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('steady', input);
EXCEPTION WHEN OTHERS THEN
    RETURN to_jsonb('handled: ' || SQLERRM);
END $$;
CREATE FUNCTION suspended() RETURNS TABLE (instance_id text, reason text) LANGUAGE sql AS $$ SELECT instance_id, detail FROM durable.waiting WHERE kind = 'resume' ORDER BY 1 $$;
CREATE FUNCTION put_right() RETURNS TABLE (instance_id text, status text, output jsonb) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.resume(s.instance_id) FROM suspended() s;
    PERFORM durable.advance_clock('2 minutes');
END $$;
DROP FUNCTION steady(integer);
SELECT durable.start('calls_steady', 1, 'gone');
CALL durable.drain();
SELECT * FROM suspended();
CREATE FUNCTION steady(n integer) RETURNS text LANGUAGE sql AS $$ SELECT 'called with ' || n $$;
CREATE FUNCTION steady(t text) RETURNS text LANGUAGE sql AS $$ SELECT 'called with ' || t $$;
SELECT durable.start('calls_steady', 2, 'ambiguous');
CALL durable.drain();
SELECT * FROM suspended();
DROP FUNCTION steady(text);
CREATE FUNCTION child_of_nobody() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.start_orchestration('detached_of_nobody', 1, 'detached of nobody');
    RETURN durable.call_sub_orchestrator('nobody', 1);
EXCEPTION WHEN OTHERS THEN
    RETURN to_jsonb('handled: ' || SQLERRM);
END $$;
SELECT durable.start('child_of_nobody', NULL, 'child of nobody');
SELECT put_right();
CALL durable.drain();
SELECT * FROM suspended();
CREATE FUNCTION detached_of_nobody(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n $$;
SELECT put_right();
CALL durable.drain();
SELECT * FROM suspended();
CREATE FUNCTION nobody(n integer, m integer) RETURNS integer LANGUAGE sql AS $$ SELECT n $$;
SELECT put_right();
CALL durable.drain();
SELECT * FROM suspended();
DROP FUNCTION nobody(integer, integer);
CREATE FUNCTION nobody(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n $$;
SELECT put_right();
CALL durable.drain();
SELECT * FROM suspended();
-- its signature has changed; its input has not
SELECT durable.start('calls_steady', '{"n": 3}'::jsonb, 'a name too many');
DROP FUNCTION steady(integer);
CREATE FUNCTION steady(number integer, more integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT 'called with ' || number $$;
CALL durable.drain();
SELECT * FROM suspended();
DROP FUNCTION steady(integer, integer);
CREATE FUNCTION steady(n integer, more integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT 'called with ' || n $$;
SELECT put_right();
CALL durable.drain();
-- a task that is queued when the function goes
CREATE FUNCTION goes_while_queued() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('goes', '1'::jsonb, retry => durable.retry(3, '1 minute')) $$;
CREATE FUNCTION goes(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('app.attempts') = 1 THEN
        RAISE EXCEPTION 'for the first time';
    END IF;
    RETURN 'called with ' || n;
END $$;
SELECT setval('attempts', 1, false);
SELECT durable.start('goes_while_queued', NULL, 'goes while queued');
CALL durable.drain();
ALTER FUNCTION goes(integer) RENAME TO gone;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT * FROM suspended();
SELECT attempt, last_failure ->> 'message' AS message FROM durable.task_queue;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT * FROM suspended();
ALTER FUNCTION gone(integer) RENAME TO goes;
SELECT put_right();
CALL durable.drain();
SELECT instance_id, status, output FROM run
WHERE instance_id IN ('gone', 'ambiguous', 'child of nobody', 'detached of nobody', 'a name too many', 'goes while queued') ORDER BY 1;
SELECT failure FROM run WHERE status = 'Failed' AND instance_id LIKE 'go%';
-- a value that does not fit is the data's fault: the call fails, and the orchestration can handle it
SELECT durable.start('calls_steady', 'x', 'no number');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'no number';
SELECT count(*) FROM durable.task_queue;
