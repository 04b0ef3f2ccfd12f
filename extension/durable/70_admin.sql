-- Operating the engine of this database.

CREATE FUNCTION durable.pause() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_pause';

CREATE FUNCTION durable.unpause() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_unpause';

CREATE FUNCTION durable.adopt() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_adopt';

CREATE FUNCTION durable.set_quota(
    role        regrole,
    max_live    integer     DEFAULT NULL,
    start_rate  integer     DEFAULT NULL,
    per         interval    DEFAULT '1 minute')
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_set_quota';

CREATE FUNCTION durable.version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'durable_version';

CREATE FUNCTION durable.doctor(
    time_limit      interval DEFAULT '500 ms',
    OUT check_name  text,
    OUT ok          boolean,
    OUT detail      text,
    OUT hint        text)
RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_doctor';

COMMENT ON FUNCTION durable.pause() IS
    'stops new turns and activities in this database until durable.unpause(); running ones are completed';
COMMENT ON FUNCTION durable.unpause() IS 'ends durable.pause()';
COMMENT ON FUNCTION durable.adopt() IS
    'allows the instances of a restored or cloned database to run here';
COMMENT ON FUNCTION durable.set_quota(regrole, integer, integer, interval) IS
    'sets the maximum number of unfinished instances of a role, and the maximum rate at which its clients start instances; without limits the quota is removed';
COMMENT ON FUNCTION durable.version() IS 'version of the loaded library';
COMMENT ON FUNCTION durable.doctor(interval) IS
    'checks the engine of this database and returns advice for each finding; checks instances until the time limit, NULL checks all of them';
