# Clients and workers of durable serve --grpc that lie, and many of them at once: 10,000 clients that wait, 1,000 workers, clients that ask for large
# histories and do not read them. They cost memory within limits, and no other client its answers.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use H2Test;
use SdkTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

sdk_install();
my $node = new_node('main', conf => "durable.max_workers = 4\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION durable');
gateway_roles($node);
append_to_file("$PostgreSQL::Test::Utils::tmp_check/hubs", "hub one manager one\nhub two other two\n");
my @options = ('--grpc', '127.0.0.1:0', '--max-connections', 3000, '--max-per-address', 3000, '--max-message', 8);
my $gateway = gateway_start($node, '--hubs', "$PostgreSQL::Test::Utils::tmp_check/hubs", @options);
sdk_report('hostile.js', grpc_port($gateway));
gateway_stop($gateway);

$gateway = gateway_start($node, '--role', 'manager', @options);
my $port = grpc_port($gateway);

sub metric { my ($name) = @_; return (get($gateway, '/metrics'))[1] =~ /^\Q$name\E (\d+)$/m ? $1 : 0; }
sub becomes
{
	my ($name, $value) = @_;
	my $deadline = time + 90;

	while (time < $deadline) { return 1 if metric($name) == $value; sleep 0.1; }
	$gateway->{process}->pump_nb if $gateway->{process}->pumpable;
	diag("$name is " . metric($name) . "\n$gateway->{err}");
	return 0;
}
sub megabytes { return slurp_file("/proc/$gateway->{pid}/status") =~ /^VmRSS:\s+(\d+) kB/m ? int($1 / 1024) : 0; }
sub backends { return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway'}); }
sub ask { my ($socket, $n, $rpc, $message) = @_; return h2_put_all($socket, h2_headers(2 * $n + 1, $rpc) . h2_data(2 * $n + 1, $message), 10); }
my $before = megabytes();

# Clients that wait.
$node->safe_psql('postgres', q{SET ROLE manager; SELECT durable.register_queue('elsewhere'), durable.start_external('elsewhere', 'Waits', NULL, 'awaited')});
my @clients = map { my $s = h2_dial($port); h2_put($s, h2_preface); $s } 1 .. 10;
foreach my $client (@clients)
{
	h2_put_all($client, join('', map { h2_headers(2 * $_ + 1, 'WaitForInstanceCompletion') . h2_data(2 * $_ + 1, h2_text(1, 'awaited')) } 0 .. 999), 10);
}
ok(becomes('durable_grpc_waiting_clients', 10000), '10,000 clients wait');
my $waiting = megabytes();
cmp_ok($waiting - $before, '<', 150, 'they need memory') or diag("from $before to $waiting MB");
cmp_ok(backends(), '<=', 16, '... and no backends');
my $began = time;
$node->safe_psql('postgres', q{SET ROLE manager; SELECT durable.terminate('awaited')});
ok(becomes('durable_grpc_calls_total{rpc="WaitForInstanceCompletion",status="0"}', 10000), 'all of them get their answer');
cmp_ok(time - $began, '<', patience(20), '... in time');
note(sprintf '10,000 waiting clients: %d MB of %d, answered in %.1f s', $waiting - $before, $waiting, time - $began);
close $_ foreach @clients;

# Workers.
my @workers = map { my $s = h2_dial($port); h2_put($s, h2_preface); ask($s, 0, 'GetWorkItems', ''); $s } 1 .. 1000;
ok(becomes('durable_grpc_workers', 1000), '1,000 workers are connected');
my $working = megabytes();
cmp_ok($working - $before, '<', 200, 'they need memory') or diag("from $before to $working MB");
cmp_ok(backends(), '<=', 16, '... and no backends');
note(sprintf '1,000 workers: %d MB of %d', $working - $before, $working);
$node->safe_psql('postgres', q{SET ROLE manager; SELECT count(durable.start_external('default', 'Work', NULL, 'work-' || n)) FROM generate_series(1, 2000) n});
ok(becomes('durable_grpc_work_out{kind="turn"}', 2000), '2,000 turns are handed out');
my $got = grep { h2_answer($_, 0.2, qr/work-\d/) =~ /work-\d/ } @workers[ 0 .. 49 ];
cmp_ok($got, '>=', 45, '... to all of the workers');
close $_ foreach @workers;
ok(becomes('durable_grpc_workers', 0), 'they are gone');
ok($node->poll_query_until('postgres', q{SELECT ready = 2000 AND leased = 0 FROM durable.queues WHERE name = 'default'}), '... and their work is there for others');

# Clients that ask for more than they read: each stream a history of 12 MB, where all answers of a hub may have 32 MB.
$node->safe_psql('postgres', <<'SQL');
SET ROLE manager;
SELECT durable.start_external('elsewhere', 'Large', NULL, 'large');
SELECT durable.raise_event_text('large', 'e', md5(n::text) || repeat('x', 1000000)) FROM generate_series(1, 12) n;
SQL
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM durable.inbox)}), 'there is an instance with a large history');
my $small = megabytes();
my @lazy = map { my $s = h2_dial($port); h2_put($s, h2_preface); $s } 1 .. 10;
foreach my $n (0 .. 3) { ask($_, $n, 'StreamInstanceHistory', h2_text(1, 'large')) foreach @lazy; }
# 14: it has waited for a connection to the database for ten seconds.
my %ended;
my $deadline = time + 90;
do
{
	sleep 0.1;
	%ended = map { $_ => metric(qq{durable_grpc_calls_total{rpc="StreamInstanceHistory",status="$_"}}) } 0, 8, 14;
} while (time < $deadline && $ended{0} + $ended{8} + $ended{14} < 40);
cmp_ok($ended{8} + $ended{14}, '>=', 37, 'most of them are refused') or diag(explain(\%ended));
cmp_ok($ended{8}, '>', 0, '... because nobody reads what was asked for') or diag(explain(\%ended));
cmp_ok(metric('durable_grpc_answer_bytes'), '<=', 33 * 1024 * 1024, 'what waits to be read has a limit');
cmp_ok(megabytes() - $small, '<', 150, '... and so has the memory') or diag("from $small to " . megabytes() . ' MB');
note(sprintf '40 histories of 12 MB that are not read: %d MB', megabytes() - $small);
my $other = h2_dial($port);
h2_put($other, h2_preface . h2_headers(1, 'GetInstance') . h2_data(1, h2_text(1, 'large')));
like(h2_answer($other, 20, qr/large/), qr/large/, 'another client gets its answer');
close $_ foreach @lazy;
ok(becomes('durable_grpc_answer_bytes', 0), 'when they are gone, nothing waits');
h2_put($other, h2_frame(8, 0, 0, pack 'N', 1 << 30) . h2_frame(4, 0, 0, pack 'nN', 4, 1 << 30) . h2_headers(3, 'StreamInstanceHistory') . h2_data(3, h2_text(1, 'large')));
my ($history, $until) = ('', time + 90);
$other->blocking(1);
while (time < $until && length $history < 12 * 1000 * 1000) { last unless sysread $other, $history, 1 << 20, length $history; }
cmp_ok(length $history, '>=', 12 * 1000 * 1000, 'a client that reads gets all of a large history');

gateway_stop($gateway);
done_testing;
