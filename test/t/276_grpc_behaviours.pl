# What applications expect of a backend of the Durable Task SDK, by the package from npm, unmodified: some eighty cases at the same time.

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
sdk_report('behaviours.js', grpc_port($gateway));
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.leases}), '0', 'no lease is left');
gateway_stop($gateway);
done_testing;
