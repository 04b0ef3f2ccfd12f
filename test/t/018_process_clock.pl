# Somebody sets the clock of the machine, back or ahead. What has a date happens at another time then; but the engine goes
# on at once: it looks at its tables, starts processes that have ended, and dismisses those that have nothing to do.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'the clock is shifted with LD_PRELOAD' if $^O ne 'linux';

my $library = compile_library('clockshift');
my $file = PostgreSQL::Test::Utils::tempdir . '/clockshift';
shift_clock(0);

sub shift_clock
{
	my ($seconds) = @_;

	open(my $handle, -e $file ? '+<' : '>', $file) or die "$file: $!";
	binmode $handle;
	print $handle pack('q', $seconds);
	close $handle;
	return;
}

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.recheck_interval = 1s
durable.worker_idle_timeout = 2s
max_prepared_transactions = 10
CONF
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{CLOCKSHIFT} = $file;
	$node->start;
}
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION once(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$;
CREATE ROLE a LOGIN;
CREATE ROLE b LOGIN;
CREATE ROLE c LOGIN;
CREATE ROLE d LOGIN;
SELECT durable.grant_usage(oid::regrole) FROM pg_roles WHERE rolname IN ('a', 'b', 'c', 'd');
SQL

sub ends
{
	my ($id, $what) = @_;
	my $begin = time;

	is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('$id', '30s')"), 'Completed', $what);
	cmp_ok(time - $begin, '<', patience(10), 'soon');
	return;
}

# The rows of COMMIT PREPARED are found by the slow recheck only.
sub prepare
{
	my ($role, $id) = @_;

	$node->safe_psql('postgres', "SET SESSION AUTHORIZATION $role; BEGIN; SELECT durable.start('once', 1, '$id'); PREPARE TRANSACTION '$id'");
	return;
}

sub workers_are
{
	my ($n) = @_;

	return $node->poll_query_until('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'durable worker'", $n);
}

# --- back --------------------------------------------------------------------------------------------------------------

my $before = $node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())');

$node->safe_psql('postgres', "SET SESSION AUTHORIZATION a; SELECT durable.start('once', 1, 'first')");
ends('first', 'one before');
prepare('a', 'prepared a');
prepare('b', 'prepared b');
shift_clock(-3600);
cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())'), '<', $before - 3000, 'the clock is set back by an hour');
my $began = time;
ok(workers_are(0), 'an idle worker leaves');
cmp_ok(time - $began, '<', patience(10), 'soon');
$node->safe_psql('postgres', "COMMIT PREPARED 'prepared b'");
ends('prepared b', 'what nobody was told of is found by the coordinator');

$node->safe_psql('postgres', "COMMIT PREPARED 'prepared a'");
ends('prepared a', 'again');

$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'durable coordinator'");
shift_clock(-7200);
$node->safe_psql('postgres', "SET SESSION AUTHORIZATION c; SELECT durable.start('once', 1, 'after')");
ends('after', 'a coordinator that was lost is replaced');
$node->safe_psql('postgres', 'CREATE DATABASE another');
ok($node->poll_query_until('another', 'SELECT 1', '1'), 'another database');
create_durable($node, 'another');
$node->safe_psql('another', 'CREATE FUNCTION once(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$');
$node->safe_psql('another', "SELECT durable.start('once', 1, 'there')");
is($node->safe_psql('another', "SELECT runtime_status FROM durable.wait('there', '20s')"), 'Completed', 'works');

# --- ahead -------------------------------------------------------------------------------------------------------------

# A worker is registered, but its process can never be made, and its coordinator has gone.
SKIP:
{
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my ($limit) = `prlimit --pid $postmaster --nproc --noheadings --output SOFT 2>&1` =~ /(\w+)/;

	skip 'no prlimit', 2 if $? != 0;
	ok(workers_are(0), 'nobody works');

	my $session = $node->background_psql('postgres');

	$session->query("SET SESSION AUTHORIZATION d; SELECT durable.start('once', 0, 'warm'); RESET SESSION AUTHORIZATION");
	ok(workers_are(0), 'nor now');
	kill 'STOP', $postmaster;
	$session->query("SET SESSION AUTHORIZATION d; SELECT durable.start('once', 1, 'late'); RESET SESSION AUTHORIZATION");
	foreach (1 .. 100)
	{
		last if $session->query("SELECT count(*) FROM durable.workers WHERE owner = 'd'::regrole") eq '1';
		sleep 0.1;
	}
	is($session->query("SELECT count(*), count(*) FILTER (WHERE pid > 0) FROM durable.workers WHERE owner = 'd'::regrole"), '1|0', 'a worker is to come');
	$session->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'durable coordinator' AND datname = 'postgres'");
	system("prlimit --pid $postmaster --nproc=1:") == 0 or die 'prlimit';
	kill 'CONT', $postmaster;
	sleep 0.5;
	system("prlimit --pid $postmaster --nproc=$limit:") == 0 or die 'prlimit';
	$session->quit;
	like(slurp_file($node->logfile), qr/could not fork (background )?worker process/, 'it does not');
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'durable coordinator' AND datname = 'postgres'"),
		'another coordinator');
	shift_clock(-7200 + 60);
	ends('late', 'gives the place to another worker in the end');
}
$node->stop('fast');

done_testing();
