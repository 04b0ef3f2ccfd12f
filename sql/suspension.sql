--
-- An orchestration that waits is ended by an error. Nothing it does can hold that up.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all
SET client_min_messages TO warning;
CREATE EXTENSION plperl;
CREATE EXTENSION plpython3u;
RESET client_min_messages;
SELECT durable.register_activity('Effect', 'effect(text)', execution => 'task');

-- PL/pgSQL: WHEN OTHERS around everything, in loops, in functions that it calls
CREATE FUNCTION helper(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.call_activity('Effect', what) #>> '{}';
EXCEPTION WHEN OTHERS THEN
    RETURN 'swallowed in the helper: ' || SQLERRM;
END $$;
CREATE FUNCTION others() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    results text[];
BEGIN
    BEGIN
        results := results || helper('plpgsql 1');
        BEGIN
            results := results || (durable.call_activity('Effect', 'plpgsql 2') #>> '{}');
        EXCEPTION WHEN OTHERS THEN
            results := results || 'swallowed inside: '::text || SQLERRM;
        END;
        FOR i IN 3..5 LOOP
            BEGIN
                results := results || helper('plpgsql ' || i);
                PERFORM durable.sleep('1 minute');
            EXCEPTION WHEN OTHERS THEN
                results := results || 'swallowed in the loop: '::text || SQLERRM;
            END;
        END LOOP;
        PERFORM durable.wait_for_external_event('End');
    EXCEPTION WHEN OTHERS THEN
        results := results || 'swallowed outside: '::text || SQLERRM;
    END;
    RETURN to_jsonb(results);
END $$;

-- one that catches even the error that ends turns, and returns, or goes on to call
CREATE FUNCTION catches_all() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    results text[];
BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            results := results || (durable.call_activity('Effect', 'caught ' || i) #>> '{}');
        EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
            BEGIN
                PERFORM durable.call_activity('Effect', 'never');
            EXCEPTION WHEN query_canceled THEN
                PERFORM durable.continue_as_new(1);
            END;
            RETURN '"returned"';
        END;
    END LOOP;
    RETURN to_jsonb(results);
END $$;

-- PL/Python: a bare except catches all there is
CREATE FUNCTION python() RETURNS jsonb LANGUAGE plpython3u AS $$
import json
results = []
for i in range(1, 4):
    try:
        with plpy.subtransaction():
            row = plpy.execute("SELECT durable.call_activity('Effect', 'python %d') AS r" % i)[0]
            results.append(json.loads(row['r']))
    except:
        try:
            plpy.execute("SELECT durable.call_activity('Effect', 'never')")
        except:
            pass
        try:
            plpy.execute("SELECT durable.log('never')")
        except BaseException:
            results.append('swallowed')
return json.dumps(results)
$$;
CREATE FUNCTION python_raises() RETURNS jsonb LANGUAGE plpython3u AS $$
try:
    plpy.execute("SELECT durable.sleep('1 minute')")
except:
    raise ValueError('another error')
return '"slept"'
$$;

-- PL/Perl: eval
CREATE FUNCTION perl() RETURNS jsonb LANGUAGE plperl AS $$
my @results;
for my $i (1 .. 3) {
    eval { push @results, spi_exec_query("SELECT durable.call_activity('Effect', 'perl $i') #>> '{}' AS r")->{rows}[0]{r}; 1 }
        or do {
            eval { spi_exec_query("SELECT durable.call_activity('Effect', 'never')") };
            push @results, 'swallowed';
        };
}
eval { spi_exec_query("SELECT durable.sleep('1 minute')") };
return '[' . join(', ', map { "\"$_\"" } @results) . ']';
$$;

-- plain SQL: one statement after the other, or nested in one
CREATE FUNCTION sql_list() RETURNS jsonb LANGUAGE sql AS $$
    SELECT durable.call_activity('Effect', 'sql 1');
    SELECT durable.call_activity('Effect', 'sql 2');
    SELECT durable.sleep('1 minute');
    SELECT durable.call_activity('Effect', 'sql 3');
$$;
CREATE FUNCTION sql_nested() RETURNS jsonb LANGUAGE sql AS $$
    SELECT durable.call_activity('Effect', 'nested ' || (durable.call_activity('Effect', 'nested 1') #>> '{}'))
$$;
CREATE FUNCTION sql_rows() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(durable.call_activity('Effect', 'row ' || n) ORDER BY n) FROM generate_series(1, 3) n
$$;
CREATE FUNCTION sql_atomic() RETURNS jsonb LANGUAGE sql
BEGIN ATOMIC
    SELECT durable.call_activity('Effect', 'atomic 1');
    SELECT durable.call_activity('Effect', 'atomic 2');
END;

SELECT durable.start(name, NULL, name)
FROM unnest('{others,catches_all,python,python_raises,perl,sql_list,sql_nested,sql_rows,sql_atomic}'::text[]) name;
CALL durable.drain();
SELECT instance_id, status, regexp_replace(waiting_on, 'timer .*', 'timer') AS waiting_on, output, failure FROM run ORDER BY instance_id;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.raise_event('others', 'End');
CALL durable.drain();
SELECT instance_id, status, output, failure FROM run ORDER BY instance_id;
SELECT what, count(*) FROM effects GROUP BY what ORDER BY what COLLATE "C";

-- what the functions of a handler's session do is undone with the turn
CREATE FUNCTION settings() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    before text := current_setting('work_mem');
BEGIN
    PERFORM set_config('work_mem', '123MB', false);
    PERFORM set_config('search_path', 'pg_catalog', false);
    PERFORM durable.sleep('1 minute');
    RETURN to_jsonb(before);
END $$;
SET work_mem TO '5MB';
SELECT durable.start('settings', NULL, 'settings');
CALL durable.drain();
SHOW work_mem;
SHOW search_path;
SELECT durable.advance_clock('1 minute') IS NOT NULL AS later;
CALL durable.drain();
SELECT status, output FROM run WHERE instance_id = 'settings';
SHOW work_mem;
SHOW search_path;
RESET work_mem;

-- real cancels are still cancels
CREATE FUNCTION endless() RETURNS text LANGUAGE plpgsql AS $$ BEGIN LOOP NULL; END LOOP; END $$;
SELECT durable.start('endless', NULL, 'endless');
SET durable.turn_timeout TO 0;
SET statement_timeout TO '1 s';
CALL durable.drain();
RESET statement_timeout;
RESET durable.turn_timeout;
SELECT status FROM run WHERE instance_id = 'endless';
SELECT durable.terminate('endless');
CALL durable.drain();
SELECT status FROM run WHERE instance_id = 'endless';
