# A thousand players at once: twenty sessions let them in, confirm and act for them, one transaction for each call. All of
# them win, everybody with a story of his own, and the console of the thousand is told completely.
#
# What it took is in the log of the test.

use strict;
use warnings;
use DurableTest;
use DungeonTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $SESSIONS = 20;
my $PLAYERS = 1000;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
max_connections = 60
CONF
$node->start;
create_dungeon($node, 'postgres');
fix_words($node, 'postgres', confirm_timeout => '10 minutes', monitor_interval => '5 seconds', monitor_timeout => '10 minutes');
$node->safe_psql('postgres', "CREATE SEQUENCE let_in; CREATE SEQUENCE confirmed; CREATE SEQUENCE done;
	CREATE TABLE refused (player text, call text, message text);
	CREATE FUNCTION must(player text, call text, r dungeon.reply) RETURNS void LANGUAGE sql
	AS 'INSERT INTO refused SELECT player, call, r.message WHERE NOT r.ok'");
my $console = console_start($node, 'postgres');

# in_parallel(name, script): the script once for each player.
sub in_parallel
{
	my ($name, $script) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";

	append_to_file($file, $script);
	$node->command_ok(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', $SESSIONS, '-j', 2, '-t', $PLAYERS / $SESSIONS, '-f', $file, '-d', 'postgres' ],
		"$name: $SESSIONS sessions");
	return;
}

my $start = time;
my $last = $start;

sub took
{
	my ($what) = @_;
	my $now = time;

	note(sprintf '%s: %.1f s', $what, $now - $last);
	$last = $now;
	return;
}

in_parallel('let_in', <<'SQL');
SELECT 'player ' || nextval('let_in') AS player \gset
SELECT must(:player, 'new', dd_new_user(:player));
SQL
took("$PLAYERS have come");
told($node, 'postgres', 'hourglass', 'player', $PLAYERS);
took('all of them are asked');

in_parallel('confirm', <<'SQL');
SELECT 'player ' || nextval('confirmed') AS player \gset
SELECT must(:player, 'confirm', dd_confirm(:player));
SQL
took('all of them have confirmed');
told($node, 'postgres', 'game is on', 'player', $PLAYERS);
took('all of them are in the dungeon');

in_parallel('act', <<'SQL');
SELECT 'player ' || nextval('done') AS player \gset
SELECT must(:player, 'get weapon', dd_action(:player, 'get', 'Rusty Spoon'));
SELECT must(:player, 'kill', dd_action(:player, 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon'));
SELECT must(:player, 'get treasure', dd_action(:player, 'get', 'Rusty Teapot'));
SQL
took('all of them have acted');
told($node, 'postgres', 'has won', 'player', $PLAYERS);
took('all of them have won');
note(sprintf '%d games: %.1f s', $PLAYERS, time - $start);
told($node, 'postgres', 'goes home', 'player', $PLAYERS);

is($node->safe_psql('postgres', 'SELECT * FROM refused'), '', 'nobody was refused anything');
stories_are($node, 'postgres', 'player', $WON, $PLAYERS);
ok($node->poll_query_until('postgres', "SELECT bool_and(runtime_status = 'Completed') FROM durable.instances"),
	'every workflow is completed');
is($node->safe_psql('postgres', 'SELECT name, count(*) FROM durable.instances GROUP BY name ORDER BY name'),
	join("\n", map { "$_|$PLAYERS" } qw(GameMonitorWorkflow RunUserParallelWorkflow RunUserSequentialWorkflow
		UserConfirmationWorkflow UserMonitorWorkflow)),
	'and there is one of each for everybody');
is($node->safe_psql('postgres',
		"SELECT dd_status(player) #>> '{user,inventoryItems}', dd_status(player) #>> '{monster,isAlive}', count(*)
		 FROM dungeon.game GROUP BY 1, 2"),
	"Rusty Spoon,Rusty Teapot|false|$PLAYERS", 'everybody is rich, every monster is dead');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM durable.inbox) + (SELECT count(*) FROM durable.timer) +
	(SELECT count(*) FROM durable.task_queue)'), '0', 'the engine has nothing left to do');

$last = time;
console_is_complete($console, $node, 'postgres', "$PLAYERS players");
took('the console was behind by');
quiet_log($node, 'no errors in the log of the server');

$node->stop;
done_testing();
