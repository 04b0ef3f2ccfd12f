# A fixed set of random orchestrations is run again and again, and each time the server crashes at another place: when a
# worker passes a named point of the engine (src/memory/failpoint.c) for the n-th time, for each of its commits, and for other
# points a choice of n. What comes out is what must come out.
#
# CHAOS_EVERY=1 takes every n for every point (make chaos).

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# See 200_chaos_kill.pl for max_crashes; the rest makes runs that are much the same.
my $node = new_node('main', conf => <<'CONF');
durable.testing = on
durable.max_workers = 2
durable.max_crashes = 1000
durable.recheck_interval = 1s
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');

if ($node->psql('postgres', "CREATE FUNCTION failpoint_names() RETURNS text LANGUAGE c AS 'durable', 'durable_failpoint_names'") != 0)
{
	$node->stop;
	plan skip_all => 'the library is built without DURABLE_TESTING';
}
my $lib = $INC{'DurableTest.pm'} =~ s{[^/]+$}{}r;
$node->safe_psql('postgres', slurp_file("$lib/random_programs.sql"));
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION failpoint_arm(name text, n bigint) RETURNS void LANGUAGE c AS 'durable', 'durable_failpoint_arm';
CREATE FUNCTION failpoint_passed(name text) RETURNS bigint LANGUAGE c AS 'durable', 'durable_failpoint_passed';
SELECT random_program.generate(8, 0.77);
SQL

# Without crashes of user code the first of these points is not passed, and without clients that wait or send an event the others are not.
my @points = grep { !/^(crash-counted|start-settled|wait-looked|end-seen)$/ } split / /, $node->safe_psql('postgres', 'SELECT failpoint_names()');

# Starts all programs and waits for their ends; false when they do not come. Sleeps are of seconds, and the clock is moved
# when nothing else is left to do. It is in shared memory, so a crash sets it back, and what was due may not be any more.
sub run_programs
{
	my ($prefix) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	# A crash may come right here; what was not committed is done again.
	while (1)
	{
		my $missing = $node->psql('postgres', <<SQL);
DO \$\$
BEGIN
	IF NOT EXISTS (SELECT FROM random_program.instance WHERE instance_id LIKE '$prefix%') THEN
		PERFORM random_program.start('auto', '$prefix');
		PERFORM random_program.raise('$prefix');
	END IF;
END \$\$;
SQL
		last if $missing == 0;
		return 0 if time > $deadline;
	}
	while (time < $deadline)
	{
		my ($rc, $out) = $node->psql('postgres', "SELECT count(*) FROM random_program.unfinished WHERE instance_id LIKE '$prefix%';
			SELECT durable.advance_clock(next - durable.clock())
			FROM (SELECT least((SELECT min(due_at) FROM durable.timer), (SELECT min(run_at) FROM durable.task_queue)) AS next) n
			WHERE next > durable.clock() AND next < durable.clock() + interval '1 day' AND NOT EXISTS (SELECT FROM durable.inbox)");

		return 1 if $rc == 0 && $out =~ /^0\b/;
	}
	return 0;
}

# answer(SQL): the point that was armed may be passed at any moment as long as there is a unit left, so a connection may be
# lost: then it is asked again.
sub answer
{
	my ($sql) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		my ($rc, $out, $err) = $node->psql('postgres', $sql);

		return $out if $rc == 0;
		die "$sql: $err" unless $rc == 2;
	}
	die 'the server does not come back';
}

# What there must be nothing of.
my $WRONG = <<'SQL';
SELECT * FROM random_program.wrong;
SELECT 'left over', count(*) FROM durable.inbox HAVING count(*) > 0;
SELECT 'left over', count(*) FROM durable.task_queue HAVING count(*) > 0;
SELECT 'not ended', count(*) FROM durable.instance WHERE status NOT IN ('C', 'F', 'T') HAVING count(*) > 0;
SQL

# When all have ended there may be units left that take nothing but what nobody wants any more.
sub wrong
{
	my $deadline = time + 10;
	my $wrong;

	while (1)
	{
		$wrong = answer($WRONG);
		last if $wrong !~ /left over/ || time > $deadline;
	}
	return $wrong;
}

# The second run takes fewer units: the engine knows by then which activities are short.
my %passed;
foreach my $prefix ('calm ', 'warm ')
{
	my %before = passes();

	ok(run_programs($prefix), 'undisturbed, all programs end');
	is(wrong(), '', 'as they must');
	%passed = passes();
	$passed{$_} -= $before{$_} foreach @points;
}
note(join ', ', map { "$_: $passed{$_}" } @points);
my %ever = passes();
cmp_ok($ever{$_}, '>', 0, "$_ is passed") for grep { !/activity-done/ } @points;

# On a quiet machine the second run may have had no task. After a crash nothing is known, and the first activities are tasks.
$passed{$_} ||= 1 foreach grep { /^task-/ } @points;

my ($tried, $crashes) = (0, 0);
foreach my $point (@points)
{
	my $step = $ENV{CHAOS_EVERY} || $point eq 'after-commit' ? 1 : $passed{$point} / 4;
	my @bad;

	for (my $n = 1; $n <= $passed{$point}; $n += $step)
	{
		my $prefix = sprintf '%s %d ', $point, $n;
		my $before = crashes();

		answer(sprintf q{SELECT failpoint_arm(name, 0) FROM unnest(string_to_array(failpoint_names(), ' ')) name; SELECT failpoint_arm('%s', %d)}, $point, $n);
		my $start = time;
		push @bad, "$prefix: no end" unless run_programs($prefix);
		note(sprintf '%s: %.1f s', $prefix, time - $start);
		$tried++;
		$crashes++ if crashes() > $before;
		my $wrong = wrong();
		push @bad, "$prefix: $wrong" if $wrong ne '';
		last if @bad > 3;
	}
	is(join("\n", @bad), '', "killed at $point");
}
cmp_ok($crashes, '>=', $tried * 0.7, "$crashes crashes in $tried runs");
$node->stop('fast');
done_testing();

sub passes
{
	return map { $_ => answer("SELECT failpoint_passed('$_')") } @points;
}

sub crashes
{
	my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal 9/g;

	return $crashes;
}
