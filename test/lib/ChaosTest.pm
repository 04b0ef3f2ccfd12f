# What the chaos tests share: the workload of chaos.sql, clients that go on through crashes and write down what they were
# told, ways of killing processes, and the checker of invariants.sql.
#
# A client is a process of its own with a psql that it starts again whenever the server has thrown it out. It writes "try"
# into its log before it asks for something and "ack" when it was told that it is done; what is unclear it asks for again.
#
# The random numbers come from CHAOS_SEED, which is shown; the timing of a busy machine does not.
#
# Owns: the client processes. Locks, memory: none.

package ChaosTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Open3;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use DurableTest;

our @EXPORT = qw(chaos_seed install_chaos plan_workflows start_many clients_start clients_finish progress kill_process
  wait_for_server wait_until_ended violations_are chaos_log_is_clean violations);

my @OWNERS = qw(chaos_ann chaos_bob chaos_cat);

sub chaos_seed
{
	my $seed = $ENV{CHAOS_SEED} // int(time * 1000) % 1_000_000_000;

	note("CHAOS_SEED=$seed");
	srand($seed);
	return $seed;
}

# install_chaos(node, database): workload and checker.
sub install_chaos
{
	my ($node, $database) = @_;
	my $lib = $INC{'ChaosTest.pm'} =~ s{[^/]+$}{}r;

	$node->safe_psql($database, slurp_file("${lib}chaos.sql") . slurp_file("${lib}invariants.sql"));
	return;
}

# --- what clients do ------------------------------------------------------------------------------------------------------

# Of a thousand workflows.
my %SHARES = (
	sequence => 360, fan => 180, saga => 100, timer => 100, pair => 100, parent => 50, again => 50, transfer => 20,
	stopped => 20, held => 10, starter => 10);

# plan_workflows(count): references to [kind, n], in random order.
sub plan_workflows
{
	my ($count) = @_;
	my @plan;

	foreach my $kind (sort keys %SHARES)
	{
		push @plan, map { [ $kind, $_ ] } 1 .. ($count * $SHARES{$kind} / 1000 || 1);
	}
	for (my $i = @plan - 1; $i > 0; $i--)
	{
		my $j = int(rand($i + 1));
		@plan[ $i, $j ] = @plan[ $j, $i ];
	}
	return @plan;
}

# The statements that make one workflow end: [action, instance id, item, SQL, how many other workflows later].
sub statements
{
	my ($kind, $n) = @_;
	my $id = "$kind $n";
	my $function = $kind eq 'held' ? 'patient' : $kind;
	my @raise = map { [ 'raise', $id, $_, "SELECT 'done' FROM durable.raise_event('$id', 'Item', $_)", int(rand(20)) ] } 1 .. 3;
	my $input = $kind eq 'again' ? "jsonb '{\"n\": $n}'" : $n;
	my $start = [ 'start', $id, undef, "SELECT 'done' FROM durable.start('chaos.$function', $input, '$id')", 0 ];

	return ($start, @raise) if $kind eq 'pair';
	return ($start, $raise[0]) if $kind eq 'again';
	return ($start, [ 'terminate', $id, undef, "SELECT 'done' FROM durable.terminate('$id')", int(rand(40)) ]) if $kind eq 'stopped';
	return ($start, [ 'suspend', $id, undef, "SELECT 'done' FROM durable.suspend('$id')", int(rand(5)) ], $raise[0],
		[ 'resume', $id, undef, "SELECT 'done' FROM durable.resume('$id')", int(rand(20)) ]) if $kind eq 'held';
	return $start;
}

# clients_start(node, database, plan, goal, connection): one client for each owner. They keep step with progress(), which
# should reach the goal; goal 0: as fast as they can. The connection is the node's if it is not given.
sub clients_start
{
	my ($node, $database, $plan, $goal, $connstr) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $self = { dir => $dir, plan => scalar(@$plan), pids => [], node => $node, database => $database };

	append_to_file("$dir/progress", '');
	for my $client (0 .. $#OWNERS)
	{
		my @mine = map { $plan->[$_] } grep { $_ % @OWNERS == $client } 0 .. $#$plan;
		my $connection = ($connstr // $node->connstr($database)) . " user=$OWNERS[$client]";
		my $seed = int(rand(1_000_000_000));
		my $pid = fork // die "could not fork: $!";

		if ($pid == 0)
		{
			# Nothing of the test may run here, its END blocks least of all.
			srand($seed);
			my $ok = eval { client($client, $connection, \@mine, $goal, $dir); 1 };
			append_to_file("$dir/trouble", "client $client: $@") unless $ok;
			POSIX::_exit($ok ? 0 : 1);
		}
		push @{ $self->{pids} }, $pid;
	}
	return $self;
}

# progress(clients): one step more has been done.
sub progress
{
	my ($clients) = @_;

	append_to_file("$clients->{dir}/progress", '.');
	return;
}

sub client
{
	my ($client, $connection, $mine, $goal, $dir) = @_;
	my $session = { connection => $connection };
	my @later;
	my $log;

	$SIG{PIPE} = 'IGNORE';
	open $log, '>', "$dir/log.$client" or die "could not write $dir/log.$client: $!";
	$log->autoflush(1);
	for my $i (0 .. $#$mine)
	{
		sleep(0.01) while $goal && (-s "$dir/progress") + 1 < $goal * $i / @$mine;

		my ($first, @others) = statements(@{ $mine->[$i] });
		roll_back($session, $log, $first) if rand() < 0.02;
		ask($session, $log, $first);

		# What is to be said in this order is said in this order.
		my $at = $i;
		push @later, map { { at => ($at += $_->[4]), what => $_ } } @others;
		my @due = grep { $_->{at} <= $i } @later;
		@later = grep { $_->{at} > $i } @later;
		ask($session, $log, $_->{what}) for @due;
	}
	ask($session, $log, $_->{what}) for @later;
	close $log;
	return;
}

# Until the server says that it is done.
sub ask
{
	my ($session, $log, $what) = @_;
	my ($action, $id, $item, $sql) = @$what;
	my $entry = join("\t", $action, $id, $item // '\N');
	my $tries = 0;
	my $answer;

	for (;;)
	{
		print $log "try\t$entry\n";
		$tries++;
		$answer = run_statement($session, $sql);

		last if defined $answer && $answer eq "done\n";
		next unless defined $answer;

		# It was done when we were not told: the id is taken, or the instance has ended by it.
		last if $tries > 1 && $answer =~ ($action eq 'start' ? qr/WF002/ : qr/WF004/);
		die "$sql: $answer";
	}
	print $log "ack\t$entry\n";
	return;
}

# What is rolled back has never been.
sub roll_back
{
	my ($session, $log, $what) = @_;
	my $sql = $what->[3] =~ s/'\)$/ rolled back')/r;

	print $log "rollback\t$what->[0]\t$what->[1] rolled back\t\\N\n";
	run_statement($session, "BEGIN; $sql; ROLLBACK");
	return;
}

# What psql prints, or undef when the connection is lost; then the next one is a new one. psql may go on for a while after
# it has been told that the server is crashing, so that is looked for.
sub run_statement
{
	my ($session, $sql) = @_;
	my $answer = '';

	connect_again($session) unless $session->{pid};
	print { $session->{in} } "$sql;\n\\echo =end=\n";
	while (defined(my $line = readline $session->{out}))
	{
		$answer .= $line;
		return $answer =~ s/=end=\n$//r if $line =~ /^=end=$/ && $answer !~ /WARNING|FATAL|connection/;
		last if $line =~ /^=end=$/;
	}
	close $session->{in};
	waitpid $session->{pid}, 0;
	delete $session->{pid};
	sleep(0.02);
	return;
}

sub connect_again
{
	my ($session) = @_;

	my $pid = open3(my $in, my $out, undef, 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $session->{connection});
	$in->autoflush(1);
	@$session{qw(pid in out)} = ($pid, $in, $out);
	return;
}

# clients_finish(clients, node): wait for them, and load what they have written down, into that node if it is another one
# by now. The server may still be starting over.
sub clients_finish
{
	my ($clients, $now) = @_;
	my ($node, $database, $dir) = @$clients{qw(node database dir)};
	my $failed = 0;

	foreach my $pid (@{ $clients->{pids} })
	{
		waitpid $pid, 0;
		$failed++ if $?;
	}
	is($failed, 0, 'the clients have got everything done') or diag(slurp_file("$dir/trouble"));
	$node = $now if $now;
	wait_for_server($node);
	for my $client (0 .. $#OWNERS)
	{
		$node->safe_psql($database, "\\copy chaos.client_log (word, action, instance_id, item) FROM '$dir/log.$client'\n"
			  . "UPDATE chaos.client_log SET client = $client WHERE client IS NULL");
	}
	return;
}

# start_many(node, database, from, to): workflows that need nobody to end, of each kind one for each number; at once.
sub start_many
{
	my ($node, $database, $from, $to) = @_;

	$node->safe_psql($database, <<SQL);
BEGIN;
CREATE TEMP TABLE many AS SELECT kind, n FROM generate_series($from, $to) n, unnest('{sequence,fan,saga,timer,parent,transfer,starter}'::text[]) kind;
GRANT SELECT ON many TO chaos_ann;
INSERT INTO chaos.client_log (client, word, action, instance_id) SELECT 0, w, 'start', kind || ' ' || n FROM many, unnest('{try,ack}'::text[]) w;
SET LOCAL ROLE chaos_ann;
SELECT count(durable.start('chaos.' || kind, n, kind || ' ' || n)) FROM many;
COMMIT;
SQL
	return;
}

# --- killing --------------------------------------------------------------------------------------------------------------

# kill_process(node, signal, pattern, killed): one of them, at random; the pid. Not one of the hash killed, which gets all
# that were there: when the postmaster has not yet noticed, they are as good as dead.
sub kill_process
{
	my ($node, $signal, $pattern, $killed) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		my @there = grep { !$killed->{$_} } processes_of($node, $pattern);

		if (@there)
		{
			my $pid = $there[ int(rand(@there)) ];

			if (kill $signal, $pid)
			{
				$killed->{$_} = 1 for @there, $signal eq 'KILL' ? processes_of($node, qr/durable/) : ();
				return $pid;
			}
		}
		sleep(0.005);
	}
	BAIL_OUT("there is no process like $pattern to be killed");
}

sub wait_for_server
{
	my ($node) = @_;

	$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server does not come back');
	return;
}

# --- what is left ---------------------------------------------------------------------------------------------------------

sub wait_until_ended
{
	my ($node, $database, $name) = @_;
	my $ok = $node->poll_query_until($database,
		"SELECT NOT EXISTS (SELECT FROM durable.instance WHERE status IN ('P', 'R', 'S'))
		 AND NOT EXISTS (SELECT FROM durable.inbox) AND NOT EXISTS (SELECT FROM durable.task_queue)
		 AND NOT EXISTS (SELECT FROM durable.timer)");

	ok($ok, $name);
	diag($node->safe_psql($database, <<'SQL')) unless $ok;
SELECT 'instance', instance_id, name, runtime_status, waiting_on, (SELECT suspend_reason FROM durable.instance d WHERE d.instance_id = i.instance_id)
FROM durable.instances i WHERE completed_time IS NULL LIMIT 20;
(SELECT 'message', i.instance_id, m.* FROM durable.inbox m LEFT JOIN durable.instance i USING (key)) LIMIT 20;
(SELECT 'timer', i.instance_id, t.* FROM durable.timer t LEFT JOIN durable.instance i USING (key)) LIMIT 20;
(SELECT 'task', i.instance_id, t.* FROM durable.task_queue t LEFT JOIN durable.instance i USING (key)) LIMIT 20;
SELECT * FROM durable.workers; SELECT * FROM durable.doctor();
SELECT pid, backend_type, state, wait_event, query FROM pg_stat_activity WHERE backend_type LIKE 'durable%';
SQL
	return $ok;
}

sub violations
{
	my ($node, $database, $finished) = @_;

	return $node->safe_psql($database, "SELECT * FROM invariant.violations($finished) LIMIT 40");
}

sub violations_are
{
	my ($node, $database, $expected, $name, $finished) = @_;

	is(violations($node, $database, $finished // 'true'), $expected, $name);
	return;
}

# chaos_log_is_clean(node, allowed): no error of our processes' own, beyond those that were made.
sub chaos_log_is_clean
{
	my ($node, $name, $allowed) = @_;
	my @wrong = grep { /PANIC:|TRAP:|terminated by signal (?!9|3|15)|durable \w+ .*(?:ERROR|FATAL|WARNING):/ } split /\n/, slurp_file($node->logfile);

	@wrong = grep { !/terminating background worker|terminating connection|because of crash of another|the database system is/ } @wrong;
	@wrong = grep { !/$allowed/ } @wrong if $allowed;
	is(join("\n", @wrong[ 0 .. ($#wrong > 20 ? 20 : $#wrong) ]), '', $name);
	return;
}

1;
