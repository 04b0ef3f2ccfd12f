--
-- Versions of one orchestration side by side.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

CREATE FUNCTION order_1(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'order 1, ' || (durable.call_sub_orchestrator('Ship', n) #>> '{}');
END $$;
CREATE FUNCTION order_2(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'order 2, ' || (durable.call_sub_orchestrator('Ship', n) #>> '{}');
END $$;
CREATE FUNCTION order_3(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('effect', 'another beginning');
    PERFORM durable.wait_for_external_event('Go');
    RETURN 'order 3, ' || (durable.call_sub_orchestrator('Ship', n) #>> '{}');
END $$;
CREATE FUNCTION ship_1(n integer) RETURNS text LANGUAGE sql AS $$ SELECT 'shipped by 1' $$;
CREATE FUNCTION ship_3(n integer) RETURNS text LANGUAGE sql AS $$ SELECT 'shipped by 3' $$;
CREATE VIEW registered AS
    SELECT name, version, handler, is_newest FROM durable.registrations WHERE kind = 'orchestration' ORDER BY name, version NULLS FIRST;

-- the newest is the version that was registered last, and counts where none is asked for
SELECT durable.register_orchestration('Order', 'order_1(integer)');
SELECT durable.start('Order', 0, 'without');
SELECT durable.register_orchestration('Order', 'order_1(integer)', version => '1');
SELECT durable.register_orchestration('Order', 'order_2(integer)', version => '2');
SELECT durable.register_orchestration('Ship', 'ship_1(integer)', version => '1');
SELECT durable.register_orchestration('Ship', 'ship_3(integer)', version => '3');
SELECT * FROM registered;
SELECT durable.start('Order', 1, 'newest'), durable.start('Order', 1, 'one', version => '1'), durable.start('Order', 1, 'two', version => '2');
-- registering a version again changes it, and does not make it the newest
SELECT durable.register_orchestration('Order', 'order_1(integer)', version => '1', description => 'the first');
SELECT * FROM registered WHERE name = 'Order';
-- in one transaction the last one is the newest, too
BEGIN;
SELECT durable.register_orchestration('Many', 'order_1(integer)', version => v::text) FROM generate_series(12, 1, -1) v;
SELECT version FROM registered WHERE name = 'Many' AND is_newest;
SELECT durable.start('Many', 1, 'many', version => '13');
ROLLBACK;
CALL durable.drain();
SELECT instance_id, version FROM durable.instances ORDER BY 1;

-- a version that does not exist
SELECT durable.start('Order', 1, version => '3');
SELECT durable.start('Ship', 1, version => repeat('9', 2000));
SELECT durable.start('order_1', 1, version => '1');
SELECT durable.start('Odrer', 1, version => '1');
SELECT durable.register_orchestration('Plain', 'order_1(integer)');
SELECT durable.start('Plain', 1, version => '1');
SELECT durable.unregister_orchestration('Plain', '1');
SELECT durable.unregister_orchestration('Plain');

-- what each history fits
SELECT durable.register_orchestration('Order', 'order_3(integer)', version => '3');
SELECT instance_id, problem FROM durable.verify_replay('Order', version => '2');
SELECT instance_id, problem FROM durable.verify_replay('Order', version => '3') ORDER BY 1;
SELECT * FROM durable.verify_replay('Order', 'order_2(integer)', '2');
SELECT * FROM durable.verify_replay('Order', version => '4');
-- moved to another version
SELECT durable.repin('one', version => '3');
SELECT durable.repin('one', version => '4');
SELECT durable.repin('one', version => '2');
SELECT durable.start('Order', 1, 'not begun', version => '1', start_at => durable.clock() + interval '1 hour');
BEGIN;
SELECT durable.repin_all('Order', version => '3');
SELECT instance_id, version FROM durable.instances WHERE version = '3';
ROLLBACK;
SELECT durable.repin_all('Order', version => '4');
SELECT durable.repin_all('Order', version => '2');
SELECT instance_id, version FROM durable.instances ORDER BY 1;
SELECT durable.repin('newest', force => true, version => '1');
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
-- children get the version of their parent, if there is one, else the newest
SELECT durable.start('Order', 1, 'three');
CALL durable.drain();
SELECT count(durable.raise_event(instance_id, 'Go')) FROM durable.instances WHERE runtime_status = 'Running';
CALL durable.drain();
SELECT instance_id, version, runtime_status, output FROM durable.instances WHERE parent_instance_id IS NULL ORDER BY 1;
SELECT parent_instance_id, version FROM durable.instances WHERE parent_instance_id IS NOT NULL ORDER BY 1;
-- history and restart know the version
SELECT durable.restart('one') = 'one' AS restarted;
SELECT version FROM durable.status('one');

-- unregistered: one, that without a version, all
SELECT durable.unregister_orchestration('Order', '3');
SELECT durable.unregister_orchestration('Order', '3');
SELECT * FROM registered WHERE name = 'Order';
SELECT durable.start('Order', 1, 'newest after 3');
SELECT durable.unregister_orchestration('Order', '');
SELECT * FROM registered WHERE name = 'Order';
SELECT durable.unregister_orchestration('Order');
SELECT * FROM registered WHERE name = 'Order';
-- instances go on without their registration
CALL durable.drain();
SELECT durable.raise_event('newest after 3', 'Go');
CALL durable.drain();
SELECT runtime_status, version, output FROM durable.status('newest after 3');
-- (which of several functions with similar names the hint suggests is open)
\set VERBOSITY terse
SELECT durable.restart('newest after 3');
\set VERBOSITY default

-- whose registration it is comes before the version: nobody with fewer rights gets in between
CREATE ROLE versions_user LOGIN;
CREATE ROLE versions_team;
GRANT versions_team TO versions_user;
SELECT durable.grant_usage('versions_user'), durable.grant_usage('versions_team');
GRANT USAGE ON SCHEMA app TO versions_user, versions_team;
SELECT durable.register_orchestration('Shared', 'ship_1(integer)', version => '1');
SET ROLE versions_team;
SELECT durable.register_orchestration('Shared', 'app.ship_3(integer)', version => '2');
SET ROLE versions_user;
SELECT durable.start('Shared', 1, 'shared', version => '2');
SELECT durable.start('Shared', 1, 'shared');
SELECT durable.unregister_orchestration('Shared', '1');
CALL durable.drain();
SELECT version, output FROM durable.status('shared');
RESET ROLE;

-- a child of a version that is registered while the parent waits; the decision is in the history
CREATE FUNCTION parent(n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.call_sub_orchestrator('Ship', 1, 'child of parent');
    RETURN durable.start_orchestration('Ship', 1, 'beside parent');
END $$;
SELECT durable.register_orchestration('Parent', 'parent(integer)', version => '0');
SELECT durable.start('Parent', 1, 'parent');
CALL durable.drain();
SELECT durable.register_orchestration('Ship', 'ship_1(integer)', version => '0');
SELECT durable.register_orchestration('Ship', 'ship_3(integer)', version => '4');
SELECT durable.raise_event('parent', 'Go');
CALL durable.drain();
SELECT instance_id, version, output FROM durable.instances WHERE instance_id IN ('parent', 'child of parent', 'beside parent') ORDER BY 1;

-- the call can ask for a version; while it does not exist, the instance is suspended
CREATE FUNCTION chooser(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    one durable.task := durable.schedule_sub_orchestrator('Ship', 1, version => '1');
    wrong text;
BEGIN
    PERFORM durable.start_orchestration('Ship', 1, 'chosen beside', version => '3');
    PERFORM durable.sleep('1 second');
    BEGIN
        PERFORM durable.call_sub_orchestrator('Ship', 1, version => '');
    EXCEPTION WHEN invalid_parameter_value THEN
        wrong := SQLERRM;
    END;
    RETURN jsonb_build_array(wrong, durable.result(one), durable.call_sub_orchestrator('Ship', 1, 'chosen child', version => '77'),
        durable.call_sub_orchestrator('Ship', 1, 'of parent'));
END $$;
SELECT durable.register_orchestration('Chooser', 'chooser(integer)', version => '0');
SELECT durable.start('Chooser', 1, 'chooser');
CALL durable.drain();
SELECT durable.advance_clock('1 second') IS NOT NULL;
CALL durable.drain();
SELECT runtime_status, suspend_reason FROM durable.status('chooser');
SELECT durable.register_orchestration('Ship', 'ship_3(integer)', version => '77');
SELECT durable.resume('chooser');
CALL durable.drain();
SELECT output FROM durable.status('chooser');
SELECT instance_id, version, output FROM durable.instances WHERE instance_id IN ('chosen beside', 'chosen child', 'of parent') ORDER BY 1;
SELECT count(*) FROM durable.verify_replay('Chooser');
-- a name that is a function's has no versions
CREATE FUNCTION beside() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.start_orchestration('ship_1', 1, version => '1'); END $$;
SELECT durable.start('beside', instance_id => 'beside');
CALL durable.drain();
SELECT runtime_status, suspend_reason FROM durable.status('beside');
SELECT durable.unregister_orchestration('Chooser'), durable.unregister_orchestration('Ship', '77');

-- retention is that of the newest version that has one
SELECT durable.register_orchestration('Ship', 'ship_1(integer)', version => '3', retention => '10 years');
SELECT durable.register_orchestration('Ship', 'ship_3(integer)', version => '5', retention => '0');
SELECT name, version, retention FROM durable.registrations WHERE name = 'Ship' ORDER BY version;

SELECT durable.unregister_orchestration('Ship'), durable.unregister_orchestration('Shared'), durable.unregister_orchestration('Parent');
DROP OWNED BY versions_user, versions_team;
DROP ROLE versions_user, versions_team;
