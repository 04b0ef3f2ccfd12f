# Orchestrations in JavaScript, by the worker of the Durable Task SDK from npm, unmodified; mixed with SQL.

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
CREATE TABLE public.effects (n integer);
CREATE FUNCTION public.effect(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.effects VALUES (n); RETURN n; END $$;
CREATE FUNCTION public.double(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 2 * n; END $$;
CREATE FUNCTION public.sql_parent(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_sub_orchestrator('Sequence', input); END $$;
GRANT INSERT ON public.effects TO manager;
SET ROLE manager;
SELECT durable.register_orchestration('double', 'public.double(integer)'), durable.register_orchestration('sql_parent', 'public.sql_parent(jsonb)'),
       durable.register_activity('effect', 'public.effect(integer)');
SELECT durable.register_queue('default'), durable.register_orchestration('Sequence', execution => 'external', queue => 'default');
SELECT durable.start('Sequence', to_jsonb('s'::text), 'from-sql');
BEGIN;
SELECT durable.start('Sequence', to_jsonb('s'::text), 'rolled-back');
ROLLBACK;
SQL
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0', '--drain', 2);
sdk_report('orchestrations.js', grpc_port($gateway));
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT n) FROM effects'), '20|20', 'every effect in SQL has happened once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.leases}), '0', 'no lease is left');
gateway_stop($gateway);
done_testing;
