-- Random orchestrations, and what they must come to.
--
-- A program is a tree of nodes, as jsonb.  random_program.run is an orchestration
-- that walks such a tree with durable calls; random_program.direct walks the same
-- tree in its head and says what must come out: a number or an SQLSTATE, how many
-- effects, which events are needed.  Whatever the engine does - batches, tasks,
-- completions in any order, suspensions, crashes - the two must agree.
--
--   SELECT random_program.generate(1000, 0.25);       -- programs 1 to 1000 from that seed
--   SELECT random_program.start('auto', 'a ');        -- an instance for each: 'a 1' ...; kind auto, inline or task
--   SELECT random_program.raise('a ');                -- all events they need (or with a share: some of them, at random)
--   ... let them run; sleeps are of seconds, so move the clock, or have patience ...
--   SELECT * FROM random_program.unfinished;
--   SELECT * FROM random_program.wrong;               -- nothing, if all is well
--
-- Nodes: {"op": ..., "n": a number that differs from node to node, ...}
--   act fail sql      an activity with an effect; one that fails; SQL
--   raise             the program itself fails
--   forget            an activity nobody waits for
--   timer timeout     a sleep; an event that never comes
--   event self        an event from outside; one it sends itself
--   noise             calls that only look: time, random numbers, status, log
--   seq loop          one after the other; several times
--   par               several at once (act, fail, sql, event, child)
--   race              several of which it does not matter who wins; one against a timer that is far away
--   child             a sub-orchestration
--   catch             a body, and a handler for its failure
-- A program is an array of such; between two of them it continues as new.
--
-- Every second program does nothing but activities, and is run under one of many
-- names of the same function: the engine learns which functions go straight through.

CREATE SCHEMA random_program;

CREATE TABLE random_program.program (
    id        integer PRIMARY KEY,
    handler   text NOT NULL,
    code      jsonb NOT NULL,
    result    bigint,
    sqlstate  text,
    effects   integer NOT NULL,
    events    jsonb NOT NULL                -- [[name, data] ...], those of one name in the order in which they are needed
);
-- No unique constraint: what happens twice is there twice.
CREATE TABLE random_program.effect (instance_id text NOT NULL, n integer NOT NULL);
CREATE TABLE random_program.instance (instance_id text PRIMARY KEY, id integer NOT NULL, raised integer NOT NULL DEFAULT 0);

-- --- making programs -----------------------------------------------------------------------------------

CREATE FUNCTION random_program.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;

-- next: gives the numbers.
CREATE SEQUENCE random_program.next;

CREATE FUNCTION random_program.make_node(depth integer, is_child boolean, is_straight boolean) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    op text;
    n bigint := nextval('random_program.next');
    node jsonb;
    members jsonb := '[]';
BEGIN
    IF depth <= 0 OR random() < 0.25 THEN
        op := CASE WHEN is_straight THEN random_program.pick('act', 'act', 'act', 'act', 'act', 'act', 'act', 'sql', 'sql', 'noise')
              ELSE random_program.pick('act', 'act', 'act', 'act', 'act', 'fail', 'raise', 'sql', 'forget', 'timer', 'timeout', 'event', 'self', 'noise') END;
        -- whom events from outside are for is known only of the program itself
        IF op = 'event' AND is_child THEN
            op := 'act';
        END IF;
        RETURN jsonb_build_object('op', op, 'n', n);
    END IF;
    op := CASE WHEN is_straight THEN random_program.pick('seq', 'seq', 'loop', 'par', 'par', 'catch')
          ELSE random_program.pick('seq', 'seq', 'seq', 'loop', 'par', 'par', 'race', 'race', 'child', 'catch', 'catch') END;
    node := jsonb_build_object('op', op, 'n', n);
    CASE op
        WHEN 'seq' THEN
            FOR i IN 1..2 + floor(random() * 3)::integer LOOP
                members := members || random_program.make_node(depth - 1, is_child, is_straight);
            END LOOP;
            RETURN node || jsonb_build_object('of', members);
        WHEN 'loop' THEN
            RETURN node || jsonb_build_object('times', 1 + floor(random() * 3)::integer,
                                              'body', random_program.make_node(depth - 1, is_child, is_straight));
        WHEN 'par' THEN
            FOR i IN 1..2 + floor(random() * 3)::integer LOOP
                op := CASE WHEN is_straight THEN random_program.pick('act', 'act', 'sql')
                      ELSE random_program.pick('act', 'act', 'act', 'fail', 'sql', 'event', 'child') END;
                IF op = 'event' AND is_child THEN
                    op := 'act';
                END IF;
                members := members || jsonb_build_array(jsonb_build_object('op', op, 'n', nextval('random_program.next'))
                    || CASE op WHEN 'child' THEN jsonb_build_object('body', random_program.make_node(depth - 2, true, false)) ELSE '{}' END);
            END LOOP;
            RETURN node || jsonb_build_object('of', members);
        WHEN 'race' THEN
            op := random_program.pick('same', 'timer', 'event');
            IF op = 'event' AND is_child THEN
                op := 'timer';
            END IF;
            RETURN node || jsonb_build_object('against', op, 'times', 2 + floor(random() * 2)::integer, 'cancel', random() < 0.5);
        WHEN 'child' THEN
            RETURN node || jsonb_build_object('body', random_program.make_node(depth - 1, true, false));
        WHEN 'catch' THEN
            -- one that would go straight through fails here at times, after some activities
            members := random_program.make_node(depth - 1, is_child, is_straight);
            IF is_straight AND random() < 0.1 THEN
                members := jsonb_build_object('op', 'seq', 'n', nextval('random_program.next'),
                    'of', jsonb_build_array(members, jsonb_build_object('op', 'raise', 'n', nextval('random_program.next'))));
            END IF;
            RETURN node || jsonb_build_object('body', members, 'handler', random_program.make_node(depth - 2, is_child, is_straight));
    END CASE;
END $$;

-- --- what comes out, by thinking ------------------------------------------------------------------------

CREATE FUNCTION random_program.act_value(v bigint, n integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT (v * 31 + n) % 1000003 $$;
CREATE FUNCTION random_program.sql_value(v bigint, n integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT (v * 7 + n) % 1000003 $$;
CREATE FUNCTION random_program.mix(v bigint, w bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT (v * 17 + w) % 1000003 $$;
CREATE FUNCTION random_program.code(n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'XR' || lpad((n % 1000)::text, 3, '0') $$;
CREATE FUNCTION random_program.code_value(sqlstate text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT substr(sqlstate, 3)::bigint $$;

CREATE TYPE random_program.outcome AS (v bigint, sqlstate text, effects integer, events jsonb);

CREATE FUNCTION random_program.direct(node jsonb, v bigint) RETURNS random_program.outcome LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n integer := node ->> 'n';
    o random_program.outcome := (v, NULL, 0, '[]');
    part random_program.outcome;
    member jsonb;
BEGIN
    CASE node ->> 'op'
        WHEN 'act' THEN o := (random_program.act_value(v, n), NULL, 1, '[]');
        WHEN 'fail', 'raise' THEN o := (v, random_program.code(n), 0, '[]');
        WHEN 'sql' THEN o.v := random_program.sql_value(v, n);
        WHEN 'forget' THEN o.effects := 1;
        WHEN 'timer' THEN o.v := v + 1;
        WHEN 'timeout' THEN o.v := random_program.mix(v, n);
        WHEN 'event' THEN o := (random_program.mix(v, n), NULL, 0, jsonb_build_array(jsonb_build_array('E' || n, n)));
        WHEN 'self' THEN o.v := random_program.mix(v, v + n);
        WHEN 'noise' THEN NULL;
        WHEN 'seq' THEN
            FOR member IN SELECT * FROM jsonb_array_elements(node -> 'of') LOOP
                part := random_program.direct(member, o.v);
                o := (part.v, part.sqlstate, o.effects + part.effects, o.events || part.events);
                EXIT WHEN o.sqlstate IS NOT NULL;
            END LOOP;
        WHEN 'loop' THEN
            FOR i IN 1..(node -> 'times')::integer LOOP
                part := random_program.direct(node -> 'body', o.v);
                o := (part.v, part.sqlstate, o.effects + part.effects, o.events || part.events);
                EXIT WHEN o.sqlstate IS NOT NULL;
            END LOOP;
        WHEN 'par' THEN
            -- each begins with the same value, all are waited for, the first failure in their order counts
            FOR member IN SELECT * FROM jsonb_array_elements(node -> 'of') LOOP
                part := random_program.direct(member, v);
                IF member ->> 'op' = 'event' THEN
                    part.v := member -> 'n';
                END IF;
                o := (random_program.mix(o.v, part.v), coalesce(o.sqlstate, part.sqlstate), o.effects + part.effects, o.events || part.events);
            END LOOP;
        WHEN 'race' THEN
            CASE node ->> 'against'
                WHEN 'same' THEN o := (random_program.act_value(v, n), NULL, (node -> 'times')::integer, '[]');
                WHEN 'timer' THEN o := (random_program.act_value(v, n), NULL, 1, '[]');
                WHEN 'event' THEN o := (random_program.mix(v, n), NULL, 0, jsonb_build_array(jsonb_build_array('E' || n, n)));
            END CASE;
        WHEN 'child' THEN
            o := random_program.direct(node -> 'body', v);
        WHEN 'catch' THEN
            o := random_program.direct(node -> 'body', v);
            IF o.sqlstate IS NOT NULL THEN
                part := random_program.direct(node -> 'handler', random_program.mix(v, random_program.code_value(o.sqlstate)));
                o := (part.v, part.sqlstate, o.effects + part.effects, o.events || part.events);
            END IF;
    END CASE;
    IF o.sqlstate IS NOT NULL THEN
        o.v := v;
    END IF;
    RETURN o;
END $$;

-- --- the same with durable calls --------------------------------------------------------------------------

CREATE FUNCTION random_program.act(instance_id text, v bigint, n integer) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO random_program.effect VALUES (instance_id, n);
    RETURN random_program.act_value(v, n);
END $$;
CREATE FUNCTION random_program.fail(instance_id text, n integer) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO random_program.effect VALUES (instance_id, n);
    RAISE EXCEPTION USING ERRCODE = random_program.code(n), MESSAGE = 'node ' || n || ' fails';
END $$;
SELECT durable.register_activity('random_program.act ' || kind, 'random_program.act(text, bigint, integer)', execution => kind),
       durable.register_activity('random_program.fail ' || kind, 'random_program.fail(text, integer)', execution => kind)
FROM unnest('{auto,inline,task}'::text[]) AS kind;

-- root: the id of the instance that stands for the whole program.
CREATE FUNCTION random_program.schedule(node jsonb, v bigint, root text, kind text) RETURNS durable.task LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    CASE node ->> 'op'
        WHEN 'act' THEN
            RETURN durable.schedule_activity('random_program.act ' || kind, jsonb_build_array(root, v, node -> 'n'));
        WHEN 'fail' THEN
            RETURN durable.schedule_activity('random_program.fail ' || kind, jsonb_build_array(root, node -> 'n'));
        WHEN 'sql' THEN
            RETURN durable.schedule_activity('durable.call_sql', jsonb_build_object(
                'query', 'SELECT random_program.sql_value($1, $2) AS v', 'params', jsonb_build_array(v, node -> 'n')));
        WHEN 'event' THEN
            RETURN durable.external_event('E' || (node ->> 'n'));
        WHEN 'child' THEN
            RETURN durable.schedule_sub_orchestrator('random_program.run',
                jsonb_build_object('code', jsonb_build_array(node -> 'body'), 'v', v, 'root', root, 'kind', kind));
    END CASE;
END $$;

CREATE FUNCTION random_program.step(node jsonb, v bigint, root text, kind text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    op text := node ->> 'op';
    n integer := node -> 'n';
    member jsonb;
    tasks durable.task[];
    results jsonb[];
    first durable.task;
BEGIN
    CASE op
        WHEN 'act' THEN
            RETURN durable.call_activity('random_program.act ' || kind, jsonb_build_array(root, v, n));
        WHEN 'fail' THEN
            RETURN durable.call_activity('random_program.fail ' || kind, jsonb_build_array(root, n));
        WHEN 'raise' THEN
            RAISE EXCEPTION USING ERRCODE = random_program.code(n), MESSAGE = 'node ' || n || ' raises';
        WHEN 'sql' THEN
            RETURN durable.call_sql('SELECT random_program.sql_value($1, $2) AS v', jsonb_build_array(v, n)) -> 0 -> 'v';
        WHEN 'forget' THEN
            PERFORM durable.schedule_activity('random_program.act ' || kind, jsonb_build_array(root, v, n));
        WHEN 'timer' THEN
            PERFORM durable.sleep(n % 20 * interval '1 second');
            v := v + 1;
        WHEN 'timeout' THEN
            v := random_program.mix(v, durable.wait_for_external_event('never ' || n, n % 20 * interval '1 second', to_jsonb(n))::bigint);
        WHEN 'event' THEN
            v := random_program.mix(v, durable.wait_for_external_event('E' || n)::bigint);
        WHEN 'self' THEN
            PERFORM durable.send_event(durable.instance_id(), 'self ' || n, v + n);
            v := random_program.mix(v, durable.wait_for_external_event('SELF ' || n)::bigint);
        WHEN 'noise' THEN
            PERFORM durable.log('noise ' || n), durable.set_custom_status(to_jsonb(n)), durable.uuid(), durable.random(), durable.now(),
                    durable.is_replaying();
        WHEN 'seq' THEN
            FOR member IN SELECT * FROM jsonb_array_elements(node -> 'of') LOOP
                v := random_program.step(member, v, root, kind);
            END LOOP;
        WHEN 'loop' THEN
            FOR i IN 1..(node -> 'times')::integer LOOP
                v := random_program.step(node -> 'body', v, root, kind);
            END LOOP;
        WHEN 'par' THEN
            FOR member IN SELECT * FROM jsonb_array_elements(node -> 'of') LOOP
                tasks := tasks || random_program.schedule(member, v, root, kind);
            END LOOP;
            results := durable.when_all(VARIADIC tasks);
            FOR i IN 1..cardinality(results) LOOP
                v := random_program.mix(v, CASE WHEN node -> 'of' -> (i - 1) ->> 'op' = 'sql' THEN results[i] -> 0 -> 'v' ELSE results[i] END::bigint);
            END LOOP;
        WHEN 'race' THEN
            FOR i IN 1..CASE node ->> 'against' WHEN 'same' THEN (node -> 'times')::integer ELSE 1 END LOOP
                tasks := tasks || random_program.schedule(
                    CASE node ->> 'against' WHEN 'event' THEN '{"op": "event"}' ELSE '{"op": "act"}' END::jsonb || jsonb_build_object('n', n), v, root, kind);
            END LOOP;
            IF node ->> 'against' <> 'same' THEN
                tasks := durable.create_timer(durable.now() + interval '100 years') || tasks;
            END IF;
            first := durable.when_any(VARIADIC tasks);
            IF (node -> 'cancel')::boolean AND node ->> 'against' <> 'same' THEN
                PERFORM durable.cancel_timer(tasks[1]);
            END IF;
            v := CASE node ->> 'against' WHEN 'event' THEN random_program.mix(v, durable.result(first)::bigint) ELSE durable.result(first)::bigint END;
        WHEN 'child' THEN
            RETURN durable.call_sub_orchestrator('random_program.run',
                jsonb_build_object('code', jsonb_build_array(node -> 'body'), 'v', v, 'root', root, 'kind', kind));
        WHEN 'catch' THEN
            BEGIN
                RETURN random_program.step(node -> 'body', v, root, kind);
            EXCEPTION WHEN OTHERS THEN
                v := random_program.mix(v, random_program.code_value(SQLSTATE));
            END;
            RETURN random_program.step(node -> 'handler', v, root, kind);
    END CASE;
    RETURN v;
END $$;

CREATE FUNCTION random_program.run(code jsonb, v bigint, root text, kind text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    v := random_program.step(code -> 0, v, root, kind);
    IF jsonb_array_length(code) > 1 THEN
        PERFORM durable.continue_as_new(jsonb_build_object('code', code - 0, 'v', v, 'root', root, 'kind', kind));
    END IF;
    RETURN v;
END $$;

DO $$
BEGIN
    FOR i IN 0..49 LOOP
        EXECUTE format('CREATE FUNCTION random_program.%I(code jsonb, v bigint, root text, kind text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS %L',
                       'run_straight_' || i, 'BEGIN RETURN random_program.run(code, v, root, kind); END');
    END LOOP;
END $$;

-- --- driving them -------------------------------------------------------------------------------------------

CREATE FUNCTION random_program.generate(count integer, seed double precision) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    code jsonb;
    v bigint;
    o random_program.outcome;
    effects integer;
    events jsonb;
    part jsonb;
    nodes bigint;
BEGIN
    PERFORM setseed(seed);
    PERFORM setval('random_program.next', 1, false);
    FOR id IN 1..count LOOP
        code := '[]';
        effects := 0;
        events := '[]';
        v := id;
        FOR i IN 1..CASE WHEN id % 2 = 0 OR random() < 0.8 THEN 1 ELSE 3 END LOOP
            code := code || random_program.make_node(3, false, id % 2 = 0);
        END LOOP;
        FOR part IN SELECT * FROM jsonb_array_elements(code) LOOP
            o := random_program.direct(part, v);
            v := o.v;
            effects := effects + o.effects;
            events := events || o.events;
            EXIT WHEN o.sqlstate IS NOT NULL;
        END LOOP;
        INSERT INTO random_program.program
        VALUES (id, CASE id % 2 WHEN 0 THEN 'random_program.run_straight_' || id / 2 % 50 ELSE 'random_program.run' END, code, CASE WHEN o.sqlstate IS NULL THEN v END, o.sqlstate, effects, events);
    END LOOP;
    SELECT last_value INTO nodes FROM random_program.next;
    RETURN nodes;
END $$;

CREATE FUNCTION random_program.start(kind text, prefix text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    INSERT INTO random_program.instance (instance_id, id) SELECT prefix || id, id FROM random_program.program;
    SELECT count(durable.start(handler, jsonb_build_object('code', code, 'v', id, 'root', prefix || id, 'kind', kind), prefix || id))
    FROM random_program.program;
$$;

-- Raises the next events of each program: all that are left, or each instance's next with that probability.
CREATE FUNCTION random_program.raise(prefix text, share double precision DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    r record;
    raised bigint := 0;
BEGIN
    FOR r IN SELECT i.instance_id, i.raised, p.events, least(jsonb_array_length(p.events), i.raised + CASE WHEN share IS NULL THEN 1000000 ELSE 1 END) AS until
             FROM random_program.instance i JOIN random_program.program p USING (id)
             WHERE starts_with(i.instance_id, prefix) AND jsonb_array_length(p.events) > i.raised AND (share IS NULL OR random() < share)
             ORDER BY p.id
    LOOP
        FOR e IN r.raised .. r.until - 1 LOOP
            PERFORM durable.raise_event(r.instance_id, r.events -> e ->> 0, r.events -> e -> 1);
            raised := raised + 1;
        END LOOP;
        UPDATE random_program.instance i SET raised = r.until WHERE i.instance_id = r.instance_id;
    END LOOP;
    RETURN raised;
END $$;

-- Those that are not through, and their children.
CREATE VIEW random_program.unfinished AS
    SELECT instance_id, runtime_status, waiting_on FROM durable.instances
    WHERE name LIKE 'random\_program.run%' AND runtime_status NOT IN ('Completed', 'Failed', 'Terminated');

-- Those that came to something else than they should have.
CREATE VIEW random_program.wrong AS
    SELECT i.instance_id, d.runtime_status, p.result AS expected, d.output AS result,
           p.sqlstate AS expected_sqlstate, d.failure ->> 'sqlstate' AS sqlstate,
           p.effects AS expected_effects, coalesce(e.effects, 0) AS effects, d.failure ->> 'message' AS message
    FROM random_program.instance i
         JOIN random_program.program p USING (id)
         LEFT JOIN durable.instances d USING (instance_id)
         LEFT JOIN (SELECT instance_id, count(*) AS effects FROM random_program.effect GROUP BY instance_id) e USING (instance_id)
    WHERE d.runtime_status IS DISTINCT FROM CASE WHEN p.sqlstate IS NULL THEN 'Completed' ELSE 'Failed' END
       OR d.output IS DISTINCT FROM to_jsonb(p.result)
       OR d.failure ->> 'sqlstate' IS DISTINCT FROM p.sqlstate
       OR coalesce(e.effects, 0) <> p.effects;
