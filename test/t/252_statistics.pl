# Statistics of orchestrations and activities: with workers, kept over restarts, begun anew after a crash, no more
# entries than durable.stat_entries.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => 'durable.stat_entries = 100');
$node->start;
create_durable($node, 'stats');
$node->safe_psql('stats', <<'SQL');
CREATE TABLE public.done (n integer);
CREATE FUNCTION public.writes(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.done VALUES (n);
    RETURN n;
END $$;
CREATE FUNCTION public.refuses(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION public.flow(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.call_activity('public.writes', n);
    IF n % 10 = 0 THEN
        PERFORM durable.call_activity('public.refuses', n);
    END IF;
    RETURN n;
END $$;
SELECT count(durable.start('public.flow', i)) FROM generate_series(1, 1000) i;
SQL
my $ORCHESTRATION = "SELECT ended, failed, terminated, last_error FROM durable.stat_orchestrations WHERE name = 'public.flow'";
my $REFUSES = "SELECT calls, failures, last_error FROM durable.stat_activities WHERE name = 'public.refuses'";
ok($node->poll_query_until('stats', $ORCHESTRATION, '1000|100|0|no'), 'ends of orchestrations by workers');

# Runs that are rolled back with an orchestration that could not be run as a whole are runs as well.
my $refused = $node->safe_psql('stats', $REFUSES);
my ($calls, $failures, $last_error) = split /\|/, $refused;
ok($calls >= 100 && $calls < 200 && $failures == $calls && $last_error eq 'no', "runs of an activity that fails: $refused");
is($node->safe_psql('stats', "SELECT calls >= 1000, failures FROM durable.stat_activities WHERE name = 'public.writes'"), 't|0',
	'runs of one that does not');

$node->restart;
is($node->safe_psql('stats', $ORCHESTRATION), '1000|100|0|no', 'kept over a restart');
is($node->safe_psql('stats', $REFUSES), $refused, '... with activities');
create_durable($node, 'other');
is($node->safe_psql('other', 'SELECT count(*) FROM durable.stats()'), 0, 'another database has none');
is($node->safe_psql('other', 'SELECT durable.stat_reset()'), 0, '... and none to reset');

# A file that is cut off, or another one's
$node->stop;
my $file = $node->data_dir . '/pg_stat/durable.stat';
ok(-s $file, 'there is a file while the server is down');
truncate($file, 1000);
$node->start;
ok(!-e $file, '... and none while it runs');
is($node->safe_psql('stats', 'SELECT count(*) FROM durable.stats()'), 2, 'what was cut off is not there');

# more names than entries
$node->safe_psql('stats', <<'SQL');
SELECT durable.stat_reset();
DO $$
BEGIN
    FOR i IN 1 .. 150 LOOP
        EXECUTE format('CREATE FUNCTION public.f%s() RETURNS integer LANGUAGE sql AS ''SELECT 1''', i);
    END LOOP;
END $$;
SELECT count(durable.start('public.f' || i)) FROM generate_series(1, 150) i;
SQL
ok($node->poll_query_until('stats', "SELECT sum(instances) = 150 FROM durable.counts WHERE name LIKE 'public.f%' AND name <> 'public.flow' AND runtime_status = 'Completed'"),
	'150 orchestrations');
is($node->safe_psql('stats', 'SELECT count(*) FROM durable.stats()'), 100, 'no more entries than there may be');
$node->safe_psql('stats', "SELECT durable.start('public.flow', 10)");
ok($node->poll_query_until('stats', $ORCHESTRATION, '1|1|0|no'), 'a new one takes the place of another');

is(kill_server($node), 0, 'nobody survives the postmaster');
$node->start;
is($node->safe_psql('stats', 'SELECT count(*) FROM durable.stats()'), 0, 'none after a crash');
$node->stop;

done_testing();
