# An activity with a transaction of its own whose commit fails, again and again: it is tried until it succeeds, takes effect
# once, and nobody waits for it meanwhile, not even with a single worker.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 1
CONF
my $library = compile_library('crashing');

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE TABLE trouble (cause text);
CREATE TABLE deed (who text, at timestamptz DEFAULT clock_timestamp());
INSERT INTO trouble VALUES ('no room');
CREATE FUNCTION fail_commit() RETURNS void LANGUAGE c AS '$library', 'crashing_fail_commit';
CREATE FUNCTION unlucky() RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO deed VALUES ('unlucky');
	PERFORM fail_commit() FROM trouble;
	RETURN 'at last';
END \$\$;
CREATE FUNCTION lucky(n int) RETURNS int LANGUAGE sql AS 'INSERT INTO deed VALUES (''lucky'') RETURNING n';
SELECT durable.register_activity('unlucky', 'unlucky()', execution => 'task'),
	durable.register_activity('lucky', 'lucky(int)', execution => 'task');
CREATE FUNCTION calls(activity text, n int) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN durable.call_activity(activity, n); END';
SELECT durable.start('calls', '["unlucky", 0]'::jsonb, 'unlucky');
SQL
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM durable.waiting WHERE kind = 'activity'}), 'the activity is queued');
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while slurp_file($node->logfile) !~ /there is no room for this commit/ && time < $deadline;
like(slurp_file($node->logfile), qr/there is no room for this commit/, 'its commit fails');

$node->safe_psql('postgres', q{SELECT durable.start('calls', jsonb_build_array('lucky', n), 'lucky ' || n) FROM generate_series(1, 20) n});
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM generate_series(1, 20) n, durable.wait('lucky ' || n, '20 s') w WHERE w.runtime_status = 'Completed'}),
	20, 'others of the same owner go on');
is($node->safe_psql('postgres', q{SELECT runtime_status, (SELECT count(*) FROM deed WHERE who = 'unlucky') FROM durable.status('unlucky')}),
	'Running|0', 'the unlucky one waits, and has done nothing');
unlike(slurp_file($node->logfile), qr/"durable worker" \(PID \d+\) exited with exit code 1/, 'no worker was lost');

$node->safe_psql('postgres', 'DELETE FROM trouble');
is($node->safe_psql('postgres', q{
	SELECT runtime_status, output FROM durable.wait('unlucky', '90 s')}), 'Completed|"at last"', 'it is tried until it succeeds');
is($node->safe_psql('postgres', q{SELECT count(*) FROM deed WHERE who = 'unlucky'}), 1, 'and took effect once');

$node->stop;
done_testing();
