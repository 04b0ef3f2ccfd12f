--
-- durable.query: conditions, pages, who sees what, and refused arguments.
--
\pset null '(null)'
CREATE SCHEMA app;
SET search_path TO app, public;
CREATE FUNCTION app.quick(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
CREATE FUNCTION app.fail(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION app.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
    AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;

-- the columns are those of durable.instances, and the cursor
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'durable.query_row'::regclass AND attnum > 0
EXCEPT SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'durable.instances'::regclass AND attnum > 0;

-- nothing there
SELECT count(*) FROM durable.query();
SELECT count(*) FROM durable.query(created_from => '-infinity', created_to => 'infinity');

-- 300 instances, the clock going on by a second after each ten
DO $$
BEGIN
    FOR n IN 1 .. 30 LOOP
        PERFORM durable.start(CASE WHEN i % 10 = 0 THEN 'app.patient' WHEN i % 7 = 0 THEN 'app.fail' ELSE 'app.quick' END, i,
                              CASE WHEN i % 3 = 0 THEN 'order-' || i WHEN i % 3 = 1 THEN 'Order_' || i END,
                              tags => CASE WHEN i % 4 = 0 THEN jsonb_build_object('customer', i % 5, 'vip', i % 8 = 0) END)
        FROM generate_series(n * 10 - 9, n * 10) i;
        PERFORM durable.advance_clock('1 s');
    END LOOP;
END $$;
CALL durable.drain();
SELECT durable.suspend('order-30', 'for the test');
SELECT durable.terminate('order-60', 'for the test');
CALL durable.drain();

-- all pages of a condition, put together
CREATE FUNCTION app.pages(size integer, name text DEFAULT NULL, statuses text[] DEFAULT NULL, created_from timestamptz DEFAULT NULL,
                          created_to timestamptz DEFAULT NULL, id_prefix text DEFAULT NULL, tags jsonb DEFAULT NULL)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    ids text[];
    "cursor" text;
BEGIN
    LOOP
        SELECT array_agg(q.instance_id ORDER BY q.page_cursor DESC), min(q.page_cursor) INTO ids, "cursor"
        FROM durable.query(name, statuses, created_from, created_to, id_prefix, tags, size, "cursor") q;
        EXIT WHEN ids IS NULL;
        RETURN QUERY SELECT unnest(ids);
        EXIT WHEN cardinality(ids) < size;
    END LOOP;
END $$;

-- what the pages list is what the view has, once each, whatever the conditions
CREATE VIEW app.time AS SELECT min(created_time) AS zero FROM durable.instances;
CREATE FUNCTION app.differences(size integer) RETURNS TABLE (conditions bigint, not_empty bigint, different bigint) LANGUAGE sql AS $$
    SELECT count(*), count(*) FILTER (WHERE cardinality(expected) > 0), count(*) FILTER (WHERE expected IS DISTINCT FROM found)
    FROM (VALUES (NULL), ('app.quick'), ('app.patient'), ('app.none')) n (name),
         (VALUES (NULL::text[]), ('{Completed}'), ('{Failed,Terminated}'), ('{Suspended}'), ('{Running,Pending}'), ('{}')) s (statuses),
         (VALUES (NULL::interval, NULL::interval), ('7 s', NULL), (NULL, '9 s'), ('3 s', '20 s'), ('10 s', '10.5 s'), ('1 day', NULL), ('5 s', '4 s')) t (lower, upper),
         (VALUES (NULL), ('order-1'), ('Order'), ('%')) p (prefix),
         (VALUES (NULL::jsonb), ('{"vip": true}'), ('{"customer": 1, "vip": false}'), ('{}')) g (tags),
         app.time,
         LATERAL (SELECT coalesce(array_agg(instance_id ORDER BY instance_id), '{}') AS expected FROM durable.instances i
                  WHERE (n.name IS NULL OR i.name = n.name) AND (s.statuses IS NULL OR i.runtime_status = ANY (s.statuses))
                    AND (t.lower IS NULL OR i.created_time >= zero + t.lower) AND (t.upper IS NULL OR i.created_time < zero + t.upper)
                    AND (p.prefix IS NULL OR starts_with(i.instance_id, p.prefix)) AND (g.tags IS NULL OR i.tags @> g.tags)) e,
         LATERAL (SELECT coalesce(array_agg(q ORDER BY q), '{}') AS found
                  FROM app.pages(size, n.name, s.statuses, zero + t.lower, zero + t.upper, p.prefix, g.tags) q) f
$$;
SELECT * FROM app.differences(7);
SELECT * FROM app.differences(1000);

-- rows are the view's, and the newest come first
SELECT count(*) FROM durable.query(page_size => 1000) q JOIN durable.instances i USING (instance_id)
WHERE to_jsonb(q) - 'page_cursor' - 'duration' = to_jsonb(i) - 'duration';
SELECT instance_id, runtime_status, input, tags FROM durable.query(id_prefix => 'order-', page_size => 3);
SELECT bool_and(later) FROM (SELECT created_time <= lag(created_time) OVER () AS later FROM durable.query(page_size => 1000)) t;

-- from the boundary on, and before it
SELECT count(*) FROM durable.query(created_from => (SELECT created_time FROM durable.instances WHERE instance_id = 'order-150'), page_size => 1000);
SELECT count(*) FROM durable.query(created_to => (SELECT created_time FROM durable.instances WHERE instance_id = 'order-150'), page_size => 1000);

-- a page goes on where the one before ended, also when its last row has gone and others have been started
SELECT min(page_cursor) AS after FROM durable.query(statuses => '{Completed}', page_size => 20) \gset
SELECT count(durable.purge(instance_id)) FROM durable.query(statuses => '{Completed}', page_size => 25);
SELECT count(durable.start('quick', n, 'late-' || n)) FROM generate_series(1, 10) n;
SELECT instance_id FROM durable.query(after => :'after', page_size => 1);
SELECT * FROM app.differences(7);

-- a clock that was set back hides nothing
SELECT count(durable.advance_clock('-1 hour'));
SELECT count(durable.start('quick', n, 'back-' || n)) FROM generate_series(1, 200) n;
SELECT count(durable.advance_clock('2 hours'));
SELECT count(durable.start('quick', n, 'forth-' || n)) FROM generate_series(1, 200) n;
SELECT count(*) FROM app.time, durable.query(created_to => zero + '1 hour', page_size => 1000);
SELECT count(*) FROM durable.instances, app.time WHERE created_time < zero + '1 hour';
SELECT * FROM app.differences(100);

-- others' instances are not there, and tags are not for monitoring
CREATE ROLE regress_query_other LOGIN;
CREATE ROLE regress_query_watch IN ROLE pg_monitor;
SELECT durable.grant_usage('regress_query_other');
GRANT USAGE ON SCHEMA app TO regress_query_other;
SET ROLE regress_query_other;
SELECT durable.start('app.quick', 1, 'theirs', tags => '{"vip": true}');
SELECT instance_id, owner FROM durable.query();
SELECT count(*) FROM durable.query(tags => '{"vip": false}');
SET ROLE regress_query_watch;
SELECT instance_id, owner, input, tags FROM durable.query(id_prefix => 'theirs');
SELECT count(*) FROM durable.query(tags => '{"vip": true}');
RESET ROLE;
SELECT instance_id, owner, input, tags FROM durable.query(id_prefix => 'theirs', tags => '{"vip": true}');
SELECT durable.revoke_usage('regress_query_other');
DELETE FROM durable.inbox WHERE owner = 'regress_query_other'::regrole;
DELETE FROM durable.instance WHERE owner = 'regress_query_other'::regrole;
REVOKE USAGE ON SCHEMA app FROM regress_query_other;
DROP ROLE regress_query_other, regress_query_watch;

-- refused
SELECT * FROM durable.query(statuses => '{Completed,Done}');
SELECT * FROM durable.query(statuses => '{NULL}');
SELECT * FROM durable.query(statuses => '{{Completed},{Failed}}', page_size => 0);
SELECT * FROM durable.query(tags => '[1]');
SELECT * FROM durable.query(tags => 'null');
SELECT * FROM durable.query(page_size => NULL);
SELECT * FROM durable.query(page_size => 0);
SELECT * FROM durable.query(page_size => -1);
SELECT * FROM durable.query(page_size => 2147483647);
SELECT * FROM durable.query(after => '');
SELECT * FROM durable.query(after => 'order-1');
SELECT * FROM durable.query(after => 'd1.ffffffffffffffff');
SELECT * FROM durable.query(after => 'd1.0000000000000001''; DROP TABLE x');
SELECT * FROM durable.query(after => repeat('x', 100000));
SELECT count(*) FROM durable.query(name => '', id_prefix => '');
SELECT count(*) FROM durable.query(name => repeat('x', 1000000), id_prefix => repeat('%_\', 10000));
CREATE FUNCTION app.asks(input jsonb) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM durable.query()); END $$;
SELECT durable.start('asks', 1, 'asks');
CALL durable.drain();
SELECT failure ->> 'sqlstate' AS sqlstate, failure ->> 'hint' AS hint FROM durable.status('asks');
