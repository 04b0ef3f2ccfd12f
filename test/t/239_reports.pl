# What the flight recorder has reported is counted once, whatever ends in between; it is run on in time; and the doctor names
# what is held back. A promotion changes nothing about that. The looks at everything come once a minute here, so whoever is
# late has been waiting for one.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', init => { allows_streaming => 1 }, conf => <<'CONF');
durable.max_workers = 4
durable.max_crashes = 4
durable.turn_timeout = 0
durable.recheck_interval = '60 s'
durable.worker_idle_timeout = '10 min'
max_prepared_transactions = 3
log_line_prefix = '%m [%p] %b '
CONF
my $flight = $node->data_dir . '/pg_stat_tmp/durable.flight';

# The layout of flight_file.h: a header and records of 64 bytes; in a record, the kind of code at 0, and the timeline at 44.
my $HEADER = 64;
my $RECORD = 64;
my $TIMELINE = 44;
my $RECORDS = 128;

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE ends (n int);
INSERT INTO ends VALUES (0);
CREATE FUNCTION nop(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION wait_for_lock(key int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(key); RETURN 'done'; END $$;
SELECT durable.register_activity('wait_for_lock', 'wait_for_lock(int)', execution => 'task');
CREATE FUNCTION by_activity(key int) RETURNS text LANGUAGE sql AS $$ SELECT durable.call_activity('wait_for_lock', key) #>> '{}' $$;
CREATE FUNCTION in_turn(key int) RETURNS text LANGUAGE plpgsql SET durable.determinism = off AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(key); RETURN 'done'; END $$;
CREATE FUNCTION after_timer(key int) RETURNS text LANGUAGE plpgsql SET durable.determinism = off AS $$
BEGIN
	PERFORM durable.sleep('1 ms');
	PERFORM pg_advisory_xact_lock_shared(key);
	RETURN 'done';
END $$;
CREATE FUNCTION good_bye() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(600); RETURN 1; END $$;
SELECT durable.register_activity('good_bye', 'good_bye()', execution => 'task');
CREATE FUNCTION leaves_itself() RETURNS int LANGUAGE plpgsql SET durable.determinism = off AS $$ BEGIN PERFORM good_bye(); RETURN 1; END $$;
CREATE FUNCTION leaves() RETURNS int LANGUAGE sql AS $$ SELECT durable.call_activity('good_bye')::int $$;
SQL
my $has_failpoints = $node->psql('postgres', <<'SQL') == 0;
CREATE FUNCTION failpoint_arm(name text, n bigint) RETURNS void LANGUAGE c AS 'durable', 'durable_failpoint_arm';
SQL

sub query { return $node->safe_psql('postgres', $_[0]); }

sub waits_for { return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $_[0] AND NOT granted)") || die "nobody waits for lock $_[0]"; }

sub pid_that_waits_for { return query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $_[0] AND NOT granted"); }

# hold(key): a lock that outlives the server, for what is to be running when that ends.
sub hold { query("BEGIN; SELECT pg_advisory_xact_lock($_[0]); PREPARE TRANSACTION 'lock $_[0]'"); return; }

sub let_go { query("ROLLBACK PREPARED 'lock $_[0]'"); return; }

sub result_of { return query("SELECT concat_ws(' ', runtime_status, output #>> '{}') FROM durable.wait('$_[0]', '3min')"); }

# crashes(id): in fifths, those of the instance and of its tasks.
sub crashes { return query("SELECT i.crashes || ' ' || coalesce((SELECT sum(crashes) FROM durable.task_queue t WHERE t.key = i.key), 0) FROM durable.instance i WHERE instance_id = '$_[0]'"); }

# change_records(offset, bytes): of each record in which some code runs. Returns how many there are.
sub change_records
{
	my ($offset, $bytes) = @_;
	my $content = slurp_file($flight);
	my $changed = 0;

	foreach my $n (0 .. $RECORDS - 1)
	{
		my $at = $HEADER + $RECORD * $n;

		next unless unpack 'l', substr($content, $at, 4);
		substr($content, $at + $offset, length $bytes) = $bytes;
		$changed++;
	}
	open my $file, '>', $flight or die "could not open $flight: $!";
	binmode $file;
	print $file $content;
	close $file;
	return $changed;
}

# --- nobody waits for the next look at everything -------------------------------------------------------------------------

# what => [orchestration, what is changed in the file, counts of the instance and its task]
my %ways = (
	'the end of the server in a task' => [ 'by_activity', undef, '0 1' ],
	'the end of the server in a turn' => [ 'in_turn', undef, '1 0' ],
	'the end of the server in a turn after a timer' => [ 'after_timer', undef, '1 0' ],
	'a record of another timeline, a task' => [ 'by_activity', 99, '0 0' ],
	'a record of another timeline, a turn' => [ 'in_turn', 99, '0 0' ],
	'a record of another timeline, a turn after a timer' => [ 'after_timer', 99, '0 0' ]);
my $key = 10;
foreach my $what (sort keys %ways)
{
	my ($orchestration, $timeline, $counts) = @{ $ways{$what} };

	$key++;
	hold($key);
	query("SELECT durable.start('$orchestration', $key, '$what')");
	waits_for($key);
	$node->stop('immediate');
	my $logged = -s $node->logfile;
	is(change_records($TIMELINE, pack 'L', $timeline), 1, "$what: the record is there") if $timeline;
	$node->start;
	my $limit = patience(5);
	my $start = time;
	$limit = 40 if $limit > 40;
	waits_for($key);
	cmp_ok(time - $start, '<', $limit, sprintf('%s: it runs again at once, %.1f s', $what, time - $start));
	is(crashes($what), $counts, "$what: counted");
	like(slurp_file($node->logfile, $logged), qr/it is from another timeline/, "$what: log") if $timeline;
	let_go($key);
	is(result_of($what), 'Completed done', "$what: it goes on");
}

# --- what ends its process waits, and the doctor says so ------------------------------------------------------------------

my $start = time;
query("SELECT durable.start('leaves', NULL, 'leaves')");
ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM durable.doctor() WHERE check_name = 'held_back' AND NOT ok
	AND detail ~ 'held back because its process or the server terminated while it ran: "leaves"' AND hint ~ 'max_crashes')}),
	'the doctor names what is held back, and why');
is(result_of('leaves'), 'Failed', 'it has failed');
cmp_ok(time - $start, '>=', 3, 'after delays of one and two seconds');
cmp_ok(time - $start, '<', 45, sprintf('and not only at the next look at everything, %.1f s', time - $start));
is(query("SELECT ok FROM durable.doctor() WHERE check_name = 'held_back'"), 't', 'nothing is held back any more');

$start = time;
query("SELECT durable.start('leaves_itself', NULL, 'leaves itself')");
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Suspended' FROM durable.status('leaves itself')"), 'an orchestration that ends its process is suspended');
cmp_ok(time - $start, '>=', 3, 'after the same delays');
cmp_ok(time - $start, '<', 45, sprintf('and not only at the next look at everything, %.1f s', time - $start));

# --- a crash while a crash is counted -------------------------------------------------------------------------------------

SKIP:
{
	skip 'the library is built without DURABLE_TESTING', 10 unless $has_failpoints;
	# The worker dies, which has the server start over; then the coordinator dies, when its count is committed and the report is
	# still there, or right before that commit. It commits with news before anybody else does: the workers wait.
	foreach (['committed', 2], ['crash-counted', 1])
	{
		my ($point, $n) = @$_;
		my $id = "counted once, $point";
		my $launcher;

		hold(90);
		query("SELECT durable.start('in_turn', 90, '$id')");
		waits_for(90);
		($launcher) = process_pids($node, 'durable launcher');
		hold(91);
		query("SELECT durable.pause()");
		my $logged = -s $node->logfile;
		kill_and_recover($node, 'KILL', pid_that_waits_for(90), $launcher);
		($launcher) = process_pids($node, 'durable launcher');
		is(crashes($id), '0 0', "$id: nothing while the database is paused");
		query("SELECT failpoint_arm('$point', $n); SELECT durable.unpause()");
		$node->poll_query_until('postgres', "SELECT count(*) = 1 AND min(pid) <> $launcher FROM pg_stat_activity WHERE backend_type = 'durable launcher'")
		  or die 'the server has not started over';
		my $ends = () = slurp_file($node->logfile, $logged) =~ /\(PID \d+\) was terminated by signal 9/g;
		is($ends, 2, "$id: the server has crashed in the middle of the count");
		like(slurp_file($node->logfile, $logged), qr/durable coordinator.*was terminated by signal 9/, "$id: which the coordinator made");
		waits_for(90);
		is(crashes($id), '5 0', "$id: five fifths");
		let_go(90);
		let_go(91);
		is(result_of($id), 'Completed done', "$id: it goes on");
	}
}

# --- a server that does not start over by itself ----------------------------------------------------------------------------

hold(80);
$node->adjust_conf('postgresql.conf', 'restart_after_crash', 'off');
$node->reload;
query("SELECT durable.start('by_activity', 80, 'bystander')");
waits_for(80);
my $bystander = pid_that_waits_for(80);
query("SELECT durable.start('in_turn', 80, 'culprit')");
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = 80 AND NOT granted") or die 'they do not run';
my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
kill KILL => query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 80 AND NOT granted AND pid <> $bystander");
foreach (1 .. 600)
{
	last unless are_alive($postmaster);
	sleep 0.1;
}
$node->{_pid} = undef;
$node->adjust_conf('postgresql.conf', 'restart_after_crash', 'on');
$node->start;
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND objid = 80 AND NOT granted") or die 'they do not run again';
is(crashes('culprit'), '5 0', 'restart_after_crash = off: what has ended its process is known in the next life');
is(crashes('bystander'), '0 0', 'instances that ran beside it have no count');
let_go(80);
is(result_of('culprit') . ', ' . result_of('bystander'), 'Completed done, Completed done', 'both go on');

# --- standbys that have crashed before their promotion ---------------------------------------------------------------------

# has_backlog(): what is started from now on stays, while the activity that holds its worker goes on.
sub has_backlog
{
	$node->adjust_conf('postgresql.conf', 'durable.max_workers', '0');
	$node->reload;
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'durable worker'") or die 'the other workers do not leave';
	query("SELECT count(durable.start('nop', n)) FROM generate_series(1, 2000) n");
	return;
}

# promoted(server, what, crashes of the activity, log): the server is promoted, and what was left to do is done on it.
sub promoted
{
	my ($server, $what, $crashes, $log) = @_;
	my $logged = -s $server->logfile;
	my $limit = patience(5);
	my $began;

	$limit = 40 if $limit > 40;
	$node = $server;
	is(query("SELECT count(*) FROM durable.instance WHERE name = 'public.nop' AND status IN ('P', 'R')"), '2000', "$what: there is a backlog");
	$began = time;
	$node->promote;
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instance WHERE name = 'public.nop' AND status IN ('P', 'R'))") or die 'the backlog is not worked off';
	waits_for(70);
	cmp_ok(time - $began, '<', $limit, sprintf('%s: the backlog is worked off and the activity runs again at once, %.1f s', $what, time - $began));
	is(crashes('held'), $crashes, "$what: the activity's count");
	is(query("SELECT count(*) FROM durable.instance WHERE crashes <> 0"), '0', "$what: nothing else has one");
	if ($log)
	{
		like(slurp_file($node->logfile, $logged), $log, "$what: log");
	}
	else
	{
		unlike(slurp_file($node->logfile, $logged), qr/terminated its process|when the server terminated/, "$what: log");
	}
	return;
}

# The standby gets the last bytes from the directory of the first one, too, so that this can follow it afterwards.
my $first = $node;
my $second = PostgreSQL::Test::Cluster->new('second');
$first->backup('for_second');
$second->init_from_backup($first, 'for_second', has_streaming => 1);
$second->append_conf('postgresql.conf', "restore_command = 'cp \"" . $first->data_dir . "/pg_wal/%f\" \"%p\"'");
$second->start;
hold(70);
query("SELECT durable.start('by_activity', 70, 'held')");
waits_for(70);
has_backlog();
$first->wait_for_catchup($second);
kill_server($second);
$second->{_pid} = undef;
$second->start;
$first->stop('immediate');
promoted($second, 'a standby that was killed', '0 0');

# The record of the first one is of the timeline before the last one: another server has gone on with the work since.
has_backlog();
$first->adjust_conf('postgresql.conf', 'durable.max_workers', '4');
$first->enable_streaming($second);
$first->start;
$second->wait_for_catchup($first);
$first->stop('immediate');
$first->start;
$second->stop('immediate');
promoted($first, 'a former primary that has crashed as such and as a standby', '0 0', qr/it is from another timeline/);

# Nobody else has gone on: the record counts as if the primary had been restarted.
has_backlog();
$first->stop('immediate');
$first->adjust_conf('postgresql.conf', 'durable.max_workers', '4');
$first->set_standby_mode;
$first->start;
$first->stop('immediate');
$first->start;
promoted($first, 'a primary that is restarted as a standby', '0 1', qr/activity "wait_for_lock" of instance "held" was running when the server terminated/);
let_go(70);
is(result_of('held'), 'Completed done', 'the activity ends');
$node->stop('fast');
done_testing();
