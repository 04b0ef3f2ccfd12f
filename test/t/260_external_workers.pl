# External activities with real processes: eight workers keep to the limits of a queue, a worker that waits is woken by the
# commit of work, leases outlive a crash of the server, and a worker that was stopped past its lease has lost it.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.testing = on
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION fan(name text, n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1 .. n LOOP
		tasks := tasks || durable.schedule_activity(name, jsonb_build_object('n', i, 'key', i % 5));
	END LOOP;
	PERFORM durable.when_all(VARIADIC tasks);
	RETURN to_jsonb(n);
END $$;
CREATE TABLE span (n serial, began timestamptz, ended timestamptz, key text, token text);
-- A worker: fetches, notes how long it had each task, completes.
CREATE PROCEDURE worker(queue text, rounds integer, most integer) LANGUAGE plpgsql AS $$
DECLARE
	tokens text[];
BEGIN
	FOR i IN 1 .. rounds LOOP
		WITH w AS (SELECT * FROM durable.fetch_work(queue, pg_backend_pid()::text, most)),
			noted AS (INSERT INTO span (began, key, token) SELECT clock_timestamp(), input ->> 'key', token FROM w RETURNING token)
		SELECT array_agg(token) INTO tokens FROM noted;
		COMMIT;
		PERFORM pg_sleep(0.005);
		CONTINUE WHEN tokens IS NULL;
		-- The end is noted before the completion is visible to anybody.
		UPDATE span SET ended = clock_timestamp() WHERE token = ANY (tokens);
		PERFORM durable.complete_tasks(tokens);
		COMMIT;
	END LOOP;
END $$;
SELECT durable.register_queue('three', concurrency => 3), durable.register_queue('keys', key_concurrency => 1),
	durable.register_queue('rated', rate => 20, per => '2 s'), durable.register_queue('free');
SELECT durable.register_activity('three', execution => 'external', queue => 'three', key => 'key'),
	durable.register_activity('keys', execution => 'external', queue => 'keys', key => 'key'),
	durable.register_activity('rated', execution => 'external', queue => 'rated'),
	durable.register_activity('free', execution => 'external', queue => 'free');
SQL

# Eight workers on one queue until its instance has ended.
sub work_with_eight
{
	my ($queue, $n) = @_;
	$node->safe_psql('postgres', "TRUNCATE span; SELECT durable.start('fan', '{\"name\": \"$queue\", \"n\": $n}'::jsonb, '$queue')");
	$node->poll_query_until('postgres', "SELECT ready = $n FROM durable.queues WHERE name = '$queue'");
	my @workers = map { background_sql($node, "CALL worker('$queue', 10000, 2)") } 1 .. 8;
	ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Completed' FROM durable.status('$queue')"), "$queue: all is done");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL worker%'");
	$_->finish foreach @workers;
	is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT token) FROM span'), "$n|$n", "$queue: each task once");
}

sub background_sql
{
	my ($server, $sql) = @_;
	return IPC::Run::start([ 'psql', '-XqAt', '-d', $server->connstr('postgres'), '-c', $sql ], '<', '/dev/null', '>', \my $out, '2>', \my $err);
}

work_with_eight('three', 60);
is($node->safe_psql('postgres', 'SELECT max((SELECT count(*) FROM span b WHERE b.began <= a.began AND b.ended > a.began)) <= 3 FROM span a'),
	't', 'no more than three at a time');
work_with_eight('keys', 60);
is($node->safe_psql('postgres', 'SELECT count(*) FROM span a JOIN span b ON b.n <> a.n AND b.key = a.key AND b.began <= a.began AND b.ended > a.began'),
	'0', 'never two of one key');
work_with_eight('rated', 50);
cmp_ok($node->safe_psql('postgres', "SELECT max((SELECT count(*) FROM span b WHERE b.began BETWEEN a.began - interval '1.9 s' AND a.began)) FROM span a"),
	'<=', 20, 'no more than the rate within its period');

# A worker that waits is woken by the commit, long before its timeout.
my $wait = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "CALL durable.wait_for_work('free', '10 minutes')" ],
	'<', '/dev/null', '>', \my $available, '2>', \my $noise);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL durable.wait_for_work%' AND wait_event_type = 'Extension' AND backend_xmin IS NULL");
pass('it sleeps without a snapshot');
$node->safe_psql('postgres', q(SELECT durable.start('fan', '{"name": "free", "n": 2}'::jsonb, 'free')));
$wait->finish;
is($available, "t\n", 'it is woken by work');

# Leases are rows: a crash of the server changes nothing of them.
my $token = $node->safe_psql('postgres', "SELECT token FROM durable.fetch_work('free', 'first', lease => '1 hour')");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT worker FROM durable.leases"), 'first', 'the lease is there after a crash');
is($node->safe_psql('postgres', "SELECT durable.complete_tasks(ARRAY['$token'])"), '1', 'and can be answered');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT durable.complete_tasks(ARRAY['$token'])"), '1', 'repeated after a crash, it is answered as before');

# A worker that was stopped past its lease has lost it.
$token = $node->safe_psql('postgres', "SELECT token FROM durable.fetch_work('free', 'stopped', lease => '100 ms')");
$node->poll_query_until('postgres', "CALL durable.wait_for_work('free', '1 minute')");
my $second = $node->safe_psql('postgres', "SELECT token FROM durable.fetch_work('free', 'second')");
isnt($second, '', 'another one gets the task');
my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT durable.complete_tasks(ARRAY['$token'])");
like($err, qr/WF008/, 'the first one is told');
is($node->safe_psql('postgres', "SELECT durable.complete_tasks(ARRAY['$second'])"), '1', 'the second one completes it');
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Completed' FROM durable.status('free')"), 'once');

# A transaction that is just ending the lease hides the task. The coordinator does that, and is paused, so that another session
# is in its place for a tenth of a second. The times tell whether the fetch began meanwhile; if not, there is another try.
$node->safe_psql('postgres', q(SELECT durable.start('fan', '{"name": "free", "n": 1}'::jsonb, 'late')));
$node->poll_query_until('postgres', "SELECT ready = 1 FROM durable.queues WHERE name = 'free'") or die 'the task is not there';
$node->safe_psql('postgres', 'SELECT durable.pause()');
my $found;
for (my $try = 0; $try < 20 && !defined $found; $try++)
{
	my $ends = '';

	$node->safe_psql('postgres', "SELECT token FROM durable.fetch_work('free', 'first', lease => '1 ms')");
	my $ending = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "BEGIN; SELECT FROM durable.queued_task WHERE state = 'l' FOR UPDATE; SELECT pg_sleep(0.1); SELECT extract(epoch FROM clock_timestamp()); COMMIT" ],
		'<', '/dev/null', '>', \$ends);
	my ($begins, $count, $is_late) = split /\|/, $node->safe_psql('postgres', <<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 2000 LOOP
		EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'BEGIN;%pg_sleep(0.1)%' AND wait_event = 'PgSleep');
		PERFORM pg_stat_clear_snapshot(), pg_sleep(0.001);
	END LOOP;
END $$;
WITH begins AS MATERIALIZED (SELECT clock_timestamp() AS at),
	found AS MATERIALIZED (SELECT count(w.token) AS n FROM begins b LEFT JOIN LATERAL durable.fetch_work('free', 'second', lease => '1 ms') w ON b.at IS NOT NULL)
SELECT extract(epoch FROM b.at), f.n, clock_timestamp() > b.at + interval '240 ms' FROM begins b, found f
SQL
	$ending->finish;
	my ($end) = $ends =~ /([\d.]+)/;
	$found = $count if $begins < $end && ($count > 0 || $is_late eq 'f');
	$node->safe_psql('postgres', 'SELECT durable.advance_clock(\'2 minutes\')');
}
is($found, '1', 'a fetch waits for a transaction that is ending the lease');

$node->stop;
done_testing();
