--
-- Functions that users write: found by name, called with jsonb.
--
\pset null '(null)'
\set SHOW_CONTEXT always
CREATE FUNCTION find_handler(name text, extra_schema regnamespace DEFAULT NULL) RETURNS text LANGUAGE C AS '$libdir/durable', 'durable_probe_find';
CREATE FUNCTION resolve_handler(signature text) RETURNS regprocedure LANGUAGE C AS '$libdir/durable', 'durable_probe_resolve';
CREATE FUNCTION call_handler(name text, input jsonb) RETURNS jsonb LANGUAGE C AS '$libdir/durable', 'durable_probe_call';
CREATE FUNCTION check_input(name text, input jsonb) RETURNS void LANGUAGE C AS '$libdir/durable', 'durable_probe_check_input';
CREATE FUNCTION code_hash(name text) RETURNS bigint LANGUAGE C AS '$libdir/durable', 'durable_probe_code_hash';

CREATE SCHEMA app;
CREATE SCHEMA other;
SET search_path = app, public;
CREATE TYPE color AS ENUM ('red', 'dark green');
CREATE TYPE beast AS (name text, strength int);
CREATE DOMAIN strong AS integer NOT NULL CHECK (value > 9);
CREATE DOMAIN document AS jsonb CHECK (value <> '"no"');

--
-- One parameter gets the input, converted to its type.
--
CREATE FUNCTION greet(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'hello ' || name; END $$;
SELECT call_handler('greet', '"Pat"') AS string, call_handler('greet', '5.50') AS number, call_handler('greet', 'true') AS boolean,
       call_handler('greet', '{"a": [1]}') AS object, call_handler('greet', 'null') AS json_null, call_handler('greet', NULL) AS nothing;

CREATE FUNCTION echo(value jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN value; END $$;
SELECT call_handler('echo', '{"name": "x", "value": 1}') AS object, call_handler('echo', 'null') AS json_null, call_handler('echo', NULL) AS nothing;

CREATE FUNCTION as_json(value json) RETURNS json LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_int(value int) RETURNS int LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_bigint(value bigint) RETURNS bigint LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_numeric(value numeric) RETURNS numeric LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_float(value float8) RETURNS float8 LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_boolean(value boolean) RETURNS boolean LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_uuid(value uuid) RETURNS uuid LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_bytes(value bytea) RETURNS bytea LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_time(value timestamptz) RETURNS timestamptz LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_color(value color) RETURNS color LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_strong(value strong) RETURNS strong LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_document(value document) RETURNS document LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_range(value tstzrange) RETURNS tstzrange LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_class(value regclass) RETURNS regclass LANGUAGE sql AS 'SELECT value';
CREATE FUNCTION as_ints(value int[]) RETURNS int[] LANGUAGE sql AS 'SELECT value || 9';
CREATE FUNCTION as_beast(value beast) RETURNS beast LANGUAGE sql AS 'SELECT ROW(value.name, value.strength + 1)::beast';
CREATE FUNCTION as_beasts(value beast[]) RETURNS beast[] LANGUAGE sql AS 'SELECT value';
SELECT handler, call_handler(handler, input) AS result, jsonb_typeof(call_handler(handler, input)) AS type
FROM (VALUES
    ('as_json', '{"a":1}'::jsonb), ('as_json', '"x"'), ('as_int', '5'), ('as_int', '"-5"'), ('as_bigint', '9223372036854775807'),
    ('as_numeric', '1.500'), ('as_numeric', '"NaN"'), ('as_float', '1e-7'), ('as_float', '"-Infinity"'), ('as_boolean', 'false'), ('as_boolean', '"on"'),
    ('as_uuid', '"{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"'), ('as_bytes', '"\\x00ff"'), ('as_time', '"2024-06-01 12:00+02"'), ('as_time', '"infinity"'),
    ('as_color', '"dark green"'), ('as_strong', '10'), ('as_document', '{"a": null}'), ('as_document', 'null'),
    ('as_range', '"[2024-06-01 12:00+02,)"'), ('as_class', '"pg_class"'), ('as_ints', '[1, "2", null]'), ('as_ints', '"{3,4}"'),
    ('as_beast', '{"name": "owl", "strength": 2, "wings": 2}'), ('as_beast', '"(fox,3)"'), ('as_beasts', '[{"name": "owl"}, null]')
) AS v(handler, input);

--
-- None: dropped.  Several: an object by name, an array by position; defaults; NULL for strict functions.
--
CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
CREATE FUNCTION weigh(item text, grams int DEFAULT 10 + 5, unit text DEFAULT 'g ' || current_user) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(item, grams, unit);
END $$;
CREATE FUNCTION "default"(name text DEFAULT 'world') RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || name $$;
CREATE FUNCTION subtract(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 - $2';
CREATE FUNCTION strict_sum(a int, b int) RETURNS int STRICT LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'called'; RETURN a + b; END $$;
CREATE FUNCTION count_them(VARIADIC words text[]) RETURNS int LANGUAGE sql AS 'SELECT cardinality(words)';
SELECT call_handler('answer', '[1]') AS dropped, call_handler('subtract', '[5, 3]') AS by_position, call_handler('count_them', '["a", "b"]') AS variadic;
SELECT call_handler('weigh', '{"unit": "kg", "item": "anvil", "grams": "7"}') AS by_name, call_handler('weigh', '["feather", null, "t"]') AS null_is_no_default,
       call_handler('weigh', '{"item": "feather"}') = jsonb_build_array('feather', 15, 'g ' || current_user) AS with_defaults;
SELECT call_handler('weigh', '["feather"]') = jsonb_build_array('feather', 15, 'g ' || current_user) AS with_defaults,
       call_handler('"default"', NULL) AS no_input, call_handler('"default"', 'null') AS null_input;
SELECT call_handler('strict_sum', '[1, null]') AS strict_with_null;
SELECT call_handler('strict_sum', '{"a": 1, "b": 2}') AS strict_without_null;

-- Results: nothing, OUT parameters, records.
CREATE FUNCTION nothing(x int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION nothing_sql(x int) RETURNS void LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION parts(x int, OUT half int, OUT "The Rest" text, OUT at timestamptz) LANGUAGE plpgsql AS $$
BEGIN half := x / 2; "The Rest" := x % 2; at := '2024-06-01 12:00+00'; END $$;
CREATE FUNCTION parts_sql(x int, INOUT y int, OUT label text) LANGUAGE sql AS $$ SELECT x + y, 'sum' $$;
CREATE FUNCTION one_out(x int, OUT y int) LANGUAGE sql AS 'SELECT x + 1';
CREATE FUNCTION any_record(x int) RETURNS record LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN SELECT x AS k, 'v' AS val INTO r; RETURN r; END $$;
CREATE FUNCTION body(x int) RETURNS int RETURN x * 2;
CREATE FUNCTION as_owner(x text) RETURNS text SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$ BEGIN RETURN x || current_setting('search_path'); END $$;
SELECT call_handler('nothing', '1') AS void, call_handler('nothing_sql', '1') AS void_sql, call_handler('parts', '5') AS out_parameters,
       call_handler('parts_sql', '{"x": 1, "y": 2}') AS inout, call_handler('one_out', '1') AS one_out, call_handler('any_record', '7') AS record,
       call_handler('body', '21') AS sql_body, call_handler('as_owner', '"path: "') AS security_definer, call_handler('upper', '"x"') AS builtin;
SHOW search_path;

--
-- What does not fit says where.
--
SELECT check_input('greet', '"x"'), check_input('greet', NULL), check_input('weigh', '["x"]'), check_input('answer', '{}'), check_input('subtract', '[1, 2]');
SELECT check_input('as_int', '"abc"');
SELECT check_input('as_int', '1.5');
SELECT check_input('as_int', '99999999999');
SELECT check_input('as_strong', '9');
SELECT check_input('as_strong', NULL);
SELECT check_input('as_document', '"no"');
SELECT check_input('as_color', '"green"');
SELECT check_input('as_beast', '[1]');
SELECT check_input('as_beast', '{"strength": "much"}');
SELECT check_input('as_ints', '["x"]');
SELECT check_input('as_time', '"some day"');
SELECT check_input('subtract', '[1, "y"]');
SELECT check_input('subtract', '{"a": 1}');
SELECT check_input('weigh', '{"item": "x", "gramms": 2}');
SELECT check_input('weigh', '{"item": "x", "colour of it": 2}');
SELECT check_input('weigh', '{"grams": 2}');
SELECT check_input('weigh', NULL);
SELECT check_input('weigh', '"x"');
SELECT check_input('weigh', '[1, 2, 3, 4]');
SELECT call_handler('weigh', '{"item": "x", "grams": "many"}');
\set SHOW_CONTEXT errors

--
-- Names
--
CREATE FUNCTION "Odd (name).with dots"(x beast, "Y" "char") RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION twice(x text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION common(x int) RETURNS text LANGUAGE sql AS $$ SELECT 'app' $$;
CREATE FUNCTION other.common(x text) RETURNS text LANGUAGE sql AS $$ SELECT 'other' $$;
CREATE FUNCTION other.hidden(x text) RETURNS text LANGUAGE sql AS $$ SELECT 'hidden' $$;
CREATE FUNCTION reverse(x jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'app' $$;
SELECT find_handler('greet'), find_handler(' App . GREET '), find_handler('greet (text)'), find_handler('"Odd (name).with dots"'), find_handler('twice(integer)');
SET search_path = other, app, public;
SELECT find_handler('common') AS first_schema, find_handler('reverse') AS pg_catalog_last, find_handler('greet');
SET search_path = app, public;
SELECT find_handler('common') AS first_schema, find_handler('hidden', 'other') AS extra_schema, find_handler('hidden(text)', 'other') AS extra_schema,
       find_handler('common', 'other') AS extra_schema_first;
SELECT call_handler('"Odd (name).with dots"', '{"x": {"name": "owl"}, "Y": "y"}');

-- Every signature leads back to its function, whatever the search_path.
SELECT count(*) > 2000 AS many, count(*) FILTER (WHERE resolve_handler(find_handler(p.oid::regprocedure::text)) <> p.oid) AS wrong
FROM pg_proc AS p
WHERE p.prokind = 'f' AND NOT p.proretset AND NOT EXISTS (
    SELECT FROM unnest(p.prorettype || p.proargtypes::oid[]) AS t(oid) JOIN pg_type USING (oid) WHERE typtype = 'p');
SET search_path = public;
SELECT resolve_handler('app."Odd (name).with dots"(app.beast,"char")'), resolve_handler('pg_catalog.repeat(text,integer)');
SELECT resolve_handler('app.gone(text)');
SELECT resolve_handler('greet(text)');
SELECT resolve_handler('no signature at all');
SET search_path = app, public;

-- Not there
SELECT find_handler('greeet');
SELECT find_handler('app.great');
SELECT find_handler('nowhere.greet');
SELECT find_handler('hidden');
SELECT find_handler('hidder', 'other');
SELECT find_handler('Odd_(name).with dots');
SELECT find_handler('something else entirely!');
SELECT find_handler('');
SELECT find_handler('greet(int)');
SELECT find_handler('greet(text');
SELECT find_handler(repeat('x', 10000));
SELECT find_handler('"');

-- Not one, or not of the kind that can be called
CREATE FUNCTION poly(x anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION poly_out(x int) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION on_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE PROCEDURE go(x int) LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT find_handler('twice');
SELECT find_handler('poly');
SELECT find_handler('poly_out');
SELECT find_handler('on_change');
SELECT find_handler('go');
SELECT find_handler('max(int)');
SELECT find_handler('row_number');
DO $$
BEGIN
    PERFORM public.find_handler('pg_temp.mine');
EXCEPTION WHEN wrong_object_type THEN
    RAISE NOTICE '%', regexp_replace(sqlerrm, 'pg_temp_\d+', 'pg_temp_N');
END $$;

--
-- Privileges: EXECUTE at every call, USAGE on the schema where the name is looked up.
--
CREATE ROLE regress_handler_user;
GRANT USAGE ON SCHEMA app TO regress_handler_user;
SELECT call_handler('greet', '"warm"') AS cached;
REVOKE EXECUTE ON FUNCTION greet FROM PUBLIC;
SET ROLE regress_handler_user;
SELECT call_handler('answer', NULL);
SELECT call_handler('greet', '"x"');
SELECT find_handler('greeet');
SELECT find_handler('hidden', 'other');
SELECT find_handler('other.hidden');
RESET ROLE;

--
-- What changes is noticed, also while it runs.
--
CREATE FUNCTION changing(x int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN x; END $$;
SELECT call_handler('changing', '1'), code_hash('changing') AS before \gset
CREATE OR REPLACE FUNCTION changing(x int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN x + 1; END $$;
SELECT call_handler('changing', '1') AS replaced, code_hash('changing') <> :'before' AS other_hash;
SELECT code_hash('changing') AS before \gset
ALTER FUNCTION changing(int) SET work_mem = '1MB';
SELECT code_hash('changing') <> :'before' AS other_hash;
ALTER FUNCTION changing(int) RESET ALL;
ALTER FUNCTION changing(int) COST 77;
SELECT code_hash('changing') = :'before' AS same_hash;
ALTER FUNCTION changing(int) STRICT;
SELECT call_handler('changing', NULL) AS now_strict;
ALTER FUNCTION changing(int) RENAME TO changed;
SELECT resolve_handler('app.changing(integer)');
SELECT resolve_handler('app.changed(integer)');
ALTER SCHEMA app RENAME TO moved;
SET search_path = moved, public;
SELECT resolve_handler('app.changed(integer)');
SELECT resolve_handler('moved.changed(integer)');
ALTER SCHEMA moved RENAME TO app;
SET search_path = app, public;
SELECT code_hash('body') AS before \gset
SET search_path = public;
SELECT code_hash('app.body') = :'before' AS same_in_other_session_settings;
SET search_path = app, public;

-- Signatures and hashes are those of other sessions, whatever the settings of this one are.  ALTER clears the cache.
CREATE FUNCTION dated(day date DEFAULT '2026-02-01', at timestamptz DEFAULT '2026-02-01 00:00+00', x float8 DEFAULT 0.1::float8 + 0.2::float8)
RETURNS interval RETURN interval '1 day 2 hours';
SELECT code_hash('dated') AS dated \gset
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET TimeZone = 'Asia/Tokyo';
SET extra_float_digits = -5;
SET quote_all_identifiers = on;
ALTER FUNCTION body(int) COST 100;
SELECT code_hash('body') = :'before' AS body, code_hash('dated') = :'dated' AS dated;
SELECT resolve_handler('app.body(integer)') IS NOT NULL AS found, resolve_handler('app.as_document(app.document)') IS NOT NULL AS found_by_type;
SELECT find_handler('body');
RESET DateStyle;
RESET IntervalStyle;
RESET TimeZone;
RESET extra_float_digits;
RESET quote_all_identifiers;
SELECT find_handler('body');

-- A hash is computed once, and again when anything that its text names has changed.
CREATE TYPE animal AS (name text);
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION defaulted(x int DEFAULT one()) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN x; END';
CREATE FUNCTION pair(x int, OUT a animal, OUT b int) LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION plain(x animal) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
SELECT code_hash('defaulted') AS defaulted, code_hash('pair') AS pair, code_hash('plain') AS plain \gset
SELECT code_hash('defaulted') = :'defaulted' AND code_hash('pair') = :'pair' AND code_hash('plain') = :'plain' AS same_hashes;
ALTER FUNCTION one() RENAME TO uno;
ALTER TYPE animal RENAME TO fauna;
SELECT code_hash('defaulted') <> :'defaulted' AS defaulted, code_hash('pair') <> :'pair' AS pair, code_hash('plain') <> :'plain' AS plain;
ALTER FUNCTION uno() RENAME TO one;
ALTER TYPE fauna RENAME TO animal;
SELECT code_hash('defaulted') = :'defaulted' AND code_hash('pair') = :'pair' AND code_hash('plain') = :'plain' AS same_again;
BEGIN;
CREATE OR REPLACE FUNCTION plain(x animal) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END';
SELECT code_hash('plain') <> :'plain' AS replaced;
ROLLBACK;
SELECT code_hash('plain') = :'plain' AS replaced_back;

ALTER TYPE beast ADD ATTRIBUTE wings int;
SELECT call_handler('as_beasts', '[{"name": "owl", "wings": 2}]') AS new_attribute;
ALTER TYPE beast RENAME TO creature;
SELECT resolve_handler('app.as_beast(app.beast)');
SELECT resolve_handler('app.as_beast(app.creature)');
ALTER TYPE color ADD VALUE 'blue';
SELECT call_handler('as_color', '"blue"') AS new_label;
BEGIN;
DROP FUNCTION app.changed(int);
SAVEPOINT gone;
SELECT resolve_handler('app.changed(integer)');
ROLLBACK TO gone;
CREATE FUNCTION fresh() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
SELECT call_handler('fresh', NULL);
ROLLBACK;
SELECT resolve_handler('app.changed(integer)');
SELECT resolve_handler('app.fresh()');
CREATE FUNCTION self_replacing(x int) RETURNS int LANGUAGE plpgsql AS $outer$
BEGIN
    EXECUTE 'CREATE OR REPLACE FUNCTION self_replacing(x int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN -x; END $$';
    PERFORM public.call_handler('self_replacing', '5');
    RETURN x + 1;
END $outer$;
SELECT call_handler('self_replacing', '1') AS old_code, call_handler('self_replacing', '1') AS new_code;
CREATE FUNCTION fibonacci(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN n < 2 THEN n
        ELSE (public.call_handler('fibonacci', to_jsonb(n - 1)))::int + (public.call_handler('fibonacci', to_jsonb(n - 2)))::int END;
END $$;
CREATE FUNCTION fibonacci_sql(n int) RETURNS int LANGUAGE sql AS $$
    SELECT CASE WHEN n < 2 THEN n
        ELSE (public.call_handler('fibonacci_sql', to_jsonb(n - 1)))::int + (public.call_handler('fibonacci_sql', to_jsonb(n - 2)))::int END $$;
SELECT call_handler('fibonacci', '12') AS recursive, call_handler('fibonacci_sql', '7') AS recursive_sql;

-- A call that failed leaves the next one alone.
CREATE FUNCTION moody(x int) RETURNS int SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN IF x % 2 = 1 THEN RAISE 'odd'; END IF; RETURN x; END $$;
DO $$
DECLARE failures int := 0;
BEGIN
    FOR i IN 1..1000 LOOP
        BEGIN
            PERFORM public.call_handler('app.moody', to_jsonb(i));
        EXCEPTION WHEN raise_exception THEN
            failures := failures + 1;
        END;
    END LOOP;
    RAISE NOTICE '% failures', failures;
END $$;

RESET search_path;
DROP OWNED BY regress_handler_user;
DROP ROLE regress_handler_user;
