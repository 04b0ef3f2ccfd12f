--
-- The game over HTTP: the original's routes, and those of the page.
--
\pset null '(null)'
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION ask(method text, path text, body text DEFAULT NULL, query text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.status, nullif(r.body, '')) FROM durable.http(method, path, query, body, '{"content-type": "text/plain;charset=UTF-8"}') r
$$;
SELECT * FROM durable.http_mounts();

-- a whole game, without regard to case, with a name that needs care
SELECT ask('POST', '/api/NewUser', '{"name": "Pat & <b>"}');
SELECT ask('POST', '/api/newuser', '{"name": "Pat & <b>"}');
SELECT ask('GET', '/api/GameStatus/nobody');
CALL durable.drain();
SELECT ask('GET', '/API/checkstatus/Pat%20%26%20%3Cb%3E/userMonitorWorkflow') ~ '^200 {"created" : "[0-9T:.-]+Z", "status" : "Running"}$';
SELECT w, ask('GET', '/api/CheckStatus/Pat%20%26%20%3Cb%3E/' || w) ~ '^200 ' AS is_there
FROM unnest('{UserConfirmationWorkflow,UserMonitorWorkflow,GameMonitorWorkflow,RunUserParallelWorkflow,RunUserSequentialWorkflow,NoWorkflow}'::text[]) w;
SELECT ask('POST', '/api/ConfirmUser', '{"Name": "Pat & <b>"}');
CALL durable.drain();
SELECT ask('POST', '/api/ConfirmUser', '{"name": "Pat & <b>"}');
SELECT ask('POST', '/api/ConfirmUser', '{"name": "nobody"}');
CREATE TEMP VIEW game AS SELECT (durable.http('GET', '/api/GameStatus/Pat%20%26%20%3Cb%3E')).body::jsonb AS g;
SELECT g -> 'user' ->> 'isAlive', g -> 'monster' ->> 'isAlive', g -> 'user' ->> 'currentRoom' = g -> 'room' ->> 'name' FROM game;
SELECT ask('POST', '/api/Action', jsonb_build_object('name', 'Pat & <b>', 'action', 'get', 'target', g -> 'room' ->> 'inventoryItems')::text) FROM game;
SELECT ask('POST', '/api/Action', jsonb_build_object('name', 'Pat & <b>', 'action', 'kill', 'target', g -> 'room' ->> 'monster', 'with', g -> 'user' ->> 'inventoryItems')::text) FROM game;
SELECT ask('POST', '/api/Action', jsonb_build_object('name', 'Pat & <b>', 'action', 'get', 'target', g -> 'room' ->> 'inventoryItems')::text) FROM game;
SELECT cardinality(string_to_array(g -> 'user' ->> 'inventoryItems', ',')) FROM game;
CALL durable.drain();
SELECT ask('GET', '/api/CheckStatus/Pat%20%26%20%3Cb%3E/GameMonitorWorkflow') LIKE '%"Completed"%';

-- refusals are plain text
SELECT ask('POST', '/api/Action', b) FROM unnest(ARRAY['{"name": "nobody", "action": "get"}', '[]', 'nonsense', '', '{"name": null}']) b;
SELECT r.headers FROM durable.http('POST', '/api/Action', NULL, '{"name": "nobody"}') r;
SELECT ask(m, p) FROM (VALUES ('GET', '/api/NewUser'), ('DELETE', '/api/GameStatus/x'), ('GET', '/api/Nothing'), ('GET', '/api'), ('GET', '/api/CheckStatus/x')) v (m, p);

-- what the page asks for
SELECT e ->> 'workflow', e ->> 'status', e -> 'waits' -> 0 ->> 'kind'
FROM durable.http('GET', '/api/Workflows/Pat%20%26%20%3Cb%3E') r, jsonb_array_elements(r.body::jsonb -> 'workflows') e;
SELECT jsonb_array_length(body::jsonb -> 'workflows') FROM durable.http('GET', '/api/Workflows/nobody');
SELECT e ->> 'workflow', e ->> 'status', (SELECT string_agg(c ->> 'kind' || ' ' || coalesce(c ->> 'name', '') || ' ' || (c ->> 'state'), ', ') FROM jsonb_array_elements(e -> 'calls') c)
FROM durable.http('GET', '/api/Timeline/Pat%20%26%20%3Cb%3E') r, jsonb_array_elements(r.body::jsonb -> 'workflows') e ORDER BY 1;
SELECT body::jsonb -> 'workflows' FROM durable.http('GET', '/api/Timeline/nobody');
SELECT body::jsonb ->> 'source' LIKE '%MonitorUser%' FROM durable.http('GET', '/api/Source/UserMonitorWorkflow');
SELECT ask('GET', '/api/Source/pg_sleep');

-- a player's requests read the instances of his game, and not all that there are
SELECT count(durable.start('GameMonitorWorkflow', 'x', start_at => '2999-01-01')) FROM generate_series(1, 2000);
ANALYZE durable.instance;
BEGIN;
SELECT seq_tup_read + idx_tup_fetch AS before FROM pg_stat_xact_all_tables WHERE relid = 'durable.instance'::regclass \gset
SELECT status FROM unnest('{Workflows/Pat%20%26%20%3Cb%3E,Timeline/Pat%20%26%20%3Cb%3E,CheckStatus/Pat%20%26%20%3Cb%3E/UserMonitorWorkflow}'::text[]) p, durable.http('GET', '/api/' || p);
SELECT seq_tup_read + idx_tup_fetch - :before < 500 FROM pg_stat_xact_all_tables WHERE relid = 'durable.instance'::regclass;
COMMIT;

SELECT l ->> 'message' FROM durable.http('GET', '/api/Console', 'player=Pat+%26+%3Cb%3E&after=0') r, jsonb_array_elements(r.body::jsonb -> 'lines') WITH ORDINALITY AS e (l, n) WHERE n = 1;
SELECT jsonb_array_length(body::jsonb -> 'lines') FROM durable.http('GET', '/api/Console', 'after=99999999999');
SELECT body::jsonb -> 'players' -> 0 ->> 'name' FROM durable.http('GET', '/api/Players');
SELECT l ~ '^# \d+ \d+ \d+$' OR l ~ '^\d+ (Pat%20%26%20%3Cb%3E|-|nobody) \{"id" : \d+, ', count(*) > 5
FROM durable.http('GET', '/api/events', 'after=0') r, string_to_table(rtrim(r.body, E'\n'), E'\n') l GROUP BY 1;

-- a hero who has won, one who is at the gate, one who is inside, one who is dead
SELECT ask('POST', '/api/NewUser', format('{"name": "%s"}', n)) FROM unnest('{Gail,Ines,Dora}'::text[]) n;
SELECT e ->> 'name', e -> 'isAlive', e -> 'hasWon' FROM durable.http('GET', '/api/Players') r, jsonb_array_elements(r.body::jsonb -> 'players') e WHERE e ->> 'name' <> 'nobody' ORDER BY 1;
CALL durable.drain();
SELECT ask('POST', '/api/ConfirmUser', '{"name": "Ines"}');
CALL durable.drain();
SELECT dungeon.world_kill_player('Dora');
SELECT e ->> 'name', e -> 'isAlive', e -> 'hasWon' FROM durable.http('GET', '/api/Players') r, jsonb_array_elements(r.body::jsonb -> 'players') e WHERE e ->> 'name' <> 'nobody' ORDER BY 1;

-- a role that may play and be asked, and nothing else
CREATE ROLE regress_web;
SELECT durable.grant_http('regress_web');
SET ROLE regress_web;
SELECT (durable.http('GET', '/api/GameStatus/nobody')).status;
RESET ROLE;
SELECT dungeon.grant_play('regress_web');
SET ROLE regress_web;
SELECT (durable.http('GET', '/api/GameStatus/nobody')).status, (durable.http('GET', '/api/v1/instances')).status;
RESET ROLE;
DROP OWNED BY regress_web;
DROP ROLE regress_web;
DROP EXTENSION durable_dungeon CASCADE;
SELECT (durable.http('GET', '/api/GameStatus/nobody')).status;
