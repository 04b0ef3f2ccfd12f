# Compensations under kills: whatever dies between two of them, each step is undone once, in reverse order.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $INSTANCES = 20;
my $STEPS = 5;

# See 200_chaos_kill.pl for max_crashes.
my $node = new_node('main', conf => "durable.max_workers = 2\ndurable.max_crashes = 1000\n");
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE journal (n bigint GENERATED ALWAYS AS IDENTITY, saga text, step int);
CREATE FUNCTION undo(saga text, step int) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO journal (saga, step) VALUES (saga, step);
	PERFORM pg_sleep(0.02);
END \$\$;
CREATE FUNCTION saga(how text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. $STEPS LOOP
		PERFORM durable.compensate_with('undo', jsonb_build_array(durable.instance_id(), i));
	END LOOP;
	PERFORM durable.wait_for_external_event('End');
	RAISE EXCEPTION 'it fails';
END \$\$;
SELECT durable.start('saga', 'x'::text, 'saga-' || i) FROM generate_series(1, $INSTANCES) i;
SQL
ok($node->poll_query_until('postgres', "SELECT count(*) = $INSTANCES FROM durable.waiting WHERE kind = 'event'"), 'all wait');

# Half of them fail, half are terminated, while processes are killed.
$node->safe_psql('postgres', "SELECT CASE WHEN i % 2 = 0 THEN durable.raise_event('saga-' || i, 'End') ELSE durable.terminate('saga-' || i, 'no') END FROM generate_series(1, $INSTANCES) i");
my $kills = 0;
foreach my $round (1 .. 6)
{
	sleep(0.15);
	if ($round % 3 == 0)
	{
		kill_server($node);
		$node->start;
		$kills++;
		next;
	}
	my ($pid) = process_pids($node, 'durable worker');
	$kills += kill_and_recover($node, 'KILL', $pid) if $pid;
}
cmp_ok($kills, '>=', 2, "$kills kills");
ok($node->poll_query_until('postgres', "SELECT count(*) = $INSTANCES FROM durable.instances WHERE name = 'durable.run_compensations' AND runtime_status = 'Completed'"), 'all are undone');
is($node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE steps = '{5,4,3,2,1}') FROM (SELECT array_agg(step ORDER BY n) AS steps FROM journal GROUP BY saga) s"), $INSTANCES,
	'each step once, in reverse order');
is($node->safe_psql('postgres', "SELECT string_agg(runtime_status || ' ' || n, ', ' ORDER BY runtime_status) FROM (SELECT runtime_status, count(*) AS n FROM durable.instances WHERE instance_id ~ '^saga-[0-9]+\$' GROUP BY 1) s"),
	'Failed 10, Terminated 10', 'half of them have failed, half were terminated');
$node->stop;
done_testing();
