/*
 * From 0.1 to 0.2.0, before functions are replaced.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

DROP FUNCTION @extschema@.dd_check_status(text, text);

-- They are registered again, after their versions named external: the version registered last is the newest.
SELECT durable.unregister_orchestration(r.name)
FROM durable.registrations r
WHERE r.kind = 'orchestration' AND r.owner = pg_catalog.to_regrole(pg_catalog.quote_ident(current_user))
  AND r.name IN ('RunUserParallelWorkflow', 'UserConfirmationWorkflow', 'UserMonitorWorkflow',
                 'RunUserSequentialWorkflow', 'GameMonitorWorkflow');
