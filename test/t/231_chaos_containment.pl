# Code that takes the server down, each time it runs: the server is stable again after two crashes, who is to
# blame has failed or is suspended, and nobody else is.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 5
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
my $library = compile_library('crashing');

$node->start;
create_durable($node, 'postgres');
install_chaos($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE ROLE culprit LOGIN;
SELECT durable.grant_usage('culprit');
CREATE SCHEMA crashing;
GRANT USAGE ON SCHEMA crashing TO culprit;
CREATE FUNCTION crashing.segfault() RETURNS int LANGUAGE c AS '$library', 'crashing_segfault';
CREATE FUNCTION crashing.abort() RETURNS int LANGUAGE c AS '$library', 'crashing_abort';
CREATE FUNCTION crashing.oom() RETURNS int LANGUAGE c AS '$library', 'crashing_oom';
CREATE FUNCTION crashing.exit(status int) RETURNS int LANGUAGE c AS '$library', 'crashing_exit';
CREATE FUNCTION crashing.good_bye() RETURNS boolean LANGUAGE sql AS 'SELECT pg_terminate_backend(pg_backend_pid()) AND pg_sleep(10) IS NULL';
CREATE FUNCTION crashing.deep(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN crashing.deep(n + 1); END';
CREATE FUNCTION crashing.big() RETURNS text LANGUAGE sql AS 'SELECT repeat(repeat(''x'', 1000000), 2000)';
SELECT durable.register_activity('inline ' || f, ('crashing.' || f || '()')::regprocedure, execution => 'inline'),
	durable.register_activity('task ' || f, ('crashing.' || f || '()')::regprocedure, execution => 'task')
FROM unnest('{segfault,abort,oom,good_bye}'::text[]) f;
-- It has done something, and notices that it did not get any further.
CREATE FUNCTION crashing.try(activity text, input jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.call_activity('chaos.note', chaos.a_note('before', 1));
	BEGIN
		PERFORM durable.call_activity(activity, input);
	EXCEPTION WHEN OTHERS THEN
		RETURN 'failed with ' || SQLSTATE;
	END;
	RETURN 'survived';
END \$\$;
CREATE FUNCTION crashing.after_six() RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1..6 LOOP
		PERFORM durable.call_activity('chaos.note', chaos.a_note('before' || i, 1));
	END LOOP;
	RETURN crashing.segfault();
END \$\$;
CREATE FUNCTION crashing.in_turn() RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.call_activity('chaos.note', chaos.a_note('before', 1));
	RETURN crashing.segfault();
END \$\$;
SQL

my $from = 1;

# contained(what, orchestration, input, expected, crashes): it ends as expected, and others do not notice.
sub contained
{
	my ($what, $orchestration, $input, $expected, $limit) = @_;
	my $before = crashes();
	my $start = time;

	# The start is the last thing that can be said for sure.
	start_many($node, 'postgres', $from, $from + 39);
	$from += 40;
	$node->psql('postgres', "BEGIN; SET LOCAL ROLE culprit; SELECT durable.start('$orchestration', $input, '$what'); COMMIT");
	ok($node->poll_query_until('postgres', "SELECT runtime_status IN ('Completed', 'Failed', 'Suspended') FROM durable.instances WHERE instance_id = '$what'"), "$what: it comes to an end");
	like($node->safe_psql('postgres', "SELECT concat_ws(' ', runtime_status, output #>> '{}', (SELECT suspend_reason FROM durable.instance d WHERE d.instance_id = i.instance_id))
		FROM durable.instances i WHERE instance_id = '$what'"), $expected, "$what: who is to blame is blamed");
	cmp_ok(crashes() - $before, '<=', $limit, "$what: " . (crashes() - $before) . ' crashes');
	ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instance WHERE status IN ('P', 'R') AND name !~ 'crashing')"), "$what: all others end");
	note(sprintf '%s: %.1f s', $what, time - $start);
	return;
}

contained('segfault in a task', 'crashing.try', q{'{"activity": "task segfault"}'::jsonb}, qr/^Completed failed with 57P02$/, 2);
contained('segfault inline', 'crashing.try', q{'{"activity": "inline segfault"}'::jsonb}, qr/^Completed failed with 57P02$/, 2);
contained('segfault in a turn', 'crashing.in_turn', 'NULL', qr/^Suspended its process or the server repeatedly terminated while it ran$/, 2);
contained('segfault after six steps', 'crashing.after_six', 'NULL', qr/^Suspended its process or the server repeatedly terminated while it ran$/, 2);
contained('abort in a task', 'crashing.try', q{'{"activity": "task abort"}'::jsonb}, qr/^Completed failed with 57P02$/, 2);
contained('out of memory inline', 'crashing.try', q{'{"activity": "inline oom"}'::jsonb}, qr/^Completed failed with 57P02$/, 2);
contained('endless recursion', 'crashing.try', q{'{"activity": "crashing.deep", "input": 1}'::jsonb}, qr/^Completed failed with 54001$/, 0);
contained('too large', 'crashing.try', q{'{"activity": "crashing.big"}'::jsonb}, qr/^Completed failed with 54000$/, 0);

# The culprits' first steps are done once, too.
$node->safe_psql('postgres', "DELETE FROM chaos.effect WHERE instance_id IN (SELECT instance_id FROM durable.instance WHERE name LIKE 'crashing%') AND step ~ '^before'");
is($node->safe_psql('postgres', "SELECT instance_id, count(*) FROM chaos.effect f JOIN durable.instance i USING (instance_id) WHERE name LIKE 'crashing%' GROUP BY 1"), '', 'of the culprits only first steps are left');
$node->safe_psql('postgres', "SELECT durable.terminate(instance_id) FROM durable.instances WHERE runtime_status = 'Suspended'");
wait_until_ended($node, 'postgres', 'everything has ended');
$node->safe_psql('postgres', "SELECT durable.purge(instance_id) FROM durable.instances WHERE name LIKE 'crashing%'");
violations_are($node, 'postgres', '', 'and nothing is wrong with the others');

# With the culprits gone the server goes on as if nothing had been.
my $before = crashes();
start_many($node, 'postgres', $from, $from + 50);
wait_until_ended($node, 'postgres', 'new work is done');
is(crashes(), $before, 'without a crash');
$node->stop('fast');
done_testing();

sub crashes
{
	my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal|exited with exit code [^01]/g;

	return $crashes;
}
