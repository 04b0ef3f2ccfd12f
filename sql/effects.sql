--
-- Activities run once, in a transaction that also says so; what fails leaves nothing behind.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Task', 'effect(text)', execution => 'task');
SELECT durable.register_activity('Inline', 'effect(text)', execution => 'inline');
CREATE FUNCTION each_kind(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('Task', 'task ' || n);
    PERFORM durable.call_activity('Inline', 'inline ' || n);
    PERFORM durable.call_activity('effect', 'auto ' || n);
    PERFORM durable.call_activity('effect', 'auto, again ' || n);
    PERFORM durable.call_sql('INSERT INTO app.effects (what) VALUES ($1)', jsonb_build_array('sql ' || n));
    PERFORM durable.sleep('1 hour');
    PERFORM durable.call_activity('Inline', 'after ' || n);
    RETURN 'end';
END $$;
SELECT count(durable.start('each_kind', n, 'each ' || n)) FROM generate_series(1, 100) n;
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
CALL durable.drain();
SELECT status, output, count(*) FROM run GROUP BY status, output;
SELECT regexp_replace(what, '\d+', 'n') AS what, count(*), count(DISTINCT what) FROM effects GROUP BY 1 ORDER BY 1;

-- a failure takes back what the activity did, and nothing else
CREATE FUNCTION half(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effects (what) VALUES ('before: ' || half.what);
    BEGIN
        INSERT INTO effects (what) VALUES ('inside: ' || half.what);
        RAISE EXCEPTION 'handled';
    EXCEPTION WHEN raise_exception THEN
        INSERT INTO effects (what) VALUES ('handler: ' || half.what);
    END;
    IF half.what = 'fails' THEN
        RAISE EXCEPTION 'failed';
    END IF;
    RETURN half.what;
END $$;
SELECT durable.register_activity('Half as a task', 'half(text)', execution => 'task');
SELECT durable.register_activity('Half inline', 'half(text)', execution => 'inline');
CREATE FUNCTION halves() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY '{Half as a task,Half inline}'::text[] LOOP
        PERFORM durable.call_activity(kind, 'succeeds');
        BEGIN
            PERFORM durable.call_activity(kind, 'fails');
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
    RETURN '"end"';
END $$;
TRUNCATE effects;
SELECT durable.start('halves', NULL, 'halves');
CALL durable.drain();
SELECT what, count(*) FROM effects GROUP BY what ORDER BY min(n);

-- constraints that are checked at the end are checked at the activity's end
CREATE TABLE accounts (id integer PRIMARY KEY, owner integer REFERENCES accounts DEFERRABLE INITIALLY DEFERRED,
                       balance integer, UNIQUE (balance) DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION open_account(id integer, owner integer, balance integer) RETURNS integer LANGUAGE sql AS $$
    INSERT INTO accounts VALUES (id, owner, balance) RETURNING id $$;
CREATE FUNCTION swap_balances() RETURNS void LANGUAGE sql AS $$
    UPDATE accounts a SET balance = (SELECT b.balance FROM accounts b WHERE b.id <> a.id AND b.id < 3) WHERE id < 3 $$;
SELECT durable.register_activity('open', 'open_account(integer,integer,integer)', execution => 'inline');
SELECT durable.register_activity('open as a task', 'open_account(integer,integer,integer)', execution => 'task');
CREATE FUNCTION bank(kind text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
BEGIN
    PERFORM durable.call_activity(kind, '[1, 1, 100]'::jsonb);
    PERFORM durable.call_activity(kind, '[2, 1, 200]'::jsonb);
    BEGIN
        PERFORM durable.call_activity(kind, '[3, 99, 300]'::jsonb);
    EXCEPTION WHEN foreign_key_violation THEN
        told := told || to_jsonb(SQLERRM);
    END;
    BEGIN
        PERFORM durable.call_activity(kind, '[4, 1, 200]'::jsonb);
    EXCEPTION WHEN unique_violation THEN
        told := told || to_jsonb(SQLERRM);
    END;
    PERFORM durable.call_activity('swap_balances');
    RETURN told;
END $$;
SELECT durable.start('bank', 'open', 'bank inline');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'bank inline';
TABLE accounts ORDER BY id;
TRUNCATE accounts;
SELECT durable.start('bank', 'open as a task', 'bank tasks');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'bank tasks';
TABLE accounts ORDER BY id;
-- also a trigger of the user's own
CREATE FUNCTION checks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effects (what) VALUES ('deferred trigger ' || NEW.id);
    IF NEW.balance < 0 THEN
        RAISE EXCEPTION 'account % is overdrawn', NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER checks AFTER INSERT ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION checks();
CREATE FUNCTION overdraws() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('open', '[5, 1, 500]'::jsonb);
    RETURN durable.call_activity('open', '[6, 1, -1]'::jsonb);
END $$;
TRUNCATE effects;
SELECT durable.start('overdraws', NULL, 'overdraws');
CALL durable.drain();
SELECT status, failure FROM run WHERE instance_id = 'overdraws';
SELECT what FROM effects;
SELECT id FROM accounts WHERE id > 4;

-- settings that an activity changes are its own: SET, SET LOCAL, set_config, SET ROLE
CREATE ROLE regress_effects_other;
CREATE FUNCTION unsettles() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    SET search_path TO pg_catalog;
    SET LOCAL DateStyle TO 'SQL, DMY';
    PERFORM set_config('work_mem', '99MB', false), set_config('durable.determinism', 'off', false), set_config('my.own', 'left behind', false);
    SET CONSTRAINTS ALL IMMEDIATE;
    SET ROLE regress_effects_other;
    RETURN current_user || ' ' || current_setting('work_mem') || ' ' || '2024-02-01'::date;
END $$;
CREATE FUNCTION settled() RETURNS text LANGUAGE sql AS $$
    SELECT current_user || ' ' || current_setting('work_mem') || ' ' || current_setting('search_path') || ' ' || '2024-02-01'::date || ' '
           || current_setting('durable.determinism') || ' ' || coalesce(nullif(current_setting('my.own', true), ''), 'none') $$;
SELECT durable.register_activity('unsettles inline', 'unsettles()', execution => 'inline');
SELECT durable.register_activity('unsettles as a task', 'unsettles()', execution => 'task');
SELECT durable.register_activity('settled inline', 'settled()', execution => 'inline');
SELECT durable.register_activity('settled as a task', 'settled()', execution => 'task');
CREATE FUNCTION unsettled() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := jsonb_build_array(settled());
BEGIN
    told := told || durable.call_activity('unsettles inline') || durable.call_activity('settled inline');
    told := told || durable.call_activity('unsettles as a task') || durable.call_activity('settled as a task');
    RETURN told || jsonb_build_array(settled());
END $$;
SET work_mem TO '5MB';
SELECT durable.start('unsettled', NULL, 'unsettled');
CALL durable.drain();
SELECT jsonb_array_elements_text(output) FROM run WHERE instance_id = 'unsettled';
SELECT settled();
RESET work_mem;
DROP ROLE regress_effects_other;

-- what an activity cannot do: end the transaction
CREATE FUNCTION commits() RETURNS void LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE FUNCTION calls(name text, input jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity(name, input) $$;
SELECT durable.start('calls', '["commits"]'::jsonb, 'commits'),
       durable.start('calls', '["durable.call_sql", {"query": "VACUUM"}]'::jsonb, 'vacuum'),
       durable.start('calls', '["durable.call_sql", {"query": "CREATE DATABASE no"}]'::jsonb, 'create database');
CALL durable.drain();
SELECT instance_id, status, failure ->> 'sqlstate' AS sqlstate, failure ->> 'message' AS message FROM run
WHERE instance_id IN ('commits', 'vacuum', 'create database') ORDER BY 1;

-- temporary tables do not pass from one activity to the next
CREATE FUNCTION uses_temp() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    CREATE TEMP TABLE scratch ON COMMIT DROP AS SELECT 1 AS x;
    EXECUTE 'SELECT count(*) FROM scratch' INTO n;
    RETURN n;
END $$;
SELECT durable.register_activity('Uses temp', 'uses_temp()', execution => 'inline');
CREATE FUNCTION temps() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('Uses temp') || durable.call_activity('Uses temp');
END $$;
SELECT durable.start('temps', NULL, 'temps');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'temps';

-- an activity that starts, tells and stops others does so in its transaction: not if it fails
CREATE FUNCTION manages(fails boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.start('each_kind', 1000, CASE WHEN fails THEN 'never' ELSE 'managed' END);
    IF fails THEN
        PERFORM durable.terminate('managed');
        RAISE EXCEPTION 'no';
    END IF;
    RETURN 'started';
END $$;
SELECT durable.register_activity('Manages', 'manages(boolean)', execution => 'inline');
SELECT durable.start('calls', '["Manages", false]'::jsonb, 'manages');
CALL durable.drain();
SELECT durable.start('calls', '["Manages", true]'::jsonb, 'manages, fails');
CALL durable.drain();
SELECT instance_id, status FROM run WHERE instance_id IN ('managed', 'never', 'manages', 'manages, fails') ORDER BY 1;

-- an activity that ends its own instance
CREATE FUNCTION end_instance(instance_id text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effects (what) VALUES ('end_instance');
    PERFORM durable.terminate(instance_id, 'by itself');
    RETURN 'done';
END $$;
CREATE FUNCTION ends_its_instance() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('end_instance', durable.instance_id());
    RETURN durable.wait_for_external_event('Never');
END $$;
TRUNCATE effects;
SELECT durable.start('ends_its_instance', NULL, 'ends_its_instance');
CALL durable.drain();
SELECT status, failure FROM run WHERE instance_id = 'ends_its_instance';
SELECT what FROM effects;
