-- Statistics of orchestrations and activities, since the server was first started or durable.stat_reset was called.

CREATE FUNCTION durable.stats(
    OUT kind            text,
    OUT owner           regrole,
    OUT name            text,
    OUT calls           bigint,
    OUT failures        bigint,
    OUT retries         bigint,
    OUT terminated      bigint,
    OUT turns           bigint,
    OUT compute_time    double precision,
    OUT total_time      double precision,
    OUT max_time        double precision,
    OUT last_error      text,
    OUT last_failed_at  timestamptz)
RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'durable_stats';

CREATE FUNCTION durable.stat_reset() RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_stat_reset';

-- Times are in milliseconds, as those of pg_stat_statements.
CREATE VIEW durable.stat_orchestrations AS
SELECT s.name,
       s.owner,
       s.calls AS ended,
       s.failures AS failed,
       s.terminated,
       s.turns,
       s.compute_time,
       s.total_time,
       s.total_time / s.calls AS mean_time,
       s.max_time,
       s.last_error,
       s.last_failed_at
FROM durable.stats() s
WHERE s.kind = 'orchestration';

CREATE VIEW durable.stat_activities AS
SELECT s.name,
       s.owner,
       s.calls,
       s.failures,
       s.retries,
       s.total_time,
       s.total_time / s.calls AS mean_time,
       s.max_time,
       s.last_error,
       s.last_failed_at
FROM durable.stats() s
WHERE s.kind = 'activity';

COMMENT ON FUNCTION durable.stats() IS 'statistics for the views durable.stat_orchestrations and durable.stat_activities';
COMMENT ON FUNCTION durable.stat_reset() IS
    'removes the statistics of the roles whose privileges you have, and returns the number of removed entries';
COMMENT ON VIEW durable.stat_orchestrations IS
    'number of instances of each orchestration that have ended, and the time that they took';
COMMENT ON VIEW durable.stat_activities IS 'number of runs and failures of each activity, and the time that they took';
