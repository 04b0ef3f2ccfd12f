# Turns of orchestrations by a worker that says what the SDK's own worker does not say; and requests leave no registrations behind.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use Test::More;

my $node = sdk_node();
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('raw_turns.js', grpc_port($gateway));
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.registrations}), '0', 'no name is registered by a request');
is($node->safe_psql('postgres', q{SELECT string_agg(name, ',') FROM durable.queues}), 'default', 'there is the queue of the hub, and no other');
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.instances WHERE instance_id LIKE 'many-%'}), '20', 'each id was started once');
like((get($gateway, '/metrics'))[1], qr/^durable_grpc_stale_answers_total [1-9]\d*$/m, 'metrics have the answers that were stale');

gateway_stop($gateway);
done_testing;
