# A dungeon that belongs to an ordinary role, and one that belongs to the superuser, are dumped in the middle of games and
# restored into another server. There they stand still until they are adopted, and then go on where they were, while
# the originals know nothing of it. At last the extension is dropped and created again under running games.

use strict;
use warnings;
use DurableTest;
use DungeonTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The players, and how far each has come when the dump is taken. Eve has won, Fay is dead.
my @PLAYERS = qw(Ann Ben Cat Dan Eve);
my $EVERYBODY = '^(' . join('|', @PLAYERS) . ')$';
my @DEEDS = (
	[ 'dd_confirm(%s)', 'game is on' ],
	[ "dd_action(%s, 'get', 'Rusty Spoon')" ],
	[ "dd_action(%s, 'kill', 'Grumpy Grey Goblin', 'Rusty Spoon')" ],
	[ "dd_action(%s, 'get', 'Rusty Teapot')", 'has won' ]);

my $conf = <<'CONF';
durable.max_workers = 4
durable.worker_idle_timeout = 1min
CONF
my $dumps = $PostgreSQL::Test::Utils::tmp_check;

# As somebody who may do nothing but play.
sub player_does
{
	my ($node, $database, $player, $call) = @_;

	is($node->safe_psql($database, 'SELECT (game.' . sprintf($call, "'$player'") . ').ok',
			extra_params => [ '-U', 'dungeon_player' ]),
		't', $node->name . "/$database: " . sprintf($call, $player));
	return;
}

# play(node, database, player, from, to): the deeds with these numbers.
sub play
{
	my ($node, $database, $player, $from, $to) = @_;

	foreach my $deed (@DEEDS[ $from .. $to ])
	{
		player_does($node, $database, $player, $deed->[0]);
		told($node, $database, $deed->[1], $player, 1) if $deed->[1];
	}
	return;
}

sub make_roles
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'CREATE ROLE dungeon_master LOGIN; CREATE ROLE dungeon_player LOGIN');
	return;
}

# make_dungeon(node, database, role): the role installs the game, after what a superuser has to do.
sub make_dungeon
{
	my ($node, $database, $role) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, <<SQL) if $role eq 'dungeon_master';
CREATE EXTENSION durable;
SELECT durable.grant_usage('dungeon_master');
GRANT CREATE ON DATABASE $database TO dungeon_master;
SQL
	$node->safe_psql($database, 'CREATE SCHEMA game; CREATE EXTENSION durable_dungeon SCHEMA game CASCADE',
		extra_params => [ '-U', $role ]);
	return;
}

# Who the workers of a database are.
sub workers_are
{
	my ($node, $database, $role) = @_;

	is($node->safe_psql('postgres', "SELECT DISTINCT usename FROM pg_stat_activity
			WHERE backend_type = 'durable worker' AND datname = '$database'"),
		$role, $node->name . "/$database: the workers are $role");
	return;
}

# --- games ---------------------------------------------------------------------------------------------------------------

my $superuser = getpwuid($>);
my %master = (castle => 'dungeon_master', tower => $superuser);
my $main = new_node('main', conf => $conf);
$main->start;
make_roles($main);

foreach my $database (sort keys %master)
{
	make_dungeon($main, $database, $master{$database});
	$main->safe_psql($database, "SELECT dungeon.grant_play('dungeon_player')", extra_params => [ '-U', $master{$database} ]);

	fix_words($main, $database, confirm_timeout => '200 ms', monitor_interval => '1 second');
	player_does($main, $database, 'Fay', 'dd_new_user(%s)');
	told($main, $database, 'goes home', 'Fay', 1);
	fix_words($main, $database, confirm_timeout => '10 minutes');
	player_does($main, $database, $_, 'dd_new_user(%s)') foreach @PLAYERS;
	told($main, $database, 'hourglass', $EVERYBODY, scalar(@PLAYERS));
	play($main, $database, $PLAYERS[$_], 0, $_ - 1) foreach 1 .. $#PLAYERS;
	told($main, $database, 'goes home', 'Eve', 1);
	workers_are($main, $database, $master{$database});
	$main->safe_psql($database, "SELECT durable.register_queue('dungeon', concurrency => 7), durable.pause_queue('dungeon'), durable.grant_queue('dungeon', 'dungeon_player')");
	$main->command_ok([ 'pg_dump', '-f', "$dumps/$database.sql", '-d', $database ], "$database is dumped");
}

# --- the copy ------------------------------------------------------------------------------------------------------------

my $copy = new_node('copy', conf => $conf);
$copy->start;
make_roles($copy);

# A dump does not say whom an extension belongs to. So who wants the castle to be the dungeon master's again lets him
# make it; what is in it comes with the dump. The tower is made by the dump alone.
make_dungeon($copy, 'castle', 'dungeon_master');
$copy->safe_psql('postgres', 'CREATE DATABASE tower');
my %complaints = (castle => "schema \"game\" already exists", tower => '');

foreach my $database (sort keys %master)
{
	my ($stdout, $stderr) = run_command([ 'psql', '-X', '-q', '-f', "$dumps/$database.sql", '-d', $copy->connstr($database) ]);

	is(join("\n", $stderr =~ /ERROR:  (.*)/g), $complaints{$database}, "$database is restored");

	is($copy->safe_psql($database, "SELECT owner, concurrency, is_paused, (SELECT string_agg(g.role::text, ',') FROM durable.queue_grant g WHERE g.queue = q.name)
			FROM durable.queue q"), "$master{$database}|7|t|dungeon_player", "$database: the queue is that of the dump");

	my $state = "SELECT instance_id, runtime_status, waiting_on, turns FROM durable.instances ORDER BY instance_id";
	my $before = $copy->safe_psql($database, $state);

	# Confirmed, but nobody hears it yet; and the watchman's round is due every second.
	player_does($copy, $database, 'Ann', 'dd_confirm(%s)');
	is($copy->safe_psql($database, "SELECT detail FROM durable.doctor() WHERE check_name = 'identity' AND NOT ok"),
		'held: the instances were started in another cluster', "$database: doctor says that the copy is held");
	$copy->poll_query_until($database, "SELECT clock_timestamp() > max(created_at) + interval '2 seconds'
		FROM dungeon.console WHERE message ~ 'calls out'");
	is($copy->safe_psql($database, $state), $before, "$database: nothing runs in the copy");

	$copy->safe_psql($database, 'SELECT durable.adopt()');
	told($copy, $database, 'game is on', 'Ann', 1);
	workers_are($copy, $database, $master{$database});
	play($copy, $database, $PLAYERS[$_], $_ || 1, $#DEEDS) foreach 0 .. $#PLAYERS - 1;
	told($copy, $database, 'goes home', $EVERYBODY, scalar(@PLAYERS));
	stories_are($copy, $database, $EVERYBODY, $WON, scalar(@PLAYERS));
	stories_are($copy, $database, 'Fay', $DEAD, 1);

	# In the original nobody has done anything since.
	play($main, $database, $PLAYERS[$_], $_, $#DEEDS) foreach 0 .. $#PLAYERS - 1;
	told($main, $database, 'goes home', $EVERYBODY, scalar(@PLAYERS));
	stories_are($main, $database, $EVERYBODY, $WON, scalar(@PLAYERS));
	stories_are($main, $database, 'Fay', $DEAD, 1);
}

# --- dropped and created again under running games -------------------------------------------------------------------------

player_does($copy, 'castle', $_, 'dd_new_user(%s)') foreach qw(Gus Hal);
told($copy, 'castle', 'hourglass', 'Gus|Hal', 2);
player_does($copy, 'castle', 'Gus', 'dd_confirm(%s)');
told($copy, 'castle', 'game is on', 'Gus', 1);
$copy->safe_psql('castle', 'DROP EXTENSION durable_dungeon', extra_params => [ '-U', 'dungeon_master' ]);
ok($copy->poll_query_until('castle', "SELECT count(*) = 2 FROM durable.instances WHERE runtime_status = 'Suspended'"),
	'the watchmen have no dungeon to look into and hold');
$copy->safe_psql('castle', "CREATE EXTENSION durable_dungeon SCHEMA game; SELECT dungeon.grant_play('dungeon_player')",
	extra_params => [ '-U', 'dungeon_master' ]);
ok($copy->poll_query_until('castle', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status NOT IN ('Completed', 'Terminated')"),
	'the new dungeon has ended what was left of the old one');
fix_words($copy, 'castle', monitor_interval => '1 second');
player_does($copy, 'castle', $_, 'dd_new_user(%s)') foreach qw(Gus Hal);
told($copy, 'castle', 'hourglass', 'Gus|Hal', 2);
play($copy, 'castle', $_, 0, $#DEEDS) foreach qw(Gus Hal);
told($copy, 'castle', 'goes home', 'Gus|Hal', 2);
stories_are($copy, 'castle', 'Gus|Hal', $WON, 2);

quiet_log($main, 'no errors in the log of the original');
quiet_log($copy, 'no errors in the log of the copy', qr/schema "\w+" already exists/);
$_->stop foreach $main, $copy;
done_testing();
