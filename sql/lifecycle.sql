--
-- Suspend, resume, terminate: what becomes of the instance, and of what it has under way.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');
CREATE FUNCTION steps(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := '[]';
BEGIN
    FOR i IN 1..n LOOP
        told := told || jsonb_build_array(durable.wait_for_external_event('Step'));
        PERFORM durable.call_activity('Effect', durable.instance_id() || ' ' || i);
    END LOOP;
    RETURN told;
END $$;
CREATE VIEW states AS
    SELECT instance_id, runtime_status AS status, waiting_on, turns, started, output, failure
    FROM (SELECT i.*, t.started_at IS NOT NULL AS started FROM durable.instances i JOIN durable.instance t USING (instance_id)) s ORDER BY instance_id COLLATE "C";

-- suspended before its first turn: it does not begin until it is resumed
SELECT durable.start('steps', 1, 'early');
SELECT durable.suspend('early', 'not yet');
CALL durable.drain();
SELECT instance_id, status, waiting_on, turns FROM states;
SELECT kind, detail FROM durable.waiting;
SELECT durable.raise_event('early', 'Step', 1);
CALL durable.drain();
SELECT durable.resume('early');
CALL durable.drain();
SELECT status, output FROM states WHERE instance_id = 'early';
SELECT seq, event, payload FROM story('early');

-- suspended twice, resumed twice, resumed when it is not suspended: once is enough
SELECT durable.start('steps', 1, 'twice');
CALL durable.drain();
SELECT durable.resume('twice', 'nothing to resume');
SELECT durable.suspend('twice', 'first'), durable.suspend('twice', 'second');
CALL durable.drain();
SELECT detail FROM durable.waiting WHERE instance_id = 'twice' AND kind = 'resume';
SELECT durable.suspend('twice', 'third');
CALL durable.drain();
SELECT durable.resume('twice', 'first'), durable.resume('twice', 'second');
CALL durable.drain();
SELECT status, waiting_on FROM states WHERE instance_id = 'twice';
SELECT seq, event, payload FROM story('twice');
-- all in one go: what counts is the order
SELECT durable.suspend('twice'), durable.raise_event('twice', 'Step', 1), durable.resume('twice');
CALL durable.drain();
SELECT status, output FROM states WHERE instance_id = 'twice';

-- an activity that is to be tried again when the instance is suspended is not; the resumption lets it begin
CREATE FUNCTION queued() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    r jsonb := durable.call_activity('flaky', '[2]'::jsonb, retry => durable.retry(first_interval => '1 hour'));
BEGIN
    RETURN r || durable.call_activity('Effect', 'after the flaky one');
END $$;
SELECT durable.start('queued', NULL, 'queued');
CALL durable.drain();
SELECT durable.suspend('queued');
CALL durable.drain();
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT status FROM states WHERE instance_id = 'queued';
SELECT seq, event, payload FROM story('queued');
SELECT what FROM effects WHERE what ~ 'attempt|flaky' ORDER BY n;
SELECT durable.resume('queued');
CALL durable.drain();
SELECT status, output FROM states WHERE instance_id = 'queued';
SELECT what FROM effects WHERE what ~ 'attempt|flaky' ORDER BY n;

-- terminated: before the first turn, waiting, suspended, with all kinds of things under way
CREATE FUNCTION everything() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.create_timer(durable.now() + interval '1 hour');
    PERFORM durable.external_event('Step');
    PERFORM durable.schedule_activity('fail', '["P0001", "no"]'::jsonb, retry => durable.retry(first_interval => '1 hour'));
    PERFORM durable.schedule_sub_orchestrator('steps', 1, durable.instance_id() || ', child');
    RETURN durable.wait_for_external_event('Never', '2 hours');
END $$;
SELECT durable.start('everything', NULL, 'waiting'), durable.start('everything', NULL, 'suspended');
CALL durable.drain();
SELECT durable.suspend('suspended');
SELECT durable.start('everything', NULL, 'at once'), durable.start('everything', NULL, 'scheduled', start_at => clock_timestamp() + interval '2 hours');
SELECT durable.terminate('at once', 'before it began');
CALL durable.drain();
SELECT durable.terminate(id, 'enough') FROM unnest('{waiting,suspended,scheduled}'::text[]) id;
CALL durable.drain();
SELECT instance_id, status, waiting_on, started, failure FROM states WHERE instance_id ~ 'waiting|suspended|at once|scheduled';
SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
SELECT durable.advance_clock('3 hours') IS NOT NULL AS later;
CALL durable.drain();
SELECT count(*) FROM states WHERE instance_id ~ 'waiting|suspended|at once|scheduled' AND status <> 'Terminated';
SELECT seq, event, payload FROM story('at once');
SELECT seq, event, task, name, payload FROM story('suspended');
-- nothing can be done with what is finished
SELECT durable.terminate('waiting');
SELECT durable.suspend('waiting');
SELECT durable.resume('waiting');
SELECT durable.raise_event('waiting', 'Step');

-- several messages in one batch: an event that would have ended it, and an end by force
SELECT durable.start('steps', 1, 'event first'), durable.start('steps', 1, 'terminate first'), durable.start('steps', 1, 'thrice');
CALL durable.drain();
SELECT durable.raise_event('event first', 'Step', 1), durable.terminate('event first', 'in the same batch');
SELECT durable.terminate('terminate first', 'in the same batch'), durable.raise_event('terminate first', 'Step', 1);
SELECT durable.terminate('thrice', 'one'), durable.terminate('thrice', 'two'), durable.terminate('thrice', 'three');
CALL durable.drain();
SELECT instance_id, status, output, failure FROM states WHERE instance_id IN ('event first', 'terminate first', 'thrice');
SELECT count(*) FROM effects WHERE what LIKE '%first%' AND what NOT LIKE '%flaky%';

-- while one is suspended, the others go on
SELECT durable.start('steps', 3, 'one of three'), durable.start('steps', 3, 'two of three'), durable.start('steps', 3, 'three of three');
CALL durable.drain();
SELECT durable.suspend('two of three');
SELECT durable.raise_event(id || ' of three', 'Step', n) FROM unnest('{one,two,three}'::text[]) id, generate_series(1, 3) n;
CALL durable.drain();
SELECT instance_id, status, output FROM states WHERE instance_id LIKE '%of three';
SELECT durable.resume('two of three');
CALL durable.drain();
SELECT instance_id, status, output FROM states WHERE instance_id LIKE '%of three';

-- a finished one is purged, and its id can be used again
SELECT durable.purge('one of three');
SELECT durable.start('steps', 1, 'one of three');
SELECT durable.raise_event('one of three', 'Step', 'again');
CALL durable.drain();
SELECT status, output FROM states WHERE instance_id = 'one of three';
SELECT count(*) AS "histories of nobody" FROM durable.history h WHERE NOT EXISTS (SELECT FROM durable.instance i WHERE i.key = h.key);

-- the whole engine is paused: nothing runs, everything is kept
SELECT durable.start('steps', 1, 'paused');
SELECT durable.pause();
CALL durable.drain();
SELECT durable.raise_event('paused', 'Step', 1);
CALL durable.drain();
SELECT status FROM states WHERE instance_id = 'paused';
SELECT durable.unpause();
CALL durable.drain();
SELECT status, output FROM states WHERE instance_id = 'paused';

SELECT (SELECT count(*) FROM durable.inbox) AS inbox, (SELECT count(*) FROM durable.timer) AS timer, (SELECT count(*) FROM durable.task_queue) AS tasks;
