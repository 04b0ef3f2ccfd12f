# Orchestrations and entities in JavaScript while the worker, the gateway and the server are killed at random: every effect in SQL happens
# once, so does every operation of an entity, no lock is left, and every orchestration completes.

use strict;
use warnings;
use DurableTest;
use GatewayTest;
use SdkTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $instances = 60;
my $seed = $ENV{CHAOS_SEED} // CORE::time();
srand $seed;
note("seed $seed");
my $node = sdk_node();
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE public.effects (what text);
CREATE FUNCTION public.effect(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.effects VALUES (what); RETURN what; END $$;
GRANT INSERT ON public.effects TO manager;
SET ROLE manager;
SELECT durable.register_activity('effect', 'public.effect(text)');
SQL
my $port = PostgreSQL::Test::Cluster::get_free_port();
my @serve = ('--role', 'manager', '--grpc', "127.0.0.1:$port");
my $gateway = gateway_start($node, @serve);
my $worker = sdk_start('killed_worker.js', $port);
my $client = sdk_start('killed_client.js', $port, $instances, 250);
my %killed = (worker => 0, gateway => 0, server => 0);
my $until = time + 20;
while (time < $until)
{
	my $victim = (qw(worker worker worker gateway gateway server))[int rand 6];

	sleep(0.3 + rand 2);
	$killed{$victim}++;
	if ($victim eq 'worker')
	{
		kill 'KILL', $worker->{pid};
		eval { $worker->{run}->finish };
		$worker = sdk_start('killed_worker.js', $port);
	}
	elsif ($victim eq 'gateway')
	{
		kill 'KILL', $gateway->{pid};
		eval { $gateway->{process}->finish };
		delete $gateway->{process};
		$gateway = gateway_start($node, @serve);
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
}
note("killed: $killed{worker} workers, $killed{gateway} gateways, $killed{server} servers");
is(sdk_finish($client), 0, 'the client has seen the end of all') or diag($client->{err});
like($client->{out}, qr/"ok":true,"name":"all of them have completed"/, 'all have completed') or diag($client->{out});
like($client->{out}, qr/"ok":true,"name":"with the right outputs"/, 'with the right outputs');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT what) FROM effects'), join('|', (3 * $instances) x 2), 'every effect in SQL has happened once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM durable.instances WHERE completed_time IS NULL}), '0', 'nothing is left');
is($node->safe_psql('postgres', q{SELECT sum((state_text::jsonb ->> 'sum')::integer), sum((state_text::jsonb ->> 'entries')::integer), count(locked_by), sum(waiting) FROM durable.entities}),
	'0|' . 2 * $instances . '|0|0', 'every operation of an entity was applied once, and no lock is left');
kill 'KILL', $worker->{pid};
eval { $worker->{run}->finish };
gateway_stop($gateway);
done_testing;
