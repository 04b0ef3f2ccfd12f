# Task hubs, tokens and TLS of durable serve --grpc, and what it does not start with.

use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use DurableTest;
use GatewayTest;
use SdkTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $node = sdk_node();
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION public.double(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * n; END $$;
SET ROLE manager;
SELECT durable.register_orchestration('double', 'public.double(integer)');
SQL
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
	'-keyout', "$tmp/key.pem", '-out', "$tmp/cert.pem");
append_to_file("$tmp/hubs", "# hubs of the test\n\nhub one manager one\nhub two other two\ntoken one " . sha256_hex('first secret') . "\ntoken two "
	  . sha256_hex('other secret') . "\ntoken one " . uc sha256_hex('second secret of it') . "\n");
append_to_file("$tmp/open", "hub one manager one\n");
append_to_file("$tmp/bad", "hub one manager one\ntoken one abc\n");
append_to_file("$tmp/twice", "hub one manager one\nhub one manager one\n");
append_to_file("$tmp/nothing", "# nothing\n");
my @tls = ('--tls-certificate', "$tmp/cert.pem", '--tls-key', "$tmp/key.pem");

foreach my $case (
	[ 'no port', qr/ADDRESS:PORT/, '--grpc', 'localhost' ],
	[ 'an address that is none', qr/could not find the address/, '--grpc', 'no.such.host.invalid:1' ],
	[ 'cleartext for others', qr/--tls-certificate/, '--grpc', '0.0.0.0:0' ],
	[ 'TLS for others, without tokens', qr/needs a token/, '--grpc', '0.0.0.0:0', @tls ],
	[ 'a hub without tokens for others', qr/needs a token/, '--grpc', '0.0.0.0:0', '--hubs', "$tmp/open", @tls ],
	[ 'a certificate without a key', qr/must be used together/, '--grpc', 'localhost:0', '--tls-certificate', "$tmp/cert.pem" ],
	[ 'a certificate that is none', qr/could not use the certificate/, '--grpc', 'localhost:0', '--tls-certificate', "$tmp/hubs", '--tls-key', "$tmp/key.pem" ],
	[ 'a file of hubs that is not there', qr/could not open/, '--grpc', 'localhost:0', '--hubs', "$tmp/none" ],
	[ 'a token that is no SHA-256', qr/line 2 of/, '--grpc', 'localhost:0', '--hubs', "$tmp/bad" ],
	[ 'a hub twice', qr/line 2 of/, '--grpc', 'localhost:0', '--hubs', "$tmp/twice" ],
	[ 'no hub', qr/there is no hub/, '--grpc', 'localhost:0', '--hubs', "$tmp/nothing" ],
	[ 'hubs without gRPC', qr/need --grpc/, '--hubs', "$tmp/hubs" ])
{
	my ($name, $pattern, @arguments) = @$case;
	my ($status, $err) = gateway_refused([ '--port', 0, '-d', $node->connstr('postgres') . ' user=gateway', @arguments ]);

	is($status, 2, "$name: exit code");
	like($err, $pattern, "$name: message");
}

my $gateway = gateway_start($node, '--grpc', 'localhost:0', '--hubs', "$tmp/hubs", @tls);
sdk_report('hubs.js', grpc_port($gateway), "$tmp/cert.pem");
kill 'HUP', $gateway->{pid};
sdk_report('hubs.js', grpc_port($gateway), "$tmp/cert.pem");
gateway_stop($gateway);
done_testing;
