-- The workload of the chaos tests: thousands of small workflows of every kind, for three ordinary roles, whose outcome
-- can be told from their names and inputs (chaos.outcome). What activities do leaves rows without any unique constraint:
-- nothing in the database would notice if one of them ran twice. test/lib/invariants.sql looks at what is left.

CREATE ROLE chaos_ann LOGIN;
CREATE ROLE chaos_bob LOGIN;
CREATE ROLE chaos_cat LOGIN;
SELECT durable.grant_usage(r) FROM unnest('{chaos_ann,chaos_bob,chaos_cat}'::regrole[]) r;

CREATE SCHEMA chaos;
GRANT USAGE ON SCHEMA chaos TO PUBLIC;

-- step is unique within an instance, if everything goes well; seen is the number of effects of the instance that this
-- one found
CREATE TABLE chaos.effect (instance_id text, step text, value int, seen bigint, owner name DEFAULT current_user);
CREATE INDEX ON chaos.effect (instance_id);
CREATE TABLE chaos.ledger (instance_id text, step text, account text, amount int);
CREATE TABLE chaos.balance (account int PRIMARY KEY, amount int NOT NULL DEFAULT 0);
INSERT INTO chaos.balance SELECT generate_series(0, 49);

-- What clients have tried and were told, from their own log: try, ack or rollback of a start, raise or terminate.
CREATE TABLE chaos.client_log (line bigserial, client int, word text, action text, instance_id text, item int);
GRANT SELECT, INSERT ON chaos.effect, chaos.ledger TO PUBLIC;
GRANT SELECT, UPDATE ON chaos.balance TO PUBLIC;

-- --- activities ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION chaos.note(instance text, step text, value int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chaos.effect VALUES (instance, step, value, (SELECT count(*) FROM chaos.effect f WHERE f.instance_id = instance));
	RETURN value;
END $$;

CREATE FUNCTION chaos.note_slowly(instance text, step text, value int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chaos.effect VALUES (instance, step, value, (SELECT count(*) FROM chaos.effect f WHERE f.instance_id = instance));
	PERFORM pg_sleep(CASE WHEN value % 40 = 0 THEN 0.1 ELSE 0.001 END);
	RETURN value;
END $$;
SELECT durable.register_activity('chaos.note_slowly', 'chaos.note_slowly(text,text,int)', execution => 'task');

-- Two rows that belong together.
CREATE FUNCTION chaos.book(instance text, step text, debit text, credit text, amount int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chaos.ledger VALUES (instance, step, debit, -amount);
	INSERT INTO chaos.ledger VALUES (instance, step, credit, amount);
	RETURN amount;
END $$;

-- Leaves a mark first, which goes when it fails.
CREATE FUNCTION chaos.ship(instance text, step text, value int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chaos.effect VALUES (instance, step, value, (SELECT count(*) FROM chaos.effect f WHERE f.instance_id = instance));
	IF value % 3 = 0 THEN
		RAISE EXCEPTION 'nothing on the shelf' USING ERRCODE = 'CH001';
	END IF;
	RETURN value;
END $$;

-- Few rows, in any order: these deadlock.
CREATE FUNCTION chaos.move(debit int, credit int, amount int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	UPDATE chaos.balance b SET amount = b.amount - move.amount WHERE account = debit;
	UPDATE chaos.balance b SET amount = b.amount + move.amount WHERE account = credit;
	RETURN move.amount;
END $$;

-- --- orchestrations -------------------------------------------------------------------------------------------------------

CREATE FUNCTION chaos.a_note(step text, value int) RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_build_object('instance', durable.instance_id(), 'step', step, 'value', value) $$;

CREATE FUNCTION chaos.sequence(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	total int := 0;
BEGIN
	FOR i IN 1..5 LOOP
		total := total + durable.call_activity(CASE WHEN (i + n) % 5 = 0 THEN 'chaos.note_slowly' ELSE 'chaos.note' END,
											   chaos.a_note('step ' || i, n + i))::int;
	END LOOP;
	RETURN total;
END $$;

CREATE FUNCTION chaos.fan(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[] := '{}';
	results jsonb[];
BEGIN
	FOR i IN 1..10 LOOP
		tasks := tasks || durable.schedule_activity(CASE WHEN (i + n) % 10 = 0 THEN 'chaos.note_slowly' ELSE 'chaos.note' END,
													chaos.a_note('branch ' || i, n + i));
	END LOOP;
	results := durable.when_all(VARIADIC tasks);
	RETURN (SELECT sum(r::int) FROM unnest(results) r);
END $$;

CREATE FUNCTION chaos.saga(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	booking jsonb := jsonb_build_object('instance', durable.instance_id(), 'amount', n);
BEGIN
	PERFORM durable.call_activity('chaos.book', booking || '{"step": "charge", "debit": "customer", "credit": "shop"}');
	PERFORM durable.call_activity('chaos.note', chaos.a_note('reserve', n));
	BEGIN
		PERFORM durable.call_activity('chaos.ship', chaos.a_note('ship', n));
	EXCEPTION WHEN SQLSTATE 'CH001' THEN
		PERFORM durable.call_activity('chaos.note', chaos.a_note('release', n));
		PERFORM durable.call_activity('chaos.book', booking || '{"step": "refund", "debit": "shop", "credit": "customer"}');
		RETURN 'refunded';
	END;
	RETURN 'shipped';
END $$;

CREATE FUNCTION chaos.timer(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	never durable.task;
	soon durable.task;
BEGIN
	PERFORM durable.sleep(make_interval(secs => 0.02 + n % 400 / 1000.0));
	never := durable.create_timer(durable.now() + interval '1 hour');
	soon := durable.create_timer(durable.now() + interval '20 ms');
	IF durable.when_any(never, soon) = never THEN
		RETURN 'an hour has passed';
	END IF;
	PERFORM durable.cancel_timer(never);
	PERFORM durable.call_activity('chaos.note', chaos.a_note('after', n));
	RETURN coalesce(durable.wait_for_external_event('Nothing', '5 ms') #>> '{}', 'nobody came');
END $$;

-- Events are numbered by their sender, who says it again when he does not know whether he was heard.
CREATE FUNCTION chaos.pair(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	items jsonb := '[]';
	item jsonb;
BEGIN
	WHILE jsonb_array_length(items) < 3 LOOP
		item := durable.wait_for_external_event('Item');
		IF NOT items @> item THEN
			items := items || item;
		END IF;
	END LOOP;
	PERFORM durable.call_activity('chaos.note', chaos.a_note('heard', n));
	RETURN items;
END $$;

CREATE FUNCTION chaos.child(n int, depth int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	result int := durable.call_activity('chaos.note', chaos.a_note('child', n));
BEGIN
	IF depth > 0 THEN
		result := result + durable.call_sub_orchestrator('chaos.child', jsonb_build_object('n', n + 1, 'depth', depth - 1))::int;
	END IF;
	RETURN result;
END $$;

CREATE FUNCTION chaos.parent(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	one durable.task := durable.schedule_sub_orchestrator('chaos.child', jsonb_build_object('n', n, 'depth', 0));
	two durable.task := durable.schedule_sub_orchestrator('chaos.child', jsonb_build_object('n', n, 'depth', 1));
BEGIN
	RETURN durable.result(one)::int + durable.result(two)::int;
END $$;

CREATE FUNCTION chaos.again(n int, round int DEFAULT 1) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('chaos.note', chaos.a_note('round ' || round, n));
	IF round < 5 THEN
		PERFORM durable.continue_as_new(jsonb_build_object('n', n, 'round', round + 1));
	END IF;
	RETURN durable.wait_for_external_event('Item');
END $$;

CREATE FUNCTION chaos.transfer(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('chaos.move', jsonb_build_array(n % 50, (n * 7 + 1) % 50, n))::int
		+ durable.call_activity('chaos.move', jsonb_build_array((n * 3 + 2) % 50, (n + 25) % 50, n))::int;
END $$;

CREATE FUNCTION chaos.patient(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.wait_for_external_event('Item');
END $$;

CREATE FUNCTION chaos.stopped(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_sub_orchestrator('chaos.patient', n);
END $$;

-- Starts one that goes its own way, and tells it something.
CREATE FUNCTION chaos.starter(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	listener text := durable.start_orchestration('chaos.patient', n, durable.instance_id() || ' listener');
BEGIN
	PERFORM durable.call_activity('chaos.note', chaos.a_note('start', n));
	PERFORM durable.send_event(listener, 'Item', 1);
	RETURN 'started';
END $$;

-- --- how each of them ends --------------------------------------------------------------------------------------------------

CREATE FUNCTION chaos.outcome(instance_id text, name text, input jsonb, OUT status text, OUT output jsonb, OUT steps int)
LANGUAGE plpgsql AS $$
DECLARE
	n int := CASE jsonb_typeof(input) WHEN 'number' THEN input::int ELSE (input ->> 'n')::int END;
	depth int := CASE jsonb_typeof(input) WHEN 'object' THEN (input ->> 'depth')::int END;
BEGIN
	status := 'Completed';
	steps := 1;
	CASE name
		WHEN 'chaos.sequence' THEN output := to_jsonb(5 * n + 15); steps := 5;
		WHEN 'chaos.fan' THEN output := to_jsonb(10 * n + 55); steps := 10;
		WHEN 'chaos.saga' THEN output := to_jsonb(CASE WHEN n % 3 = 0 THEN 'refunded' ELSE 'shipped' END); steps := 2;
		WHEN 'chaos.timer' THEN output := '"nobody came"';
		WHEN 'chaos.pair' THEN output := '[1, 2, 3]';
		WHEN 'chaos.child' THEN output := to_jsonb(n + CASE WHEN depth > 0 THEN n + 1 ELSE 0 END);
		WHEN 'chaos.parent' THEN output := to_jsonb(3 * n + 1); steps := 0;
		WHEN 'chaos.again' THEN output := '1'; steps := 5;
		WHEN 'chaos.transfer' THEN output := to_jsonb(2 * n); steps := 0;
		WHEN 'chaos.starter' THEN output := '"started"';
		WHEN 'chaos.stopped' THEN status := 'Terminated'; steps := 0;
		WHEN 'chaos.patient' THEN
			steps := 0;
			IF instance_id LIKE '%listener' OR instance_id LIKE 'held%' THEN
				output := '1';
			ELSE
				status := 'Terminated';
			END IF;
	END CASE;
END $$;
