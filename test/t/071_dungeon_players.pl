# A thousand players at once: twenty sessions let them in, confirm and act for them, one transaction for each call. All of
# them win, everybody with a story of his own. Then twenty sessions act for a single one, and guests come whose
# names are traps. The program that tells the console has told all of it in the end.
#
# What it took is in the log of the test.

use strict;
use warnings;
use DurableTest;
use DungeonTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

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
active_users_are($node, 'postgres', $PLAYERS, $PLAYERS);

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

# --- twenty sessions act for one player ------------------------------------------------------------------------------------

# Each call once for every session and round; of all of them one is granted.
$node->safe_psql('postgres', "CREATE TABLE answer (call text, ok boolean)");

sub many_hands
{
	my ($call, $granted) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/hands-$granted.sql";

	append_to_file($file, "INSERT INTO answer SELECT '$granted', ($call).ok;\n");
	$node->command_ok([ 'pgbench', '-n', '-c', $SESSIONS, '-j', 2, '-t', 3, '-f', $file, '-d', 'postgres' ], "many hands: $call");
	is($node->safe_psql('postgres', "SELECT count(*), count(*) FILTER (WHERE ok) FROM answer WHERE call = '$granted'"),
		3 * $SESSIONS . '|1', "$granted: granted once");
	return;
}

many_hands("dd_new_user('twins')", 'begun');
told($node, 'postgres', 'hourglass', 'twins', 1);
$node->safe_psql('postgres', "SELECT dd_confirm('twins')");
told($node, 'postgres', 'game is on', 'twins', 1);
many_hands("dd_action('twins', 'get', 'Rusty Spoon')", 'taken');
many_hands("dd_action('twins', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon')", 'slain');
many_hands("dd_action('twins', 'get', 'Rusty Teapot')", 'lifted');
told($node, 'postgres', 'has won', 'twins', 1);
told($node, 'postgres', 'goes home', 'twins', 1);
is($node->safe_psql('postgres', "SELECT count(*) FROM dungeon.console WHERE player = 'twins' AND message ~ 'has won'"), '1',
	'twins: won once');

# --- guests with strange names ----------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE guest (name text);
INSERT INTO guest VALUES
	('Robert''); DROP TABLE dungeon.player; --'), ('<img src=x onerror="alert(1)">'), (repeat('63 bytes and more, ', 10)),
	(E'two\nlines\tand a bell\a'), (E'\e[31mred\e[0m'), (U&'\+01F409 dragon \0639\0631\0628\064A'), (' '' " \ %s $1 ');
SELECT dd_new_user(name) FROM guest;
SQL
ok($node->poll_query_until('postgres', "SELECT count(*) = (SELECT count(*) FROM guest)
		FROM dungeon.console JOIN guest ON name = player WHERE message ~ 'hourglass' AND strpos(message, name) > 0"),
	'guests with strange names have come');

# They would be watched for minutes.
$node->safe_psql('postgres', 'DELETE FROM dungeon.game USING guest WHERE player = name');
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 * (SELECT count(*) FROM guest)
		FROM durable.instances WHERE runtime_status = 'Terminated'"),
	'and are gone');
active_users_are($node, 'postgres', 0, $PLAYERS + 1 + $node->safe_psql('postgres', 'SELECT count(*) FROM guest'));

$last = time;
console_is_complete($console, $node, 'postgres', "$PLAYERS players");
took('the console was behind by');
quiet_log($node, 'no errors in the log of the server');

$node->stop;
done_testing();
