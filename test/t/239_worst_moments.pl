# Code that ends its process is counted once for each time, in situations that are rare otherwise: the process takes its time
# to exit, its predecessor in the slot is still there, its worker has a companion, or it is a parallel worker of PostgreSQL.
# The end of an instance clears its count, and an attempt that has failed or was postponed does not.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.turn_timeout = 0
log_line_prefix = '%m [%p] %b '
CONF
my $library = compile_library('crashing');

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE FUNCTION segfault() RETURNS int LANGUAGE c AS '$library', 'crashing_segfault';
CREATE FUNCTION linger() RETURNS void LANGUAGE c AS '$library', 'crashing_linger';
CREATE FUNCTION slow_abort() RETURNS void LANGUAGE c AS '$library', 'crashing_slow_abort';
CREATE FUNCTION is_companion() RETURNS boolean LANGUAGE c AS '$library', 'crashing_is_companion';
CREATE FUNCTION in_parallel(n int) RETURNS int LANGUAGE c PARALLEL SAFE AS '$library', 'crashing_in_parallel';
CREATE FUNCTION raise_from(sqlstate text, file text) RETURNS void LANGUAGE c AS '$library', 'crashing_raise_from';
CREATE FUNCTION nop(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION try(activity text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN 'survived ' || (durable.call_activity(activity) #>> '{}');
EXCEPTION WHEN OTHERS THEN
	RETURN 'failed with ' || SQLSTATE;
END \$\$;

-- The sequences count the runs, including those that are rolled back. None of these functions crashes the server, so no
-- sequence loses numbers.
CREATE SEQUENCE once;
CREATE FUNCTION good_bye_once() RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	IF nextval('once') = 1 THEN
		PERFORM pg_terminate_backend(pg_backend_pid());
		PERFORM pg_sleep(600);
	END IF;
	RETURN 'stayed';
END \$\$;
CREATE FUNCTION child() RETURNS text LANGUAGE sql AS \$\$ SELECT durable.call_activity('good_bye_once') #>> '{}' \$\$;
CREATE FUNCTION parent() RETURNS text LANGUAGE sql AS \$\$ SELECT durable.call_sub_orchestrator('child') #>> '{}' \$\$;
CREATE SEQUENCE slow;
CREATE FUNCTION slow_leave() RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM nextval('slow');
	PERFORM slow_abort();
	PERFORM pg_terminate_backend(pg_backend_pid());
	PERFORM pg_sleep(600);
	RETURN 1;
END \$\$;
CREATE SEQUENCE alternating;
CREATE FUNCTION alternate() RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN
	IF nextval('alternating') % 2 = 0 THEN
		PERFORM raise_from('40P01', 'deadlock.c');
	END IF;
	PERFORM pg_terminate_backend(pg_backend_pid());
	PERFORM pg_sleep(600);
	RETURN 1;
END \$\$;
CREATE FUNCTION fail_or_leave() RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN
	IF nextval('alternating') % 2 = 0 THEN
		RAISE 'this attempt has failed';
	END IF;
	PERFORM pg_terminate_backend(pg_backend_pid());
	PERFORM pg_sleep(600);
	RETURN 1;
END \$\$;
CREATE TABLE many AS SELECT n FROM generate_series(1, 100000) n;
ANALYZE many;
CREATE FUNCTION scan() RETURNS bigint LANGUAGE plpgsql
	SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0 SET parallel_leader_participation = off
	AS 'BEGIN RETURN (SELECT sum(in_parallel(n)) FROM many); END';

CREATE TABLE effects (n int);
CREATE FUNCTION effect(n int) RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO effects VALUES (n); END';

-- In a companion it crashes after some steps.  Before that its own code takes longer than a batch, so each batch ends
-- with an activity that has been called and has not run.
CREATE FUNCTION burst(steps int, until int) RETURNS text LANGUAGE plpgsql SET durable.determinism = off AS \$\$
BEGIN
	FOR n IN 1 .. steps LOOP
		IF n > until AND is_companion() THEN
			PERFORM segfault();
		ELSIF n > until - 20 AND is_companion() THEN
			PERFORM pg_sleep(0.01);
		END IF;
		PERFORM durable.call_activity('effect', n);
	END LOOP;
	RETURN 'done';
END \$\$;
SELECT durable.register_activity('effect', 'effect(int)', execution => 'inline'),
	durable.register_activity('good_bye_once', 'good_bye_once()', execution => 'inline'),
	durable.register_activity('inline slow_leave', 'slow_leave()', execution => 'inline'),
	durable.register_activity('task slow_leave', 'slow_leave()', execution => 'task'),
	durable.register_activity('inline scan', 'scan()', execution => 'inline'),
	durable.register_activity('task scan', 'scan()', execution => 'task'),
	durable.register_activity('task segfault', 'segfault()', execution => 'task'),
	durable.register_activity('linger', 'linger()', execution => 'inline'),
	durable.register_activity('alternate', 'alternate()', execution => 'task');
SQL

sub query { return $node->safe_psql('postgres', $_[0]); }

# result_of(id): the server may be down in between.
sub result_of
{
	my ($id) = @_;

	$node->poll_query_until('postgres', "SELECT runtime_status IN ('Completed', 'Failed', 'Suspended') FROM durable.status('$id')") or return 'it does not end';
	return query("SELECT concat_ws(' ', s.runtime_status, s.output #>> '{}') FROM durable.status('$id') s");
}

sub ends_of_processes
{
	my ($from) = @_;
	my $ends = () = slurp_file($node->logfile, $from) =~ / terminated its process/g;

	return $ends;
}

sub crashes
{
	my ($from) = @_;
	my $crashes = () = slurp_file($node->logfile, $from) =~ /\(PID \d+\) was terminated by signal 11/g;

	return $crashes;
}

sub no_counts { return is(query("SELECT count(*) FROM durable.instance WHERE crashes <> 0"), '0', "$_[0]: no count is left"); }

# --- the end of an instance clears its count, whatever it sends ------------------------------------------------------------

my $logged = -s $node->logfile;
query("SELECT durable.start('parent', NULL, 'parent')");
is(result_of('parent'), 'Completed stayed', 'a child that has ended its process once: its parent completes');
is(ends_of_processes($logged), 1, 'the child was counted');
no_counts('the child, which has sent its answer with its last turn');

# --- the locks are free before the process is gone -----------------------------------------------------------------------------

foreach my $how (qw(inline task))
{
	$logged = -s $node->logfile;
	query("SELECT setval('slow', 1, false); SELECT durable.start('try', to_jsonb(text '$how slow_leave'), 'slow $how')");
	foreach (1 .. 40)
	{
		query("SELECT durable.start('nop', $_)");
		sleep 0.1;
		last if query("SELECT runtime_status FROM durable.status('slow $how')") eq 'Completed';
	}
	is(result_of("slow $how"), 'Completed failed with 57P02', "a process that takes its time to exit, $how: the activity fails");
	is(query('SELECT last_value FROM slow'), '2', "a process that takes its time to exit, $how: it has run twice");
	is(ends_of_processes($logged), 2, "a process that takes its time to exit, $how: and was counted twice");
}

# --- attempts that do not get to their end ----------------------------------------------------------------------------------

query("SELECT durable.start('try', to_jsonb(text 'alternate'), 'alternate')");
is(result_of('alternate'), 'Completed failed with 57P02', 'an activity that alternately ends its process and raises a deadlock fails');
is(query('SELECT last_value FROM alternating'), '3', 'when it has ended its process twice');

my %queues = ('without a queue' => '', 'in a queue' => ", queue => 'narrow'");
query("SELECT durable.register_queue('narrow', concurrency => 1)");
foreach my $where (sort keys %queues)
{
	query("SELECT setval('alternating', 1, false);
		SELECT durable.register_activity('fail or leave', 'fail_or_leave()', execution => 'task',
			retry => durable.retry(max_attempts => 50, first_interval => '10 ms', backoff => 1)$queues{$where});
		SELECT durable.start('try', to_jsonb(text 'fail or leave'), '$where')");
	is(result_of($where), 'Completed failed with 57P02', "$where: an activity that alternately ends its process and fails is not tried again for ever");
	is(query('SELECT last_value FROM alternating'), '3', "$where: when it has ended its process twice");
}
no_counts('attempts that do not get to their end');

# --- parallel workers of PostgreSQL -----------------------------------------------------------------------------------------

foreach my $how (qw(inline task))
{
	$logged = -s $node->logfile;

	# The crash may come before the answer.
	$node->psql('postgres', "SELECT durable.start('try', to_jsonb(text '$how scan'), 'scan $how')");
	is(result_of("scan $how"), 'Completed failed with 57P02', "a parallel worker that crashes, $how: the activity of its leader fails");
	is(ends_of_processes($logged), 2, "a parallel worker that crashes, $how: after two crashes");
	is(crashes($logged), 2, "a parallel worker that crashes, $how: there are two");
	like(slurp_file($node->logfile, $logged), qr/"parallel worker" \(PID \d+\) was terminated by signal 11/, "a parallel worker that crashes, $how: it was one");
}

# --- a process that has released its slot -----------------------------------------------------------------------------------

# The process still exists when its successor in that slot crashes, and the postmaster sends it SIGQUIT then.
query('ALTER SYSTEM SET durable.max_workers = 1');
$node->reload;
query("CALL durable.run('try', to_jsonb(text 'linger'))");
query('SELECT durable.pause()');
$node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM durable.workers)') or die 'the worker does not leave';
my ($lingering) = processes_of($node, qr/durable worker/);
ok($lingering, 'a worker that has left is still there');
$logged = -s $node->logfile;
$node->psql('postgres', "SELECT durable.unpause(), durable.start('try', to_jsonb(text 'task segfault'), 'successor')");
is(result_of('successor'), 'Completed failed with 57P02', 'its successor ends the server: the activity fails');
is(ends_of_processes($logged), 2, 'both of its crashes are counted');
is(crashes($logged), 2, 'and there were no others');
ok(!are_alive($lingering), 'the worker that had left is gone');

# --- suspects and companions ------------------------------------------------------------------------------------------------

# A suspect that goes on in the middle of a long burst, in a worker that has a companion.
$logged = -s $node->logfile;
$node->psql('postgres', "BEGIN; SELECT durable.start('burst', '[10000, 20000]'::jsonb, 'harmless'); SELECT durable.start('burst', '[350, 300]'::jsonb, 'burst ' || n) FROM generate_series(1, 4) n; COMMIT");
is(join(', ', map { result_of("burst $_") } 1 .. 4), join(', ', ('Completed done') x 4), 'orchestrations that crash in a companion complete without one');
cmp_ok(ends_of_processes($logged), '>', 0, 'they have crashed: ' . ends_of_processes($logged));

# It may have ended by itself.
$node->psql('postgres', "SELECT durable.terminate('harmless')");
$node->poll_query_until('postgres', "SELECT runtime_status IN ('Completed', 'Terminated') FROM durable.status('harmless')") or die 'it does not end';
no_counts('bursts');
$node->stop('fast');
done_testing();
