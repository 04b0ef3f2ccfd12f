/*
 * From 0.1 to 0.2.0, when everything has its new form: the data, and privileges.  Histories
 * stay as they are: 0.2.0 reads their format 2 and appends rows of format 3.
 */

-- Tools of this script only: the hash that 0.2.0 has for the code of a function, and running a
-- statement as if it were not part of the extension's script.
CREATE FUNCTION durable.upgrade_code_hash(signature text) RETURNS bigint
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'durable_upgrade_code_hash';
CREATE FUNCTION durable.upgrade_execute(statement text) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'durable_upgrade_execute';

-- 0.1 listed activities that were still to be run inline in the column waiting, as p and the task.
UPDATE durable.instance AS i
SET next_activity = w.next_activity, waiting = w.others
FROM (SELECT n.key, pg_catalog.min(substr(m[1], 2)::integer) FILTER (WHERE m[1] ~ '^p') AS next_activity,
             string_agg(m[1], ' ' ORDER BY o) FILTER (WHERE m[1] !~ '^p') AS others
      FROM durable.instance AS n, regexp_matches(n.waiting, '([a-z][0-9]+[^ "]*("([^"]|"")*")?)', 'g') WITH ORDINALITY AS x (m, o)
      WHERE n.waiting ~ 'p[0-9]'
      GROUP BY n.key) AS w
WHERE w.key = i.key AND w.next_activity IS NOT NULL;

-- Crashes are counted in another unit; suspicion ends with the update.
UPDATE durable.instance SET crashes = 0 WHERE crashes <> 0;
UPDATE durable.task_queue SET crashes = 0 WHERE crashes <> 0;

-- 0.1 computed other hashes, and let every instance run the present code of its function.
UPDATE durable.instance AS i
SET code_hash = h.hash
FROM (SELECT s.signature, durable.upgrade_code_hash(s.signature) AS hash
      FROM (SELECT DISTINCT CASE WHEN starts_with(n.handler, '(') THEN n.name || n.handler ELSE n.handler END AS signature
            FROM durable.instance AS n WHERE n.code_hash IS NOT NULL) AS s) AS h
WHERE i.code_hash IS NOT NULL
  AND h.signature = CASE WHEN starts_with(i.handler, '(') THEN i.name || i.handler ELSE i.handler END;

-- The attempt that an answer belongs to was in the column name.
UPDATE durable.inbox SET attempt = name::integer, name = NULL WHERE kind IN ('c', 'f') AND name ~ '^[0-9]{1,9}$';

INSERT INTO durable.finished (completed_at, key, owner, status, name)
    SELECT completed_at, key, owner, status, name FROM durable.instance WHERE status IN ('C', 'F', 'T')
    ORDER BY owner, name, completed_at;
INSERT INTO durable.tally (range, n, owner, status, name, handler)
    SELECT key >> 9, count(*), owner, status, name, handler FROM durable.instance GROUP BY 1, 3, 4, 5, 6;

-- The grants of the administrator; roles that might use the engine may use what is new.
SELECT durable.upgrade_execute($statement$
DO $$
DECLARE
    g record;
    routine regprocedure;
BEGIN
    FOR g IN SELECT * FROM pg_temp.durable_grants LOOP
        IF g.kind <> 'ROUTINE' THEN
            EXECUTE format('GRANT %s ON %s %s TO %s%s', g.privilege_type, g.kind, g.object,
                           CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                           CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END);
            CONTINUE;
        END IF;
        FOR routine IN SELECT p.oid FROM pg_proc AS p
                       WHERE p.pronamespace = 'durable'::regnamespace AND p.proname = g.name
                         AND (p.oid = to_regprocedure(g.object) OR to_regprocedure(g.object) IS NULL) LOOP
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s%s', routine,
                           CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                           CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END);
        END LOOP;
    END LOOP;
    FOR g IN SELECT s.grantee FROM pg_temp.durable_grants AS s WHERE s.kind = 'SCHEMA' AND s.grantee <> 0
             INTERSECT SELECT r.grantee FROM pg_temp.durable_grants AS r WHERE r.kind = 'ROUTINE' AND r.name = 'start' LOOP
        PERFORM durable.grant_usage(g.grantee::regrole);
    END LOOP;
END
$$
$statement$);

DROP TABLE pg_temp.durable_grants;
DROP FUNCTION durable.upgrade_code_hash(text);
DROP FUNCTION durable.upgrade_execute(text);
