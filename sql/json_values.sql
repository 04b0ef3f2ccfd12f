--
-- Values to jsonb and back: the same in every session, whatever its settings say.
--
\pset null '(null)'
CREATE FUNCTION encode_value("any") RETURNS jsonb LANGUAGE C AS '$libdir/durable', 'durable_probe_encode';
CREATE FUNCTION call_handler(name text, input jsonb) RETURNS jsonb LANGUAGE C AS '$libdir/durable', 'durable_probe_call';

-- Scalars have paths of their own, which must agree with to_jsonb.
SELECT encode_value(NULL) AS nothing, encode_value(NULL::int) AS null_int, encode_value('literal') AS literal,
       encode_value('{"a": 1}'::jsonb) AS jsonb, encode_value('{"b":2}'::json) AS json, encode_value('null'::jsonb) AS json_null;
SELECT encode_value('NaN'::float8) AS f8_nan, encode_value('-infinity'::float4) AS f4_inf, encode_value('NaN'::numeric) AS nan,
       encode_value('infinity'::numeric) AS inf, encode_value(1.50) AS numeric, encode_value(0.1::float4) AS f4,
       encode_value('infinity'::timestamptz) AS forever, encode_value('0044-03-15 BC'::date) AS ides;
CREATE TYPE shade AS ENUM ('light', 'dark grey');
CREATE DOMAIN positive AS integer CHECK (value > 0);
SET TimeZone = 'UTC';
SELECT count(*) AS values, count(*) FILTER (WHERE ours IS DISTINCT FROM theirs) AS different
FROM (VALUES
    (encode_value(true), to_jsonb(true)),
    (encode_value(1::smallint), to_jsonb(1::smallint)),
    (encode_value(-2147483648), to_jsonb(-2147483648)),
    (encode_value(9223372036854775807), to_jsonb(9223372036854775807)),
    (encode_value(12345678901234567890.123), to_jsonb(12345678901234567890.123)),
    (encode_value('NaN'::numeric), to_jsonb('NaN'::numeric)),
    (encode_value(1e-7::float8), to_jsonb(1e-7::float8)),
    (encode_value(1.7976931348623157e308::float8), to_jsonb(1.7976931348623157e308::float8)),
    (encode_value(3.4e38::float4), to_jsonb(3.4e38::float4)),
    (encode_value('-Infinity'::float8), to_jsonb('-Infinity'::float8)),
    (encode_value('a "q" \ '||chr(10)||chr(127)), to_jsonb('a "q" \ '||chr(10)||chr(127))),
    (encode_value('x '::char(5)), to_jsonb('x '::char(5))),
    (encode_value('x'::varchar), to_jsonb('x'::varchar)),
    (encode_value('x'::name), to_jsonb('x'::name)),
    (encode_value('2024-02-29 23:59:59.999999+00'::timestamptz), to_jsonb('2024-02-29 23:59:59.999999+00'::timestamptz)),
    (encode_value('0001-01-01 BC'::timestamptz), to_jsonb('0001-01-01 BC'::timestamptz)),
    (encode_value('dark grey'::shade), to_jsonb('dark grey'::shade)),
    (encode_value(5::positive), to_jsonb(5::positive)),
    (encode_value('{"x": [1]}'::json), to_jsonb('{"x": [1]}'::json)),
    (encode_value(array[[1,2],[3,4]]), to_jsonb(array[[1,2],[3,4]])),
    (encode_value(row(1, 'x', null)), to_jsonb(row(1, 'x', null))),
    (encode_value('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid), to_jsonb('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid))
) AS v(ours, theirs);
RESET TimeZone;

-- Everything that follows settings, at once, under all of them.
CREATE SCHEMA zoo;
CREATE TABLE zoo.cage (n int);
CREATE TYPE zoo.animal AS (name text, seen timestamptz, place point);
CREATE TYPE zoo.everything AS (
    at timestamptz, plain timestamp, day date, clock timetz, wait interval, f8 float8, f4 float4, bytes bytea,
    during tstzrange, often tstzmultirange, waits interval[], times timestamptz[], cage regclass, types regtype[],
    animal zoo.animal, animals zoo.animal[]);
CREATE FUNCTION zoo.everything() RETURNS zoo.everything LANGUAGE sql AS $$
    SELECT ROW(timestamptz '2024-06-01 12:00+00', timestamp '2024-06-01 12:00', date '2024-06-01', timetz '12:00+02',
        interval '-1 mon 2 days -03:00', 1 / 3.0::float8, (1 / 3.0)::float4, '\x00ff'::bytea,
        tstzrange('2024-06-01 12:00+00', '2024-06-02 12:00+00'), tstzmultirange(tstzrange('2024-06-01 12:00+00', NULL)),
        ARRAY[interval '1 day -1 sec', interval '-1 day'], ARRAY[timestamptz '2024-06-01 12:00+00'], 'zoo.cage'::regclass,
        ARRAY['zoo.animal'::regtype, 'integer'::regtype],
        ROW('owl', timestamptz '2024-06-01 12:00+00', point(1 / 3.0::float8, 2))::zoo.animal,
        ARRAY[ROW('fox', timestamptz '2024-12-01 12:00+00', NULL)::zoo.animal])::zoo.everything $$;
CREATE FUNCTION zoo.same(e zoo.everything) RETURNS zoo.everything LANGUAGE plpgsql AS $$ BEGIN RETURN e; END $$;

CREATE TABLE seen (what text, value jsonb);
DO $$
DECLARE
    d text; i text; f text; b text; z text; p text;
    settings CONSTANT text[] := ARRAY['datestyle', 'intervalstyle', 'extra_float_digits', 'bytea_output', 'timezone', 'search_path'];
    before text[]; first jsonb;
BEGIN
    FOREACH d IN ARRAY ARRAY['ISO, MDY', 'SQL, DMY', 'Postgres, YMD', 'German, DMY'] LOOP
    FOREACH i IN ARRAY ARRAY['postgres', 'sql_standard', 'iso_8601', 'postgres_verbose'] LOOP
    FOREACH f IN ARRAY ARRAY['-5', '0', '1'] LOOP
    FOREACH b IN ARRAY ARRAY['hex', 'escape'] LOOP
    FOREACH z IN ARRAY ARRAY['UTC', 'America/New_York', 'Asia/Kolkata'] LOOP
    FOREACH p IN ARRAY ARRAY['public', 'zoo, public'] LOOP
        PERFORM set_config('datestyle', d, true), set_config('intervalstyle', i, true), set_config('extra_float_digits', f, true),
                set_config('bytea_output', b, true), set_config('timezone', z, true), set_config('search_path', p, true);
        before := ARRAY(SELECT current_setting(s) FROM unnest(settings) AS s);
        INSERT INTO public.seen VALUES ('out', public.call_handler('zoo.everything', NULL)) RETURNING value INTO first;
        INSERT INTO public.seen VALUES ('back', public.call_handler('zoo.same', first));
        INSERT INTO public.seen VALUES ('one by one', jsonb_build_array(
            public.encode_value(timestamptz '2024-06-01 12:00+00'), public.encode_value(interval '-1 mon 2 days -03:00'),
            public.encode_value(1 / 3.0::float8), public.encode_value((1 / 3.0)::float4), public.encode_value('\x00ff'::bytea),
            public.encode_value(tstzrange('2024-06-01 12:00+00', NULL)), public.encode_value('zoo.cage'::regclass),
            public.encode_value(ROW('zoo.cage'::regclass, interval '-1 day')), public.encode_value(daterange('2024-06-01', NULL))));
        IF before <> ARRAY(SELECT current_setting(s) FROM unnest(settings) AS s) THEN
            RAISE 'settings were % and are %', before, ARRAY(SELECT current_setting(s) FROM unnest(settings) AS s);
        END IF;
    END LOOP; END LOOP; END LOOP; END LOOP; END LOOP; END LOOP;
END $$;
SELECT what, count(*), count(DISTINCT value) AS different FROM seen GROUP BY what ORDER BY what;
SELECT jsonb_pretty(value) FROM seen WHERE what = 'back' LIMIT 1;
SELECT jsonb_pretty(value) FROM seen WHERE what = 'one by one' LIMIT 1;

-- An error while the settings are pinned leaves nothing behind.
CREATE TYPE zoo.span AS RANGE (subtype = timestamptz);
CREATE FUNCTION zoo.broken_json(zoo.span) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'no json from zone %', current_setting('TimeZone');
END $$;
CREATE CAST (zoo.span AS json) WITH FUNCTION zoo.broken_json(zoo.span);
SET TimeZone = 'Asia/Kolkata';
SELECT encode_value(zoo.span('2024-06-01 12:00+00', NULL));
SHOW TimeZone;
DO $$
BEGIN
    PERFORM encode_value(zoo.span('2024-06-01 12:00+00', NULL));
EXCEPTION WHEN raise_exception THEN
    RAISE NOTICE 'caught; the zone is %', current_setting('TimeZone');
END $$;
RESET TimeZone;

-- A large value is refused before anything is written; so is one whose type nobody knows.
SET durable.max_payload = '100kB';
SELECT encode_value(repeat('x', 102400));
SELECT length(encode_value(repeat('x', 102300)) #>> '{}');
RESET durable.max_payload;
