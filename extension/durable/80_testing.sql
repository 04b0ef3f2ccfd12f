/*
 * Testing aids; they need durable.testing = on (postgresql.conf).
 */

CREATE PROCEDURE durable.drain(timeout interval DEFAULT '1 minute')
LANGUAGE C AS 'MODULE_PATHNAME', 'durable_drain';
COMMENT ON PROCEDURE durable.drain(interval) IS
'runs all due work in this session as the current user, until none is left; for tests';

CREATE FUNCTION durable.advance_clock(step interval)
RETURNS timestamptz LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_advance_clock';
COMMENT ON FUNCTION durable.advance_clock(interval) IS
'advances the clock of the engine in this database and returns its new time; for tests';
