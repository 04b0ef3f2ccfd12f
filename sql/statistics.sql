--
-- durable.stat_orchestrations, durable.stat_activities: what is counted, who sees and resets it.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE TABLE app.tries (n integer);
CREATE FUNCTION app.good(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN n; END $$;
CREATE FUNCTION app.bad(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE '% is bad', n; END $$;
CREATE FUNCTION app.second(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF durable.attempt() < 2 THEN
        RAISE 'first try';
    END IF;
    RETURN n;
END $$;
CREATE FUNCTION app.flow(what text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF what = 'wait' THEN
        PERFORM durable.wait_for_external_event('Go');
    END IF;
    RETURN durable.call_activity('app.' || what, 1, retry => CASE what WHEN 'second' THEN durable.retry(max_attempts => 3, first_interval => '1 ms') END);
END $$;
CREATE VIEW app.orchestrations AS
SELECT name, owner = current_user::regrole AS mine, ended, failed, terminated, turns > 0 AS turns, compute_time > 0 AS compute, total_time >= max_time AS total,
       mean_time <= max_time AS mean, last_error, last_failed_at IS NOT NULL AS failed_at FROM durable.stat_orchestrations ORDER BY name;
CREATE VIEW app.activities AS
SELECT name, owner = current_user::regrole AS mine, calls, failures, retries, total_time >= max_time AS total, mean_time <= max_time AS mean,
       last_error, last_failed_at IS NOT NULL AS failed_at FROM durable.stat_activities ORDER BY name;
SELECT durable.stat_reset() >= 0;

SELECT count(durable.start('flow', 'good')) FROM generate_series(1, 70);
SELECT count(durable.start('flow', w)) FROM unnest('{bad,second,wait}'::text[]) w;
SELECT durable.start('flow', 'wait', 'terminated');
CALL durable.drain();
SELECT durable.terminate('terminated', 'enough');
CALL durable.drain();
SELECT durable.advance_clock('1 h') IS NOT NULL;
CALL durable.drain();
TABLE app.orchestrations;
TABLE app.activities;

-- what a session rolls back was not started, and is not counted
BEGIN;
SELECT durable.start('flow', 'good') IS NOT NULL;
ROLLBACK;
CALL durable.drain();
SELECT ended FROM app.orchestrations;

-- long names and messages are cut off, at the end of a character
CREATE FUNCTION app.long(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE '%', 'x' || repeat('ä', 1000); END $$;
SELECT durable.start('flow', 'long') IS NOT NULL;
CALL durable.drain();
SELECT name, calls, last_error = 'x' || repeat('ä', 99) AS cut FROM app.activities WHERE name = 'app.long';

-- others: not theirs, and messages not for monitoring
CREATE ROLE regress_stat_other LOGIN;
CREATE ROLE regress_stat_watch IN ROLE pg_monitor;
SELECT durable.grant_usage('regress_stat_other');
SET ROLE regress_stat_other;
SELECT count(*) FROM durable.stat_orchestrations;
SELECT count(*) FROM durable.stat_activities;
SELECT durable.stat_reset();
SET ROLE regress_stat_watch;
SELECT name, calls, failures, last_error FROM durable.stat_activities ORDER BY 1;
SELECT durable.stat_reset();
RESET ROLE;
SELECT count(*) FROM durable.stat_activities;
SELECT durable.stat_reset();
SELECT count(*) FROM durable.stat_activities;
SELECT count(*) FROM durable.stat_orchestrations;
SELECT durable.revoke_usage('regress_stat_other');
DROP ROLE regress_stat_other, regress_stat_watch;
