# Servers for the Perl tests. make check sets the environment up: the programs in PATH, this directory and PostgreSQL's
# own test modules in PERL5LIB, and through TEMP_CONFIG the settings by which a server finds the extensions in the
# private install root. So a test is
#
#	use DurableTest;
#	use Test::More;
#
#	my $node = new_node('main', conf => "durable.max_workers = 4\n");
#	$node->start;
#	create_durable($node, 'postgres');
#	...
#	done_testing();
#
# Locks, memory: none. Owns: nothing; the modules of PostgreSQL remove what they made.

package DurableTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SteadyTime;
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT = qw(new_node create_durable create_dungeon compile_library process_pids patience are_alive processes_of kill_and_recover kill_server time);

# new_node(name, conf => text, init => {options of Cluster->init} or 0): a server with the library preloaded, not started.
# init => 0 gives the bare object, for init_from_backup. Later settings win, so conf may overrule what is set here.
#
# PostgreSQL's module turns restart_after_crash off; an engine that must survive crashes is tested with it on. Its
# log_statement = all would bury the log under the load of the stress tests.
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $init = exists $options{init} ? $options{init} : {};

	return $node unless $init;
	$node->init(%$init);
	$node->append_conf('postgresql.conf', <<'CONF' . ($options{conf} // ''));
shared_preload_libraries = 'durable'
restart_after_crash = on
log_statement = none
max_worker_processes = 20
CONF
	return $node;
}

# create_durable(node, database): make the database if it is not there, and the extension in it.
sub create_durable
{
	my ($node, $database) = @_;
	my $there = $node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = '$database'");

	$node->safe_psql('postgres', "CREATE DATABASE \"$database\"") unless $there;
	$node->safe_psql($database, 'CREATE EXTENSION durable');
	return;
}

# create_dungeon(node, database): the same with the game. Only for tests with "dungeon" in their names: the others run
# where the game is not installed. DUNGEON_WORLD in the environment: where its games keep their things.
sub create_dungeon
{
	my ($node, $database) = @_;

	create_durable($node, $database);
	$node->safe_psql($database, 'CREATE EXTENSION durable_dungeon');
	$node->safe_psql($database, "UPDATE dungeon.settings SET world = '$ENV{DUNGEON_WORLD}'") if $ENV{DUNGEON_WORLD};
	return;
}

# compile_library(name) -> path: compiles test/lib/NAME.c, for CREATE FUNCTION or LD_PRELOAD.
sub compile_library
{
	my ($name) = @_;
	my $library = PostgreSQL::Test::Utils::tempdir() . "/$name.so";
	my $config = $ENV{PG_CONFIG} // 'pg_config';
	my $source = __FILE__ =~ s{[^/]+$}{$name.c}r;

	chomp(my $includes = `$config --includedir-server`);
	chomp(my $compiler = `$config --cc`);
	system("$compiler -shared -fPIC -I$includes -o $library $source") == 0 or BAIL_OUT("could not compile $name.c");
	return $library;
}

# process_pids(node, backend type): the processes of that kind, e.g. 'durable worker'.
sub process_pids
{
	my ($node, $type) = @_;

	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_backend_pid() ORDER BY pid");
}

# A psql that cannot connect, because the server is just starting over, may be gone before it has been given its input; then
# IPC::Run dies of the broken pipe. That is a lost connection like any other: asked again while polling, else exit status 2.
{
	no warnings 'redefine';
	my $psql = \&PostgreSQL::Test::Cluster::psql;
	my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;

	*PostgreSQL::Test::Cluster::psql = sub {
		my ($self, $database, $sql, %params) = @_;
		my @result = wantarray ? eval { $psql->(@_) } : scalar eval { $psql->(@_) };
		my $error = $@;

		die $error if $error && ($error !~ /Broken pipe/ || $params{on_error_die});
		@result = (2, '', $error) if $error;
		return wantarray ? @result : $result[0];
	};
	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

		while (1)
		{
			my $ok = eval { $poll->(@_) };

			return $ok unless $@;
			die $@ if $@ !~ /Broken pipe/ || time > $deadline;
			sleep(0.1);
		}
	};
}

# pg_ctl recognizes a server that it started by the time in postmaster.pid. If the clock of the machine is set back in between, it
# waits until its timeout for a server that accepts connections. So its timeout is short here, and the file decides after that.
{
	no warnings 'redefine';
	my $system_log = \&PostgreSQL::Test::Utils::system_log;

	*PostgreSQL::Test::Utils::system_log = sub {
		my @command = @_;

		return $system_log->(@command) unless $command[0] eq 'pg_ctl' && $command[-1] eq 'start';

		my $timeout = $ENV{PGCTLTIMEOUT} // 60;
		my ($directory) = map { $command[$_ + 1] } grep { $command[$_] =~ /^(-D|--pgdata)$/ } 0 .. $#command - 1;
		local $ENV{PGCTLTIMEOUT} = $timeout < 30 ? $timeout : 30;
		my $result = $system_log->(@command);
		my $deadline = time + $timeout - $ENV{PGCTLTIMEOUT};

		# Line 1 is the process, line 8 the state. pg_ctl reports a server that has exited at once, and then there is no such process.
		while ($result != 0 && -f "$directory/postmaster.pid")
		{
			my @line = split /\n/, PostgreSQL::Test::Utils::slurp_file("$directory/postmaster.pid");

			last unless @line && kill 0, $line[0];
			return 0 if ($line[7] // '') =~ /^(ready|standby)/;
			last if time > $deadline;
			sleep(0.1);
		}
		return $result;
	};
}

# --- time -----------------------------------------------------------------------------------------------------------------

# Fifty processes that do nothing take so long, in seconds, on a machine that has nothing else to do.
my $YARDSTICK = 0.05;

# patience(seconds): how long something may take here and now that must take less than these seconds on a quiet machine.
# Twice as long is always granted; beyond that it is measured how much slower this machine is at the moment. So the limit
# says something about the engine, and not about what else is going on.
sub patience
{
	my ($seconds) = @_;
	my $start = time;

	system('sh', '-c', ':') for 1 .. 50;
	my $slowness = (time - $start) / $YARDSTICK;
	note(sprintf 'this machine is %.1f times slower than a quiet one', $slowness) if $slowness > 2;
	return $seconds * ($slowness > 2 ? $slowness : 2);
}

# --- killing --------------------------------------------------------------------------------------------------------------

# are_alive(pids): how many of them. Zombies wait for somebody who is slow, but they are dead.
sub are_alive
{
	return scalar grep {
		my $stat = -e "/proc/$_/stat" ? eval { slurp_file("/proc/$_/stat") } : undef;
		defined $stat && $stat !~ /\) Z /
	} @_;
}

# processes_of(node, pattern): pids of the postmaster's children whose titles match, without asking the server.
sub processes_of
{
	my ($node, $pattern) = @_;
	my ($postmaster) = split /\n/, (-e $node->data_dir . '/postmaster.pid' ? slurp_file($node->data_dir . '/postmaster.pid') : '');
	my @found;

	return unless $postmaster;
	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		my ($pid) = $file =~ m{/proc/(\d+)/};
		open my $stat, '<', $file or next;
		my $line = <$stat> // '';
		close $stat;
		next unless $line =~ /^\d+ \(.*\) \S (\d+) / && $1 == $postmaster;
		open my $cmdline, '<', "/proc/$pid/cmdline" or next;
		my $title = <$cmdline> // '';
		close $cmdline;
		push @found, $pid if $title =~ $pattern;
	}
	return @found;
}

# kill_and_recover(node, signal, pid, launcher): a signal that makes the server throw everybody out and start over. Returns
# whether there was such a process, when the server is back: it has a new launcher. Until the postmaster has noticed,
# connections are still accepted by a server that is about to go, so an answer alone says nothing. Who knows the launcher's
# pid loses no time with asking.
sub kill_and_recover
{
	my ($node, $signal, $pid, $launcher) = @_;

	($launcher) = process_pids($node, 'durable launcher') unless $launcher;
	my $killed = kill $signal, $pid;

	return 0 unless $killed;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 AND min(pid) <> $launcher FROM pg_stat_activity WHERE backend_type = 'durable launcher'")
	  or BAIL_OUT('the server does not come back');
	return $killed;
}

# kill_server(node): the sudden death of the postmaster. Returns how many of its children have outlived it, when none is
# left or nobody waits for them any more. Then a new one can start: not beside a child that still has the shared memory,
# nor beside as much as a zombie of the old one.
sub kill_server
{
	my ($node) = @_;
	my @all = processes_of($node, qr/./);
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	$node->kill9;
	sleep(0.01) while time < $deadline && are_alive(@all);
	sleep(0.01) while time < $deadline && kill 0, $postmaster;
	return are_alive(@all);
}

1;
