--
-- Who may do what with the engine: each of its objects is in one of these
-- classes, and a new one that is in none fails this test.
--
--	users		what durable.grant_usage gives
--	operators	nobody but the owner, and whom he grants it one by one
--	tables		nobody, ever
--
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP on
BEGIN;
SELECT plan(47);

CREATE ROLE regress_privileges_user LOGIN;
CREATE ROLE regress_privileges_stranger LOGIN;
CREATE ROLE regress_privileges_watch LOGIN;
GRANT pg_monitor TO regress_privileges_watch;
SELECT durable.grant_usage('regress_privileges_user');

CREATE TEMP TABLE operator_function (name name PRIMARY KEY);
INSERT INTO operator_function VALUES
    ('pause'), ('unpause'), ('adopt'), ('set_quota'), ('grant_usage'), ('revoke_usage'), ('user_functions'), ('worker_functions'), ('replace_registration'), ('replace_queue'),
    ('http_functions'), ('grant_http'), ('mount_http'), ('unmount_http'), ('drop_unused_code');
CREATE TEMP TABLE monitor_function (name name PRIMARY KEY);
INSERT INTO monitor_function VALUES
    ('status'), ('history'), ('doctor'), ('version'), ('may_see'), ('may_read'), ('clock'), ('waits'), ('worker_slots'),
    ('query'), ('explain'), ('calls'), ('progress'), ('stats'), ('source'), ('shorten'), ('mermaid_text'), ('schedule_times');
CREATE TEMP VIEW engine_function AS
SELECT p.oid, p.oid::regprocedure AS signature, p.proname AS name, p.prosecdef, p.proconfig, p.prosrc
FROM pg_proc p WHERE p.pronamespace = 'durable'::regnamespace;
-- What durable.http is made of runs as its caller, and calls what he may call.
INSERT INTO monitor_function SELECT DISTINCT name FROM engine_function WHERE name ~ '^(http|url|grpc)(_|$)' AND name <> 'http_functions';
CREATE TEMP VIEW engine_relation AS
SELECT c.oid, c.oid::regclass AS relation, c.relname AS name, c.relkind, c.reloptions
FROM pg_class c WHERE c.relnamespace = 'durable'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f');

-- the schema
SELECT schema_privs_are('durable', 'regress_privileges_user', ARRAY['USAGE'], 'a user gets into schema durable');
SELECT schema_privs_are('durable', 'regress_privileges_stranger', ARRAY[]::text[], 'a stranger does not');
SELECT schema_privs_are('durable', 'regress_privileges_watch', ARRAY['USAGE'], 'who monitors does');
SELECT is_empty($$SELECT n.nspacl FROM pg_namespace n, aclexplode(n.nspacl) a
                  WHERE n.nspname = 'durable' AND a.grantee = 0$$, 'PUBLIC has nothing on schema durable');

-- functions
SELECT is_empty($$SELECT signature FROM engine_function WHERE has_function_privilege('regress_privileges_stranger', oid, 'EXECUTE')$$,
                'a stranger may call nothing');
SELECT bag_eq($$SELECT signature FROM engine_function WHERE NOT has_function_privilege('regress_privileges_user', oid, 'EXECUTE')$$,
              $$SELECT signature FROM engine_function JOIN operator_function USING (name)$$,
              'a user may call everything but what is for operators');
SELECT bag_eq($$SELECT signature FROM engine_function WHERE has_function_privilege('regress_privileges_watch', oid, 'EXECUTE')$$,
              $$SELECT signature FROM engine_function JOIN monitor_function USING (name)$$,
              'who monitors may call what only looks');
SELECT is_empty($$SELECT name FROM (TABLE operator_function UNION ALL TABLE monitor_function) f
                  WHERE name NOT IN (SELECT name FROM engine_function)$$, 'the classes name functions that are there');
SELECT is_empty($$SELECT f.signature FROM engine_function f JOIN pg_proc p USING (oid), aclexplode(p.proacl) a WHERE a.grantee = 0$$,
                'PUBLIC has EXECUTE on nothing');
SELECT is_empty($$SELECT signature FROM engine_function f JOIN pg_proc p USING (oid) WHERE p.proacl IS NULL$$,
                'no function is left with the default, which is EXECUTE for PUBLIC');
SELECT bag_eq($$SELECT name FROM engine_function WHERE prosecdef$$, ARRAY['grant_usage', 'revoke_usage', 'grant_http', 'mount_http', 'unmount_http', 'http_mounts', 'http_handler']::name[],
              'only seven functions run with their owner''s rights');
SELECT is_empty($$SELECT signature FROM engine_function WHERE prosecdef
                  AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)$$, 'and those with a pinned search_path');

-- tables, sequences, views
SELECT is_empty($$SELECT relation, role, privilege FROM engine_relation,
                  unnest('{regress_privileges_user,regress_privileges_stranger,regress_privileges_watch}'::name[]) role,
                  unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) privilege
                  WHERE relkind = 'r' AND has_table_privilege(role, oid, privilege)$$, 'nobody has any right on a table');
SELECT is_empty($$SELECT relation, attname FROM engine_relation JOIN pg_attribute ON attrelid = oid
                  WHERE relkind = 'r' AND attnum > 0 AND attacl IS NOT NULL$$, 'nor on a column');
SELECT is_empty($$SELECT relation, role, privilege FROM engine_relation,
                  unnest('{regress_privileges_user,regress_privileges_stranger,regress_privileges_watch}'::name[]) role,
                  unnest('{SELECT,USAGE,UPDATE}'::text[]) privilege
                  WHERE relkind = 'S' AND has_sequence_privilege(role, oid, privilege)$$, 'nor on a sequence');
SELECT is_empty($$SELECT relation, role FROM engine_relation, unnest('{regress_privileges_user,regress_privileges_watch}'::name[]) role
                  WHERE relkind = 'v' AND NOT has_table_privilege(role, oid, 'SELECT')$$,
                'a user and who monitors may read the views');
SELECT lives_ok($$SELECT * FROM durable.registrations$$, 'what is registered is a view, too');
SELECT is_empty($$SELECT relation, role, privilege FROM engine_relation,
                  unnest('{regress_privileges_user,regress_privileges_watch}'::name[]) role,
                  unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) privilege
                  WHERE relkind = 'v' AND has_table_privilege(role, oid, privilege)$$, 'and only read them');
SELECT is_empty($$SELECT relation, privilege FROM engine_relation, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) privilege
                  WHERE relkind = 'v' AND has_table_privilege('regress_privileges_stranger', oid, privilege)$$,
                'a stranger may not read the views');
SELECT is_empty($$SELECT relation FROM engine_relation WHERE relkind NOT IN ('r', 'v', 'S')$$, 'there are tables, views and sequences only');
SELECT is_empty($$SELECT relation FROM engine_relation WHERE relkind = 'v' AND name IN ('instances', 'waiting', 'buffered_events')
                  AND NOT coalesce('security_barrier=true' = ANY (reloptions), false)$$, 'views of instances are security barriers');
SELECT is_empty($$SELECT relation FROM engine_relation c WHERE relkind IN ('r', 'S')
                  AND NOT EXISTS (SELECT FROM pg_extension e WHERE extname = 'durable' AND c.oid = ANY (extconfig))$$,
                'every table and sequence is dumped');

-- everything has a comment and belongs to the extension
SELECT is_empty($$SELECT signature FROM engine_function WHERE obj_description(oid, 'pg_proc') IS NULL$$, 'every function has a comment');
SELECT is_empty($$SELECT relation FROM engine_relation WHERE relkind <> 'S' AND obj_description(oid, 'pg_class') IS NULL$$,
                'every table and view has a comment');
SELECT is_empty($$SELECT t.oid::regtype FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
                  WHERE t.typnamespace = 'durable'::regnamespace AND (t.typtype = 'd' OR c.relkind = 'c')
                  AND coalesce(obj_description(t.oid, 'pg_type'), obj_description(c.oid, 'pg_class')) IS NULL$$, 'every type has a comment');
SELECT is_empty($$SELECT signature FROM engine_function f WHERE NOT EXISTS
                  (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')$$,
                'every function belongs to the extension');
SELECT is_empty($$SELECT name FROM engine_function GROUP BY name HAVING count(*) > 1$$, 'no function is overloaded');
SELECT is_empty($$SELECT relation, attname FROM engine_relation JOIN pg_attribute ON attrelid = oid
                  WHERE relkind = 'r' AND attnum > 0 AND atttypid = ANY
                  ('{regproc,regprocedure,regoper,regoperator,regconfig,regdictionary,regnamespace,regcollation}'::regtype[])$$,
                'no column is of a type that blocks pg_upgrade');

-- as these roles, in earnest
SET LOCAL SESSION AUTHORIZATION regress_privileges_stranger;
SELECT throws_ok($$SELECT durable.start('x')$$, '42501', NULL, 'a stranger cannot start');
SELECT throws_ok($$SELECT * FROM durable.instances$$, '42501', NULL, 'nor look');
SELECT throws_ok($$SELECT durable.doctor()$$, '42501', NULL, 'nor ask the doctor');
SET LOCAL SESSION AUTHORIZATION regress_privileges_user;
SELECT throws_ok($$SELECT durable.start('no such orchestration')$$, '42883', NULL, 'a user gets as far as being told of his mistake');
SELECT lives_ok($$SELECT * FROM durable.instances$$, 'a user may look at instances');
SELECT lives_ok($$SELECT * FROM durable.waiting$$, 'at what they wait for');
SELECT lives_ok($$SELECT * FROM durable.buffered_events$$, 'at events');
SELECT lives_ok($$SELECT * FROM durable.workers$$, 'at workers');
SELECT lives_ok($$SELECT * FROM durable.doctor()$$, 'and may ask the doctor');
SELECT throws_ok($$INSERT INTO durable.instance (key, instance_id, owner, name, handler, created_at, updated_at)
                   VALUES (1, 'forged', 'postgres', 'x', 'x', now(), now())$$, '42501', NULL, 'a user cannot forge an instance');
SELECT throws_ok($$UPDATE durable.instances SET owner = 'regress_privileges_user'$$, '42501', NULL, 'nor take one');
SELECT throws_ok($$DELETE FROM durable.inbox$$, '42501', NULL, 'nor delete messages');
SELECT throws_ok($$SELECT durable.pause()$$, '42501', NULL, 'nor pause the engine');
SELECT throws_ok($$SELECT durable.grant_usage('regress_privileges_stranger')$$, '42501', NULL, 'nor let others in');
SET LOCAL SESSION AUTHORIZATION regress_privileges_watch;
SELECT lives_ok($$SELECT * FROM durable.instances$$, 'who monitors may look');
SELECT throws_ok($$SELECT durable.start('x')$$, '42501', NULL, 'but not start');
RESET SESSION AUTHORIZATION;

-- and back
SELECT durable.revoke_usage('regress_privileges_user');
SELECT schema_privs_are('durable', 'regress_privileges_user', ARRAY[]::text[], 'revoke_usage takes the schema back');
SELECT is_empty($$SELECT signature FROM engine_function WHERE has_function_privilege('regress_privileges_user', oid, 'EXECUTE')$$,
                'the functions');
SELECT is_empty($$SELECT relation FROM engine_relation WHERE relkind = 'v' AND has_table_privilege('regress_privileges_user', oid, 'SELECT')$$,
                'and the views');

SELECT * FROM finish();
ROLLBACK;
