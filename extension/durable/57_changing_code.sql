-- Changes of code while instances run.  An instance continues with the code with which it has begun.  These
-- functions compare its history with other code, and move it to other code.

CREATE FUNCTION durable.verify_replay(name text, code regprocedure DEFAULT NULL, version text DEFAULT NULL,
    OUT instance_id text, OUT problem text, OUT line integer)
RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_verify_replay';

CREATE FUNCTION durable.repin(instance_id text, force boolean DEFAULT false, version text DEFAULT NULL)
RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_repin';

CREATE FUNCTION durable.repin_all(name text, version text DEFAULT NULL)
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_repin_all';

CREATE FUNCTION durable.drop_unused_code()
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_drop_unused_code';

-- Copies of functions of roles whose privileges the current user has; all copies for members of pg_monitor.
CREATE VIEW durable.kept_code WITH (security_barrier) AS
SELECT c.signature AS handler, c.copy, c.replaced_at
FROM durable.code AS c
WHERE pg_catalog.pg_has_role(c.owner::oid, 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

COMMENT ON FUNCTION durable.verify_replay(text, regprocedure, text) IS
    'compares code with the histories of the caller''s unfinished instances, and returns a row with the reason for each instance that it would suspend';
COMMENT ON FUNCTION durable.repin(text, boolean, text) IS
    'moves an instance to the current code of its function or of a version, if the code matches its history';
COMMENT ON FUNCTION durable.repin_all(text, text) IS
    'moves all instances of the caller whose histories match, and returns their number';
COMMENT ON FUNCTION durable.drop_unused_code() IS
    'drops the copies of replaced code that no unfinished instance runs, and returns their number';
COMMENT ON VIEW durable.kept_code IS
    'copies of code that was replaced while instances were running it';
