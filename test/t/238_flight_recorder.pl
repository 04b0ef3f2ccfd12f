# Whoever ends its process or the server is found by the record that it left, runs alone, and does not run any more after
# durable.max_crashes; nobody else waits for that. A crash with a backlog does not slow down what comes after it.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $BACKLOG = $ENV{DURABLE_BACKLOG} // 30000;
my $STEPPERS = 2000;
my $KILLS = 4;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.turn_timeout = 0
max_prepared_transactions = 2
log_line_prefix = '%m [%p] %b '
CONF
my $library = compile_library('crashing');
my $flight = $node->data_dir . '/pg_stat_tmp/durable.flight';

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE FUNCTION nop(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION segfault() RETURNS int LANGUAGE c AS '$library', 'crashing_segfault';
CREATE FUNCTION kill_postmaster() RETURNS int LANGUAGE c AS '$library', 'crashing_kill_postmaster';
CREATE FUNCTION end_server() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN kill_postmaster(); END';
CREATE FUNCTION good_bye() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(600); RETURN 1; END';
CREATE FUNCTION wait_for_lock(key int) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(key); RETURN ''done''; END';
CREATE FUNCTION try(activity text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.call_activity(activity);
	RETURN 'survived';
EXCEPTION WHEN OTHERS THEN
	RETURN 'failed with ' || SQLSTATE;
END \$\$;
CREATE FUNCTION in_turn() RETURNS text LANGUAGE plpgsql SET durable.determinism = off AS 'BEGIN PERFORM good_bye(); RETURN ''stayed''; END';
CREATE FUNCTION by_activity(key int) RETURNS text LANGUAGE sql AS \$\$ SELECT durable.call_activity('wait_for_lock', key) #>> '{}' \$\$;
CREATE FUNCTION steps(n int) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN RETURN durable.call_activity('nop', n)::int + durable.call_activity('nop', n)::int + durable.call_activity('nop', n)::int; END \$\$;
CREATE TABLE effects (id text, n int);
CREATE FUNCTION effect(id text, n int) RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO effects VALUES (id, n); END';
CREATE FUNCTION is_companion() RETURNS boolean LANGUAGE c AS '$library', 'crashing_is_companion';
-- A long burst. In a companion it crashes or sleeps; "everywhere": after a crash it crashes in a worker, too.
CREATE FUNCTION burst(id text, steps int, does text) RETURNS text LANGUAGE plpgsql SET durable.determinism = off AS \$\$
DECLARE
	crashes boolean := is_companion() OR does ~ 'everywhere' AND (SELECT i.crashes > 0 FROM durable.instance i WHERE i.instance_id = id);
BEGIN
	FOR n IN 1 .. steps LOOP
		IF does ~ 'segfault' AND crashes THEN
			PERFORM segfault();
		END IF;
		PERFORM durable.call_activity('effect', jsonb_build_array(id, n));
		IF does = 'sleep' AND is_companion() AND n = 1 THEN
			PERFORM pg_sleep(3);
		END IF;
	END LOOP;
	RETURN 'done';
END \$\$;
SELECT durable.register_activity('effect', 'effect(text, int)', execution => 'inline');
SELECT durable.register_activity('wait_for_lock', 'wait_for_lock(int)', execution => 'task');
SELECT durable.register_activity('inline ' || f, (f || '()')::regprocedure, execution => 'inline'),
	durable.register_activity('task ' || f, (f || '()')::regprocedure, execution => 'task')
FROM unnest('{segfault,end_server,good_bye}'::text[]) f;
SQL

sub query { return $node->safe_psql('postgres', $_[0]); }

sub result_of
{
	my ($id) = @_;

	return query("SELECT concat_ws(' ', runtime_status, output #>> '{}') FROM durable.wait('$id', '2min')");
}

# run_on(seconds): how many trivial workflows end in that time, of those that are there.
sub ended { return query("SELECT count(*) FROM durable.instances WHERE runtime_status = 'Completed' AND name ~ 'nop'"); }

sub start_others { query("SELECT count(durable.start('nop', n)) FROM generate_series(1, $_[0]) n"); return; }

sub ends_of_processes
{
	my ($from) = @_;
	my $ends = () = slurp_file($node->logfile, $from) =~ / terminated its process/g;

	return $ends;
}

# --- a backlog and a crash ------------------------------------------------------------------------------------------------

# Throughput without a crash, and beginning three seconds after the server is there again.
sub drain_time
{
	my $start = time;

	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.inbox)") or die 'the backlog is not worked off';
	return time - $start;
}

start_others($BACKLOG);
my $before = drain_time();

foreach my $way ('immediate stop', 'kill of a worker')
{
	query('SELECT durable.pause()');
	$node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM durable.workers)');
	start_others($BACKLOG);
	if ($way eq 'immediate stop')
	{
		$node->stop('immediate');
		$node->start;
		query('SELECT durable.unpause()');
	}
	else
	{
		query('SELECT durable.unpause()');
		$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM durable.workers WHERE pid IS NOT NULL)");
		my ($pid) = process_pids($node, 'durable worker');
		kill_and_recover($node, 'KILL', $pid);
	}
	my $after = drain_time();

	cmp_ok($after, '<', 3 + $before / 0.8 + patience(1), sprintf("%s with a backlog of $BACKLOG: %.1f s, without it %.1f s", $way, $after, $before));
	is(query("SELECT count(*) FROM durable.instance WHERE crashes <> 0"), '0', "$way: nobody is left with a count");
}

# --- crashes one after the other ------------------------------------------------------------------------------------------

# steps_time(kills): three activities each, and a worker is killed that often, within ten seconds.
sub steps_time
{
	my ($kills) = @_;
	my $start = time;

	query("SELECT count(durable.start('steps', n)) FROM generate_series(1, $STEPPERS) n");
	foreach my $kill (1 .. $kills)
	{
		my ($launcher) = process_pids($node, 'durable launcher');
		my $pid;

		sleep 0.1 while time < $start + ($kill - 1) * 10 / $KILLS;
		foreach (1 .. 100)
		{
			($pid) = processes_of($node, qr/durable worker/);
			last if $pid;
			sleep 0.1;
		}
		kill_and_recover($node, 'KILL', $pid, $launcher) if $pid;
		query("SELECT count(durable.start('steps', n)) FROM generate_series(1, $STEPPERS) n") if $kill < $kills;
	}
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instance WHERE status IN ('P', 'R'))") or die 'they do not end';
	return time - $start;
}

my $quiet = steps_time(0);
my $logged_kills = -s $node->logfile;
my $disturbed = steps_time($KILLS);
my $killed = () = slurp_file($node->logfile, $logged_kills) =~ /was terminated by signal 9/g;
is($killed, $KILLS, 'that many crashes');
cmp_ok($disturbed, '<', 10 + 3 + $quiet * $KILLS / 0.8 + patience(1),
	sprintf("%d workflows of three steps in flight at each of $KILLS crashes within ten seconds: %.1f s, without a crash $STEPPERS take %.1f s", $STEPPERS, $disturbed, $quiet));
is(query("SELECT count(*) FROM durable.instances WHERE name = 'steps' AND runtime_status <> 'Completed'"), '0', 'all have completed');
is(query("SELECT count(*) FROM durable.instance WHERE name = 'steps' AND crashes > 0"), '0', 'and none has a count');

# --- who ends its process -------------------------------------------------------------------------------------------------

foreach my $how (qw(inline task))
{
	my $logged = -s $node->logfile;

	# The crash may come before the answer.
	$node->psql('postgres', "SELECT durable.start('try', to_jsonb(text '$how segfault'), 'segfault $how')");
	$node->poll_query_until('postgres', "SELECT runtime_status = 'Completed' FROM durable.status('segfault $how')");
	is(result_of("segfault $how"), 'Completed failed with 57P02', "segfault, $how: it fails");
	is(ends_of_processes($logged), 2, "segfault, $how: after two crashes");
}

foreach my $how (qw(inline task))
{
	my $logged = -s $node->logfile;
	my $limit = patience(3);
	my $longest = 0;

	query("SELECT durable.start('try', to_jsonb(text '$how good_bye'), 'good bye $how')");
	foreach (1 .. 10)
	{
		my $start = time;

		query("CALL durable.run('nop', $_)");
		$longest = time - $start if time - $start > $longest;
	}
	cmp_ok($longest, '<', $limit, sprintf("an activity that ends its process, $how: nobody waits for it, %.1f s", $longest));
	is(result_of("good bye $how"), 'Completed failed with 57P02', "an activity that ends its process, $how: it fails");
	is(ends_of_processes($logged), 2, "an activity that ends its process, $how: after two times");
}
query("SELECT durable.start('in_turn', NULL, 'good bye')");
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Suspended' FROM durable.status('good bye')"), 'so does an orchestration: it is suspended');
is(query("SELECT suspend_reason FROM durable.instance WHERE instance_id = 'good bye'"), 'its process or the server repeatedly terminated while it ran', 'the instance has the reason');

# Whom another process tells to end has done nothing.
foreach (1 .. 3)
{
	query("BEGIN; SELECT pg_advisory_xact_lock(7); PREPARE TRANSACTION 'holder'") if $_ == 1;
	query("SELECT durable.start('by_activity', 7, 'innocent')") if $_ == 1;
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted)") or die 'it does not run';
	query("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted");
}
query("ROLLBACK PREPARED 'holder'");
is(result_of('innocent'), 'Completed done', 'a worker that was terminated by somebody else: its activity is not blamed');

# --- companions -----------------------------------------------------------------------------------------------------------

# done_once(id, steps): each step has left its effect, once.
sub done_once
{
	my ($id, $steps) = @_;

	is(query("SELECT count(*), count(DISTINCT n) FROM effects WHERE id = '$id'"), "$steps|$steps", "$id: each effect is there once");
	return;
}

# A suspect has no companion, so code that does no harm in a worker goes on.
my %crashing = (
	'segfault everywhere' => [ 2, 'Suspended its process or the server repeatedly terminated while it ran' ],
	'segfault in a companion' => [ 1, 'Completed done' ]);
foreach my $id (sort keys %crashing)
{
	my ($crashes, $expected) = @{ $crashing{$id} };
	my $logged = -s $node->logfile;
	my $before = ended();
	my $limit = patience(10);
	my $start = time;

	# The crash may come before the answer.
	$node->psql('postgres', "SELECT durable.start('burst', jsonb_build_array('$id', 1000, '$id'), '$id'), (SELECT count(durable.start('nop', n)) FROM generate_series(1, 100) n)");
	$node->poll_query_until('postgres', "SELECT runtime_status IN ('Completed', 'Suspended') FROM durable.status('$id')");
	is(query("SELECT concat_ws(' ', s.runtime_status, s.output #>> '{}', i.suspend_reason) FROM durable.status('$id') s JOIN durable.instance i USING (instance_id)"), $expected, "$id: $expected");
	like(slurp_file($node->logfile, $logged), qr/"durable companion" \(PID \d+\) was terminated by signal 11/, "$id: the companion has crashed");
	is(ends_of_processes($logged), $crashes, "$id: number of crashes");
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instance WHERE name ~ 'nop' AND status IN ('P', 'R'))") or die 'the others do not end';
	cmp_ok(time - $start, '<', $limit, sprintf('%s: the others have ended, %.1f s', $id, time - $start));
	is(ended() - $before, 100, "$id: all of them");
}
done_once('segfault in a companion', 1000);

# A companion whose worker ends while it runs code. The postmaster is stopped meanwhile, so the companion finds out by itself.
my $logged_orphan = -s $node->logfile;
query("SELECT durable.start('burst', '[\"orphan\", 1000, \"sleep\"]'::jsonb, 'orphan')");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'durable companion' AND wait_event = 'PgSleep')") or die 'no companion sleeps';
my ($orphan) = process_pids($node, 'durable companion');
my @workers = process_pids($node, 'durable worker');
my ($stopped) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
kill STOP => $stopped;
kill TERM => @workers;
foreach (1 .. 300)
{
	last unless are_alive($orphan, @workers);
	sleep 0.1;
}
my $left = are_alive($orphan, @workers);
kill CONT => $stopped;
is($left, 0, 'without a worker a companion ends');
is(result_of('orphan'), 'Completed done', 'its burst goes on');
is(ends_of_processes($logged_orphan), 0, 'and is not blamed');
done_once('orphan', 1000);

# --- who ends the whole server --------------------------------------------------------------------------------------------

# single_user(): what Patroni does before it starts a server that has crashed: its end looks clean then.
sub single_user
{
	my $data = $node->data_dir;

	system("postgres --single -D $data template1 < /dev/null > /dev/null 2>&1") == 0 or die 'no recovery in single-user mode';
	return;
}

# is_down: the postmaster is gone, and its children with it, whose working directory is the cluster's.
sub is_down
{
	my ($postmaster) = @_;
	my $data = $node->data_dir;

	foreach (1 .. 600)
	{
		return 1 if !kill(0, $postmaster) && !grep { (readlink($_) // '') eq $data } glob '/proc/[0-9]*/cwd';
		sleep 0.1;
	}
	return 0;
}

my $ends = 0;
my @progress = (ended());
$node->psql('postgres', "SELECT durable.start('try', to_jsonb(text 'task end_server'), 'killer')");
while ($ends < 15)
{
	my $state = '';
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');

	$node->psql('postgres', "SELECT count(durable.start('nop', n)) FROM generate_series(1, 20) n");
	foreach (1 .. 600)
	{
		last if !kill 0, $postmaster;
		$node->psql('postgres', "SELECT runtime_status FROM durable.status('killer')", stdout => \$state);
		last if $state eq 'Completed';
		sleep 0.1;
	}
	last if $state eq 'Completed';
	$ends++;
	is_down($postmaster) or die 'the server does not go down';
	$node->{_pid} = undef;
	single_user();
	$node->start;

	# It may be down again before it says so.
	my ($status, $completed) = $node->psql('postgres', "SELECT count(*) FROM durable.instances WHERE runtime_status = 'Completed' AND name ~ 'nop'");
	push @progress, $completed if $status == 0;
}
push @progress, ended();
is(result_of('killer'), 'Completed failed with 57P02', 'an activity that kills the postmaster fails, although recovery in single-user mode makes each end look clean');
is($ends, 10, 'after ten ends');
cmp_ok(scalar(grep { $progress[$_] > $progress[ $_ - 1 ] } 1 .. $#progress), '>', 2, "others make progress in between: @progress");

# --- the file -------------------------------------------------------------------------------------------------------------

# with_file(what, change): somebody runs when the server is stopped at once, and the file is changed.
my $key = 100;

sub with_file
{
	my ($what, $change, $counted, $log) = @_;

	$key++;
	query("BEGIN; SELECT pg_advisory_xact_lock($key); PREPARE TRANSACTION 'holder'");
	query("SELECT durable.start('by_activity', $key, '$key')");
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $key AND NOT granted)") or die 'it does not run';
	$node->stop('immediate');
	my $logged = -s $node->logfile;
	$change->();
	$node->start;
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $key AND NOT granted)") or die 'it does not run again';
	is(query("SELECT crashes FROM durable.task_queue WHERE key = (SELECT key FROM durable.instance WHERE instance_id = '$key')"), $counted, "$what: counted $counted");
	like(slurp_file($node->logfile, $logged), $log, "$what: log") if $log;
	query("ROLLBACK PREPARED 'holder'");
	is(result_of($key), 'Completed done', "$what: it goes on");
	return;
}

sub overwrite
{
	my ($at, $bytes) = @_;

	open my $file, '+<', $flight or die "could not open $flight: $!";
	binmode $file;
	seek $file, $at, 0;
	print $file $bytes;
	close $file;
	return;
}

with_file('a file as it was left', sub { }, 1);
with_file('no file', sub { unlink $flight }, 0);
with_file('an empty file', sub { truncate $flight, 0 }, 0, qr/ignoring file/);
with_file('a short file', sub { truncate $flight, 1000 }, 0, qr/ignoring file/);
with_file('a file of another version', sub { overwrite(8, pack('L', 999)) }, 0, qr/ignoring file/);
with_file('a file of garbage', sub { overwrite(0, join '', map { chr int rand 256 } 1 .. -s $flight) }, 0, qr/ignoring file/);
with_file('a file from before the machine was started', sub { overwrite(16, 'another machine') }, 0);

# After a clean stop nothing is in it.
$node->stop('fast');
is(scalar(grep { unpack('l', substr(slurp_file($flight), 64 + 64 * $_, 4)) != 0 } 0 .. 127), 0, 'a clean stop leaves no record');
$node->start;
is(query("SELECT count(*) FROM durable.instance WHERE crashes <> 0"), '0', 'and nothing is counted');
$node->stop('fast');
done_testing();
