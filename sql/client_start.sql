--
-- durable.start: names, versions, ids, inputs, start_at; and what it refuses.
--
\pset null '(null)'
CREATE SCHEMA app;
CREATE SCHEMA other;
SET search_path TO app, public;
CREATE FUNCTION app.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || name $$;
CREATE FUNCTION app.add(a integer, b integer DEFAULT 10) RETURNS integer LANGUAGE sql AS $$ SELECT a + b $$;
CREATE FUNCTION app.echo(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT input $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE FUNCTION other.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'other ' || name $$;
CREATE FUNCTION other."Odd 'name'"(input jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT input $$;
CREATE PROCEDURE app.not_a_function() LANGUAGE sql AS $$ SELECT 1 $$;

-- a name is looked up with the search_path, a qualified one as it is
SELECT durable.start('hello', 'Pat', 'one');
SELECT durable.start('other.hello', 'Pat', 'two');
SELECT durable.start('other."Odd ''name''"', 'Pat', 'three');
SET search_path TO other;
SELECT durable.start('hello', 'Pat', 'four');
SET search_path TO app, public;
SELECT durable.start('hello', 'Pat', 'five');
CALL durable.drain();
SELECT instance_id, name, runtime_status, output, owner = current_user::regrole AS is_mine
FROM durable.instances ORDER BY created_time, instance_id;

-- what a name meant a moment ago is not believed for longer than it is true
BEGIN;
SELECT durable.start('hello', 'Pat', 'six');
ALTER FUNCTION app.hello(text) RENAME TO hullo;
SELECT durable.start('hello', 'Pat', 'seven');
ROLLBACK;
BEGIN;
CREATE SCHEMA first;
CREATE FUNCTION first.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'first ' || name $$;
SET LOCAL search_path TO first, app;
SELECT durable.start('hello', 'Pat', 'eight');
SELECT name FROM durable.status('eight');
DROP FUNCTION first.hello(text);
SELECT durable.start('hello', 'Pat', 'nine');
SELECT name FROM durable.status('nine');
ROLLBACK;

-- a registration comes first, and knows a version
SELECT durable.register_orchestration('hello', 'other.hello(text)', version => 'v2');
SELECT durable.start('hello', 'Pat', 'registered');
SELECT durable.start('hello', 'Pat', 'registered too', version => 'v2');
CALL durable.drain();
SELECT name, version, output FROM durable.instances WHERE instance_id LIKE 'registered%';
SELECT durable.start('hello', 'Pat', version => 'v1');
SELECT durable.start('echo', 'Pat', version => 'v1');
SELECT durable.unregister_orchestration('hello');

-- inputs of any type
SELECT durable.start('echo', 'a literal', 'literal'),
       durable.start('echo', 42, 'number'),
       durable.start('echo', ARRAY[1, 2], 'array'),
       durable.start('echo', ROW(1, 'x'), 'record'),
       durable.start('echo', '{"a": 1}'::jsonb, 'jsonb'),
       durable.start('echo', NULL, 'null'),
       durable.start('echo', instance_id => 'nothing'),
       durable.start('add', '{"a": 1}'::jsonb, 'by name'),
       durable.start('add', '[1, 2]'::jsonb, 'by position');
CALL durable.drain();
SELECT instance_id, input, output FROM durable.instances
WHERE name IN ('app.echo', 'app.add') ORDER BY name, created_time, instance_id;

-- an id is made when none is given
SELECT durable.start('echo') ~ '^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$' AS is_uuid;
SELECT count(DISTINCT durable.start('echo', n)) FROM generate_series(1, 100) n;

-- names of any shape
SELECT durable.start('echo', 1, $$Robert'); DROP TABLE "durable".instance; --$$);
SELECT durable.start('echo', 1, 'an id with 🐉');
SELECT length(durable.start('echo', 1, repeat('x', 1024)));
SELECT runtime_status FROM durable.status($$Robert'); DROP TABLE "durable".instance; --$$);

-- tags
SELECT durable.start('echo', 1, 'tagged', tags => '{"customer": "Pat"}');
SELECT tags FROM durable.status('tagged');
CALL durable.drain();

-- all of it is part of the transaction, also in a trigger
BEGIN;
SELECT durable.start('echo', 1, 'rolled back');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT durable.start('echo', 1, 'rolled back');
ROLLBACK TO s;
COMMIT;
SELECT durable.status('rolled back');
CREATE TABLE app.orders (id integer);
CREATE FUNCTION app.on_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.start('app.echo', NEW.id, 'order ' || NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER t AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.on_order();
INSERT INTO app.orders VALUES (1), (2);
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE instance_id LIKE 'order %' ORDER BY 1;

-- the id is taken
SELECT durable.start('patient', 1, 'taken');
SELECT durable.start('patient', 2, 'taken');
SELECT durable.start('patient', 2, 'taken', on_conflict => 'return');
SELECT durable.start('patient', 2, 'taken', on_conflict => 'replace_finished');
CALL durable.drain();
SELECT runtime_status, input FROM durable.status('taken');
SELECT durable.start('patient', 2, 'taken', on_conflict => 'replace_finished');
SELECT durable.raise_event('taken', 'Go', 'done');
CALL durable.drain();
SELECT durable.start('patient', 2, 'taken');
SELECT durable.start('patient', 2, 'taken', on_conflict => 'return');
SELECT runtime_status, input, output FROM durable.status('taken');
BEGIN;
SELECT durable.start('patient', 2, 'taken', on_conflict => 'replace_finished');
SELECT runtime_status, input, output FROM durable.status('taken');
ROLLBACK;
SELECT runtime_status, input, output FROM durable.status('taken');
SELECT durable.start('patient', 3, 'taken', on_conflict => 'replace_finished');
CALL durable.drain();
SELECT runtime_status, input, output FROM durable.status('taken');
SELECT execution, seq, event_type, name, payload FROM durable.history('taken');

-- later
SELECT durable.start('echo', 1, 'later', start_at => durable.clock() + interval '1 hour');
SELECT durable.start('echo', 1, 'never', start_at => durable.clock() + interval '100 years');
SELECT durable.start('echo', 1, 'past', start_at => '2001-01-01');
SELECT durable.start('echo', 1, 'always', start_at => '-infinity');
CALL durable.drain();
SELECT instance_id, runtime_status, waiting_on LIKE 'start %' AS waits_for_start
FROM durable.instances WHERE instance_id IN ('later', 'never', 'past', 'always') ORDER BY 1;
SELECT instance_id, kind, due - since BETWEEN interval '59 minutes' AND interval '1 hour' AS in_an_hour
FROM durable.waiting WHERE kind = 'start' AND instance_id = 'later';
SELECT count(durable.advance_clock('1 hour'));
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances WHERE instance_id IN ('later', 'never') ORDER BY 1;
SELECT durable.terminate('never');
CALL durable.drain();
SELECT runtime_status FROM durable.status('never');
SELECT count(*) AS timers_left FROM durable.timer;

-- refused
SELECT durable.start(NULL);
SELECT durable.start('');
SELECT durable.start('helo');
SELECT durable.start('nowhere.hello');
SELECT durable.start('not_a_function');
SELECT durable.start('echo', 1, '');
SELECT durable.start('echo', 1, repeat('x', 1025));
SELECT durable.start('echo', 1, repeat('x', 10000));
SELECT durable.start('add', 'not a number');
SELECT durable.start('add', '{"a": "x"}'::jsonb);
SELECT durable.start('add', '{"c": 1}'::jsonb);
SELECT durable.start('echo', 1, start_at => 'infinity');
SELECT durable.start('echo', 1, tags => '[]');
SELECT durable.start('echo', 1, on_conflict => 'ignore');
SELECT durable.start('echo', 1, on_conflict => NULL);
SET durable.max_payload = '10kB';
SELECT durable.start('echo', repeat('x', 20000));
SELECT durable.start('echo', 1, tags => jsonb_build_object('x', repeat('x', 20000)));
RESET durable.max_payload;
BEGIN READ ONLY;
SELECT durable.start('echo', 1);
ROLLBACK;
-- start_or_get says whether it has started one
SELECT * FROM durable.start_or_get('echo', 1, 'got');
SELECT * FROM durable.start_or_get('echo', 2, 'got');
SELECT instance_id ~ '^[0-9a-f]{32}$' AS made, is_new FROM durable.start_or_get('echo');
SELECT * FROM durable.start_or_get('not_a_function', 1, 'got');
SELECT * FROM durable.start_or_get('add', 'not a number', 'got');
SELECT input FROM durable.instances WHERE instance_id = 'got';
SELECT count(durable.terminate(instance_id)) FROM durable.instances WHERE runtime_status = 'Pending' AND (instance_id = 'got' OR created_time > now() - interval '1 minute' AND input IS NULL AND tags IS NULL);
CALL durable.drain();
SELECT * FROM durable.start_or_get('echo', 3, 'got');
SELECT count(*) AS nothing_else FROM durable.instances WHERE runtime_status IN ('Pending', 'Running') AND instance_id <> 'taken';
SELECT count(*) AS messages_left FROM durable.inbox;
