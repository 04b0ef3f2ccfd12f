# Code that takes the server down is counted although the server commits asynchronously: neither the count nor the row of
# the task that ran is in the WAL on disk when the next crash comes. The WAL writer sleeps as long as it can here.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', conf => <<'CONF');
synchronous_commit = off
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
durable.max_workers = 4
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
$node->stop('fast');
done_testing();

# contained(id, orchestration, input, expected): it ends as expected, after no more crashes than durable.max_crashes.
sub contained
{
	my ($id, $orchestration, $input, $expected) = @_;
	my $before = crashes();
	my $deadline = time + 180;
	my $status = '';

	# The start alone is on disk. The first crash may come before the session has ended.
	eval { $node->safe_psql('postgres', "SET synchronous_commit = on; SELECT durable.start('$orchestration', '$input'::jsonb, '$id')"); };
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

sub crashes
{
	my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal/g;

	return $crashes;
}
