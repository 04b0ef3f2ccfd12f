# Entities in JavaScript, by the client and the worker of the Durable Task SDK from npm, unmodified.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use Test::More;

sdk_install();
my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION durable');
gateway_roles($node);
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('entities.js', grpc_port($gateway));
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.leases}), '0', 'no lease is left');
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.entities WHERE locked_by IS NOT NULL}), '0', 'and no lock');
gateway_stop($gateway);
done_testing;
