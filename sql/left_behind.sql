-- What an activity, or an orchestration, changes for the rest of a transaction does not reach the activities that run in the
-- same transaction after it.

CREATE TABLE numbers (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION at_once() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET CONSTRAINTS ALL IMMEDIATE;
END $$;
-- For a moment there are two of them.
CREATE FUNCTION twice() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO numbers VALUES (1), (1);
	DELETE FROM numbers;
	RETURN 'checked at the end';
END $$;
CREATE FUNCTION tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT coalesce(nullif(current_setting('app.tenant', true), ''), 'nobody') $$;
SELECT durable.register_activity(f, f::regprocedure, execution => 'inline') FROM unnest('{at_once(),twice(),tenant()}'::text[]) f;

-- In one instance, in two of one batch, and when it goes straight through.
CREATE FUNCTION pair(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('at_once()');
	RETURN durable.call_activity('twice()') #>> '{}';
END $$;
CREATE FUNCTION first(input jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('at_once()');
END $$;
CREATE FUNCTION second(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('twice()') #>> '{}';
END $$;
CREATE FUNCTION itself(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET CONSTRAINTS ALL IMMEDIATE;
	RETURN durable.call_activity('twice()') #>> '{}';
END $$;
SELECT count(durable.start(CASE n % 2 WHEN 0 THEN 'first' ELSE 'second' END, instance_id => 'batch ' || n)) FROM generate_series(0, 9) n;
CALL durable.drain();
SELECT count(durable.start('pair', instance_id => 'pair ' || n)), count(durable.start('itself', instance_id => 'itself ' || n)) FROM generate_series(1, 10) n;
CALL durable.drain();
SELECT name, runtime_status, output, failure ->> 'message' AS failure, count(*) FROM durable.instances GROUP BY 1, 2, 3, 4 ORDER BY 1;

-- Settings, in all the ways there are.
CREATE FUNCTION sets(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL app.tenant = 'set local';
	RETURN durable.call_activity('tenant()') #>> '{}';
END $$;
CREATE FUNCTION sets_config(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	was text := set_config('app.tenant', 'set_config', true);
BEGIN
	RETURN durable.call_activity('tenant()') #>> '{}';
END $$;
CREATE FUNCTION performs_config(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('app.tenant', 'set_config', false);
	RETURN durable.call_activity('tenant()') #>> '{}';
END $$;
SELECT count(durable.start(f, instance_id => f || n)) FROM generate_series(1, 10) n, unnest('{sets,sets_config,performs_config}'::text[]) f;
CALL durable.drain();
SELECT name, runtime_status, output, failure ->> 'message' AS failure, count(*) FROM durable.instances WHERE name ~ 'sets|config' GROUP BY 1, 2, 3, 4 ORDER BY 1;
SELECT current_setting('app.tenant', true) = '' AS nothing_left;
