-- Everything that an extension consists of (:extension), a line each: what the catalogs say of each of
-- its members, without object identifiers, and without the order of columns of a table, which an
-- upgrade changes.  Two installations are alike if these lines are.
SET search_path TO pg_catalog;
CREATE TEMPORARY VIEW member AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS object
FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
WHERE e.extname = :'extension';
CREATE TEMPORARY VIEW acl AS
SELECT 'pg_proc'::regclass AS classid, oid AS objid, proacl AS acl FROM pg_proc
UNION ALL SELECT 'pg_class'::regclass, oid, relacl FROM pg_class
UNION ALL SELECT 'pg_namespace'::regclass, oid, nspacl FROM pg_namespace
UNION ALL SELECT 'pg_type'::regclass, oid, typacl FROM pg_type;
CREATE TEMPORARY VIEW relation AS
SELECT m.object, c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
UNION ALL
SELECT m.object, c.* FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid JOIN pg_class c ON c.oid = t.typrelid;

SELECT regexp_replace(line, '\s+', ' ', 'g') FROM (
    SELECT object || ' comment: ' || coalesce(obj_description(objid, classid::regclass::name), 'none') FROM member
    UNION ALL
    SELECT m.object || ' privilege: ' || concat_ws(' ', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type, x.is_grantable)
    FROM member m JOIN acl a USING (classid, objid), aclexplode(a.acl) x
    UNION ALL
    SELECT m.object || ' privileges: default' FROM member m JOIN acl a USING (classid, objid) WHERE a.acl IS NULL
    UNION ALL
    SELECT m.object || ' privilege of the extension: ' || concat_ws(' ', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type, x.is_grantable)
    FROM member m JOIN pg_init_privs i ON i.classoid = m.classid AND i.objoid = m.objid AND i.objsubid = 0, aclexplode(i.initprivs) x
    UNION ALL
    SELECT m.object || ' definition: ' || pg_get_functiondef(m.objid) FROM member m WHERE m.classid = 'pg_proc'::regclass
    UNION ALL
    SELECT m.object || ' type: ' || concat_ws(' ', t.typtype, t.typbasetype::regtype, t.typnotnull, t.typdefault)
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    UNION ALL
    SELECT r.object || ' kind and options: ' || concat_ws(' ', r.relkind, r.relpersistence, r.relreplident, (SELECT array_agg(o ORDER BY o) FROM unnest(r.reloptions) o)) FROM relation r
    UNION ALL
    SELECT r.object || ' view: ' || pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind = 'v'
    UNION ALL
    SELECT r.object || ' column: ' || concat_ws(' ', CASE WHEN r.relkind <> 'r' THEN a.attnum END, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation, a.attnotnull,
                                              a.attstorage, a.attacl, pg_get_expr(d.adbin, d.adrelid))
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind <> 'S'
    UNION ALL
    SELECT r.object || ' sequence: ' || concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqcache,
                                                  (SELECT pg_describe_object(o.refclassid, o.refobjid, o.refobjsubid) FROM pg_depend o
                                                   WHERE o.classid = 'pg_class'::regclass AND o.objid = r.oid AND o.deptype = 'a'))
    FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
    UNION ALL
    SELECT r.object || ' constraint: ' || concat_ws(' ', c.conname, pg_get_constraintdef(c.oid)) FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
    UNION ALL
    SELECT r.object || ' index: ' || concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisvalid)
    FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT r.object || ' trigger: ' || concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled) FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'extension dumps: ' || c.oid::regclass || ' ' || e.extcondition[n]
    FROM pg_extension e, generate_subscripts(e.extconfig, 1) n, pg_class c WHERE e.extname = :'extension' AND c.oid = e.extconfig[n]
    UNION ALL
    SELECT 'extension: ' || concat_ws(' ', e.extversion, e.extnamespace::regnamespace, e.extrelocatable) FROM pg_extension e WHERE e.extname = :'extension'
) x (line) ORDER BY 1;
