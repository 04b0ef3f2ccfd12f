/*
 * From 0.1 to 0.2.0, before tables get their new columns and functions and views are replaced:
 * what changes otherwise in tables and types, and functions whose parameters have changed.  Views and functions of users stay, except functions with a
 * body in standard SQL that call one of the functions dropped here.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

-- Privileges that the administrator has granted are taken away for the time of this script, and
-- given back at its end (durable--0.1--0.2.0.after.sql): otherwise PostgreSQL would take them for
-- privileges that the extension has granted, and pg_dump would leave them out.
CREATE TEMPORARY TABLE durable_grants ON COMMIT DROP AS
    SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS object, p.proname AS name, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_proc AS p, aclexplode(p.proacl) AS a
    WHERE p.pronamespace = 'durable'::regnamespace AND a.grantee NOT IN (p.proowner, 'pg_monitor'::regrole)
    UNION ALL
    SELECT 'TABLE', c.oid::regclass::text, c.relname, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_class AS c, aclexplode(c.relacl) AS a
    WHERE c.relnamespace = 'durable'::regnamespace AND a.grantee NOT IN (c.relowner, 'pg_monitor'::regrole)
    UNION ALL
    SELECT 'SCHEMA', 'durable', n.nspname, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
    WHERE n.nspname = 'durable' AND a.grantee NOT IN (n.nspowner, 'pg_monitor'::regrole);
DO $$
DECLARE
    g record;
BEGIN
    FOR g IN SELECT DISTINCT kind, object, grantee FROM durable_grants LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', g.kind, g.object,
                       CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END);
    END LOOP;
END
$$;

-- Functions whose parameters have changed.
DROP FUNCTION durable.call_sub_orchestrator(text, "any", text, jsonb);
DROP FUNCTION durable.schedule_sub_orchestrator(text, "any", text, jsonb);
DROP FUNCTION durable.start_orchestration(text, "any", text);
DROP FUNCTION durable.create_timer(timestamptz);
DROP FUNCTION durable.sleep(interval);
DROP FUNCTION durable.terminate(text, text);
DROP FUNCTION durable.doctor();
DROP FUNCTION durable.register_orchestration(text, regprocedure, text, interval, text);
DROP FUNCTION durable.register_activity(text, regprocedure, text, jsonb, interval, text);
DROP FUNCTION durable.unregister_orchestration(text);

ALTER TYPE durable.instance_status ADD ATTRIBUTE suspend_reason text;
ALTER TYPE durable.instance_status ADD ATTRIBUTE dropped_events integer;

ALTER TABLE durable.engine REPLICA IDENTITY FULL;

ALTER TABLE durable.instance SET (fillfactor = 43);
DROP INDEX durable.instance_id_key;
DROP INDEX durable.instance_parent;

DROP INDEX durable.task_queue_key;

UPDATE durable.orchestration SET version = '' WHERE version IS NULL;
ALTER TABLE durable.orchestration
    ALTER COLUMN handler DROP NOT NULL,
    ALTER COLUMN version SET DEFAULT '',
    ALTER COLUMN version SET NOT NULL,
    DROP CONSTRAINT orchestration_pkey,
    ADD PRIMARY KEY (name, owner, version);

ALTER TABLE durable.activity ALTER COLUMN handler DROP NOT NULL;
