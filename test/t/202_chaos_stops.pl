# The same load as in 200_chaos_kill.pl, and the whole server goes: by immediate stops, and by the sudden death of the
# postmaster, whose children have to notice. Then again with a server that stays, whose workers are told to end or to
# give up what they are doing.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $STOPS = $ENV{CHAOS_STOPS} // 10 * ($ENV{CHAOS_TIMES} // 1);

chaos_seed();

# See 200_chaos_kill.pl for max_crashes.
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 5
durable.max_crashes = 1000
deadlock_timeout = 20ms
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
$node->start;

# --- the server goes --------------------------------------------------------------------------------------------------------

create_durable($node, 'stops');
install_chaos($node, 'stops');
my $clients = clients_start($node, 'stops', [ plan_workflows($STOPS * 60) ], $STOPS);
for my $n (1 .. $STOPS)
{
	sleep(0.3 + rand(0.7));
	if ($n % 2)
	{
		$node->stop('immediate');
	}
	else
	{
		is(kill_server($node), 0, 'nobody survives the postmaster');
	}
	$node->start;
	progress($clients);
}
clients_finish($clients);
wait_until_ended($node, 'stops', 'everything has ended');
violations_are($node, 'stops', '', "nothing is wrong after $STOPS stops");

# --- workers go -------------------------------------------------------------------------------------------------------------

my $SIGNALS = $STOPS * 10;
$node->safe_psql('postgres', 'DROP DATABASE stops');
$node->safe_psql('postgres', 'DROP ROLE chaos_ann, chaos_bob, chaos_cat');
create_durable($node, 'signals');
install_chaos($node, 'signals');
$clients = clients_start($node, 'signals', [ plan_workflows($STOPS * 60) ], $SIGNALS);
my %sent;
for my $n (1 .. $SIGNALS)
{
	my $function = $n % 5 ? 'pg_cancel_backend' : 'pg_terminate_backend';

	$sent{$function} += $node->safe_psql('postgres', <<SQL);
SELECT count(*) FILTER (WHERE $function(pid))
FROM (SELECT pid FROM pg_stat_activity WHERE backend_type = 'durable worker' ORDER BY state = 'active' DESC, random() LIMIT 1) w
SQL
	sleep(rand(0.1));
	progress($clients);
}
clients_finish($clients);
wait_until_ended($node, 'signals', 'everything has ended');
cmp_ok($sent{$_}, '>', $SIGNALS / 20, "$_ has hit $sent{$_} workers") for sort keys %sent;
violations_are($node, 'signals', '', 'and nothing is wrong');
chaos_log_is_clean($node, 'nothing but that in the log', qr/canceling statement|will be retried/);
$node->stop('fast');
done_testing();
