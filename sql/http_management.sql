--
-- The HTTP management API: routes, statuses, headers and payloads, without a gateway.
-- The cases are those of HttpApiHandlerTests of Durable Functions, by behaviour.
--
\pset null '(null)'
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.echo(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'it broke' USING ERRCODE = 'AB123'; END $$;
CREATE FUNCTION app.act(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN to_jsonb('Hello ' || (input ->> 0)); END $$;
CREATE FUNCTION app.greet(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.call_activity('act', jsonb_build_array(input)); END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
SELECT durable.register_orchestration('Greet', 'app.greet(jsonb)', version => '2');
SELECT durable.register_orchestration('Patient', 'app.patient(jsonb)');

-- request(): status, headers that matter, and the body with what differs from run to run taken out; of the engine's own
-- errors only the SQLSTATE
CREATE FUNCTION app.request(method text, path text, query text DEFAULT NULL, body text DEFAULT NULL, headers jsonb DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(E'\n', r.status, nullif(r.headers - 'Content-Type', '{}')::text, nullif(x.body, ''))
    FROM durable.http(method, CASE WHEN path LIKE '/%' THEN path ELSE '/runtime/webhooks/durabletask/' || path END, query, body,
                      '{"host": "localhost:7071", "content-type": "application/json"}'::jsonb || coalesce(headers, '{}')) r,
         regexp_replace(replace(r.body, current_database(), 'DB'), '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z', 'TIME\1', 'g') AS b (body),
         regexp_replace(b.body, 'TIME\.\d+', 'TIME.MS', 'g') AS c (body),
         regexp_replace(c.body, '^\{"Message":"(?!Inval|InstanceId|A non).*","SqlState":"(\w+)".*\}$', 'an error with SQLSTATE \1') AS x (body)
$$;

-- CreateCheckStatusResponse: 202, the payload, Location and Retry-After; no key comes back
SELECT regexp_replace(app.request('POST', 'orchestrators/Patient/a%20b', 'taskHub=SampleHub&connection=Store&code=mykey', '{"a": 1}'), '", "', E'",\n"', 'g');
SELECT replace(app.request('POST', 'orchestrators/Patient/default', '', NULL, '{"host": "example.com", "x-forwarded-proto": "https"}'), current_database(), 'DB') LIKE '%"https://example.com/runtime/webhooks/durabletask/instances/default?taskHub=DB&connection=Storage"%';
-- an id of our own has 32 hexadecimal digits
SELECT (body::jsonb ->> 'id') ~ '^[0-9a-f]{32}$', status FROM durable.http('POST', '/runtime/webhooks/durabletask/orchestrators/Patient');
-- the id is taken by an instance that runs: conflict; by one that has ended: it is replaced
SELECT app.request('POST', 'orchestrators/Patient/a%20b');
SELECT (app.request('POST', 'orchestrators/app.echo/again', '', '1')) LIKE '202%';
CALL durable.drain();
SELECT (app.request('POST', 'orchestrators/app.echo/again', '', '2')) LIKE '202%';
CALL durable.drain();
SELECT app.request('GET', 'instances/again');
-- refused: unknown orchestration, JSON that is none, a version that is none, ids of entities, a form
SELECT app.request('POST', 'orchestrators/Nobody', '', '1');
SELECT app.request('POST', 'orchestrators/Greet', '', '{"a": ');
SELECT app.request('POST', 'orchestrators/Greet', '', repeat('[', 100000)) LIKE E'400\n%Invalid JSON content%';
SELECT app.request('POST', 'orchestrators/Greet', 'version=7', '1');
SELECT app.request('POST', 'orchestrators/Greet/%40counter%40x', '', '1');
SELECT app.request('POST', 'orchestrators/Greet', '', 'a=1', jsonb_build_object('content-type', t))
FROM unnest(ARRAY['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'TEXT/PLAIN;charset=utf-8']) t;
SELECT app.request('POST', 'orchestrators/Greet/' || repeat('x', 1025));
-- wait mode: the gateway is told where to look, and for how long
SELECT headers - 'Content-Type' - 'Location' FROM durable.http('POST', '/runtime/webhooks/durabletask/orchestrators/Greet/wait', 'timeout=10&pollingInterval=3', '"you"');
SELECT headers - 'Content-Type' - 'Location' FROM durable.http('POST', '/runtime/webhooks/durabletask/orchestrators/Greet/nowait', 'timeout=10', '"you"');
SELECT headers - 'Content-Type' - 'Location' FROM durable.http('POST', '/runtime/webhooks/durabletask/orchestrators/app.fail/flag', 'timeout=1.5&pollingInterval=1&returnInternalServerErrorOnFailure=true', '1');
SELECT left(app.request('GET', '/api/v1/instances/wait/result'), 3);
CALL durable.drain();
SELECT app.request('GET', '/api/v1/instances/wait/result');
SELECT app.request('GET', '/api/v1/instances/flag/result', 'returnInternalServerErrorOnFailure=true');
SELECT app.request('GET', '/api/v1/instances/flag/result');

-- status: running, completed, failed with and without the flag, terminated, suspended, missing
SELECT app.request('GET', 'instances/a%20b', 'taskHub=T&code=mykey&showHistory=false&CODE=2');
SELECT app.request('GET', 'instances/wait');
SELECT app.request('GET', 'INSTANCES/wait', 'showInput=false');
SELECT app.request('GET', 'instances/flag');
SELECT left(app.request('GET', 'instances/flag', 'returnInternalServerErrorOnFailure=' || v), 3) FROM unnest('{true,True,false,1,""}'::text[]) v;
SELECT app.request('GET', 'instances/nothing');
SELECT app.request('POST', 'instances/default/suspend', 'reason=lunch');
CALL durable.drain();
SELECT app.request('GET', 'instances/default');
SELECT app.request('POST', 'instances/default/resume', 'reason=');
SELECT app.request('POST', 'instances/default/terminate', 'reason=too+late%21');
CALL durable.drain();
SELECT app.request('GET', 'instances/default');
-- history: calls are folded into their answers; results and inputs when asked for
SELECT regexp_replace(app.request('GET', 'instances/wait', 'showHistory=true&showHistoryOutput=true'), '\}, \{', E'},\n{', 'g');
SELECT regexp_replace(app.request('GET', 'instances/wait', 'showHistory=true&showInput=false'), '\}, \{', E'},\n{', 'g');
SELECT regexp_replace(app.request('GET', 'instances/flag', 'showHistory=true&showHistoryOutput=true'), '\}, \{', E'},\n{', 'g');
SELECT regexp_replace(app.request('GET', 'instances/default', 'showHistory=true'), '\}, \{', E'},\n{', 'g');

-- finished instances are gone; those that are not there are not found
SELECT o, app.request('POST', 'instances/wait/' || o), left(app.request('POST', 'instances/nothing/' || o), 3)
FROM unnest('{terminate,suspend,resume,rewind,raiseEvent/Go}'::text[]) o;
-- rewinding
SELECT app.request('POST', 'instances/a%20b/rewind');
SELECT app.request('POST', 'instances/flag/rewind', 'reason=again');
CALL durable.drain();
SELECT app.request('GET', 'instances/flag');

-- events: JSON and nothing else
SELECT app.request('POST', 'instances/a%20b/raiseEvent/Go', '', '{"a": 1}', jsonb_build_object('content-type', t))
FROM unnest(ARRAY['application/xml', NULL, 'text/plain', 'application/json; charset=utf-8x/']) WITH ORDINALITY AS u (t, n) WHERE n < 4 ORDER BY n;
SELECT app.request('POST', 'instances/a%20b/raiseEvent/Go', '', '{"a": ');
SELECT app.request('POST', 'instances/a%20b/RAISEEVENT/Go', '', '{"a": [1, null]}', '{"content-type": "Application/JSON; charset=utf-8"}');
CALL durable.drain();
SELECT app.request('GET', 'instances/a%20b');

-- restart: with a new id unless told otherwise
SELECT status, body::jsonb ->> 'id' <> 'wait' FROM durable.http('POST', '/runtime/webhooks/durabletask/instances/wait/restart');
SELECT status, body::jsonb ->> 'id' FROM durable.http('POST', '/runtime/webhooks/durabletask/instances/wait/restart', 'restartWithNewInstanceId=false');
SELECT app.request('POST', 'instances/nothing/restart');
SELECT app.request('POST', 'instances/wait/restart', 'restartWithNewInstanceId=false');
CALL durable.drain();

-- lists: statuses, times, prefixes, pages
SELECT app.request('GET', 'instances', 'instanceIdPrefix=fl&showInput=false');
SELECT count(*) FROM durable.http('GET', '/runtime/webhooks/durabletask/instances') r, jsonb_array_elements(r.body::jsonb);
SELECT e ->> 'instanceId', e ->> 'runtimeStatus'
FROM durable.http('GET', '/runtime/webhooks/durabletask/instances', 'runtimeStatus=failed,Terminated&runtimeStatus=nonsense') r, jsonb_array_elements(r.body::jsonb) e ORDER BY 1;
SELECT app.request('GET', 'instances', 'createdTimeFrom=2999-01-01T00:00:00Z');
SELECT app.request('GET', 'instances', 'createdTimeTo=999-1-1');
SELECT left(app.request('GET', 'instances', 'createdTimeFrom=2999-13-77&top=nonsense'), 3);
CREATE FUNCTION app.pages(size integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    r durable.http_response;
    token text := '';
BEGIN
    LOOP
        r := durable.http('GET', '/runtime/webhooks/durabletask/instances', 'top=' || size, NULL, jsonb_build_object('x-ms-continuation-token', token));
        RETURN QUERY SELECT e ->> 'instanceId' FROM jsonb_array_elements(r.body::jsonb) e;
        token := r.headers ->> 'x-ms-continuation-token';
        EXIT WHEN token = '';
    END LOOP;
END $$;
SELECT s, count(*) = (SELECT count(*) FROM durable.instances), count(DISTINCT p) = count(*) FROM unnest('{1,2,3,100}'::integer[]) s, app.pages(s) p GROUP BY s ORDER BY s;
SELECT app.request('GET', 'instances', '', NULL, '{"x-ms-continuation-token": "nonsense"}');

-- purging: one, and by filter
SELECT app.request('DELETE', 'instances/nothing');
SELECT (app.request('POST', 'orchestrators/Patient/busy')) LIKE '202%';
SELECT app.request('DELETE', 'instances/busy');
SELECT app.request('DELETE', 'instances/wait');
SELECT app.request('DELETE', 'instances/wait');
SELECT app.request('DELETE', 'instances');
SELECT app.request('DELETE', 'instances', 'createdTimeFrom=never');
SELECT app.request('DELETE', 'instances', 'createdTimeFrom=2000-01-01&createdTimeTo=whenever');
SELECT app.request('DELETE', 'instances', 'createdTimeFrom=2000-01-01&runtimeStatus=Running');
SELECT app.request('DELETE', 'instances', 'createdTimeFrom=2000-01-01&createdTimeTo=2001-01-01');
SELECT app.request('DELETE', 'instances', 'createdTimeFrom=2000-01-01T00:00:00Z&runtimeStatus=Terminated');
SELECT app.request('DELETE', 'instances', 'createdTimeFrom=2000-01-01');
CALL durable.drain();
SELECT DISTINCT runtime_status FROM durable.instances;

-- what is no route is not found, whatever the verb
SELECT m, p, app.request(m, p) FROM (VALUES ('GET', 'orchestrators/Greet'), ('PUT', 'instances/busy'), ('POST', 'instances'), ('POST', 'instances/busy/explode'),
    ('GET', 'instances/busy/terminate'), ('POST', 'makeprimary'), ('GET', ''), ('GET', 'instances/busy/raiseEvent/Go'), ('POST', 'orchestrators'), ('POST', 'orchestrators/a/b/c')) v (m, p);
-- bytes that are no text, ids with everything in them
SELECT app.request('GET', 'instances/%00');
SELECT app.request('GET', 'instances/%ff%fe');
SELECT left(app.request('POST', 'orchestrators/Patient/' || durable.url_encode('a/b?c#d"e<é>%2F')), 3);
SELECT (durable.http('GET', '/runtime/webhooks/durabletask/instances/' || durable.url_encode('a/b?c#d"e<é>%2F'))).body::jsonb ->> 'instanceId';
SELECT left(app.request('GET', 'instances/100%25', 'x=%zz&%=%'), 3);
SELECT durable.url_query('a=1&A=2&b=%C3%A9+x&c&=5&&d=1=2'), durable.url_query(NULL), durable.url_decode('%zz%41%'), durable.url_encode('é /&');

-- others' instances do not exist
CREATE ROLE regress_http LOGIN;
SELECT durable.grant_usage('regress_http');
SET ROLE regress_http;
SELECT left(durable.http('GET', '/runtime/webhooks/durabletask/instances/busy')::text, 6),
       left(durable.http('POST', '/runtime/webhooks/durabletask/instances/busy/terminate')::text, 6),
       durable.http('DELETE', '/runtime/webhooks/durabletask/instances', 'createdTimeFrom=2000-01-01')::text;
RESET ROLE;
-- a role that may do nothing but be asked
SELECT durable.revoke_usage('regress_http');
SELECT durable.grant_http('regress_http');
SET ROLE regress_http;
SELECT status, body FROM durable.http('GET', '/runtime/webhooks/durabletask/instances/busy');
SELECT status FROM durable.http('POST', '/runtime/webhooks/durabletask/orchestrators/Greet', '', '1');
SELECT status FROM durable.http('GET', '/api/v1/instances');
SELECT status FROM durable.http('GET', '/nowhere');
RESET ROLE;
SELECT durable.revoke_usage('regress_http');
DROP ROLE regress_http;
