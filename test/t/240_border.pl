# What user code takes, sends, raises and leaves behind, with real workers: advisory locks are held until the effects that they
# protect are visible, no notification is lost, an error that says nothing about the code uses up no attempt and every other
# one does, and a role without LOGIN has no workers.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.recheck_interval = 1s
fsync = off
CONF
my $stderr;
$node->start;
create_durable($node, 'postgres');

# --- advisory locks ---------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE counter (kind text, n int);
CREATE FUNCTION increment(kind text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	seen int;
BEGIN
	IF kind LIKE 'session%' THEN
		PERFORM pg_advisory_lock(hashtext(kind));
	ELSE
		PERFORM pg_advisory_xact_lock(hashtext(kind));
	END IF;
	SELECT n INTO seen FROM counter c WHERE c.kind = increment.kind;
	UPDATE counter c SET n = seen + 1 WHERE c.kind = increment.kind;
	RETURN seen + 1;
END $$;
SELECT durable.register_activity('increment inline', 'increment(text)', execution => 'inline'),
	durable.register_activity('increment as a task', 'increment(text)', execution => 'task');
CREATE FUNCTION increments(activity text, kind text) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN durable.call_activity(activity, kind); END';
SQL
foreach my $kind ('transaction', 'session')
{
	foreach my $how ('inline', 'as a task')
	{
		$node->safe_psql('postgres', qq{
			INSERT INTO counter VALUES ('$kind $how', 0);
			SELECT durable.start('increments', jsonb_build_array('increment $how', '$kind $how'), '$kind $how ' || i) FROM generate_series(1, 200) i});
		ok($node->poll_query_until('postgres', qq{SELECT count(*) = 200 FROM durable.instances WHERE instance_id LIKE '$kind $how %' AND runtime_status = 'Completed'}),
			"$kind locks, $how: all have completed");
		is($node->safe_psql('postgres', "SELECT n FROM counter WHERE kind = '$kind $how'"), 200, "$kind locks, $how: no update is lost");
	}
}
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'durable worker')}),
	'no lock is left in the end');

# --- notifications ----------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION tell() RETURNS void LANGUAGE sql AS $$ SELECT pg_notify('news', 'the same') $$;
SELECT durable.register_activity('tell inline', 'tell()', execution => 'inline'),
	durable.register_activity('tell as a task', 'tell()', execution => 'task');
CREATE FUNCTION tells(activity text, times int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..times LOOP
		PERFORM durable.call_activity(activity);
	END LOOP;
END $$;
CREATE FUNCTION tells_at_once(activity text, times int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1..times LOOP
		tasks := tasks || durable.schedule_activity(activity);
	END LOOP;
	PERFORM durable.when_all(VARIADIC tasks);
END $$;
SQL

# notifications(id, SQL that starts N instances 'id 1' ...): how many arrive in a session that listens.
sub notifications
{
	my ($id, $count, $start) = @_;
	my $out = $node->safe_psql('postgres', qq{
		LISTEN news;
		$start;
		SELECT count(*) FROM generate_series(1, $count) i, durable.wait('$id ' || i, '3 min') w WHERE w.runtime_status = 'Completed';
		SELECT 'listened';
		SELECT 'listened once more'});
	my $arrived = () = $out =~ /Asynchronous notification "news" with payload "the same"/g;

	return $arrived;
}
foreach my $activity ('tell inline', 'tell as a task')
{
	is(notifications("many $activity", 200, qq{SELECT count(durable.start('tells', '["$activity", 1]'::jsonb, 'many $activity ' || i)) FROM generate_series(1, 200) i}),
		200, "$activity: of 200 instances each has its notification");
	is(notifications("$activity", 5, qq{SELECT count(durable.start('tells', '["$activity", 10]'::jsonb, '$activity ' || i)) FROM generate_series(1, 5) i}),
		50, "$activity: each call in a series has its notification");
	is(notifications("$activity at once", 1, qq{SELECT durable.start('tells_at_once', '["$activity", 30]'::jsonb, '$activity at once 1')}),
		30, "$activity: each call of those at once has its notification");
}

# --- whose error it is ------------------------------------------------------------------------------------------------------

my $library = compile_library('crashing');

# The first so many calls raise an error as if it came from that source file of the server; no retry policy.
$node->safe_psql('postgres', <<SQL . <<'SQL');
CREATE FUNCTION raise_from(sqlstate text, file text) RETURNS void LANGUAGE c STRICT AS '$library', 'crashing_raise_from';
SQL
CREATE FUNCTION trouble(what text, sqlstate text, file text, times int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF nextval(what::regclass) <= times THEN
		PERFORM raise_from(sqlstate, file);
	END IF;
	RETURN 'done';
END $$;
SELECT durable.register_activity('trouble inline', 'trouble(text,text,text,int)', execution => 'inline'),
	durable.register_activity('trouble as a task', 'trouble(text,text,text,int)', execution => 'task');
CREATE FUNCTION troubled(activity text, input jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT durable.call_activity(activity, input)';
SQL
my $number = 0;
foreach my $case (
	[ '53100', 'md.c', 2, 'Completed 3', 'a full disk' ],
	[ '53100', 'fd.c', 2, 'Completed 3', 'a full disk for a temporary file' ],
	[ '53100', 'copyto.c', 2, 'Failed 1', 'a full disk for what COPY TO writes' ],
	[ '53400', 'fd.c', 2, 'Failed 1', 'temp_file_limit' ],
	[ '58030', 'md.c', 2, 'Completed 3', 'an input error' ],
	[ '58P01', 'genfile.c', 2, 'Failed 1', 'a file that pg_read_file does not find' ],
	[ '40P01', 'deadlock.c', 2, 'Completed 3', 'a deadlock' ],
	[ '40001', 'nodeModifyTable.c', 2, 'Completed 3', 'a row that has changed' ],
	[ '40001', 'connection.c', 2, 'Completed 3', 'a conflict of a foreign server' ],
	[ '40P01', 'plpy_elog.c', 1000, 'Failed 6', 'a deadlock that comes again and again through another language' ],
	[ '57014', 'dblink.c', 2, 'Failed 1', 'a cancel of a foreign server' ],
	[ '57014', 'postgres.c', 2, 'Completed 3', 'a cancel' ],
	[ 'XX002', 'nbtpage.c', 2, 'Completed 3', 'a broken index' ],
	[ 'XX002', 'verify_nbtree.c', 2, 'Failed 1', 'a broken index that amcheck has found' ],
	[ '23505', 'nbtinsert.c', 2, 'Failed 1', 'a duplicate key' ])
{
	my ($sqlstate, $file, $times, $expected, $what) = @$case;

	foreach my $activity ('trouble inline', 'trouble as a task')
	{
		my $sequence = 'trouble_' . ++$number;

		$node->safe_psql('postgres', qq{
			CREATE SEQUENCE $sequence;
			SELECT durable.start('troubled', jsonb_build_object('activity', '$activity', 'input', jsonb_build_array('$sequence', '$sqlstate', '$file', $times)), '$sequence')});
		is($node->safe_psql('postgres', qq{
			SELECT runtime_status || ' ' || (SELECT last_value FROM $sequence) FROM durable.wait('$sequence', '3 min')}),
			$expected, "$activity: $what");
	}
}

# Two activities that lock the same rows in opposite orders. Whoever is the victim is run again, without a retry policy.
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION plpython3u;
CREATE TABLE pair (n int PRIMARY KEY, updates int DEFAULT 0);
INSERT INTO pair VALUES (1), (2);
CREATE FUNCTION updates_pair(a int, b int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE pair SET updates = updates + 1 WHERE n = a;
	PERFORM pg_sleep(0.5);
	UPDATE pair SET updates = updates + 1 WHERE n = b;
END $$;
CREATE FUNCTION updates_pair_in_python(a int, b int) RETURNS void LANGUAGE plpython3u AS $$
plpy.execute("UPDATE pair SET updates = updates + 1 WHERE n = %d" % a)
plpy.execute("SELECT pg_sleep(0.5)")
plpy.execute("UPDATE pair SET updates = updates + 1 WHERE n = %d" % b)
$$;
SELECT durable.register_activity('pair in plpgsql', 'updates_pair(int,int)', execution => 'task'),
	durable.register_activity('pair in plpython3u', 'updates_pair_in_python(int,int)', execution => 'task');
SQL
foreach my $language ('plpgsql', 'plpython3u')
{
	my $deadlocks = $node->safe_psql('postgres', 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()');

	$node->safe_psql('postgres', qq{
		UPDATE pair SET updates = 0;
		SELECT durable.start('troubled', jsonb_build_object('activity', 'pair in $language', 'input', jsonb_build_array(n, 3 - n)), '$language ' || n) FROM pair});
	ok($node->poll_query_until('postgres', qq{SELECT count(*) = 2 FROM durable.instances WHERE instance_id LIKE '$language _' AND runtime_status IN ('Completed', 'Failed')}),
		"$language: both come to an end");
	is($node->safe_psql('postgres', qq{SELECT string_agg(runtime_status, ' ') FROM durable.instances WHERE instance_id LIKE '$language _'}),
		'Completed Completed', "$language: a deadlock fails neither");
	is($node->safe_psql('postgres', 'SELECT string_agg(updates::text, $$ $$) FROM pair'), '2 2', "$language: both took effect once");
	ok($node->poll_query_until('postgres', "SELECT deadlocks > $deadlocks FROM pg_stat_database WHERE datname = current_database()"),
		"$language: there was a deadlock");
}

# --- what an error leaves ---------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION inner_fails(x text) RETURNS text LANGUAGE plpython3u AS $$
def inner(x):
    raise ValueError("a value of %d characters" % len(x))
inner(x)
$$;
CREATE FUNCTION quotes(x text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no good: %', x; END $$;
CREATE FUNCTION number(n int, m int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT n';
SELECT durable.register_activity('in Python', 'inner_fails(text)', execution => 'task');
CREATE FUNCTION calls_it(how text, x text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	CASE how
		WHEN 'executes' THEN EXECUTE format('SELECT durable.call_activity(%L, %L)', 'quotes', x);
		WHEN 'logs' THEN PERFORM durable.log(x);
		WHEN 'raises' THEN RAISE EXCEPTION 'no good: %', x;
		WHEN 'number' THEN PERFORM durable.call_sub_orchestrator(how, x);
		ELSE PERFORM durable.call_activity(how, x);
	END CASE;
	RETURN NULL;
END $$;
SELECT durable.start('calls_it', jsonb_build_array(how, repeat('x', 3000000)), 'big ' || how)
FROM unnest('{in Python,quotes,executes,logs,raises,number}'::text[]) how;
SQL
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM durable.instances WHERE instance_id LIKE 'big %' AND runtime_status NOT IN ('Completed', 'Failed')}), 'all have ended');
like($node->safe_psql('postgres', q{SELECT failure ->> 'context' FROM durable.status('big in Python')}),
	qr/Traceback \(most recent call last\):.*PL\/Python function "inner_fails", line 4, in <module>\s+inner\(x\).*line 3, in inner/s, 'the traceback is in the failure');
is($node->safe_psql('postgres', q{SELECT max(length(failure::text)) < 20000 FROM durable.instances WHERE instance_id LIKE 'big %'}), 't', 'failures are of bounded size');
foreach my $statement (
	q{durable.start('number', repeat('x', 3000000))}, q{durable.start('number', jsonb_build_object(repeat('x', 3000000), 1))},
	q{durable.start(repeat('x', 3000000))}, q{durable.start('number', 1, on_conflict => repeat('x', 3000000))},
	q{durable.start('number', 1, version => repeat('x', 3000000))}, q{durable.start('number', 1, repeat('x', 3000000))},
	q{durable.register_activity('x', 'number(int,int)', execution => repeat('x', 3000000))},
	q{durable.register_activity(repeat('x', 3000000), 'number(int,int)')}, q{durable.register_activity('x', repeat('x', 3000000))},
	q{durable.raise_event(repeat('x', 3000000), 'x')}, q{durable.raise_event('x', repeat('x', 3000000))},
	q{durable.retry(non_retryable => ARRAY[repeat('x', 3000000)])},
	q{durable.purge_history('1 day', ARRAY[repeat('x', 3000000)])}, q{durable.purge(repeat('x', 3000000))})
{
	(undef, undef, $stderr) = $node->psql('postgres', "SELECT $statement");
	like($stderr, qr/ERROR/, "refused: $statement");
}
is(scalar(grep { length > 8000 } split /\n/, slurp_file($node->logfile)), 0, 'the log quotes no value of megabytes');

# --- isolation --------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE strict LOGIN;
ALTER ROLE strict SET default_transaction_isolation TO 'serializable';
SELECT durable.grant_usage('strict');
GRANT CREATE ON SCHEMA public TO strict;
SET ROLE strict;
CREATE FUNCTION isolation() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('transaction_isolation') $$;
SELECT durable.register_activity('isolation inline', 'isolation()', execution => 'inline'),
	durable.register_activity('isolation as a task', 'isolation()', execution => 'task');
CREATE FUNCTION tells_isolation() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(', ', durable.call_activity('isolation inline')::text, durable.call_activity('isolation as a task')::text) $$;
SELECT durable.start('tells_isolation', NULL, 'isolation');
SQL
is($node->safe_psql('postgres', q{SELECT output #>> '{}' FROM durable.wait('isolation', '1 min')}), '"read committed", "read committed"',
	'activities run in READ COMMITTED, whatever the default of their role is');

# --- LOGIN ------------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE suspended LOGIN;
SELECT durable.grant_usage('suspended');
GRANT CREATE ON SCHEMA public TO suspended;
SET ROLE suspended;
CREATE TABLE beat (n int, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION beat(n int) RETURNS void LANGUAGE sql AS 'INSERT INTO beat VALUES (n)';
CREATE FUNCTION beats() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..100000 LOOP
		PERFORM durable.call_activity('beat', i);
		PERFORM durable.sleep('10 ms');
	END LOOP;
END $$;
SELECT durable.start('beats', NULL, 'beats');
SQL
ok($node->poll_query_until('postgres', 'SELECT count(*) > 3 FROM beat'), 'workflows of the role run');
$node->safe_psql('postgres', 'ALTER ROLE suspended NOLOGIN');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'durable%' AND usename = 'suspended'
	AND NOT EXISTS (SELECT FROM durable.workers WHERE owner = 'suspended'::regrole)}),
	'without LOGIN the role loses its workers');
my $beats = $node->safe_psql('postgres', 'SELECT count(*) FROM beat');
$node->safe_psql('postgres', 'SELECT pg_sleep(3)');
is($node->safe_psql('postgres', 'SELECT count(*) FROM beat'), $beats, 'and nothing of it runs');
like($node->safe_psql('postgres', q{SELECT detail FROM durable.doctor() WHERE check_name = 'owners'}), qr/suspended is not permitted to log in/, 'the doctor says so');
(undef, undef, $stderr) = $node->psql('postgres', q{SET ROLE suspended; SELECT durable.start('beats')});
like($stderr, qr/role "suspended" cannot own workflows because it cannot log in/, 'it can start nothing');
$node->safe_psql('postgres', 'ALTER ROLE suspended LOGIN');
ok($node->poll_query_until('postgres', "SELECT count(*) > $beats + 3 FROM beat"), 'with LOGIN they go on');

$node->stop;
done_testing();
