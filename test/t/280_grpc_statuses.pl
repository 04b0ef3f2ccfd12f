# The table of rpc.c: each SQLSTATE and the status that clients of gRPC get for it, and the same table in the document.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The rows of the table; and SQLSTATEs of which no row is the beginning, or that have a row of their own in a class.
my %row = (WF002 => 6, WF003 => 5, WF004 => 9, WF006 => 8, WF009 => 8, '08' => 14, '0A' => 12, '22' => 3, '25006' => 14, '28' => 16, '40' => 14, '42501' => 7, '42' => 3,
	'53' => 8, '54' => 8, '55P03' => 14, '55' => 9, '57' => 14);
my %of_pool = (POOL_LOST => [ '08006', 2 ], POOL_FULL => [ '53300', 14 ]);
my %sqlstate = (%row, map({ @$_ } values %of_pool), '08001' => 14, '22023' => 3, '25001' => 13, '40001' => 14, '40P01' => 14, '42883' => 3, '53200' => 8, '54000' => 8, '55000' => 9, '55006' => 9,
	'57014' => 14, '23505' => 13, 'P0001' => 13, 'XX000' => 13, WF001 => 13, WF005 => 13, WF007 => 13, WF010 => 13);
my ($table) = slurp_file("$ENV{DURABLE_TOP}/clients/serve/grpc/rpc.c") =~ /statuses\[\] = \{(.*?)\n\};/s;
is_deeply([ sort $table =~ /\{"?(\w+)"?, GRPC_/g ], [ sort keys %row, keys %of_pool, 'WF008' ], 'every row is tested; WF008 is in test 271');
my ($document) = slurp_file("$ENV{DURABLE_TOP}/docs/grpc.md") =~ /^## Status\n(.*?)^## /ms;
foreach my $beginning (sort keys %row)
{
	my $name = length $beginning == 2 ? "${beginning}xxx" : $beginning;

	like($document, qr/^\| $row{$beginning} [A-Z_]+ \|[^\n]*\b$name\b/m, "the document has $name");
}

sdk_install();
my $node = new_node('main', conf => "durable.max_workers = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION durable');
gateway_roles($node);
$node->safe_psql('postgres', <<'SQL');
CREATE OR REPLACE FUNCTION durable.grpc_get(request jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = rpad(request ->> 'instance_id', 5, '0'), MESSAGE = 'raised ' || (request ->> 'instance_id');
END $$;
CREATE OR REPLACE FUNCTION durable.grpc_control(rpc text, request jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN '{}';
END $$;
SQL
my $gateway = gateway_start($node, '--role', 'manager', '--grpc', '127.0.0.1:0');
sdk_report('statuses.js', grpc_port($gateway), map { "$_=$sqlstate{$_}" } sort keys %sqlstate);
$gateway->{process}->pump_nb if $gateway->{process}->pumpable;
like($gateway->{err}, qr/GetInstance: XX000: raised XX000/, 'the log has what clients are not told');
gateway_stop($gateway);
done_testing;
