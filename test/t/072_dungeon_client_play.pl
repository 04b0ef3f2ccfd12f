# The program "dungeon play" without a terminal: scripts, exit codes, names that mean harm, whole games by itself, and
# deeds whose answer was lost.

use strict;
use warnings;
use ClientTest;
use DungeonTest;
use DurableTest;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', init => { allows_streaming => 1 }, conf => <<'CONF');
durable.max_workers = 4
CONF
$node->start;
create_dungeon($node, 'postgres');
fix_words($node, 'postgres', monitor_interval => '1 second');

# Whoever may play, and nothing else, plays; the functions are not in his search_path.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE pat LOGIN;
SELECT dungeon.grant_play('pat');
ALTER ROLE pat SET search_path = nowhere;
SQL
my @connection = ('-d', $node->connstr('postgres') . ' user=pat');
my @play = (@connection, '--wait', '180', 'play');

# Each command waits until the workflows have made the world it needs.
my ($code, $out, $err) = dungeon(\@play, <<'SCRIPT');
new Pat
# a remark, and an empty line

confirm
look
get the spoon
k gob w spo
take tea
inventory
status
workflows
SCRIPT
is($code, 0, 'a game from a script is won');
is($err, '', 'no warnings');
like($out, qr/^You are in the Tiny Closet\. .*^You see: Rusty Spoon\.\nHere is: Grumpy Grey Goblin\. It has: Rusty Teapot\.$/ms,
	'look tells what is there');
like($out, qr/^\* .*has won!/m, 'the script ends when the game is declared won');
like($out, qr/^You carry: Rusty Spoon and Rusty Teapot\.$/m, 'inventory');
like($out, qr/^Game +won$/m, 'status');
like($out, qr/^GameMonitorWorkflow +Completed +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/m, 'workflows, with their starts and ends');
is((grep { length > 80 } $out =~ /^(\w+Workflow .*)$/mg), 0, '... fit a terminal');
my $told = $node->safe_psql('postgres', "SELECT message FROM dungeon.console WHERE player = 'Pat' ORDER BY id");
my @lines = $out =~ /^\* (.*)$/mg;
my %times;
$times{$_}++ for @lines;
is_deeply([ grep { $times{$_} > 1 && !/^The watchman looks in/ } keys %times ], [], 'no line of the story twice');
is_deeply([ grep { !$times{$_} && !/watchman/ } split /\n/, $told ], [], 'no line of the story is missing');

# What fails.
($code, $out) = dungeon(\@play, "look\nfly\nn\ns\nnew Pat\nnew\nlook\n");
is($code, 1, 'failed actions show in the exit code');
like($out, qr/^you are nobody yet; "new NAME" makes you a hero$/m, 'nobody cannot look');
like($out, qr/^there is no command "fly"; "help" lists what there is$/m, 'an unknown command');
like($out, qr/^\* A second Pat knocks/m, 'a name that is taken');
like($out, qr/^Somebody knocks at the gate but gives no name/m, 'no name');
is(() = $out =~ /you are nobody yet/g, 3, 'a refused name is not played');

($code, $out) = dungeon([ @play, 'Hector' ], "confirm\nget unicorn\nget teapot\nkill goblin with spoon\nkill goblin\n");
is($code, 1, 'refused actions');
like($out, qr/^\* Hector knocks/m, 'play NAME begins a game');
like($out, qr/looks for "unicorn" in vain.*^You see: Rusty Spoon\.$/ms, 'a refusal is followed by what there is');
like($out, qr/reaches for the Rusty Teapot\. The Grumpy Grey Goblin is sitting on it/, 'a guarded item is found, and taking it is refused');
like($out, qr/feels for "spoon" and does not have it.*^You carry: nothing\.$/ms, 'a weapon that is not there');
is(() = $out =~ /feels for "spoon"/g, 1, 'an answer that the console has told is not printed again');

($code, $out) = dungeon([ @play, 'Hasty' ], "kill\nget spoon\n");
is(() = $out =~ /^The gatekeeper has not let you in yet\. First: confirm$/mg, 2, 'a player who acts at the gate is told to confirm');

($code, $out) = dungeon([ @play, 'Hector' ], "kill\nkill goblin\nget spoon\nkill\n");
is($code, 1, 'kill with nothing behind it');
is(() = $out =~ /^First pick up a weapon: get Rusty Spoon$/mg, 2, '... tells what to do first');
like($out, qr/^To fight: kill Grumpy Grey Goblin with Rusty Spoon$/m, '... and then what to type');

($code, $out) = dungeon([ @play, 'Hector' ], "kill goblin with spoon\nget teapot");
is($code, 0, 'play NAME goes on with a game; the last line needs no end');
like($out, qr/Hector has won!/, '... and wins it');

($code, $out) = dungeon(\@play, "play\nplay Nobody\nplay Hector\ninventory\n");
is($code, 1, 'play in a script');
like($out, qr/^as whom\? /m, '... needs a name');
like($out, qr/^nobody called "Nobody" has begun a game; "new" begins one$/m, '... of somebody');
like($out, qr/^You carry: Rusty Spoon and Rusty Teapot\.$/m, '... whose game goes on');

# Two things of one beginning.
($code, $out) = dungeon(\@play, "new Twin\nconfirm\n");
$node->safe_psql('postgres', "UPDATE dungeon.item SET monster = NULL, room = 'Tiny Closet' WHERE player = 'Twin' AND is_treasure");
($code, $out) = dungeon([ @play, 'Twin' ], "get rusty\n");
is($code, 1, 'an ambiguous name');
# The watchman comes when he comes.
$out =~ s/^\* The watchman .*\n//mg;
is($out, qq{"rusty" can mean more than one of Rusty Spoon and Rusty Teapot\n}, '... and what it can mean');

# Machines read too.
($code, $out) = dungeon([ '--json', @play ], "new Robot\nconfirm\nlook\nget spoon\nget moon\ninventory\nworkflows\nhelp\n");
is($code, 1, 'JSON: one refusal');
my @json = map { eval { JSON::PP::decode_json($_) } || fail("no JSON: $_") } split /\n/, $out;
is((grep { ref eq 'HASH' && ($_->{command} // '') eq 'get' && $_->{ok} } @json), 1, 'JSON: an answer');
is((grep { ref eq 'HASH' && defined $_->{ok} && !$_->{ok} && $_->{http_status} == 400 } @json), 1, 'JSON: a refusal');
is((grep { ref eq 'HASH' && $_->{user} && $_->{user}{name} eq 'Robot' && $_->{room}{name} eq 'Tiny Closet' } @json), 1, 'JSON: the world');
is_deeply((grep { ref eq 'ARRAY' } @json)[0], ['Rusty Spoon'], 'JSON: inventory');

# Names that mean harm do none, neither to the server nor to a terminal.
foreach my $name ("Robert'); DROP TABLE dungeon.player; --", '<img src=x onerror=alert(1)>', "\e]0;title\a\e[2J", "\xc2\x9b31mred",
	"\xe2\x80\xaetxt", 'Zo\u{0}e', '%s%n', '"id": 1', "\xf0\x9f\xa7\x99 Merlin", '$(reboot)', 'x' x 63, 'y' x 200, '\\', "O'Neill")
{
	($code, $out, $err) = dungeon(\@play, "new $name\nconfirm\nget spoon\nk g w s\nget teapot\n");
	(my $shown = $name) =~ s/[^ -~]/./g;
	is($code, 0, "wins as " . substr($shown, 0, 40)) or diag("$out$err");
	unlike("$out$err", qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]/, '... harmlessly');
}
($code, $out, $err) = dungeon(\@play, 'new ' . 'z' x 201 . "\n");
is($code, 1, 'a name that is too long');
($code, $out, $err) = dungeon(\@play, "new \xff\xfe\n");
is($code, 1, 'a name that is no UTF-8');
unlike("$out$err", qr/\xff/, '... is not printed as it is');
($code, $out, $err) = dungeon(\@play, "new Nul\0l\n");
is($code, 0, 'a zero byte does not hide the rest');
is($node->safe_psql('postgres', "SELECT count(*) FROM dungeon.game WHERE player = 'Nul?l'"), '1', '... and is a question mark');

# What is long is refused like anything else, and not said back at full length.
my $endless = 'x' x 1_000_000;
my $since = time;
($code, $out, $err) = dungeon(\@play, "new Patient\nconfirm\nget $endless\nkill $endless with $endless\n$endless\nplay $endless\nget spoon\n");
is($code, 1, 'words of a million letters');
cmp_ok(time - $since, '<', patience(30), '... take no time');
cmp_ok(length $out, '<', 10_000, '... and no room');
like($out, qr/^there is no command "x{60}\.\.\."; /m, '... and are cut where they are said back');
like($out, qr/picks up the Rusty Spoon/, '... and the game goes on');

# A descriptor that is closed does not become the connection, to which we would talk then.
foreach my $closed ('<&-', '>&-', '2>&-', '<&- >&- 2>&-')
{
	my $line = join ' ', map { "'$_'" } 'dungeon', @play, 'Patient';

	$err = '';
	IPC::Run::run([ 'sh', '-c', "$line $closed" ], '<', \"look\n", '2>', \$err, '>', \$out,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($? >> 8, 0, "called with $closed");
	is($err, '', '... the connection stays');
}

# Too late.
fix_words($node, 'postgres', confirm_timeout => '1 second');
my $late = IPC::Run::start([ 'dungeon', @play ], '<pipe', \*LATE, '>', \my $late_out, '2>', \my $late_err);
syswrite LATE, "new Late\n";
ok($node->poll_query_until('postgres', "SELECT (dd_status('Late') -> 'user' ->> 'isAlive') = 'false'"), 'somebody dies');
syswrite LATE, "confirm\nlook\n";
close LATE;
$late->finish;
is($? >> 8, 1, 'a lost game shows in the exit code');
like($late_out, qr/^\* .*Late is dead\.$/m, 'he hears of it');
like($late_out, qr/^You are dead\./m, '... and sees it');
fix_words($node, 'postgres', confirm_timeout => '2 minutes');

# Whole games.
($code, $out) = dungeon([ @play, '--auto' ]);
is($code, 0, '--auto wins');
like($out, qr/has won\. Every workflow is completed, and all \d+ lines of the story arrived once\.$/, '... and has checked it');
($code, $out) = dungeon([ '--json', @play, '--auto', 'Automaton' ]);
is($code, 0, '--auto as somebody, in JSON');
is(JSON::PP::decode_json((split /\n/, $out)[-1])->{won}, 'Automaton', '... who has won');
($code, $out, $err) = dungeon([ @play, '--auto', 'Automaton' ]);
is($code, 1, '--auto as somebody whose game has been played');

my $crash = 'pg_ctl -D ' . $node->data_dir . ' -m immediate -w -l ' . $node->logfile . ' restart';
($code, $out, $err) = dungeon([ @play, '--auto', '--crash-command', $crash ]);
is($code, 0, '--auto wins over a crash') or diag("$out$err");
like($err, qr/^\.\.\. waiting for the server\n\.\.\. the server is back$/m, '... and has noticed it');
$node->_update_pid(1);
($code, $out, $err) = dungeon([ @play, '--auto', '--crash-command', 'true' ]);
is($code, 1, 'a crash command that does nothing');
like($err, qr/the server has survived the crash command/, '... is found out');
($code, $out, $err) = dungeon([ @play, '--auto', '--crash-command', 'false' ]);
is($code, 1, 'a crash command that fails');

# A deed is committed and its answer lost: the commit waits for a standby that does not exist, and its connection ends.
dungeon(\@play, "new Doubt\nconfirm\n");
my $pid_of_doubt = "SELECT pid FROM pg_stat_activity WHERE usename = 'pat' AND query ~ 'dd_action'";

sub with_lost_answer
{
	my ($command, $wait_event, $prepare, $undo) = @_;
	my ($doubt_out, $doubt_err) = ('', '');
	my $script = IPC::Run::start([ 'dungeon', @play, 'Doubt' ], '<pipe', \*SCRIPT, '>', \$doubt_out, '2>', \$doubt_err);

	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'pat' AND state = 'idle'"),
		"$command: connected");
	$prepare->();
	syswrite SCRIPT, "$command\n";
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($pid_of_doubt AND wait_event = '$wait_event') x"),
		"... waits for $wait_event");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM ($pid_of_doubt) x");
	$undo->();
	close SCRIPT;
	$script->finish;
	return ($? >> 8, $doubt_out, $doubt_err);
}

# The checkpointer tells the others about the setting; it has when somebody's commit waits.
$node->safe_psql('postgres', 'CREATE TABLE probe (n int)');
my $commits = "$PostgreSQL::Test::Utils::tmp_check/commits.sql";
append_to_file($commits, "INSERT INTO probe VALUES (1) \\watch 0.05\n");
my $probe;

sub standby_is_missing
{
	# A workflow that waits for its commit would keep rows locked that the deed needs.
	$node->append_conf('postgresql.conf', 'durable.enabled = off');
	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable worker'"),
		'no workflow runs');
	$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
	$node->reload;
	$probe = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-f', $commits ], '<', \undef, '>', \my $probe_out, '2>', \my $probe_err);
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ 'INSERT INTO probe' AND wait_event = 'SyncRep'"),
		'commits wait');
	return;
}

sub standby_is_not_needed
{
	$probe->signal('KILL');
	$probe->finish;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = ''\ndurable.enabled = on");
	$node->reload;
	return;
}

foreach my $deed ([ 'get spoon', 'picks up' ], [ 'kill goblin with spoon', 'falls' ], [ 'get teapot', 'lifts up' ])
{
	my ($command, $sign) = @$deed;

	($code, $out, $err) = with_lost_answer($command, 'SyncRep', \&standby_is_missing, \&standby_is_not_needed);
	is($code, 0, "$command: was committed, is not done again");
	like($out, qr/^done before the server went away$/m, '... and is reported as done');
	is($node->safe_psql('postgres', "SELECT count(*) FROM dungeon.console WHERE player = 'Doubt' AND message ~ '$sign'"), '1',
		'... once');
}

# The other way round: it was not committed, and is done when there is a connection again.
dungeon(\@play, "new Doubter\nconfirm\n");
my $holder = session_open($node, 'postgres');
($code, $out, $err) = do
{
	my ($doubt_out, $doubt_err) = ('', '');
	my $script = IPC::Run::start([ 'dungeon', @play, 'Doubter' ], '<pipe', \*SCRIPT, '>', \$doubt_out, '2>', \$doubt_err);

	session_say($holder, "BEGIN; SELECT FROM dungeon.player WHERE name = 'Doubter' FOR UPDATE;");
	syswrite SCRIPT, "get spoon\n";
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($pid_of_doubt AND wait_event_type = 'Lock') x"), 'a deed waits for a lock');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM ($pid_of_doubt) x");
	session_say($holder, 'COMMIT;');
	close SCRIPT;
	$script->finish;
	($? >> 8, $doubt_out, $doubt_err);
};
session_close($holder);
is($code, 0, 'a deed that was not committed is done');
is($node->safe_psql('postgres', "SELECT count(*) FROM dungeon.console WHERE player = 'Doubter' AND message ~ 'picks up'"), '1', '... once');

# A server that is away between two lines.
my $patient = IPC::Run::start([ 'dungeon', @play ], '<pipe', \*PATIENT, '>', \my $patient_out, '2>', \my $patient_err);
syswrite PATIENT, "new Patience\n";
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM dungeon.console WHERE player = 'Patience' AND message ~ 'hourglass'"),
	'a game has begun');
$node->stop('immediate');
syswrite PATIENT, "confirm\nget spoon\n";
sleep(1);
$node->start;
close PATIENT;
$patient->finish;
is($? >> 8, 0, 'a script waits for the server');
is($node->safe_psql('postgres', "SELECT dd_status('Patience') #>> '{user,inventoryItems}'"), 'Rusty Spoon', '... and goes on');

# Workflows that do not run are not waited for for ever.
$node->safe_psql('postgres', 'SELECT durable.pause()');
($code, $out, $err) = dungeon([ @connection, '--wait', '1', 'play' ], "new Impatience\n");
is($code, 1, 'the engine is paused');
like($err, qr/the dungeon did not get ready within 1 s/, '... and that is said');
$node->safe_psql('postgres', 'SELECT durable.unpause()');

# The server is found by options, URI, libpq's variables, or the connection that make play leaves.
my ($host, $port) = ($node->host, $node->port);
foreach my $way (
	[ 'options', [ '-h', $host, '-p', $port, '-U', 'pat', '-d', 'postgres' ], {} ],
	[ 'a URI', [ '-d', "postgresql://pat\@/postgres?host=$host&port=$port" ], {} ],
	[ 'a URI before the command', ["postgresql://pat\@/postgres?host=$host&port=$port"], {} ],
	[ 'variables', [], { PGHOST => $host, PGPORT => $port, PGUSER => 'pat', PGDATABASE => 'postgres' } ],
	[ 'make play', [], { DURABLE_DUNGEON_STATE => "$PostgreSQL::Test::Utils::tmp_check/state", PGHOST => '/nowhere' } ])
{
	my ($name, $arguments, $variables) = @$way;
	my $state = "$PostgreSQL::Test::Utils::tmp_check/state";

	mkdir $state;
	append_to_file("$state/connection", "host=$host port=$port user=pat dbname=postgres\n") unless -e "$state/connection";
	local %ENV = (%ENV, %$variables);
	($code, $out, $err) = dungeon([ @$arguments, 'play', 'Pat' ], "status\n");
	is($code, 0, "the server is found by $name") or diag($err);
	like($out, qr/^Hero +Pat, alive, Tiny Closet$/m, '... and the game on it');
}

# Exit codes.
$node->safe_psql('postgres', 'CREATE DATABASE empty');
foreach my $case (
	[ 2, 'no command', [], qr/^Usage: dungeon/m ],
	[ 2, 'an unknown command', ['sleep'], qr/there is no command "sleep"/ ],
	[ 2, 'an unknown option', ['--frobnicate'], qr/unrecognized option/ ],
	[ 2, 'an argument too many', [ 'play', 'a', 'b' ], qr/too many arguments \(first is "b"\)/ ],
	[ 2, 'an option of another command', [ 'play', '--since', '1' ], qr/--since is an option of "console"/ ],
	[ 2, 'an option of another command', [ 'console', '--auto' ], qr/--auto is an option of "play"/ ],
	[ 2, 'a number that is none', [ 'console', '--since', '1x' ], qr/not "1x"/ ],
	[ 2, 'seconds that are none', [ 'play', '--wait', '-1' ], qr/not "-1"/ ],
	[ 3, 'no game in the database', [ '-d', $node->connstr('empty'), 'play' ], qr/"durable_dungeon" is not installed in database "empty"/ ],
	[ 3, 'no console in the database', [ '-d', $node->connstr('empty'), 'console' ], qr/could not read table "dungeon.console"/ ],
	[ 4, 'no server', [ '-h', '/nowhere', 'play' ], qr/No such file or directory/ ],
	[ 4, 'no server to watch', [ '-h', '/nowhere', 'console' ], qr/No such file or directory/ ],
	[ 4, 'no such database', [ '-d', $node->connstr('nosuch'), 'play' ], qr/database "nosuch" does not exist/ ])
{
	my ($expected, $name, $arguments, $message) = @$case;

	($code, $out, $err) = dungeon($arguments);
	is($code, $expected, "exit code $expected: $name");
	like($err, $message, '... and why');
}
($code, $out) = dungeon(['--help']);
is($code, 0, '--help');
like($out, qr/^Exit codes: /m, '... tells the exit codes');
($code, $out) = dungeon([ 'console', '--help' ]);
like($out, qr/--since ID\|all/, 'each command has a help of its own');
($code, $out) = dungeon(['--version']);
is($out, "dungeon 0.2.0\n", '--version');

# A role that may not ask for the time plays without knowing it.
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION dd_time_left(text) FROM pat');
($code, $out, $err) = dungeon(\@play, "new Timeless\nconfirm\nlook\n");
is($code, 0, 'without dd_time_left');
is($err, '', '... nothing is missing');

# Somebody who may not play.
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN');
($code, $out, $err) = dungeon([ '-d', $node->connstr('postgres') . ' user=mallory', 'play' ], "new Mallory\n");
is($code, 3, 'a role that may not play');
like($err, qr/a role needs dungeon\.grant_play/, '... is told what to ask for');

done_testing();
