/*
 * Names and options for orchestrations and activities.
 */

CREATE FUNCTION durable.register_orchestration(
    name        text,
    handler     regprocedure DEFAULT NULL,
    version     text         DEFAULT NULL,
    retention   interval     DEFAULT NULL,
    description text         DEFAULT NULL,
    execution   text         DEFAULT 'sql',
    queue       text         DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_register_orchestration';

CREATE FUNCTION durable.register_activity(
    name        text,
    handler     regprocedure DEFAULT NULL,
    execution   text         DEFAULT 'auto',
    retry       jsonb        DEFAULT NULL,
    timeout     interval     DEFAULT NULL,
    description text         DEFAULT NULL,
    queue       text         DEFAULT NULL,
    priority    integer      DEFAULT 0,
    key         text         DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_register_activity';

CREATE FUNCTION durable.unregister_orchestration(name text, version text DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_unregister_orchestration';

CREATE FUNCTION durable.unregister_entity(name text) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_unregister_entity';

CREATE FUNCTION durable.register_entity(
    name        text,
    handler     regprocedure DEFAULT NULL,
    description text         DEFAULT NULL,
    execution   text         DEFAULT 'sql',
    queue       text         DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_register_entity';

CREATE FUNCTION durable.unregister_activity(name text) RETURNS void
LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'durable_unregister_activity';

CREATE FUNCTION durable.retry(
    max_attempts   integer          DEFAULT 3,
    first_interval interval         DEFAULT '1 second',
    backoff        double precision DEFAULT 2,
    max_interval   interval         DEFAULT '1 hour',
    timeout        interval         DEFAULT NULL,
    non_retryable  text[]           DEFAULT NULL
) RETURNS jsonb
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'durable_retry';

-- Registrations that apply to the current user, by the rules of src/store/registry.c; all registrations for
-- members of pg_monitor.
CREATE VIEW durable.registrations WITH (security_barrier) AS
SELECT r.kind, r.name, r.handler, r.owner, r.version, r.execution, r.retry, r.timeout, r.retention, r.description,
       r.queue, r.priority, r.key, r.is_newest
FROM (
    SELECT 'orchestration' AS kind, o.name, o.handler, o.owner, nullif(o.version, '') AS version,
           CASE WHEN o.queue IS NOT NULL THEN 'external' END AS execution, NULL::jsonb AS retry, NULL::interval AS timeout,
           o.retention, o.description, o.queue, NULL::integer AS priority, NULL::text AS key,
           NOT EXISTS (SELECT FROM durable.orchestration AS n
                       WHERE n.name = o.name AND n.owner = o.owner
                         AND (n.registered_at, n.version) > (o.registered_at, o.version)) AS is_newest
    FROM durable.orchestration AS o
    UNION ALL
    SELECT 'activity', a.name, a.handler, a.owner, NULL,
           a.execution, a.retry, a.timeout,
           NULL, a.description, a.queue, a.priority, a.share, NULL
    FROM durable.activity AS a
    UNION ALL
    SELECT 'entity', e.name, e.handler, e.owner, NULL,
           CASE WHEN e.queue IS NOT NULL THEN 'external' END, NULL, NULL,
           NULL, e.description, e.queue, NULL, NULL, NULL
    FROM durable.entity_type AS e
) AS r
WHERE pg_catalog.pg_has_role(r.owner::oid, 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR r.owner::oid IN (SELECT u.oid FROM pg_catalog.pg_roles AS u WHERE u.rolsuper)
   OR r.owner::oid IN (SELECT e.extowner FROM pg_catalog.pg_extension AS e WHERE e.extname = 'durable');

COMMENT ON FUNCTION durable.register_orchestration(text, regprocedure, text, interval, text, text, text) IS
    'gives an orchestration a name, a version and options; replaces an existing registration of that name and version by the caller';
COMMENT ON FUNCTION durable.register_activity(text, regprocedure, text, jsonb, interval, text, text, integer, text) IS
    'gives an activity a name and options; replaces an existing registration of that name by the caller';
COMMENT ON FUNCTION durable.register_entity(text, regprocedure, text, text, text) IS
    'registers the function that runs the operations of entities of that name, or the queue for external ones; replaces an existing registration of that name by the caller';
COMMENT ON FUNCTION durable.unregister_entity(text) IS
    'removes a registration of an entity by the caller; its entities keep their states, and their operations wait';
COMMENT ON FUNCTION durable.unregister_orchestration(text, text) IS
    'removes one version or all versions of an orchestration that the caller has registered; its instances continue to run';
COMMENT ON FUNCTION durable.unregister_activity(text) IS
    'removes a registration of an activity by the caller';
COMMENT ON FUNCTION durable.retry(integer, interval, double precision, interval, interval, text[]) IS
    'creates a retry policy: number of attempts (NULL for no limit), intervals between them, and SQLSTATEs that are not retried';
COMMENT ON VIEW durable.registrations IS
    'registered orchestrations, activities and entities that apply to the current user';
