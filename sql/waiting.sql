--
-- What instances wait for, as it is stored: names of any kind, times, what is kept while one is suspended.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SET TimeZone = 'UTC';

-- every kind of item
SELECT * FROM durable.waits('a1@0.5/7"bump" t2+2592000/8 t3@-1.25+-0.000001 e4@90"say ""when"" to ""x" o5"a b" s0+60 b6@1"" m12', '2026-01-01Z');
SELECT * FROM durable.waits('x1', '2026-01-01Z');
SELECT * FROM durable.waits('t1+1,', '2026-01-01Z');
SELECT count(*) FROM durable.waits('', '2026-01-01Z');

CREATE FUNCTION waits_for_all() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    never durable.task := durable.create_timer('infinity');
    early durable.task := durable.create_timer(durable.now() + interval '1.5 hours');
    event durable.task := durable.external_event('say "when" to');
BEGIN
    RETURN durable.when_any(event, never);
END $$;
SELECT durable.start('waits_for_all', NULL, 'all'), durable.start('waits_for_all', NULL, 'later', now() + interval '1 hour');
CALL durable.drain();
SELECT instance_id, kind, detail, since > now() - interval '1 minute' AS since, date_trunc('minute', due - since + interval '30 s') AS due FROM durable.waiting WHERE due < 'infinity' OR due IS NULL ORDER BY 1, 2, 5;
SELECT kind, due FROM durable.waiting WHERE due = 'infinity';
SELECT waiting_on ~ '^timer infinity, timer ... ... .. [0-9:.]+ 20.. UTC, event say "when" to$' AS waiting_on FROM durable.instances WHERE instance_id = 'all';

-- before its start: events come, it is suspended, and the time of its start comes; times stay what they are
SELECT durable.raise_event('later', 'two "words"');
SELECT durable.suspend('later');
CALL durable.drain();
CREATE TEMP TABLE seen AS SELECT event, received_at FROM durable.buffered_events WHERE instance_id = 'later';
SELECT kind, date_trunc('minute', due - since + interval '30 s') AS due FROM durable.waiting WHERE instance_id = 'later' ORDER BY 1;
SELECT count(durable.advance_clock('2 hours'));
CALL durable.drain();
SELECT kind, date_trunc('minute', due - since + interval '30 s') AS due FROM durable.waiting WHERE instance_id = 'later' ORDER BY 1;
SELECT event, b.received_at = seen.received_at AS same_time FROM durable.buffered_events b JOIN seen USING (event) WHERE instance_id = 'later';
SELECT durable.resume('later');
CALL durable.drain();
SELECT event, b.received_at = seen.received_at AS same_time FROM durable.buffered_events b JOIN seen USING (event) WHERE instance_id = 'later';
SELECT kind, detail, since - created_time > interval '1 hour' AS long_after FROM durable.waiting JOIN durable.instances USING (instance_id)
WHERE instance_id = 'later' ORDER BY 1, due;

-- the history keeps what cannot be counted from its event
SELECT event_type, task, detail ->> 'fire_at' AS never FROM durable.history('all') WHERE detail ->> 'fire_at' = 'infinity';

-- events that come along into the next execution
CREATE FUNCTION goes_round(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.wait_for_external_event('Go');
    PERFORM durable.continue_as_new(n + 1);
    RETURN n;
END $$;
SELECT durable.start('goes_round', 1, 'round');
CALL durable.drain();
SELECT durable.suspend('round');
SELECT durable.raise_event('round', 'Go'), durable.raise_event('round', 'Other');
CALL durable.drain();
SELECT durable.resume('round');
CALL durable.drain();
SELECT execution, waiting_on FROM durable.instances WHERE instance_id = 'round';
SELECT event, seq FROM durable.buffered_events WHERE instance_id = 'round';

-- twenty are listed
CREATE FUNCTION waits_for_many(n int) RETURNS jsonb[] LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1..n LOOP
        tasks := tasks || durable.external_event('e' || i);
    END LOOP;
    RETURN durable.when_all(VARIADIC tasks);
END $$;
SELECT durable.start('waits_for_many', 23, 'many');
CALL durable.drain();
SELECT waiting_on FROM durable.instances WHERE instance_id = 'many';
SELECT durable.suspend('many');
CALL durable.drain();
SELECT count(*) FROM durable.waiting WHERE instance_id = 'many';
