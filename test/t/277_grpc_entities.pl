# Entities in JavaScript, by the client and the worker of the Durable Task SDK from npm, unmodified; mixed with SQL.

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
CREATE FUNCTION public.account(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
BEGIN
    IF operation = 'withdraw' AND coalesce(state::integer, 0) < input::integer THEN
        RAISE EXCEPTION 'not enough';
    END IF;
    state := to_jsonb(coalesce(state::integer, 0) + CASE operation WHEN 'withdraw' THEN -1 ELSE 1 END * input::integer);
    RETURN ROW(state, state)::durable.entity_result;
END $$;
CREATE FUNCTION public.sql_caller() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    answer jsonb := durable.call_entity('raw', 'sql', 'add', 1);
BEGIN
    PERFORM durable.call_entity('raw', 'sql', 'fail');
EXCEPTION WHEN SQLSTATE 'WF010' THEN
    RETURN jsonb_build_array(answer, SQLSTATE || ' ' || SQLERRM);
END $$;
SQL
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('entities.js', grpc_port($gateway));
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.registrations'), '0', 'no name was registered');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE locked_by IS NOT NULL OR parked IS NOT NULL OR is_out'), '0', 'no lock, no waiting operation and no batch is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.leases'), '0', 'no lease is left');
like((get($gateway, '/metrics'))[1], qr/^durable_grpc_work_total\{kind="entity"\} [1-9]\d*$/m, 'metrics have the batches');

# Workers that lie; and mixed with SQL.
$node->safe_psql('postgres', <<'SQL');
SET ROLE manager;
SELECT durable.register_entity('raw', execution => 'external', queue => 'default'), durable.register_orchestration('sql_caller', 'public.sql_caller()'),
       durable.register_entity('sqlaccount', 'public.account(jsonb,text,jsonb)');
SQL
sdk_report('raw_entities.js', grpc_port($gateway));
sdk_report('entities.js', grpc_port($gateway), 'in SQL');
is($node->safe_psql('postgres', q{SELECT state, queue FROM durable.entities WHERE entity_id = '@sqlaccount@mixed'}), '40|', 'the entity in SQL has run in SQL');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE locked_by IS NOT NULL'), '0', 'and no lock is left');
gateway_stop($gateway);
done_testing;
