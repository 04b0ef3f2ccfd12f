-- How events are stored: one number for type, members and task, and a second one for types above 30.
CREATE FUNCTION encode_event(type int, task int, name text, payload jsonb, at timestamptz) RETURNS jsonb
	LANGUAGE c AS '$libdir/durable', 'durable_probe_history_encode';
CREATE FUNCTION decode_events(events jsonb, format "char") RETURNS text
	LANGUAGE c STRICT AS '$libdir/durable', 'durable_probe_history_decode';

-- every type there and back
SELECT type, encode_event(type, 7, 'n', '{"a": 1}', '2000-01-01 00:00:00.000009+00') AS stored,
	decode_events(encode_event(type, 7, 'n', '{"a": 1}', '2000-01-01 00:00:00.000009+00'), '3') AS read
FROM generate_series(1, 32) type WHERE type NOT BETWEEN 18 AND 31 AND type NOT IN (4, 6) ORDER BY type;

-- the smallest and the largest
SELECT encode_event(1, 0, NULL, NULL, '2000-01-01 00:00:00+00'), encode_event(32, 2147483647, NULL, NULL, '2000-01-01 00:00:00+00');
SELECT decode_events(encode_event(1, 0, NULL, NULL, '2000-01-01 00:00:00+00'), '3');
SELECT decode_events(encode_event(32, 2147483647, NULL, NULL, '2000-01-01 00:00:00+00'), '3');

-- events of several kinds in a row
SELECT decode_events(encode_event(32, 0, NULL, NULL, '2000-01-01 00:00:00+00') || encode_event(9, 0, 'go', 'null', '2000-01-01 00:00:01+00') ||
	encode_event(32, 0, NULL, NULL, '2000-01-01 00:00:00+00'), '3');

-- rows of format 2 are read, too; no others are
SELECT decode_events(encode_event(2, 1, NULL, '5', '2000-01-01 00:00:00+00'), '2');
SELECT decode_events('[]', '1');
SELECT decode_events('[]', '4');

-- what this version does not know is not passed over
SELECT decode_events('[31, 35]', '3');
SELECT decode_events('[31, -1]', '3');
SELECT decode_events('[31, 4294967298]', '3');
SELECT decode_events('[31]', '3');
SELECT decode_events('[0]', '3');

-- what the engine writes
CREATE FUNCTION waits() RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN durable.wait_for_external_event(''go''); END';
SELECT durable.start('waits', instance_id => 'w');
CALL durable.drain();
SELECT h.format, h.events FROM durable.history h JOIN durable.instance i USING (key) WHERE i.instance_id = 'w';
