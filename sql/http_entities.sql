--
-- Entities by HTTP, as in Durable Functions.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

CREATE FUNCTION counter(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN operation = 'delete' THEN (NULL, NULL)::durable.entity_result
                ELSE (to_jsonb(coalesce(state::integer, 0) + coalesce(input, '1')::integer), NULL)::durable.entity_result END;
END $$;
SELECT durable.register_entity('Counter', 'counter(jsonb,text,jsonb)');
CREATE FUNCTION request(method text, path text, query text DEFAULT NULL, body text DEFAULT NULL, headers jsonb DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.status, r.headers ->> 'x-ms-continuation-token', regexp_replace(r.body, '"lastOperationTime" : "[^"]*"', '"lastOperationTime" : "..."', 'g'))
    FROM durable.http(method, '/runtime/webhooks/durabletask/' || path, query, body, headers) r
$$;
SELECT request('GET', 'entities/counter/a');
SELECT request('POST', 'entities/counter/a', 'op=add', '5'), request('POST', 'Entities/COUNTER/a', 'op=add', '5'),
       request('POST', 'entities/counter/$', 'op=add'), request('POST', 'entities/counter/b%2Fc', 'op=add', '7');
CALL durable.drain();
SELECT request('GET', 'entities/counter/a'), request('GET', 'entities/counter/$'), request('GET', 'entities/counter/b%2Fc');
SELECT request('GET', 'entities');
SELECT request('GET', 'entities/Counter', 'fetchState=true&top=2');
SELECT request('GET', 'entities/counter', 'fetchState=true&top=2', NULL, '{"x-ms-continuation-token": "QGNvdW50ZXJAYQ=="}');
SELECT request('GET', 'entities/count'), request('GET', 'entities', 'lastOperationTimeTo=2000-01-01'),
       request('GET', 'entities', NULL, NULL, '{"x-ms-continuation-token": "!"}');
SELECT request('DELETE', 'entities/counter/a');
CALL durable.drain();
SELECT request('GET', 'entities/counter/a');
-- what is refused
SELECT request('POST', 'entities/nothing/a', 'op=add'), request('POST', 'entities/counter/a'), request('POST', 'entities/counter/a', 'op=add', '{'),
       request('PUT', 'entities/counter/a'), request('POST', 'entities/counter'), request('GET', 'entities/counter/a/b'),
       request('POST', 'entities/counter/a', 'op=add', 'x=1', '{"content-type": "text/plain"}');
-- those of others are not there
CREATE ROLE regress_http_entities LOGIN;
SELECT durable.grant_usage('regress_http_entities');
GRANT USAGE ON SCHEMA app TO regress_http_entities;
SET ROLE regress_http_entities;
SELECT request('GET', 'entities'), request('GET', 'entities/counter/$');
RESET ROLE;
SELECT durable.revoke_usage('regress_http_entities');
DROP OWNED BY regress_http_entities;
DROP ROLE regress_http_entities;
