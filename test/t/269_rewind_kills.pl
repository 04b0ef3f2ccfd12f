# Rewind under kills: trees of three levels have failed, are repaired and rewound, while workers and the server are killed.
# Every tree completes, only what had failed runs again, and every effect is there once.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $trees = 40;
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
durable.max_crashes = 1000
durable.recheck_interval = 1s
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE effect (tree text, what text);
CREATE TABLE is_repaired (yes boolean);
CREATE FUNCTION effect(tree text, what text) RETURNS void LANGUAGE sql AS $$ INSERT INTO effect VALUES (tree, what) $$;
CREATE FUNCTION breaks(tree text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM is_repaired) THEN
		RAISE 'not yet';
	END IF;
	PERFORM pg_sleep(0.005);
	INSERT INTO effect VALUES (tree, 'repaired');
END $$;
SELECT durable.register_activity('breaks', 'breaks(text)', execution => 'task', retry => durable.retry(max_attempts => 1));
CREATE FUNCTION leaf(tree text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('effect', jsonb_build_array(tree, 'leaf before'));
	PERFORM durable.call_activity('breaks', tree);
	PERFORM durable.call_activity('effect', jsonb_build_array(tree, 'leaf after'));
	RETURN 'leaf';
END $$;
CREATE FUNCTION branch(tree text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	child durable.task;
BEGIN
	PERFORM durable.call_activity('effect', jsonb_build_array(tree, 'branch before'));
	child := durable.schedule_sub_orchestrator('leaf', tree);
	RETURN 'branch ' || (durable.result(child) #>> '{}');
END $$;
CREATE FUNCTION root(tree text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	PERFORM durable.call_activity('effect', jsonb_build_array(tree, 'root before'));
	said := durable.call_sub_orchestrator('branch', tree) #>> '{}';
	PERFORM durable.call_activity('effect', jsonb_build_array(tree, 'root after'));
	RETURN 'root ' || said;
END $$;
SQL
$node->safe_psql('postgres', "SELECT durable.start('root', 't' || n, 't' || n) FROM generate_series(1, $trees) n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 * $trees FROM durable.instances WHERE runtime_status = 'Failed'"), 'all levels of all trees have failed');
$node->safe_psql('postgres', 'INSERT INTO is_repaired VALUES (true)');

my $kills = 0;
foreach my $round (0 .. 3)
{
	$node->safe_psql('postgres', "SELECT durable.rewind('t' || n, 'repaired') FROM generate_series($round * 10 + 1, $round * 10 + 10) n");
	$node->poll_query_until('postgres', "SELECT count(*) > $round * 10 FROM effect WHERE what = 'repaired'");
	if ($round == 1)
	{
		is(kill_server($node), 0, 'the server is gone');
		$node->start;
		$kills++;
		next;
	}
	my ($worker) = process_pids($node, 'durable worker');
	$kills += kill_and_recover($node, 'KILL', $worker) if $worker;
}
cmp_ok($kills, '>=', 2, "$kills kills");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status <> 'Completed'"), 'every tree completes');
is($node->safe_psql('postgres', "SELECT output, count(*) FROM durable.instances WHERE instance_id ~ '^t\\d+\$' GROUP BY 1"), "\"root branch leaf\"|$trees", 'with its output');
is($node->safe_psql('postgres', 'SELECT what, count(*), count(DISTINCT tree) FROM effect GROUP BY 1 ORDER BY 1'), join("\n", map { "$_|$trees|$trees" } 'branch before', 'leaf after', 'leaf before', 'repaired', 'root after', 'root before'),
	'every effect is there once: those before the failure and those after it');
is($node->safe_psql('postgres', <<'SQL'), "$trees|" . 3 * $trees, 'each failed activity was taken back once, and each level was rewound once');
SELECT count(*) FILTER (WHERE h.event_type = 'TaskFailed'), count(*) FILTER (WHERE h.event_type = 'ExecutionRewound')
FROM durable.instances i, durable.history(i.instance_id) h
SQL

# A crash between the commit of durable.rewind and its unit: the message is there after it.
$node->safe_psql('postgres', 'DELETE FROM is_repaired');
$node->safe_psql('postgres', "SELECT durable.start('root', 'last', 'last')");
$node->safe_psql('postgres', "SELECT durable.wait('last', '1 min')");
$node->safe_psql('postgres', $_) foreach ('INSERT INTO is_repaired VALUES (true)', 'SELECT durable.pause()', "SELECT durable.rewind('last')");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.status('last')"), 'Failed', 'paused, it has not been rewound');
$node->safe_psql('postgres', 'SELECT durable.unpause()');
is($node->safe_psql('postgres', "CALL durable.wait_for('last', '2 min')"), 'Completed|"root branch leaf"|', 'the rewind is done after the crash');

$node->stop;
done_testing();
