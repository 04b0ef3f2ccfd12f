-- An order in three steps. Each step that is done has a step that undoes it; when a later one fails for good, those are
-- done in reverse order. Undoing is durable like everything else: it goes on after a crash, and is tried again until it works.
-- (A termination does not undo anything: send an event for that instead.)
CREATE SCHEMA orders;

CREATE TABLE orders.journal (n integer GENERATED ALWAYS AS IDENTITY, customer text, entry text);

CREATE FUNCTION orders.step(customer text, entry text) RETURNS void
    LANGUAGE sql AS $$ INSERT INTO orders.journal (customer, entry) VALUES (customer, entry) $$;

CREATE FUNCTION orders.charge(customer text, amount numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF amount > 100 THEN
        RAISE EXCEPTION 'the card of % was declined', customer;
    END IF;
    INSERT INTO orders.journal (customer, entry) VALUES (customer, 'charged');
END $$;

CREATE FUNCTION orders.place(customer text, amount numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    undo text[] := '{}';        -- the last one first
    reason text;
    entry text;
BEGIN
    BEGIN
        PERFORM durable.call_activity('orders.step', jsonb_build_array(customer, 'reserved'));
        undo := 'released'::text || undo;
        PERFORM durable.call_activity('orders.step', jsonb_build_array(customer, 'label printed'));
        undo := 'label voided'::text || undo;
        PERFORM durable.call_activity('orders.charge', jsonb_build_array(customer, amount), retry => durable.retry(2, '1 s'));
        RETURN 'placed';
    EXCEPTION WHEN raise_exception THEN
        reason := SQLERRM;
    END;
    FOREACH entry IN ARRAY undo LOOP
        PERFORM durable.call_activity('orders.step', jsonb_build_array(customer, entry), retry => durable.retry(NULL, '1 s'));
    END LOOP;
    RETURN 'not placed: ' || reason;
END $$;

SELECT durable.start('orders.place', '{"customer": "Ann", "amount": 20}'::jsonb, 'order-1');
SELECT durable.start('orders.place', '{"customer": "Bob", "amount": 200}'::jsonb, 'order-2');
