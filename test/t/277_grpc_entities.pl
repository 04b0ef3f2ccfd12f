# Entities in JavaScript, by the client and the worker of the Durable Task SDK from npm, unmodified; mixed with SQL.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sdk_install();
my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION durable');
gateway_roles($node);
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('entities.js', grpc_port($gateway));
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.registrations'), '0', 'no name was registered');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE locked_by IS NOT NULL OR parked IS NOT NULL OR is_out'), '0', 'no lock, no waiting operation and no batch is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.leases'), '0', 'no lease is left');
like((get($gateway, '/metrics'))[1], qr/^durable_grpc_work_total\{kind="entity"\} [1-9]\d*$/m, 'metrics have the batches');
gateway_stop($gateway);
done_testing;
