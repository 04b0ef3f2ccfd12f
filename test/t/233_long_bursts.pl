# Bursts of thousands of steps with real workers: those whose activities leave nothing in the database are run in pieces,
# the others with a companion. Whatever happens in the middle of one - a process is lost, the server crashes, somebody
# terminates or suspends the instance, an activity fails - each step is done once, and others do not have to wait.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use List::Util qw(max min);
use Test::More;

my $node = new_node('main', conf => "durable.max_workers = 2\n");

$node->start;
set_up($node);

sub set_up
{
	my ($server) = @_;

	create_durable($server, 'postgres');
	$server->safe_psql('postgres', <<'SQL');
CREATE TABLE effects (id text, n int);
CREATE FUNCTION bump(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n + 1; END';
CREATE FUNCTION doze(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN n + 1; END';
CREATE FUNCTION effect(id text, n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.effects VALUES (id, n); RETURN n + 1; END';
CREATE FUNCTION tell(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('told', n::text); RETURN n; END $$;
CREATE FUNCTION refuse(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', n; END $$;
SELECT durable.register_activity(name, handler::regprocedure, execution => 'inline')
FROM (VALUES ('bump', 'bump(int)'), ('doze', 'doze(int)'), ('effect', 'effect(text, int)'), ('tell', 'tell(int)'),
	('refuse', 'refuse(int)')) v(name, handler);

CREATE FUNCTION counts(steps int, activity text DEFAULT 'bump', special text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n int := 0;
	said text := 'nothing';
BEGIN
	FOR i IN 1 .. steps LOOP
		n := durable.call_activity(activity, n);
		IF i = steps / 2 AND special IS NOT NULL THEN
			BEGIN
				said := durable.call_activity(special, i) #>> '{}';
			EXCEPTION WHEN raise_exception THEN
				said := SQLERRM;
			END;
		END IF;
	END LOOP;
	RETURN n || ', ' || said;
END $$;
CREATE FUNCTION writes(steps int, id text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	n int := 0;
BEGIN
	FOR i IN 1 .. steps LOOP
		n := durable.call_activity('effect', jsonb_build_array(id, n));
	END LOOP;
	RETURN n;
END $$;
SQL
	return;
}

sub start
{
	my ($server, $id, $orchestration, @input) = @_;
	my $input = join ', ', map { /^\d+$/ ? $_ : "'$_'" } @input;

	$server->safe_psql('postgres', "SELECT durable.start('$orchestration', jsonb_build_array($input), '$id')");
	return;
}

sub state_of
{
	my ($server, $id) = @_;

	return $server->safe_psql('postgres',
		"SELECT runtime_status, coalesce(output #>> '{}', failure ->> 'message') FROM durable.instances WHERE instance_id = '$id'");
}

sub ends
{
	my ($server, $id, $expected, $what) = @_;

	$server->poll_query_until('postgres', "SELECT completed > 0 FROM (SELECT count(*) AS completed FROM durable.instances
		WHERE instance_id = '$id' AND runtime_status NOT IN ('Pending', 'Running')) s");
	is(state_of($server, $id), $expected, $what);
	return;
}

# As many effects as there were steps, and each of them once.
sub done_once
{
	my ($server, $id, $steps) = @_;

	is($server->safe_psql('postgres', "SELECT count(*), count(DISTINCT n), max(n) FROM effects WHERE id = '$id'"),
		join('|', $steps, $steps, $steps - 1), "$id: each effect is there once");
	return;
}

sub has_effects
{
	my ($id, $n) = @_;

	ok($node->poll_query_until('postgres', "SELECT count(*) >= $n FROM effects WHERE id = '$id'"), "$id: in the middle");
	return;
}

# In KB; 0 where the system does not tell.
sub memory_of
{
	my ($pid) = @_;

	open(my $status, '<', "/proc/$pid/status") or return 0;
	my ($kb) = join('', <$status>) =~ /^RssAnon:\s+(\d+)/m;
	close $status;
	return $kb // 0;
}

# --- in pieces ---------------------------------------------------------------------------------------------------------

start($node, 'pieces', 'counts', 10000);
ends($node, 'pieces', 'Completed|10000, nothing', '10,000 steps');
cmp_ok($node->safe_psql('postgres', "SELECT turns FROM durable.instances WHERE instance_id = 'pieces'"), '<', 1000, 'in far fewer turns');
is(scalar process_pids($node, 'durable companion'), 0, 'without a companion');

start($node, 'fails', 'counts', 6000, 'bump', 'refuse');
ends($node, 'fails', 'Completed|6000, no 3000', 'an activity fails at step 3,000 and is caught');

my $heard = $node->safe_psql('postgres', "LISTEN told; SELECT durable.start('counts', jsonb_build_array(1000, 'bump', 'tell'), 'tells');
	SELECT durable.wait('tells', '3 min'); SELECT 1;");
is(() = $heard =~ /notification "told"/g, 1, 'a notification of an activity in the middle is sent, once');
ends($node, 'tells', 'Completed|1000, 500', 'and the burst goes on');

for my $how ('terminate', 'suspend')
{
	start($node, "to $how", 'counts', 60000, 'doze');
	ok($node->poll_query_until('postgres', "SELECT count(*) > 100 FROM durable.history('to $how')"), "$how: in the middle");
	my $began = time;
	$node->safe_psql('postgres', "SELECT durable.$how('to $how')");
	ok($node->poll_query_until('postgres', "SELECT runtime_status IN ('Terminated', 'Suspended') FROM durable.instances WHERE instance_id = 'to $how'"),
		"$how takes effect");
	cmp_ok(time - $began, '<', patience(10), 'soon');
}
my $events = $node->safe_psql('postgres', "SELECT count(*) FROM durable.history('to suspend')");
$node->safe_psql('postgres', 'SELECT pg_sleep(0.2)');
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.history('to suspend')"), $events, 'it does not go on');
$node->safe_psql('postgres', "SELECT durable.resume('to suspend')");
ok($node->poll_query_until('postgres', "SELECT count(*) > $events + 100 FROM durable.history('to suspend')"), 'until it is resumed');
$node->safe_psql('postgres', "SELECT durable.terminate('to suspend')");

# --- with a companion --------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION of_nothing(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. 999 LOOP
		PERFORM durable.call_activity('effect', jsonb_build_array(CASE WHEN input IS NULL THEN 'none' ELSE 'null' END, i));
	END LOOP;
	RETURN jsonb_typeof(input);
END $$;
SELECT durable.start('of_nothing', 'null'::jsonb, 'null'), durable.start('of_nothing', NULL, 'none');
SQL
ends($node, 'null', 'Completed|null', 'an input of JSON null is one in the companion, too');
ends($node, 'none', 'Completed|', 'and none is none');
done_once($node, $_, 1000) for qw(null none);

start($node, 'written', 'writes', 3000, 'written');
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'durable companion'"), 'a companion is there');
ends($node, 'written', 'Completed|3000', '3,000 steps that write');
done_once($node, 'written', 3000);

# With settings of its own an orchestration does not run straight through, but in a companion it does.
$node->safe_psql('postgres', 'ALTER FUNCTION writes SET search_path = public');
start($node, 'settings', 'writes', 3000, 'settings');
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'durable companion' AND xact_start IS NOT NULL"),
	'an orchestration with settings has a companion');
ends($node, 'settings', 'Completed|3000', '3,000 steps with settings');
done_once($node, 'settings', 3000);
$node->safe_psql('postgres', 'ALTER FUNCTION writes RESET search_path');

start($node, $_, 'writes', 3000, $_) for 'left', 'right';
ends($node, $_, 'Completed|3000', "two at the same time: $_") for 'left', 'right';
done_once($node, $_, 3000) for 'left', 'right';

start($node, 'dismissed', 'writes', 5000, 'dismissed');
has_effects('dismissed', 300);
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'durable companion'");
ends($node, 'dismissed', 'Completed|5000', 'the companion is dismissed');
done_once($node, 'dismissed', 5000);

start($node, 'stopped', 'writes', 60000, 'stopped');
has_effects('stopped', 300);
my $began = time;
$node->safe_psql('postgres', "SELECT durable.terminate('stopped')");
ends($node, 'stopped', 'Terminated|', 'terminate takes effect');
cmp_ok(time - $began, '<', patience(10), 'soon');

# The companion's run holds a snapshot. It ends when the worker does not come back to it.
start($node, 'suspended', 'writes', 20000, 'suspended');
has_effects('suspended', 300);
$node->safe_psql('postgres', "SELECT durable.suspend('suspended')");
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Suspended' FROM durable.instances WHERE instance_id = 'suspended'"), 'suspended');
$began = time;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable companion' AND xact_start IS NOT NULL"),
	'the companion holds no snapshot for that');
cmp_ok(time - $began, '<', patience(2.5), 'for long');
$node->safe_psql('postgres', "SELECT durable.terminate('suspended')");

# The server takes both for a crash; afterwards what was in work is run step by step for a while.
for my $victim ('companion', 'worker')
{
	my $id = "lost $victim";

	start($node, $id, 'writes', 4000, $id);
	has_effects($id, 200);
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'durable companion'");
	my @pids = process_pids($node, "durable $victim");
	ok(kill_and_recover($node, 'KILL', $pids[0]), "$victim killed: the server is back");
	ends($node, $id, 'Completed|4000', "$id: the burst ends as it would have");
	done_once($node, $id, 4000);
}

# --- memory ------------------------------------------------------------------------------------------------------------

$node->adjust_conf('postgresql.conf', 'durable.max_workers', '1');
$node->adjust_conf('postgresql.conf', 'durable.worker_idle_timeout', "'10 min'");
$node->restart;

my %memory;
for my $round (1 .. 6)
{
	start($node, "round $round", 'counts', 20000);
	ends($node, "round $round", 'Completed|20000, nothing', "round $round: 20,000 steps");
	start($node, "writing round $round", 'writes', 4000, "writing round $round");
	ends($node, "writing round $round", 'Completed|4000', "round $round: 4,000 steps that write");
	for my $kind ('worker', 'companion')
	{
		my ($pid) = process_pids($node, "durable $kind");

		$memory{$kind}{$pid}{$round} = memory_of($pid) if $pid;
	}
}
for my $kind (sort keys %memory)
{
	for my $of (values %{ $memory{$kind} })
	{
		my @kb = map { $of->{$_} } sort { $a <=> $b } keys %$of;

		# What is freed goes back to the system now and then: a low later on shows that nothing is left over.
		note("$kind, KB: @kb");
		cmp_ok(min(@kb[@kb / 2 .. $#kb]), '<', max(@kb[0 .. $#kb / 2]) + 10000, "memory of the $kind does not grow");
	}
}

ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable companion'"),
	'a companion that has nothing to do ends');
$node->stop('fast');

# --- no process to be had ----------------------------------------------------------------------------------------------

# PostgreSQL's own launcher of logical replication has one of them.
my $small = new_node('small', conf => "durable.max_workers = 1\nmax_worker_processes = 4\nmax_parallel_workers = 0\n");

$small->start;
set_up($small);
start($small, 'alone', 'writes', 1000, 'alone');
ends($small, 'alone', 'Completed|1000', 'without room for a companion it takes longer');
done_once($small, 'alone', 1000);
$small->stop('fast');

# --- no shared memory to be had ----------------------------------------------------------------------------------------

$small->append_conf('postgresql.conf', "max_worker_processes = 10\ndynamic_shared_memory_type = 'mmap'\n");
$small->start;
my $logged = -s $small->logfile;
chmod 0500, $small->data_dir . '/pg_dynshmem' or die "chmod: $!";
start($small, 'segment', 'writes', 1000, 'segment');
ends($small, 'segment', 'Completed|1000', 'without shared memory for a companion, too');
done_once($small, 'segment', 1000);
like(slurp_file($small->logfile), qr/could not create shared memory for a durable companion/, 'the log says so');
unlike(slurp_file($small->logfile, $logged), qr/"durable worker" \(PID \d+\) exited with exit code/, 'and no worker was lost by that');
chmod 0700, $small->data_dir . '/pg_dynshmem';
$small->stop('fast');

done_testing();
