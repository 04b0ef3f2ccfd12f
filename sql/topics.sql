--
-- durable.publish and its subscribers, durable.start_with_event, durable.wait_any.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.listen(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    first jsonb;
BEGIN
    PERFORM durable.subscribe('Prices');
    first := durable.wait_for_external_event('prices');
    PERFORM durable.unsubscribe('PRICES');
    RETURN jsonb_build_array(n, first, durable.wait_for_external_event('prices', '1 hour', '"nothing"'));
END $$;
-- counts events, ten to an execution
CREATE FUNCTION app.count(seen integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
BEGIN
    IF seen = 0 THEN
        PERFORM durable.subscribe('ticks');
    END IF;
    FOR i IN 1 .. 10 LOOP
        e := durable.wait_for_external_event('ticks');
        IF e = '"stop"' THEN
            RETURN seen;
        END IF;
        seen := seen + 1;
        IF e <> to_jsonb(seen) THEN
            RAISE 'event % where % was expected', e, seen;
        END IF;
    END LOOP;
    PERFORM durable.continue_as_new(seen);
END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN jsonb_build_array(input, durable.wait_for_external_event('Go')); END $$;
CREATE FUNCTION app.patient_twice(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN jsonb_build_array(durable.wait_for_external_event('Go'), durable.wait_for_external_event('Go')); END $$;

-- every subscriber, and only while it is one
SELECT durable.publish('prices', 0);
SELECT count(durable.start('listen', n, 'l' || n)) FROM generate_series(1, 3) n;
CALL durable.drain();
SELECT durable.publish('pRices', 1);
CALL durable.drain();
SELECT durable.publish('prices', 2);
SELECT count(durable.advance_clock('2 hours'));
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE instance_id LIKE 'l%' ORDER BY 1;

-- 10,000 events, none lost and none twice, over continue_as_new
SELECT durable.start('count', 0, 'counter');
CALL durable.drain();
SELECT sum(durable.publish('ticks', n)) FROM generate_series(1, 10000) n;
SELECT durable.publish('ticks', 'stop'::text);
CALL durable.drain('10 min');
SELECT runtime_status, output, execution, failure FROM durable.status('counter');

-- subscriptions of what has ended go
SELECT count(*) FROM durable.subscription;
SELECT durable.publish('ticks', 1);
SELECT count(*) FROM durable.subscription;

-- from outside, and rolled back
SELECT durable.start('patient', 1, 'p');
CALL durable.drain();
SELECT durable.subscribe_instance('p', 'go');
SELECT durable.subscribe_instance('p', 'GO');
BEGIN;
SELECT durable.publish('go', 1);
ROLLBACK;
CALL durable.drain();
SELECT runtime_status FROM durable.status('p');
SELECT durable.unsubscribe_instance('p', 'Go');
SELECT durable.publish('go', 1);
SELECT durable.subscribe_instance('p', 'go');

-- as raise_event: only instances of roles whose privileges one has
CREATE ROLE regress_topics_other LOGIN;
SELECT durable.grant_usage('regress_topics_other');
SET ROLE regress_topics_other;
SELECT durable.publish('go', 'from another'::text);
SELECT durable.subscribe_instance('p', 'x');
SELECT durable.start_with_event('app.patient', 'p', 'Go');
RESET ROLE;
SELECT durable.revoke_usage('regress_topics_other');
DROP ROLE regress_topics_other;
SELECT durable.publish('go', 'from its owner'::text);
CALL durable.drain();
SELECT output FROM durable.status('p');

-- start_with_event: starts it once, and sends the event each time
SELECT durable.start_with_event('patient_twice', 's', 'Go', 1, 'input'::text, tags => '{"a": 1}');
SELECT durable.start_with_event('patient_twice', 's', 'Go', 2, 'other input'::text);
CALL durable.drain();
SELECT input, output, tags FROM durable.status('s');
SELECT durable.start_with_event('patient_twice', 's', 'Go', 3);
SELECT durable.start_with_event('patient_twice', 's', 'Go', 3, on_finished => 'replace');
SELECT durable.start_with_event('patient_twice', 's', 'Go', 4, on_finished => 'replace');
CALL durable.drain();
SELECT input, output FROM durable.status('s');

-- wait_any
SELECT durable.start('patient', 2, 'q');
CALL durable.drain();
SELECT instance_id, output FROM durable.wait_any('{q,s,p}');
SELECT instance_id, output FROM durable.wait_any('{q}', '10 ms');
SELECT instance_id, output FROM durable.wait_any('{q}', '-1 s');
SELECT durable.wait_any('{q}', '0') IS NULL AS is_null;

-- refused
SELECT durable.wait_any(NULL);
SELECT durable.wait_any('{}');
SELECT durable.wait_any('{q,NULL}');
SELECT durable.wait_any('{q,nobody}');
SELECT durable.wait_any(array_agg('q'::text)) FROM generate_series(1, 101);
BEGIN;
SELECT durable.start('patient', 2, 'r');
SELECT durable.wait_any('{q,r}');
ROLLBACK;
SELECT durable.publish(NULL);
SELECT durable.publish('');
SELECT durable.publish(repeat('x', 2000));
SET durable.max_payload = 1;
SELECT durable.publish('go', repeat('x', 2000));
SELECT durable.start_with_event('patient', 'r', 'Go', repeat('x', 2000));
RESET durable.max_payload;
SELECT durable.subscribe('outside');
SELECT durable.subscribe_instance('nobody', 'x');
SELECT durable.subscribe_instance('p', 'x');
SELECT durable.subscribe_instance('q', NULL);
SELECT durable.subscribe_instance(NULL, 'x');
SELECT durable.unsubscribe_instance('nobody', 'x');
SELECT durable.start_with_event('nothing', 'r', 'Go');
SELECT durable.start_with_event('patient', NULL, 'Go');
SELECT durable.start_with_event('patient', '', 'Go');
SELECT durable.start_with_event('patient', 'r', NULL);
SELECT durable.start_with_event('patient', 'r', 'Go', tags => '[]');
SELECT durable.start_with_event('patient', 'r', 'Go', on_finished => 'x');
SELECT durable.start_with_event('patient', 'r', 'Go', on_finished => NULL);
SELECT durable.status('r');
