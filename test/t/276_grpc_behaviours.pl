# What applications expect of a backend of the Durable Task SDK, by the package from npm, unmodified: some eighty cases at the same time.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use Test::More;

my $node = sdk_node();
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('behaviours.js', grpc_port($gateway));
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.leases}), '0', 'no lease is left');
gateway_stop($gateway);
done_testing;
