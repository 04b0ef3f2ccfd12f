--
-- durable.schedule_times: cron expressions, time zones, changes of the clock.
--
\pset null '(null)'
SET timezone TO 'UTC';

-- expressions
SELECT e, array_agg(to_char(t, 'Dy MM-DD HH24:MI') ORDER BY t)
FROM unnest(ARRAY['0 0 * * *', '*/20 8-9 * * *', '5,10 3 1 * *', '0 12 * * mon-fri', '0 12 * * fri-sun', '0 12 * * 7', '0 0 1-5/2 feb *',
                  '0 0 13 * fri', '0 0 */10 * mon', '0 6 * * 1/3', '30/15 4 * * *', '@hourly', '@daily', '@Weekly', '@monthly', '@yearly',
                  '  0   1	2 3 * ']) WITH ORDINALITY AS u(e, n),
     LATERAL durable.schedule_times(e, 'UTC', '2026-01-01 00:00', 4) t
GROUP BY n, e ORDER BY n;

-- a time that matches is the first one
SELECT t FROM durable.schedule_times('30 2 * * *', 'UTC', '2026-01-01 02:30', 1) t;
SELECT t FROM durable.schedule_times('30 2 * * *', 'UTC', '2026-01-01 02:30:00.000001', 1) t;

-- the clock is put forward: 02:30 is not there, and runs once, an hour later by the clock
SELECT t, t AT TIME ZONE 'Europe/Berlin' AS local FROM durable.schedule_times('30 2 * * *', 'Europe/Berlin', '2026-03-28', 3) t;
SELECT t, t AT TIME ZONE 'America/New_York' AS local FROM durable.schedule_times('30 2 * * *', 'America/New_York', '2026-03-07 06:00', 3) t;
-- the clock is put back: 02:30 and 01:30 are there twice, and run once
SELECT t, t AT TIME ZONE 'Europe/Berlin' AS local FROM durable.schedule_times('30 2 * * *', 'Europe/Berlin', '2026-10-24', 3) t;
SELECT t, t AT TIME ZONE 'America/New_York' AS local FROM durable.schedule_times('30 1 * * *', 'America/New_York', '2026-10-31 05:00', 3) t;
-- also with other times in the hour that is not there, and none twice
SELECT t, t AT TIME ZONE 'America/New_York' AS local FROM durable.schedule_times('*/30 1-3 * * *', 'America/New_York', '2026-03-08 05:00', 5) t;
SELECT t, t AT TIME ZONE 'America/New_York' AS local FROM durable.schedule_times('*/30 1-3 * * *', 'America/New_York', '2026-11-01 04:00', 7) t;
-- each local time once: every day of four years, in zones of the north and the south, and one of half an hour
SELECT z, count(*), count(DISTINCT t), count(DISTINCT (t AT TIME ZONE z)::date),
       max(t - previous) AS longest, min(t - previous) AS shortest,
       bool_and(t = ((t AT TIME ZONE z)::date + time '02:15') AT TIME ZONE z) AS as_at_time_zone
FROM unnest(ARRAY['Europe/Berlin', 'America/New_York', 'Australia/Sydney', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC']) z,
     LATERAL (SELECT t, lag(t) OVER (ORDER BY t) AS previous FROM durable.schedule_times('15 2 * * *', z, '2026-01-01 14:00', 1461) t) s
GROUP BY z ORDER BY z;
-- where every hour is meant, elapsed time counts
SELECT t, t AT TIME ZONE 'Europe/Berlin' AS local FROM durable.schedule_times('0 * * * *', 'Europe/Berlin', '2026-10-24 23:30', 4) t;
SELECT t, t AT TIME ZONE 'Europe/Berlin' AS local FROM durable.schedule_times('0 * * * *', 'Europe/Berlin', '2026-03-28 23:30', 4) t;
SELECT count(*), max(t - previous), min(t - previous)
FROM (SELECT t, lag(t) OVER (ORDER BY t) AS previous FROM durable.schedule_times('*/10 * * * *', 'Australia/Lord_Howe', '2026-01-01', 10000) t) s;
SELECT count(*), min(t), max(t) FROM durable.schedule_times('59 23 * * *', 'Pacific/Apia', '2011-12-28', 5) t;

-- far away, and never
SELECT t FROM durable.schedule_times('0 0 29 2 *', 'UTC', '2096-03-01', 2) t;
SELECT t FROM durable.schedule_times('0 0 31 4 *', 'UTC', '2026-01-01', 2) t;
SELECT t FROM durable.schedule_times('* * 30 2 *', 'UTC', '2026-01-01', 2) t;
SELECT count(*) FROM durable.schedule_times('* * * * *', 'UTC', '294276-12-01', 2) t;

-- what is refused
\set VERBOSITY terse
SELECT durable.schedule_times(NULL);
SELECT durable.schedule_times('');
\set VERBOSITY default
SELECT durable.schedule_times('* * * *');
SELECT durable.schedule_times('* * * * * *');
SELECT durable.schedule_times('60 * * * *');
\set VERBOSITY terse
SELECT durable.schedule_times('* 24 * * *');
SELECT durable.schedule_times('* * 0 * *');
SELECT durable.schedule_times('* * 32 * *');
SELECT durable.schedule_times('* * * 13 *');
SELECT durable.schedule_times('* * * * 8');
SELECT durable.schedule_times('5-1 * * * *');
SELECT durable.schedule_times('*/0 * * * *');
SELECT durable.schedule_times('*/-1 * * * *');
SELECT durable.schedule_times('1, * * * *');
SELECT durable.schedule_times('1- * * * *');
SELECT durable.schedule_times('99999999999999999999 * * * *');
SELECT durable.schedule_times('0000000000000000000000001 * * * *');
SELECT durable.schedule_times('* * * * mondays');
SELECT durable.schedule_times('@reboot');
SELECT durable.schedule_times('30 seconds');
SELECT durable.schedule_times('* * * * *', 'Europe/Atlantis');
SELECT durable.schedule_times('* * * * *', NULL);
SELECT durable.schedule_times('* * * * *', repeat('x', 1000));
SELECT durable.schedule_times('* * * * *', count => -1);
SELECT durable.schedule_times('* * * * *', count => NULL);
SELECT durable.schedule_times('* * * * *', count => 10001);
SELECT durable.schedule_times('* * * * *', 'UTC', 'infinity');
SELECT durable.schedule_times('* * * * *', 'UTC', '-infinity');
SELECT count(*) FROM durable.schedule_times('* * * * *', count => 0);
SELECT t FROM durable.schedule_times('0 0 1 1 *', 'UTC', '4700-01-01 BC', 1) t;
