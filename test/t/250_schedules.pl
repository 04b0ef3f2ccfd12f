# Schedules: what a run does that finds another one unfinished, times that were missed, pauses, backfills, and pg_cron, the
# clock, in a server of its own whose wall clock the test sets.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
chomp(my $libraries = `$pg_config --pkglibdir`);
plan skip_all => 'pg_cron is not installed for this PostgreSQL' unless -e "$libraries/pg_cron.so";

# --- without pg_cron -----------------------------------------------------------------------------------------------------------

my $schedule = "SELECT durable.schedule('s', '0 3 * * *', 'job', 1)";
my $job = 'CREATE FUNCTION job(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$';

my $bare = new_node('bare', conf => "durable.testing = on\n");
$bare->start;
create_durable($bare, 'postgres');
$bare->safe_psql('postgres', $job);
my (undef, undef, $error) = $bare->psql('postgres', $schedule);
like($error, qr/ERROR:  schedules require pg_cron, which is not loaded in this server/, 'pg_cron is not loaded');
like($error, qr/HINT:  Install the package postgresql-\d+-cron .*"shared_preload_libraries = '.*durable.*, pg_cron'" and "cron.database_name = 'postgres'" into postgresql.conf/,
	'the package and the lines for postgresql.conf');
is($bare->safe_psql('postgres', 'SELECT count(*) FROM durable.schedules'), 0, 'and nothing is left');
is($bare->safe_psql('postgres', "SELECT t FROM durable.schedule_times('0 3 * * *', 'UTC', '2026-01-01', 1) t"), '2026-01-01 03:00:00+00', 'times can be looked at');
$bare->stop;

# --- a run that finds another one unfinished -------------------------------------------------------------------------------------

my $node = new_node('main', conf => <<'CONF');
shared_preload_libraries = 'durable, pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
durable.testing = on
durable.max_workers = 0
max_worker_processes = 20
CONF
$node->start;
create_durable($node, 'postgres');
(undef, undef, $error) = $node->psql('postgres', "$job; $schedule");
like($error, qr/schedules require extension "pg_cron", which is not installed in database "postgres".*CREATE EXTENSION pg_cron/s, 'the extension is not there');
create_durable($node, 'elsewhere');
(undef, undef, $error) = $node->psql('elsewhere', "$job; $schedule");
like($error, qr/cannot create schedules in database "elsewhere", because pg_cron runs in database "postgres".*cron.database_name = 'elsewhere'/s, 'another database');

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_cron;
CREATE ROLE ann LOGIN;
CREATE ROLE bob LOGIN;
SELECT durable.grant_usage('ann'), durable.grant_usage('bob');
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO ann, bob;
SET ROLE ann;
-- ends when it is told to, or in ten days
CREATE FUNCTION app.job(n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	stop durable.task := durable.external_event('stop');
	cancel durable.task := durable.external_event('cancel');
BEGIN
	IF durable.when_any(stop, cancel, durable.create_timer(durable.now() + interval '10 days')) = cancel THEN
		RETURN 'canceled by ' || (durable.result(cancel) ->> 'schedule');
	END IF;
	RETURN 'done';
END $$;
SQL

# The clock of this server is the virtual one, and the test ticks; the jobs are only looked at.
sub ann
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', "SET ROLE ann; SET timezone TO 'UTC'; $sql");
}

# The clock stands at ten minutes past an hour.
my $past = ann("SELECT extract(epoch FROM date_trunc('hour', durable.clock()) + interval '1 hour 10 min' - durable.clock())");
$node->safe_psql('postgres', "SELECT durable.advance_clock(make_interval(secs => $past))");

# So many hours later there is a tick: how many runs were started.
sub hours
{
	my ($hours, $name) = @_;

	$node->safe_psql('postgres', "SELECT durable.advance_clock(interval '$hours hours')");
	my $started = ann("SELECT durable.tick_schedule('$name')");
	ann('CALL durable.drain()');
	return $started;
}

sub make
{
	my ($name, $overlap, $more) = @_;

	ann("SELECT durable.schedule('$name', '0 * * * *', 'app.job', 1, overlap => '$overlap' $more)");
	$node->safe_psql('postgres', 'UPDATE cron.job SET active = false');
	return;
}

# Statuses of its instances in the order of their times, without the runner.
sub statuses
{
	my ($name) = @_;

	return ann("SELECT coalesce(string_agg(runtime_status, ' ' ORDER BY instance_id), '') FROM durable.instances WHERE instance_id LIKE '$name\@2%'");
}

sub counts
{
	my ($name) = @_;

	return ann("SELECT missed, skipped FROM durable.schedules WHERE name = '$name'");
}

sub end_one
{
	my ($name) = @_;

	ann("SELECT durable.raise_event(instance_id, 'stop') FROM durable.instances WHERE instance_id LIKE '$name\@2%' AND completed_time IS NULL ORDER BY instance_id LIMIT 1");
	ann('CALL durable.drain()');
	return;
}

make('skip', 'skip', '');
is($node->safe_psql('postgres', "SELECT jobname, schedule, command, username, database FROM cron.job ORDER BY jobid"), <<'JOBS' =~ s/\n\z//r, 'jobs of pg_cron, as its owner');
durable skip|0 * * * *|SELECT durable.tick_schedule('skip')|ann|postgres
durable|@reboot|SELECT durable.tick_schedules()|ann|postgres
JOBS
is(ann("SELECT durable.tick_schedule('skip')"), 0, 'not time yet');
is(hours(1, 'skip'), 1, 'skip: the first run');
is(ann("SELECT durable.tick_schedule('skip')"), 0, 'a second tick starts nothing');
is(ann("SELECT last_instance = 'skip\@' || to_char(last_time, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AND date_trunc('hour', last_time) = last_time FROM durable.schedules"), 't',
	'the instance id says schedule and time');
is(hours(1, 'skip'), 0, 'skip: the second is skipped');
is(counts('skip'), '0|1', 'and counted');
end_one('skip');
is(hours(1, 'skip'), 1, 'skip: when it has ended, the next one runs');
is(statuses('skip'), 'Completed Running', 'skip: which was not the one that was skipped');
is(ann("SELECT durable.trigger_schedule('skip') IS NULL"), 't', 'trigger is skipped, too');
end_one('skip');
like(ann("SELECT durable.trigger_schedule('skip')"), qr/^skip\@2\d\d\d-.*Z$/, 'or runs it now');
ann("SELECT durable.unschedule('skip')");
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), 0, 'unschedule takes the jobs away');

make('allow', 'allow', '');
is(hours(1, 'allow') + hours(1, 'allow'), 2, 'allow: both run');
is(statuses('allow'), 'Running Running', 'allow: beside each other');
ann("SELECT durable.unschedule('allow')");
is(statuses('allow'), 'Running Running', 'they outlive their schedule');

make('terminate', 'terminate_other', '');
is(hours(1, 'terminate') + hours(1, 'terminate'), 2, 'terminate_other: both run');
is(statuses('terminate'), 'Terminated Running', 'terminate_other: the first is terminated');
is(ann("SELECT failure ->> 'reason' = 'the next run of its schedule has begun' FROM durable.instances WHERE instance_id LIKE 'terminate\@2%' AND runtime_status = 'Terminated'"), 't', 'and says why');
ann("SELECT durable.unschedule('terminate')");

make('buffer', 'buffer_one', '');
is(hours(1, 'buffer') . hours(1, 'buffer') . hours(1, 'buffer'), '110', 'buffer_one: one runs, one waits, one is skipped');
is(statuses('buffer'), 'Running', 'buffer_one: one runs');
is(counts('buffer'), '0|1', 'buffer_one: one was skipped');
end_one('buffer');
is(statuses('buffer'), 'Completed Running', 'buffer_one: the one that waited runs as soon as the first has ended');
end_one('buffer');
is(statuses('buffer'), 'Completed Completed', 'buffer_one: and nothing after it');
ann("SELECT durable.purge(instance_id) FROM durable.instances WHERE instance_id LIKE 'buffer\@2%'");
is(hours(1, 'buffer') . hours(1, 'buffer') . hours(1, 'buffer'), '110', 'buffer_one: the same again when those are deleted');
ann("SELECT durable.unschedule('buffer')");
ann('CALL durable.drain()');
is(ann("SELECT runtime_status FROM durable.instances WHERE instance_id = 'buffer\@runner'"), 'Terminated', 'unschedule ends the runner');
is(statuses('buffer'), 'Running', 'and not the instance that runs');

make('cancel', 'cancel_other', '');
is(hours(1, 'cancel'), 1, 'cancel_other: the first');
is(hours(1, 'cancel'), 1, 'cancel_other: the second');
is(statuses('cancel'), 'Completed Running', 'cancel_other: the first has ended, then the second has begun');
is(ann("SELECT output FROM durable.instances WHERE instance_id LIKE 'cancel\@2%' AND runtime_status = 'Completed'"), '"canceled by cancel"', 'the event names the schedule');
ann("SELECT durable.unschedule('cancel')");
ann("CREATE FUNCTION app.stubborn(n int) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN PERFORM durable.wait_for_external_event('stop'); RETURN n; END \$\$");
ann("SELECT durable.schedule('stubborn', '0 * * * *', 'app.stubborn', 1, overlap => 'cancel_other')");
$node->safe_psql('postgres', 'UPDATE cron.job SET active = false');
is(hours(1, 'stubborn') . hours(1, 'stubborn') . hours(1, 'stubborn'), '111', 'cancel_other: of one that does not listen');
is(statuses('stubborn'), 'Running', 'nothing runs beside it');
my $last = ann("SELECT last_instance FROM durable.schedules WHERE name = 'stubborn'");
end_one('stubborn');
is(ann("SELECT string_agg(instance_id, ' ') FROM durable.instances WHERE instance_id LIKE 'stubborn\@2%' AND completed_time IS NULL"), $last, 'only the last one follows');
is(counts('stubborn'), '0|1', 'the one in between was skipped');
ann("SELECT durable.unschedule('stubborn')");

# --- times that were missed, pauses, backfills ---------------------------------------------------------------------------------

make('up', 'allow', ", catch_up => '3 hours 30 min'");
is(hours(6, 'up'), 4, 'catch_up: those that are not too old, once each');
is(counts('up'), '2|0', 'the others were missed');
ann("SELECT durable.alter_schedule('up', catch_up => '0')");
is(ann("SELECT durable.tick_schedule('up')"), 0, 'none twice');
is(hours(2, 'up'), 0, 'catch_up 0: none of those that were missed');
is(counts('up'), '4|0', 'all were missed');
ann("SELECT durable.pause_schedule('up')");
is(hours(3, 'up'), 0, 'paused');
is(ann("SELECT is_paused, next_time IS NULL FROM durable.schedules"), 't|t', 'as the view says');
ann("SELECT durable.pause_schedule('up'); SELECT durable.unpause_schedule('up')");
is(ann("SELECT durable.tick_schedule('up')"), 0, 'times of the pause do not run');
is(counts('up'), '4|0', 'and were not missed');
is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE jobname = 'durable up' AND active"), 1, 'the job ticks again');
# The same by HTTP, as the monitor's page asks.
my $request = sub {
	my ($role, $path) = @_;

	return $node->safe_psql('postgres', "SET ROLE $role; SELECT status, body <> '' FROM durable.http('POST', '/api/v1/schedules/$path')");
};
is($request->('ann', 'up/pause'), '202|f', 'POST pause');
is($node->safe_psql('postgres', "SELECT active FROM cron.job WHERE jobname = 'durable up'"), 'f', 'stops the job');
is(ann("SELECT is_paused FROM durable.schedules"), 't', 'and the schedule');
is($request->('bob', 'up/unpause'), '404|t', 'another role has no such schedule');
is($request->('ann', 'up/unpause'), '202|f', 'POST unpause');
is($node->safe_psql('postgres', "SELECT active FROM cron.job WHERE jobname = 'durable up'"), 't', 'lets the job tick again');
# A job that somebody has stopped or removed is found, and the hint mends it.
my $found = "SELECT ok, detail FROM durable.doctor() WHERE check_name = 'schedules'";
is(ann($found), 't|every schedule that is not paused has a job of pg_cron', 'the doctor finds the job');
$node->safe_psql('postgres', "UPDATE cron.job SET active = false WHERE jobname = 'durable up'");
is(ann($found), 'f|schedule "up" of ann does not run: its job in cron.job is not active', 'a job that is not active is found');
is($node->safe_psql('postgres', "SET ROLE bob; $found"), 't|every schedule that is not paused has a job of pg_cron', 'but not by a role that does not see the schedule');
$node->safe_psql('postgres', "SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = 'durable up'");
is($node->safe_psql('postgres', $found), 'f|schedule "up" of ann does not run: its job in cron.job is missing', 'a job that is missing is found');
ann("SELECT durable.pause_schedule('up')");
is(ann("SELECT ok FROM durable.doctor() WHERE check_name = 'schedules'"), 't', 'not of a schedule that is paused');
ann("SELECT durable.unpause_schedule('up')");
$node->safe_psql('postgres', "SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = 'durable up'");
ann("SELECT durable.alter_schedule('up')");
is(ann("SELECT ok FROM durable.doctor() WHERE check_name = 'schedules'"), 't', 'what the hint says mends it');
$node->safe_psql('postgres', 'UPDATE cron.job SET active = false');
my $before = ann("SELECT count(*) FROM durable.instances WHERE instance_id LIKE 'up\@%'");
my $backfill = "SELECT durable.backfill('up', date_trunc('hour', durable.clock()) - interval '4 hours', date_trunc('hour', durable.clock()))";
is(ann($backfill), 5, 'backfill: both ends are included');
is(ann($backfill), 0, 'backfill starts nothing twice');
is(ann("SELECT count(*) FROM durable.instances WHERE instance_id LIKE 'up\@%'"), $before + 5, 'five more');
ann("SELECT durable.alter_schedule('up', ends_at => durable.clock() + interval '1 hour', jitter => '10 min', catch_up => '1 day')");
is(hours(5, 'up'), 1, 'ends_at: one more');
is(ann("SELECT waiting_on LIKE 'start %' OR runtime_status = 'Running' FROM durable.instances WHERE instance_id = (SELECT last_instance FROM durable.schedules)"), 't', 'jitter: it starts within the ten minutes');
is(ann("SELECT next_time IS NULL FROM durable.schedules"), 't', 'and no next time');

# --- two ticks at a time, a start that fails, a role that acts for the owner, copies -----------------------------------------

make('more', 'allow', '');
$node->safe_psql('postgres', "SELECT durable.advance_clock('1 hour')");
my $first = $node->background_psql('postgres', on_error_die => 1);
$first->query_safe("BEGIN; SET ROLE ann; SELECT durable.tick_schedule('more')");
my $second = $node->background_psql('postgres', on_error_die => 1);
$second->query_until(qr/begun/, "\\echo begun\nSET ROLE ann; SELECT 'started ' || durable.tick_schedule('more');\n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tick_schedule%' AND pid <> pg_backend_pid()"), 'a second tick waits for the first');
$first->query_safe('COMMIT');
$first->quit;
like($second->query_safe("SELECT 'after it'"), qr/started 0/, 'and then finds nothing to do');
$second->quit;

$node->safe_psql('postgres', "SELECT durable.advance_clock('30 min'); ALTER FUNCTION app.job(int) RENAME TO hidden");
$node->safe_psql('postgres', "SELECT durable.advance_clock('30 min')");
(undef, undef, $error) = $node->psql('postgres', "SET ROLE ann; SELECT durable.tick_schedule('more')");
like($error, qr/app.job\(integer\)/, 'a run that cannot be started is an error of the tick');
$node->safe_psql('postgres', 'ALTER FUNCTION app.hidden(int) RENAME TO job');
is(ann("SELECT durable.tick_schedule('more')"), 1, 'and the next tick starts it');

$node->safe_psql('postgres', 'GRANT ann TO bob');
$node->safe_psql('postgres', "SET ROLE bob; SELECT durable.trigger_schedule('more')");
is($node->safe_psql('postgres', "SET ROLE bob; SELECT owner FROM durable.instances WHERE instance_id = (SELECT last_instance FROM durable.schedules WHERE name = 'more')"), 'ann', 'who has the privileges of the owner runs it as the owner');
$node->safe_psql('postgres', 'REVOKE ann FROM bob');

my ($dump) = run_command([ 'pg_dump', '-h', $node->host, '-p', $node->port, '--extension=durable', 'postgres' ]);
like($dump, qr/COPY durable\.schedule \(.*\nann\tmore\t0 \* \* \* \*\tapp\.job\(integer\)/s, 'schedules are in a dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->safe_psql('copy', $dump);
is($node->safe_psql('copy', "SELECT durable.advance_clock('2 days'); SELECT next_time < durable.clock() + interval '1 hour' FROM durable.schedules WHERE name = 'more'") =~ s/.*\n//sr, 't', 'a copy has the schedule');
$node->safe_psql('copy', "SELECT durable.grant_usage('ann')");
is($node->safe_psql('copy', "SET ROLE ann; SELECT durable.tick_schedule('more'), durable.tick_schedules()"), '0|0', 'but starts nothing before durable.adopt()');
ann("SELECT durable.unschedule('more')");

# --- who may do what, and bad input --------------------------------------------------------------------------------------------

sub refused
{
	my ($role, $sql, $pattern, $name) = @_;
	my (undef, undef, $said) = $node->psql('postgres', "SET ROLE $role; $sql");

	like($said, $pattern, $name);
	return;
}

is($node->safe_psql('postgres', 'SET ROLE bob; SELECT count(*) FROM durable.schedules'), 0, 'bob sees none');
refused('bob', "SELECT durable.$_('up')", qr/schedule "up" does not exist/, "bob cannot call $_") foreach qw(unschedule pause_schedule trigger_schedule tick_schedule alter_schedule);
refused('ann', $_->[0], $_->[1], $_->[0]) foreach (
	["SELECT durable.schedule('up', '0 * * * *', 'app.job', 1)", qr/schedule "up" already exists/],
	["SELECT durable.schedule(NULL, '0 * * * *', 'app.job', 1)", qr/name of a schedule must not be null/],
	["SELECT durable.schedule(repeat('x', 56), '0 * * * *', 'app.job', 1)", qr/name of a schedule is too long/],
	["SELECT durable.schedule('x', '0 * * *', 'app.job', 1)", qr/invalid cron expression/],
	["SELECT durable.schedule('x', '0 0 31 4 *', 'app.job', 1)", qr/matches no time/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.jab', 1)", qr/"app.jab" does not exist/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 'one'::text)", qr/invalid input syntax for type integer/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 1, overlap => 'often')", qr/invalid value for parameter "overlap": "often"/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 1, timezone => 'Mars')", qr/time zone "Mars" not recognized/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 1, catch_up => '-1 s')", qr/catch_up must be between/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 1, catch_up => NULL)", qr/catch_up must not be null/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 1, jitter => '100 years')", qr/jitter must be between/],
	["SELECT durable.schedule('x', '0 * * * *', 'app.job', 1, starts_at => '2030-01-01', ends_at => '2029-01-01')", qr/starts_at must not be later/],
	["SELECT durable.backfill('up', '-infinity', now())", qr/finite/],
	["SELECT durable.backfill('up', '2026-01-01', 'infinity')", qr/finite/],
	["SELECT durable.backfill('up', NULL, NULL)", qr/finite/],
	["SELECT durable.backfill('up', now(), now() - interval '1 hour')", qr/from_time must not be later/],
	["SELECT durable.backfill('up', now(), now() + interval '1 year')", qr/to_time must not be in the future/],
	["SELECT durable.backfill('up', '1990-01-01', now())", qr/too many times/]);
is($node->safe_psql('postgres', q(SELECT count(*) FROM durable.schedule)), 1, 'nothing was changed by that');
# Schema cron might be somebody's.
$node->safe_psql('postgres', 'DROP EXTENSION pg_cron CASCADE; CREATE SCHEMA cron AUTHORIZATION bob');
$node->safe_psql('postgres', 'SET ROLE bob; CREATE TABLE cron.job (); CREATE FUNCTION cron.schedule_in_database(text, text, text, text, text, boolean) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE \'run as %\', current_user; END $$');
refused('ann', "SELECT durable.schedule('x', '0 * * * *', 'app.job', 1)", qr/schedules require extension "pg_cron"/, 'a false pg_cron is not called');
ann("SELECT durable.unschedule('up')");
$node->stop;

# --- the real clock --------------------------------------------------------------------------------------------------------------

SKIP:
{
	skip 'the clock is shifted with LD_PRELOAD', 1 if $^O ne 'linux';
	my $library = compile_library('clockshift');
	my $file = PostgreSQL::Test::Utils::tempdir . '/clockshift';
	my $shift = 0;
	my $set_clock = sub {
		open(my $handle, -e $file ? '+<' : '>', $file) or die "$file: $!";
		binmode $handle;
		print $handle pack('q', $shift);
		close $handle;
	};

	# five seconds before a minute begins
	$shift = 55 - CORE::time() % 60;
	$set_clock->();
	my $real = new_node('real', conf => <<'CONF');
shared_preload_libraries = 'durable, pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
durable.max_workers = 4
max_worker_processes = 20
timezone = 'UTC'
CONF
	my $start = sub {
		local $ENV{LD_PRELOAD} = $library;
		local $ENV{CLOCKSHIFT} = $file;
		$real->start;
	};
	$start->();
	create_durable($real, 'postgres');
	$real->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_cron;
CREATE ROLE ann LOGIN;
SELECT durable.grant_usage('ann');
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO ann;
SET ROLE ann;
CREATE TABLE app.runs (id text, at timestamptz);
CREATE FUNCTION app.note(id text) RETURNS void LANGUAGE sql AS 'INSERT INTO app.runs VALUES (id, clock_timestamp())';
CREATE FUNCTION app.tick() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.call_activity('app.note', durable.instance_id()); END $$;
SELECT durable.schedule('minute', '* * * * *', 'app.tick', overlap => 'allow', timezone => 'Europe/Berlin');
SQL
	ok($real->poll_query_until('postgres', 'SELECT count(*) > 0 FROM app.runs'), 'pg_cron ticks, and the orchestration runs');
	is($real->safe_psql('postgres', "SELECT DISTINCT owner FROM durable.instances"), 'ann', 'as the owner of the schedule');
	$real->stop;

	# The clock stands behind the beginning of a minute, so that the job of each minute is not what catches up.
	$shift += 190;
	my $now = CORE::time() + $shift;
	$shift += 5 - $now % 60 if $now % 60 > 20;
	$set_clock->();
	$start->();
	ok($real->poll_query_until('postgres', "SELECT count(*) >= 4 FROM durable.instances WHERE runtime_status = 'Completed'"), 'three ticks that were missed while the server was down are made up for');
	is($real->safe_psql('postgres', "SELECT count(*), count(DISTINCT id) = count(*) FROM (SELECT id FROM app.runs ORDER BY id LIMIT 4) r"), '4|t', 'once each');
	is($real->safe_psql('postgres', "SELECT count(DISTINCT left(split_part(id, '\@', 2), 16)::timestamp - make_interval(mins => n::int)) FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM app.runs) r"), 1, 'for each minute one');
	is($real->safe_psql('postgres', "SELECT missed, skipped FROM durable.schedules"), '0|0', 'none was missed');
	ok($real->poll_query_until('postgres', "SELECT count(*) > 0 FROM cron.job_run_details WHERE command LIKE '%tick_schedules%' AND status = 'succeeded'"), 'by the job that runs when the server has started');
	$real->stop;
}

done_testing();
