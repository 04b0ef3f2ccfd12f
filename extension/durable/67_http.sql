-- HTTP.  A gateway passes each request to durable.http and sends its response.  The routes are defined here, not
-- in the gateway.  durable.http runs as the role of the request, so a request can do what this role can do in SQL.

CREATE TYPE durable.http_response AS (
    status      integer,
    headers     jsonb,
    body        text
);

-- Functions that answer the requests below a prefix.  A mount whose function was dropped has no effect.
CREATE TABLE durable.http_mount (
    prefix      text COLLATE "C" NOT NULL PRIMARY KEY,
    handler     text NOT NULL,
    channel     text
);
REVOKE ALL ON durable.http_mount FROM PUBLIC;
-- Mounts that an extension has made are not dumped: its CREATE EXTENSION makes them again.
SELECT pg_catalog.pg_extension_config_dump('durable.http_mount',
    'WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = ''pg_catalog.pg_proc''::pg_catalog.regclass AND d.objid = pg_catalog.to_regprocedure(handler) AND d.deptype = ''e'')');

-- These functions are in PL/pgSQL, or in SQL that can be inlined, so that a request needs no planning.
-- Functions that are called for each request qualify all names, because setting search_path costs more than their work.

/* --- URLs ------------------------------------------------------------------------------------ */

-- Raises an error for invalid UTF-8 and for %00.
CREATE FUNCTION durable.url_decode(encoded text, plus_is_blank boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF plus_is_blank THEN
        encoded := replace(encoded, '+', ' ');
    END IF;
    IF encoded IS NULL OR strpos(encoded, '%') = 0 THEN
        RETURN encoded;
    END IF;
    RETURN (SELECT convert_from(string_agg(CASE WHEN m[1] ~ '^%..$' THEN decode(substr(m[1], 2), 'hex') ELSE convert_to(m[1], 'UTF8') END, '' ORDER BY n), 'UTF8')
            FROM regexp_matches(encoded, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') WITH ORDINALITY AS t (m, n));
END;
$$;

CREATE FUNCTION durable.url_encode(plain text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF plain IS NULL OR plain OPERATOR(pg_catalog.~) '^[A-Za-z0-9._~-]*$' THEN
        RETURN plain;
    END IF;
    RETURN (SELECT pg_catalog.string_agg(
                       CASE WHEN c OPERATOR(pg_catalog.~) '^[A-Za-z0-9._~-]$' THEN c
                            ELSE pg_catalog.regexp_replace(pg_catalog.upper(pg_catalog.encode(pg_catalog.convert_to(c, 'UTF8'), 'hex')),
                                                           '(..)', '%\1', 'g') END, '' ORDER BY n)
            FROM pg_catalog.regexp_split_to_table(plain, '') WITH ORDINALITY AS t (c, n));
END;
$$;

-- Names are in lower case; the values of a repeated name are joined by commas.
CREATE FUNCTION durable.url_query(query text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    IF query IS NULL OR query = '' THEN
        RETURN '{}';
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(name, value), '{}')
            FROM (SELECT lower(durable.url_decode(split_part(pair, '=', 1), true)) AS name,
                         string_agg(durable.url_decode(CASE WHEN strpos(pair, '=') > 0 THEN substr(pair, strpos(pair, '=') + 1) ELSE '' END, true),
                                    ',' ORDER BY n) AS value
                  FROM string_to_table(query, '&') WITH ORDINALITY AS t (pair, n)
                  WHERE pair <> '' GROUP BY 1) AS parameters);
END;
$$;

-- Values that are not valid yield NULL.
CREATE FUNCTION durable.http_time(value text) RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
SET "TimeZone" TO 'UTC'
SET "DateStyle" TO 'ISO, MDY'
AS $$
BEGIN
    RETURN CASE WHEN value ~ '^\d{1,4}-\d{1,2}-\d{1,2}' THEN lpad(split_part(value, '-', 1), 4, '0') || substr(value, strpos(value, '-')) END::timestamptz;
EXCEPTION
    WHEN data_exception THEN RETURN NULL;
END;
$$;

CREATE FUNCTION durable.http_boolean(value text, otherwise boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE pg_catalog.lower(pg_catalog.btrim(value)) WHEN 'true' THEN true WHEN 'false' THEN false ELSE otherwise END;

CREATE FUNCTION durable.http_integer(value text, otherwise integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value OPERATOR(pg_catalog.~) '^\s*[+-]?\d{1,9}\s*$' THEN value::integer ELSE otherwise END;

CREATE FUNCTION durable.http_seconds(value text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value OPERATOR(pg_catalog.~) '^\s*\d{1,9}(\.\d{0,9})?\s*$' THEN value::double precision END;

-- Times with milliseconds, as JavaScript writes them.
CREATE FUNCTION durable.http_timestamp(moment timestamptz, format text DEFAULT 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN pg_catalog.isfinite(moment) THEN pg_catalog.to_char(pg_catalog.timezone('UTC', moment), format) END;

/* --- responses --------------------------------------------------------------------------------- */

CREATE FUNCTION durable.http_json(status integer, body text, headers jsonb DEFAULT NULL) RETURNS durable.http_response
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN ROW(status, pg_catalog.jsonb_concat('{"Content-Type": "application/json; charset=utf-8"}', COALESCE(headers, '{}')), body)::durable.http_response;
END;
$$;

CREATE FUNCTION durable.http_empty(status integer, headers jsonb DEFAULT '{}') RETURNS durable.http_response
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ROW(status, headers, ''::text)::durable.http_response;

CREATE FUNCTION durable.http_error(status integer, message text, sqlstate text DEFAULT NULL, hint text DEFAULT NULL) RETURNS durable.http_response
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT durable.http_json(status, json_strip_nulls(json_build_object('Message', message, 'SqlState', sqlstate, 'Hint', nullif(hint, '')))::text,
                             CASE WHEN status = 503 THEN '{"Retry-After": "1"}'::jsonb END)
$$;

-- The body of a request as JSON.
CREATE FUNCTION durable.http_input(body text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    RETURN nullif(body, '')::jsonb;
EXCEPTION
    WHEN data_exception OR statement_too_complex OR program_limit_exceeded THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_text_representation', MESSAGE = 'Invalid JSON content', DETAIL = SQLERRM;
END;
$$;

-- The status for an error: 4xx if the client can correct the request, 503 if the same request may succeed later.
CREATE FUNCTION durable.http_status_of(sqlstate text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN sqlstate = 'WF003' THEN 404
        WHEN sqlstate = 'WF004' THEN 410
        WHEN sqlstate IN ('WF002', '42P08') THEN 409
        WHEN sqlstate = 'WF006' THEN 413
        WHEN sqlstate = '42501' THEN 403
        WHEN sqlstate = '55000' THEN 412
        WHEN sqlstate = 'WF009' THEN 429
        WHEN sqlstate IN ('42883', '42725', '42704', '54000', '54001') OR sqlstate LIKE '22%' THEN 400
        WHEN sqlstate ~ '^(40|53|57|08|55P03|25006)' THEN 503
        ELSE 500
    END
$$;

/* --- requests ---------------------------------------------------------------------------------- */

-- The host is the one that the client has used.  A gateway passes on only requests for its known hosts.
CREATE FUNCTION durable.http_base(headers jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    host text := pg_catalog.jsonb_extract_path_text(headers, 'host');
BEGIN
    RETURN pg_catalog.concat(
        CASE WHEN pg_catalog.jsonb_extract_path_text(headers, 'x-forwarded-proto') OPERATOR(pg_catalog.=) 'https' THEN 'https' ELSE 'http' END,
        '://',
        CASE WHEN host OPERATOR(pg_catalog.~) '^[][A-Za-z0-9.:_-]+$' THEN host ELSE 'localhost' END);
END;
$$;

-- The function for a path below a mounted prefix, as it is called, and what follows the prefix.
CREATE FUNCTION durable.http_handler(path text, OUT handler text, OUT rest text) RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    mount durable.http_mount;
BEGIN
    FOR mount IN SELECT * FROM durable.http_mount m
                 WHERE lower(left(path, length(m.prefix))) = lower(m.prefix)
                   AND substr(path, length(m.prefix) + 1, 1) IN ('', '/')
                 ORDER BY length(m.prefix) DESC LOOP
        SELECT format('%I.%I', n.nspname, p.proname) INTO handler
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.oid = to_regprocedure(mount.handler) AND p.prorettype = 'durable.http_response'::regtype;
        IF FOUND THEN
            rest := coalesce(nullif(substr(path, length(mount.prefix) + 1), ''), '/');
            RETURN;
        END IF;
    END LOOP;
END;
$$;

-- No search_path is set here: names of orchestrations are looked up in the caller's.
CREATE FUNCTION durable.http(
    method      text,
    path        text,
    query       text    DEFAULT NULL,
    body        text    DEFAULT NULL,
    headers     jsonb   DEFAULT NULL)
RETURNS durable.http_response
LANGUAGE plpgsql
AS $$
DECLARE
    segments text[];
    mounted record;
    response durable.http_response;
    state text;
    message text;
    hint text;
    status integer;
BEGIN
    IF pg_catalog.lower(pg_catalog.left(path, 30)) = '/runtime/webhooks/durabletask/' THEN
        segments := durable.http_segments(pg_catalog.substr(path, 31));
        RETURN durable.http_management(pg_catalog.upper(method), segments, query, body, headers);
    ELSIF pg_catalog.lower(pg_catalog.left(path, 8)) = '/api/v1/' THEN
        segments := durable.http_segments(pg_catalog.substr(path, 9));
        RETURN durable.http_monitor(pg_catalog.upper(method), segments, query, body, headers);
    END IF;
    mounted := durable.http_handler(path);
    IF mounted.handler IS NULL THEN
        RETURN durable.http_error(404, 'There is nothing at this address.');
    END IF;
    -- The name comes from the catalog and is quoted there.
    EXECUTE 'SELECT r.status, r.headers, r.body FROM ' OPERATOR(pg_catalog.||) mounted.handler OPERATOR(pg_catalog.||) '($1, $2, $3, $4, $5) AS r'
        INTO response USING pg_catalog.upper(method), mounted.rest, query, body, headers;
    RETURN response;
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        status := durable.http_status_of(state);
        IF status < 500 THEN
            RETURN durable.http_error(status, message, state, hint);
        END IF;
        RAISE LOG USING ERRCODE = state, MESSAGE = pg_catalog.format('request "%s %s" failed: %s', method, path, message);
        RETURN durable.http_error(status, 'Something went wrong while processing your request', state);
END;
$$;

-- What a gateway executes for a request: sets the role for the rest of the transaction, unless it is null, and answers with
-- its privileges.  The response as a text: the status, a line for each header, an empty line, the body.
CREATE FUNCTION durable.http_message(
    role        text,
    method      text,
    path        text,
    query       text    DEFAULT NULL,
    body        text    DEFAULT NULL,
    headers     jsonb   DEFAULT NULL)
RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'durable_http_message';

CREATE FUNCTION durable.http_segments(path text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    segments text[] := pg_catalog.string_to_array(pg_catalog.btrim(path, '/'), '/');
BEGIN
    IF pg_catalog.strpos(path, '%') OPERATOR(pg_catalog.>) 0 THEN
        FOR i IN 1 .. pg_catalog.cardinality(segments) LOOP
            segments[i] := durable.url_decode(segments[i]);
        END LOOP;
    END IF;
    RETURN segments;
END;
$$;

-- The role of a token.  The gateway has verified the signature by the configured algorithm.  Clocks may differ by
-- a minute.  Raises 28000 for every token that is not valid.
CREATE FUNCTION durable.http_token_role(header text, claims text, algorithm text, audience text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    skew CONSTANT numeric := 60;
    head jsonb;
    body jsonb;
    seconds numeric := extract(epoch FROM clock_timestamp());
    good boolean;
BEGIN
    BEGIN
        head := header::jsonb;
        body := claims::jsonb;
        good := head ->> 'alg' = algorithm
                AND NOT head ? 'crit'
                AND jsonb_typeof(body) = 'object'
                AND jsonb_typeof(body -> 'exp') = 'number' AND (body ->> 'exp')::numeric + skew > seconds
                AND (NOT body ? 'nbf' OR jsonb_typeof(body -> 'nbf') = 'number' AND (body ->> 'nbf')::numeric - skew <= seconds)
                AND (NOT body ? 'iat' OR jsonb_typeof(body -> 'iat') = 'number' AND (body ->> 'iat')::numeric - skew <= seconds)
                AND (body -> 'aud' = to_jsonb(audience) OR jsonb_typeof(body -> 'aud') = 'array' AND body -> 'aud' ? audience)
                AND jsonb_typeof(body -> 'role') = 'string' AND body ->> 'role' NOT IN ('', 'none');
    EXCEPTION
        WHEN data_exception OR statement_too_complex THEN
            good := false;
    END;
    IF good IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_authorization_specification', MESSAGE = 'the token is not valid';
    END IF;
    RETURN body ->> 'role';
END;
$$;

/* --- mounting ------------------------------------------------------------------------------------ */

CREATE FUNCTION durable.mount_http(prefix text, handler regprocedure, channel text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
    reserved text;
    found_at pg_proc;
BEGIN
    IF prefix IS NULL OR prefix !~ '^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$' OR length(prefix) > 200 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('prefix "%s" is not valid', left(coalesce(prefix, 'null'), 100)),
            HINT = 'A prefix is a path of letters, digits and the characters ._~- without a slash at its end, for example "/shop".';
    END IF;
    FOREACH reserved IN ARRAY ARRAY['/runtime/webhooks/durabletask', '/api/v1', '/events', '/metrics', '/healthz', '/ready'] LOOP
        IF lower(prefix) || '/' LIKE reserved || '/%' THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('prefix "%s" is reserved for the engine', prefix),
                HINT = 'Choose another prefix.';
        END IF;
    END LOOP;
    SELECT p.* INTO found_at FROM pg_proc p WHERE p.oid = handler;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_function', MESSAGE = format('function %s does not exist', coalesce(handler::text, 'null'));
    END IF;
    IF found_at.prokind <> 'f' OR found_at.proretset OR found_at.prorettype <> 'durable.http_response'::regtype
       OR oidvectortypes(found_at.proargtypes) <> 'text, text, text, text, jsonb' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('function %s cannot answer HTTP requests', handler),
            HINT = 'The function must have the parameters (method text, path text, query text, body text, headers jsonb) and return durable.http_response.';
    END IF;
    IF channel IS NOT NULL AND (channel = '' OR octet_length(channel) > 63) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('channel "%s" is not valid', left(channel, 100)),
            HINT = 'The name of a channel has 1 to 63 bytes.';
    END IF;
    INSERT INTO durable.http_mount AS m (prefix, handler, channel) VALUES (lower(mount_http.prefix), mount_http.handler::text, mount_http.channel)
    ON CONFLICT ON CONSTRAINT http_mount_pkey DO UPDATE SET handler = EXCLUDED.handler, channel = EXCLUDED.channel;
END;
$$;

CREATE FUNCTION durable.unmount_http(prefix text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM durable.http_mount m WHERE m.prefix = lower(unmount_http.prefix);
    RETURN FOUND;
END;
$$;

CREATE FUNCTION durable.http_mounts(OUT prefix text, OUT handler text, OUT channel text) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
    SELECT m.prefix, m.handler, m.channel FROM durable.http_mount m ORDER BY m.prefix
$$;

COMMENT ON TYPE durable.http_response IS 'response to an HTTP request: status, headers as an object, body';
COMMENT ON TABLE durable.http_mount IS 'functions that answer HTTP requests, by prefix of the path';
COMMENT ON FUNCTION durable.http(text, text, text, text, jsonb) IS
    'answers an HTTP request as the current user: the management API, the routes of the monitor, and those of mounted functions';
COMMENT ON FUNCTION durable.http_message(text, text, text, text, text, jsonb) IS
    'answers an HTTP request as the given role, which remains set until the end of the transaction; returns status, headers and body as one text';
COMMENT ON FUNCTION durable.mount_http(text, regprocedure, text) IS
    'makes a function answer the HTTP requests below a prefix; channel is the NOTIFY channel for its new events';
COMMENT ON FUNCTION durable.unmount_http(text) IS 'removes a prefix that was set with durable.mount_http, and returns whether it existed';
COMMENT ON FUNCTION durable.http_mounts() IS 'lists the mounted prefixes with their functions and channels';
COMMENT ON FUNCTION durable.http_token_role(text, text, text, text) IS 'role of a JSON Web Token whose signature was verified';
COMMENT ON FUNCTION durable.http_handler(text) IS 'function that answers requests for a path, and the rest of the path';
COMMENT ON FUNCTION durable.http_segments(text) IS 'decoded segments of a path';
COMMENT ON FUNCTION durable.http_base(jsonb) IS 'base URL that the client of a request has used';
COMMENT ON FUNCTION durable.http_status_of(text) IS 'HTTP status for an SQLSTATE';
COMMENT ON FUNCTION durable.http_input(text) IS 'body of an HTTP request as jsonb';
COMMENT ON FUNCTION durable.http_error(integer, text, text, text) IS 'response that reports an error';
COMMENT ON FUNCTION durable.http_empty(integer, jsonb) IS 'response without a body';
COMMENT ON FUNCTION durable.http_json(integer, text, jsonb) IS 'response with a JSON body';
COMMENT ON FUNCTION durable.http_timestamp(timestamptz, text) IS 'time in UTC for JSON';
COMMENT ON FUNCTION durable.http_seconds(text) IS 'parameter of a request as a number of seconds, or NULL if it is not valid';
COMMENT ON FUNCTION durable.http_integer(text, integer) IS 'parameter of a request as an integer, with a default for other values';
COMMENT ON FUNCTION durable.http_boolean(text, boolean) IS 'parameter of a request as a boolean, with a default for other values';
COMMENT ON FUNCTION durable.http_time(text) IS 'parameter of a request as a time, or NULL if it is not valid';
COMMENT ON FUNCTION durable.url_query(text) IS 'parameters of a URL as an object, with names in lower case';
COMMENT ON FUNCTION durable.url_encode(text) IS 'encodes a text as a part of a URL';
COMMENT ON FUNCTION durable.url_decode(text, boolean) IS 'decodes a part of a URL';
