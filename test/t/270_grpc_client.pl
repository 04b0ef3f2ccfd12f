# The client of the Durable Task SDK from npm, unmodified, with orchestrations in SQL: every RPC that it has.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = sdk_node();
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION public.double(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * n; END $$;
CREATE FUNCTION public.broken(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'it broke'; END $$;
CREATE FUNCTION public.patient(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
SET ROLE manager;
SELECT durable.register_orchestration('double', 'public.double(int)'), durable.register_orchestration('broken', 'public.broken(int)'),
       durable.register_orchestration('patient', 'public.patient(jsonb)');
SQL
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0');
sdk_report('client.js', grpc_port($gateway));
like((get($gateway, '/metrics'))[1], qr/^durable_grpc_calls_total\{rpc="StartInstance",status="0"\} \d+$/m, 'metrics have the calls');
gateway_stop($gateway);
done_testing;
