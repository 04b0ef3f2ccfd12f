-- Reserves goods for orders, and waits for as long as it takes until there are enough of them in stock.
-- No query is run while the table does not change; a delivery wakes the orders that wait.
CREATE SCHEMA warehouse;

CREATE TABLE warehouse.stock (item text PRIMARY KEY, pieces integer NOT NULL CHECK (pieces >= 0));
CREATE TABLE warehouse.reservation (order_id text PRIMARY KEY, item text NOT NULL, pieces integer NOT NULL);

-- Takes the goods, in the same commit as the reservation. Another order may have been faster: then it returns false.
CREATE FUNCTION warehouse.reserve(order_id text, item text, pieces integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE warehouse.stock s SET pieces = s.pieces - reserve.pieces
    WHERE s.item = reserve.item AND s.pieces >= reserve.pieces;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO warehouse.reservation VALUES (order_id, item, pieces);
    RETURN true;
END $$;

CREATE FUNCTION warehouse.order_goods(item text, pieces integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := durable.now() + interval '30 days';
BEGIN
    WHILE NOT (durable.call_activity('warehouse.reserve', jsonb_build_array(durable.instance_id(), item, pieces)))::boolean LOOP
        PERFORM durable.set_custom_status(jsonb_build_object('waits_for', item));
        IF durable.wait_until(
            'SELECT pieces FROM warehouse.stock WHERE item = $1 AND pieces >= $2',
            watched => '{warehouse.stock}', recheck => '1 day',
            params => jsonb_build_array(item, pieces), timeout => deadline - durable.now()) IS NULL
        THEN
            RETURN 'not available within 30 days';
        END IF;
    END LOOP;
    RETURN 'reserved';
END $$;

INSERT INTO warehouse.stock VALUES ('table', 2), ('chair', 1);
SELECT durable.start('warehouse.order_goods', '{"item": "table", "pieces": 1}'::jsonb, 'goods-1'),
       durable.start('warehouse.order_goods', '{"item": "chair", "pieces": 4}'::jsonb, 'goods-2'),
       durable.start('warehouse.order_goods', '{"item": "chair", "pieces": 6}'::jsonb, 'goods-3');
