# Hostile clients of durable serve --grpc, which is compiled with AddressSanitizer: random messages for the codec; mutated frames of
# HTTP/2; floods of frames; clients that do not read.  DURABLE_FUZZ_SECONDS and DURABLE_FUZZ_SEED make it longer, and repeat it.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest qw(grpc_port);
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $seconds = $ENV{DURABLE_FUZZ_SECONDS} // 30;
my $seed = $ENV{DURABLE_FUZZ_SEED} // int(time);
my $top = $ENV{DURABLE_TOP};
my $program = "$PostgreSQL::Test::Utils::tmp_check/durable_asan";
my $config = $ENV{PG_CONFIG} // 'pg_config';
my $include = `$config --includedir`;
chomp $include;
plan skip_all => 'no compiler with AddressSanitizer'
  if system("echo 'int main(void) { return 0; }' | cc -fsanitize=address,undefined -x c - -o $program 2>/dev/null") != 0;
note("seed $seed");
srand($seed);

my $cc = "cc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE -I$include -I$top/clients/serve -I$top/clients/durable -I$top/clients/common";
my $codec = join ' ', map { "$top/clients/serve/grpc/$_.c" } qw(buffer json messages proto proto_out times wire);
system("$cc $top/test/fuzz/grpc_codec.c $codec -o $program.codec 2>$program.log") == 0 or BAIL_OUT(slurp_file("$program.log"));
my ($out, $err) = run_command([ "$program.codec", $seconds, $seed ]);
like($out, qr/^\d+ rounds, \d+ accepted, \d+ the same again$/, 'random messages are read and written, and no memory is misused') or diag($err);
is($err, '', 'without complaints');

system("$top/clients/serve/embed $top/web >$program.www.c");
my $files = join ' ', grep { !/(?:www|listen_none)\.c$/ } glob("$top/clients/{common,durable,serve}/*.c"), glob("$top/clients/serve/grpc/*.c");
system("$cc $files $program.www.c -lpq -lnghttp2 -levent_openssl -levent -lssl -lcrypto -o $program 2>$program.log") == 0
  or BAIL_OUT('could not build the gateway with AddressSanitizer: ' . slurp_file("$program.log"));

my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION durable');
gateway_roles($node);
$ENV{ASAN_OPTIONS} = 'detect_leaks=0';
my $gateway = gateway_start($node, [$program], '--role', 'manager', '--grpc', '127.0.0.1:0', '--max-message', 1);
my $port = grpc_port($gateway);

my $preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
sub h2 { my ($type, $flags, $stream, $payload) = @_; return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload; }
# A header that is not put into the table, without Huffman's code.
sub header { my ($name, $value) = @_; return pack('C', 0) . pack('C', length $name) . $name . pack('C', length $value) . $value; }
sub headers
{
	my ($stream, $rpc, @more) = @_;

	return h2(1, 4, $stream, join '', map { header(@$_) } [ ':method', 'POST' ], [ ':scheme', 'http' ], [ ':path', "/TaskHubSidecarService/$rpc" ],
		[ ':authority', 'localhost' ], [ 'content-type', 'application/grpc' ], [ 'te', 'trailers' ], @more);
}
sub data { my ($stream, $message, $end) = @_; return h2(0, $end // 1, $stream, pack('CN', 0, length $message) . $message); }
sub text { my ($number, $text) = @_; return pack('CC', $number << 3 | 2, length $text) . $text; }
sub dial { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port); }

# What comes within a time, at most so long as the pattern has not come.
sub answer_of
{
	my ($socket, $patience, $pattern) = @_;
	my $answer = '';
	my $deadline = time + $patience;

	while (time < $deadline && !($pattern && $answer =~ $pattern))
	{
		next unless IO::Select->new($socket)->can_read(0.05);
		last unless sysread $socket, $answer, 65536, length $answer;
	}
	return $answer;
}
sub put { my ($socket, $bytes) = @_; local $SIG{PIPE} = 'IGNORE'; return syswrite $socket, $bytes; }

sub is_alive
{
	my ($name) = @_;
	my $socket = dial() or return fail($name);

	put($socket, $preface . h2(4, 0, 0, '') . headers(1, 'Hello') . data(1, ''));
	$gateway->{process}->pump_nb if $gateway->{process}->pumpable;
	return like(answer_of($socket, 20, qr/grpc-status|\x40/), qr/./s, $name) || diag($gateway->{err});
}
is_alive('the gateway answers');

# Mutated frames.
my @corpus = map { $preface . h2(4, 0, 0, '') . $_ } (
	headers(1, 'Hello') . data(1, ''),
	headers(1, 'GetInstance') . data(1, text(1, 'nobody')),
	headers(1, 'StartInstance', [ 'grpc-timeout', '100m' ]) . data(1, text(1, 'x') . text(2, 'y') . text(4, text(1, '{}'))),
	headers(1, 'WaitForInstanceCompletion', [ 'grpc-timeout', '1S' ]) . data(1, text(1, 'nobody')),
	headers(1, 'GetWorkItems') . data(1, '') . headers(3, 'CompleteActivityTask') . data(3, text(5, '1-1-1-1')),
	headers(1, 'CompleteOrchestratorTask') . data(1, text(1, 'x') . text(2, pack('CC', 8, 1) . text(2, text(1, 'a'))) . text(4, '1-1-1-1')),
	headers(1, 'QueryInstances') . data(1, text(1, pack('CC', 0x28, 3))),
	headers(1, 'Hello') . h2(9, 4, 1, '') . h2(8, 0, 0, pack 'N', 100) . h2(6, 0, 0, 'x' x 8) . h2(3, 0, 1, pack 'N', 8) . h2(7, 0, 0, pack 'NN', 0, 0));
my $sent = 0;
my $until = time + $seconds;
while (time < $until)
{
	my $socket = dial() or last;
	my $request = $corpus[rand @corpus];
	my $from = rand() < 0.8 ? length $preface : 0;

	foreach (0 .. rand 5)
	{
		my $at = $from + int rand(length($request) - $from);
		my $kind = rand;

		last if $at >= length $request;
		if ($kind < 0.5) { substr($request, $at, 1) = chr int rand 256; }
		elsif ($kind < 0.7) { substr($request, $at, 1) = ''; }
		elsif ($kind < 0.9) { substr($request, $at, 0) = chr(int rand 256) x (1 + rand 20); }
		else { $request = substr $request, 0, $at; }
	}
	put($socket, $request);
	answer_of($socket, 0.02) if rand() < 0.2;
	$sent++;
}
cmp_ok($sent, '>', 100, "$sent mutated requests were sent");
is_alive('it still answers');

# Failures within failures.
sub deep { my ($depth) = @_; my $message = ''; $message = text(4, $message) foreach 1 .. $depth; return text(2, text(6, text(6, $message))); }

# Floods: each of them is ended, or costs nothing.
my %floods = (
	'streams that are reset at once' => join('', map { headers(2 * $_ + 1, 'GetWorkItems') . h2(3, 0, 2 * $_ + 1, pack 'N', 8) } 0 .. 5000),
	'pings' => h2(6, 0, 0, 'x' x 8) x 20000,
	'settings' => h2(4, 0, 0, pack('nN', 3, 100)) x 20000,
	'continuations' => h2(1, 0, 1, header('a', 'b')) . h2(9, 0, 1, header('c', 'x' x 100)) x 5000,
	'empty frames of data' => headers(1, 'GetInstance') . h2(0, 0, 1, '') x 20000,
	'window updates' => h2(8, 0, 0, pack 'N', 0x7fffffff) x 1000,
	'streams without end' => join('', map { headers(2 * $_ + 1, 'GetInstance') } 0 .. 3000),
	'a message that is too large' => headers(1, 'StartInstance') . h2(0, 0, 1, pack('CN', 0, 0x7fffffff) . 'x' x 10000) . h2(0, 0, 1, 'x' x 16000) x 200,
	'messages within messages' => headers(1, 'CompleteOrchestratorTask') . data(1, deep(60)));
foreach my $name (sort keys %floods)
{
	my $socket = dial();

	$socket->blocking(0);
	my $bytes = $preface . h2(4, 0, 0, '') . $floods{$name};
	my $deadline = time + 5;
	while (length $bytes && time < $deadline)
	{
		my $n = put($socket, $bytes);

		if (defined $n) { substr($bytes, 0, $n) = ''; }
		elsif ($!{EAGAIN}) { sleep 0.01; }
		else { last; }
	}
	is_alive("flood of $name");
	close $socket;
}

# A client that asks for much and reads nothing, next to another one.
my @lazy = map { my $s = dial(); put($s, $preface . h2(4, 0, 0, '') . join('', map { headers(2 * $_ + 1, 'QueryInstances') . data(2 * $_ + 1, '') } 0 .. 200)); $s } 1 .. 20;
is_alive('clients that do not read hold up nobody');
close $_ foreach @lazy;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM durable.leases'), 'work that was handed out to such workers is given back');
$gateway->{process}->pump_nb if $gateway->{process}->pumpable;
unlike($gateway->{err}, qr/AddressSanitizer|runtime error/, 'no memory was misused');
gateway_stop($gateway);
done_testing;
