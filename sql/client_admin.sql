--
-- Operating the engine: pause, unpause, adopt, version, doctor.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || name $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE VIEW app.ills AS SELECT check_name, detail, hint FROM durable.doctor() WHERE NOT ok AND check_name <> 'coordinator';

SELECT durable.version() = (SELECT extversion FROM pg_extension WHERE extname = 'durable') AS same_version;

-- a healthy engine; the coordinator of a new database may not be there yet
SELECT check_name, ok, hint FROM durable.doctor() WHERE check_name <> 'coordinator';

-- the first start writes down where the tables are
TABLE durable.engine;
SELECT durable.start('hello', 'Pat', 'one');
SELECT system_identifier = (SELECT s.system_identifier FROM pg_control_system() s) AS this_cluster,
       database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database, paused FROM durable.engine;
SELECT durable.start('hello', 'Pat', 'two');
SELECT count(*) FROM durable.engine;

-- paused: things can be started, nothing runs
SELECT durable.pause();
CALL durable.drain();
SELECT runtime_status FROM durable.status('one');
TABLE app.ills;
SELECT durable.start('hello', 'Pat', 'three');
SELECT durable.unpause();
CALL durable.drain();
SELECT runtime_status, count(*) FROM durable.instances GROUP BY 1;
BEGIN;
SELECT durable.pause();
ROLLBACK;
SELECT paused FROM durable.engine;

-- a copy: another database, another cluster, no identity at all
SELECT durable.start('hello', 'Pat', 'copied');
BEGIN;
UPDATE durable.engine SET database = 1;
TABLE app.ills;
ROLLBACK;
UPDATE durable.engine SET system_identifier = 1;
TABLE app.ills;
CALL durable.drain();
SELECT runtime_status FROM durable.status('copied');
DELETE FROM durable.engine;
TABLE app.ills;
CALL durable.drain();
SELECT runtime_status FROM durable.status('copied');
INSERT INTO durable.engine VALUES (1, 1, true), (2, 2, false);
SELECT durable.adopt();
SELECT count(*), bool_and(paused) AS still_paused, bool_and(system_identifier > 2) AS is_this FROM durable.engine;
SELECT durable.unpause();
CALL durable.drain();
SELECT runtime_status FROM durable.status('copied');

-- two first starts at once say the same twice, and that is as good as once
INSERT INTO durable.engine SELECT * FROM durable.engine;
SELECT durable.pause();
SELECT count(*), bool_and(paused) FROM durable.engine;
SELECT durable.unpause();
TABLE app.ills;

-- a function that is gone, and one that has changed
SELECT durable.register_activity('Greet', 'app.hello(text)');
SELECT durable.start('patient', NULL, 'old code');
CALL durable.drain();
CREATE OR REPLACE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('Gone'); END $$;
DROP FUNCTION app.hello(text);
-- it has kept its code
SELECT check_name FROM app.ills;
DELETE FROM durable.code;
TABLE app.ills;
SELECT durable.raise_event('old code', 'Go');
CALL durable.drain();
SELECT check_name, detail, hint FROM app.ills WHERE check_name = 'suspended';
SELECT kind, detail FROM durable.waiting WHERE kind = 'resume';
SELECT durable.terminate('old code');
CALL durable.drain();
SELECT durable.unregister_activity('Greet');
CREATE FUNCTION app.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || name $$;
TABLE app.ills;

-- work that nobody takes, an instance that nothing will move, an owner that is gone or locked out
CREATE ROLE regress_client_owner LOGIN;
SELECT durable.start('hello', 'Pat', 'forgotten'), durable.start('patient', NULL, 'stuck');
CALL durable.drain();
UPDATE durable.instance SET waiting = NULL WHERE instance_id = 'stuck';
INSERT INTO durable.inbox (id, owner, key, kind, sent_at)
SELECT 0, owner, key, 'e', durable.clock() - interval '5 minutes' FROM durable.instance WHERE instance_id = 'forgotten';
UPDATE durable.instance SET owner = 'regress_client_owner' WHERE instance_id = 'stuck';
SELECT check_name, regexp_replace(detail, 'for 3\d\d s$', 'for 5 minutes') AS detail, hint FROM app.ills;
ALTER ROLE regress_client_owner NOLOGIN;
SELECT check_name, replace(detail, 'regress_client_owner', 'OWNER') AS detail FROM app.ills WHERE check_name = 'owners';
DROP ROLE regress_client_owner;
SELECT check_name, regexp_replace(detail, '\d+', 'OID') AS detail FROM app.ills WHERE check_name = 'owners';

-- everything is found by the name of the schema
ALTER SCHEMA durable RENAME TO lasting;
