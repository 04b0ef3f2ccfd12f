-- durable.compensate_with: steps that are undone in reverse order.
\set VERBOSITY default
CREATE SCHEMA saga;
SET search_path TO saga;
CREATE TABLE saga.journal (n int GENERATED ALWAYS AS IDENTITY, entry text);
CREATE TABLE saga.broken (step text PRIMARY KEY);
CREATE FUNCTION saga.note(entry text) RETURNS void LANGUAGE sql AS $$ INSERT INTO saga.journal (entry) VALUES (entry) $$;
CREATE FUNCTION saga.undo(step text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM saga.broken b WHERE b.step = undo.step) THEN
        RAISE EXCEPTION 'cannot undo % now', step;
    END IF;
    INSERT INTO saga.journal (entry) VALUES ('undo ' || step);
END $$;
CREATE FUNCTION saga.steps(n int, what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM durable.compensate_with('undo', what || i, durable.retry(3, '1 s'));
        PERFORM durable.call_activity('note', what || i);
    END LOOP;
    IF what = 'fails' THEN
        RAISE EXCEPTION 'no more';
    ELSIF what = 'waits' OR what = 'child' THEN
        PERFORM durable.wait_for_external_event('Go');
    ELSIF what = 'parent' THEN
        PERFORM durable.call_sub_orchestrator('steps', '[2, "child"]'::jsonb, 'child');
    END IF;
    RETURN 'done';
END $$;
CREATE FUNCTION saga.again(round int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.compensate_with('undo', 'round ' || round);
    IF round < 3 THEN
        PERFORM durable.continue_as_new(round + 1);
    END IF;
    RAISE EXCEPTION 'no more';
END $$;
CREATE VIEW saga.seen AS SELECT string_agg(entry, ', ' ORDER BY n) AS entries FROM saga.journal;
CREATE FUNCTION saga.undoing(id text) RETURNS text LANGUAGE sql AS $$ SELECT failure ->> 'compensation' FROM durable.status(id) $$;

-- one that completes is not undone
SELECT durable.start('saga.steps', '[2, "completes"]'::jsonb, 'completes');
CALL durable.drain();
SELECT runtime_status, output FROM durable.status('completes');
TABLE saga.seen;
TRUNCATE saga.journal;

-- one that fails
SELECT durable.start('saga.steps', '[3, "fails"]'::jsonb, 'fails');
CALL durable.drain();
SELECT runtime_status, failure ->> 'message' AS message, saga.undoing('fails') IS NOT NULL AS is_undone FROM durable.status('fails');
TABLE saga.seen;
SELECT runtime_status, output, custom_status FROM durable.status(saga.undoing('fails'));
SELECT event_type, name FROM durable.history('fails') WHERE event_type LIKE 'Compensation%' AND name NOT LIKE 'fails:undo-%';
SELECT kind, name, input, state FROM durable.calls('fails') WHERE kind = 'compensation' AND input = '"fails1"';
DO $$
BEGIN
    PERFORM durable.rewind('fails');
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RAISE NOTICE '% %', SQLSTATE, SQLERRM;
END $$;
SELECT durable.rewind_all('saga.steps');
TRUNCATE saga.journal;

-- one that is terminated
SELECT durable.start('saga.steps', '[2, "waits"]'::jsonb, 'waits');
CALL durable.drain();
SELECT durable.terminate('waits', 'not wanted');
CALL durable.drain();
SELECT runtime_status, failure ->> 'reason' AS reason, saga.undoing('waits') IS NOT NULL AS is_undone FROM durable.status('waits');
TABLE saga.seen;
TRUNCATE saga.journal;

-- a parent and its child, which ends with it: both are undone
SELECT durable.start('saga.steps', '[1, "parent"]'::jsonb, 'parent');
CALL durable.drain();
SELECT durable.terminate('parent', 'not wanted');
CALL durable.drain();
SELECT instance_id, runtime_status FROM durable.instances WHERE instance_id IN ('parent', 'child') ORDER BY 1;
SELECT entry FROM saga.journal WHERE entry LIKE 'undo%' ORDER BY entry;
SELECT array_agg(entry ORDER BY n) FROM saga.journal WHERE entry LIKE 'undo child%';
TRUNCATE saga.journal;

-- compensations survive continue_as_new
SELECT durable.start('saga.again', 1, 'again');
CALL durable.drain();
TABLE saga.seen;
TRUNCATE saga.journal;

-- one that cannot be undone: it is tried again, then the instance that undoes has failed, and can be rewound
INSERT INTO saga.broken VALUES ('fails2');
SELECT durable.start('saga.steps', '[3, "fails"]'::jsonb, 'stuck');
CALL durable.drain();
SELECT runtime_status, custom_status FROM durable.status(saga.undoing('stuck'));
SELECT attempt, last_error FROM durable.waiting WHERE instance_id = saga.undoing('stuck');
SELECT durable.advance_clock('10 s') IS NOT NULL;
CALL durable.drain();
SELECT durable.advance_clock('10 s') IS NOT NULL;
CALL durable.drain();
SELECT runtime_status, failure ->> 'message' AS message, custom_status FROM durable.status(saga.undoing('stuck'));
SELECT ok, regexp_replace(detail, 'undo-\w+', 'undo-KEY') AS detail, regexp_replace(hint, 'undo-\w+', 'undo-KEY') AS hint FROM durable.doctor() WHERE check_name = 'compensations';
TRUNCATE saga.broken;
SELECT durable.rewind(saga.undoing('stuck'));
CALL durable.drain();
SELECT runtime_status, output FROM durable.status(saga.undoing('stuck'));
TABLE saga.seen;

-- what is refused
CREATE FUNCTION saga.bad(name text, retry jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM durable.compensate_with(name, 1, retry);
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
    END;
    RETURN 'accepted';
END $$;
SELECT durable.start('saga.bad', jsonb_build_array(n, r), 'bad' || i)
FROM (VALUES (1, 'missing', NULL::jsonb), (2, '', NULL), (3, NULL, NULL), (4, 'undo', '{"max_attempts": "x"}')) v (i, n, r);
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE instance_id LIKE 'bad%' ORDER BY 1;
SELECT durable.compensate_with('undo');
