-- An expense waits for a person: reminders after one and two days, then a decision of the manager, then none.
--     SELECT durable.raise_event('expense-1', 'decision', '{"approved": true, "by": "Pat"}'::jsonb);
CREATE SCHEMA approval;

CREATE TABLE approval.mail (n integer GENERATED ALWAYS AS IDENTITY, recipient text, body text);

CREATE FUNCTION approval.send_mail(recipient text, body text) RETURNS void
    LANGUAGE sql AS $$ INSERT INTO approval.mail (recipient, body) VALUES (recipient, body) $$;

CREATE FUNCTION approval.expense(clerk text, manager text, amount numeric) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    decision jsonb;
    recipient text;
BEGIN
    -- two reminders for the clerk, then it is the manager's business
    FOREACH recipient IN ARRAY ARRAY[clerk, clerk, clerk, manager] LOOP
        PERFORM durable.set_custom_status(jsonb_build_object('waits_for', recipient));
        PERFORM durable.call_activity('approval.send_mail',
                                      jsonb_build_array(recipient, format('Please decide about %s euros', amount)));
        decision := durable.wait_for_external_event('decision', '1 day');
        IF decision IS NOT NULL THEN
            RETURN decision;
        END IF;
    END LOOP;
    RETURN '{"approved": false, "by": "nobody in four days"}';
END $$;

SELECT durable.start('approval.expense', '{"clerk": "ann", "manager": "max", "amount": 80}'::jsonb, 'expense-1');
SELECT durable.start('approval.expense', '{"clerk": "ann", "manager": "max", "amount": 90}'::jsonb, 'expense-2');
