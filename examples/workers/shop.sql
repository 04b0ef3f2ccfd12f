-- An order whose work is done outside of the database: charge_card.py, render_invoice.mjs and send_mail.sh.
--     durable worker --queue shop -j 4 --activity charge_card=./charge_card.py \
--         --activity render_invoice=./render_invoice.mjs --activity send_mail=./send_mail.sh
CREATE SCHEMA shop;

SELECT durable.register_queue('shop', concurrency => 20);
SELECT durable.register_activity('charge_card', execution => 'external', queue => 'shop',
                                 retry => durable.retry(5, '1 s'), timeout => '5 min');
SELECT durable.register_activity('render_invoice', execution => 'external', queue => 'shop');
SELECT durable.register_activity('send_mail', execution => 'external', queue => 'shop',
                                 retry => durable.retry(10, '10 s'));

CREATE FUNCTION shop.fulfil(customer text, card text, cents integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    receipt jsonb;
    invoice jsonb;
BEGIN
    receipt := durable.call_activity('charge_card', jsonb_build_object('card', card, 'cents', cents));
    invoice := durable.call_activity('render_invoice', jsonb_build_object('customer', customer, 'cents', cents));
    PERFORM durable.call_activity('send_mail', jsonb_build_object('to', customer, 'body', invoice ->> 'text'));
    RETURN receipt;
EXCEPTION WHEN SQLSTATE 'WF010' THEN
    -- the message of the worker
    RETURN jsonb_build_object('refused', SQLERRM);
END $$;
