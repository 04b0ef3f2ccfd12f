# What user code takes, sends and leaves behind, with real workers: advisory locks are held until the effects that they protect
# are visible, and a role without LOGIN has no workers.

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
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'durable%' AND usename = 'suspended'}),
	'without LOGIN the role loses its workers');
my $beats = $node->safe_psql('postgres', 'SELECT count(*) FROM beat');
$node->safe_psql('postgres', 'SELECT pg_sleep(3)');
is($node->safe_psql('postgres', 'SELECT count(*) FROM beat'), $beats, 'and nothing of it runs');
like($node->safe_psql('postgres', q{SELECT detail FROM durable.doctor() WHERE check_name = 'owners'}), qr/suspended cannot log in/, 'the doctor says so');
my (undef, undef, $stderr) = $node->psql('postgres', q{SET ROLE suspended; SELECT durable.start('beats')});
like($stderr, qr/role "suspended" cannot own workflows because it cannot log in/, 'it can start nothing');
$node->safe_psql('postgres', 'ALTER ROLE suspended LOGIN');
ok($node->poll_query_until('postgres', "SELECT count(*) > $beats + 3 FROM beat"), 'with LOGIN they go on');

$node->stop;
done_testing();
