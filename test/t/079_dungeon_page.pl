# A page that was written for the routes of the original game, opened from a file (Origin: null), plays a whole game: it polls
# GameStatus and CheckStatus of the five workflows, and has won when the player carries two things.  Then 10,000 mutated requests
# against a gateway that was compiled with AddressSanitizer.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
create_dungeon($node, 'postgres');
gateway_roles($node);
my $gateway = gateway_start($node, '--role', 'player', '--cors', '*');
my @page = (Origin => 'null', 'Content-Type' => 'text/plain;charset=UTF-8');
my @workflows = qw(UserConfirmationWorkflow UserMonitorWorkflow GameMonitorWorkflow RunUserParallelWorkflow RunUserSequentialWorkflow);
my $name = 'Joan O\'Arc <&>';
my $encoded = $name =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;

sub game
{
	my ($status, $body, $headers) = get($gateway, "/API/gamestatus/$encoded", @page);

	is($headers->{'access-control-allow-origin'}, '*', 'the page may read the answer') if $status != 200 && $status != 400;
	return $status == 200 ? decode_json($body) : undef;
}

# Polls as the page does; the game, once it is as asked for.
sub game_when
{
	my ($condition) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		my $game = game();
		return $game if $game && $condition->($game);
		sleep(0.5);
	}
	return;
}

sub check
{
	my ($workflow) = @_;
	my ($status, $body) = get($gateway, "/api/checkstatus/$encoded/$workflow", @page);

	return $status == 200 ? decode_json($body)->{status} : $status;
}

sub act { return (post($gateway, '/api/action', { name => $name, @_ }, @page))[0]; }

is((request($gateway, 'OPTIONS', '/api/NewUser', undef, @page, 'Access-Control-Request-Headers' => 'content-type'))[0], 204, 'the page may ask');
is((post($gateway, '/api/newUser', { name => $name }, @page))[0], 200, 'NewUser');
my $game = game_when(sub { $_[0]{room} && check('UserConfirmationWorkflow') eq 'Running' });
ok($game, 'the world is made');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.waiting WHERE kind = 'event' AND detail = 'ApprovalTask'"), 'it is to be confirmed');
is((post($gateway, '/api/confirmuser', { name => $name }, @page))[0], 200, 'ConfirmUser');
$game = game_when(sub { $_[0]{room}{monster} && $_[0]{room}{inventoryItems} });
ok($game, 'everything is in its place');
my $weapon = $game->{room}{inventoryItems};
is(act(action => 'get', target => $weapon), 200, 'get');
is(act(action => 'kill', target => $game->{room}{monster}, with => $weapon), 200, 'kill');
$game = game_when(sub { !$_[0]{monster}{isAlive} && $_[0]{room}{inventoryItems} });
is(act(action => 'get', target => $game->{room}{inventoryItems}), 200, 'get the treasure');
$game = game_when(sub { scalar(split /,/, $_[0]{user}{inventoryItems}) == 2 });
ok($game && $game->{user}{isAlive}, 'the game is won');
foreach my $workflow (grep { $_ ne 'UserMonitorWorkflow' } @workflows)
{
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	sleep(0.2) while check($workflow) ne 'Completed' && time < $deadline;
	is(check($workflow), 'Completed', "$workflow is completed");
}
gateway_stop($gateway);

# Mutated requests.
SKIP:
{
	my $program = "$PostgreSQL::Test::Utils::tmp_check/durable_asan";
	my $top = $ENV{DURABLE_TOP};
	my $config = $ENV{PG_CONFIG} // 'pg_config';
	my $include = `$config --includedir`;
	chomp $include;
	my $files = join ' ', grep { !/www\.c$/ } glob("$top/clients/{common,durable,serve}/*.c"), "$top/clients/serve/grpc/listen_none.c";
	system("$top/clients/serve/embed >$program.www.c");
	skip 'no compiler with AddressSanitizer', 3
	  if system("echo 'int main(void) { return 0; }' | cc -fsanitize=address,undefined -x c - -o $program 2>/dev/null") != 0;
	BAIL_OUT('could not build the gateway with AddressSanitizer: ' . slurp_file("$program.log"))
	  if system("cc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE -I$include -I$top/clients/serve -I$top/clients/durable -I$top/clients/common "
		  . "$files $program.www.c -lpq -levent -lcrypto -o $program 2>$program.log") != 0;
	local $ENV{ASAN_OPTIONS} = 'detect_leaks=0';
	my $fuzzed = gateway_start($node, [$program], '--role', 'player', '--cors', '*', '--secret-file', secret(), '--audience', 'x');
	my $seed = $ENV{DURABLE_FUZZ_SEED} // CORE::time();
	diag("seed $seed");
	srand($seed);
	my $host = "Host: localhost:$fuzzed->{port}\r\n";
	my @corpus = (
		"GET /api/GameStatus/Pat?a=1&b=%20 HTTP/1.1\r\n$host\r\n",
		"POST /api/NewUser HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"name\":\"Pat\"}",
		"GET /events?player=Pat&after=1 HTTP/1.1\r\n${host}Last-Event-ID: 7\r\nConnection: close\r\n\r\n",
		"OPTIONS /api/Action HTTP/1.1\r\n${host}Origin: null\r\n\r\n",
		"GET /runtime/webhooks/durabletask/instances?top=1&runtimeStatus=Failed HTTP/1.1\r\n${host}x-ms-continuation-token: abc\r\n\r\n",
		"GET /api/v1/instances/x/history?after=1 HTTP/1.1\r\n${host}Authorization: Bearer "
		  . token('x' x 40, { role => 'player', aud => 'x', exp => CORE::time() + 9999 }) . "\r\n\r\n",
		"HEAD /metrics HTTP/1.1\r\n$host\r\n", "GET /index.html HTTP/1.1\r\n${host}If-None-Match: \"1\"\r\n\r\n");
	my @pieces = ("\r\n", "\n", "\0", "\xff", '%00', '%', '..', '/', '?', '&', '=', ':', ' ', 'x' x 5000, 'Content-Length: 5', 'Transfer-Encoding: chunked',
		'Host: a', '[', '{"', '"', '-1', '99999999999999999999', "HTTP/9.9", 'Bearer .', "\t");
	my $sent = 0;
	while ($sent < 10000)
	{
		my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $fuzzed->{port}) or last;
		local $SIG{PIPE} = 'IGNORE';
		$socket->autoflush(1);
		foreach (1 .. 10)
		{
			my $bytes = $corpus[ rand @corpus ];
			foreach (0 .. int(rand 3))
			{
				my $at = int(rand length $bytes);
				my $how = int(rand 4);
				if ($how == 0) { substr($bytes, $at, 1) = chr int(rand 256); }
				elsif ($how == 1) { substr($bytes, $at, 0) = $pieces[ rand @pieces ]; }
				elsif ($how == 2) { substr($bytes, $at, int(rand 20)) = ''; }
				else { $bytes .= substr($bytes, $at); }
			}
			$sent++;
			last unless print $socket $bytes;
			my $bytes_back;
			last if IO::Select->new($socket)->can_read(0.002) && !sysread($socket, $bytes_back, 65536);
		}
		close $socket;
	}
	cmp_ok($sent, '>=', 10000, 'mutated requests were sent');
	my $alive = 0;
	for (my $i = 0; $i < 50 && !$alive; $i++) { $alive = (get($fuzzed, '/ready'))[0] == 200; sleep(0.2) unless $alive; }
	$fuzzed->{process}->pump_nb if $fuzzed->{process}->pumpable;
	ok($alive, 'the gateway still answers') or diag($fuzzed->{err});
	unlike($fuzzed->{err}, qr/AddressSanitizer|runtime error/, 'and no memory was misused');
}
$node->stop;
done_testing();

sub secret
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/secret";

	append_to_file($file, 'x' x 40);
	return $file;
}
