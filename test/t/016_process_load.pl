# Statements that need us out of the way, and shutdowns, while workers do what they can: each of them takes seconds at
# most, and nothing is lost or done twice by it.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $LIMIT = 5;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
max_prepared_transactions = 5
CONF
$node->start;

sub set_up
{
	my ($database) = @_;

	create_durable($node, $database);
	$node->safe_psql($database, <<'SQL');
CREATE TABLE effects (id text, n int);
CREATE FUNCTION effect(id text, n int) RETURNS int LANGUAGE sql AS $$ INSERT INTO effects VALUES (id, n) RETURNING n $$;
CREATE FUNCTION steps(id text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 5 LOOP
		PERFORM durable.call_activity('effect', jsonb_build_object('id', id, 'n', n));
	END LOOP;
	RETURN 5;
END $$;
SQL
}

# Enough to be busy with for longer than the statement takes.
sub load
{
	my ($database, $n) = @_;

	$node->safe_psql($database, "SELECT count(durable.start('steps', n || ' ' || clock_timestamp())) FROM generate_series(1, $n) n");
	ok($node->poll_query_until($database, "SELECT count(*) > 0 FROM durable.instances WHERE runtime_status = 'Completed'"), "$database is busy");
}

sub all_done_once
{
	my ($database) = @_;

	ok($node->poll_query_until($database, "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status <> 'Completed'"), 'everything ends');
	is($node->safe_psql($database, 'SELECT count(*) - count(DISTINCT (id, n)) || $$ $$ || count(*) % 5 FROM effects'), '0 0',
		'with each effect once');
}

sub longest
{
	my ($rounds, $what) = @_;
	my $longest = 0;

	foreach my $round (1 .. $rounds)
	{
		my $start = time;
		$what->($round);
		my $took = time - $start;
		$longest = $took if $took > $longest;
	}
	return $longest;
}

# --- the extension -----------------------------------------------------------------------------------------------------

set_up('one');
my $longest = longest(10, sub {
	$node->safe_psql('one', "SELECT count(durable.start('steps', n::text)) FROM generate_series(1, 200) n");
	$node->safe_psql('one', 'DROP EXTENSION durable CASCADE; CREATE EXTENSION durable');
});
cmp_ok($longest, '<', patience($LIMIT), "DROP and CREATE EXTENSION, 10 times: $longest s at most");
$node->safe_psql('one', 'TRUNCATE effects');
load('one', 500);
$longest = longest(10, sub { $node->safe_psql('one', 'BEGIN; DROP EXTENSION durable CASCADE; ROLLBACK') });
cmp_ok($longest, '<', patience($LIMIT), "DROP EXTENSION rolled back, 10 times: $longest s at most");
all_done_once('one');

# --- the database --------------------------------------------------------------------------------------------------------

load('one', 1000);
my $name = 'one';
$longest = longest(6, sub {
	my ($round) = @_;
	$node->safe_psql('postgres', "ALTER DATABASE $name RENAME TO r$round");
	$name = "r$round";
});
cmp_ok($longest, '<', patience($LIMIT), "ALTER DATABASE RENAME, 6 times: $longest s at most");
$longest = longest(3, sub { $node->safe_psql('postgres', "CREATE DATABASE copy$_[0] TEMPLATE $name") });
cmp_ok($longest, '<', patience($LIMIT), "CREATE DATABASE TEMPLATE, 3 times: $longest s at most");
$longest = longest(3, sub { $node->safe_psql('postgres', "DROP DATABASE copy$_[0]") });
cmp_ok($longest, '<', patience($LIMIT), "DROP DATABASE of copies, 3 times: $longest s at most");

# --- the server --------------------------------------------------------------------------------------------------------------

foreach my $mode (qw(fast immediate))
{
	$longest = 0;
	foreach my $round (1 .. 2)
	{
		$node->safe_psql($name, "SELECT count(durable.start('steps', '$mode $round ' || n)) FROM generate_series(1, 300) n");
		my $start = time;
		$node->stop($mode);
		my $took = time - $start;
		$longest = $took if $took > $longest;
		$node->start;
	}
	cmp_ok($longest, '<', patience($LIMIT), "$mode shutdown, twice: $longest s at most");
}
all_done_once($name);

load($name, 1500);
$longest = longest(1, sub { $node->safe_psql('postgres', "DROP DATABASE $name") });
cmp_ok($longest, '<', patience($LIMIT), "DROP DATABASE of a busy database: $longest s");

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal/, 'nothing crashed');
$node->stop('fast');
done_testing();
