# Whole games in real time, and the server crashes in every phase of them: while the dungeon is made, while the gatekeeper
# waits and hears, while the scene is set, after each deed, and while players die. Everybody's story is told to the end,
# each step of it once, and whoever watches the console misses nothing and hears nothing twice.
#
# Twenty players act in one transaction, and the server crashes when the workflows have told a part of what follows: a
# different part for each way of crashing.

use strict;
use warnings;
use DurableTest;
use DungeonTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $PLAYERS = 20;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.worker_idle_timeout = 1min
CONF
$node->start;
create_dungeon($node, 'postgres');
my $console = console_start($node, 'postgres');

# How much of what follows has happened when the crash comes.
my %part = (worker => 0.15, server => 0.4, coordinator => 0.65, postmaster => 0.9);

# everybody(players, call, lines): each of them was answered with ok, and the workflows have told so many lines since.
sub everybody
{
	my ($players, $call, $lines) = @_;

	$call =~ s/NAME/'$players ' || n/;
	is($node->safe_psql('postgres', <<SQL), $PLAYERS, "$players: $call");
SELECT count(*) FILTER (WHERE ($call).ok) FROM generate_series(1, $PLAYERS) AS n;
DO \$\$
DECLARE
	before bigint := (SELECT max(id) FROM dungeon.console WHERE message ~ 'knocks|calls out|picks up|falls, and|lifts up');
BEGIN
	WHILE (SELECT count(*) FROM dungeon.console WHERE id > before AND player ~ '^$players') < $lines LOOP
		PERFORM pg_sleep(0.001);
	END LOOP;
END \$\$;
SQL
	return;
}

# act_and_crash(how, players, call, lines): lines are those that each player is told by workflows then.
sub act_and_crash
{
	my ($how, $players, $call, $lines) = @_;
	my $pids = processes($node);

	everybody($players, $call, int($lines * $PLAYERS * $part{$how}));
	crash($node, $how, $pids);
	return;
}

foreach my $how (qw(worker server coordinator postmaster))
{
	my $heroes = "hero of $how";
	my $doomed = "victim of $how";

	# Some have no time to confirm. They begin first, so that there are workers to kill afterwards.
	fix_words($node, 'postgres', confirm_timeout => '1500 ms', monitor_interval => '1 second', monitor_timeout => '10 minutes');
	everybody($doomed, 'dd_new_user(NAME)', 0);
	told($node, 'postgres', 'has not confirmed', $doomed, 1);
	crash($node, $how);
	fix_words($node, 'postgres', confirm_timeout => '10 minutes');
	told($node, 'postgres', 'goes home', $doomed, $PLAYERS);

	act_and_crash($how, $heroes, 'dd_new_user(NAME)', 5);
	told($node, 'postgres', 'hourglass', $heroes, $PLAYERS);
	act_and_crash($how, $heroes, 'dd_confirm(NAME)', 7);
	told($node, 'postgres', 'game is on', $heroes, $PLAYERS);
	act_and_crash($how, $heroes, q{dd_action(NAME, 'get', 'Rusty Spoon')}, 0);
	act_and_crash($how, $heroes, q{dd_action(NAME, 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon')}, 0);
	act_and_crash($how, $heroes, q{dd_action(NAME, 'get', 'Rusty Teapot')}, 1);
	told($node, 'postgres', 'has won', $heroes, $PLAYERS);
	told($node, 'postgres', 'goes home', $heroes, $PLAYERS);

	stories_are($node, 'postgres', $heroes, $WON, $PLAYERS);
	stories_are($node, 'postgres', $doomed, $DEAD, $PLAYERS);
}

# The watchman may be the last to go; every other workflow has ended before him.
ok($node->poll_query_until('postgres', "SELECT bool_and(runtime_status = 'Completed') FROM durable.instances"),
	'every workflow is completed');
is($node->safe_psql('postgres',
		"SELECT split_part(player, ' ', 1), count(*), bool_and((dd_status(player) #> '{user,isAlive}')::boolean),
			bool_or((dd_status(player) #> '{user,isAlive}')::boolean),
			string_agg(DISTINCT dd_status(player) #>> '{user,inventoryItems}', '; ')
		 FROM dungeon.game GROUP BY 1 ORDER BY 1"),
	'hero|' . 4 * $PLAYERS . "|t|t|Rusty Spoon,Rusty Teapot\nvictim|" . 4 * $PLAYERS . '|f|f|',
	'the heroes are alive and rich, the others are dead');
active_users_are($node, 'postgres', 0, 8 * $PLAYERS);
console_is_complete($console, $node, 'postgres', '24 crashes');
quiet_log($node, 'no errors in the log of the server');

$node->stop;
done_testing();
