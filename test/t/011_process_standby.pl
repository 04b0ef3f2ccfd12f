# A standby has no process of ours, and a promoted one has all of them at once.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use Test::More;

# The recheck is a minute away: a timer that fires within seconds has been seen at the start.
my $primary = new_node('primary', init => { allows_streaming => 1 }, conf => "durable.recheck_interval = 60s\n");
$primary->start;
create_durable($primary, 'postgres');
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE effects (what text);
CREATE FUNCTION effect(what text) RETURNS text LANGUAGE sql AS $$ INSERT INTO effects VALUES (what) RETURNING what $$;
CREATE FUNCTION nap(seconds int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('effect', 'before');
	PERFORM durable.sleep(make_interval(secs => seconds));
	PERFORM durable.call_activity('effect', 'after');
	RETURN 'done';
END $$;
SQL

my $backup = 'base';
$primary->backup($backup);
my $standby = new_node('standby', init => 0);
$standby->init_from_backup($primary, $backup, has_streaming => 1);
$standby->append_conf('postgresql.conf', "durable.testing = on\n");
$standby->start;

# One timer is overdue at the promotion, the other falls due after it. Neither fires in the primary, which has no workers
# any more as soon as both are set.
my $sleepers = "SELECT count(*) = 2 AND bool_and(waiting_on ~ '^timer') FROM durable.instances WHERE runtime_status = 'Running'";
$primary->safe_psql('postgres', "SELECT durable.start('nap', n, instance_id => id) FROM (VALUES (10, 'short'), (25, 'long')) v (n, id)");
ok($primary->poll_query_until('postgres', $sleepers), 'both instances sleep');
$primary->append_conf('postgresql.conf', 'durable.max_workers = 0');
$primary->reload;
ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'durable worker'"),
	'nobody is there to wake them');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$primary->stop('immediate');

is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'durable%'"), '0',
	'a standby has no process of ours');
is($standby->safe_psql('postgres', "SELECT count(*) FROM durable.instances WHERE runtime_status = 'Running'"), '2',
	'it shows the instances');
my ($rc, $out, $err) = $standby->psql('postgres', "SELECT durable.start('nap', 1)");
isnt($rc, 0, 'it starts none');
like($err, qr/read-only transaction|recovery/, 'the error names the reason');
($rc, $out, $err) = $standby->psql('postgres', 'CALL durable.drain()');
like($err, qr/cannot execute durable\.drain\(\) during recovery/, 'it runs none in a session either');

ok($standby->poll_query_until('postgres', 'SELECT clock_timestamp() > min(due_at) FROM durable.timer'),
	'one of them is late');
my $promoted = time;
$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT count(*) >= 1 FROM effects WHERE what = 'after'"), 'an overdue timer fires after the promotion');
cmp_ok(time - $promoted, '<', patience(5), 'at once');
is($standby->safe_psql('postgres', "SELECT string_agg(runtime_status || ' ' || (output #>> '{}'), ', ')
		FROM (SELECT (durable.wait(id, '50s')).* FROM unnest(ARRAY['short', 'long']) id) w"), 'Completed done, Completed done',
	'both end');
is($standby->safe_psql('postgres', "SELECT string_agg(what, ' ' ORDER BY what) FROM effects"), 'after after before before',
	'each effect happened once');
$standby->stop('fast');
done_testing();
