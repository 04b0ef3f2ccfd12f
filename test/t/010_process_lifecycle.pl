# The processes come and go with databases, extension, work and server: nothing to configure, nothing to restart, and
# nobody waits for them. Each statement that needs us out of the way is timed while activities sleep for 1,000 seconds.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $LIMIT = 5;		# seconds that any of these statements may take on a quiet machine

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 12
durable.worker_idle_timeout = 500ms
durable.recheck_interval = 60s
CONF
$node->start;

# The recheck is a minute away: what happens within seconds happens because somebody was woken.

my $handlers = <<'SQL';
CREATE FUNCTION hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT 'Hello ' || name $$;
CREATE FUNCTION greet(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('hello', name);
END $$;
CREATE FUNCTION dawdle(seconds int) RETURNS text LANGUAGE sql AS $$ SELECT 'slept' FROM pg_sleep(seconds) $$;
CREATE FUNCTION wait_for(seconds int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('dawdle', seconds);
END $$;
CREATE FUNCTION sleeper() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.sleep('1 second');
	RETURN 'awake';
END $$;
SQL

sub run_one
{
	my ($database, $what) = @_;

	is($node->safe_psql($database,
			"SELECT durable.start('greet', '$what', instance_id => '$what');
			 SELECT runtime_status || ' ' || (output #>> '{}') FROM durable.wait('$what', '45s')"),
		"$what\nCompleted Hello $what", "work runs: $what");
}

# Slow activities in a database, until every one of them runs.
sub occupy
{
	my ($database, $n) = @_;

	$node->safe_psql($database, "SELECT durable.start('wait_for', 1000) FROM generate_series(1, $n)");
	ok($node->poll_query_until($database,
			"SELECT count(*) >= $n FROM pg_stat_activity WHERE backend_type = 'durable worker'
			 AND datname = current_database() AND wait_event = 'PgSleep'"),
		"$n activities sleep in $database");
}

sub timed
{
	my ($database, $sql, $name) = @_;
	my $start = time;

	is($node->psql($database, $sql), 0, $name);
	cmp_ok(time - $start, '<', patience($LIMIT), "$name takes seconds at most");
}

# --- without the extension ---------------------------------------------------------------------------------------------

ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'durable launcher'"), 'a launcher runs');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable coordinator'"),
	'and no coordinator where there is no extension');

# --- the extension comes ------------------------------------------------------------------------------------------------

create_durable($node, 'one');
$node->safe_psql('one', $handlers);
run_one('one', 'first');

create_durable($node, 'two');
$node->safe_psql('two', $handlers);
run_one('two', 'second');

# Besides, one may just be looking whether a database has the extension.
ok($node->poll_query_until('postgres', "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'durable coordinator'",
		'one two'), 'each database has a coordinator');

# A savepoint that was rolled back takes the extension with it.
$node->safe_psql('postgres', 'BEGIN; CREATE EXTENSION durable; ROLLBACK');
is($node->safe_psql('postgres', 'BEGIN; CREATE EXTENSION durable; COMMIT; SELECT count(*) FROM durable.instances'), '0', 'created in a transaction');
$node->safe_psql('postgres', $handlers);
run_one('postgres', 'third');
$node->safe_psql('postgres', 'DROP EXTENSION durable CASCADE');

# --- who works ----------------------------------------------------------------------------------------------------------

$node->safe_psql('one', 'CREATE ROLE ann LOGIN; SELECT durable.grant_usage($$ann$$); GRANT CREATE ON SCHEMA public TO ann');
$node->safe_psql('one', "SET SESSION AUTHORIZATION ann;
	CREATE FUNCTION who() RETURNS text LANGUAGE sql AS 'SELECT current_user || '' '' || session_user || '' '' || current_setting(''is_superuser'')';
	CREATE FUNCTION ask() RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN durable.call_activity(''who''); END'");
is($node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT durable.start('ask', instance_id => 'ask');
		SELECT output #>> '{}' FROM durable.wait('ask')"), "ask\nann ann off", 'a worker is its owner, and only that');

# --- workers leave and come back ------------------------------------------------------------------------------------------

ok($node->poll_query_until('one', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable worker'"),
	'idle workers leave');
run_one('one', 'fourth');

$node->safe_psql('one', "SELECT durable.start('sleeper', instance_id => 'sleeper')");
$node->safe_psql('one', "SELECT durable.start('greet', 'later', instance_id => 'later', start_at => now() + interval '2 seconds')");
is($node->safe_psql('one', "SELECT output #>> '{}' FROM durable.wait('later', '45s')"), 'Hello later', 'a start in the future');
is($node->safe_psql('one', "SELECT output #>> '{}' FROM durable.wait('sleeper', '45s')"), 'awake', 'a timer');
is($node->safe_psql('one', "SELECT count(*) FROM durable.instances
		WHERE instance_id = 'later' AND completed_time - created_time > interval '@{[ 2 + patience(0.5) ]} seconds'"), '0',
	'a timer fires in time although no worker waited for it');

# --- statements that need us out of the way -------------------------------------------------------------------------------

occupy('one', 2);
timed('one', 'DROP EXTENSION durable CASCADE', 'DROP EXTENSION');
is($node->safe_psql('one', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'durable worker' AND datname = 'one'"),
	'0', 'no worker is left');
ok($node->poll_query_until('one', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable coordinator' AND datname = 'one'"),
	'and no coordinator');
timed('one', 'CREATE EXTENSION durable', 'CREATE EXTENSION again');
run_one('one', 'fifth');

occupy('one', 2);
timed('one', 'BEGIN; DROP EXTENSION durable CASCADE; ROLLBACK', 'DROP EXTENSION rolled back');
run_one('one', 'sixth');

timed('postgres', 'ALTER DATABASE one RENAME TO uno', 'ALTER DATABASE RENAME');
run_one('uno', 'seventh');
ok($node->poll_query_until('uno', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'"),
	'what was interrupted runs again');

my $tablespace = PostgreSQL::Test::Utils::tempdir;
timed('postgres', "CREATE TABLESPACE elsewhere LOCATION '$tablespace'", 'CREATE TABLESPACE');
timed('postgres', 'ALTER DATABASE uno SET TABLESPACE elsewhere', 'ALTER DATABASE SET TABLESPACE');
run_one('uno', 'eighth');

timed('postgres', 'CREATE DATABASE copy TEMPLATE uno', 'CREATE DATABASE with our database as template');
run_one('uno', 'ninth');

# A statement that fails leaves the engine running.
isnt($node->psql('postgres', 'ALTER DATABASE uno RENAME TO two'), 0, 'ALTER DATABASE fails');
run_one('uno', 'tenth');

# Nobody else can stop workers.
$node->safe_psql('uno', "SELECT durable.start('wait_for', 1000, instance_id => 'undisturbed')");
$node->poll_query_until('uno', "SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'");
my $busy = "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'";
my $before = $node->safe_psql('uno', $busy);
isnt($node->psql('postgres', 'SET SESSION AUTHORIZATION ann; DROP DATABASE uno'), 0, 'who may not drop the database');
isnt($node->psql('uno', 'SET SESSION AUTHORIZATION ann; DROP EXTENSION durable'), 0, 'or the extension');
is($node->safe_psql('uno', $busy), $before, 'does not disturb its workers');

# --- a copy ------------------------------------------------------------------------------------------------------------------

ok($node->poll_query_until('copy', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'durable coordinator' AND datname = 'copy'"),
	'a copy gets a coordinator');
ok($node->poll_query_until('copy', "SELECT NOT ok FROM durable.doctor() WHERE check_name = 'identity'"), 'doctor says that it is a copy');
is($node->safe_psql('copy', "SELECT durable.start('greet', 'copied', instance_id => 'copied');
		SELECT runtime_status FROM durable.wait('copied', '2s')"), "copied\nPending", 'its workflows do not run');
is($node->safe_psql('copy', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'durable worker' AND datname = 'copy'"), '0', 'nobody works there');
ok($node->wait_for_log(qr/workflows of this database do not run because it is a copy/), 'the log says so');
$node->safe_psql('copy', 'SELECT durable.adopt()');
is($node->safe_psql('copy', "SELECT output #>> '{}' FROM durable.wait('copied', '45s')"), 'Hello copied', 'until it is adopted');

# --- going -------------------------------------------------------------------------------------------------------------------

occupy('two', 1);
timed('postgres', 'DROP DATABASE two', 'DROP DATABASE');
timed('postgres', 'DROP DATABASE copy WITH (FORCE)', 'DROP DATABASE WITH (FORCE)');
run_one('uno', 'eleventh');

my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', patience($LIMIT), 'fast shutdown takes seconds at most');
$node->start;
run_one('uno', 'twelfth');
ok($node->poll_query_until('uno', "SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep'"),
	'the activities run again after the restart');
$start = time;
$node->stop('immediate');
$node->start;
run_one('uno', 'thirteenth');

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal (?!9)/, 'nothing crashed');
$node->stop('fast');
done_testing();
