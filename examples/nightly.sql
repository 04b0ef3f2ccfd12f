-- A job at 02:30 every night in Berlin. A night that the server was down for is made up for within six hours. A run that
-- takes longer than a day is not overtaken by the next one.
CREATE SCHEMA nightly;

CREATE TABLE nightly.sale (day date, amount numeric);
CREATE TABLE nightly.total (day date PRIMARY KEY, amount numeric);

CREATE FUNCTION nightly.add_up(day date) RETURNS numeric LANGUAGE sql AS $$
    INSERT INTO nightly.total
    SELECT add_up.day, coalesce(sum(amount), 0) FROM nightly.sale s WHERE s.day = add_up.day
    ON CONFLICT (day) DO UPDATE SET amount = excluded.amount
    RETURNING amount
$$;

-- The instance id is NAME@TIME, and so says which night it is, also when it runs late.
CREATE FUNCTION nightly.close_day() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    night timestamptz := split_part(durable.instance_id(), '@', 2);
    day date := (night AT TIME ZONE 'Europe/Berlin')::date - 1;
BEGIN
    RETURN durable.call_activity('nightly.add_up', day, retry => durable.retry(10, '1 min'));
END $$;

SELECT durable.schedule('close-day', '30 2 * * *', 'nightly.close_day', timezone => 'Europe/Berlin', catch_up => '6 hours');
