# Hostile clients of durable serve --grpc, which is compiled with AddressSanitizer: random messages for the codec; mutated messages of all RPCs, also answers
# to turns, activities and operations of entities that are out; mutated frames of HTTP/2; floods of frames; clients that do not read.  DURABLE_FUZZ_SECONDS and DURABLE_FUZZ_SEED make it longer, and repeat it.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest qw(grpc_port);
use H2Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seconds = $ENV{DURABLE_FUZZ_SECONDS} // 30;
my $seed = $ENV{DURABLE_FUZZ_SEED} // CORE::time();
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

sub is_alive
{
	my ($name) = @_;
	my $socket = h2_dial($port) or return fail($name);

	h2_put($socket, h2_preface . h2_headers(1, 'Hello') . h2_data(1, ''));
	$gateway->{process}->pump_nb if $gateway->{process}->pumpable;
	return like(h2_answer($socket, 20, qr/grpc-status|\x40/), qr/./s, $name) || diag($gateway->{err});
}
is_alive('the gateway answers');

# Messages, by RPC. TOKEN is that of a turn, an activity, or operations of an entity that are really out.
sub string { return h2_text($_[0], h2_text(1, $_[1])); }
sub number { return pack 'CC', $_[0] << 3, $_[1]; }
my $operation = h2_text(1, 'request') . h2_text(2, 'op') . string(4, '1');
my %messages = (
	Hello => [''],
	GetInstance => [ h2_text(1, 'fuzz') . number(2, 1) ],
	StartInstance => [ h2_text(1, 'fuzz') . h2_text(2, 'Fuzz') . string(3, '1.0') . string(4, '{"n": 1}') . h2_text(5, number(1, 5)) . h2_text(6, number(1, 1)) . h2_text(8, h2_text(1, 'k') . h2_text(2, 'v')) ],
	RaiseEvent => [ h2_text(1, 'fuzz') . h2_text(2, 'go') . string(3, '[1]') ],
	TerminateInstance => [ h2_text(1, 'fuzz') . string(2, '"end"') . number(3, 1) ],
	SuspendInstance => [ h2_text(1, 'fuzz') . string(2, 'why') ],
	ResumeInstance => [ h2_text(1, 'fuzz') . string(2, 'why') ],
	RewindInstance => [ h2_text(1, 'fuzz') . string(2, 'why') ],
	RestartInstance => [ h2_text(1, 'fuzz') . number(2, 1) ],
	QueryInstances => [ h2_text(1, number(1, 1) . h2_text(2, number(1, 1)) . number(5, 3) . string(7, 'fu') . number(8, 1)) ],
	ListInstanceIds => [ number(1, 1) . h2_text(2, number(1, 1)) . number(4, 2) . string(5, 'x') ],
	PurgeInstances => [ h2_text(1, 'fuzz'), h2_text(2, h2_text(1, number(1, 1)) . number(3, 1)), h2_text(4, h2_text(1, 'fuzz') . h2_text(1, 'other')) . number(3, 1) ],
	StreamInstanceHistory => [ h2_text(1, 'fuzz') ],
	SkipGracefulOrchestrationTerminations => [ h2_text(1, h2_text(1, 'fuzz')) . string(2, 'why') ],
	GetWorkItems => [ number(1, 1) . number(2, 1) . number(3, 1) . h2_text(11, h2_text(1, h2_text(1, 'Fuzz') . h2_text(2, '1.0')) . h2_text(2, h2_text(1, 'act')) . h2_text(3, h2_text(1, 'fuzz'))) ],
	CompleteActivityTask => [ h2_text(1, 'fuzz') . number(2, 1) . string(3, '7') . h2_text(5, 'TOKEN'), h2_text(4, h2_text(1, 'E') . h2_text(2, 'message') . string(3, 'stack') . h2_text(4, h2_text(2, 'inner'))) . h2_text(5, 'TOKEN') ],
	CompleteOrchestratorTask => [ map { h2_text(1, 'fuzz') . join('', map { h2_text(2, $_) } @$_) . string(3, 'status') . h2_text(4, 'TOKEN') }
		[ number(1, 1) . h2_text(2, h2_text(1, 'act') . string(3, '1') . h2_text(4, h2_text(1, 'k') . h2_text(2, 'v'))), number(1, 2) . h2_text(3, h2_text(1, 'child') . h2_text(2, 'Fuzz') . string(4, '2')) ],
		[ number(1, 1) . h2_text(4, h2_text(1, number(1, 1))), number(1, 2) . h2_text(5, h2_text(1, h2_text(1, 'fuzz')) . h2_text(2, 'go') . string(3, 'x')), number(1, 3) . h2_text(7, h2_text(1, 'child') . string(2, 'why') . number(3, 1)) ],
		[ number(1, 1) . h2_text(8, h2_text(1, $operation . string(5, '@fuzz@k'))), number(1, 2) . h2_text(8, h2_text(2, $operation . string(7, '@fuzz@k'))),
			number(1, 3) . h2_text(8, h2_text(3, h2_text(1, 'lock') . h2_text(2, '@fuzz@k') . h2_text(2, '@fuzz@l'))), number(1, 4) . h2_text(8, h2_text(4, h2_text(1, 'lock') . string(3, '@fuzz@k'))) ],
		[ number(1, 9) . h2_text(6, number(1, 1) . string(2, '"done"')) ],
		[ number(1, 9) . h2_text(6, number(1, 2) . string(2, '2') . string(4, '2.0') . h2_text(5, h2_text(17, h2_text(1, 'go') . string(2, '1')))) ],
		[ number(1, 9) . h2_text(6, number(1, 3) . h2_text(6, h2_text(1, 'E') . h2_text(2, 'message'))) ] ],
	CompleteEntityTask => [ h2_text(1, h2_text(1, string(1, '5'))) . h2_text(1, h2_text(2, h2_text(1, h2_text(1, 'E') . h2_text(2, 'message')))) .
		h2_text(2, number(1, 1) . h2_text(2, h2_text(1, '@fuzz@l') . h2_text(2, 'op') . string(3, '1') . h2_text(4, number(1, 1)))) . h2_text(2, number(1, 2) . h2_text(3, h2_text(2, 'Fuzz') . string(4, '1'))) .
		string(3, '{"n": 5}') . h2_text(5, 'TOKEN') . h2_text(6, h2_text(1, 'request') . h2_text(2, h2_text(1, 'fuzz'))), h2_text(1, h2_text(1, '')) . h2_text(5, 'TOKEN'), h2_text(4, h2_text(2, 'all of it')) . h2_text(5, 'TOKEN') ],
	AbandonTaskActivityWorkItem => [ h2_text(1, 'TOKEN') ],
	AbandonTaskOrchestratorWorkItem => [ h2_text(1, 'TOKEN') ],
	AbandonTaskEntityWorkItem => [ h2_text(1, 'TOKEN') ],
	SignalEntity => [ h2_text(1, '@fuzz@k') . h2_text(2, 'op') . string(3, '1') . h2_text(4, 'request') . h2_text(5, number(1, 1)) ],
	GetEntity => [ h2_text(1, '@fuzz@k') . number(2, 1) ],
	QueryEntities => [ h2_text(1, string(1, '@fu') . h2_text(2, number(1, 1)) . number(4, 1) . number(5, 1) . h2_text(6, number(1, 5)) . string(7, 'x')) ],
	CleanEntityStorage => [ number(2, 1) . number(3, 1) ],
	CreateTaskHub => [ number(1, 1) ],
	DeleteTaskHub => ['']);
foreach my $rpc (slurp_file("$top/clients/serve/grpc/rpc.c") =~ /^\t\{"([A-Z]\w+)", &message/mg)
{
	ok($messages{$rpc} || $rpc =~ /^(?:WaitFor|Check)/, "there are messages of $rpc");
}
my @rpcs = sort keys %messages;
my $database = $node->background_psql('postgres', on_error_stop => 0);
$database->query('SET ROLE manager');
my %of_kind = (CompleteActivityTask => 'fetch_work', AbandonTaskActivityWorkItem => 'fetch_work', CompleteEntityTask => 'fetch_entities', AbandonTaskEntityWorkItem => 'fetch_entities');

# A token of work that is out.
sub token_for
{
	my ($rpc) = @_;
	my $fetch = $of_kind{$rpc} // 'fetch_turns';

	$database->query(q{SELECT durable.signal_entity_text('@fuzz@k', 'op', '1', queue => 'default')}) if $fetch eq 'fetch_entities';
	$database->query(q{SELECT durable.start_external('default', 'Fuzz')}) if $fetch eq 'fetch_turns';
	my $token = $database->query("SELECT token FROM durable.$fetch('default', 'fuzz', lease => '1 hour')");
	return $token =~ /^([0-9a-f-]+)$/m ? $1 : '1-1-1-1';
}

sub mutate
{
	my ($bytes, $from) = @_;

	foreach (0 .. rand 5)
	{
		my $at = $from + int rand(length($bytes) - $from);
		my $kind = rand;

		last if $at >= length $bytes;
		if ($kind < 0.5) { substr($bytes, $at, 1) = chr int rand 256; }
		elsif ($kind < 0.7) { substr($bytes, $at, 1) = ''; }
		elsif ($kind < 0.9) { substr($bytes, $at, 0) = chr(int rand 256) x (1 + rand 20); }
		else { $bytes = substr $bytes, 0, $at; }
	}
	return $bytes;
}

# Messages that are mutated, in frames that are good; and frames that are mutated.
my ($sent, $with_token) = (0, 0);
my $until = time + $seconds;
while (time < $until)
{
	my $socket = h2_dial($port) or last;
	my $bytes = h2_preface;

	foreach my $n (0 .. int rand 5)
	{
		my $rpc = $rpcs[rand @rpcs];
		my $message = $messages{$rpc}[rand @{ $messages{$rpc} }];

		if ($message =~ /TOKEN/ && rand() < 0.5)
		{
			my $token = token_for($rpc);

			# Its length is the byte in front of it.
			$message =~ s/.TOKEN/chr(length $token) . $token/es;
			$with_token++;
		}
		$message = mutate($message, 0) if rand() < 0.6;
		$bytes .= h2_headers(2 * $n + 1, $rpc, [ 'grpc-timeout', '2S' ]) . h2_data(2 * $n + 1, $message);
	}
	$bytes .= h2_frame(9, 4, 1, '') . h2_frame(6, 0, 0, 'x' x 8) . h2_frame(3, 0, 1, pack 'N', 8) . h2_frame(7, 0, 0, pack 'NN', 0, 0) if rand() < 0.1;
	$bytes = mutate($bytes, rand() < 0.8 ? length h2_preface() : 0) if rand() < 0.4;
	h2_put($socket, $bytes);
	h2_answer($socket, 0.02) if rand() < 0.7;
	$sent++;
}
note("$sent connections, $with_token answers to work that was out");
cmp_ok($sent, '>', 100, 'mutated requests were sent');
cmp_ok($with_token, '>', 20, 'and mutated answers to work that was out');
$database->quit;
is_alive('it still answers');

# Failures within failures.
sub deep { my ($depth) = @_; my $message = ''; $message = h2_text(4, $message) foreach 1 .. $depth; return h2_text(2, h2_text(6, h2_text(6, $message))); }

# Floods: each of them is ended, or costs nothing.
my %floods = (
	'streams that are reset at once' => join('', map { h2_headers(2 * $_ + 1, 'GetWorkItems') . h2_frame(3, 0, 2 * $_ + 1, pack 'N', 8) } 0 .. 5000),
	'pings' => h2_frame(6, 0, 0, 'x' x 8) x 20000,
	'settings' => h2_frame(4, 0, 0, pack('nN', 3, 100)) x 20000,
	'continuations' => h2_frame(1, 0, 1, h2_header('a', 'b')) . h2_frame(9, 0, 1, h2_header('c', 'x' x 100)) x 5000,
	'empty frames of data' => h2_headers(1, 'GetInstance') . h2_frame(0, 0, 1, '') x 20000,
	'headers that are small in the table' => h2_frame(1, 4, 1, h2_header('x', 'y' x 3000, 1)) . join('', map { h2_frame(1, 4, 2 * $_ + 1, "\xbe" x 16000) } 1 .. 100),
	'many small headers' => h2_headers(1, 'GetInstance', map { [ "x-$_", 'y' x 20 ] } 1 .. 200) x 20,
	'trailers' => h2_headers(1, 'GetInstance') . h2_frame(1, 4, 1, h2_header('x', 'y')) x 5000,
	'priorities' => h2_frame(2, 0, 1, pack('NC', 3, 1)) x 20000,
	'unknown frames' => h2_frame(0x42, 0, 0, 'x' x 100) x 20000,
	'waiting clients that are reset' => join('', map { h2_headers(2 * $_ + 1, 'WaitForInstanceCompletion') . h2_data(2 * $_ + 1, h2_text(1, 'nobody')) . h2_frame(3, 0, 2 * $_ + 1, pack 'N', 8) } 0 .. 900),
	'window updates' => h2_frame(8, 0, 0, pack 'N', 0x7fffffff) x 1000,
	'streams without end' => join('', map { h2_headers(2 * $_ + 1, 'GetInstance') } 0 .. 3000),
	'a message that is too large' => h2_headers(1, 'StartInstance') . h2_frame(0, 0, 1, pack('CN', 0, 0x7fffffff) . 'x' x 10000) . h2_frame(0, 0, 1, 'x' x 16000) x 200,
	'messages within messages' => h2_headers(1, 'CompleteOrchestratorTask') . h2_data(1, deep(60)));
foreach my $name (sort keys %floods)
{
	my $socket = h2_dial($port);

	h2_put_all($socket, h2_preface . $floods{$name}, 5);
	is_alive("flood of $name");
	close $socket;
}

# A client that asks for much and reads nothing, next to another one.
my @lazy = map { my $s = h2_dial($port); h2_put($s, h2_preface . join('', map { h2_headers(2 * $_ + 1, 'QueryInstances') . h2_data(2 * $_ + 1, '') } 0 .. 200)); $s } 1 .. 20;
is_alive('clients that do not read hold up nobody');
close $_ foreach @lazy;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM durable.leases WHERE worker IS DISTINCT FROM 'fuzz'}), 'work that was handed out to such workers is given back');
$gateway->{process}->pump_nb if $gateway->{process}->pumpable;
unlike($gateway->{err}, qr/AddressSanitizer|runtime error/, 'no memory was misused');
my %internal = map { $_ => 1 } $gateway->{err} =~ /(\w+: XX\w+: .*)/g;
is(join("\n", sort keys %internal), '', 'no request made an internal error of the engine');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal|XX000/, 'nor is there one in the log of the server');
gateway_stop($gateway);
done_testing;
