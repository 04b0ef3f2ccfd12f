# Workers of the Durable Task SDK from npm do external activities of orchestrations in SQL; workers that lie; requests that are malformed.

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
CREATE FUNCTION public.calls(name text, n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tasks durable.task[];
BEGIN
    FOR i IN 1 .. n LOOP
        tasks := tasks || durable.schedule_activity(name, to_jsonb(i::text));
    END LOOP;
    RETURN to_jsonb(durable.when_all(VARIADIC tasks));
END $$;
CREATE FUNCTION public.counter(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE sql
    AS $$ SELECT to_jsonb(coalesce(state::integer, 0) + input::integer), NULL::jsonb $$;
SET ROLE manager;
SELECT durable.register_orchestration('calls', 'public.calls(text, integer)'), durable.register_entity('counter', 'public.counter(jsonb, text, jsonb)');
SELECT durable.register_activity(a, execution => 'external', queue => 'default') FROM unnest('{hello,other,slow,fails,nothing}'::text[]) AS a;
SQL
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('activities.js', grpc_port($gateway));
sdk_report('raw.js', grpc_port($gateway));
my $metrics = (get($gateway, '/metrics'))[1];
like($metrics, qr/^durable_grpc_work_total\{kind="activity"\} [1-9]\d*$/m, 'metrics have the work');
like($metrics, qr/^durable_grpc_stale_answers_total [1-9]\d*$/m, 'and the answers that were stale');
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.leases l JOIN durable.instances i USING (instance_id) WHERE i.completed_time IS NOT NULL}),
	'0', 'no lease is left of what has ended');
gateway_stop($gateway);
done_testing;
