# What a workflow costs, in units that do not depend on the machine: statements, rows written, bytes of log, commits.
# A change that makes one of them grow is noticed here and not in a benchmark. Rows and bytes: what was measured when the
# bound was set, and a tenth. Statements and commits have more room, because a busy machine cuts batches short; what
# these bounds catch is a commit for each workflow, or expressions of PL/pgSQL that have become queries. Whoever makes the
# engine cheaper lowers them, whoever has a reason to make it dearer says so where he raises them.
#
# Everything runs in durable.drain, in one process. Autovacuum and full-page images are off: when they happen is chance.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $WORKFLOWS = 2000;

# For one workflow: at most so many, on average.
my %BOUNDS = (
	one_activity => {
		start => { statements => 0.02, inserted => 2.01, updated => 0, deleted => 0, wal => 660 },
		run => { statements => 1.2, inserted => 1.03, updated => 1.03, not_hot => 0.2, deleted => 1.03, wal => 800, commits => 0.2 },
	},
	five_activity => {
		start => { statements => 0.02, inserted => 2.01, updated => 0, deleted => 0, wal => 660 },
		run => { statements => 8, inserted => 1.03, updated => 1.03, not_hot => 0.2, deleted => 1.03, wal => 1480, commits => 0.2 },
	},
);

my $node = new_node('main', conf => <<'CONF');
shared_preload_libraries = 'durable, pg_stat_statements'
pg_stat_statements.track = all
pg_stat_statements.max = 5000
durable.testing = on
durable.max_workers = 0
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
SQL

sub have_statements
{
	my ($libdir) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);

	return -e "$libdir/pg_stat_statements.so";
}

# All counters there are; sessions hand theirs in when they end, so each step is a session of its own.
sub counters
{
	my ($statements, $wal, $commits) = (0);

	$statements = $node->safe_psql('postgres', 'SELECT sum(calls) FROM pg_stat_statements WHERE NOT toplevel')
		if $counts_statements;
	my ($inserted, $updated, $not_hot, $deleted) = split /\|/, $node->safe_psql('postgres',
		"SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_upd - n_tup_hot_upd), sum(n_tup_del)
		 FROM pg_stat_user_tables WHERE schemaname = 'durable'");
	($wal, $commits) = split /\|/, $node->safe_psql('postgres',
		"SELECT pg_current_wal_insert_lsn() - '0/0', xact_commit FROM pg_stat_database WHERE datname = 'postgres'");
	return { statements => $statements, inserted => $inserted, updated => $updated, not_hot => $not_hot,
		deleted => $deleted, wal => $wal, commits => $commits };
}

sub cost
{
	my ($sql) = @_;
	my $before = counters();

	$node->safe_psql('postgres', $sql);
	my $after = counters();
	return { map { $_ => ($after->{$_} - $before->{$_}) / $WORKFLOWS } keys %$after };
}

sub check
{
	my ($orchestration, $step, $sql) = @_;
	my $bounds = $BOUNDS{$orchestration}{$step};
	my $cost = cost($sql);

	for my $what (sort keys %$bounds)
	{
	  SKIP:
		{
			skip 'pg_stat_statements is not installed', 1 if $what eq 'statements' && !$counts_statements;
			cmp_ok($cost->{$what}, '<=', $bounds->{$what}, "$orchestration, $step: $what");
		}
	}
	note("$orchestration, $step, for each workflow: " . join ', ', map { sprintf '%s %.3f', $_, $cost->{$_} } sort keys %$cost);
	return;
}

for my $orchestration ('one_activity', 'five_activity')
{
	my $start = "SELECT count(durable.start('$orchestration', i)) FROM generate_series(1, %d) i";

	# Plans, compiled functions and the tables' first pages are nobody's cost.
	$node->safe_psql('postgres', sprintf($start, 100));
	$node->safe_psql('postgres', "CALL durable.drain('10 min')");

	check($orchestration, 'start', sprintf($start, $WORKFLOWS));
	check($orchestration, 'run', "CALL durable.drain('10 min')");
	is($node->safe_psql('postgres', "SELECT count(*) FROM durable.instances WHERE name = 'public.$orchestration' AND runtime_status = 'Completed'"),
		$WORKFLOWS + 100, "$orchestration: all of them are completed");
}

$node->stop('fast');
done_testing();
