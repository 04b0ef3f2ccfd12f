# What a workflow costs, in units that do not depend on the machine: statements, rows written, bytes of log, commits.
# A change that makes one of them grow is noticed here and not in a benchmark. Rows and bytes: what was measured when the
# bound was set, and a tenth. Statements and commits for a workflow have more room, because a busy machine cuts batches short;
# what these bounds catch is a commit for each workflow, or expressions of PL/pgSQL that have become queries. So have the rows
# of workflows with several activities, which are written once more when the batch ends in the middle of them. Statements for
# a commit, which hardly depend on that, have a quarter. Whoever makes the engine cheaper lowers the bounds,
# whoever has a reason to make it dearer says so where he raises them.
#
# Everything runs in durable.drain, in one process. Autovacuum and full-page images are off: when they happen is chance.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $WORKFLOWS = 2000;

# For one workflow, or what the line says: at most so many, on average. (not_hot of a second update was 0.1 before rows became a
# third smaller and pages were filled so far that a sleeper takes 700 bytes: more rows share a page, and third versions do not
# always find room on it. Seen were 0.13 to 0.23, as the batches of two workers happen to fall on pages. Instances that complete
# in one unit share a row of durable.finished: 8 bytes of log for each of them.)
# A start has 8 bytes of log more since the index on ids has the owner, too, and 90 less without an index on the name.
# No coordinator runs, because it is chance when it adds up durable.tally.
my %BOUNDS = (
	one_activity => {
		start => { statements => 0.02, inserted => 2.01, updated => 0, deleted => 0, wal => 586 },
		run => { statements => 0.2, statements_a_commit => 0.8, inserted => 2.06, updated => 1.03, not_hot => 0.15, deleted => 1.03, wal => 744, commits => 0.2 },
	},
	five_activity => {
		start => { statements => 0.02, inserted => 2.01, updated => 0, deleted => 0, wal => 586 },
		run => { statements => 2, statements_a_commit => 6, inserted => 1.2, updated => 1.15, not_hot => 0.15, deleted => 1.15, wal => 854, commits => 0.2 },
	},
	fan_out => {	# for an activity of 100
		run => { statements => 0.1, inserted => 0.05, updated => 0.05, not_hot => 0.05, deleted => 0.05, wal => 26, commits => 0.05 },
	},
	wait_for_event => {
		run => { statements => 0.5, statements_a_commit => 0.5, inserted => 1.1, updated => 1.03, not_hot => 0.1, deleted => 1.03, wal => 516, commits => 0.2 },
		raise => { statements => 0.02, inserted => 1.01, updated => 0, deleted => 0, wal => 233 },
		wake => { statements => 0.5, statements_a_commit => 0.5, inserted => 2.06, updated => 1.03, not_hot => 0.3, deleted => 1.03, wal => 820, commits => 0.2 },
	},
	sleeper => {
		run => { statements => 0.5, statements_a_commit => 0.5, inserted => 2.06, updated => 1.03, not_hot => 0.1, deleted => 1.03, wal => 668, commits => 0.2 },
		wake => { statements => 1.4, statements_a_commit => 29, inserted => 1.1, updated => 1.03, not_hot => 0.3, deleted => 1.03, wal => 642, commits => 0.2 },
	},
	start_alone => {	# each with its own commit
		start => { statements => 0.02, inserted => 3.01, updated => 0, deleted => 0, wal => 754, commits => 1.05 },
	},
);

# A sleeping instance on disk, all tables and indexes; 686 to 690 bytes were seen, where batches fall on pages as they do in one process.
my $SLEEPERS = 20000;
my $BYTES_ASLEEP = 700;

my $node = new_node('main', conf => <<'CONF');
shared_preload_libraries = 'durable, pg_stat_statements'
pg_stat_statements.track = all
pg_stat_statements.max = 5000
durable.testing = on
durable.enabled = off
durable.inline_limit = '10 s'
autovacuum = off
full_page_writes = off
checkpoint_timeout = '1 h'
CONF

# The contributed modules are packaged apart in places.
my $counts_statements = have_statements();
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'durable'") unless $counts_statements;

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements') if $counts_statements;
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION bump(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n + 1; END';
SELECT durable.register_activity('bump', 'bump(int)', execution => 'inline');
CREATE FUNCTION one_activity(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('bump', n);
END $$;
CREATE FUNCTION five_activity(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..5 LOOP
		n := durable.call_activity('bump', n);
	END LOOP;
	RETURN n;
END $$;
CREATE FUNCTION fan_out(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1..100 LOOP
		tasks := tasks || durable.schedule_activity('bump', i);
	END LOOP;
	RETURN cardinality(durable.when_all(VARIADIC tasks));
END $$;
CREATE FUNCTION wait_for_event(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.wait_for_external_event('go');
END $$;
CREATE FUNCTION sleeper(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.sleep('1 day');
	RETURN n;
END $$;
SQL

sub have_statements
{
	my ($libdir) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);

	return -e "$libdir/pg_stat_statements.so";
}

# Sessions hand their counters in when they end, which is a little later than their psql does.
sub counted
{
	my ($query) = @_;

	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	return $node->safe_psql('postgres', $query);
}

# All counters there are; each step is a session of its own.
sub counters
{
	my ($statements, $wal, $commits) = (0);

	$statements = counted('SELECT sum(calls) FROM pg_stat_statements WHERE NOT toplevel')
		if $counts_statements;
	my ($inserted, $updated, $not_hot, $deleted) = split /\|/, counted(
		"SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_upd - n_tup_hot_upd),
			sum(n_tup_del) FILTER (WHERE relname NOT IN ('tally', 'name_range'))
		 FROM pg_stat_user_tables WHERE schemaname = 'durable'");
	($wal, $commits) = split /\|/, counted(
		"SELECT pg_current_wal_insert_lsn() - '0/0', xact_commit FROM pg_stat_database WHERE datname = 'postgres'");
	return { statements => $statements, inserted => $inserted, updated => $updated, not_hot => $not_hot,
		deleted => $deleted, wal => $wal, commits => $commits };
}

sub cost
{
	my ($sql, $units) = @_;
	my $before = counters();

	$node->safe_psql('postgres', $sql);
	my $after = counters();
	my %cost = map { $_ => ($after->{$_} - $before->{$_}) / $units } keys %$after;
	$cost{statements_a_commit} = $cost{statements} / $cost{commits};
	return \%cost;
}

sub check
{
	my ($orchestration, $step, $sql, $units) = @_;
	my $bounds = $BOUNDS{$orchestration}{$step};
	my $cost = cost($sql, $units // $WORKFLOWS);

	for my $what (sort keys %$bounds)
	{
	  SKIP:
		{
			skip 'pg_stat_statements is not installed', 1 if $what =~ /^statements/ && !$counts_statements;
			cmp_ok($cost->{$what}, '<=', $bounds->{$what}, "$orchestration, $step: $what");
		}
	}
	note("$orchestration, $step, for each workflow: " . join ', ', map { sprintf '%s %.3f', $_, $cost->{$_} } sort keys %$cost);
	return;
}

my $DRAIN = "CALL durable.drain('1 min')";

sub start
{
	my ($orchestration, $n) = @_;

	return "SELECT count(durable.start('$orchestration', i)) FROM generate_series(1, $n) i";
}

# Plans, compiled functions and the tables' first pages are nobody's cost.
sub warm_up
{
	my ($orchestration, $n) = @_;

	$node->safe_psql('postgres', start($orchestration, $n));
	$node->safe_psql('postgres', $DRAIN);
	return;
}

sub count_of
{
	my ($orchestration, $status) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM durable.instances WHERE name = 'public.$orchestration' AND runtime_status = '$status'");
}

for my $orchestration ('one_activity', 'five_activity')
{
	warm_up($orchestration, 100);
	check($orchestration, 'start', start($orchestration, $WORKFLOWS));
	check($orchestration, 'run', $DRAIN);
	is(count_of($orchestration, 'Completed'), $WORKFLOWS + 100, "$orchestration: all of them are completed");
}

warm_up('fan_out', 2);
$node->safe_psql('postgres', start('fan_out', 20));
check('fan_out', 'run', $DRAIN, 20 * 100);
is(count_of('fan_out', 'Completed'), 22, 'fan_out: all of them are completed');

check('start_alone', 'start', join('; ', ("SELECT durable.start('one_activity', 1)") x 500), 500);
$node->safe_psql('postgres', $DRAIN);

$node->safe_psql('postgres', start('wait_for_event', $WORKFLOWS));
check('wait_for_event', 'run', $DRAIN);
check('wait_for_event', 'raise', "SELECT count(durable.raise_event(instance_id, 'go', 1)) FROM durable.instances WHERE name = 'public.wait_for_event'");
check('wait_for_event', 'wake', $DRAIN);
is(count_of('wait_for_event', 'Completed'), $WORKFLOWS, 'wait_for_event: all of them are completed');

# Sleeping: what it takes to get there, what it takes meanwhile, and what it takes to wake.
sub bytes
{
	$node->safe_psql('postgres', 'VACUUM');
	return $node->safe_psql('postgres',
		"SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'durable'::regnamespace AND relkind IN ('r', 'i')");
}

my $bytes = bytes();
$node->safe_psql('postgres', start('sleeper', $SLEEPERS));
check('sleeper', 'run', $DRAIN, $SLEEPERS);
$bytes = (bytes() - $bytes) / $SLEEPERS;
cmp_ok($bytes, '<=', $BYTES_ASLEEP, 'sleeper: bytes on disk');
note("a sleeping instance: $bytes bytes");
check('sleeper', 'wake', "SELECT durable.advance_clock('2 days'); $DRAIN", $SLEEPERS);
is(count_of('sleeper', 'Completed'), $SLEEPERS, 'sleeper: all of them are completed');

# A step of a long burst costs what one of a short burst does, with effects and without: rows written, and rows of the
# history read again. Turns: without effects many steps are one turn, the more the longer the history is. (With effects
# each step is a turn here; the companion, which saves the replays, needs a worker.)
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE effect (n int);
CREATE FUNCTION write(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.effect VALUES (n); RETURN n + 1; END';
SELECT durable.register_activity('write', 'write(int)', execution => 'inline');
CREATE FUNCTION steps(steps int, activity text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	n int := 0;
BEGIN
	FOR i IN 1 .. steps LOOP
		n := durable.call_activity(activity, n);
	END LOOP;
	RETURN n;
END $$;
SQL

sub burst
{
	my ($steps, $activity) = @_;
	my $read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE schemaname = 'durable' AND relname = 'history'";
	my $before = counted($read);

	$node->safe_psql('postgres', "SELECT durable.start('steps', jsonb_build_array($steps, '$activity')); CALL durable.drain('10 min')");
	my ($turns, $rows) = split /\|/, $node->safe_psql('postgres', "SELECT turns, (SELECT count(*) FROM durable.history h WHERE h.key = i.key)
		FROM durable.instance i ORDER BY key DESC LIMIT 1");
	my $cost = { turns => $turns / $steps, rows => $rows / $steps, read => (counted($read) - $before) / $steps };

	note("$steps steps of $activity, for each step: " . join ', ', map { sprintf '%s %.3f', $_, $cost->{$_} } sort keys %$cost);
	return $cost;
}

# A busy machine makes a piece end early; a turn for each step is ten times as many as this.
for my $steps (1000, 4000)
{
	my $cost = burst($steps, 'bump');

	cmp_ok($cost->{turns}, '<', 0.1, "$steps steps without effects: turns");
	cmp_ok($cost->{rows}, '<', 0.1, "$steps steps without effects: rows of the history");
	cmp_ok($cost->{read}, '<', 0.1, "$steps steps without effects: rows of the history that are read");
}
for my $steps (500, 1500)
{
	my $cost = burst($steps, 'write');

	# One for each batch: a fifth on a quiet machine, a third on a busy one, and as many as steps if each were stored alone.
	cmp_ok($cost->{rows}, '<', 0.7, "$steps steps with effects: rows of the history");
	cmp_ok($cost->{read}, '<', 0.7, "$steps steps with effects: rows of the history that are read");
}

$node->stop('fast');
done_testing();
