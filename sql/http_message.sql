--
-- durable.http_message gives the responses of durable.http, also where it does not ask it.
--
\pset null '(null)'
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA app;
SET search_path TO app, public;
SET track_functions TO 'pl';
CREATE FUNCTION app.echo(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'it "broke"' USING ERRCODE = 'AB123'; END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.set_custom_status(input -> 'status');
    RETURN durable.wait_for_external_event('Go');
END $$;
CREATE ROLE regress_http_one LOGIN;
CREATE ROLE regress_http_two LOGIN;
CREATE ROLE regress_http_monitor;
CREATE ROLE regress_http_gate;
SELECT durable.grant_usage('regress_http_one'), durable.grant_usage('regress_http_two'), durable.grant_http('regress_http_gate');
GRANT pg_monitor TO regress_http_monitor;
GRANT USAGE ON SCHEMA app TO PUBLIC;

-- both(): the response of durable.http_message if it is that of durable.http, else both; and whether durable.http was asked
CREATE FUNCTION app.line_by_line(response durable.http_response) RETURNS text LANGUAGE sql AS $$
    SELECT response.status || E'\n'
           || coalesce((SELECT string_agg(translate(h.key || ': ' || h.value, E'\r\n', '  ') || E'\n', '') FROM jsonb_each_text(response.headers) h), '')
           || E'\n' || response.body
$$;
CREATE FUNCTION app.calls() RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(sum(calls), 0) FROM pg_stat_xact_user_functions WHERE schemaname = 'durable'
$$;
CREATE FUNCTION app.both(path text, query text DEFAULT NULL, role text DEFAULT 'regress_http_one', headers jsonb DEFAULT '{"host": "localhost:7071"}',
                         method text DEFAULT 'GET', body text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    expected text;
    before bigint;
    after bigint;
BEGIN
    path := CASE WHEN path LIKE '/%' THEN path ELSE '/runtime/webhooks/durabletask/instances/' || path END;
    before := app.calls();
    message := durable.http_message(role, method, path, query, body, headers);
    IF role IS NOT NULL AND role <> current_user THEN
        RAISE 'the role is %', current_user;
    END IF;
    PERFORM set_config('role', 'none', true);
    after := app.calls();
    PERFORM set_config('role', coalesce(role, 'none'), true);
    expected := app.line_by_line(durable.http(method, path, query, body, headers));
    PERFORM set_config('role', 'none', true);
    RETURN CASE WHEN message IS NOT DISTINCT FROM expected
                THEN CASE WHEN after = before THEN 'direct: ' ELSE 'durable.http: ' END
                     || left(regexp_replace(regexp_replace(message, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', 'TIME', 'g'),
                                            '^(\d+\n)?(Location.*\n)?.*Content-Type: application/json; charset=utf-8\n\n', '\1\2'), 400)
                ELSE concat_ws(E'\n', 'DIFFERENT', message, expected) END;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO PUBLIC;

SET ROLE regress_http_one;
SELECT durable.start('echo', '{"a": [1, "\"quoted\" \\ é"]}'::jsonb, 'done'), durable.start('fail', NULL, 'failed'),
       durable.start('patient', '{"status": {"step": 1}}'::jsonb, 'waiting'), durable.start('patient', '{}'::jsonb, 'suspended'),
       durable.start('patient', '{}'::jsonb, 'terminated'), durable.start('echo', NULL, 'odd "id" é+b~c'), durable.start('echo', NULL, 'a/b'),
       durable.start('echo', to_jsonb(repeat('0123456789', 2000)), 'large'), durable.start('patient', '{}'::jsonb, 'shared');
RESET ROLE;
SET ROLE regress_http_two;
SELECT durable.start('patient', '"secret"'::jsonb, 'other'), durable.start('patient', '{}'::jsonb, 'shared');
RESET ROLE;
SELECT app.both('waiting');
SET ROLE regress_http_two;
CALL durable.drain();
RESET ROLE;
SET ROLE regress_http_one;
CALL durable.drain();
SELECT durable.suspend('suspended', 'later'), durable.terminate('terminated', 'no "need"');
CALL durable.drain();
RESET ROLE;

-- in every status
SELECT app.both(i) FROM unnest('{waiting,suspended,done,failed,terminated}'::text[]) i;
SELECT left(app.both('large'), 200);
SELECT length(durable.http_message('regress_http_one', 'GET', '/runtime/webhooks/durabletask/instances/large')) > 20000 AS is_whole;
-- ids that have to be encoded
SELECT app.both('odd "id" é+b~c');
SELECT app.both('odd%20%22id%22%20%C3%A9+b~c');
SELECT app.both('a%2Fb');
SELECT app.both('waiting/'), app.both('/waiting');
-- routes without regard to case; other methods
SELECT app.both('/RUNTIME/WebHooks/DurableTask/Instances/waiting', method => 'get');
SELECT app.both('waiting', method => 'PUT');
-- parameters that have no meaning are repeated, a key is not; others have a meaning
SELECT app.both('waiting', q) FROM unnest(ARRAY['', 'taskHub=x&connection=Storage', 'TASKHUB=&Connection', '&', 'taskHub=x&code=key', 'taskHub=%41', 'taskHub=%FF',
    'showInput=false', 'other=1', 'taskHub']) WITH ORDINALITY AS t (q, n) ORDER BY n;
SELECT app.both('failed', 'returnInternalServerErrorOnFailure=true');
-- addresses are those by which the client came
SELECT app.both('waiting', headers => h) FROM unnest(ARRAY['{"host": "[::1]:80", "x-forwarded-proto": "https"}', '{"host": "a b"}', '{"host": ""}', '{}', NULL,
    '{"host": 1}', '{"host": null}', '{"host": "x", "x-forwarded-proto": "HTTPS"}']::jsonb[]) WITH ORDINALITY AS t (h, n) ORDER BY n;
-- instances that are not there, or are not to be seen, or of which there are two
SELECT app.both('nothing');
SELECT app.both(repeat('x', 300));
SELECT app.both('other');
SELECT app.both('shared'), app.both('shared', role => 'regress_http_two');
SELECT app.both('other', role => 'regress_http_monitor'), app.both('shared', role => 'regress_http_monitor');
SELECT app.both('other', role => NULL);
GRANT regress_http_two TO regress_http_one;
SELECT app.both('other'), app.both('shared');
REVOKE regress_http_two FROM regress_http_one;
SELECT app.both('other');
-- privileges are those of the role of the request, for every function on the way
SELECT app.both('done', role => 'regress_http_gate');
SELECT durable.grant_usage('regress_http_gate');
SELECT app.both('done', role => 'regress_http_gate');
REVOKE EXECUTE ON FUNCTION durable.http_management(text, text[], text, text, jsonb) FROM regress_http_one;
SELECT app.both('done');
GRANT EXECUTE ON FUNCTION durable.http_management(text, text[], text, text, jsonb) TO regress_http_one;
SELECT app.both('done');
REVOKE EXECUTE ON FUNCTION durable.http_instance(text, jsonb, text, jsonb) FROM regress_http_one;
SELECT app.both('done');
REVOKE EXECUTE ON FUNCTION durable.http(text, text, text, text, jsonb) FROM regress_http_one;
SELECT app.both('done');
SELECT durable.http_message('regress_http_one', 'GET', '/runtime/webhooks/durabletask/instances/done');
SELECT durable.grant_usage('regress_http_one');
SELECT app.both('done');
SELECT durable.http_message('regress_http_nobody', 'GET', '/');
SET ROLE regress_http_one;
SELECT durable.http_message('regress_http_two', 'GET', '/runtime/webhooks/durabletask/instances/other') LIKE '202%' AS superuser_may_become_it;
RESET ROLE;
-- the role lasts as long as the transaction
BEGIN;
SELECT left(durable.http_message('regress_http_one', 'GET', '/runtime/webhooks/durabletask/instances/done'), 3);
SELECT current_user;
COMMIT;
SELECT current_user = session_user AS is_reset;
-- headers of other functions
CREATE FUNCTION app.odd(method text, path text, query text, body text, headers jsonb) RETURNS durable.http_response LANGUAGE sql AS $$
    SELECT CASE path WHEN '/nothing' THEN (NULL, NULL, NULL)::durable.http_response
                     WHEN '/array' THEN (200, '["x"]', 'x')::durable.http_response
                     WHEN '/null' THEN NULL
                     ELSE (299, '{"A": 1, "B": null, "C": "x\r\ny: z", "D": [1, {"a": 2}], "E\n": true}', E'a\n\nb')::durable.http_response END
$$;
SELECT durable.mount_http('/odd', 'app.odd(text, text, text, text, jsonb)');
SELECT app.both('/odd/x', role => NULL);
SELECT durable.http_message(NULL, 'GET', '/odd/nothing'), durable.http_message(NULL, 'GET', '/odd/null');
SELECT durable.http_message(NULL, 'GET', '/odd/array');
SELECT durable.http_message(NULL, NULL, NULL, NULL, NULL, NULL);
SELECT durable.unmount_http('/odd');
-- in an orchestration
CREATE FUNCTION app.asks(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN to_jsonb(durable.http_message(NULL, 'GET', '/runtime/webhooks/durabletask/instances/done'));
END $$;
SELECT durable.start('asks', NULL, 'asks');
CALL durable.drain();
SELECT output, failure ->> 'message' FROM durable.instances WHERE instance_id = 'asks';

SELECT durable.revoke_usage(r) FROM unnest('{regress_http_one,regress_http_two,regress_http_gate}'::regrole[]) r;
DROP OWNED BY regress_http_one, regress_http_two, regress_http_gate, regress_http_monitor;
DROP ROLE regress_http_one, regress_http_two, regress_http_gate, regress_http_monitor;
