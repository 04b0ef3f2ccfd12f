# An owner's backlog does not stand in the way of another owner's single workflows: of its workers only as many go on as
# processors are left, and the others take a batch now and then.

use strict;
use warnings;
use DurableTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $processors = `getconf _NPROCESSORS_ONLN`;
plan skip_all => 'not that many processes here' if $processors > 8;

# One is the other owner's; what is left is two more than processors are left beside it.
my $WORKERS = $processors + 2;
my $processes = $WORKERS + 8;

my $node = new_node('main', conf => <<"CONF");
durable.max_workers = $WORKERS
max_worker_processes = $processes
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE many LOGIN;
CREATE ROLE few LOGIN;
SELECT durable.grant_usage('many'), durable.grant_usage('few');
CREATE FUNCTION nap(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN n; END $$;
CREATE FUNCTION napping(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('nap', n); END $$;
CREATE FUNCTION quick(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$;
SQL

# The units that each of the backlog's workers ran in a second, by when it was started.
sub units_in_a_second
{
	my $query = q{SELECT pid, units FROM durable.workers WHERE owner = 'many'::regrole ORDER BY started_at, pid};
	my %before = map { split /\|/ } split /\n/, $node->safe_psql('postgres', $query);
	sleep 1;
	my @after = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', $query);

	return map { $_->[1] - $before{ $_->[0] } } grep { exists $before{ $_->[0] } } @after;
}

# Samples seconds until one of them is as it should be.
sub comes_true
{
	my ($what, $is_so) = @_;
	my @units;

	foreach (1 .. 40)
	{
		@units = units_in_a_second();
		return pass("$what: @units") if $is_so->(@units);
	}
	fail("$what: @units");
}

# A batch takes 5 ms of naps.  Stepping aside for 50 ms after each makes less than 20 in a second; alone it is 150.
my $ASIDE = 40;

$node->safe_psql('postgres', "SELECT count(durable.start('napping', n)) FROM generate_series(1, 200000) n",
	connstr => $node->connstr('postgres') . ' user=many');
comes_true('alone, all of its workers work', sub { @_ >= $WORKERS - 1 && !grep { $_ <= $ASIDE } @_ });

my $script = $node->basedir . '/single.sql';
append_to_file($script, "CALL durable.run('quick', $_);\n") foreach 1 .. 50000;
my $single = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=few', '-f', $script ],
	'>', '/dev/null', '2>', '/dev/null');
comes_true('beside single workflows two or more step aside, and one does not',
	sub { (grep { $_ <= $ASIDE } @_) >= 2 && grep { $_ > $ASIDE } @_ });
$single->kill_kill;

comes_true('and they come back', sub { @_ >= $WORKERS - 1 && !grep { $_ <= $ASIDE } @_ });
$node->safe_psql('postgres', 'SELECT durable.pause()');
$node->stop;

# Where each batch takes long, as on a machine that is short of processors, an owner with a backlog would like to have more
# workers. The other owner's worker does not go for that while it has something to do now and then.
$node->append_conf('postgresql.conf', <<'CONF');
durable.max_workers = 2
durable.recheck_interval = '200 ms'
CONF
$node->start;
create_durable($node, 'slow');
$node->safe_psql('slow', <<'SQL');
SELECT durable.grant_usage('many'), durable.grant_usage('few');
CREATE FUNCTION quick(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$;
CREATE FUNCTION nap(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.15); RETURN n; END $$;
SELECT durable.register_activity('public.nap', 'nap(int)', execution => 'inline');
CREATE FUNCTION napping(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('public.nap', n); END $$;
SQL
$node->safe_psql('slow', "SELECT count(durable.start('napping', n)) FROM generate_series(1, 1000) n", connstr => $node->connstr('slow') . ' user=many');
my %seen;
foreach (1 .. 30)
{
	$node->safe_psql('slow', "CALL durable.run('quick', 1)", connstr => $node->connstr('slow') . ' user=few');
	$seen{$_} = 1 for split /\n/, $node->safe_psql('slow', "SELECT pid FROM durable.workers WHERE owner = 'few'::regrole");
	sleep 0.2;
}
cmp_ok(scalar(keys %seen), '<=', 5, 'the worker of an owner with little to do stays: ' . keys(%seen) . ' processes for 30 workflows');
$node->stop('fast');

done_testing();
