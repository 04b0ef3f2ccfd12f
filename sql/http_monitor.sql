--
-- The monitor's routes, and mounting routes of an application.
--
\pset null '(null)'
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.act(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'it broke' USING ERRCODE = 'AB123'; END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('act', input);
    RETURN durable.wait_for_external_event('Go');
END $$;
CREATE FUNCTION app.get(path text, query text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT r.body::jsonb FROM durable.http('GET', '/api/v1/' || path, query) r
$$;
SELECT durable.start('app.patient', jsonb_build_object('n', i), 'p-' || i, tags => jsonb_build_object('odd', i % 2 = 1)) FROM generate_series(1, 5) i;
SELECT durable.start('app.fail', 1, 'f');
CALL durable.drain();
SELECT durable.suspend('p-5', 'for lunch');
SELECT durable.raise_event('p-4', 'Typo', 1);
CALL durable.drain();

-- the list: filters and pages
SELECT e ->> 'instanceId', e ->> 'runtimeStatus', e ->> 'waitingOn', e -> 'waits' -> 0 ->> 'kind', e -> 'waits' -> 0 -> 'line', e -> 'tags', e ->> 'suspendReason'
FROM jsonb_array_elements(app.get('instances') -> 'instances') e;
SELECT (SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(app.get('instances', 'top=1') -> 'instances' -> 0) k);
SELECT app.get('instances', 'top=6') ->> 'next' IS NOT NULL, app.get('instances', 'top=7') ->> 'next' IS NULL;
SELECT e ->> 'instanceId' FROM jsonb_array_elements(app.get('instances', 'top=2&after=' || (app.get('instances', 'top=2') ->> 'next')) -> 'instances') e;
SELECT q, (SELECT string_agg(e ->> 'instanceId', ' ') FROM jsonb_array_elements(app.get('instances', q) -> 'instances') e)
FROM unnest(ARRAY['status=Failed', 'status=Failed,Suspended', 'prefix=p-', 'name=app.fail', 'tags=%7B%22odd%22%3Atrue%7D', 'createdFrom=2999-01-01', 'createdTo=2999-01-01&top=1']) q;
SELECT q, status, body::jsonb ->> 'SqlState' FROM unnest(ARRAY['status=Nonsense', 'tags=nonsense', 'after=nonsense']) q, durable.http('GET', '/api/v1/instances', q);

-- one instance: everything of it
SELECT jsonb_pretty(app.get('instances/p-4') - '{createdTime,lastUpdatedTime,durationMs,computeMs,now,owner}'::text[]
    #- '{waits,0,since}' #- '{bufferedEvents,0,receivedAt}');
SELECT app.get('instances/f') -> 'failure' ->> 'message', app.get('instances/f') -> 'output';
SELECT status FROM durable.http('GET', '/api/v1/instances/none');
SELECT durable.start('app.patient', to_jsonb(repeat('x', 100000)), 'large');
SELECT (app.get('instances/large') -> 'input') - 'beginning'::text, length(app.get('instances/large') -> 'input' ->> 'beginning'), length(app.get('instances/large', 'full=true') ->> 'input');

-- history in pages, calls, source with the line that waits, explanation
SELECT e -> 'seq', e ->> 'eventType', e ->> 'name', e -> 'payload' FROM jsonb_array_elements(app.get('instances/p-1/history') -> 'events') e;
SELECT app.get('instances/p-1/history', 'top=2') -> 'next';
SELECT string_agg(e ->> 'seq', ' ') FROM jsonb_array_elements(app.get('instances/p-1/history', 'top=2&after=1') -> 'events') e;
SELECT e - '{calledAt,answeredAt}'::text[] FROM jsonb_array_elements(app.get('instances/p-1/calls') -> 'calls') e;
SELECT (string_to_array(s ->> 'source', E'\n'))[(s -> 'lines' ->> 0)::integer] FROM app.get('instances/p-1/source') s;
SELECT status, left(body, 20) FROM durable.http('GET', '/api/v1/instances/p-1/explain', 'format=mermaid');
SELECT status, body FROM durable.http('GET', '/api/v1/instances/p-1/explain', 'format=nonsense');

-- what unfinished instances wait for, the rarest first, and those that wait for one thing, page by page
SELECT app.get('waiting') -> 'isPartial';
SELECT e ->> 'name', e ->> 'kind', e ->> 'detail', e -> 'waits', e -> 'overdue', e -> 'retrying', (e ->> 'longestMs')::numeric >= 0 FROM jsonb_array_elements(app.get('waiting') -> 'groups') e;
SELECT jsonb_array_length(app.get('waiting', 'name=app.nothing') -> 'groups');
SELECT p ->> 'next', (SELECT string_agg(e ->> 'instanceId' || ' ' || (e -> 'waits' -> 0 ->> 'detail'), ', ') FROM jsonb_array_elements(p -> 'instances') e)
FROM unnest(ARRAY['kind=event&detail=Go&top=2', 'kind=event&detail=Go&top=2&after=2', 'kind=event&detail=Nothing', 'kind=timer', 'kind=event&detail=Go&name=app.nothing']) q, app.get('waiting', q) p;

-- counts, and what else there is
SELECT count(*) > 0 FROM jsonb_array_elements(app.get('counts') -> 'counts');
SELECT jsonb_typeof(app.get('doctor') -> 'checks'), jsonb_typeof(app.get('workers') -> 'workers'), jsonb_typeof(app.get('registrations') -> 'registrations');
SELECT p, status IN (200, 404), status = 200 OR body LIKE '%has no ' || p || '%' FROM unnest('{schedules,queues,leases,entities}'::text[]) p, durable.http('GET', '/api/v1/' || p);
SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(app.get('about')) k;
SELECT m, p, (durable.http(m, '/api/v1/' || p)).status FROM (VALUES ('GET', ''), ('GET', 'nothing'), ('DELETE', 'instances'), ('POST', 'instances/p-1'), ('GET', 'instances/p-1/nothing'), ('GET', 'bulk')) v (m, p);

-- many at once: each for itself
CREATE FUNCTION app.bulk(input text, type text DEFAULT 'application/json') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.status, r.body) FROM durable.http('POST', '/api/v1/bulk', NULL, input, jsonb_build_object('content-type', type)) r
$$;
SELECT app.bulk('{"action": "terminate", "instanceIds": ["p-1", "none", "f", "p-2"], "reason": "cleaning"}');
CALL durable.drain();
SELECT app.bulk('{"action": "purge", "instanceIds": ["p-1", "p-3"]}');
SELECT app.bulk(b) FROM unnest(ARRAY['{"action": "explode", "instanceIds": []}', '[]', '{"action": "purge"}', '', 'nonsense', '{"action": "purge", "instanceIds": []}']) b;
SELECT app.bulk('{"action": "purge", "instanceIds": []}', 'text/plain');

-- schedules and queues: pausing a schedule changes its job of pg_cron, so test/t/250_schedules.pl does that
CREATE FUNCTION app.act_on(path text, body text DEFAULT NULL, type text DEFAULT 'application/json') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.status, nullif(r.body, '')) FROM durable.http('POST', '/api/v1/' || path, NULL, body, jsonb_build_object('content-type', type)) r
$$;
SELECT durable.register_queue('out & in', 2);
SELECT app.act_on('queues/out%20%26%20in/pause'), app.act_on('Queues/out%20%26%20in/PAUSE', '{}');
SELECT e -> 'is_paused', e -> 'may_control' FROM jsonb_array_elements(app.get('queues') -> 'queues') e WHERE e ->> 'name' = 'out & in';
SELECT app.act_on('queues/out%20%26%20in/unpause');
SELECT e -> 'is_paused' FROM jsonb_array_elements(app.get('queues') -> 'queues') e WHERE e ->> 'name' = 'out & in';
SELECT p, app.act_on(p) FROM unnest('{queues/none/pause,queues/none/trigger,queues/none,queues,queues/none/pause/x,schedules/none/pause,schedules/none/unpause,schedules/none/trigger,schedules/none/explode}'::text[]) p;
SELECT app.act_on('queues/out%20%26%20in/pause', 'a=b', 'text/plain'), app.act_on('schedules/none/trigger', 'a=b', 'application/x-www-form-urlencoded');
SELECT m, (durable.http(m, '/api/v1/queues/none/pause')).status FROM unnest('{GET,PUT,DELETE}'::text[]) m;
INSERT INTO durable.schedule (owner, name, cron, orchestration, input, timezone, overlap, catch_up, seen_until)
    VALUES (current_user::regrole, 'by hand', '0 3 1 1 *', 'app.patient', '1', 'UTC', 'allow', '1 hour', durable.clock());
SELECT e -> 'is_paused', e -> 'may_control' FROM jsonb_array_elements(app.get('schedules') -> 'schedules') e;
SELECT regexp_replace(app.act_on('schedules/by%20hand/trigger'), '@[^"]*', '@TIME');
SELECT count(*) FROM durable.instances WHERE instance_id LIKE 'by hand@%';
-- what belongs to another role
CREATE ROLE regress_http_other;
SELECT durable.grant_usage('regress_http_other');
GRANT USAGE ON SCHEMA app TO regress_http_other;
SET ROLE regress_http_other;
SELECT app.act_on('queues/out%20%26%20in/pause'), app.act_on('schedules/by%20hand/trigger'), app.act_on('schedules/by%20hand/pause');
SELECT durable.register_queue('mine');
SELECT e ->> 'name', e -> 'may_control' FROM jsonb_array_elements(app.get('queues') -> 'queues') e;
SELECT app.act_on('queues/mine/pause');
RESET ROLE;
-- a member of pg_monitor sees all of them and may act on none
GRANT pg_monitor TO regress_http_other;
SET ROLE regress_http_other;
SELECT e ->> 'name', e -> 'may_control' FROM jsonb_array_elements(app.get('queues') -> 'queues') e ORDER BY 1;
SELECT e ->> 'name', e -> 'may_control' FROM jsonb_array_elements(app.get('schedules') -> 'schedules') e;
RESET ROLE;
SELECT durable.unregister_queue(q) FROM unnest('{mine,out & in}'::text[]) q;
DELETE FROM durable.schedule;
SELECT durable.revoke_usage('regress_http_other');
REVOKE USAGE ON SCHEMA app FROM regress_http_other;
DROP OWNED BY regress_http_other;
DROP ROLE regress_http_other;
CREATE ROLE regress_http_only;
SELECT durable.grant_http('regress_http_only');
SET ROLE regress_http_only;
SELECT p, (durable.http('POST', '/api/v1/' || p)).status FROM unnest('{queues/none/pause,schedules/none/trigger}'::text[]) p;
RESET ROLE;
DROP OWNED BY regress_http_only;
DROP ROLE regress_http_only;

-- an application's own routes
CREATE FUNCTION app.shop(method text, path text, query text, body text, headers jsonb) RETURNS durable.http_response LANGUAGE plpgsql AS $$
BEGIN
    IF path = '/break' THEN
        RAISE 'the shop broke' USING ERRCODE = 'AB123', DETAIL = 'a secret';
    ELSIF path = '/refuse' THEN
        RAISE 'no such thing' USING ERRCODE = '22023', DETAIL = 'a secret';
    END IF;
    RETURN ROW(200, '{"X-Shop": "1"}', concat_ws(' ', method, path, query, body, current_user))::durable.http_response;
END $$;
CREATE FUNCTION app.other(method text) RETURNS text LANGUAGE sql RETURN method;
SELECT (durable.http('GET', '/shop/things')).status;
SELECT durable.mount_http('/Shop', 'app.shop(text, text, text, text, jsonb)', 'shop_news');
SELECT * FROM durable.http_mounts() WHERE prefix = '/shop';
SELECT p, (durable.http('get', p, 'a=1', 'b')).body FROM unnest('{/shop,/SHOP/,/shop/x%20y,/shops}'::text[]) p;
SET client_min_messages = error;
SELECT p, status, body FROM unnest('{/shop/break,/shop/refuse}'::text[]) p, durable.http('GET', p);
RESET client_min_messages;
SELECT durable.mount_http('/shop', 'app.other(text)');
SELECT durable.mount_http('/api/v1', 'app.shop(text, text, text, text, jsonb)');
SELECT durable.mount_http('/runtime/webhooks/durabletask/x', 'app.shop(text, text, text, text, jsonb)');
SELECT durable.mount_http('/events', 'app.shop(text, text, text, text, jsonb)');
SELECT durable.mount_http('/', 'app.shop(text, text, text, text, jsonb)');
SELECT durable.mount_http('/a/../b', 'app.shop(text, text, text, text, jsonb)');
SELECT durable.mount_http(NULL, 'app.shop(text, text, text, text, jsonb)');
SELECT durable.mount_http('/x', NULL);
SELECT durable.mount_http('/x', 'app.shop(text, text, text, text, jsonb)', '');
-- the longest prefix counts; a function that is gone answers nothing
SELECT durable.mount_http('/shop/inner', 'app.shop(text, text, text, text, jsonb)');
SELECT (durable.http('GET', '/shop/inner/x')).body;
CREATE ROLE regress_http_shop;
GRANT USAGE ON SCHEMA app TO regress_http_shop;
SELECT durable.grant_http('regress_http_shop');
SET ROLE regress_http_shop;
SELECT (durable.http('GET', '/shop/x')).body;
SELECT durable.mount_http('/mine', 'app.shop(text, text, text, text, jsonb)');
SELECT durable.unmount_http('/shop');
RESET ROLE;
SELECT durable.revoke_usage('regress_http_shop');
REVOKE USAGE ON SCHEMA app FROM regress_http_shop;
DROP ROLE regress_http_shop;
DROP FUNCTION app.shop;
SELECT (durable.http('GET', '/shop/x')).status;
SELECT durable.unmount_http('/SHOP'), durable.unmount_http('/shop'), durable.unmount_http(NULL);
