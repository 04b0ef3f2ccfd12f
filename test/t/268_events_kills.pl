# Events with real workers under kills: 10,000 published events reach an orchestration that continues as new, each once; of
# sessions that start one id with an event at the same moment one starts it, and no event is lost; a sleeping wait_any is woken.

use strict;
use warnings;
use DurableTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $EVENTS = 10_000;

# See 200_chaos_kill.pl for max_crashes.
my $node = new_node('main', conf => "durable.max_workers = 2\ndurable.max_crashes = 1000\n");
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION collects(state jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
DECLARE
	n int := coalesce((state ->> 'n')::int, 0);
	total bigint := coalesce((state ->> 'total')::bigint, 0);
BEGIN
	IF n = 0 THEN
		PERFORM durable.subscribe('news');
	END IF;
	FOR i IN 1 .. 100 LOOP
		total := total + durable.wait_for_external_event('news')::bigint;
		n := n + 1;
	END LOOP;
	IF n < $EVENTS THEN
		PERFORM durable.continue_as_new(jsonb_build_object('n', n, 'total', total));
	END IF;
	RETURN jsonb_build_object('n', n, 'total', total);
END \$\$;
CREATE FUNCTION adds(upto int) RETURNS bigint LANGUAGE plpgsql AS \$\$
DECLARE
	total bigint := 0;
BEGIN
	FOR i IN 1 .. upto LOOP
		total := total + durable.wait_for_external_event('add')::bigint;
	END LOOP;
	RETURN total;
END \$\$;
CREATE FUNCTION waits() RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN RETURN durable.wait_for_external_event('Go'); END \$\$;
SELECT durable.start('collects', '{}'::jsonb, 'collector-' || i) FROM generate_series(1, 3) i;
SQL

# --- 10,000 events over continue_as_new -----------------------------------------------------------------------------------------

ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM durable.waiting WHERE kind = 'event'"), 'three wait');
my $kills = 0;
foreach my $batch (0 .. 9)
{
	my ($from, $to) = ($batch * $EVENTS / 10 + 1, ($batch + 1) * $EVENTS / 10);

	is($node->safe_psql('postgres', "SELECT sum(durable.publish('news', n)) FROM generate_series($from, $to) n"), 3 * $EVENTS / 10, "batch $batch reaches all three");
	next unless $batch % 4 == 1;
	my ($worker) = process_pids($node, 'durable worker');
	$kills += kill_and_recover($node, 'KILL', $worker) if $worker;
}
cmp_ok($kills, '>=', 1, "$kills kills");
is($node->safe_psql('postgres', "SELECT string_agg(output::text, ' ') FROM generate_series(1, 3) i, durable.wait('collector-' || i, '2 min') w"),
	join(' ', (sprintf '{"n": %d, "total": %d}', $EVENTS, $EVENTS * ($EVENTS + 1) / 2) x 3), 'each event once');

# --- sessions that start one id with an event at the same moment -----------------------------------------------------------------

foreach my $round (1 .. 5)
{
	my @sessions = map {
		IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT durable.start_with_event('adds', 'both-$round', 'add', $_, 6)" ],
			'<', \undef, '>', '/dev/null', '2>', \my $err) } 1 .. 6;
	my $ended = 0;
	foreach my $session (@sessions)
	{
		$session->finish;
		$ended += $session->result(0) == 0;
	}
	is($ended, 6, "round $round: no session gets an error");
	is($node->safe_psql('postgres', "SELECT output FROM durable.wait('both-$round', '1 min')"), 21, '... one instance gets all six events');
	is($node->safe_psql('postgres', "SELECT count(*) FROM durable.instance WHERE instance_id = 'both-$round'"), 1, '... and there is one');
}

# --- wait_any --------------------------------------------------------------------------------------------------------------------

my @slept;
foreach my $round (1 .. 5)
{
	$node->safe_psql('postgres', "SELECT durable.start('waits', instance_id => 'any-$round-' || i) FROM generate_series(1, 3) i");
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'),
		'-c', "SELECT instance_id, output, clock_timestamp() FROM durable.wait_any(ARRAY['any-$round-1', 'any-$round-2', 'any-$round-3'], '2 min')" ],
		'<', \undef, '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'wait_any' AND pid <> pg_backend_pid() AND wait_event_type = 'Extension'");
	my $raised = $node->safe_psql('postgres', "SELECT durable.raise_event('any-$round-2', 'Go', $round); SELECT clock_timestamp()");
	$raised =~ s/.*\n//s;
	$session->finish;
	like($out, qr/^any-$round-2\|$round\|/, "round $round: the one that has ended wakes a sleeping wait_any");
	my ($woken) = $out =~ /\|([^|]*)$/;
	chomp $woken;
	push @slept, $node->safe_psql('postgres', "SELECT extract(epoch FROM '$woken'::timestamptz - '$raised'::timestamptz)");
}
@slept = sort { $a <=> $b } @slept;
cmp_ok($slept[2], '<', patience(0.1), sprintf('%.0f ms after the event was raised', $slept[2] * 1000));
$node->stop;
done_testing();
