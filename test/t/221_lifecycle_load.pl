# Statements that need us out of the way, while every worker is busy: each takes a few seconds at most, loses nothing, and
# leaves nothing in the log. 010_process_lifecycle.pl has the same with workers that sleep in long activities.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $LIMIT = 5;
my $ROUNDS = $ENV{CHAOS_ROUNDS} // 20 * ($ENV{CHAOS_TIMES} // 1);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 5
deadlock_timeout = 20ms
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'one');
install_chaos($node, 'one');

# The slowest of them is told, and those that took too long for how quick the machine was then.
my (%slowest, %late);

sub timed
{
	my ($name, $code) = @_;
	my $start = time;

	$code->();
	my $took = time - $start;
	$slowest{$name} = $took if $took > ($slowest{$name} // 0);
	push @{ $late{$name} }, $took if $took >= $LIMIT && $took >= patience($LIMIT);
	return;
}

sub timed_sql
{
	my ($name, $database, $sql) = @_;

	timed($name, sub { is($node->psql($database, $sql), 0, $name) });
	return;
}

sub busy
{
	my ($database) = @_;

	$node->poll_query_until($database,
		"SELECT count(*) FILTER (WHERE status = 'C') >= 10 AND count(*) FILTER (WHERE status IN ('P', 'R')) > 0 FROM durable.instance")
	  or fail('no work under way');
	return;
}

# --- the extension goes and comes ------------------------------------------------------------------------------------------

for my $n (1 .. $ROUNDS)
{
	start_many($node, 'one', 1, 60);
	busy('one');
	timed_sql('DROP EXTENSION', 'one', 'DROP EXTENSION durable CASCADE');
	is($node->safe_psql('one', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'durable worker' AND datname = 'one'"), '0', 'nobody works');
	timed_sql('CREATE EXTENSION', 'one', "CREATE EXTENSION durable; SELECT durable.grant_usage(r) FROM unnest('{chaos_ann,chaos_bob,chaos_cat}'::regrole[]) r;
		SELECT durable.register_activity('chaos.note_slowly', 'chaos.note_slowly(text,text,int)', execution => 'task')");
}
$node->safe_psql('one', 'TRUNCATE chaos.effect, chaos.ledger, chaos.client_log; UPDATE chaos.balance SET amount = 0');
start_many($node, 'one', 1, 20);
wait_until_ended($node, 'one', 'the last one works');
$node->safe_psql('one', 'DROP SCHEMA invariant CASCADE');
my $lib = $INC{'ChaosTest.pm'} =~ s{[^/]+$}{}r;
$node->safe_psql('one', slurp_file("$lib/invariants.sql"));
violations_are($node, 'one', '', 'and nothing is wrong with it');

# --- the database changes its name, and is copied -----------------------------------------------------------------------------

for my $n (1 .. 5)
{
	start_many($node, 'one', $n * 100, $n * 100 + 59);
	busy('one');
	timed_sql('ALTER DATABASE RENAME', 'postgres', 'ALTER DATABASE one RENAME TO two');
	timed_sql('ALTER DATABASE RENAME', 'postgres', 'ALTER DATABASE two RENAME TO one');
}
start_many($node, 'one', 1000, 1200);
busy('one');
timed_sql('CREATE DATABASE TEMPLATE', 'postgres', 'CREATE DATABASE copy TEMPLATE one');
my $copied = $node->safe_psql('copy', "SELECT md5(string_agg(i::text, ' ' ORDER BY key)) FROM durable.instance i");
wait_until_ended($node, 'one', 'what was copied has ended');
violations_are($node, 'one', '', 'and nothing is wrong with it');

# What came along in the copy has been held all the time.
is($node->safe_psql('copy', "SELECT md5(string_agg(i::text, ' ' ORDER BY key)) FROM durable.instance i"), $copied, 'the copy is as it was');
cmp_ok($node->safe_psql('copy', "SELECT count(*) FROM durable.instances WHERE completed_time IS NULL"), '>', 0, 'with work to do');
$node->safe_psql('copy', 'SELECT durable.adopt()');
wait_until_ended($node, 'copy', 'which is done when somebody has adopted it');
violations_are($node, 'copy', '', 'without anything that is wrong');

# --- the database goes -----------------------------------------------------------------------------------------------------------

for my $n (1 .. 5)
{
	$node->safe_psql('postgres', 'CREATE DATABASE short TEMPLATE copy');
	$node->safe_psql('short', 'SELECT durable.adopt()');
	start_many($node, 'short', 5000, 5059);
	busy('short');
	timed_sql('DROP DATABASE', 'postgres', $n % 2 ? 'DROP DATABASE short' : 'DROP DATABASE short WITH (FORCE)');
}

# --- the server goes, in good order ------------------------------------------------------------------------------------------------

for my $n (1 .. 5)
{
	start_many($node, 'one', 2000 + $n * 100, 2059 + $n * 100);
	busy('one');
	timed('fast shutdown', sub { $node->stop('fast') });
	$node->start;
}
wait_until_ended($node, 'one', 'everything has ended');
violations_are($node, 'one', '', 'and nothing is wrong');

foreach my $name (sort keys %slowest)
{
	is_deeply($late{$name}, undef, sprintf('%s: %.2f s at most', $name, $slowest{$name}));
}
chaos_log_is_clean($node, 'nothing in the log', qr/do not run because it is a copy/);
unlike(slurp_file($node->logfile), qr/terminated by signal|exited with exit code (?![01]\b)/, 'nothing has crashed');
$node->stop('fast');
done_testing();
