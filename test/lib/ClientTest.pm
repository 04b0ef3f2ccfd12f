# What the tests of the programs dungeon and durable share: running them, and transactions that are held open.
#
# Owns, locks, memory: none.

package ClientTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Utils;
use SteadyTime ();
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(dungeon durable program_open program_end comes_true console_open console_ids console_wait session_open session_say session_close);

# Nobody's own game is played by tests, and nothing but their arguments tells them where the server is.
INIT
{
	$ENV{DURABLE_DUNGEON_STATE} = "$PostgreSQL::Test::Utils::tmp_check/no_game_here";
	delete $ENV{NO_COLOR};
}

# dungeon([arguments], input) -> exit code, what it printed, what it complained about.
sub dungeon
{
	my ($arguments, $input) = @_;
	my ($out, $err) = ('', '');

	$input = '' unless defined $input;
	IPC::Run::run([ 'dungeon', @$arguments ], '<', \$input, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

# durable([arguments], input) -> exit code, what it printed, what it complained about.
sub durable
{
	my ($arguments, $input) = @_;
	my ($out, $err) = ('', '');

	$input = '' unless defined $input;
	IPC::Run::run([ 'durable', @$arguments ], '<', \$input, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? & 127 ? -($? & 127) : $? >> 8, $out, $err);
}

# A durable that runs: {process, pid, out, err}; out and err are names of files.
sub program_open
{
	my ($name, @arguments) = @_;
	my $base = "$PostgreSQL::Test::Utils::tmp_check/$name";
	my %program = (out => "$base.out", err => "$base.err");

	$program{process} = IPC::Run::start([ 'durable', @arguments ], '<', \undef, '>', $program{out}, '2>', $program{err});
	$program{pid} = $program{process}{KIDS}[0]{PID};
	return \%program;
}

# Wait for its end, after a signal if there is one: the exit code.
sub program_end
{
	my ($program, $signal) = @_;

	kill $signal, $program->{pid} if $signal;
	$program->{process}->finish;
	return $program->{process}->full_result(0) >> 8;
}

# Wait for a condition; false if it does not come true.
sub comes_true
{
	my ($condition) = @_;
	my $deadline = SteadyTime::time() + $PostgreSQL::Test::Utils::timeout_default;

	while (SteadyTime::time() < $deadline)
	{
		return 1 if $condition->();
		Time::HiRes::sleep(0.05);
	}
	return 0;
}

# A console that runs: {process, out, err}; out and err are names of files.
sub console_open
{
	my ($name, @arguments) = @_;
	my $base = "$PostgreSQL::Test::Utils::tmp_check/$name";
	my %console = (out => "$base.out", err => "$base.err");

	$console{process} = IPC::Run::start([ 'dungeon', @arguments, 'console' ], '<', \undef, '>', $console{out}, '2>', $console{err});
	$console{pid} = $console{process}{KIDS}[0]{PID};
	return \%console;
}

# The ids it has printed so far, with --json.
sub console_ids
{
	my ($console) = @_;

	return slurp_file($console->{out}) =~ /^\{"id": (\d+)/mg;
}

# Wait until what it printed matches; false if it never does.
sub console_wait
{
	my ($console, $pattern) = @_;

	return comes_true(sub { slurp_file($console->{out}) =~ $pattern });
}

# A psql that stays, for transactions that are held open.
sub session_open
{
	my ($node, $database) = @_;
	my %session = (in => '', out => '');

	$session{process} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr($database) ],
		'<', \$session{in}, '>', \$session{out}, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

# Say something to it and wait until it is done.
sub session_say
{
	my ($session, $sql) = @_;

	$session->{out} = '';
	$session->{in} .= "$sql\n\\echo done\n";
	$session->{process}->pump until $session->{out} =~ /^done$/m;
	return $session->{out};
}

sub session_close
{
	my ($session) = @_;

	$session->{in} .= "\\q\n";
	$session->{process}->finish;
	return;
}

1;
