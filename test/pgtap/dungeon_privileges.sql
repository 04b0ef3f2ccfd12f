--
-- Who may do what with the game: the owner everything, a player what
-- dungeon.grant_play gives, everybody else nothing.
--
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP on
BEGIN;
SELECT plan(75);

CREATE ROLE regress_dungeon_pl;
CREATE ROLE regress_dungeon_st;
SELECT n.nspname AS players FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'durable_dungeon' \gset
SELECT lives_ok($$SELECT dungeon.grant_play('regress_dungeon_pl')$$, 'the owner lets a role play');

-- the players' functions: signature, result, whose rights
SELECT function_returns(:'players', 'dd_new_user', ARRAY['text'], 'dungeon.reply');
SELECT function_returns(:'players', 'dd_confirm', ARRAY['text'], 'dungeon.reply');
SELECT function_returns(:'players', 'dd_action', ARRAY['text', 'text', 'text', 'text'], 'dungeon.reply');
SELECT function_returns(:'players', 'dd_status', ARRAY['text'], 'jsonb');
SELECT function_returns(:'players', 'dd_check_status', ARRAY['text', 'text'], 'setof record');
SELECT function_returns(:'players', 'dd_time_left', ARRAY['text'], 'interval');
SELECT is_definer(:'players', p.proname, format('%s runs as the owner', p.proname))
FROM pg_proc p WHERE p.pronamespace = :'players'::regnamespace AND p.proname ~ '^dd_' ORDER BY p.proname;
SELECT is((SELECT array_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
           FROM pg_attribute a WHERE a.attrelid = 'dungeon.reply'::regclass),
          ARRAY['ok boolean', 'http_status integer', 'message text'], 'a reply is ok, http_status, message');
SELECT is(p.proargnames[1:p.pronargs], a.names, format('parameters of %s', p.proname))
FROM (VALUES ('dd_action', ARRAY['name', 'action', 'target', 'weapon']),
             ('dd_check_status', ARRAY['name', 'workflow']),
             ('dd_confirm', ARRAY['name']),
             ('dd_new_user', ARRAY['name']),
             ('dd_status', ARRAY['name']),
             ('dd_time_left', ARRAY['name'])) AS a (proname, names)
JOIN pg_proc p ON p.proname = a.proname AND p.pronamespace = :'players'::regnamespace
ORDER BY a.proname;

-- everybody else
SELECT schema_privs_are('dungeon', 'regress_dungeon_st', ARRAY[]::text[], 'a stranger does not get into schema dungeon');
SELECT table_privs_are('dungeon', c.relname, 'regress_dungeon_st', ARRAY[]::text[], format('a stranger and table %s', c.relname))
FROM pg_class c WHERE c.relnamespace = 'dungeon'::regnamespace AND c.relkind = 'r' ORDER BY c.relname;
SELECT function_privs_are(:'players', p.proname, p.proargtypes::regtype[]::text[], 'regress_dungeon_st', ARRAY[]::text[],
                          format('a stranger and %s', p.proname))
FROM pg_proc p WHERE p.pronamespace = :'players'::regnamespace AND p.proname ~ '^dd_' ORDER BY p.proname;
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p
                  WHERE p.pronamespace = 'dungeon'::regnamespace
                    AND has_function_privilege('regress_dungeon_st', p.oid, 'EXECUTE')$$,
                'a stranger may call nothing in schema dungeon');

-- the player
SELECT schema_privs_are('dungeon', 'regress_dungeon_pl', ARRAY['USAGE'], 'a player finds schema dungeon');
SELECT table_privs_are('dungeon', c.relname, 'regress_dungeon_pl',
                       CASE c.relname WHEN 'console' THEN ARRAY['SELECT'] ELSE ARRAY[]::text[] END,
                       format('a player and table %s', c.relname))
FROM pg_class c WHERE c.relnamespace = 'dungeon'::regnamespace AND c.relkind = 'r' ORDER BY c.relname;
SELECT sequence_privs_are('dungeon', 'console_id_seq', 'regress_dungeon_pl', ARRAY[]::text[], 'a player and the numbering');
SELECT function_privs_are(:'players', p.proname, p.proargtypes::regtype[]::text[], 'regress_dungeon_pl', ARRAY['EXECUTE'],
                          format('a player and %s', p.proname))
FROM pg_proc p WHERE p.pronamespace = :'players'::regnamespace AND p.proname ~ '^dd_' ORDER BY p.proname;
SELECT results_eq($$SELECT p.proname FROM pg_proc p
                  WHERE p.pronamespace = 'dungeon'::regnamespace
                    AND has_function_privilege('regress_dungeon_pl', p.oid, 'EXECUTE')$$, ARRAY['http'::name],
                'a player may call nothing else in schema dungeon but the same by HTTP');

-- in his own words
SET LOCAL ROLE regress_dungeon_pl;
SELECT ok((:players.dd_new_user('pgTAP Pat')).ok, 'a player begins a game');
SELECT is((:players.dd_new_user('pgTAP Pat')).http_status, 400, 'but not the same one again');
SELECT is((:players.dd_confirm('pgTAP Nobody')).http_status, 400, 'a name nobody has');
SELECT is((:players.dd_confirm('pgTAP Pat')).http_status, 404, 'a confirmation nobody waits for');
SELECT is((:players.dd_action('pgTAP Pat', 'get', 'x')).http_status, 400, 'an action before the player exists');
SELECT is(:players.dd_status('pgTAP Pat'), NULL, 'no status before the player exists');
SELECT is((SELECT status FROM :players.dd_check_status('pgTAP Pat', 'RunUserParallelWorkflow')), 'Pending', 'the workflow waits for the commit');
SELECT is((SELECT created IS NOT NULL FROM :players.dd_check_status('pgTAP Pat', 'UserMonitorWorkflow')), true, 'so does the monitor');
SELECT is_empty(format($$SELECT * FROM %I.dd_check_status('pgTAP Pat', 'GameMonitorWorkflow')$$, :'players'), 'the game has no monitor yet');
SELECT is((SELECT count(*) FROM dungeon.console WHERE player LIKE 'pgTAP %'), 5::bigint, 'all of it is on the console, refusals too');
SELECT throws_ok($$INSERT INTO dungeon.console (player, message) VALUES ('Pat', 'has won')$$, '42501', NULL, 'nobody forges the console');
SELECT throws_ok($$DELETE FROM dungeon.console$$, '42501', NULL, 'nobody tidies the console');
SELECT throws_ok($$SELECT * FROM dungeon.item$$, '42501', NULL, 'the world is seen through dd_status only');
SELECT throws_ok($$SELECT dungeon.open_game('pgTAP Pat', 'GameMonitorWorkflow', 'x')$$, '42501', NULL, 'activities are not for players');
SELECT throws_ok($$SELECT dungeon.grant_play('regress_dungeon_st')$$, '42501', NULL, 'players do not let others in');
SELECT throws_ok($$SELECT durable.start('UserMonitorWorkflow', 'Pat'::text)$$, '42501', NULL, 'the engine is not for players');
SET LOCAL ROLE regress_dungeon_st;
SELECT throws_ok(format($$SELECT %I.dd_new_user('pgTAP Sly')$$, :'players'), '42501', NULL, 'a stranger does not play');
SELECT throws_ok($$SELECT * FROM dungeon.console$$, '42501', NULL, 'and does not listen');
RESET ROLE;

-- hygiene
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p
                  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'durable_dungeon'
                  WHERE NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
                     OR obj_description(p.oid, 'pg_proc') IS NULL$$,
                'every function of the game has a fixed search path and a comment');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c
                  WHERE c.relnamespace = 'dungeon'::regnamespace AND c.relkind IN ('r', 'S')
                    AND NOT c.oid = ANY ((SELECT extconfig FROM pg_extension WHERE extname = 'durable_dungeon')::oid[])$$,
                'a dump takes along every table of the game');

SELECT * FROM finish();
ROLLBACK;
