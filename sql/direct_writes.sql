--
-- Rows that the engine writes to its tables without a statement: they are what statements would have written.
--
\pset null '(null)'
CREATE FUNCTION one(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN input; END $$;
CREATE FUNCTION patient(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN durable.wait_for_external_event('Go', '1 hour');
END $$;

-- What is in the table is in its indexes, and the other way round.
CREATE FUNCTION found_by_index() RETURNS TABLE (what text, in_table bigint, by_index bigint)
LANGUAGE plpgsql SET enable_seqscan TO off SET enable_bitmapscan TO off AS $$
BEGIN
    FOR what, in_table, by_index IN
        SELECT 'instance, key', (SELECT count(*) FROM durable.instance), (SELECT count(*) FROM durable.instance WHERE key > 0)
        UNION ALL SELECT 'instance, id', (SELECT count(*) FROM durable.instance), (SELECT count(*) FROM durable.instance WHERE instance_id > '')
        UNION ALL SELECT 'inbox', (SELECT count(*) FROM durable.inbox), (SELECT count(*) FROM durable.inbox WHERE owner > 0::oid)
        UNION ALL SELECT 'timer', (SELECT count(*) FROM durable.timer), (SELECT count(*) FROM durable.timer WHERE owner > 0::oid)
        UNION ALL SELECT 'history', (SELECT count(*) FROM durable.history), (SELECT count(*) FROM durable.history WHERE key > 0)
    LOOP
        RETURN NEXT;
    END LOOP;
END $$;

-- ten thousand in one statement; the same transaction sees them, and may start more
BEGIN;
SELECT count(DISTINCT durable.start('one', i)) FROM generate_series(1, 10000) i;
SELECT count(*), count(DISTINCT instance_id), min(input::int), max(input::int) FROM durable.instance;
SELECT count(*) FROM durable.inbox m JOIN durable.instance USING (key) WHERE kind = 's' AND m.owner = instance.owner;
SELECT durable.start('one', 0) <> '' AS one_more;
SELECT * FROM found_by_index();
ROLLBACK;
SELECT * FROM found_by_index();

-- columns that are not named have their defaults
SELECT durable.start('one', 'x') <> '' AS started;
SELECT status, version, code_hash, execution, events, turns, compute_us, started_at, updated_at, completed_at, parent_key, crashes FROM durable.instance;
CALL durable.drain();

-- a statement does not see what it starts itself; functions that it calls do
BEGIN;
SELECT n, durable.start('one', n) <> '' AS started, (SELECT count(*) FROM durable.instances WHERE name = 'public.one') AS statement_sees FROM generate_series(1, 3) n;
CREATE FUNCTION count_instances() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM durable.instance); END $$;
SELECT n, durable.start('one', n) <> '' AS started, count_instances() AS function_sees FROM generate_series(1, 3) n;
ROLLBACK;

-- subtransactions that are rolled back take their rows with them, and only these
BEGIN;
SELECT durable.start('one', 'stays') <> '' AS started;
SAVEPOINT a;
SELECT durable.start('one', 'goes') <> '' AS started;
SAVEPOINT b;
SELECT count(durable.start('one', 'goes too')) FROM generate_series(1, 100);
ROLLBACK TO a;
SELECT durable.start('one', 'stays as well') <> '' AS started;
DO $$
BEGIN
    PERFORM durable.start('one', 'goes');
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    PERFORM durable.start('one', 'stays, too');
END $$;
COMMIT;
SELECT * FROM found_by_index();
CALL durable.drain();
SELECT input, runtime_status FROM durable.instances ORDER BY created_time;

-- later starts are timers
SELECT count(durable.start('one', i, start_at => now() + i * interval '1 minute')) FROM generate_series(1, 50) i;
SELECT * FROM found_by_index();
SELECT durable.advance_clock('1 hour') > now() AS advanced;
CALL durable.drain();
SELECT count(*) FROM durable.instances WHERE runtime_status = 'Completed';

-- isolation levels, and transactions that must not write
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(durable.start('one', i)) FROM generate_series(1, 10) i;
SELECT count(*) FROM durable.instances WHERE runtime_status = 'Pending';
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(durable.start('patient', i)) FROM generate_series(1, 10) i;
SELECT count(*) FROM durable.instances WHERE runtime_status = 'Pending';
COMMIT;
BEGIN READ ONLY;
SELECT durable.start('one', 1);
ROLLBACK;
BEGIN;
SAVEPOINT a;
SET LOCAL transaction_read_only = on;
SELECT durable.start('one', 1);
ROLLBACK TO a;
SELECT durable.start('one', 1) <> '' AS started;
COMMIT;
CALL durable.drain();
SELECT * FROM found_by_index();
SELECT name, runtime_status, count(*) FROM durable.instances GROUP BY 1, 2 ORDER BY 1, 2;

-- a prepared transaction
BEGIN;
SELECT count(durable.start('one', i)) FROM generate_series(1, 10) i;
PREPARE TRANSACTION 'direct_writes';
COMMIT PREPARED 'direct_writes';
CALL durable.drain();
SELECT count(*) FROM durable.instances WHERE runtime_status = 'Pending';

-- large values go where large values go
SELECT durable.start('one', (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 5000) i)) <> '' AS started;
CALL durable.drain();
SELECT pg_column_size(output) > 100000 AS is_large, output = input AS is_same FROM durable.instances WHERE jsonb_typeof(input) = 'array';

-- what others add to the tables: indexes of any kind, columns, defaults
CREATE INDEX by_status ON durable.instance (status) WHERE status <> 'C';
CREATE INDEX by_text ON durable.instance ((input #>> '{}')) WHERE jsonb_typeof(input) = 'string';
CREATE INDEX by_tags ON durable.instance USING gin (tags);
CREATE INDEX by_time ON durable.instance USING brin (created_at);
ALTER TABLE durable.instance ADD COLUMN remark text NOT NULL DEFAULT 'none', ADD COLUMN noted_by name DEFAULT current_user, ADD COLUMN empty int;
SELECT durable.start('one', 'indexed', tags => '{"a": 1}') <> '' AS started;
SELECT durable.start('patient', 11, tags => '{"a": 2}') <> '' AS started;
CALL durable.drain();
SET enable_seqscan = off;
SELECT input, status, remark, noted_by = current_user AS is_me, empty FROM durable.instance WHERE input #>> '{}' = 'indexed' AND jsonb_typeof(input) = 'string';
SELECT input, status FROM durable.instance WHERE tags @> '{"a": 2}';
SELECT count(*) FROM durable.instance WHERE status = 'R';
SELECT count(*) > 0 AS found FROM durable.instance WHERE created_at > '2000-01-01';
RESET enable_seqscan;
-- rows that were there before the column was have its default without having been written, and keep it
SELECT count(*) AS were_there, count(remark) AS have_remarks, min(remark) AS remark FROM durable.instance WHERE status = 'R';
SELECT durable.raise_event(instance_id, 'Go', 1) FROM durable.instances WHERE runtime_status = 'Running';
CALL durable.drain();
SELECT status, remark, noted_by = current_user AS is_me, count(*) FROM durable.instance GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
ALTER TABLE durable.instance ADD COLUMN never int NOT NULL DEFAULT 1, ALTER COLUMN never SET DEFAULT nullif(1, 1);
SELECT durable.start('one', 1);
ALTER TABLE durable.instance DROP COLUMN never;
ALTER TABLE durable.instance DROP COLUMN noted_by, DROP COLUMN remark;
SELECT durable.start('one', 'columns are gone') <> '' AS started;
CALL durable.drain();
SELECT status, empty FROM durable.instance WHERE input #>> '{}' = 'columns are gone' AND jsonb_typeof(input) = 'string';

-- what would have to be obeyed is refused
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE VIEW told AS SELECT ok, detail, hint FROM durable.doctor() WHERE check_name = 'tables';
TABLE told;
CREATE TRIGGER meddle BEFORE INSERT ON durable.inbox FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT durable.start('one', 1);
TABLE told;
ALTER TABLE durable.inbox DISABLE TRIGGER meddle;
SELECT durable.start('one', 1) <> '' AS started;
DROP TRIGGER meddle ON durable.inbox;
TABLE told;
CREATE TRIGGER meddle BEFORE UPDATE ON durable.instance FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT durable.start('one', 1);
SELECT detail FROM told;
DROP TRIGGER meddle ON durable.instance;
CREATE TRIGGER meddle BEFORE INSERT ON durable.history FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT detail FROM told;
DROP TRIGGER meddle ON durable.history;
ALTER TABLE durable.instance ADD COLUMN kind text GENERATED ALWAYS AS (name || '!') STORED;
SELECT durable.start('one', 1);
ALTER TABLE durable.instance DROP COLUMN kind;
ALTER TABLE durable.instance ADD CONSTRAINT named CHECK (name <> '');
SELECT durable.start('one', 1);
ALTER TABLE durable.instance DROP CONSTRAINT named;
CALL durable.drain();
ALTER TABLE durable.inbox ADD COLUMN required int;
ALTER TABLE durable.inbox ALTER COLUMN required SET NOT NULL;
SELECT durable.start('one', 1);
SELECT detail FROM told;
ALTER TABLE durable.inbox DROP COLUMN required;
ALTER TABLE durable.instance ADD COLUMN required int;
ALTER TABLE durable.instance ADD CONSTRAINT one_each EXCLUDE USING hash (required WITH =);
SELECT detail FROM told;
ALTER TABLE durable.instance DROP COLUMN required;
CREATE RULE nothing AS ON INSERT TO durable.inbox DO INSTEAD NOTHING;
SELECT durable.start('one', 1);
SELECT detail FROM told;
DROP RULE nothing ON durable.inbox;
-- so are references from the tables, and to rows that are deleted without statements
CREATE TABLE remark (remark text PRIMARY KEY);
ALTER TABLE durable.instance ADD COLUMN remark text REFERENCES remark;
SELECT durable.start('one', 1);
SELECT detail FROM told;
ALTER TABLE durable.instance DROP COLUMN remark;
DROP TABLE remark;
CREATE TABLE receipt (owner regrole, key bigint, id bigint, FOREIGN KEY (owner, key, id) REFERENCES durable.inbox (owner, key, id));
SELECT durable.start('one', 1);
SELECT detail FROM told;
DROP TABLE receipt;
-- references to the tables need no help
CREATE TABLE note (key bigint REFERENCES durable.instance (key));
ALTER TABLE durable.instance ADD COLUMN number int UNIQUE DEFERRABLE INITIALLY DEFERRED;
TABLE told;
SELECT durable.start('one', 1) <> '' AS started;
CALL durable.drain();
SELECT * FROM found_by_index();

-- another creation of the extension has other tables
DROP TABLE note;
DROP VIEW told;
DROP EXTENSION durable;
CREATE EXTENSION durable;
BEGIN;
SELECT durable.start('one', 'new') <> '' AS started;
ROLLBACK;
SELECT durable.start('one', 'newer') <> '' AS started;
CALL durable.drain();
SELECT input, runtime_status FROM durable.instances;

-- tables stay open from one start of a transaction to the next, but not for DDL
BEGIN;
SELECT durable.start('one', 1, 'before') <> '' AS started;
ALTER TABLE durable.instance ADD COLUMN note text DEFAULT 'none';
CREATE INDEX instance_note ON durable.instance (note);
SELECT durable.start('one', 1, 'after') <> '' AS started;
DECLARE starts CURSOR FOR SELECT durable.start('one', n, 'cursor ' || n) FROM generate_series(1, 3) n;
FETCH starts;
ALTER TABLE durable.instance ALTER COLUMN note SET DEFAULT 'some';
REINDEX TABLE durable.inbox;
FETCH ALL starts;
SET LOCAL enable_seqscan TO off;
SELECT note, count(*) FROM durable.instance WHERE note > '' GROUP BY 1 ORDER BY 1;
SELECT * FROM found_by_index();
ROLLBACK;
-- nor beyond the subtransaction that has created them
BEGIN;
SELECT durable.start('one', 1) <> '' AS started;
SAVEPOINT before;
DROP EXTENSION durable;
CREATE EXTENSION durable;
SELECT durable.start('one', 1) <> '' AS started;
SELECT count(*) FROM durable.instance;
ROLLBACK TO before;
SELECT durable.start('one', 1) <> '' AS started;
SELECT count(*) FROM durable.instance;
SAVEPOINT before;
SELECT durable.start('one', 1, 'same'), durable.start('one', 1, 'same');
ROLLBACK TO before;
SELECT durable.start('one', 1, 'same');
DROP EXTENSION durable CASCADE;
ROLLBACK;
SELECT * FROM found_by_index();
-- an index that remembers something for one statement
CREATE INDEX instance_range ON durable.instance USING brin (key);
CREATE INDEX instance_input ON durable.instance USING gin (input);
BEGIN;
SELECT durable.start('one', 1) <> '' AS started;
SELECT durable.start('one', 1) <> '' AS started;
COMMIT;
CALL durable.drain();
SELECT count(*) FROM durable.instance WHERE input @> '1';
