# What the tests of durable serve share: starting it, requests over bare sockets, tokens.
#
# Owns: the gateways that were started; they end with the test.
# Locks, memory: none.

package GatewayTest;

use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use Exporter 'import';
use IO::Socket::INET;
use IO::Select;
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Utils;
use SteadyTime ();
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(gateway_roles gateway_start gateway_stop gateway_refused raw get post request token token_parts sse_open sse_read);

my @running;
END { gateway_stop($_) foreach @running; }

# Roles: gateway logs in, player plays, manager and other use the engine.
sub gateway_roles
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE gateway LOGIN NOINHERIT;
CREATE ROLE player;
CREATE ROLE manager LOGIN;
CREATE ROLE other LOGIN;
GRANT player, manager, other TO gateway;
SELECT durable.grant_http('gateway'), durable.grant_http('player'), durable.grant_usage('manager'), durable.grant_usage('other');
SQL
	$node->safe_psql('postgres', "SELECT dungeon.grant_play('player')")
	  if $node->safe_psql('postgres', q{SELECT to_regnamespace('dungeon') IS NOT NULL}) eq 't';
	return;
}

# gateway_start(node, option, ...) -> {port, pid, ...}, once it answers.
sub gateway_start
{
	my ($node, @options) = @_;
	my ($program) = @options && ref $options[0] ? @{ shift @options } : ('durable');
	my %gateway = (out => '', err => '');
	my $deadline = SteadyTime::time() + $PostgreSQL::Test::Utils::timeout_default;

	$gateway{process} = IPC::Run::start([ $program, 'serve', '-d', $node->connstr('postgres') . ' user=gateway', '--port', 0, @options ],
		'<', \undef, '>', \$gateway{out}, '2>', \$gateway{err});
	push @running, \%gateway;
	while ($gateway{out} !~ m{^http://.*:(\d+)/}m)
	{
		BAIL_OUT("the gateway does not start: $gateway{err}") if SteadyTime::time() > $deadline || !$gateway{process}->pumpable;
		$gateway{process}->pump_nb;
		Time::HiRes::sleep(0.05);
	}
	($gateway{port}) = $gateway{out} =~ m{^http://.*:(\d+)/}m;
	$gateway{pid} = $gateway{process}{KIDS}[0]{PID};
	return \%gateway;
}

sub gateway_stop
{
	my ($gateway) = @_;
	my $status = $?;

	return unless $gateway->{process};
	kill 'TERM', $gateway->{pid};
	$gateway->{process}->finish;
	delete $gateway->{process};
	$? = $status;
	return;
}

# gateway_refused([arguments]) -> exit code, what it complained about.
sub gateway_refused
{
	my ($arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'durable', 'serve', @$arguments ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($? >> 8, $err);
}

# raw(gateway, bytes): everything that comes back until the connection ends, or nothing comes for a second.
sub raw
{
	my ($gateway, $bytes, $patience) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}, Timeout => 10) or return '';
	my $select = IO::Select->new($socket);
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	$socket->autoflush(1);
	print $socket $bytes;
	while ($select->can_read($patience // 1))
	{
		last unless sysread($socket, $answer, 65536, length $answer);
	}
	return $answer;
}

# request(gateway, method, path, body, header => value, ...) -> status, body, {headers}.
sub request
{
	my ($gateway, $method, $path, $body, %headers) = @_;
	my %all = (Host => "localhost:$gateway->{port}", Connection => 'close', %headers);
	my $text = "$method $path HTTP/1.1\r\n";

	$all{'Content-Length'} = length $body if defined $body;
	$text .= "$_: $all{$_}\r\n" foreach grep { defined $all{$_} } sort keys %all;
	my $answer = raw($gateway, "$text\r\n" . ($body // ''), 60);
	my ($head, $content) = split /\r\n\r\n/, $answer, 2;
	my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
	my %got = map { /^([^:]+): (.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $head // '';
	return ($status // 0, $content // '', \%got);
}

sub get { my ($gateway, $path, %headers) = @_; return request($gateway, 'GET', $path, undef, %headers); }

sub post
{
	my ($gateway, $path, $body, %headers) = @_;

	return request($gateway, 'POST', $path, ref $body ? JSON::PP::encode_json($body) : $body, 'Content-Type' => 'application/json', %headers);
}

sub token_parts
{
	my ($header, $claims) = map { ref $_ ? JSON::PP::encode_json($_) : $_ } @_;

	return encode_base64url($header) . '.' . encode_base64url($claims);
}

# token(secret, {claims}, {header}): HS256.
sub token
{
	my ($secret, $claims, $header) = @_;
	my $text = token_parts($header // { alg => 'HS256', typ => 'JWT' }, $claims);

	return "$text." . encode_base64url(hmac_sha256($text, $secret));
}

# A client of /events.
sub sse_open
{
	my ($gateway, $query, %headers) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}) or die "no connection: $!";

	$socket->autoflush(1);
	print $socket "GET /events?$query HTTP/1.1\r\nHost: localhost:$gateway->{port}\r\n"
	  . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers) . "\r\n";
	return { socket => $socket, text => '' };
}

# sse_read(client, pattern): waits until what came matches; what came.
sub sse_read
{
	my ($client, $pattern, $patience) = @_;
	my $select = IO::Select->new($client->{socket});
	my $deadline = SteadyTime::time() + ($patience // $PostgreSQL::Test::Utils::timeout_default);

	while ($client->{text} !~ $pattern && SteadyTime::time() < $deadline)
	{
		next unless $select->can_read(0.2);
		last unless sysread($client->{socket}, $client->{text}, 65536, length $client->{text});
	}
	return $client->{text};
}

1;
