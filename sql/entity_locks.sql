--
-- Critical sections, and everything that can go wrong with locks.
--
\set ECHO none
\getenv top PG_ABS_SRCDIR
\set file :top '/test/lib/engine.sql'
\i :file
\set ECHO all

CREATE FUNCTION account(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
DECLARE
    balance integer := coalesce(state::integer, 0);
BEGIN
    IF operation = 'add' THEN
        balance := balance + input::integer;
        IF balance < 0 THEN
            RAISE EXCEPTION 'not enough money' USING ERRCODE = '23514';
        END IF;
    END IF;
    RETURN (to_jsonb(balance), to_jsonb(balance))::durable.entity_result;
END $$;
SELECT durable.register_entity('account', 'account(jsonb,text,jsonb)');
CREATE VIEW accounts AS SELECT key, state, locked_by, waiting FROM durable.entities ORDER BY key;

-- Holds the entities until it is told how to go on.
CREATE FUNCTION holder(ids text[], start integer DEFAULT 1) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    command text;
    result jsonb;
BEGIN
    PERFORM durable.lock_entities(VARIADIC ids);
    LOOP
        command := durable.wait_for_external_event('command') #>> '{}';
        BEGIN
            CASE split_part(command, ' ', 1)
                WHEN 'add' THEN result := durable.call_entity('account', split_part(command, ' ', 2), 'add', split_part(command, ' ', 3)::integer);
                WHEN 'get' THEN result := durable.call_entity('account', split_part(command, ' ', 2), 'get');
                WHEN 'signal' THEN PERFORM durable.signal_entity('account', split_part(command, ' ', 2), 'add', 1);
                WHEN 'lock' THEN PERFORM durable.lock_entities(split_part(command, ' ', 2));
                WHEN 'unlock' THEN PERFORM durable.unlock_entities();
                WHEN 'where' THEN result := to_jsonb(durable.in_critical_section());
                WHEN 'end' THEN RETURN '"ended"';
                WHEN 'fail' THEN RAISE EXCEPTION 'as you wish' USING ERRCODE = 'AB999';
                WHEN 'again' THEN PERFORM durable.continue_as_new(jsonb_build_object('ids', ids, 'start', start + 1));
            END CASE;
            PERFORM durable.set_custom_status(result);
        EXCEPTION
            WHEN SQLSTATE 'AB999' THEN RAISE;
            WHEN OTHERS THEN PERFORM durable.set_custom_status(jsonb_build_array(SQLSTATE, SQLERRM));
        END;
    END LOOP;
END $$;
CREATE PROCEDURE tell(id text, command text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.raise_event(id, 'command', command);
END $$;

-- locks are granted to the first, the second waits, and so do signals; calls of the holder are served
SELECT durable.start('holder', '{"ids": ["@account@b", "@account@a", "@ACCOUNT@a"]}'::jsonb, 'first');
CALL durable.drain();
SELECT durable.start('holder', '{"ids": ["@account@a", "@account@c"]}'::jsonb, 'second');
SELECT durable.signal_entity('account', 'a', 'add', 1000);
CALL durable.drain();
TABLE accounts;
SELECT instance_id, waiting_on FROM durable.instances ORDER BY 1;
CALL tell('first', 'add a 7');
CALL durable.drain();
TABLE accounts;
SELECT custom_status FROM durable.instances WHERE instance_id = 'first';
SELECT durable.purge_entity('account', 'a');
SELECT durable.apply_entity('account', 'a', 'add', 1);

-- errors within the section: not locked, locked again, a signal to what is locked, what the operation says
CALL tell('first', 'get c');
CALL durable.drain();
SELECT custom_status FROM durable.instances WHERE instance_id = 'first';
CALL tell('first', 'lock @account@d');
CALL durable.drain();
SELECT custom_status FROM durable.instances WHERE instance_id = 'first';
CALL tell('first', 'signal a');
CALL durable.drain();
SELECT custom_status FROM durable.instances WHERE instance_id = 'first';
CALL tell('first', 'add a -100');
CALL durable.drain();
SELECT custom_status FROM durable.instances WHERE instance_id = 'first';
CALL tell('first', 'where');
CALL durable.drain();
SELECT custom_status FROM durable.instances WHERE instance_id = 'first';
TABLE accounts;

-- unlocked: those that wait have their turn in their order, and after that the holder is one of many
CALL tell('first', 'unlock');
CALL tell('first', 'unlock');
CALL tell('first', 'where');
CALL durable.drain();
TABLE accounts;
SELECT instance_id, custom_status, waiting_on FROM durable.instances ORDER BY 1;
CALL tell('first', 'get a');
CALL durable.drain();
SELECT instance_id, custom_status, waiting_on FROM durable.instances ORDER BY 1;

-- the holder ends, and everything that waits is served
CALL tell('second', 'end');
CALL durable.drain();
TABLE accounts;
SELECT instance_id, runtime_status, custom_status, waiting_on FROM durable.instances ORDER BY 1;
CALL tell('first', 'end');
CALL durable.drain();

-- the holder fails
SELECT durable.start('holder', '{"ids": ["@account@a"]}'::jsonb, 'fails');
CALL durable.drain();
SELECT durable.signal_entity('account', 'a', 'add', 1);
CALL durable.drain();
TABLE accounts;
CALL tell('fails', 'fail');
CALL durable.drain();
TABLE accounts;

-- it is terminated
SELECT durable.start('holder', '{"ids": ["@account@a", "@account@b"]}'::jsonb, 'terminated');
CALL durable.drain();
SELECT durable.signal_entity('account', 'b', 'add', 1);
CALL durable.drain();
TABLE accounts;
SELECT durable.terminate('terminated');
CALL durable.drain();
TABLE accounts;

-- it continues as new: the next execution locks anew
SELECT durable.start('holder', '{"ids": ["@account@a"]}'::jsonb, 'again');
CALL durable.drain();
CALL tell('again', 'again');
CALL durable.drain();
SELECT entity_id, locked_execution FROM durable.entity WHERE locked_by IS NOT NULL;

-- it is suspended for a week: it keeps the lock, and others wait for it
SELECT durable.suspend('again');
SELECT durable.signal_entity('account', 'a', 'add', 1);
CALL durable.drain();
SELECT durable.advance_clock('7 days') IS NOT NULL AS later;
CALL durable.drain();
SELECT * FROM accounts WHERE key = 'a';
SELECT durable.resume('again');
CALL tell('again', 'end');
CALL durable.drain();
SELECT * FROM accounts WHERE key = 'a';

-- one that waits for a lock is terminated: it gets nothing, and those behind it go on
SELECT durable.start('holder', '{"ids": ["@account@b"]}'::jsonb, 'h1');
CALL durable.drain();
SELECT durable.start('holder', '{"ids": ["@account@a", "@account@b", "@account@c"]}'::jsonb, 'h2');
CALL durable.drain();
SELECT durable.start('holder', '{"ids": ["@account@b", "@account@c"]}'::jsonb, 'h3');
CALL durable.drain();
TABLE accounts;
SELECT durable.terminate('h2');
CALL durable.drain();
TABLE accounts;
CALL tell('h1', 'end');
CALL durable.drain();
TABLE accounts;
CALL tell('h3', 'end');
CALL durable.drain();
TABLE accounts;

-- two lock the same set in different orders, and hand over to each other many times
CREATE FUNCTION swaps(a text, b text, n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM durable.lock_entities('@account@' || a, '@account@' || b);
        PERFORM durable.sleep('1 s');
        PERFORM durable.call_entity('account', a, 'add', -1);
        PERFORM durable.call_entity('account', b, 'add', 1);
        PERFORM durable.unlock_entities();
    END LOOP;
    RETURN 'done';
END $$;
SELECT sum(state::integer) FROM accounts;
SELECT durable.start('swaps', '{"a": "a", "b": "c", "n": 5}'::jsonb, 's1'), durable.start('swaps', '{"a": "c", "b": "a", "n": 5}'::jsonb, 's2');
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT durable.advance_clock('1 s') IS NOT NULL AS later;
CALL durable.drain();
SELECT instance_id, runtime_status, output FROM durable.instances WHERE instance_id IN ('s1', 's2') ORDER BY 1;
TABLE accounts;

-- an instance that has failed in a section is rewound: it has the locks again before it goes on, and calls again what had failed
CREATE FUNCTION withdraws(amount integer) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.lock_entities('@account@b', '@account@w');
    PERFORM durable.call_entity('account', 'w', 'add', amount);
    RETURN durable.call_entity('account', 'b', 'add', -amount);
END $$;
SELECT durable.start('withdraws', 5, 'withdraws');
CALL durable.drain();
SELECT status, failure FROM run WHERE instance_id = 'withdraws';
TABLE accounts;
SELECT durable.start('holder', '{"ids": ["@account@w"]}'::jsonb, 'in the way');
SELECT durable.signal_entity('account', 'b', 'add', 10);
CALL durable.drain();
SELECT durable.rewind('withdraws');
CALL durable.drain();
SELECT durable.raise_event('withdraws', 'anything');
CALL durable.drain();
SELECT status, waiting_on, failure FROM run WHERE instance_id = 'withdraws';
TABLE accounts;
CALL tell('in the way', 'end');
CALL durable.drain();
SELECT status, output, failure FROM run WHERE instance_id = 'withdraws';
SELECT seq, event, task, name, payload FROM story('withdraws');
TABLE accounts;

-- what is refused
CREATE FUNCTION locks(ids text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.lock_entities(VARIADIC ids);
    RETURN 'locked';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT durable.start('locks', '[["no id"]]'::jsonb, 'l1'), durable.start('locks', '[[]]'::jsonb, 'l2'),
       durable.start('locks', '[[null]]'::jsonb, 'l3'), durable.start('locks', '[null]'::jsonb, 'l4');
CALL durable.drain();
SELECT instance_id, output FROM durable.instances WHERE instance_id LIKE 'l_' ORDER BY 1;

-- nothing is left
SELECT count(*) AS locks FROM durable.entity WHERE locked_by IS NOT NULL;
SELECT count(*) AS waiting FROM durable.entity_operation;
SELECT count(*) AS messages FROM durable.inbox;
