--
-- External events: buffered, in order, to the newest wait, never to one that was given up.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');

-- one that takes n events, one after the other
CREATE FUNCTION takes(n integer, name text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    got jsonb := '[]';
BEGIN
    FOR i IN 1..n LOOP
        got := got || jsonb_build_array(durable.wait_for_external_event(name));
    END LOOP;
    RETURN got;
END $$;

-- before the first turn, in the transaction of the start, and long after
BEGIN;
SELECT durable.start('takes', '[4, "E"]'::jsonb, 'buffered');
SELECT durable.raise_event('buffered', 'E', 1);
COMMIT;
SELECT durable.raise_event('buffered', 'E', 2);
CALL durable.drain();
SELECT waiting_on FROM run WHERE instance_id = 'buffered';
SELECT durable.raise_event('buffered', 'Another', 'x');
SELECT durable.raise_event('buffered', 'E', 3);
CALL durable.drain();
SELECT event, seq FROM durable.buffered_events;
SELECT durable.raise_event('buffered', 'E', 4);
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'buffered';

-- before an instance that is to start later: it does not start for that
SELECT durable.start('takes', '[2, "E"]'::jsonb, 'later', start_at => clock_timestamp() + interval '1 hour');
SELECT durable.raise_event('later', 'E', 1);
CALL durable.drain();
SELECT status, waiting_on LIKE 'start %' AS "waits for its start" FROM run WHERE instance_id = 'later';
SELECT event, seq FROM durable.buffered_events WHERE instance_id = 'later';
SELECT durable.raise_event('later', 'E', 2);
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'later';
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'later';

-- while it is suspended, in the order in which they came
SELECT durable.start('takes', '[5, "E"]'::jsonb, 'suspended');
CALL durable.drain();
SELECT durable.raise_event('suspended', 'E', 1), durable.suspend('suspended', 'a break'), durable.raise_event('suspended', 'E', 2);
CALL durable.drain();
SELECT durable.raise_event('suspended', 'E', 3);
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'suspended';
SELECT event, seq FROM durable.buffered_events WHERE instance_id = 'suspended' ORDER BY seq;
SELECT durable.raise_event('suspended', 'E', 4), durable.resume('suspended', 'go on'), durable.raise_event('suspended', 'E', 5);
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'suspended';
SELECT seq, event, task, payload FROM story('suspended');

-- a thousand, in order
SELECT durable.start('takes', '[1000, "E"]'::jsonb, 'thousand');
SELECT count(durable.raise_event('thousand', 'E', n)) FROM generate_series(1, 1000) n;
CALL durable.drain();
SELECT status, jsonb_array_length(output),
       (SELECT bool_and(value = to_jsonb(place)) FROM jsonb_array_elements(output) WITH ORDINALITY e (value, place)) AS "in order"
FROM run WHERE instance_id = 'thousand';

-- names: any case, any characters; each name has a queue of its own
CREATE FUNCTION names() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(
        durable.wait_for_external_event('CamelCase'),
        durable.wait_for_external_event('with space, ''quote'' and "quote"'),
        durable.wait_for_external_event('🐉'),
        durable.wait_for_external_event(repeat('x', 1024)),
        durable.wait_for_external_event('camelcase'));
END $$;
SELECT durable.start('names', NULL, 'names');
SELECT durable.raise_event('names', repeat('X', 1024), 4);
SELECT durable.raise_event('names', '🐉', 3);
SELECT durable.raise_event('names', 'CAMELCASE', 1);
SELECT durable.raise_event('names', 'WITH SPACE, ''QUOTE'' AND "QUOTE"', 2);
SELECT durable.raise_event('names', 'camelcasE', 5);
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'names';

-- data of any kind; none at all is NULL
SELECT durable.start('takes', '[6, "E"]'::jsonb, 'data');
SELECT durable.raise_event('data', 'E'), durable.raise_event('data', 'E', NULL), durable.raise_event('data', 'E', 'text'),
       durable.raise_event('data', 'E', 1.5), durable.raise_event('data', 'E', '{"a": [1, null]}'::jsonb), durable.raise_event('data', 'E', ARRAY['a', 'b']);
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'data';

-- several waits for one name: the newest gets the next event
CREATE FUNCTION newest() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a durable.task := durable.external_event('E');
    b durable.task := durable.external_event('e');
    c durable.task := durable.external_event('E');
BEGIN
    RETURN to_jsonb(durable.when_all(a, b, c)) || to_jsonb(durable.when_any(a, b, c));
END $$;
SELECT durable.start('newest', NULL, 'newest');
CALL durable.drain();
SELECT durable.raise_event('newest', 'E', 1);
CALL durable.drain();
SELECT kind, detail, count(*) FROM durable.waiting WHERE instance_id = 'newest' GROUP BY kind, detail ORDER BY detail;
SELECT durable.raise_event('newest', 'E', 2), durable.raise_event('newest', 'E', 3);
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'newest';
-- just the same when they had all come before the waits were opened
SELECT durable.start('newest', NULL, 'newest, buffered');
SELECT durable.raise_event('newest, buffered', 'E', 1), durable.raise_event('newest, buffered', 'E', 2), durable.raise_event('newest, buffered', 'E', 3);
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'newest, buffered';

-- timeouts: the event in time, the default, NULL; a wait that is over takes nothing
CREATE FUNCTION timed() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    got jsonb := '[]';
BEGIN
    got := got || jsonb_build_array(durable.wait_for_external_event('E', '1 hour', '"first default"'));
    PERFORM durable.call_activity('Effect', 'timed ' || got::text);
    got := got || jsonb_build_array(durable.wait_for_external_event('E', '1 hour', '"second default"'));
    PERFORM durable.call_activity('Effect', 'timed ' || got::text);
    got := got || jsonb_build_array(durable.wait_for_external_event('E', '1 hour'));
    PERFORM durable.call_activity('Effect', 'timed ' || got::text);
    RETURN got || jsonb_build_array(durable.wait_for_external_event('E'));
END $$;
SELECT durable.start('timed', NULL, 'timed');
CALL durable.drain();
SELECT durable.advance_clock('59 minutes') IS NOT NULL AS later;
SELECT durable.raise_event('timed', 'E', 1);
CALL durable.drain();
SELECT durable.advance_clock('61 minutes') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('61 minutes') IS NOT NULL AS later;
CALL durable.drain();
SELECT what FROM effects WHERE what LIKE 'timed%' ORDER BY n;
SELECT regexp_replace(waiting_on, '\d.*', '...') AS waiting_on FROM run WHERE instance_id = 'timed';
SELECT count(*) AS timers FROM durable.timer;
SELECT durable.raise_event('timed', 'E', 'last');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'timed';
SELECT seq, event, task, name, payload FROM story('timed') WHERE event ~ 'Timer|EventWait|EventRaised';

-- a timeout that has passed already: what is there counts
CREATE FUNCTION at_once() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(durable.wait_for_external_event('E', '0', '"nothing"'),
                             durable.wait_for_external_event('E', '-1 hour', '"nothing"'));
END $$;
SELECT durable.start('at_once', NULL, 'at_once');
SELECT durable.raise_event('at_once', 'E', 1);
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'at_once';

-- both come at the same time: who was first counts
CREATE FUNCTION close_run() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.wait_for_external_event('E', '1 hour', '"too late"') $$;
SELECT durable.start('close_run', NULL, 'event first'), durable.start('close_run', NULL, 'timer first');
CALL durable.drain();
SELECT durable.advance_clock('30 minutes') IS NOT NULL AS later;
SELECT durable.raise_event('event first', 'E', '"in time"'::jsonb);
SELECT durable.advance_clock('31 minutes') IS NOT NULL AS later;
SELECT durable.raise_event('timer first', 'E', '"in time"'::jsonb);
CALL durable.drain();
SELECT instance_id, output FROM run WHERE instance_id IN ('event first', 'timer first') ORDER BY 1;

-- given up: never takes an event, and nobody waits for it any more
CREATE FUNCTION gives_up() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a durable.task := durable.external_event('E');
    t durable.task := durable.create_timer(durable.now() + interval '1 hour');
    told text;
BEGIN
    IF durable.when_any(a, t) = t THEN
        PERFORM durable.cancel_timer(a);
        PERFORM durable.cancel_timer(a);             -- again: nothing
    END IF;
    BEGIN
        PERFORM durable.result(a);
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        told := SQLERRM;
    END;
    RETURN jsonb_build_array(durable.wait_for_external_event('E'), told);
END $$;
SELECT durable.start('gives_up', NULL, 'gives_up');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.raise_event('gives_up', 'E', 'for the second wait');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'gives_up';
SELECT seq, event, task, name, payload FROM story('gives_up');

-- one that lost a when_any and was not given up is still open, and takes the next
CREATE FUNCTION keeps() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    a durable.task := durable.external_event('E');
    t durable.task := durable.create_timer(durable.now() + interval '1 hour');
    first durable.task := durable.when_any(a, t);
BEGIN
    RETURN jsonb_build_array(first = t, durable.wait_for_external_event('E'), durable.result(a));
END $$;
SELECT durable.start('keeps', NULL, 'keeps');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.raise_event('keeps', 'E', 'newest');
SELECT durable.raise_event('keeps', 'E', 'older');
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'keeps';

-- raised by a transaction that rolls back, by a trigger, by an activity
CREATE FUNCTION raises(instance_id text, data jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.raise_event(instance_id, 'E', data);
    INSERT INTO app.effects (what) VALUES ('raised ' || data::text);
END $$;
CREATE FUNCTION calls_raises(instance_id text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT durable.call_activity('raises', jsonb_build_array(instance_id, 'by an activity')) $$;
CREATE FUNCTION raised_by_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.raise_event('collector', 'E', 'by a trigger: ' || NEW.what);
    RETURN NEW;
END $$;
CREATE TABLE orders (what text);
CREATE TRIGGER raise AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION raised_by_row();
SELECT durable.start('takes', '[4, "E"]'::jsonb, 'collector');
CALL durable.drain();
BEGIN;
SELECT durable.raise_event('collector', 'E', 'rolled back');
SAVEPOINT here;
SELECT durable.raise_event('collector', 'E', 'rolled back, too');
ROLLBACK;
BEGIN;
SAVEPOINT here;
SELECT durable.raise_event('collector', 'E', 'rolled back to the savepoint');
ROLLBACK TO here;
SELECT durable.raise_event('collector', 'E', 'committed');
COMMIT;
INSERT INTO orders VALUES ('one');
SELECT durable.start('calls_raises', 'collector', 'calls_raises');
CALL durable.drain();
INSERT INTO orders VALUES ('two');
CALL durable.drain();
SELECT output FROM run WHERE instance_id = 'collector';

-- sent by an orchestration: to another one, to itself, to one it has just started; nobody is told when there is none
CREATE FUNCTION sends() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.send_event('receiver', 'E', jsonb_build_object('from', durable.instance_id()));
    PERFORM durable.send_event(durable.instance_id(), 'E', 'to myself');
    PERFORM durable.start_orchestration('takes', '[2, "E"]'::jsonb, 'started');
    PERFORM durable.send_event('started', 'E', 1);
    PERFORM durable.send_event('started', 'E');
    PERFORM durable.send_event('nobody', 'E', 1);
    PERFORM durable.send_event('buffered', 'E', 1);
    RETURN durable.wait_for_external_event('E');
END $$;
SELECT durable.start('takes', '[1, "E"]'::jsonb, 'receiver');
SELECT durable.start('sends', NULL, 'sends');
CALL durable.drain();
SELECT instance_id, status, output FROM run WHERE instance_id IN ('receiver', 'sends', 'started') ORDER BY 1;
SELECT event, task, name, payload FROM story('sends');

-- nothing is left over
SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
SELECT instance_id, status FROM run WHERE status <> 'Completed';
