# durable serve: what it does not start with, whom it lets do what, what it refuses, and that it outlives the server.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use IPC::Run ();
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
create_dungeon($node, 'postgres');
gateway_roles($node);
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION public.double(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * n; END $$;
CREATE FUNCTION public.broken(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'it broke'; END $$;
CREATE FUNCTION public.patient(n integer) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
SQL
my $secret_file = "$PostgreSQL::Test::Utils::tmp_check/secret";
my $secret = 'x' x 20 . 'a secret of some length';
append_to_file($secret_file, "$secret\n");
append_to_file("$secret_file.short", "short\n");
my $connection = $node->connstr('postgres');
my $df = '/runtime/webhooks/durabletask';

# What it does not start with.
foreach my $case (
	[ 'a superuser', 3, qr/superuser/, '-d', "$connection user=postgres" ],
	[ 'no database', 4, qr/could not connect/, '-d', "$connection dbname=nothing user=gateway" ],
	[ 'an address that others reach', 2, qr/--key or --require-token/, '--listen', '0.0.0.0' ],
	[ 'a short key', 2, qr/16 characters/, '--listen', '0.0.0.0', '--key', 'short' ],
	[ 'a short secret', 2, qr/less than 32 bytes/, '--secret-file', "$secret_file.short", '--audience', 'x' ],
	[ 'tokens for everybody', 2, qr/--audience/, '--secret-file', $secret_file ],
	[ 'tokens required but not possible', 2, qr/needs --secret-file/, '--require-token' ],
	[ 'an unknown option', 2, qr/unrecognized/, '--nonsense' ],
	[ 'a port that is none', 2, qr/needs a number/, '--port', '99999' ],
	[ 'a crash command that others could call', 2, qr/loopback/, '--listen', '0.0.0.0', '--key', 'x' x 16, '--crash-command', 'true' ],
	[ 'a directory that is none', 2, qr/no directory/, '--www', '/nonexistent' ])
{
	my ($name, $code, $pattern, @arguments) = @$case;
	my ($status, $err) = gateway_refused([ '--port', 0, @arguments ]);

	is($status, $code, "$name: exit code");
	like($err, $pattern, "$name: message");
}
$node->safe_psql('postgres', 'CREATE ROLE climber LOGIN; CREATE ROLE boss SUPERUSER; GRANT boss TO climber; CREATE ROLE blind LOGIN BYPASSRLS; CREATE ROLE stranger LOGIN');
foreach my $role (qw(climber blind))
{
	my ($status) = gateway_refused([ '--port', 0, '-d', "$connection user=$role" ]);
	is($status, 3, "role $role, which is or can become too powerful, is refused");
}
is((gateway_refused([ '--port', 0, '-d', "$connection user=stranger" ]))[0], 3, 'a role that may not call durable.http is refused');
$node->safe_psql('postgres', 'DROP ROLE climber, boss, blind, stranger');

# Without tokens: everybody plays, nobody manages.
my $open = gateway_start($node, '--role', 'player', '--cors', '*', '--host', 'game.example');
is((get($open, '/healthz'))[0], 200, 'it is alive');
is((get($open, '/ready'))[0], 200, 'and ready');
is((post($open, '/api/NewUser', { name => 'Pat' }))[0], 200, 'a game is begun');
is((post($open, '/api/NewUser', { name => 'Pat' }))[0], 400, 'a name is used once');
is((get($open, "$df/instances"))[0], 403, 'players manage nothing');
is((post($open, "$df/orchestrators/double", '1'))[0], 403, 'and start nothing');
my ($status, $body, $headers) = get($open, '/api/GameStatus/nobody');
is($status, 400, 'a refusal has the status that the database says');
is($headers->{'x-content-type-options'}, 'nosniff', 'nosniff');
is($headers->{'content-security-policy'}, "default-src 'none'; frame-ancestors 'none'", 'a policy that allows nothing');
is($headers->{'referrer-policy'}, 'no-referrer', 'no referrer');
is($headers->{'cache-control'}, 'no-store', 'answers are not stored');
is((request($open, 'HEAD', '/api/Players'))[1], '', 'HEAD has no body');
is((get($open, '/nowhere'))[0], 404, 'an unknown path is not found');

# Names of the host, and origins.
is((get($open, '/api/Players', Host => $_))[0], 200, "host $_ is ours") foreach ('localhost', '127.0.0.1:80', 'GAME.example:9');
is((get($open, '/api/Players', Host => $_))[0], 421, "host $_ is not") foreach ('evil.example', 'localhost.evil.example', 'localhost:x', 'localhost:');
unlike(raw($open, "GET /api/Players HTTP/1.0\r\n\r\n"), qr/ 200 /, 'no host is no host of ours');
($status, $body, $headers) = post($open, '/api/NewUser', { name => 'Ann' }, Origin => 'null');
is("$status $headers->{'access-control-allow-origin'}", '200 *', "a page from a file plays where --cors '*' allows it");
ok(!exists $headers->{'access-control-allow-credentials'}, 'without credentials');
($status, $body, $headers) = request($open, 'OPTIONS', '/api/Action', undef, Origin => 'null', 'Access-Control-Request-Method' => 'POST');
is("$status $headers->{'access-control-allow-methods'}", '204 GET, POST, DELETE', 'the response lists the allowed methods');
is((post($open, "$df/orchestrators/double", '1', Origin => 'http://evil.example'))[0], 403, "'*' does not open the management API");
($status, $body, $headers) = get($open, "$df/instances", Origin => 'http://evil.example');
ok(!exists $headers->{'access-control-allow-origin'}, 'nor lets its answers be read');
my $closed = gateway_start($node, '--role', 'manager', '--cors', 'https://good.example');
is((post($closed, "$df/orchestrators/double", '1', Origin => 'http://evil.example'))[0], 403, 'an origin that is not listed writes nothing');
is((post($closed, "$df/orchestrators/double", '1', Origin => 'null'))[0], 403, 'nor does a file');
is((post($closed, "$df/orchestrators/double", '1', 'Sec-Fetch-Site' => 'cross-site'))[0], 403, 'nor another site that hides its origin');
($status, $body, $headers) = post($closed, "$df/orchestrators/double", '1', Origin => 'https://good.example');
is("$status $headers->{'access-control-allow-origin'} $headers->{vary}", '202 https://good.example Origin', 'one that is listed does');
is((post($closed, "$df/orchestrators/double", '1', Origin => "http://localhost:$closed->{port}"))[0], 202, 'our own pages do');
is((post($closed, "$df/orchestrators/double", 'n=1', 'Content-Type' => $_))[0], 415, "a form with $_ does not")
  foreach ('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x');

# The management API over the network, and waiting for the end.
($status, $body) = post($closed, "$df/orchestrators/double?timeout=60&pollingInterval=1", '21');
is("$status $body", '200 42', 'a start that waits returns the output');
($status, $body) = post($closed, "$df/orchestrators/broken?timeout=60&pollingInterval=1&returnInternalServerErrorOnFailure=true", '21');
is($status, 500, 'or the failure');
like($body, qr/it broke/, 'with its message');
($status, $body, $headers) = post($closed, "$df/orchestrators/patient/one?timeout=0.5&pollingInterval=1", '1');
is($status, 202, 'or 202 when it takes too long');
like($headers->{location}, qr{^http://localhost:$closed->{port}$df/instances/one\?}, 'with an address');
ok(!grep({ /^durable-/ } keys %$headers), 'headers for the gateway are not sent to the client');
is((get($closed, $headers->{location} =~ s{^http://[^/]+}{}r))[0], 202, 'which answers');
is((post($closed, "$df/instances/one/raiseEvent/Go", '7'))[0], 202, 'an event');
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Completed' FROM durable.instances WHERE instance_id = 'one'"), 'it ends');
is((get($closed, "$df/instances/one"))[0], 200, 'and is seen to have ended');
is((post($closed, "$df/instances/one/terminate"))[0], 410, 'an ended instance cannot be terminated');
is((request($closed, 'DELETE', "$df/instances/one"))[0], 200, 'and can be purged');
is((post($closed, "$df/orchestrators/double", '[' x 65 . ']' x 65))[0], 400, 'JSON that is nested too deep is refused');
is((post($closed, "$df/orchestrators/double", "\xff\xfe"))[0], 400, 'a body that is not UTF-8 is refused');
is((post($closed, "$df/orchestrators/double", "1\0"))[0], 400, 'a body with a zero byte is refused');
like((get($closed, '/metrics'))[1], qr/^durable_instances\{name="[^"]+",status="Completed"\} \d+$/m, 'metrics have the instances');
like((get($closed, '/metrics'))[1], qr/^durable_gateway_requests_total\{method="POST",code="2xx"\} \d+$/m, 'and the requests');

# Keys.
my $keyed = gateway_start($node, '--role', 'player', '--key', 'a key of some length');
is((get($keyed, '/api/Players'))[0], 401, 'no key, no answer');
is((get($keyed, '/api/Players', 'x-functions-key' => 'a key of some lengtx'))[0], 401, 'nor with another');
is((get($keyed, '/api/Players', 'x-functions-key' => 'a key of some length'))[0], 200, 'a key in the header');
is((get($keyed, '/api/Players?a=1&code=a+key%20of+some+length'))[0], 200, 'a key in the address');
is((get($keyed, "/events"))[0], 401, 'events need it, too');
is((get($keyed, '/healthz'))[0], 200, 'being alive is no secret');
gateway_stop($keyed);

# Tokens.
my $audience = 'durable';
my $tokens = gateway_start($node, '--require-token', '--secret-file', $secret_file, '--audience', $audience);
sub as { my ($token) = @_; return (get($tokens, "$df/instances", Authorization => "Bearer $token"))[0]; }
my $now = CORE::time();
my %good = (role => 'manager', aud => $audience, exp => $now + 3600);
is(as(token($secret, \%good)), 200, 'a good token');
is(as(token($secret, { %good, aud => [ 'x', $audience ] })), 200, 'one of several audiences');
is(as(token($secret, { %good, exp => $now - 30 })), 200, 'clocks may differ by a minute');
is(as(token($secret, { %good, nbf => $now - 5, iat => $now })), 200, 'with the times of its beginning');
is((get($tokens, "$df/instances"))[0], 401, 'no token');
is((get($tokens, "$df/instances", Authorization => 'Basic eDp5'))[0], 401, 'another scheme');
my @bad = (
	[ 'expired', token($secret, { %good, exp => $now - 120 }) ],
	[ 'without end', token($secret, { role => 'manager', aud => $audience }) ],
	[ 'an end that is text', token($secret, { %good, exp => 'x' . ($now + 3600) }) ],
	[ 'an end that is a quoted number', token($secret, '{"role":"manager","aud":"durable","exp":"9999999999"}') ],
	[ 'an end that is null', token($secret, { %good, exp => undef }) ],
	[ 'not yet', token($secret, { %good, nbf => $now + 120 }) ],
	[ 'from the future', token($secret, { %good, iat => $now + 120 }) ],
	[ 'nbf that is text', token($secret, { %good, nbf => 'x' }) ],
	[ 'no audience', token($secret, { role => 'manager', exp => $now + 60 }) ],
	[ 'another audience', token($secret, { %good, aud => 'x' }) ],
	[ 'other audiences', token($secret, { %good, aud => [ 'x', 'y' ] }) ],
	[ 'an audience that is an object', token($secret, { %good, aud => { $audience => 1 } }) ],
	[ 'no role', token($secret, { aud => $audience, exp => $now + 60 }) ],
	[ 'an empty role', token($secret, { %good, role => '' }) ],
	[ 'role none, which is the session user', token($secret, { %good, role => 'none' }) ],
	[ 'a role that is a number', token($secret, { %good, role => 7 }) ],
	[ 'a role that is an array', token($secret, { %good, role => ['manager'] }) ],
	[ 'another secret', token('y' x 40, \%good) ],
	[ 'no signature', token_parts({ alg => 'HS256' }, \%good) . '.' ],
	[ 'two parts', token_parts({ alg => 'HS256' }, \%good) ],
	[ 'four parts', token($secret, \%good) . '.x' ],
	[ 'alg none', token_parts({ alg => 'none' }, \%good) . '.' ],
	[ 'alg none, but signed', token($secret, \%good, { alg => 'none' }) ],
	[ 'alg HS512, signed with HS256', token($secret, \%good, { alg => 'HS512' }) ],
	[ 'alg RS256, signed with the secret', token($secret, \%good, { alg => 'RS256' }) ],
	[ 'alg in lower case', token($secret, \%good, { alg => 'hs256' }) ],
	[ 'no alg', token($secret, \%good, { typ => 'JWT' }) ],
	[ 'a critical extension', token($secret, \%good, { alg => 'HS256', crit => ['b64'], b64 => JSON::PP::false }) ],
	[ 'a header that is no JSON', token($secret, \%good, 'x') ],
	[ 'a header that is an array', token($secret, \%good, '["HS256"]') ],
	[ 'claims that are no JSON', token($secret, 'x') ],
	[ 'claims that are an array', token($secret, '[]') ],
	[ 'claims with a zero byte', token($secret, "{}\0") ],
	[ 'claims that are deep', token($secret, '[' x 3000) ],
	[ 'standard base64', token($secret, \%good) =~ tr{_-}{/+}r . '=' ],
	[ 'blanks inside', token($secret, \%good) =~ s/\./. /r ],
	[ 'an end of infinity', token($secret, '{"role":"manager","aud":"durable","exp":1e999999}') ],
	[ 'nothing', '' ], [ 'dots', '..' ], [ 'nonsense', 'nonsense' ]);
is(as($_->[1]), 401, "token: $_->[0]") foreach @bad;

# What the gateway answers itself needs the same tokens.
sub of_gateway { my ($path, $token) = @_; return (get($tokens, $path, Authorization => "Bearer $token"))[0]; }
foreach my $path ('/metrics', '/events')
{
	is(of_gateway($path, $_->[1]), 401, "token for $path: $_->[0]")
	  foreach grep({ $_->[0] =~ /^(?:expired|not yet|another audience|no role|role none|another secret)/ } @bad);
	is(of_gateway($path, token($secret, { %good, role => 'postgres' })), 403, "token for $path: a role that the gateway is not a member of");
	is(of_gateway($path, token($secret, { %good, role => 'nobody at all' })), 403, "token for $path: a role that does not exist");
}
is(of_gateway('/metrics', token($secret, \%good)), 200, 'a good token for /metrics');
is(of_gateway('/events', token($secret, \%good)), 403, 'a role that may not call the function of the events gets none');
my $listener = sse_open($tokens, '', Authorization => 'Bearer ' . token($secret, { %good, role => 'player' }));
like(sse_read($listener, qr/retry: 1000/), qr/^HTTP\/1\.1 200 .*retry: 1000/s, 'one that may gets them');
close $listener->{socket};
is(as(token($secret, "{\"role\":\"\xff\"}")), 400, 'token: claims that are no UTF-8');
is(as(token($secret, { %good, x => 'x' x 9000 })), 400, 'token: longer than a header may be');
my $flipped = token($secret, \%good);
substr($flipped, -10, 1) = substr($flipped, -10, 1) eq 'A' ? 'B' : 'A';
is(as($flipped), 401, 'token: one letter of the signature is another');
is(as(token($secret, { %good, role => 'manager', kid => '../../dev/null' }, { alg => 'HS256', kid => "' OR 1=1 --", jku => 'http://evil.example' })),
	200, 'what a header says of its key has no meaning');
is(as(token($secret, { %good, role => $_ })), 403, "a token for role $_, which the gateway may not become")
  foreach ('postgres', 'nobody_of_that_name', "manager'; DROP TABLE x; --", '"manager"');
is((post($tokens, "$df/orchestrators/patient/mine", '1', Authorization => 'Bearer ' . token($secret, \%good)))[0], 202, 'the manager starts an instance');
is($node->safe_psql('postgres', "SELECT owner FROM durable.instances WHERE instance_id = 'mine'"), 'manager', 'it is his');
my @other = (Authorization => 'Bearer ' . token($secret, { %good, role => 'other' }));
foreach my $case ([ 'GET', '' ], [ 'DELETE', '' ], map { [ 'POST', $_ ] } qw(/terminate /suspend /resume /rewind /raiseEvent/Go))
{
	my ($theirs) = request($tokens, $case->[0], "$df/instances/mine$case->[1]", $case->[0] eq 'POST' ? '1' : undef, @other, 'Content-Type' => 'application/json');
	my ($nobodys) = request($tokens, $case->[0], "$df/instances/nobodys$case->[1]", $case->[0] eq 'POST' ? '1' : undef, @other, 'Content-Type' => 'application/json');
	is("$theirs $nobodys", '404 404', "for another tenant it is as if it were not there: $case->[0] instances/mine$case->[1]");
}
unlike((get($tokens, "$df/instances", @other))[1], qr/mine/, 'nor in his list');
is($node->safe_psql('postgres', "SELECT current_setting('role') || count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND state = 'idle in transaction'"), 'none0', 'no transaction is left open');
gateway_stop($tokens);

SKIP:
{
	my $key = "$PostgreSQL::Test::Utils::tmp_check/key";
	skip 'no program openssl', 4 if system("openssl genrsa -out $key 2048 2>/dev/null && openssl rsa -in $key -pubout -out $key.pub 2>/dev/null") != 0;
	$tokens = gateway_start($node, '--require-token', '--public-key', "$key.pub", '--audience', $audience);
	my $text = token_parts({ alg => 'RS256' }, \%good);
	my ($signature, $err);
	IPC::Run::run([ 'openssl', 'dgst', '-sha256', '-sign', $key ], '<', \$text, '>', \$signature, '2>', \$err);
	is(as("$text." . encode_base64url($signature)), 200, 'RS256: a good token');
	$text = token_parts({ alg => 'HS256' }, \%good);
	is(as("$text." . encode_base64url(Digest::SHA::hmac_sha256($text, slurp_file("$key.pub")))), 401, 'the public key is no secret');
	IPC::Run::run([ 'openssl', 'dgst', '-sha256', '-sign', $key ], '<', \$text, '>', \$signature, '2>', \$err);
	is(as("$text." . encode_base64url($signature)), 401, 'signed, but says another algorithm');
	is(as(token($secret, \%good)), 401, 'HS256');
	gateway_stop($tokens);
}

# Requests that can be read in two ways; each ends its connection.
my $host = "Host: localhost:$open->{port}\r\n";
foreach my $case (
	[ 'a length and chunks', "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	[ 'chunks', "POST /api/NewUser HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	[ 'two lengths', "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello" ],
	[ 'a length with a sign', "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: +5\r\n\r\nhello" ],
	[ 'a negative length', "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: -5\r\n\r\n" ],
	[ 'a length with letters', "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: 0x5\r\n\r\nhello" ],
	[ 'a list of lengths', "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: 5, 5\r\n\r\nhello" ],
	[ 'a bare line feed', "GET /api/Players HTTP/1.1\n$host\n" ],
	[ 'a bare line feed among headers', "GET /api/Players HTTP/1.1\r\n${host}X: y\nZ: z\r\n\r\n" ],
	[ 'a bare carriage return', "GET /api/Players HTTP/1.1\r\n${host}X: y\rZ: z\r\n\r\n" ],
	[ 'a folded header', "GET /api/Players HTTP/1.1\r\n${host}X: y\r\n z\r\n\r\n" ],
	[ 'a blank before the colon', "GET /api/Players HTTP/1.1\r\n${host}Content-Length : 5\r\n\r\nhello" ],
	[ 'a header without a colon', "GET /api/Players HTTP/1.1\r\n${host}nonsense\r\n\r\n" ],
	[ 'a zero byte', "GET /api/Players HTTP/1.1\r\n${host}X: a\0b\r\n\r\n" ],
	[ 'no request', "nonsense\r\n\r\n" ],
	[ 'a long header', "GET /api/Players HTTP/1.1\r\n${host}X: " . 'x' x 9000 . "\r\n\r\n" ],
	[ 'many headers', "GET /api/Players HTTP/1.1\r\n$host" . join('', map { "X$_: " . 'x' x 1000 . "\r\n" } 1 .. 20) . "\r\n" ])
{
	my ($name, $bytes) = @$case;
	my $answer = raw($open, "${bytes}GET /healthz HTTP/1.1\r\n$host\r\n", 5);

	like($answer, qr/^(HTTP\/1\.[01] (400|413|431|505) |$)/, "$name: refused");
	unlike($answer, qr/\r\n\r\nok\n/, "$name: nothing after it is answered");
}
like(raw($open, "POST /api/NewUser HTTP/1.1\r\n${host}Content-Length: 1048577\r\n\r\n"), qr/^HTTP\/1\.1 413 /, 'a body of more than 1 MB');
is(scalar(() = raw($open, "GET /healthz HTTP/1.1\r\n$host\r\n" x 3, 1) =~ /ok\n/g), 3, 'requests in a row are answered in a row');
foreach my $path ('/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/.git/config', '//etc/passwd', '/api/GameStatus/%00', '/api/GameStatus/%ff', '/workflows/../../x')
{
	unlike((get($open, $path))[0], qr/^(2|5)/, "$path leads nowhere");
}

# Who is slow is cut off, and holds up nobody.
my @slow = map { my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $open->{port}); $s->autoflush(1); print $s "GET / HTTP/1.1\r\nX: "; $s } 1 .. 50;
my $began = time;
is((get($open, '/api/Players'))[0], 200, 'fifty clients that do not finish their requests hold up nobody');
my $left = 50;
for (my $i = 0; $left && $i < 120; $i++)
{
	$left = 0;
	foreach my $s (@slow)
	{
		next unless $s;
		local $SIG{PIPE} = 'IGNORE';
		print $s 'x';
		if (IO::Select->new($s)->can_read(0)) { my $bytes; $s = undef, next unless sysread($s, $bytes, 1000); }
		$left++;
	}
	sleep(0.25);
}
is($left, 0, 'they are cut off although they send something now and then');
cmp_ok(time - $began, '>', 8, 'after ten seconds');

# The server goes away and comes back.
my $events = sse_open($open, 'player=Pat', 'Last-Event-ID' => 0);
like(sse_read($events, qr/knocks at the gate/), qr/^id: \d+\r?\nevent: console\r?\ndata: \{"id" : \d+, "player" : "Pat"/m, 'events of before');
$node->stop('immediate');
is((get($open, '/api/Players'))[0], 503, 'without a server: 503');
is((get($open, '/healthz'))[0], 200, 'still alive');
ok((get($open, '/ready'))[0] == 503, 'but not ready');
$node->start;
my $back = 0;
for (my $i = 0; $i < 300 && !$back; $i++) { $back = (get($open, '/ready'))[0] == 200; sleep(0.1); }
ok($back, 'it is ready again when the server is back');
is((get($open, '/api/GameStatus/Pat'))[0], 200, 'and nothing is lost');
$node->safe_psql('postgres', "SELECT dungeon.say('Pat', 'after the crash')");
like(sse_read($events, qr/after the crash/), qr/after the crash/, 'events of before and after arrive over the same connection');

# Every statement is fixed: what comes from clients is only ever a parameter.
foreach my $file (glob "$ENV{DURABLE_TOP}/clients/serve/*.c $ENV{DURABLE_TOP}/clients/serve/grpc/*.c")
{
	my $source = slurp_file($file);
	unlike($source, qr/PQexec\b|PQexecParams\b/, "$file sends no statement that waits");
	my @sent = $source =~ /PQsend(?:QueryParams|Prepare|Query)\(([^;]*?)\)/gs;
	ok(!grep({ !/_SQL\b/ && !/c->pg, sql\b/ && !/ statement->sql, / } @sent), "$file: statements are constants, but for LISTEN");
	my @statements = $source =~ /^(?:static )?const Statement \w+ = (.*?);$/gms;
	ok(!grep({ !/^\{\s*"\w+",\s*(?:"(?:[^"\\]|\\.)*"\s*)+,\s*\d+\s*\}$/s } @statements), "$file: prepared statements are constants");
}
foreach my $gateway ($open, $closed)
{
	kill 'TERM', $gateway->{pid};
	$gateway->{process}->finish;
	is($gateway->{process}->result(0), 0, 'it stops when it is told to');
	delete $gateway->{process};
}
$node->stop;
done_testing();
