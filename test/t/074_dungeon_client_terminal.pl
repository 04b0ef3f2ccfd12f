# The program "dungeon play" at a terminal: the prompt, lines that arrive while something is half typed, TAB, Ctrl-C,
# Ctrl-D, and a server that goes away under the prompt.

use strict;
use warnings;
use ClientTest;
use DungeonTest;
use DurableTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

eval { require IO::Pty; IO::Pty->new } or plan skip_all => 'IO::Pty and a pseudo-terminal are needed to imitate a terminal';

# A shell starts what runs in the background with the signal ignored, and that is inherited.
$SIG{INT} = 'DEFAULT';

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
CONF
$node->start;
create_dungeon($node, 'postgres');
fix_words($node, 'postgres', monitor_interval => '1 hour');

$ENV{TERM} = 'xterm';
$ENV{LC_ALL} = 'C.UTF-8';
my $crash = 'pg_ctl -D ' . $node->data_dir . ' -m immediate -w -l ' . $node->logfile . ' restart';
my ($keys, $screen) = ('', '');
my $terminal = IPC::Run::start([ 'dungeon', '-d', $node->connstr('postgres'), '--no-color', '--wait', '180', 'play', '--crash-command', $crash ],
	'<pty<', \$keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

# What a screen shows of it: libedit moves the cursor, and we only look for text.
sub shown
{
	my ($pattern, $name) = @_;

	eval { $terminal->pump until $screen =~ $pattern; 1 } or diag($@);
	like($screen, $pattern, $name);
	return;
}

# Type, and forget what the screen has shown before.
sub type
{
	my ($text) = @_;

	$screen = '';
	$keys .= $text;
	$terminal->pump_nb;
	return;
}

shown(qr/Welcome.*dungeon> /s, 'a prompt');
type("n\t");
shown(qr/ew /, 'TAB completes a verb');
type("Zo\xc3\xab\n");
shown(qr/^\* Zo\xc3\xab knocks at the gate/m, 'a command is carried out');
shown(qr/Zo\xc3\xab \(confirm! [12]:\d\d\)> $/, 'the prompt says who, what there is to do, and how long there is for it');
# The time goes on by itself. What is typed stays as it is: only the prompt is written, from the first column on.
type('sta');
shown(qr/sta$/, 'half a command');
$screen = '';
shown(qr/^\e7\rZo\xc3\xab \(confirm! [12]:\d\d\)> \e8\e7\rZo\xc3\xab \(confirm! [12]:\d\d\)> \e8$/, 'the seconds are counted');
type("\n");
shown(qr/^Game +waiting for you to confirm, [12]:\d\d left\r$/m, 'status tells the time that is left');
type("look\n");
# Ctrl-C ends what is under way until the prompt is there.
shown(qr/You stand at the gate\. Confirm within [12]:\d\d\..*confirm![^)]*\)> $/s, '... and so does look');
type("\cC");
shown(qr/\^C\r\n"quit" or Ctrl-D leaves\.\r\n.*confirm![^)]*\)> $/s, 'Ctrl-C with nothing to throw away');
type("new Zo\xc3\xab\n");
shown(qr/"play Zo\xc3\xab" goes on with the game\..*Zo\xc3\xab \(confirm! [12]:\d\d\)> $/s, 'a name that is taken could be his own');
type("\t\t");
shown(qr/^  confirm *\r\n.*^  workflows *\r\n/ms, 'TAB lists what there is');
type("confirm\n");
shown(qr/You carry: nothing\..*Zo\xc3\xab> $/s, 'the prompt goes with the game');

# Somebody types, and the story goes on: the line goes above the prompt, and what was typed is there again.
type('ge');
shown(qr/ge$/, 'half a command');
$screen = '';
$node->safe_psql('postgres', "SELECT dungeon.say('Zo\xc3\xab', 'A voice from above.')");
shown(qr/\r\e\[J\* A voice from above\.\r\n.*Zo\xc3\xab> ge/s, 'a line comes in between');
type(" sp\t");
shown(qr/Rusty Spoon/, 'TAB replaces a part of a name by the whole');
type("\n");
shown(qr/picks up the Rusty Spoon.*Zo\xc3\xab> $/s, '... and the line is what it says');
type("look\cC");
shown(qr/\^C.*Zo\xc3\xab> $/s, 'Ctrl-C throws the line away');
type("inv\n");
shown(qr/^You carry: Rusty Spoon\.\r$/m, '... and nothing else');
type("k\t");
shown(qr/ill /, 'a verb');
type("\t");
shown(qr/Grumpy Grey Goblin with /, 'a monster');
type("\t");
shown(qr/Rusty Spoon/, 'and a weapon');

# The server goes, somebody goes on typing, the server comes, and the line is carried out.
$screen = '';
$node->stop('immediate');
shown(qr/\.\.\. waiting for the server\r\n.*kill Grumpy Grey Goblin with Rusty Spoon/s, 'the server goes away under a half-typed line');
type('xy');
shown(qr/xy/, 'typing goes on');
type("\x7f\x7f");
$node->start;
shown(qr/\.\.\. the server is back\r\n.*kill Grumpy Grey Goblin with Rusty Spoon/s, 'the server is back, and the line is still there');
type("\n");
shown(qr/The Grumpy Grey Goblin falls/, '... and is carried out');

# A notification that arrives together with an answer makes no noise of its own. It is not left lying until the next one,
# nor until the program looks into the table after six seconds.
my $slowest = 0;
foreach my $round (1 .. 20)
{
	$screen = '';
	$node->safe_psql('postgres', join '', map { "SELECT dungeon.say('Zo\xc3\xab', 'round $round, line $_');\n" } 1 .. 5);
	my $started = time();
	$terminal->pump until $screen =~ /round $round, line 5/;
	$slowest = time() - $started if time() - $started > $slowest;
}
cmp_ok($slowest, '<', 5, 'lines in quick succession are shown at once');

# A line longer than any buffer.
my $long = 'get ' . 'very ' x 1000 . 'long sword';
type("$long\n");
shown(qr/looks for "very very .*You see: Rusty Teapot\./s, 'a line of 5,000 letters');

type("crash\n");
shown(qr/\.\.\. the server is back\r\n.*Zo\xc3\xab> $/s, 'crash');
$node->_update_pid(1);
type("get tea\n");
shown(qr/has won!.*You have won\. "new NAME" begins another game, "quit" leaves\..*Zo\xc3\xab \(won\)> $/s,
	'a won game shows in the prompt, and the next step is named');
type("\cD");
$terminal->finish;
is($? >> 8, 0, 'Ctrl-D leaves');
unlike($screen, qr/goes on without you/, '... a game that is over');

# Back to a game that is not, or no longer; a line of several rows is thrown away as a whole, wherever the cursor is in it.
($keys, $screen) = ('', '');
$terminal = IPC::Run::start([ 'dungeon', '-d', $node->connstr('postgres'), '--no-color', 'play' ],
	'<pty<', \$keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
shown(qr/dungeon> $/, 'another day');
type("play Zo\xc3\xab\n");
shown(qr/You carry: Rusty Spoon and Rusty Teapot\..*Zo\xc3\xab \(won\)> $/s, 'play goes on with a game');
type("play Nobody\n");
shown(qr/nobody called "Nobody" has begun a game.*Zo\xc3\xab \(won\)> $/s, '... if there is one, and otherwise nothing changes');
type("new Ada\nconfirm\n");
shown(qr/Ada> $/, 'another game');
$_->set_winsize(24, 80) foreach values %{ $terminal->{PTYS} };
type('get ' . 'x' x 200);
shown(qr/(x[^x]*){200}$/, 'a line of several rows');
type("\cA");
shown(qr/./, 'to its beginning');
type("\cC");
shown(qr/(x[^x]*){200}\^C\r\n[^x]*Ada> $/s, 'what is thrown away is left whole above the next prompt');
type("quit\n");
$terminal->finish;
like($screen, qr/The game goes on without you; "play Ada" is the way back\./, 'a player who leaves is told how to come back');

# Who dies at the gate, without touching a key, is told what comes next.
fix_words($node, 'postgres', monitor_interval => '1 hour', confirm_timeout => '1 second');
($keys, $screen) = ('', '');
$terminal = IPC::Run::start([ 'dungeon', '-d', $node->connstr('postgres'), '--no-color', 'play', 'Late' ],
	'<pty<', \$keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
# A look at the game may find the death before the story tells of it.
shown(qr/^(?=.*Late is dead\.)(?=.*You are dead\. "new NAME" begins another game, "quit" leaves\.).*Late \(dead\)> $/s, 'after death the next step is named');
type("status\nstatus\nquit\n");
$terminal->finish;
unlike($screen, qr/You are dead/, '... once');
fix_words($node, 'postgres', monitor_interval => '1 hour', confirm_timeout => '2 minutes');

# A terminal that cannot move its cursor is sent nothing that would move it.
{
	local $ENV{TERM} = 'dumb';
	($keys, $screen) = ('', '');
	$terminal = IPC::Run::start([ 'dungeon', '-d', $node->connstr('postgres'), 'play', 'Ada' ],
		'<pty<', \$keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	shown(qr/Ada> $/, 'TERM=dumb');
	$keys .= 'lo';
	$terminal->pump_nb;
	shown(qr/lo$/, 'half a command');
	$node->safe_psql('postgres', "SELECT dungeon.say('Ada', 'A voice from below.')");
	shown(qr/lo\r\n\* A voice from below\.\r\n.*Ada> lo$/s, 'a line of the story goes below, and what was typed is there again');
	$keys .= "\nquit\n";
	$terminal->finish;
	unlike($screen, qr/\e/, 'nothing moves');
}

# In the middle of a line, a terminal that is closed ends the program.
($keys, $screen) = ('', '');
$terminal = IPC::Run::start([ 'dungeon', '-d', $node->connstr('postgres'), '--no-color', 'play', "Zo\xc3\xab" ],
	'<pty<', \$keys, '>pty>', \$screen, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
shown(qr/\(won\)> $/, 'the game of before');
my $pid = $terminal->{KIDS}[0]{PID};
kill 'HUP', $pid;
$terminal->finish;
is($? >> 8, 0, 'a terminal that hangs up');

# A terminal that goes away without a word to its processes.
{
	my $pty = IO::Pty->new;
	my $slave = $pty->slave;
	my $pid = fork // die "cannot fork: $!";

	if ($pid == 0)
	{
		open(STDIN, '<&', $slave) or die;
		open(STDOUT, '>&', $slave) or die;
		open(STDERR, '>&', $slave) or die;
		close $pty;
		exec 'dungeon', '-d', $node->connstr('postgres'), 'play' or die;
	}
	close $slave;
	my $seen = '';
	while ($seen !~ /dungeon> / && sysread($pty, my $some, 4096)) { $seen .= $some; }
	close $pty;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	my $left = 0;
	until ($left = waitpid($pid, 1) or time > $until) { select(undef, undef, undef, 0.05); }
	is($left, $pid, 'without a terminal it leaves');
	kill 'KILL', $pid unless $left;
}

done_testing();
