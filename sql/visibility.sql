--
-- What is seen of attempts that failed, of events that came too late, of labels and reasons.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- attempts of activities: what runs knows its own, and readers see the next one
CREATE FUNCTION third_time(must integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF durable.attempt() < must THEN
        RAISE 'attempt % is not enough', durable.attempt();
    END IF;
    RETURN durable.attempt();
END $$;
SELECT durable.register_activity('inline', 'third_time(integer)', execution => 'inline');
SELECT durable.register_activity('task', 'third_time(integer)', execution => 'task');
CREATE FUNCTION calls(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity(name, 3, retry => durable.retry(first_interval => '1 hour', backoff => 1));
END $$;
CREATE VIEW tries AS
SELECT instance_id, kind, detail, task, attempt, last_error, next_try - durable.clock() BETWEEN '50 minutes' AND '1 hour' AS in_an_hour
FROM durable.waiting;
CREATE VIEW waits_on AS
SELECT instance_id, runtime_status, regexp_replace(waiting_on, '20\d\d-[^,)]*', 'TIME', 'g') AS waiting_on FROM durable.instances;
SELECT durable.start('calls', 'inline'::text, 'inline'), durable.start('calls', 'task'::text, 'task');
CALL durable.drain();
SELECT * FROM tries ORDER BY 1;
SELECT * FROM waits_on ORDER BY 1;
SELECT seq, event_type, task, name, CASE WHEN seq IS NULL THEN payload - 'context' ELSE payload END AS payload, detail - 'next_try' AS detail FROM durable.history('task') ORDER BY seq;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT * FROM tries ORDER BY 1;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances ORDER BY 1;
-- the history says how many attempts it took
SELECT seq, event_type, payload, detail FROM durable.history('inline') ORDER BY seq;
-- what is no activity and no orchestration has no attempt
SELECT durable.attempt();

-- attempts of sub-orchestrations
CREATE FUNCTION child(must integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF durable.attempt() < must THEN
        RAISE 'child % is not enough', durable.attempt();
    END IF;
    PERFORM durable.sleep('1 second');
    RETURN durable.attempt();
END $$;
CREATE FUNCTION parent() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_sub_orchestrator('child', 2, retry => durable.retry(first_interval => '1 hour'));
END $$;
SELECT durable.start('parent', NULL, 'parent');
CALL durable.drain();
SELECT * FROM tries WHERE instance_id = 'parent';
SELECT * FROM waits_on WHERE instance_id = 'parent';
SELECT event_type, task, name, payload - 'context' AS payload, detail ->> 'next_attempt' AS next FROM durable.history('parent') WHERE seq IS NULL;
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 second') IS NOT NULL AS later;
CALL durable.drain();
SELECT runtime_status, output FROM durable.instances WHERE instance_id = 'parent';
SELECT event_type, payload, detail FROM durable.history('parent') WHERE event_type = 'SubOrchestrationInstanceCompleted';

-- members of pg_monitor see attempts, not messages
CREATE ROLE regress_watcher;
GRANT pg_monitor TO regress_watcher;
SELECT durable.grant_usage('regress_watcher');
GRANT USAGE ON SCHEMA app TO regress_watcher;
GRANT SELECT ON tries TO regress_watcher;
SELECT durable.start('calls', 'task'::text, 'watched');
CALL durable.drain();
SET ROLE regress_watcher;
SELECT attempt, last_error FROM durable.waiting WHERE instance_id = 'watched';
SELECT regexp_replace(waiting_on, '20\d\d-[^,)]*', 'TIME', 'g') AS waiting_on FROM durable.instances WHERE instance_id = 'watched';
RESET ROLE;

-- events that come when their instance has ended
SELECT durable.start('twice', 1, 'ends');
SELECT durable.raise_event('ends', 'too late', 1);
CALL durable.drain();
SELECT runtime_status, dropped_events FROM durable.instances WHERE instance_id = 'ends';
CREATE FUNCTION waits() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('go'); END $$;
SELECT durable.start('waits', NULL, 'terminated');
CALL durable.drain();
SELECT durable.terminate('terminated'), durable.raise_event('terminated', 'too late', 2), durable.raise_event('terminated', 'go', 3);
CALL durable.drain();
SELECT runtime_status, dropped_events FROM durable.instances WHERE instance_id = 'terminated';
SELECT seq, event_type, name, payload FROM durable.history('terminated') ORDER BY seq;
-- accepted while it was running, committed when it had ended: as if the session had been slow
INSERT INTO durable.inbox (id, owner, key, kind, name, payload, sent_at)
SELECT nextval('durable.inbox_id_seq'), owner, key, 'e', 'very late', '4', now() FROM durable.instance WHERE instance_id = 'terminated';
CALL durable.drain();
SELECT dropped_events FROM durable.status('terminated');
SELECT seq, event_type, name, payload FROM durable.history('terminated') WHERE seq > 2 ORDER BY seq;
SELECT durable.raise_event('terminated', 'too late');

-- timers have labels; another label is no mismatch
CREATE FUNCTION naps(label text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.sleep('1 hour', label || durable.is_replaying());
    PERFORM durable.result(durable.create_timer(durable.now() + interval '1 hour', label => 'until tomorrow'));
    RETURN 'rested';
END $$;
SELECT durable.start('naps', 'night'::text, 'sleeper');
CALL durable.drain();
SELECT kind, detail, task, line FROM durable.waiting WHERE instance_id = 'sleeper';
SELECT * FROM waits_on WHERE instance_id = 'sleeper';
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT kind, detail, task, line FROM durable.waiting WHERE instance_id = 'sleeper';

-- the reason of a suspension
SELECT durable.suspend('sleeper', 'inventory');
CALL durable.drain();
SELECT runtime_status, suspend_reason FROM durable.status('sleeper');
SELECT durable.resume('sleeper');
SELECT durable.advance_clock('1 hour') IS NOT NULL AS later;
CALL durable.drain();
SELECT runtime_status, suspend_reason, output FROM durable.status('sleeper');
DROP OWNED BY regress_watcher;
DROP ROLE regress_watcher;
