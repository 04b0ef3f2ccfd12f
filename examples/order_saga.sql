-- An order in three steps. Before each step the order records the activity that undoes it. When a later step fails for good,
-- or the order is terminated, the engine runs these activities in reverse order, each until it works, also after a crash.
CREATE SCHEMA orders;

CREATE TABLE orders.journal (n integer GENERATED ALWAYS AS IDENTITY, customer text, entry text);

CREATE FUNCTION orders.step(customer text, entry text) RETURNS void
    LANGUAGE sql AS $$ INSERT INTO orders.journal (customer, entry) VALUES (customer, entry) $$;

-- A step may be undone that has not been done, if the order is terminated at that moment.
CREATE FUNCTION orders.undo(customer text, step text, entry text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orders.journal j WHERE j.customer = undo.customer AND j.entry = undo.step) THEN
        INSERT INTO orders.journal (customer, entry) VALUES (customer, entry);
    END IF;
END $$;

CREATE FUNCTION orders.charge(customer text, amount numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF amount > 100 THEN
        RAISE EXCEPTION 'the card of % was declined', customer;
    END IF;
    INSERT INTO orders.journal (customer, entry) VALUES (customer, 'charged');
END $$;

CREATE FUNCTION orders.place(customer text, amount numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    until_it_works jsonb := durable.retry(NULL, '1 s');
BEGIN
    PERFORM durable.compensate_with('orders.undo', jsonb_build_array(customer, 'reserved', 'released'), until_it_works);
    PERFORM durable.call_activity('orders.step', jsonb_build_array(customer, 'reserved'));
    PERFORM durable.compensate_with('orders.undo', jsonb_build_array(customer, 'label printed', 'label voided'), until_it_works);
    PERFORM durable.call_activity('orders.step', jsonb_build_array(customer, 'label printed'));
    PERFORM durable.call_activity('orders.charge', jsonb_build_array(customer, amount), retry => durable.retry(2, '1 s'));
    IF amount > 50 THEN
        PERFORM durable.wait_for_external_event('released by the shop');
    END IF;
    RETURN 'placed';
END $$;

SELECT durable.start('orders.place', '{"customer": "Ann", "amount": 20}'::jsonb, 'order-1');
SELECT durable.start('orders.place', '{"customer": "Bob", "amount": 200}'::jsonb, 'order-2');
SELECT durable.start('orders.place', '{"customer": "Cat", "amount": 60}'::jsonb, 'order-3');
