# Full queues: 100,000 tasks of one key or of one owner do not delay one task of another; a fetch takes as long from a full
# queue as from a short one; and limits hold for activities in SQL with eight workers.
#
# QUEUE_LOAD=1000000 makes the full queue longer.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $load = $ENV{QUEUE_LOAD} || 100_000;
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 8
max_worker_processes = 16
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE big LOGIN;
CREATE ROLE small LOGIN;
SELECT durable.grant_usage('big'), durable.grant_usage('small');
CREATE FUNCTION fan(name text, tenant text, n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1 .. n LOOP
		tasks := tasks || durable.schedule_activity(name, jsonb_build_object('tenant', tenant, 'n', i));
	END LOOP;
	PERFORM durable.when_all(VARIADIC tasks);
	RETURN to_jsonb(n);
END $$;
SELECT durable.register_activity('by_key', execution => 'external', queue => 'keys', key => 'tenant'),
	durable.register_activity('by_owner', execution => 'external', queue => 'owners'),
	durable.register_activity('few', execution => 'external', queue => 'short', key => 'tenant');
SELECT durable.start('fan', '{"name": "few", "tenant": "a", "n": 2000}'::jsonb, 'short');
SQL
# The long queues are written directly, in the rounds that the engine would give the tasks: their orchestrations know of one task only.
sub fill
{
	my ($queue, $name, $owner, $share, $n) = @_;

	$node->safe_psql('postgres', "SET ROLE $owner; SELECT durable.start('fan', '{\"name\": \"$name\", \"tenant\": \"$share\", \"n\": 1}'::jsonb, '$queue-$share')");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.queued_task t JOIN durable.instance i USING (key) WHERE i.instance_id = '$queue-$share'");
	$node->safe_psql('postgres', <<SQL);
INSERT INTO durable.queued_task (id, key, at, scheduled_at, round, owner, execution, task, attempt, priority, state, kind, queue, share, name, input)
SELECT nextval('durable.queued_task_id_seq'), t.key, t.at, t.scheduled_at, t.round + n, t.owner, t.execution, t.task + n, 1, t.priority, 'r', t.kind, t.queue, t.share, t.name, t.input
FROM durable.queued_task t JOIN durable.instance i USING (key), generate_series(1, $n - 1) n WHERE i.instance_id = '$queue-$share';
SQL
	return;
}
fill('keys', 'by_key', 'NONE', 'greedy', $load);
fill('owners', 'by_owner', 'big', 'big', $load);
is($node->safe_psql('postgres', "SELECT string_agg(ready::text, ' ' ORDER BY name) FROM durable.queues WHERE name IN ('keys', 'owners')"), "$load $load", "$load tasks in each queue");

# A worker takes some, then one task of somebody else arrives.
foreach ([ 'keys', 'by_key', 'NONE', 'modest' ], [ 'owners', 'by_owner', 'small', 'small' ])
{
	my ($queue, $name, $owner, $tenant) = @$_;

	$node->safe_psql('postgres', "SELECT count(*) FROM durable.fetch_work('$queue', max_tasks => 50)");
	$node->safe_psql('postgres', "SET ROLE $owner; SELECT durable.start('fan', '{\"name\": \"$name\", \"tenant\": \"$tenant\", \"n\": 1}'::jsonb, '$queue-$tenant')");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.queued_task t JOIN durable.instance i USING (key) WHERE i.instance_id = '$queue-$tenant'"), "$queue: one task of another one arrives");
	is($node->safe_psql('postgres', "SELECT count(*) FROM durable.fetch_work('$queue', max_tasks => 2) WHERE instance_id = '$queue-$tenant'"), '1', '... and is among the next two');
}

# --- the time of a fetch ------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE taken (queue text, us float);
CREATE PROCEDURE take(queue text, times integer) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
BEGIN
	FOR i IN 1 .. times LOOP
		began := clock_timestamp();
		PERFORM count(*) FROM durable.fetch_work(queue, max_tasks => 10);
		INSERT INTO taken VALUES (queue, extract(epoch FROM clock_timestamp() - began) * 1e6);
		COMMIT;
	END LOOP;
END $$;
SQL
$node->poll_query_until('postgres', "SELECT ready = 2000 FROM durable.queues WHERE name = 'short'");
$node->safe_psql('postgres', 'VACUUM ANALYZE durable.queued_task');
# By turns, so that what else the machine does hits both.
$node->safe_psql('postgres', "CALL take('short', 20); CALL take('keys', 20)") for 1 .. 8;
my ($short, $long) = split /\|/, $node->safe_psql('postgres', <<'SQL');
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY us) FILTER (WHERE queue = 'short'), percentile_cont(0.5) WITHIN GROUP (ORDER BY us) FILTER (WHERE queue = 'keys') FROM taken
SQL
cmp_ok($long, '<', 1.5 * $short, sprintf('a fetch of ten takes %.0f us from 2,000 tasks, and %.0f us from %d: %.2f of it', $short, $long, $load, $long / $short));

# --- limits for activities in SQL ---------------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'DELETE FROM durable.queued_task');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE span (n serial, name text, began timestamptz, ended timestamptz, key text);
CREATE FUNCTION busy(input jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	PERFORM pg_sleep(0.02);
	INSERT INTO span (name, began, ended, key) VALUES (input ->> 'tenant', began, clock_timestamp(), (input ->> 'n')::integer % 4);
END $$;
CREATE FUNCTION keyed(name text, n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1 .. n LOOP
		tasks := tasks || durable.schedule_activity(name, jsonb_build_object('tenant', name, 'n', i, 'key', (i % 4)::text));
	END LOOP;
	PERFORM durable.when_all(VARIADIC tasks);
END $$;
SELECT durable.register_queue('three', concurrency => 3), durable.register_queue('one of each', key_concurrency => 1);
SELECT durable.register_activity('three', 'busy(jsonb)', queue => 'three'), durable.register_activity('each', 'busy(jsonb)', queue => 'one of each', key => 'key');
SELECT durable.start('keyed', '["three", 60]'::jsonb, 'three'), durable.start('keyed', '["each", 60]'::jsonb, 'each');
SQL
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM durable.instances WHERE instance_id IN ('three', 'each') AND runtime_status = 'Completed'"), 'all activities have run');
is($node->safe_psql('postgres', 'SELECT string_agg(name || n, $$ $$ ORDER BY name) FROM (SELECT name, count(*) AS n FROM span GROUP BY 1) s'), 'each60 three60', 'once each');
cmp_ok($node->safe_psql('postgres', "SELECT max((SELECT count(*) FROM span b WHERE b.name = a.name AND b.began <= a.began AND b.ended > a.began)) FROM span a WHERE name = 'three'"),
	'<=', 3, 'of a queue with concurrency three no more than three run at a time');
is($node->safe_psql('postgres', "SELECT count(*) FROM span a JOIN span b ON b.n <> a.n AND b.name = a.name AND b.key = a.key AND b.began <= a.began AND b.ended > a.began WHERE a.name = 'each'"),
	'0', 'of a queue with key_concurrency one never two of a key');
is($node->safe_psql('postgres', "SELECT max((SELECT count(*) FROM span b WHERE b.began <= a.began AND b.ended > a.began)) > 1 FROM span a"), 't', 'and they do run beside each other');

# The next activity of a queue with a limit begins as soon as one has ended, and not with the next look of the coordinator at all tables,
# which may take a twentieth of its time.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION note(input jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO span (name, began, key) VALUES (input ->> 'tenant', clock_timestamp(), input ->> 'key') $$;
SELECT durable.register_queue('single', concurrency => 1), durable.register_activity('single', 'note(jsonb)', execution => 'task', queue => 'single');
SQL
my $began = time;
$node->safe_psql('postgres', q(SELECT durable.start('keyed', '["single", 300]'::jsonb, 'single')));
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('single', '3 min')"), 'Completed', '300 activities, one at a time');
cmp_ok(time - $began, '<', patience(6), '... without pauses between them');

# With eight workers and a full queue a rate is not exceeded, and nothing of it is lost. (Activities may begin late and then
# together, so only their sum since the start is limited; sql/queues.sql has the intervals.)
$node->safe_psql('postgres', <<'SQL');
SELECT durable.register_queue('rated', rate => 40, per => '1 s'), durable.register_activity('rated', 'note(jsonb)', execution => 'task', queue => 'rated');
INSERT INTO span (name, began) VALUES ('start', clock_timestamp());
SELECT count(durable.start('keyed', '["rated", 500]'::jsonb, 'rated' || n)) FROM generate_series(1, 10) n;
SQL
ok($node->poll_query_until('postgres', "SELECT count(*) >= 200 FROM span WHERE name = 'rated'"), '200 of 5,000 activities of a queue with a rate');
$node->safe_psql('postgres', "SELECT durable.pause_queue('rated')");
is($node->safe_psql('postgres', <<'SQL'), 't|t', 'no more than 40 for each second have begun, and about as many have');
SELECT bool_and(n <= 40 * ceil(at)), 200 / max(at) > 15 FROM (
	SELECT row_number() OVER (ORDER BY s.began) AS n, extract(epoch FROM s.began - z.began) AS at
	FROM span s, span z WHERE s.name = 'rated' AND z.name = 'start' ORDER BY s.began LIMIT 200) t
SQL
$node->safe_psql('postgres', "SELECT count(durable.terminate('rated' || n)) FROM generate_series(1, 10) n");
ok($node->poll_query_until('postgres', "SELECT sum(ready + delayed + leased) = 0 FROM durable.queues WHERE name IN ('single', 'rated')"), 'the end of their instances empties the queue');

$node->stop;
done_testing();
