# An idle transaction keeps what the queue has left from being cleaned up. What it costs to find a message must not depend on
# that: here in entries of the index that are visited, which is the same on any machine.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $WORKFLOWS = 30000;
my $EVENTS = 20;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.worker_idle_timeout = '10 min'
durable.recheck_interval = '60 s'
max_prepared_transactions = 2
autovacuum = off
fsync = off
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION bump(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n + 1; END';
SELECT durable.register_activity('bump', 'bump(int)', execution => 'inline');
CREATE FUNCTION one(n int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('bump', n); END $$;
CREATE FUNCTION listener(n int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('go'); END $$;
SQL
$node->safe_psql('postgres', "SELECT count(durable.start('listener', n, 'listener ' || n)) FROM generate_series(1, 100) n");
$node->poll_query_until('postgres', "SELECT count(*) = 100 FROM durable.waiting") or die 'they do not wait';

# A transaction that is under way, for as long as it takes.
$node->safe_psql('postgres', "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'idle'");
$node->safe_psql('postgres', "SELECT count(durable.start('one', n)) FROM generate_series(1, $WORKFLOWS) n");
$node->poll_query_until('postgres', "SELECT count(*) = $WORKFLOWS FROM durable.instance WHERE status = 'C'") or die 'they do not end';

# Each event is for an instance that is older than all of these.
my $before = visits();
foreach my $n (1 .. $EVENTS)
{
	is($node->safe_psql('postgres', "SELECT durable.raise_event('listener $n', 'go'); SELECT runtime_status FROM durable.wait('listener $n', '60 s')"),
		"\nCompleted", "event $n arrives");
}
my $each = (visits() - $before) / $EVENTS;
cmp_ok($each, '<', $WORKFLOWS / 100, "an event makes workers visit few entries of the inbox: $each of more than $WORKFLOWS");

# Many for one instance are news of one.
$before = visits();
$node->safe_psql('postgres', "SELECT count(durable.raise_event('listener 40', 'go')) FROM generate_series(1, 50); SELECT durable.wait('listener 40', '60 s')");
my $visits = visits() - $before;
cmp_ok($visits, '<', $WORKFLOWS / 100, "50 events for one instance, too: $visits");

# Many at once are more than can be told one by one.
$node->safe_psql('postgres', "SELECT count(durable.raise_event('listener ' || n, 'go')) FROM generate_series(51, 100) n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 50 FROM durable.instances WHERE instance_id IN (SELECT 'listener ' || n FROM generate_series(51, 100) n) AND runtime_status = 'Completed'"),
	'events for many old instances arrive');

# Nobody is told of this one, so it is the look at everything that finds it, behind all the remains.
$node->append_conf('postgresql.conf', "durable.recheck_interval = '500 ms'");
$node->reload;
$node->safe_psql('postgres', "SELECT durable.start('listener', 0, 'last')");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.waiting WHERE instance_id = 'last'") or die 'it does not wait';
$node->safe_psql('postgres', "BEGIN; SELECT durable.raise_event('last', 'go'); PREPARE TRANSACTION 'event'");
$node->safe_psql('postgres', "COMMIT PREPARED 'event'");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('last', '60 s')"), 'Completed', 'rows without a notification are found');
is($node->safe_psql('postgres', "SELECT n_dead_tup > $WORKFLOWS FROM pg_stat_user_tables WHERE relname = 'inbox'"), 't', 'the remains were there all the time');

$node->safe_psql('postgres', "ROLLBACK PREPARED 'idle'");
$node->stop('fast');
done_testing();

# Workers hand their counts in twice a second at most.
sub visits
{
	my $visits = -1;

	while (1)
	{
		my $now = $node->safe_psql('postgres', "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'inbox_pkey'");

		return $visits if $now == $visits;
		$visits = $now;
		sleep 2;
	}
}
