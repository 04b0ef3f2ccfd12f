-- Checks of durable.doctor that concern instances: failures, and sub-orchestrations whose parent has ended.
\pset null (null)
CREATE VIEW told AS SELECT check_name, ok, detail, hint FROM durable.doctor() WHERE check_name IN ('failed', 'orphans');
CREATE FUNCTION refused(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the customer has no credit';
END $$;
CREATE FUNCTION broken(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN no_such_function();
END $$;

-- What an orchestration refuses is shown and is no fault.
SELECT count(durable.start('refused')) FROM generate_series(1, 2);
CALL durable.drain();
SELECT * FROM told WHERE check_name = 'failed';

-- A name that does not exist is one, for an hour.
SELECT durable.start('broken', instance_id => 'broken');
CALL durable.drain();
SELECT * FROM told WHERE check_name = 'failed';
CREATE FUNCTION no_such_function() RETURNS text LANGUAGE sql AS $$ SELECT 'there now' $$;
SELECT durable.rewind('broken');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('broken');
SELECT ok FROM told WHERE check_name = 'failed';

-- Sub-orchestrations that go on when their parent has ended alone.
CREATE FUNCTION child(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.wait_for_external_event('go') #>> '{}';
END $$;
CREATE FUNCTION parent(close_policy text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_sub_orchestrator('child', instance_id => 'child of ' || durable.instance_id(), close_policy => close_policy) #>> '{}';
END $$;
SELECT durable.start('parent', 'terminate', instance_id => 'one'), durable.start('parent', 'abandon', instance_id => 'two'),
	durable.start('parent', 'terminate', instance_id => 'three'), durable.start('parent', 'terminate', instance_id => 'four');
CALL durable.drain();
SELECT durable.terminate('one', recursive => false), durable.terminate('two'), durable.terminate('three', recursive => true);
CALL durable.drain();
SELECT * FROM told WHERE check_name = 'orphans';
SELECT durable.terminate('four', recursive => false);
CALL durable.drain();
SELECT durable.purge('one');
SELECT * FROM told WHERE check_name = 'orphans';
SELECT durable.terminate(instance_id) FROM durable.instances WHERE instance_id IN ('child of one', 'child of four');
SELECT detail FROM told WHERE check_name = 'orphans';
