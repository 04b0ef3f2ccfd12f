# durable.counts says what there is with workers that run, sums that the coordinator replaces, a crash, a prepared
# transaction, and after dump and restore.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;

my $WRONG = <<'SQL';
SELECT count(*) FROM (
    (SELECT owner, name, status, sum(n) FROM durable.tally WHERE name IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(n) <> 0
     EXCEPT SELECT owner, name, status, count(*) FROM durable.instance GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT owner, name, status, count(*) FROM durable.instance GROUP BY 1, 2, 3
     EXCEPT SELECT owner, name, status, sum(n) FROM durable.tally WHERE name IS NOT NULL GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT NULL::regrole, range::text, status, sum(n) FROM durable.tally WHERE range IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(n) <> 0
     EXCEPT SELECT NULL::regrole, (key >> 9)::text, status, count(*) FROM durable.instance GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT NULL::regrole, (key >> 9)::text, status, count(*) FROM durable.instance GROUP BY 1, 2, 3
     EXCEPT SELECT NULL::regrole, range::text, status, sum(n) FROM durable.tally WHERE range IS NOT NULL GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT NULL::regrole, name, NULL::"char", key >> 9 FROM durable.instance
     EXCEPT (SELECT NULL::regrole, name, NULL::"char", range FROM durable.name_range UNION SELECT NULL, name, NULL, range FROM durable.tally))
    UNION ALL
    (SELECT owner, handler, status, sum(n) FROM durable.tally WHERE name IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(n) <> 0
     EXCEPT SELECT owner, handler, status, count(*) FROM durable.instance GROUP BY 1, 2, 3)) w
SQL
my $DIFFERENCES = 'SELECT count(*) FROM durable.tally WHERE name IS NOT NULL AND range IS NOT NULL';

my $node = new_node('main', conf => 'max_prepared_transactions = 2');
$node->start;
create_durable($node, 'counts');
$node->safe_psql('counts', <<'SQL');
CREATE FUNCTION public.work(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.sleep('10 ms');
    IF n % 10 = 0 THEN
        RAISE 'no';
    END IF;
    IF n % 7 = 0 THEN
        PERFORM durable.wait_for_external_event('Go');
    END IF;
    RETURN n;
END $$;
SQL

# while they run, any snapshot has as many as there are; the differences are replaced meanwhile
my $wrong = 0;
my $folded = 0;
foreach my $round (1 .. 10)
{
	$node->safe_psql('counts', "SELECT durable.start('public.work', i) FROM generate_series(1, 30) i") foreach 1 .. 5;
	$wrong += $node->safe_psql('counts', $WRONG);
	$folded ||= $node->safe_psql('counts', 'SELECT count(*) > 0 FROM durable.tally WHERE range IS NULL') eq 't';
}
is($wrong, 0, 'while workers run: as many as there are');
ok($node->poll_query_until('counts', "SELECT ($DIFFERENCES) < 64 AND EXISTS (SELECT FROM durable.tally WHERE range IS NULL)"),
	'differences are replaced by sums');
is($node->safe_psql('counts', "SELECT count(*), min(name) FROM durable.name_range"), '3|public.work', 'and by the ranges of a name');
is($node->safe_psql('counts', $WRONG), 0, 'the sums are right');

$node->safe_psql('counts', <<'SQL');
BEGIN;
SELECT durable.start('public.work', 7, 'prepared');
PREPARE TRANSACTION 'start';
SQL
is($node->safe_psql('counts', $WRONG), 0, 'a transaction that is prepared counts as little as its instances');
$node->stop('immediate');
$node->start;
is($node->safe_psql('counts', $WRONG), 0, 'after a crash');
$node->safe_psql('counts', "COMMIT PREPARED 'start'");
is($node->safe_psql('counts', $WRONG), 0, 'after it was committed');

ok($node->poll_query_until('counts', "SELECT count(*) = 0 FROM durable.counts WHERE runtime_status = 'Pending'"), 'all have run');
ok($node->poll_query_until('counts',
		"SELECT string_agg(runtime_status || ' ' || instances, ', ' ORDER BY runtime_status) = 'Completed 1150, Failed 150, Running 201' FROM durable.counts"),
	'what has become of them');
is($node->safe_psql('counts', $WRONG), 0, 'at the end');
$node->safe_psql('counts', "SELECT durable.purge_history('0')");
is($node->safe_psql('counts', $WRONG), 0, 'after they were purged');

# what has ended, and who gets what is published, is in the dump as well
my $FINISHED = 'SELECT owner, name, status, completed_at, key, others FROM durable.finished ORDER BY key';
my $waiting = $node->safe_psql('counts', "SELECT min(instance_id) FROM durable.instances WHERE runtime_status = 'Running'");
$node->safe_psql('counts', "SELECT durable.subscribe_instance('$waiting', 'News'); SELECT durable.start('public.work', i) FROM generate_series(1, 3) i");
ok($node->poll_query_until('counts', 'SELECT sum(cardinality(key || others)) = 3 FROM durable.finished'), 'three have ended');
my $finished = $node->safe_psql('counts', $FINISHED);

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('counts'), '-f', $dump ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-q', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', $dump ], 'restore');
is($node->safe_psql('copy', $WRONG), 0, 'after dump and restore');
is($node->safe_psql('copy', "SELECT sum(instances) FROM durable.counts WHERE runtime_status = 'Running'"), 201, '... with all that wait');
is($node->safe_psql('copy', $FINISHED), $finished, '... what has ended');
is($node->safe_psql('copy', "SELECT durable.publish('news')"), 1, '... who is subscribed');

# ranges in which nothing is left are forgotten
$node->safe_psql('counts', "SELECT count(durable.terminate(instance_id)) FROM durable.instances WHERE runtime_status = 'Running'");
ok($node->poll_query_until('counts', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status = 'Running'"), 'all have ended');
$node->safe_psql('counts', "SELECT durable.purge_history('0')");
$node->safe_psql('counts', "SELECT durable.start('public.work', 1)") foreach 1 .. 70;
ok($node->poll_query_until('counts', "SELECT count(*) FILTER (WHERE range < 2) = 0 AND count(*) > 0 FROM durable.name_range"), 'the ranges of purged instances');
is($node->safe_psql('counts', "SELECT count(*) FROM durable.query('public.work')"), 70, '... and those of others are not');

# a backlog of differences takes time of the processor that does not grow with the number of ranges
my ($coordinator) = $node->safe_psql('counts', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'durable coordinator' AND datname = 'counts'");
my %took;
foreach my $size (200000, 60)
{
	my $start = cpu_seconds($coordinator);

	$node->safe_psql('counts', "INSERT INTO durable.tally (owner, name, handler, status, range, n) SELECT 'postgres', 'made up', 'made_up()', 'P', 1000000 + n / $size, 1 FROM generate_series(1, 150000) n");
	ok($node->poll_query_until('counts', "SELECT ($DIFFERENCES) < 64"), 'a backlog of differences is added up');
	$took{$size} = cpu_seconds($coordinator) - $start;
}
cmp_ok($took{60}, '<', 4 * $took{200000} + 1, sprintf('of one range in %.1f s, of 2500 ranges in %.1f s', $took{200000}, $took{60}));
is($node->safe_psql('counts', "SELECT sum(n) FROM durable.tally WHERE name = 'made up'"), 300000, '... and no difference is lost');
is($node->safe_psql('counts', "SELECT count(*) FROM durable.name_range WHERE name = 'made up'"), 2501, '... and the ranges are known');
$node->stop;

done_testing();

sub cpu_seconds
{
	my ($pid) = @_;
	my @fields = split ' ', slurp_file("/proc/$pid/stat");

	return ($fields[13] + $fields[14]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}
