/*
 * Testing aids; they need durable.testing = on (postgresql.conf).
 */

CREATE PROCEDURE durable.drain(timeout interval DEFAULT '1 minute')
LANGUAGE C AS 'MODULE_PATHNAME', 'durable_drain';
COMMENT ON PROCEDURE durable.drain(interval) IS
'runs everything that is due, in this session and as the current user, until there is nothing left; for tests';

CREATE FUNCTION durable.advance_clock(step interval)
RETURNS timestamptz LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_advance_clock';
COMMENT ON FUNCTION durable.advance_clock(interval) IS
'moves the clock of the engine in this database and returns the time it shows then; for tests';
