-- The workflows that are measured. Activities do next to nothing on purpose: what is left is the engine.
-- Run by bench/driver in each database it makes, as the role that owns the workflows.

CREATE FUNCTION bump(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN n + 1;
END $$;

CREATE TABLE booked (n int NOT NULL);
CREATE FUNCTION book(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booked VALUES (n);
    RETURN n + 1;
END $$;

CREATE FUNCTION one_activity(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('bump', n);
END $$;

CREATE FUNCTION five_activity(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..5 LOOP
        n := durable.call_activity('bump', n);
    END LOOP;
    RETURN n;
END $$;

CREATE FUNCTION insert_activity(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('book', n);
END $$;

-- The same activity in a transaction of its own, as slow and external ones are.
CREATE FUNCTION own_transaction(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('bump in a task', n);
END $$;
SELECT durable.register_activity('bump in a task', 'bump(int)', execution => 'task');

CREATE FUNCTION steps(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    sum int := 0;
BEGIN
    FOR i IN 1..n LOOP
        sum := durable.call_activity('bump', sum);
    END LOOP;
    RETURN sum;
END $$;

CREATE FUNCTION fan_out(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
    results jsonb[];
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.schedule_activity('bump', i);
    END LOOP;
    results := durable.when_all(VARIADIC tasks);
    RETURN cardinality(results);
END $$;

CREATE FUNCTION wait_for_event(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.wait_for_external_event('go');
END $$;

CREATE FUNCTION sleeper(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.sleep('30 days');
    RETURN n;
END $$;

-- Entities: a counter, orchestrations that call five of them, and one that moves a unit from one to another.
CREATE FUNCTION counter(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
DECLARE
    n int := coalesce(state::int, 0) + input::int;
BEGIN
    RETURN (to_jsonb(n), to_jsonb(n))::durable.entity_result;
END $$;
SELECT durable.register_entity('counter', 'counter(jsonb,text,jsonb)');

CREATE FUNCTION five_calls(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..5 LOOP
        PERFORM durable.call_entity('counter', (7 * n + i) % 10000 || '', 'add', 1);
    END LOOP;
    RETURN n;
END $$;

CREATE FUNCTION two_entity_section(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.lock_entities('@counter@' || 7 * n % 10000, '@counter@' || (13 * n + 1) % 10000);
    PERFORM durable.call_entity('counter', 7 * n % 10000 || '', 'add', -1);
    PERFORM durable.call_entity('counter', (13 * n + 1) % 10000 || '', 'add', 1);
    PERFORM durable.unlock_entities();
    RETURN n;
END $$;

-- What the driver has started in the run at hand.
CREATE TABLE started (n int NOT NULL, id text NOT NULL);

-- The physical limits. "plain" takes one row a commit. "comparable" is what a bulk insert has to beat: a row with the
-- columns that an instance has when it is started, and an index on its number and one on its id.
CREATE TABLE plain (n int NOT NULL);
CREATE SEQUENCE comparable_key_seq;
CREATE TABLE comparable (
    key         bigint PRIMARY KEY DEFAULT nextval('comparable_key_seq'),
    instance_id text COLLATE "C" NOT NULL UNIQUE,
    owner       oid NOT NULL,
    status      "char" NOT NULL,
    name        text NOT NULL,
    handler     text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    input       jsonb
);
