# Code that takes the server down is counted although the server commits asynchronously: neither the count nor the row of
# the task that ran is in the WAL on disk when the next crash comes. The WAL writer sleeps as long as it can here.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
synchronous_commit = off
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
durable.max_workers = 4
max_prepared_transactions = 1
durable.retention = '1000 days'
log_line_prefix = '%m [%p] %b '
CONF
my $library = compile_library('crashing');

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE FUNCTION segfault() RETURNS int LANGUAGE c AS '$library', 'crashing_segfault';
SELECT durable.register_activity('inline', 'segfault()', execution => 'inline'),
	durable.register_activity('task', 'segfault()', execution => 'task');
CREATE FUNCTION try(activity text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.call_activity(activity);
	RETURN 'survived';
EXCEPTION WHEN OTHERS THEN
	RETURN 'failed with ' || SQLSTATE;
END \$\$;
CREATE FUNCTION in_turn(n int) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN RETURN segfault(); END \$\$;
-- It has come some way before, which nobody has flushed.
CREATE FUNCTION after_steps(activity text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.sleep('1 ms');
	PERFORM durable.sleep('1 ms');
	RETURN try(activity);
END \$\$;
SQL

# The task of the second crash may be lost with its commit, too. Then the crash counts for the instance, which is suspended.
contained('inline', 'try', '"inline"', qr/^(Completed failed with 57P02|Suspended)$/);
contained('task', 'try', '"task"', qr/^(Completed failed with 57P02|Suspended)$/);
contained('task after steps', 'after_steps', '"task"', qr/^(Completed failed with 57P02|Suspended)$/);
contained('turn', 'in_turn', '1', qr/^Suspended$/);
not_before_the_count();
$node->stop('fast');
done_testing();

# contained(id, orchestration, input, expected): it ends as expected, after no more crashes than durable.max_crashes.
sub contained
{
	my ($id, $orchestration, $input, $expected) = @_;
	my $before = crashes();

	# The start alone is on disk. The first crash may come before the session has ended.
	eval { $node->safe_psql('postgres', "SET synchronous_commit = on; SELECT durable.start('$orchestration', '$input'::jsonb, '$id')"); };
	ended_after_two($id, $before, $expected);
	return;
}

sub ended_after_two
{
	my ($id, $before, $expected) = @_;
	my $deadline = time + 180;
	my $status = '';

	while (crashes() - $before <= 4 && time < $deadline)
	{
		# The server may be just down.
		eval { $status = $node->safe_psql('postgres', "SELECT concat_ws(' ', runtime_status, output #>> '{}') FROM durable.instances WHERE instance_id = '$id'"); };
		last if $status =~ $expected;
		sleep 0.1;
	}
	like($status, $expected, "$id: its crashes are counted");
	is(crashes() - $before, 2, "$id: there are two");
	return;
}

# not_before_the_count(): the coordinator counts late. Until it has, neither the task runs again, nor does its instance add
# it again if it is lost. A prepared transaction has a lock, also after the crash, for which the coordinator waits in its
# step of retention.
sub not_before_the_count
{
	my $before = crashes();

	$node->safe_psql('postgres', "BEGIN; LOCK TABLE durable.finished; PREPARE TRANSACTION 'late'");
	eval { $node->safe_psql('postgres', q{SET synchronous_commit = on; SELECT durable.start('try', '"task"'::jsonb, 'late')}); };
	for (my $i = 0; $i < 1800 && crashes() == $before; $i++) { sleep 0.1; }
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE NOT l.granted AND a.backend_type = 'durable coordinator'});
	note($node->safe_psql('postgres', q{SELECT count(*) FROM durable.task_queue t JOIN durable.instance i USING (key) WHERE i.instance_id = 'late'}),
		' tasks after the crash');
	sleep 1;
	is(crashes() - $before, 1, 'late: nothing of it runs before the crash has been counted');
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'late'});
	ended_after_two('late', $before, qr/^(Completed failed with 57P02|Suspended)$/);
	return;
}

sub crashes
{
	my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal/g;

	return $crashes;
}
