--
-- The most likely mistakes of a new user, and what he reads then: what happened to what, why, and what to do.
--
CREATE ROLE mistakes_user LOGIN;
CREATE ROLE mistakes_group NOLOGIN;
CREATE ROLE mistakes_stranger LOGIN;
GRANT mistakes_group TO mistakes_user;
SELECT durable.grant_usage('mistakes_user'), durable.grant_usage('mistakes_group');
CREATE SCHEMA shop;
GRANT CREATE, USAGE ON SCHEMA shop TO mistakes_user;
CREATE TABLE shop.stock (item text PRIMARY KEY, pieces integer);
INSERT INTO shop.stock VALUES ('lamp', 3);
CREATE FUNCTION shop.secret(x jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'secret' $$;
REVOKE EXECUTE ON FUNCTION shop.secret(jsonb) FROM PUBLIC;
SET ROLE mistakes_user;
SET search_path TO shop, public;
CREATE FUNCTION order_lamp(item text, pieces integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('take', item);
END $$;
CREATE FUNCTION take(item text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop.stock SET pieces = stock.pieces - 1 WHERE stock.item = take.item;
    RETURN 'taken';
END $$;
CREATE VIEW failed AS
    SELECT instance_id, failure ->> 'sqlstate' AS state, failure ->> 'message' AS message, failure ->> 'detail' AS detail, failure ->> 'hint' AS hint
    FROM durable.instances WHERE failure IS NOT NULL ORDER BY instance_id;
CREATE VIEW held AS SELECT instance_id, detail FROM durable.waiting WHERE kind = 'resume' ORDER BY 1;
\x on

-- 1. the name is misspelt, or not in the search_path; so is that of an activity, which fails where it is called
SELECT durable.start('order_lmap', '["lamp", 1]'::jsonb);
SET search_path TO public;
SELECT durable.start('order_lamp', '["lamp", 1]'::jsonb);
SET search_path TO shop, public;
CREATE FUNCTION misspelt() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('tkae', 'lamp'); END $$;
SELECT durable.start('misspelt', instance_id => 'misspelt');
CALL durable.drain();
SELECT * FROM held;
SELECT durable.terminate('misspelt') AS terminated;
CALL durable.drain();
SELECT durable.purge('misspelt') AS purged;

-- 2. the input does not fit the parameters, or the function cannot be an orchestration
SELECT durable.start('order_lamp', '{"item": "lamp", "pices": 1}'::jsonb);
SELECT durable.start('order_lamp', '{"item": "lamp"}'::jsonb);
SELECT durable.start('order_lamp', '["lamp", "many"]'::jsonb);
CREATE PROCEDURE order_in_steps() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
SELECT durable.start('order_in_steps');
CREATE FUNCTION orders() RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'lamp' $$;
SELECT durable.start('orders');
SELECT durable.register_activity('take all', 'order_in_steps()');

-- 3. JSON that is a text, or none
SELECT durable.start('order_lamp', '{"item": "lamp", "pieces": 1}');
CREATE FUNCTION order_all(input jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN input ->> 'item'; END $$;
SELECT durable.start('order_all', '{"item": "lamp"}', 'text');
SELECT durable.start('order_all', ' [{"item": "lamp"}] '::text, 'meant as a text');
SELECT durable.start('order_all', '[sic] lamp', 'no JSON'), durable.start('order_all', '{"item": "lamp"}'::jsonb, 'json');
SELECT durable.raise_event('json', 'Paid', '{"amount": 5}'), durable.raise_event('json', 'Paid', '[urgent]'), durable.raise_event('json', 'Paid', '5');
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE name = 'shop.order_all' ORDER BY 1;
SELECT durable.start('order_lamp', '{item: lamp}'::jsonb);

-- 4. code that is not deterministic, or writes
CREATE FUNCTION asks_the_time() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RETURN now(); END $$;
CREATE FUNCTION draws() RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RETURN random(); END $$;
CREATE FUNCTION reads() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT pieces FROM stock WHERE item = 'lamp'); END $$;
CREATE FUNCTION writes() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO stock VALUES ('chair', 1); END $$;
SELECT durable.start(f, instance_id => f) FROM unnest('{asks_the_time,draws,reads,writes}'::text[]) f;
CALL durable.drain();
SELECT * FROM failed;
SELECT durable.purge(instance_id) AS purged FROM failed;

-- 5. NOTIFY and COMMIT in an orchestration or an activity
CREATE FUNCTION notifies() RETURNS void LANGUAGE plpgsql AS $$ BEGIN NOTIFY shop; END $$;
CREATE FUNCTION commits() RETURNS void LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE FUNCTION commits_in_activity() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.call_activity('commits'); END $$;
CREATE FUNCTION calls_procedure() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL order_in_steps(); END $$;
SELECT durable.start(f, instance_id => f) FROM unnest('{notifies,commits,commits_in_activity,calls_procedure}'::text[]) f;
CALL durable.drain();
SELECT * FROM failed;
SELECT durable.purge(instance_id) AS purged FROM failed;

-- 6. a GRANT is missing: on the engine, on a function, on a table that an activity writes
SELECT durable.start('secret', 1);
CREATE FUNCTION calls_secret() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('secret', 1); END $$;
SELECT durable.start('calls_secret', instance_id => 'calls_secret'), durable.start('order_lamp', '["lamp", 1]'::jsonb, 'order');
CALL durable.drain();
SELECT * FROM failed;
SELECT * FROM held;
SELECT durable.terminate('calls_secret') AS terminated;
CALL durable.drain();
SELECT durable.purge(instance_id) AS purged FROM failed;
SET ROLE mistakes_stranger;
SELECT durable.start('order_lamp');
RESET ROLE;

-- 7. nobody can run it: a role that cannot log in; no process works for this database
SET ROLE mistakes_group;
SELECT durable.start('order_lamp', '["lamp", 1]'::jsonb);
SET ROLE mistakes_user;
CREATE FUNCTION hello() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'hello'; END $$;
SELECT durable.start('hello', instance_id => 'hello');
SELECT runtime_status FROM durable.wait('hello', '10 ms');
RESET ROLE;
SELECT durable.pause();
SELECT check_name, detail, hint FROM durable.doctor() WHERE NOT ok AND check_name <> 'test_clock';
SELECT durable.unpause();
SET ROLE mistakes_user;
CALL durable.drain();

-- 8. an event for the wrong instance, for one that has ended, or by a name for which nobody waits
SELECT durable.raise_event('helo', 'Paid');
SELECT durable.raise_event('hello', 'Paid');
CREATE FUNCTION waits() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Paid'); END $$;
SELECT durable.start('waits', instance_id => 'waits'), durable.raise_event('waits', 'Payed', '1'::jsonb);
CALL durable.drain();
SELECT waiting_on FROM durable.instances WHERE instance_id = 'waits';
SELECT instance_id, event FROM durable.buffered_events WHERE instance_id = 'waits';
SELECT line FROM durable.explain('waits') AS line WHERE line ~ '(1. event|Payed)';

-- 9. names that are taken, or mean two things
SELECT durable.start('hello', instance_id => 'waits');
CREATE FUNCTION hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || name $$;
SELECT durable.start('hello');
SELECT durable.register_orchestration('hi', 'shop.helo()');

-- 10. calls in the wrong place
SELECT durable.call_activity('take', 'lamp');
CREATE FUNCTION nested(item text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('take', item); END $$;
CREATE FUNCTION calls_nested() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('nested', 'lamp'); END $$;
CREATE FUNCTION starts() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.start('hello(text)', 'Pat'); END $$;
CREATE FUNCTION waits_for_instance() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN (durable.wait('waits')).output; END $$;
CREATE FUNCTION sleeps() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); END $$;
SELECT durable.start(f, instance_id => f) FROM unnest('{calls_nested,starts,waits_for_instance,sleeps}'::text[]) f;
CALL durable.drain();
SELECT * FROM failed;
BEGIN;
SELECT durable.start('waits', instance_id => 'in here');
SELECT durable.wait('in here');
ROLLBACK;

\x off
RESET ROLE;
RESET search_path;
SELECT count(durable.purge(instance_id)) > 0 AS purged FROM durable.instances WHERE runtime_status IN ('Completed', 'Failed', 'Terminated');
SELECT durable.revoke_usage('mistakes_user'), durable.revoke_usage('mistakes_group');
DROP OWNED BY mistakes_user, mistakes_group, mistakes_stranger CASCADE;
DROP ROLE mistakes_user, mistakes_group, mistakes_stranger;
