# The program "durable worker": commands for external activities, their failures, leases that are lost in each way there is,
# signals, crashes of the server, and the examples that people copy.

use strict;
use warnings;
use ClientTest;
use DurableTest;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
my $dir = $PostgreSQL::Test::Utils::tmp_check;
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE helper LOGIN;
SELECT durable.register_queue('jobs'), durable.register_queue('slow');
SELECT durable.grant_queue('jobs', 'helper'), durable.grant_queue('slow', 'helper');
SELECT durable.register_activity('echo', execution => 'external', queue => 'jobs'),
	durable.register_activity('other', execution => 'external', queue => 'jobs', retry => durable.retry(2, '0.1 s')),
	durable.register_activity('slow', execution => 'external', queue => 'slow');
CREATE FUNCTION one(name text, input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity(name, input);
END $$;
CREATE FUNCTION fan(name text, n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	tasks durable.task[];
BEGIN
	FOR i IN 1 .. n LOOP
		tasks := tasks || durable.schedule_activity(name, jsonb_build_object('n', i));
	END LOOP;
	PERFORM durable.when_all(VARIADIC tasks);
	RETURN to_jsonb(n);
END $$;
SQL
my @helper = ('-d', $node->connstr('postgres') . ' user=helper');
my $last = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

my %queue_of = (echo => 'jobs', other => 'jobs', slow => 'slow');

# begin(function, activity, input or number): an instance that calls an external activity, and has got as far as that.
sub begin
{
	my ($function, $name, $input) = @_;
	my $id = 'w' . ++$last;

	sql("SELECT durable.start('$function', jsonb_build_array('$name', \$json\$$input\$json\$::jsonb), '$id')");
	$node->poll_query_until('postgres', "SELECT (SELECT ready + leased > 0 FROM durable.queues WHERE name = '$queue_of{$name}') OR runtime_status = 'Completed' FROM durable.status('$id')")
	  or BAIL_OUT('nothing arrives in the queue');
	return $id;
}

# How it ended: output, or status and failure.
sub ended
{
	my ($id) = @_;

	return sql("SELECT CASE runtime_status WHEN 'Completed' THEN output::text ELSE runtime_status || ' ' || coalesce(failure ->> 'sqlstate', '') || ' '"
		  . " || coalesce(failure ->> 'message', failure ->> 'reason', '') END FROM durable.wait('$id', '1 min')");
}

# work(arguments): a worker that does what there is.
sub work { return durable([ @helper, 'worker', '--queue', 'jobs', '--until-empty', @_ ]); }

# What a command is given and gives back.
my $id = begin('one', 'echo', q({"text": "it's \"$(touch x)\"; `id` \u001b[31m\u202e"}));
my ($code, $out, $err) = work('--exec', 'cat');
is($code, 0, 'a worker ends when nothing is left');
like($out, qr/^completed  echo of $id, attempt 1, [\d.]+ s$/m, '... says what it did');
is(ended($id), sql("SELECT input -> 1 FROM durable.instances WHERE instance_id = '$id'"), '... and the input came back as it was');
$id = begin('one', 'echo', '1');
($code, $out) = work('--json', '--exec', 'echo "\"$DURABLE_ACTIVITY $DURABLE_QUEUE $DURABLE_INSTANCE_ID $DURABLE_ATTEMPT ${#DURABLE_IDEMPOTENCY_KEY}\""');
like(ended($id), qr/^"echo jobs $id 1 \d\d+"$/, 'the environment');
is(JSON::PP::decode_json($out)->{status}, 'completed', 'with --json a line is an object');
$id = begin('one', 'echo', '1');
($code, $out) = work('-q', '--exec', 'true');
is(ended($id) . $out, '', 'no output is null; -q prints nothing');
$id = begin('one', 'echo', '1');
work('--text', '--exec', 'printf "42 \"x\"\n"');
is(ended($id), '"42 \"x\""', 'text');

# One megabyte in both directions, to a command that reads late, or not at all.
$id = begin('one', 'echo', '"' . 'x' x 1_000_000 . '"');
work('--exec', 'sleep 0.3; cat');
is(length(ended($id)), 1_000_002, 'a megabyte');
$id = begin('one', 'echo', '"' . 'x' x 1_000_000 . '"');
work('--exec', 'exec <&-; echo 5');
is(ended($id), '5', 'a command that does not read');

# Failures.
$id = begin('one', 'echo', '1');
($code, $out, $err) = work('--exec', 'printf "no \033[31m\"connection\"\377\n" >&2; exit 7');
is($code, 0, 'the failure of a command is none of the worker');
like(ended($id), qr/^Failed WF010 no .*"connection"/, 'standard error is the message');
unlike("$out$err", qr/\033/, '... which the terminal gets without its control characters');
is(sql("SELECT failure ->> 'detail' FROM durable.instances WHERE instance_id = '$id'"), 'exit code 7', '... and the exit code the detail');
$id = begin('one', 'other', '1');
my $worker = program_open('twice', @helper, 'worker', '--queue', 'jobs', '--exec', 'echo "attempt $DURABLE_ATTEMPT" >&2; exit 1');
is(ended($id), 'Failed WF010 attempt 2', 'the retry policy decides about another attempt');
program_end($worker, 'TERM');
$id = begin('one', 'other', '1');
work('--exec', 'echo gone >&2; exit 100');
is(ended($id) . sql("SELECT failure ->> 'attempt' FROM durable.instances WHERE instance_id = '$id'"), 'Failed WF010 gone1', 'exit code 100 is final');
$id = begin('one', 'echo', '1');
work('--exec', 'kill -9 $$');
is(ended($id), 'Failed WF010 the command was ended by signal 9', 'a signal');
$id = begin('one', 'echo', '1');
work('--exec', 'no_such_command_at_all');
like(ended($id), qr/^Failed WF010 .*no_such_command_at_all/, 'no command');
foreach my $bad ('echo not JSON', 'printf "1\0002"', 'printf "\"\377\""', 'echo "\"\\\\u0000\""')
{
	$id = begin('one', 'echo', '1');
	work('--exec', $bad);
	like(ended($id), qr/^Failed (22\w{3}) the output of the command /, "output: $bad");
}

# A process that is left behind and holds the pipes.
$id = begin('one', 'echo', '1');
my $start = time;
work('--exec', 'sleep 60 & echo 6');
is(ended($id), '6', 'a task completes although its command has left a process with open pipes');
cmp_ok(time - $start, '<', patience(15), '... for long');

# The same, from a session of its own, and much more output than anybody wants.
$id = begin('one', 'echo', '1');
$start = time;
work('--exec', 'setsid sleep 60 & echo 6');
is(ended($id), '6', 'nor is a process in a session of its own');
cmp_ok(time - $start, '<', patience(15), '... for long');
$id = begin('one', 'echo', '1');
work('--exec', 'head -c 50000000 /dev/zero | tr "\0" 1');
like(ended($id), qr/^Failed 22003 the output of the command was refused/, '50 MB of digits are no result');
$id = begin('one', 'echo', '1');
($code, $out, $err) = work('--exec', 'head -c 50000000 /dev/zero | tr "\0" x >&2; exit 3');
cmp_ok(sql("SELECT length(failure ->> 'message') FROM durable.instances WHERE instance_id = '$id'"), '<=', 4096, 'of 50 MB of errors the end is kept');
cmp_ok(length("$out$err"), '<', 10_000, '... and shown');

# Several at a time, and a command for each name.
$id = begin('fan', 'echo', 12);
my $other = begin('one', 'other', '1');
($code, $out) = work('-j', 5, '--activity', 'echo=cat');
is(ended($id), '12', 'twelve, five at a time');
is(() = $out =~ /^completed/mg, 12, '... each once');
is(sql("SELECT runtime_status FROM durable.instances WHERE instance_id = '$other'"), 'Running', 'a name without a command is left alone');
work('--activity', 'echo=exit 1', '--activity', 'other=echo 8', '--exec', 'exit 1');
is(ended($other), '8', '... and done by the one that has it');

# Wrong usage, and what is missing.
is((durable([ @helper, 'worker' ]))[0], 2, 'no queue');
is((durable([ @helper, 'worker', '--queue', 'jobs', '--activity', 'x' ]))[0], 2, 'no command');
is((durable([ @helper, 'worker', '--queue', 'jobs', '-j', 'many', '--exec', 'cat' ]))[0], 2, 'no number');
($code, $out, $err) = durable([ @helper, 'worker', '--queue', 'nothing', '--exec', 'cat' ]);
is($code, 1, 'a queue that does not exist');
like($err, qr/error:.*"nothing"/, '... is named');
is((durable([ '-h', "$dir/nowhere", 'worker', '--queue', 'jobs', '--exec', 'cat' ]))[0], 4, 'no server');

# An idle worker is woken by the commit of work, and SIGTERM ends it.
$worker = program_open('idle', @helper, 'worker', '--queue', 'jobs', '--exec', 'cat');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'wait_for_work' AND state = 'active' AND usename = 'helper'");
$start = time;
$id = begin('one', 'echo', '9');
is(ended($id), '9', 'woken');
cmp_ok(time - $start, '<', patience(3), '... at once');
is(program_end($worker, 'TERM'), 0, 'SIGTERM ends an idle worker');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'helper'")
  ? pass('... and its connections') : fail('... and its connections');

# slow(name, arguments): a worker with one slow command, which has begun.
sub slow
{
	my ($name, $command, @arguments) = @_;
	my $program = program_open($name, @helper, 'worker', '--queue', 'slow', '--exec', "touch $dir/$name.begun; $command", @arguments);

	ok(comes_true(sub { -e "$dir/$name.begun" }), "$name: it has begun");
	return $program;
}

# SIGTERM while it works: what runs is finished. The lease is shorter than the work.
$id = begin('one', 'slow', '1');
$worker = slow('drained', 'sleep 4; echo 10', '--lease', 1);
is(program_end($worker, 'TERM'), 0, 'SIGTERM while a command runs');
is(ended($id), '10', '... which was finished, with a lease that was extended');
is(sql("SELECT sum(lost) FROM durable.leases"), '', '... and none is out');

# The second SIGTERM gives it back.
$id = begin('one', 'slow', '1');
$worker = slow('returned', "sleep 100; touch $dir/never; echo 11", '--lease', 100);
kill 'TERM', $worker->{pid};
ok(comes_true(sub { slurp_file($worker->{err}) =~ /1 tasks are being finished/ }), 'it says what it waits for');
is(program_end($worker, 'TERM'), 0, 'the second SIGTERM');
like(slurp_file($worker->{out}), qr/^given back/m, '... gives the task back');
is(sql("SELECT leased, ready FROM durable.queues WHERE name = 'slow'"), '0|1', '... for others to take at once');
$worker = slow('graceful', 'sleep 100', '--lease', 100, '--grace', 1);
is(program_end($worker, 'TERM'), 0, 'so does the end of --grace');
durable([ @helper, 'worker', '--queue', 'slow', '--exec', 'echo 12', '--until-empty' ]);
is(ended($id), '12', 'another has done it');
ok(!-e "$dir/never", 'the command was stopped');

# Terminating the instance stops the command.
$id = begin('one', 'slow', '1');
$worker = slow('terminated', "trap 'touch $dir/told; exit 1' TERM; sleep 100 & wait", '--lease', 1);
sql("SELECT durable.terminate('$id')");
ok(comes_true(sub { -e "$dir/told" }), 'the command of a terminated instance is stopped');
ok(comes_true(sub { slurp_file($worker->{out}) =~ /^lost /m }), '... and the task is lost');

program_end($worker, 'TERM');

# Stopped past the lease: somebody else does it, and the sleeper's result is worth nothing.
$id = begin('one', 'slow', '1');
$worker = slow('sleeper', 'sleep 1; echo \"late\"', '--lease', 1);
kill 'STOP', $worker->{pid};
ok(comes_true(sub {
	durable([ @helper, 'worker', '--queue', 'slow', '--exec', 'echo \"in time\"', '--until-empty' ]);
	return sql("SELECT runtime_status FROM durable.status('$id')") eq 'Completed';
}), 'the lease of a sleeper ends');
kill 'CONT', $worker->{pid};
ok(comes_true(sub { slurp_file($worker->{out}) =~ /^lost /m }), '... and it finds out that it has lost it');
is(ended($id), '"in time"', '... after another has done it');
is(program_end($worker, 'TERM'), 0, '... and goes on');

# kill -9 of the worker: the lease ends, another gets it, and the command has gone with the worker.
$id = begin('one', 'slow', '1');
$worker = slow('killed', "echo \$\$ >$dir/killed.pid; exec sleep 200", '--lease', 2);
ok(comes_true(sub { -s "$dir/killed.pid" }), 'its command runs');
kill 'KILL', $worker->{pid};
$worker->{process}->finish;
my $orphan = slurp_file("$dir/killed.pid") + 0;
ok(comes_true(sub { !are_alive($orphan) }), 'the command of a worker that was killed is stopped') if $^O eq 'linux';
$worker = slow('heir', 'echo 13');
is(ended($id), '13', 'its task is done by another');
program_end($worker, 'TERM');

# kill -9 of the server while leases are out: nothing is done twice, and the results of what ran meanwhile arrive.
$id = begin('fan', 'slow', 6);
$worker = program_open('survivor', @helper, 'worker', '--queue', 'slow', '-j', 3, '--lease', 120,
	'--exec', "read x; echo \"\$x\" >>$dir/done; sleep 2; echo \"\$x\"");
ok(comes_true(sub { -e "$dir/done" && slurp_file("$dir/done") =~ /\n.*\n.*\n/ }), 'three are out');
kill_server($node);
ok(comes_true(sub { slurp_file($worker->{err}) =~ /waiting for the server/ }), 'the worker waits for the server');
sleep 3;
$node->start;
is(ended($id), '6', 'a crash of the server with leases out');
is(program_end($worker, 'TERM'), 0, '... which the worker survives');
is(join(' ', sort map { /(\d+)/ } split /\n/, slurp_file("$dir/done")), '1 2 3 4 5 6', '... and each command ran once');
like(slurp_file($worker->{err}), qr/waiting for the server\n.*the server is back/s, '... and it said so');

# The examples.
SKIP:
{
	skip 'python3 and node are needed', 4 if system('python3 -c "" 2>/dev/null && node -e "" 2>/dev/null') != 0;
	my $examples = "$top/examples/workers";
	$node->safe_psql('postgres', slurp_file("$examples/shop.sql"));
	sql("SELECT durable.grant_queue('shop', 'helper')");
	sql(q(SELECT durable.start('shop.fulfil', '{"customer": "ann", "card": "4711", "cents": 1250}'::jsonb, 'ann')));
	sql(q(SELECT durable.start('shop.fulfil', '{"customer": "bob", "card": "expired 1", "cents": 5}'::jsonb, 'bob')));
	local $ENV{MAILER} = "tee -a $dir/mail";
	$worker = program_open('shop', @helper, 'worker', '--queue', 'shop', '-j', 4, '--activity', "charge_card=$examples/charge_card.py",
		'--activity', "render_invoice=$examples/render_invoice.mjs", '--activity', "send_mail=$examples/send_mail.sh");
	like(ended('ann'), qr/"charged": 1250/, 'the examples fulfil an order');
	is(ended('bob'), '{"refused": "the card expired 1 has expired"}', '... and refuse one');
	is(program_end($worker, 'TERM'), 0, '... and end');
	like(slurp_file("$dir/mail"), qr/Dear ann, you have paid 12\.50\./, '... after a mail in three languages');
}

done_testing();
