# Thousands of workflows of every kind, for three owners, while workers are killed again and again, which makes the
# server throw everybody out and start over. Clients start workflows and raise events meanwhile. In the end everything has
# ended, as it should have, and each step has been done once (test/lib/invariants.sql).
#
# Kill -9 tests that what belongs together is committed together, not that the disk keeps it: the kernel's cache survives.
#
# make chaos makes a longer programme of it; so do CHAOS_KILLS and CHAOS_WORKFLOWS.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $KILLS = $ENV{CHAOS_KILLS} // 200 * ($ENV{CHAOS_TIMES} // 1);
my $WORKFLOWS = $ENV{CHAOS_WORKFLOWS} // 5000 * ($ENV{CHAOS_TIMES} // 1);

chaos_seed();

# What is killed in the middle of an activity is blamed for it. In here it is chance who is hit, and who needs long may be
# hit often: nobody shall be given up for that (that they are otherwise is the business of another test).
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 5
durable.max_crashes = 1000
deadlock_timeout = 20ms
checkpoint_timeout = 30s
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');
install_chaos($node, 'postgres');

my $clients = clients_start($node, 'postgres', [ plan_workflows($WORKFLOWS) ], $KILLS);
my %killed;
my $start = time;

foreach (1 .. $KILLS)
{
	my $before = crashes();

	sleep(0.1 + rand(0.6));

	# One that is hit when the server throws everybody out anyway is no crash of its own: then there is another.
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while (crashes() == $before && time < $deadline)
	{
		kill_process($node, 'KILL', qr/durable worker/, \%killed);
		for (my $wait = 0; $wait < 100 && crashes() == $before; $wait++) { sleep(0.02); }
	}
	progress($clients);
}
note(sprintf '%d kills in %.1f s', $KILLS, time - $start);
clients_finish($clients);
wait_until_ended($node, 'postgres', 'everything has ended');
note(sprintf 'all of it in %.1f s', time - $start);

is($node->safe_psql('postgres', "SELECT count(*) FROM chaos.client_log WHERE word = 'ack' AND action = 'start'"), $WORKFLOWS,
	"$WORKFLOWS workflows were started");
cmp_ok(crashes(), '>=', $KILLS, "the server has crashed $KILLS times");
violations_are($node, 'postgres', '', 'and nothing is wrong');
chaos_log_is_clean($node, 'nothing but that in the log');
note($node->safe_psql('postgres', "SELECT name, runtime_status, count(*), sum(turns) AS turns FROM durable.instances GROUP BY 1, 2 ORDER BY 1, 2"));
$node->stop('fast');
done_testing();

sub crashes
{
	my $crashes = () = slurp_file($node->logfile) =~ /terminated by signal 9/g;
	return $crashes;
}
