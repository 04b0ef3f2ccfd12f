# A worker's answer whose fate the worker cannot know: the server crashes before the commit of complete_tasks, fail_task,
# complete_turn, complete_entity and release_work, or between this commit and the reply. The worker repeats the answer with the same
# token. The repetition is applied if the first answer was not, and otherwise changes nothing and says what docs/reference.md says.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.max_crashes = 1000
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');
if ($node->psql('postgres', "CREATE FUNCTION failpoint_arm(name text, n bigint) RETURNS void LANGUAGE c AS 'durable', 'durable_failpoint_arm'") != 0)
{
	$node->stop;
	plan skip_all => 'the library is built without DURABLE_TESTING';
}
$node->safe_psql('postgres', <<'SQL');
SELECT durable.register_activity('outside', execution => 'external', queue => 'q'),
	durable.register_activity('patient', execution => 'external', queue => 'q', retry => durable.retry(3, '0.1 s')),
	durable.register_orchestration('Turns', execution => 'external', queue => 'q'),
	durable.register_entity('counter', execution => 'external', queue => 'q');
CREATE FUNCTION three(name text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1 .. 3 LOOP
		tasks := tasks || durable.schedule_activity(name, i);
	END LOOP;
	RETURN to_jsonb(durable.when_all(VARIADIC tasks));
EXCEPTION WHEN SQLSTATE 'WF010' THEN
	RETURN to_jsonb(SQLERRM);
END $$;
CREATE FUNCTION attempts(id text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(event_type || ' ' || n, ', ' ORDER BY event_type) FROM
		(SELECT event_type, count(*) AS n FROM durable.history(id) WHERE event_type ~ '^(Task|Turn|Timer)' GROUP BY 1) h
$$;
CREATE TABLE token (t text);
SQL

my $fetch_tasks = "INSERT INTO token SELECT token FROM durable.fetch_work('q', max_tasks => 3, lease => '10 minutes')";
my $start_three = "SELECT durable.start('three', '\"outside\"'::jsonb, 'ID')";
my @cases = (
	{
		name => 'complete_tasks', start => $start_three, ready => 3, fetch => $fetch_tasks,
		answer => "SELECT durable.complete_tasks(array_agg(t), array_agg('7'::jsonb)) FROM token", again => '3',
		ends => 'Completed [7, 7, 7] TaskCompleted 3, TaskScheduled 3'
	},
	{
		name => 'fail_task, the last attempt', start => $start_three, ready => 3, fetch => $fetch_tasks,
		answer => "SELECT bool_or(durable.fail_task(t, '\"no\"')) FROM token", again => 'f',
		ends => 'Completed "no" TaskFailed 3, TaskScheduled 3'
	},
	{
		# The second attempts are completed by another worker.
		name => 'fail_task, to be tried again', start => $start_three =~ s/outside/patient/r, ready => 3, fetch => $fetch_tasks,
		answer => "SELECT bool_and(durable.fail_task(t, '\"busy\"')) FROM token", again => 't',
		others => [ 3, "SELECT durable.complete_tasks(array_agg(token), array_agg(to_jsonb(attempt))) FROM durable.fetch_work('q', max_tasks => 10)" ],
		ends => 'Completed [2, 2, 2] TaskCompleted 3, TaskScheduled 3'
	},
	{
		name => 'release_work', start => $start_three, ready => 3, fetch => $fetch_tasks,
		answer => 'SELECT durable.release_work(array_agg(t)) FROM token', again => '0',
		others => [ 3, "SELECT durable.complete_tasks(array_agg(token), array_agg(to_jsonb(attempt))) FROM durable.fetch_work('q', max_tasks => 10)" ],
		ends => 'Completed [1, 1, 1] TaskCompleted 3, TaskScheduled 3'
	},
	{
		# The turn schedules one activity, which is completed by another worker, and then another turn ends it.
		name => 'complete_turns', start => "SELECT durable.start_external('q', 'Turns', NULL, 'ID')", ready => 1,
		fetch => "INSERT INTO token SELECT token FROM durable.fetch_turns('q', lease => '10 minutes')",
		answer => q(SELECT durable.complete_turns(array_agg(t), array_agg('[{"type": "schedule_task", "id": 5, "name": "outside"}]'::jsonb), on_stale => 'skip') FROM token), again => '0',
		others => [ 1, "SELECT durable.complete_tasks_text(array_agg(token), '{one}') FROM durable.fetch_work('q', max_tasks => 10)",
			1, q(SELECT durable.complete_turn(token, '[{"type": "complete", "id": 6, "status": "Completed", "output": "end"}]') FROM durable.fetch_turns('q')) ],
		ends => 'Completed "end" TaskCompleted 1, TaskScheduled 1'
	},
	{
		name => 'complete_turn', start => "SELECT durable.start_external('q', 'Turns', NULL, 'ID')", ready => 1,
		fetch => "INSERT INTO token SELECT token FROM durable.fetch_turns('q', lease => '10 minutes')",
		answer => q(SELECT durable.complete_turn(t, '[{"type": "complete", "id": 6, "status": "Completed", "output": "end"}]') FROM token), again => 'WF008',
		ends => 'Completed "end" '
	},
	{
		name => 'complete_entity', start => "SELECT durable.signal_entity('counter', 'ID', 'add')", ready => 1,
		fetch => "INSERT INTO token SELECT token FROM durable.fetch_entities('q', lease => '10 minutes')",
		# The operation signals another entity, which would be signalled twice.
		answer => q(SELECT durable.complete_entity(t, '[{"output": "1"}]', '1', '[{"type": "signal_entity", "instance_id": "@counter@of ID", "operation": "add"}]') FROM token), again => 'WF008',
		others => [ 1, q(SELECT durable.complete_entity(token, (SELECT jsonb_agg('{}'::jsonb) FROM jsonb_array_elements(operations)), jsonb_array_length(operations)::text) FROM durable.fetch_entities('q')) ],
		entity => '1 1'
	});

my $number = 0;
foreach my $case (@cases)
{
	foreach my $place ('before the commit', 'between commit and reply')
	{
		my $what = "$case->{name}, crash $place";
		my $id = 'i' . ++$number;
		my $answer = $case->{answer} =~ s/\bID\b/$id/gr;

		$node->safe_psql('postgres', 'TRUNCATE token; ' . $case->{start} =~ s/\bID\b/$id/gr);
		await_ready($case->{ready}, $what);
		$node->safe_psql('postgres', $case->{fetch});

		# While the engine is paused nothing but the answer passes the point "committed".
		$node->safe_psql('postgres', 'SELECT durable.pause()');
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable worker'");
		crash($answer, $place, $what);
		my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$answer");
		my ($state) = $err =~ /ERROR:  (\w{5}):/;
		$out = $state if $state;
		if ($place =~ /before/)
		{
			ok(!$state && $out ne '0', "$what: the repetition is good") or diag("$out $err");
			($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$answer");
			$out = $1 if $err =~ /ERROR:  (\w{5}):/;
		}
		is($out, $case->{again}, "$what: and then it changes nothing");
		$node->safe_psql('postgres', 'SELECT durable.unpause()');

		my @others = @{$case->{others} // []};
		while (my ($ready, $sql) = splice @others, 0, 2)
		{
			await_ready($ready, $what);
			$node->safe_psql('postgres', $sql);
		}
		if ($case->{entity})
		{
			$node->poll_query_until('postgres', "SELECT durable.entity_state('counter', 'of $id') IS NOT NULL");
			is($node->safe_psql('postgres', "SELECT concat_ws(' ', durable.entity_state('counter', '$id'), durable.entity_state('counter', 'of $id'))"),
				$case->{entity}, "$what: the operation and its signal once");
		}
		else
		{
			is($node->safe_psql('postgres', "SELECT concat_ws(' ', runtime_status, output, coalesce(attempts('$id'), '')) FROM durable.wait('$id', '1 min')"),
				$case->{ends}, "$what: each result once");
		}
		is($node->safe_psql('postgres', "SELECT sum(ready + leased + delayed) FROM durable.queues"), '0', "$what: nothing is left in the queue");
	}
}

sub await_ready
{
	my ($n, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT ready = $n FROM durable.queues WHERE name = 'q'"), "$what: $n in the queue")
	  or diag($node->safe_psql('postgres', 'TABLE durable.queues; SELECT instance_id, runtime_status, waiting_on FROM durable.instances'));
	return;
}

# The session is killed with the answer applied and not committed, or committed and not confirmed.
sub crash
{
	my ($answer, $place, $what) = @_;
	my ($launcher) = process_pids($node, 'durable launcher');
	my $offset = -s $node->logfile;
	my ($code, $out) = $node->psql('postgres', $place =~ /before/
		? "SELECT pg_backend_pid(); BEGIN; $answer; COPY (SELECT 1) TO PROGRAM 'kill -9 \$PPID'; SELECT pg_sleep(60); COMMIT"
		: "SELECT pg_backend_pid(); SELECT failpoint_arm('committed', 1); $answer");
	my ($pid) = split /\n/, $out;

	isnt($code, 0, "$what: no reply");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 AND min(pid) <> $launcher FROM pg_stat_activity WHERE backend_type = 'durable launcher'")
	  or BAIL_OUT('the server does not come back');
	like(slurp_file($node->logfile, $offset), qr/\(PID $pid\) was terminated by signal 9/, '... because this session was killed');
	return;
}

$node->stop;
done_testing();
