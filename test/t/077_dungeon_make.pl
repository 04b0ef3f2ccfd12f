# A program that make calls and that has the terminal: Ctrl-C is its own business, Ctrl-Z stops everybody, and make has
# nothing to complain about in the end. (make play calls the game in this way.)

use strict;
use warnings;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;

eval { require IO::Pty; IO::Pty->new } or plan skip_all => 'IO::Pty and a pseudo-terminal are needed to imitate a terminal';

my $dir = PostgreSQL::Test::Utils::tempdir;

sub write_file
{
	my ($name, $text) = @_;

	append_to_file("$dir/$name", $text);
	chmod 0755, "$dir/$name";
	return;
}

# It takes its time over Ctrl-C, and puts things in order before it stops, as the game does.
write_file('game', <<'PERL');
#!/usr/bin/perl
$| = 1;
$SIG{INT} = sub { print "caught\n" };
$SIG{TSTP} = sub { print "stopping\n"; kill STOP => $$; print "going on\n" };
print "ready\n";
while (defined(my $line = <STDIN>)) { print "heard $line"; exit 7 if $line =~ /fail/; last if $line =~ /quit/; }
PERL
write_file('script', <<"BASH");
#!/bin/bash
. '$ENV{DURABLE_TOP}/scripts/lib.sh'
at_terminal '$dir/game'
echo 'last words'
BASH
write_file('Makefile', "play:\n\t\@'$dir/script'\n");

my ($pty, $pid, $screen);

sub begin
{
	$pty = IO::Pty->new;
	$screen = '';
	$pid = fork // die "cannot fork: $!";
	if ($pid == 0)
	{
		# The shell at the terminal, as far as it matters: it gives make the terminal, tells of it when it stops, and lets
		# it go on.
		$pty->make_slave_controlling_terminal;
		my $terminal = $pty->slave;
		open(STDIN, '<&', $terminal) or die;
		open(STDOUT, '>&', $terminal) or die;
		open(STDERR, '>&', $terminal) or die;
		close $pty;
		$SIG{TTOU} = 'IGNORE';
		$| = 1;
		my $make = fork // die;
		if ($make == 0)
		{
			setpgrp(0, 0);
			POSIX::tcsetpgrp(0, $$);
			$SIG{TTOU} = 'DEFAULT';
			exec 'make', '-s', '-f', "$dir/Makefile" or die;
		}
		while (waitpid($make, POSIX::WUNTRACED()) == $make && POSIX::WIFSTOPPED(${^CHILD_ERROR_NATIVE}))
		{
			POSIX::tcsetpgrp(0, getpgrp);
			print "stopped\n";
			<STDIN>;
			POSIX::tcsetpgrp(0, $make);
			kill CONT => -$make;
		}
		POSIX::tcsetpgrp(0, getpgrp);
		print "make: $?\n";
		<STDIN>;
		POSIX::_exit(0);
	}
	$pty->close_slave;
	return;
}

sub shown
{
	my ($pattern, $name) = @_;

	eval {
		local $SIG{ALRM} = sub { die "timed out\n" };
		alarm $PostgreSQL::Test::Utils::timeout_default;
		while ($screen !~ $pattern && sysread($pty, my $some, 4096)) { $screen .= $some; }
		alarm 0;
		1;
	} or diag($@);
	like($screen, $pattern, $name);
	return;
}

sub type { my ($text) = @_; $screen = ''; syswrite $pty, $text; return; }

begin();
shown(qr/ready/, 'a program of its own');
type("\cC");
shown(qr/caught/, 'Ctrl-C is for the program');
type("hello\n");
shown(qr/heard hello/, '... which goes on');
type("quit\n");
shown(qr/heard quit.*make: \d+/s, 'all of them end');
like($screen, qr/last words.*make: 0/s, '... the script has the last words, and make has nothing to say');
unlike($screen, qr/Interrupt|Error/, '... of an interruption');
type("\n");
waitpid $pid, 0;

begin();
shown(qr/ready/, 'once more');
type("\cZ");
shown(qr/stopping.*stopped/s, 'Ctrl-Z stops all of them, and the shell has the terminal');
type("go\n");
shown(qr/going on/, '... and then they go on');
type("\cC");
shown(qr/caught/, '... with Ctrl-C where it was');
type("quit\n");
shown(qr/make: \d+/, '... and end');
like($screen, qr/make: 0/, '... as before');
type("\n");
waitpid $pid, 0;

begin();
shown(qr/ready/, 'and again');
type("fail\n");
shown(qr/make: (?!0)\d+/, 'a program that fails fails for make, too');
like($screen, qr/Error 7/, '... and it says how');
type("\n");
waitpid $pid, 0;

done_testing();
