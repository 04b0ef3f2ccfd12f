# Fifty databases with the extension on a server with the default of eight processes: coordinators take turns, a process
# is left for workers, and durable.doctor tells the truth in each database.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(sleep);

my $DATABASES = 50;
my $node = new_node('main', conf => <<'CONF');
max_worker_processes = 8
max_prepared_transactions = 10
fsync = off
CONF
$node->start;
create_durable($node, 'app_1');
$node->safe_psql('app_1', <<'SQL');
CREATE FUNCTION nop(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION nap(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.sleep(make_interval(secs => n)); RETURN n; END $$;
CREATE FUNCTION patient() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE FUNCTION busy(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN n; END $$;
CREATE FUNCTION works(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.call_activity('busy', n); RETURN n; END $$;
SQL
$node->safe_psql('postgres', "CREATE DATABASE app_$_ TEMPLATE app_1") foreach 2 .. $DATABASES;
my @databases = map { "app_$_" } 1 .. $DATABASES;

sub coordinators
{
	return scalar process_pids($node, 'durable coordinator');
}

# How many of that query's answers in all databases are not t.
sub until_all
{
	my ($query, $seconds) = @_;
	my $deadline = time + patience($seconds);
	my @left = @databases;

	while (@left && time < $deadline)
	{
		@left = grep { $node->safe_psql($_, $query) ne 't' } @left;
		sleep(0.1);
	}
	note("not in time: @left") if @left;
	return scalar @left;
}

# --- every database works --------------------------------------------------------------------------------------------------

my $began = time;
$node->safe_psql($_, "SELECT durable.start('nop', 1, 'first'), durable.start('nap', 5, 'sleeper'), durable.start('patient', instance_id => 'patient')") foreach @databases;
is(until_all("SELECT count(*) = 1 FROM durable.instances WHERE runtime_status = 'Completed' AND instance_id = 'first'", 60), 0, 'a workflow runs in each of them');
note(sprintf 'after %.1f s', time - $began);
is(until_all("SELECT count(*) = 2 FROM durable.instances WHERE runtime_status = 'Completed'", 60), 0, 'a timer fires in each of them');
note(sprintf 'after %.1f s', time - $began);
cmp_ok(coordinators(), '<=', 3, 'coordinators leave processes to workers');

# --- at rest -----------------------------------------------------------------------------------------------------------------

ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable worker'"), 'then all of them rest');
is(until_all("SELECT bool_and(ok) FROM durable.doctor() WHERE check_name NOT IN ('worker_slots')", 20), 0, 'and the doctor finds nothing wrong in any of them');
my @details = map { $node->safe_psql($_, "SELECT detail FROM durable.doctor() WHERE check_name = 'coordinator'") } @databases;
cmp_ok((scalar grep { /^not running: no work is due; the launcher starts it when work is due$/ } @details), '>=', $DATABASES - 3,
	'it says that most coordinators have left, and why');
like($node->safe_psql('app_7', "SELECT detail FROM durable.doctor() WHERE check_name = 'worker_slots'"),
	qr/of 8 max_worker_processes used; 50 databases with the extension, for which at most 3 coordinators run at a time/, 'and how many there may be');

my $slowest = 0;
foreach my $database (@databases[ 9 .. 29 ])
{
	my $start = time;
	$node->safe_psql($database, "CALL durable.run('nop', 2)");
	my $took = time - $start;
	$slowest = $took if $took > $slowest;
}
note(sprintf 'the slowest of 20 databases took %.0f ms', $slowest * 1000);
cmp_ok($slowest, '<', patience(2), 'one that has rested answers at once');

# An event wakes one, a prepared transaction wakes one, and a setting too.
is($node->safe_psql('app_40', "SELECT durable.raise_event('patient', 'Go', 1); SELECT output FROM durable.wait('patient', '30 s')"), "\n1", 'an event');
$node->safe_psql('app_41', "BEGIN; SELECT durable.raise_event('patient', 'Go', 2); PREPARE TRANSACTION 'mail'");
is($node->safe_psql('app_41', "COMMIT PREPARED 'mail'; SELECT output FROM durable.wait('patient', '30 s')"), '2', 'an event of a prepared transaction');
$node->safe_psql('app_42', "SELECT durable.pause(); SELECT durable.raise_event('patient', 'Go', 3)");
is($node->safe_psql('app_42', "SELECT durable.unpause(); SELECT output FROM durable.wait('patient', '30 s')"), "\n3", 'the end of a pause');

# --- some are busy all the time ------------------------------------------------------------------------------------------------

$node->safe_psql($_, "SELECT count(durable.start('works', n)) FROM generate_series(1, 400) n") foreach @databases[ 0 .. 5 ];
$slowest = 0;
foreach my $database (@databases[ 12, 17, 22, 27, 32 ])
{
	my $start = time;
	$node->safe_psql($database, "CALL durable.run('nop', 3, '2 min')");
	my $took = time - $start;
	$slowest = $took if $took > $slowest;
}
note(sprintf 'beside six busy databases the slowest of five took %.0f ms', $slowest * 1000);
cmp_ok($slowest, '<', patience(10), 'a database gets its turn beside six that are busy');
my $done = "SELECT count(*) > 3 FROM durable.instances WHERE name = 'public.works' AND runtime_status = 'Completed'";
ok($node->poll_query_until($_, $done), "... which go on, too: $_") foreach @databases[ 0 .. 5 ];
cmp_ok(coordinators(), '<=', 3, 'no more coordinators than before');
like($node->safe_psql('app_1', "SELECT ok, detail FROM durable.doctor() WHERE check_name = 'worker_slots'"), qr/^f\|.*; no process was available for a durable worker or coordinator \d+ s ago$/,
	'the doctor says that processes are short');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
my $times = () = $log =~ /out of background worker slots for durable/g;
cmp_ok($times, '<=', 2, 'the log says so once in a while');

$node->stop('fast');
done_testing();
