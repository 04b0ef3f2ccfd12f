-- durable.set_quota: unfinished instances of a role, and starts in a time.
CREATE ROLE regress_quota LOGIN;
SELECT durable.grant_usage('regress_quota');
GRANT CREATE ON SCHEMA public TO regress_quota;
SET ROLE regress_quota;
CREATE FUNCTION waits(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.wait_for_external_event('go') #>> '{}';
END $$;
CREATE FUNCTION parent(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_sub_orchestrator('waits', instance_id => 'child') #>> '{}';
END $$;
SELECT durable.start('waits', instance_id => 'old');
SELECT durable.set_quota('regress_quota', 1000000);
RESET ROLE;

-- What there was before counts, too.
SELECT durable.set_quota('regress_quota', max_live => 3);
SET ROLE regress_quota;
SELECT durable.start('waits', instance_id => 'one');
SELECT durable.start('waits', instance_id => 'two');
SELECT durable.start('waits', instance_id => 'three');
-- An instance that is there is none to be started.
SELECT durable.start('waits', instance_id => 'two', on_conflict => 'return');
RESET ROLE;
CALL durable.drain();
SET ROLE regress_quota;
SELECT durable.raise_event('old', 'go'), durable.terminate('one');
CALL durable.drain();
RESET ROLE;
-- Two have ended; what is rolled back counts no more.
SET ROLE regress_quota;
DO $$
BEGIN
	FOR i IN 1 .. 10 LOOP
		BEGIN
			PERFORM durable.start('waits');
			RAISE EXCEPTION 'never mind';
		EXCEPTION WHEN raise_exception THEN
		END;
	END LOOP;
END $$;
BEGIN;
SELECT count(durable.start('waits')) FROM generate_series(1, 2);
ROLLBACK;
SELECT count(durable.start('waits')) FROM generate_series(1, 3);
SELECT durable.start('parent', instance_id => 'parent');
CALL durable.drain();
-- A child counts, and is not refused.
SELECT instance_id, runtime_status FROM durable.instances WHERE runtime_status = 'Running' ORDER BY instance_id COLLATE "C";
SELECT durable.start('waits', instance_id => 'three');
SELECT durable.terminate('parent');
CALL durable.drain();
SELECT durable.start('waits', instance_id => 'three');
RESET ROLE;

-- Other roles have no limit, and this one has none when its quota is deleted.
SELECT count(durable.start('waits')) FROM generate_series(1, 10);
SELECT durable.set_quota('regress_quota');
TABLE durable.quota;
SET ROLE regress_quota;
SELECT count(durable.start('waits')) FROM generate_series(1, 10);
RESET ROLE;

-- So many at once, and then one after the other.
SELECT durable.set_quota('regress_quota', start_rate => 5, per => '10 s');
SELECT owner, max_live, start_rate, per FROM durable.quota;
SET ROLE regress_quota;
SELECT count(durable.start('waits')) FROM generate_series(1, 5);
\set VERBOSITY terse
SELECT durable.start('waits', instance_id => 'fast');
\set VERBOSITY default
DO $$
DECLARE
	hint text;
BEGIN
	PERFORM durable.start('waits', instance_id => 'fast');
EXCEPTION WHEN SQLSTATE 'WF009' THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '%', regexp_replace(hint, '\d+', 'N');
END $$;
RESET ROLE;
SELECT durable.advance_clock('4 s') IS NOT NULL AS advanced;
SET ROLE regress_quota;
SELECT count(durable.start('waits')) FROM generate_series(1, 2);
RESET ROLE;
SELECT durable.advance_clock('1 day') IS NOT NULL AS advanced;
SET ROLE regress_quota;
-- A start that is rolled back has used up its share.
\set VERBOSITY terse
SELECT count(durable.start('waits')) FROM generate_series(1, 6);
\set VERBOSITY default
RESET ROLE;
SELECT durable.advance_clock('1 day') IS NOT NULL AS advanced;
SET ROLE regress_quota;
SELECT count(durable.start('waits')) FROM generate_series(1, 5);
RESET ROLE;

-- What is refused.
SELECT durable.set_quota(NULL, 1);
SELECT durable.set_quota('regress_quota', 0);
SELECT durable.set_quota('regress_quota', -2147483648);
SELECT durable.set_quota('regress_quota', start_rate => 0);
SELECT durable.set_quota('regress_quota', start_rate => 1, per => '0');
SELECT durable.set_quota('regress_quota', start_rate => 1, per => '-1 s');
SELECT durable.set_quota('regress_quota', start_rate => 1, per => NULL);
SELECT durable.set_quota('regress_quota', start_rate => 1, per => '178000000 years');
SELECT durable.set_quota(4294967295::oid::regrole, 1);
