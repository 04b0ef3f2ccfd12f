--
-- Names and options for orchestrations and activities.
--
\pset null '(null)'
CREATE SCHEMA app;
CREATE FUNCTION app.hello(name jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'hello ' || (name #>> '{}'); END $$;
CREATE FUNCTION app.bye(name jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'bye ' || (name #>> '{}'); END $$;
CREATE FUNCTION app.mine(name jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'mine'; END $$;
CREATE FUNCTION app.relay(name jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('Say it', name); END $$;
CREATE PROCEDURE app.go() LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE VIEW mine AS
    SELECT kind, name, handler, version, execution, retry, timeout, retention, description FROM durable.registrations ORDER BY kind, name;

SELECT durable.register_orchestration('Hello, world!', 'app.hello(jsonb)', version => 'v1', retention => '30 days', description => 'greets');
SELECT durable.register_activity('Say it', 'app.hello(jsonb)');
SELECT durable.register_activity('Send', 'app.bye(jsonb)', execution => 'task', retry => durable.retry(5), timeout => '1 minute', description => 'sends');
SELECT * FROM mine;
-- Again: replaces all of it, but not another version.
SELECT durable.register_orchestration('Hello, world!', 'app.bye(jsonb)');
SELECT durable.register_activity('Send', 'app.hello(jsonb)', execution => NULL);
SELECT * FROM mine;
SELECT durable.start('Hello, world!', 'Pat', 'one');
CALL durable.drain();
SELECT name, runtime_status, output FROM durable.status('one');

-- Unregistered, they are not found any more, also within the transaction.
BEGIN;
SELECT durable.unregister_orchestration('Hello, world!');
SAVEPOINT here;
SELECT durable.start('Hello, world!', 'Pat', 'two');
ROLLBACK TO here;
SELECT durable.register_orchestration('Hullo', 'app.hello(jsonb)');
SELECT durable.start('Hullo', 'Pat', 'three');
ROLLBACK TO here;
SELECT durable.start('Hullo', 'Pat', 'four');
ROLLBACK;
SELECT durable.start('Hello, world!', 'Pat', 'five');
SELECT durable.unregister_orchestration('Hello, world!'), durable.unregister_activity('Send');
SELECT durable.unregister_orchestration('Hello, world!');
SELECT durable.unregister_activity('Say  it');
SELECT * FROM mine;

-- Refused
SELECT durable.register_orchestration(NULL, 'app.hello(jsonb)');
SELECT durable.register_orchestration('', 'app.hello(jsonb)');
SELECT durable.register_orchestration(repeat('n', 1025), 'app.hello(jsonb)');
SELECT durable.register_orchestration('x', NULL);
SELECT durable.register_orchestration('x', 'app.nothing(jsonb)');
SELECT durable.register_orchestration('x', 'app.go()');
SELECT durable.register_orchestration('x', 'max(int)');
SELECT durable.register_orchestration('x', 4294967295::oid::regprocedure);
SELECT durable.register_orchestration('x', 'app.hello(jsonb)', version => '');
SELECT durable.register_orchestration('x', 'app.hello(jsonb)', retention => '-1 day');
SELECT durable.register_activity('x');
SELECT durable.register_activity('x', 'app.hello(jsonb)', execution => 'external');
SELECT durable.register_activity('x', 'app.hello(jsonb)', execution => 'Inline');
SELECT durable.register_activity('x', 'app.hello(jsonb)', timeout => '0');
SELECT durable.register_activity('x', 'app.hello(jsonb)', retry => '{"attempts": 2}');
SELECT durable.register_activity('x', 'app.hello(jsonb)', retry => '7');
SELECT durable.unregister_activity(NULL);
SELECT count(*) FROM mine WHERE name = 'x';
-- Names are values.
SELECT durable.register_activity(repeat('n', 1024), 'app.hello(jsonb)'), durable.register_activity('"; DROP TABLE x; --', 'app.hello(jsonb)');
SELECT length(name) FROM mine WHERE length(name) > 100;
SELECT durable.unregister_activity(repeat('n', 1024)), durable.unregister_activity('"; DROP TABLE x; --');

--
-- Whose registration counts for whom.
--
CREATE ROLE regress_alice LOGIN;
CREATE ROLE regress_bob LOGIN;
CREATE ROLE regress_team;
GRANT regress_team TO regress_alice;
GRANT USAGE, CREATE ON SCHEMA app TO regress_alice, regress_bob, regress_team;
SELECT durable.grant_usage(r) FROM unnest('{regress_alice,regress_bob,regress_team}'::regrole[]) AS r;
GRANT SELECT ON mine TO PUBLIC;
CREATE FUNCTION app.alice(x jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'alice''s' $$;
CREATE FUNCTION app.team(x jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'team''s' $$;
CREATE FUNCTION app.boss(x jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'boss''s' $$;
CREATE FUNCTION app.bob(x jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'bob''s' $$;

SELECT durable.register_orchestration('Everybody', 'app.boss(jsonb)'), durable.register_orchestration('All four', 'app.boss(jsonb)');
SET ROLE regress_team;
SELECT durable.register_orchestration('Team', 'app.team(jsonb)'), durable.register_orchestration('All four', 'app.team(jsonb)');
SET ROLE regress_alice;
SELECT durable.register_orchestration('Alice', 'app.alice(jsonb)'), durable.register_orchestration('All four', 'app.alice(jsonb)');
SET ROLE regress_bob;
SELECT durable.register_orchestration('Bob', 'app.bob(jsonb)');
SELECT durable.start(name, NULL::text, 'bob: ' || name) FROM unnest('{Everybody,Bob,All four}'::text[]) AS name;
SELECT durable.start('Team');
SELECT durable.start('Alice');
SELECT name, owner FROM durable.registrations WHERE kind = 'orchestration' ORDER BY name, owner::text;
SELECT durable.unregister_orchestration('Everybody');
SELECT durable.register_orchestration('Secret', 'app.secret(jsonb)');
CALL durable.drain();
SELECT instance_id, output FROM durable.instances ORDER BY instance_id;
SET ROLE regress_alice;
SELECT durable.start(name, NULL::text, 'alice: ' || name) FROM unnest('{Everybody,Team,Alice,All four}'::text[]) AS name;
SELECT durable.start('Bob');
CALL durable.drain();
SELECT instance_id, output FROM durable.instances ORDER BY instance_id;
-- Without her own the superuser's counts, and without that one the team's.
SELECT durable.unregister_orchestration('All four');
SELECT durable.start('All four', NULL::text, 'alice: All three');
RESET ROLE;
SELECT durable.unregister_orchestration('All four');
SET ROLE regress_alice;
SELECT durable.start('All four', NULL::text, 'alice: The two');
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE instance_id IN ('alice: All three', 'alice: The two') ORDER BY instance_id;
RESET ROLE;
-- A superuser has everybody's privileges, but does not run what everybody registered.
SELECT durable.start('Bob');
SELECT durable.start('Team');
SELECT name, owner FROM durable.registrations WHERE owner::text LIKE 'regress%' ORDER BY name, owner::text;

-- Nobody registers what he may not run, and nobody runs it because somebody else registered it.
REVOKE EXECUTE ON FUNCTION app.boss(jsonb) FROM PUBLIC;
SET ROLE regress_bob;
SELECT durable.register_activity('Steal', 'app.boss(jsonb)');
SELECT durable.start('Everybody');
INSERT INTO durable.orchestration (owner, name, handler) VALUES ('regress_alice', 'Forged', 'app.bob(jsonb)');
UPDATE durable.orchestration SET handler = 'app.bob(jsonb)';
RESET ROLE;

-- Inside an orchestration nothing is registered.
CREATE FUNCTION app.registers() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.register_activity('x', 'app.hello(jsonb)'); END $$;
SELECT durable.start('app.registers', NULL, 'registers');
CALL durable.drain();
SELECT runtime_status, failure - 'context' AS failure FROM durable.status('registers');

-- An activity is looked up for the owner of the instance when the orchestration calls it.
SELECT durable.start('app.relay', 'Pat', 'relay');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('relay');

RESET ROLE;
SELECT count(durable.purge(instance_id)) AS purged FROM durable.instances WHERE owner::text LIKE 'regress%';
SELECT durable.revoke_usage(r) FROM unnest('{regress_alice,regress_bob,regress_team}'::regrole[]) AS r;
DROP OWNED BY regress_alice, regress_bob, regress_team;
DROP ROLE regress_alice, regress_bob, regress_team;
-- What a role registered stays behind when it goes, and counts for nobody.
CREATE ROLE regress_anybody LOGIN;
SELECT durable.grant_usage('regress_anybody');
SELECT count(*) AS orphans FROM durable.orchestration WHERE owner::oid NOT IN (SELECT oid FROM pg_roles);
SELECT durable.start('Alice');
-- Only who may do everything can take it away.
SET ROLE regress_anybody;
SELECT durable.unregister_orchestration('Alice');
RESET ROLE;
SELECT durable.unregister_orchestration('Alice'), durable.unregister_orchestration('Team'), durable.unregister_orchestration('Bob'),
    durable.unregister_orchestration('All four');
SELECT durable.unregister_orchestration('Alice');
SELECT count(*) AS orphans FROM durable.orchestration WHERE owner::oid NOT IN (SELECT oid FROM pg_roles);
SELECT durable.revoke_usage('regress_anybody');
DROP ROLE regress_anybody;
