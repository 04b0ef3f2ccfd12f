# A primary dies under load, its synchronous standby is promoted, and clients go on there: nothing that was acknowledged is
# missing, nothing has happened twice, and workers are there at once.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

chaos_seed();
my $node = new_node('first', init => { allows_streaming => 1 }, conf => <<'CONF');
durable.max_workers = 5
durable.max_crashes = 1000
deadlock_timeout = 20ms
max_connections = 50
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');
install_chaos($node, 'postgres');

my @nodes = ($node);
for my $n (1 .. 2)
{
	$nodes[0]->backup("for$n") if $n == 1;
	push @nodes, PostgreSQL::Test::Cluster->new("standby$n");
}

# The first goes over to the second, and the second to the third.
$nodes[1]->init_from_backup($nodes[0], 'for1', has_streaming => 1);
$nodes[1]->start;
$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");

my $hosts = join ',', map { $_->host } @nodes;
my $ports = join ',', map { $_->port } @nodes;
my $clients = clients_start($node, 'postgres', [ plan_workflows(1500) ], 30, "host=$hosts port=$ports dbname=postgres target_session_attrs=read-write");
for my $n (1 .. 2)
{
	my ($old, $new) = @nodes[ $n - 1, $n ];

	for (1 .. 15)
	{
		sleep(0.1);
		progress($clients);
	}
	is($new->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'durable%'"), '0', 'a standby has no process of ours');
	ok($new->poll_query_until('postgres', "SELECT count(*) > 0 FROM durable.instances WHERE runtime_status IN ('Pending', 'Running')"), 'but work to do');
	$old->stop('immediate');

	# It waits for a standby of its own only later.
	$new->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$new->adjust_conf('postgresql.auto.conf', 'synchronous_standby_names', undef);
	$new->reload;
	my $promoted = Time::HiRes::time();	# compared with the clock of the server
	$new->promote;
	ok($new->poll_query_until('postgres', "SELECT max(last_updated_time) > to_timestamp($promoted) FROM durable.instances WHERE turns > 0"), 'after the promotion work goes on');
	my $first = $new->safe_psql('postgres', "SELECT extract(epoch FROM min(last_updated_time)) - $promoted FROM durable.instances WHERE turns > 0 AND last_updated_time > to_timestamp($promoted)");
	cmp_ok($first, '<', patience(3), "within seconds ($first s)");
	if ($n < 2)
	{
		$new->backup('for2');
		$nodes[ $n + 1 ]->init_from_backup($new, 'for2', has_streaming => 1);
		$nodes[ $n + 1 ]->start;
		$new->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");
	}
}
clients_finish($clients, $nodes[2]);
wait_until_ended($nodes[2], 'postgres', 'everything has ended');
is($nodes[2]->safe_psql('postgres', "SELECT count(*) FROM chaos.client_log WHERE word = 'ack' AND action = 'start'"), 1500, 'clients have got through');
violations_are($nodes[2], 'postgres', '', 'and nothing is wrong');
chaos_log_is_clean($_, 'nothing but that in the log') for @nodes[ 1, 2 ];
$nodes[2]->stop('fast');
done_testing();
