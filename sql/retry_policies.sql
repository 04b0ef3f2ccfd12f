--
-- Retry policies: what is accepted, and the arithmetic.
--
\pset null '(null)'
CREATE FUNCTION next_wait(retry jsonb, attempt int, first_scheduled timestamptz, now timestamptz, sqlstate text) RETURNS bigint
STRICT LANGUAGE C AS '$libdir/durable', 'durable_probe_retry';
CREATE FUNCTION wait_after(attempt int, retry jsonb, elapsed interval DEFAULT '0', sqlstate text DEFAULT '58000') RETURNS interval LANGUAGE sql AS $$
    SELECT next_wait(retry, attempt, '2024-06-01 12:00+00', timestamptz '2024-06-01 12:00+00' + elapsed, sqlstate) * interval '1 microsecond' $$;

SELECT durable.retry();
SELECT durable.retry(5, '100 ms', 1.5, '1 day', '1 month', '{23505,40}');
SELECT durable.retry(max_attempts => NULL, first_interval => NULL, non_retryable => '{}');
-- the same in every session
SET IntervalStyle = 'iso_8601';
SELECT durable.retry(first_interval => '1 day 90 minutes', timeout => '1 year 2 mons');
RESET IntervalStyle;

-- Defaults: three attempts, 1 s and 2 s apart.
SELECT n, wait_after(n, durable.retry()) AS made, wait_after(n, '{}') AS empty FROM generate_series(1, 4) AS n;
-- Growing up to the longest wait, and never beyond.
SELECT n, wait_after(n, durable.retry(max_attempts => NULL, first_interval => '1 s', backoff => 3, max_interval => '1 min')) AS grows,
       wait_after(n, durable.retry(max_attempts => NULL, first_interval => '5 s', backoff => 1)) AS stays,
       wait_after(n, durable.retry(max_attempts => NULL, first_interval => '0')) AS at_once
FROM unnest(ARRAY[1, 2, 3, 4, 5, 100, 2147483647]) AS n;
SELECT wait_after(2147483647, durable.retry(2147483647, '100000 years', 1e300, '170000000 years')) IS NULL AS last_attempt,
       next_wait(durable.retry(NULL, '100000 years', 1e300, '170000000 years'), 2147483647, '2024-06-01', '2024-06-01', '58000')
           = (extract(epoch FROM timestamptz '294276-12-31 23:59:59.999999+00' - timestamptz '2024-06-01') * 1000000)::bigint AS never_past_the_last_timestamp;
-- One attempt is no retry.
SELECT wait_after(1, durable.retry(1)) AS no_retry, wait_after(1, '{"max_attempts": null}') AS unlimited;
-- By hand: numbers are seconds.
SELECT wait_after(1, '{"first_interval": 2.5}') AS seconds, wait_after(2, '{"first_interval": "PT1H", "max_interval": "30 days"}') AS text;

-- No attempt begins after the timeout, counted from when the first was scheduled.
SELECT elapsed, wait_after(1, durable.retry(timeout => '10 s'), elapsed) AS wait
FROM unnest(ARRAY['0', '8.999999 s', '9 s', '1 hour', '-1 hour']::interval[]) AS elapsed;

-- SQLSTATEs, whole or by class.
SELECT code, wait_after(1, durable.retry(non_retryable => '{23505,22}'), sqlstate => code) AS wait
FROM unnest(ARRAY['23505', '23503', '22012', '22P02', 'P0001', 'XX000']) AS code;

-- Refused, in durable.retry() and by hand.
SELECT durable.retry(0);
SELECT durable.retry(-1);
SELECT durable.retry(first_interval => '-1 s');
SELECT durable.retry(first_interval => '1 mon -31 days');
SELECT durable.retry(backoff => 0.9);
SELECT durable.retry(backoff => 'NaN');
SELECT durable.retry(backoff => 'Infinity');
SELECT durable.retry(max_interval => '-1 s');
SELECT durable.retry(timeout => '0');
SELECT durable.retry(non_retryable => '{2350}');
SELECT durable.retry(non_retryable => '{unique_violation}');
SELECT durable.retry(non_retryable => '{p0001}');
SELECT durable.retry(non_retryable => '{NULL}');
SELECT wait_after(1, '5');
SELECT wait_after(1, '[]');
SELECT wait_after(1, '{"max_atempts": 5}');
SELECT wait_after(1, '{"tries": 5}');
SELECT wait_after(1, '{"max_attempts": "many"}');
SELECT wait_after(1, '{"max_attempts": 1.5}');
SELECT wait_after(1, '{"first_interval": "soon"}');
SELECT wait_after(1, '{"non_retryable": "23505"}');
