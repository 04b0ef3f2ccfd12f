# A client that waits after durable.rewind() gets the end after the rewind, and never the failure before it: 4,000 times,
# while a worker takes the rewind at the same moment.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('rewinds');
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE bridge (is_mended boolean NOT NULL);
INSERT INTO bridge VALUES (false);
CREATE FUNCTION cross_bridge() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF NOT (SELECT is_mended FROM bridge) THEN
		RAISE EXCEPTION 'the bridge is broken';
	END IF;
	RETURN 'crossed';
END $$;
CREATE FUNCTION travel() RETURNS jsonb LANGUAGE sql AS $$ SELECT durable.call_activity('cross_bridge') $$;

CREATE TABLE seen (after text, status text);
CREATE PROCEDURE travel_often(how_often integer) LANGUAGE plpgsql AS $$
DECLARE
	id text;
BEGIN
	FOR i IN 1..how_often LOOP
		id := 'traveller ' || i;
		UPDATE bridge SET is_mended = false;
		PERFORM durable.start('travel', NULL, id);
		COMMIT;
		INSERT INTO seen SELECT 'start', runtime_status FROM durable.wait(id, '3 min');
		UPDATE bridge SET is_mended = true;
		PERFORM durable.rewind(id);
		COMMIT;
		INSERT INTO seen SELECT 'rewind', runtime_status FROM durable.wait(id, '3 min');
		COMMIT;
	END LOOP;
END $$;
SQL
$node->safe_psql('postgres', 'CALL travel_often(4000)', timeout => 600);
is( $node->safe_psql('postgres', 'SELECT after, status, count(*) FROM seen GROUP BY 1, 2 ORDER BY 1 DESC, 2'),
	"start|Failed|4000\nrewind|Completed|4000", 'each wait after a rewind returns the end after it');

# A waiter that sleeps until the rewind is taken holds no lock on a table of the engine.
$node->safe_psql('postgres', <<'SQL');
UPDATE bridge SET is_mended = false;
SELECT durable.start('travel', NULL, 'late');
SELECT durable.wait('late', '3 min');
SELECT durable.pause();
SELECT durable.rewind('late');
SQL
my $waiter = $node->background_psql('postgres');
$waiter->query_until(qr/asks/, "\\echo asks\nSELECT runtime_status FROM durable.wait('late', '3 min');\n");
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query LIKE '%late%' AND backend_type = 'client backend'"),
	'the waiter sleeps');
is( $node->safe_psql('postgres', <<'SQL'), '', '... and holds no lock');
SELECT l.relation::regclass FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE a.query LIKE 'SELECT runtime_status FROM durable.wait%' AND l.relation >= 16384
SQL
$node->safe_psql('postgres', "SELECT durable.unpause()");
$waiter->quit;
$node->stop;

done_testing();
