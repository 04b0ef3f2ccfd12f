# Games whose workflows are examples/dungeon-js: the story and the status are those of a game in SQL, also when worker,
# gateway and server are killed in the middle; games of both kinds are played side by side.

use strict;
use warnings;
use Cwd qw(abs_path);
use DurableTest;
use DungeonTest;
use File::Basename qw(dirname);
use GatewayTest;
use SdkTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $CRASHES = 6;				# players in each game that is interrupted

my $example = dirname(dirname(dirname(abs_path(__FILE__)))) . '/examples/dungeon-js';
my $versions = sub { slurp_file($_[0]) =~ /("\@microsoft.*?")\n/ && $1 };
is($versions->("$example/package.json"), $versions->("$example/../../test/js/package.json"), 'the example has the version of the SDK that is tested');

sdk_install();
sdk_add("$example/worker.js", 'dungeon.js');
my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
create_dungeon($node, 'postgres');
gateway_roles($node);

# The role of the workers has no rights but these.
$node->safe_psql('postgres', "SELECT durable.grant_queue('dungeon', 'manager')");
my $port = PostgreSQL::Test::Cluster::get_free_port();
my ($gateway, $worker);

sub start_gateway { return $gateway = gateway_start($node, '--role', 'manager', '--queue', 'dungeon', '--grpc', "127.0.0.1:$port", '--drain', 2); }

sub start_worker { return $worker = sdk_start('dungeon.js', "localhost:$port"); }

sub kill_worker
{
	kill 'KILL', $worker->{pid};
	eval { $worker->{run}->finish };
	return;
}

sub kill_gateway
{
	kill 'KILL', $gateway->{pid};
	eval { $gateway->{process}->finish };
	delete $gateway->{process};
	return;
}

# does(call): the answer of a player's function.
sub does { return $node->safe_psql('postgres', "SELECT ok, http_status FROM $_[0]"); }

# Each of these is granted.
sub everybody
{
	my ($players, $call) = @_;

	$call =~ s/NAME/'$players ' || n/;
	is($node->safe_psql('postgres', "SELECT count(*) FROM generate_series(1, $CRASHES) AS n WHERE ($call).ok"), $CRASHES, "$players: $call");
	return;
}

sub win
{
	my ($player) = @_;

	is(does("dd_new_user('$player')"), 't|200', "$player knocks");
	told($node, 'postgres', 'hourglass', $player, 1);
	is(does("dd_confirm('$player')"), 't|200', "$player confirms");
	told($node, 'postgres', 'game is on', $player, 1);
	is(does("dd_action('$player', 'get', 'Rusty Spoon')"), 't|200', "$player takes the weapon");
	is(does("dd_action('$player', 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon')"), 't|200', "$player kills the monster");
	is(does("dd_action('$player', 'get', 'Rusty Teapot')"), 't|200', "$player takes the treasure");
	told($node, 'postgres', 'has won', $player, 1);
	told($node, 'postgres', 'goes home', $player, 1);
	return;
}

# What is told to a player, without his name; the watchman's rounds depend on time.
sub lines
{
	return $node->safe_psql('postgres', "SELECT replace(message, player, 'X') FROM dungeon.console WHERE player = '$_[0]'
		AND message !~ 'looks in' ORDER BY 1");
}

# --- the same game in SQL and in JavaScript -----------------------------------------------------------------------------------

fix_words($node, 'postgres', confirm_timeout => '2 minutes', monitor_interval => '1 second', monitor_timeout => '10 minutes');
win('Ann');
$node->safe_psql('postgres', "UPDATE dungeon.settings SET orchestrations = 'external'");
is(does("dd_new_user('Pat')"), 't|200', 'a game begins while there is no worker');
is(does("dd_confirm('Pat')"), 'f|404', 'and waits');
$node->safe_psql('postgres', "DELETE FROM dungeon.game WHERE player = 'Pat'; DELETE FROM dungeon.console WHERE player = 'Pat'");
start_gateway();
start_worker();
win('Pat');
is(lines('Pat'), lines('Ann'), 'the same is told as in SQL');
stories_are($node, 'postgres', 'Ann|Pat', $WON, 2);
is($node->safe_psql('postgres', "SELECT replace(dd_status('Pat')::text, 'Pat', 'X') = replace(dd_status('Ann')::text, 'Ann', 'X')"), 't',
	'dd_status shows the same');
my $ended = "SELECT name, version, status FROM dungeon.workflow w JOIN durable.instances USING (instance_id, name),
	LATERAL dd_check_status(player, name) WHERE player = '%s' ORDER BY name";
is($node->safe_psql('postgres', sprintf $ended, 'Pat'),
	join("\n", map { "$_|external|Completed" } qw(GameMonitorWorkflow RunUserParallelWorkflow RunUserSequentialWorkflow UserConfirmationWorkflow
		UserMonitorWorkflow)), 'dd_check_status knows the workflows');
is($node->safe_psql('postgres', "SELECT name, output #>> '{}' FROM durable.instances WHERE version = 'external' AND runtime_status = 'Completed' ORDER BY name"),
	join("\n", 'GameMonitorWorkflow|"won"', 'RunUserParallelWorkflow|true',
		'RunUserSequentialWorkflow|"' . $node->safe_psql('postgres', "SELECT dungeon.workflow_id('GameMonitorWorkflow', dungeon.world_key('Pat'))") . '"',
		'UserConfirmationWorkflow|true', 'UserMonitorWorkflow|"treasure"'), 'their results are those of the workflows in SQL');

# --- refusals, names ------------------------------------------------------------------------------------------------------------

is(does("dd_new_user('Pat')"), 'f|400', 'a name is used once');
is(does("dd_confirm('Pat')"), 'f|404', 'a confirmation that nobody waits for');
is(does("dd_action('Pat', 'get', 'Rusty Teapot')"), 'f|400', 'a thing that he has');
my $strange = q{'O''Brien " \ %s <b>' || U&'\+01F409'};
$node->safe_psql('postgres', "SELECT dd_new_user($strange)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM dungeon.console WHERE player = $strange AND message ~ 'hourglass' AND strpos(message, player) > 0"),
	'a strange name comes through');
is($node->safe_psql('postgres', "SELECT dd_time_left($strange) BETWEEN '1 minute' AND '2 minutes'"), 't', 'the gatekeeper waits for two minutes');
$node->safe_psql('postgres', "DELETE FROM dungeon.game WHERE player = $strange");
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.instances WHERE input #>> '{}' ~ 'Brien' AND runtime_status = 'Terminated'"), '3',
	'a game that is deleted takes its workflows with it');

# --- the deadline, and a watchman whose time is up --------------------------------------------------------------------------------

$node->safe_psql('postgres', "UPDATE dungeon.settings SET confirm_timeout = '1500 ms'");
is(does("dd_new_user('Fay')"), 't|200', 'Fay knocks and says nothing');
told($node, 'postgres', 'goes home', 'Fay', 1);
stories_are($node, 'postgres', 'Fay', $DEAD, 1);
is(does("dd_action('Fay', 'get', 'Rusty Spoon')"), 'f|400', 'the dead rest');
$node->safe_psql('postgres', "UPDATE dungeon.settings SET confirm_timeout = '2 minutes', monitor_timeout = '2 seconds'");
is(does("dd_new_user('Idle')"), 't|200', 'Idle knocks');
told($node, 'postgres', 'no news', 'Idle', 1);
$node->safe_psql('postgres', "DELETE FROM dungeon.game WHERE player = 'Idle'; UPDATE dungeon.settings SET monitor_timeout = '10 minutes'");

# --- killed in the middle ------------------------------------------------------------------------------------------------------------

my %kill = (
	worker => sub { kill_worker(); start_worker(); },
	gateway => sub { kill_gateway(); start_gateway(); },
	server => sub { $node->stop('immediate'); $node->start; });

foreach my $how (qw(worker gateway server))
{
	my $heroes = "hero of $how";

	everybody($heroes, 'dd_new_user(NAME)');
	told($node, 'postgres', 'masons', $heroes, 1);
	$kill{$how}->();
	told($node, 'postgres', 'hourglass', $heroes, $CRASHES);
	everybody($heroes, 'dd_confirm(NAME)');
	told($node, 'postgres', 'climbs down', $heroes, 1);
	$kill{$how}->();
	told($node, 'postgres', 'game is on', $heroes, $CRASHES);
	everybody($heroes, q{dd_action(NAME, 'get', 'Rusty Spoon')});
	everybody($heroes, q{dd_action(NAME, 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon')});
	$kill{$how}->();
	everybody($heroes, q{dd_action(NAME, 'get', 'Rusty Teapot')});
	told($node, 'postgres', 'has won', $heroes, $CRASHES);
	told($node, 'postgres', 'goes home', $heroes, $CRASHES);
	stories_are($node, 'postgres', $heroes, $WON, $CRASHES);
}

# A watchman sees only in his next round that the game is over.
ok($node->poll_query_until('postgres', "SELECT bool_and(runtime_status IN ('Completed', 'Terminated')) FROM durable.instances"),
	'every workflow in JavaScript has ended');

# A game in SQL needs none of this.
kill_worker();
kill_gateway();
$node->safe_psql('postgres', "UPDATE dungeon.settings SET orchestrations = 'sql'");
win('Bob');
ok($node->poll_query_until('postgres', "SELECT bool_and(runtime_status IN ('Completed', 'Terminated')) FROM durable.instances"), 'every workflow has ended');

$node->stop;
done_testing();
