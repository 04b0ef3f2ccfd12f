# Clients and real workers: waiting holds nothing and leaks nothing, run reports what happened, messages of prepared
# transactions arrive, one id is one instance however many start it, and what clients hear from a server that has not
# preloaded the library or is a standby.

use strict;
use warnings;
use DurableTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', init => { allows_streaming => 1 }, conf => <<'CONF');
durable.max_workers = 4
durable.recheck_interval = 1s
max_prepared_transactions = 5
max_connections = 50
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION double(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT n * 2 $$;
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE plpgsql
	AS $$ BEGIN RETURN durable.call_activity('double', n); END $$;
CREATE FUNCTION patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql
	AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE FUNCTION clumsy(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RAISE unique_violation USING MESSAGE = 'two of a kind', DETAIL = 'There is one already.', HINT = 'Take another.';
END $$;
CREATE FUNCTION dawdle(seconds integer) RETURNS text LANGUAGE sql AS $$ SELECT 'slept' FROM pg_sleep(seconds) $$;
CREATE FUNCTION sleepy(seconds integer) RETURNS text LANGUAGE plpgsql
	AS $$ BEGIN RETURN durable.call_activity('dawdle', seconds); END $$;
CREATE FUNCTION waiter(input jsonb) RETURNS jsonb LANGUAGE sql
	AS $$ SELECT to_jsonb(runtime_status) FROM durable.wait('somebody') $$;
CREATE FUNCTION waits_in_activity(input jsonb) RETURNS jsonb LANGUAGE plpgsql
	AS $$ BEGIN RETURN durable.call_activity('waiter'); END $$;
CREATE VIEW engine_locks AS
SELECT l.pid, c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE c.relnamespace = 'durable'::regnamespace AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
SQL

# begin_sql(statements): psql in the background; finish_sql returns (exit status, stdout, stderr).
sub begin_sql
{
	my ($sql, @options) = @_;
	my %run = (out => '', err => '');

	$run{handle} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), @options, '-c', $sql ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%run;
}

sub finish_sql
{
	my ($run) = @_;

	$run->{handle}->finish;
	chomp $run->{out};
	return ($run->{handle}->result(0), $run->{out}, $run->{err});
}

sub sleeping_in
{
	my ($what) = @_;

	return $node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%$what%' AND pid <> pg_backend_pid()
		 AND state = 'active' AND wait_event_type = 'Extension'");
}

# --- run ---------------------------------------------------------------------------------------------------------------

is($node->safe_psql('postgres', "CALL durable.run('twice', 21)"), '42', 'run returns the output');
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL durable.run('clumsy')");
like($err, qr/ERROR:  23505: two of a kind\nDETAIL:  There is one already.\nHINT:  Take another./,
	'run raises the failure with its own SQLSTATE, detail and hint');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL durable.run('patient', timeout => '100 ms')");
like($err, qr/ERROR:  57014: instance ".*" did not finish in time\nDETAIL:  Its status is Running, and it continues to run.\nHINT:  .*durable.wait/,
	'run says when the time is over');
$node->safe_psql('postgres', 'SELECT durable.pause()');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL durable.run('twice', 1, timeout => '100 ms')");
like($err, qr/ERROR:  57014: instance ".*" did not finish in time\nDETAIL:  Its status is Pending: it has not begun to run.\nHINT:  .*durable.doctor/,
	'... and that the instance has not begun');
$node->safe_psql('postgres', 'SELECT durable.unpause()');

# A pause holds from its commit on: workers do not have to hear of it from the coordinator.
$node->safe_psql('postgres', "CALL durable.run('twice', 1)");
my ($coordinator) = process_pids($node, 'durable coordinator');
kill 'STOP', $coordinator;
$node->safe_psql('postgres', 'SELECT durable.pause()');
$node->safe_psql('postgres', "SELECT durable.start('twice', 1, 'held')");
sleep 0.3;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.instances WHERE instance_id = 'held'"), 'Pending',
	'what is started after a pause does not run');
$node->safe_psql('postgres', 'SELECT durable.unpause()');
kill 'CONT', $coordinator;
$node->safe_psql('postgres', "CALL durable.wait_for('held', '60 s')");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE log (n jsonb);
CREATE PROCEDURE runs_two() LANGUAGE plpgsql AS $$
DECLARE
	output jsonb := '5';
BEGIN
	INSERT INTO log VALUES (output);
	CALL durable.run('twice', output, NULL, output);
	INSERT INTO log VALUES (output);
	CALL durable.run('twice', output, NULL, output);
	INSERT INTO log VALUES (output);
	RAISE division_by_zero;
END $$;
SQL
($status, $out, $err) = $node->psql('postgres', 'CALL runs_two()');
like($err, qr/ERROR:  division_by_zero/, 'run in a procedure');
is($node->safe_psql('postgres', 'SELECT string_agg(n::text, $$ $$) FROM log'), '5 10', 'commits what came before');

my $run = begin_sql("CALL durable.run('patient', timeout => '5 min')");
ok(sleeping_in('durable.run'), 'a run sleeps');
# Once a second it looks, and has both for a moment.
ok($node->poll_query_until('postgres', "SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE query LIKE 'CALL durable.run%'"),
	'without a snapshot');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM engine_locks l JOIN pg_stat_activity a USING (pid) WHERE a.query LIKE 'CALL durable.run%'"),
	'and without a lock on the tables');
$node->safe_psql('postgres', "SELECT durable.terminate(instance_id, 'enough') FROM durable.instances WHERE runtime_status = 'Running'");
($status, $out, $err) = finish_sql($run);
like($err, qr/was terminated\nDETAIL:  Reason: enough/, 'a run that is terminated says so');

# --- wait --------------------------------------------------------------------------------------------------------------

is($node->safe_psql('postgres',
		"SELECT durable.start('patient', instance_id => 'event');
		 SELECT durable.raise_event('event', 'Go', 10);
		 SELECT runtime_status, output FROM durable.wait('event')"),
	"event\n\nCompleted|10", 'an event wakes its waiter');

# Who is not woken looks again after a second: then none of these would take less.
my @took = split /\n/, $node->safe_psql('postgres', join '', map { <<"SQL" } 1 .. 30);
SELECT clock_timestamp() AS began, durable.start('twice', $_, 'twice $_') \\gset
SELECT FROM durable.wait('twice $_') \\gset
SELECT extract(epoch FROM clock_timestamp() - :'began'::timestamptz);
SQL
my $slow = grep { $_ >= 1 } @took;
is(scalar(@took), 30, 'thirty wait for an instance');
cmp_ok($slow, '<', 15, 'waiters are woken, they do not poll') or diag("@took");

$node->safe_psql('postgres', "SELECT durable.start('patient', instance_id => 'somebody')");
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Running' FROM durable.status('somebody')"), 'somebody waits');
$run = begin_sql("SELECT runtime_status, output FROM durable.wait('somebody', '5 min')");
ok(sleeping_in('durable.wait'), 'a waiter sleeps');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM engine_locks l JOIN pg_stat_activity a USING (pid) WHERE a.query LIKE '%durable.wait%' AND a.pid <> pg_backend_pid()"),
	'without a lock on the tables');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%durable.wait%' AND pid <> pg_backend_pid()");
($status, $out, $err) = finish_sql($run);
like($err, qr/canceling statement due to user request/, 'it can be canceled');

# There are 1,024 places to wait at; neither time-outs nor errors nor lost sessions may use them up.
$node->safe_psql('postgres', <<'SQL');
DO $$
BEGIN
	FOR i IN 1..1100 LOOP
		PERFORM durable.wait('somebody', '1 ms');
	END LOOP;
	FOR i IN 1..1100 LOOP
		BEGIN
			PERFORM set_config('statement_timeout', '0', true);
			PERFORM durable.wait('nobody', '1 ms');
		EXCEPTION WHEN SQLSTATE 'WF003' THEN NULL;
		END;
	END LOOP;
END $$;
SQL
for (1 .. 5)
{
	$run = begin_sql("SELECT durable.wait('somebody', '5 min')");
	ok(sleeping_in('durable.wait'), 'another waiter sleeps');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%durable.wait%' AND pid <> pg_backend_pid()");
	finish_sql($run);
}
my @runs = map { begin_sql("SELECT runtime_status FROM durable.wait('somebody', '5 min')") } 1 .. 20;
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 20 FROM pg_stat_activity WHERE query LIKE '%durable.wait%' AND wait_event_type = 'Extension'"),
	'twenty wait for the same');
$node->safe_psql('postgres', "SELECT durable.raise_event('somebody', 'Go')");
is(scalar(grep { (finish_sql($_))[1] eq 'Completed' } @runs), 20, 'and all of them are woken');

# An activity must not wait for an instance.
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL durable.run('waits_in_activity')");
like($err, qr/ERROR:  WF007: durable.wait\(\) cannot be called inside an activity/, 'an activity cannot wait');

# --- one id, one instance ----------------------------------------------------------------------------------------------

@runs = map { begin_sql("SELECT count(DISTINCT durable.start('twice', n, 'shared ' || n, on_conflict => 'return')) FROM generate_series(1, 300) n") } 1 .. 6;
is(scalar(grep { (finish_sql($_))[1] eq '300' } @runs), 6, 'six start the same three hundred at the same moment');
is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT instance_id) FROM durable.instances WHERE instance_id LIKE 'shared %'"),
	'300|300', 'and there are three hundred');
ok($node->poll_query_until('postgres', "SELECT bool_and(runtime_status = 'Completed') FROM durable.instances WHERE instance_id LIKE 'shared %'"),
	'which complete');
@runs = map { begin_sql("SELECT durable.start('twice', 1, 'shared 1', on_conflict => 'replace_finished')") } 1 .. 6;
finish_sql($_) for @runs;
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.instances WHERE instance_id = 'shared 1'"), '1', 'six replace one');

# --- terminate ---------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.start('sleepy', 1000, 'sleepy')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.workers WHERE state = 'activity' AND instance_id = 'sleepy'"),
	'durable.workers shows who runs an activity');
is($node->safe_psql('postgres', "SELECT ok FROM durable.doctor() WHERE check_name = 'queue'"), 't', 'a running activity is not reported as late work');
my $start = time;
is($node->safe_psql('postgres', "SELECT durable.terminate('sleepy'); SELECT runtime_status FROM durable.wait('sleepy')"),
	"\nTerminated", 'terminate ends an instance in an activity');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), 'and the activity');
cmp_ok(time - $start, '<', 300, 'long before it would have ended');

# --- prepared transactions -----------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.start('patient', instance_id => 'slow mail')");
$node->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT durable.raise_event('slow mail', 'Go', 'by prepared transaction');
SELECT durable.start('twice', 4, 'prepared start');
PREPARE TRANSACTION 'mail';
SQL
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Running' FROM durable.status('slow mail')"), 'somebody waits for mail');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('slow mail', '1 s')"), 'Running', 'not yet committed');
$node->safe_psql('postgres', "COMMIT PREPARED 'mail'");
is($node->safe_psql('postgres', "SELECT output FROM durable.wait('slow mail', '3 min')"), '"by prepared transaction"',
	'an event of a prepared transaction arrives, though nobody is told');
is($node->safe_psql('postgres', "SELECT output FROM durable.wait('prepared start', '3 min')"), '8', 'and so does a start');

# --- the extension goes --------------------------------------------------------------------------------------------------

create_durable($node, 'other');
$node->safe_psql('other', $node->safe_psql('postgres', "SELECT pg_get_functiondef('patient'::regproc)"));
$node->safe_psql('other', "SELECT durable.start('patient', instance_id => 'orphan')");
for my $function ('durable.wait', 'durable.run')
{
	my $statement = $function eq 'durable.wait' ? "SELECT durable.wait('orphan', '10 min')" : "CALL durable.run('patient', timeout => '10 min')";
	my %gone = (err => '');
	my $handle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('other'), '-c', $statement,
			'-c', q{DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'durable') LOOP PERFORM pg_sleep(0.05); END LOOP; END $$},
			'-c', q{SELECT durable.status('of before')} ],
		'<', \undef, '>', \my $ignored, '2>', \$gone{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	ok(sleeping_in($function), "$function sleeps in another database");
	$start = time;
	$node->safe_psql('other', 'DROP EXTENSION durable');
	cmp_ok(time - $start, '<', patience(5), 'DROP EXTENSION does not wait for it');
	$handle->pump until $gone{err} =~ /\n/;
	create_durable($node, 'other');
	$handle->finish;
	like($gone{err}, qr/ERROR:  extension "durable" is not installed in this database/, 'the waiting session reports the error');
	like($gone{err}, qr/ERROR:  instance "of before" does not exist/, 'and finds the tables when they are there again');
}

# --- a standby -----------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.start('patient', instance_id => 'survivor')");
$node->backup('copy');
my $standby = new_node('standby', init => 0);
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT instance_id FROM durable.instances WHERE instance_id = 'survivor'"), 'survivor', 'a standby shows instances');
is($standby->safe_psql('postgres', "SELECT name FROM durable.status('survivor')"), 'public.patient', 'status works on the standby');
is($standby->safe_psql('postgres', "SELECT name FROM durable.wait('survivor', '0 s')"), 'public.patient', 'also by durable.wait');
is($standby->safe_psql('postgres', "SELECT string_agg(check_name, ',' ORDER BY check_name) FROM durable.doctor() WHERE NOT ok AND check_name <> 'failed'"), '', 'the doctor finds nothing wrong with it');
for my $call ("durable.start('twice', 1)", "durable.raise_event('survivor', 'Go')", "durable.terminate('survivor')", "durable.purge('twice 1')", 'durable.pause()')
{
	($status, $out, $err) = $standby->psql('postgres', "SELECT $call");
	my ($name) = $call =~ /^(durable\.\w+)/;
	like($err, qr/cannot execute \Q$name\E\(\) in a read-only transaction/, "it refuses $name");
}
$standby->stop;

# --- without the library -------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "CALL durable.run('twice', 7)");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'auto_explain'");
$node->restart;
is($node->safe_psql('postgres', "SELECT runtime_status, waiting_on FROM durable.status('survivor')"), 'Running|event Go', 'without the library instances are still to be seen');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.workers'), '0', 'durable.workers is empty');
my $line = "shared_preload_libraries = 'auto_explain, durable'";
for my $call ("SELECT durable.start('twice', 1)", "CALL durable.run('twice', 1)", "SELECT durable.wait('survivor')", "SELECT durable.raise_event('survivor', 'Go')", 'SELECT durable.pause()')
{
	($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
	like($err, qr/ERROR:  55000: library "durable" must be loaded via shared_preload_libraries\n.*\nHINT:  [^\n]*\Q$line\E/s, "$call names the line for postgresql.conf");
}
is($node->safe_psql('postgres', 'SELECT durable.purge(instance_id) FROM durable.instances WHERE instance_id = \'twice 1\''), '', 'functions that need no workers work');
$out = $node->safe_psql('postgres', "SELECT ok, detail, hint FROM durable.doctor() WHERE check_name = 'preloaded'");
like($out, qr/^f\|shared_preload_libraries = 'auto_explain' in .*postgresql.conf:\d+\|.*\Q$line\E$/, 'the doctor says where it is set and what to put there');
$node->append_conf('postgresql.conf', $line);
$out = $node->safe_psql('postgres', "SELECT ok, hint FROM durable.doctor() WHERE check_name = 'preloaded'");
like($out, qr/^f\|.*Restart the server/, 'and when it is there, to restart');
$node->restart;
is($node->safe_psql('postgres', "SELECT durable.raise_event('survivor', 'Go', 'at last'); SELECT output FROM durable.wait('survivor')"), "\n\"at last\"", 'then it goes on');

done_testing();
