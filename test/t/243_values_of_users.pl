# No value that a user chooses ends a process of the engine: it is refused with an error that names the parameter, and
# what a table has all the same, from a dump of another version, is survived.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.recheck_interval = 200ms
durable.testing = on
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
SELECT durable.grant_usage('app');
CREATE SCHEMA AUTHORIZATION app;
SET ROLE app;
CREATE FUNCTION app.once(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$;
CREATE FUNCTION app.fails(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION app.calls(name text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity(name, 1); END $$;
-- what a durable call says to a value, as an orchestration that catches it
CREATE FUNCTION app.tries(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT ' || call;
    RETURN 'accepted';
EXCEPTION WHEN data_exception THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SQL

my $longest = "'2562047788 hours'";
my $shortest = "'-2562047788 hours'";
my @refused = (
	["register_orchestration('o', 'app.once(int)', retention => $longest)", qr/retention must not be longer than 1000 years/],
	["register_orchestration('o', 'app.once(int)', retention => '178000000 years')", qr/retention must not be longer/],
	["register_orchestration('o', 'app.once(int)', retention => $shortest)", qr/retention must not be negative/],
	["register_activity('a', 'app.once(int)', timeout => $shortest)", qr/timeout must be greater than zero/],
	["register_activity('a', 'app.once(int)', retry => '{\"max_attempts\": 99999999999}')", qr/out of range.*max_attempts/s],
	["register_activity('a', 'app.once(int)', retry => '{\"first_interval\": \"9999999999 years\"}')", qr/out of range.*first_interval/s],
	["register_activity('a', 'app.once(int)', retry => '{\"backoff\": 1e400}')", qr/backoff/],
	["retry(first_interval => $shortest)", qr/member "first_interval" of retry policy must not be negative/],
	["retry(timeout => $shortest)", qr/member "timeout" of retry policy must be positive/],
	["start('app.once', 1, start_at => 'infinity')", qr/start_at must be finite/],
	["wait('x', $longest)", qr/timeout is out of range/],
	["purge_history(older_than => $longest)", qr/older_than is out of range/],
	["purge_history(older_than => '0', batch => -1)", qr/batch must be greater than zero/],
	["waits('x', now())", qr/invalid value for column "waiting"/],
	["advance_clock($longest)", qr/step is out of range/],
	["advance_clock('260000 years')", qr/step is out of range/],
);
$node->safe_psql('postgres', "SELECT durable.start('app.calls', 'app.once', 'x')");
foreach my $case (@refused)
{
	my ($call, $message) = @$case;
	my ($code, undef, $error) = $node->psql('postgres', "SELECT durable.$call");

	like($error, $message, $call);
	unlike($error, qr/XX\d\d\d/, 'and is no error of the engine');
}

# Durable calls: what is refused is recorded, what is accepted leaves the engine going.
my %answers = (
	"durable.sleep($longest)" => qr/^22008 duration is out of range/,
	"durable.wait_for_external_event('e', $longest)" => qr/^22008 timeout is out of range/,
	"durable.call_activity('app.once', 1, timeout => $longest)" => qr/^accepted/,
	"durable.call_activity('app.once', 1, timeout => $shortest)" => qr/^22023 timeout must be greater than zero/,
	"durable.sleep($shortest)" => qr/^22008 duration is out of range/,
	"durable.result(durable.create_timer('-infinity'))" => qr/^accepted/,
	"durable.result(durable.create_timer('4713-01-01 BC'))" => qr/^accepted/,
	"durable.result(9223372036854775807)" => qr/^22023 task 9223372036854775807 does not exist in this orchestration/,
	"durable.cancel_timer(durable.create_timer('infinity'))" => qr/^accepted/,
	"durable.cancel_timer(durable.create_timer('294276-12-31'))" => qr/^accepted/,
);
my $n = 0;
foreach my $call (sort keys %answers)
{
	my $quoted = $call =~ s/'/''/gr;

	$node->safe_psql('postgres', "SET ROLE app; SELECT durable.start('app.tries', '$quoted'::text, 'call " . ++$n . "')");
	like($node->safe_psql('postgres', "SELECT output #>> '{}' FROM durable.wait('call $n', '30 s')"), $answers{$call}, $call);
}
$node->safe_psql('postgres', <<'SQL');
SET ROLE app;
SELECT durable.start('app.once', 1, 'long ago', start_at => '4713-01-01 BC');
SELECT durable.start('app.once', 1, 'begin', start_at => '-infinity');
SELECT durable.start('app.once', 1, 'the end', start_at => '294276-12-31');
SQL
foreach my $id ('long ago', 'begin')
{
	is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('$id', '30 s')"), 'Completed', "start_at: $id");
}
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.status('the end')"), 'Pending', 'start_at: the end of time');

# What no function would have written: a registration and tasks from elsewhere.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO durable.orchestration (owner, name, handler, retention) VALUES
    ('app', 'kept', 'app.once(integer)', '2562047788 hours'), ('app', 'gone', 'app.once(integer)', '-2562047788 hours');
INSERT INTO durable.activity (owner, name, handler, execution, retry, timeout) VALUES
    ('app', 'past', 'app.once(integer)', 'task', NULL, '-1 s'),
    ('app', 'policy', 'app.fails(integer)', 'task', '{"max_attempts": "many", "unknown": 1}', NULL),
    ('app', 'policy inline', 'app.fails(integer)', 'inline', '[]', NULL);
-- processes hear of it by a registration
SELECT durable.register_activity('once', 'app.once(int)');
SQL
my %ends = (past => 'Completed', policy => 'Failed', 'policy inline' => 'Failed');
foreach my $name (sort keys %ends)
{
	$node->safe_psql('postgres', "SET ROLE app; SELECT durable.start('app.calls', '$name'::text, '$name')");
	is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('$name', '30 s')"), $ends{$name}, "a stored $name")
		or diag($node->safe_psql('postgres', "SELECT failure FROM durable.status('$name')"));
}
$node->safe_psql('postgres', "SET ROLE app; SELECT durable.start('kept', 1, 'kept'); SELECT durable.start('gone', 1, 'gone')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('kept', '30 s')"), 'Completed', 'a stored retention');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instances WHERE instance_id = 'gone')"), 'one that is negative is none');

# All of that with the processes that there were.
$node->safe_psql('postgres', "SET ROLE app; SELECT durable.start('app.once', 1, 'last')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('last', '30 s')"), 'Completed', 'the engine goes on');
my $log = slurp_file($node->logfile);
unlike($log, qr/timestamp out of range/, 'no timestamp is out of range');
unlike($log, qr/durable (coordinator|worker|launcher)"? \(PID \d+\) exited with exit code [1-9]/, 'no process has failed');
$node->stop;
done_testing();
