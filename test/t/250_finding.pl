# Finding instances among 1,000,000: each page of durable.query takes less than 50 ms on a quiet machine, and so does one
# that looks for what is not there, or for a status that few instances have. So does the view durable.counts.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $INSTANCES = 1_000_000;
my $LIMIT = 0.05;

my $node = new_node('main', conf => <<'CONF');
durable.enabled = off
max_wal_size = 4GB
CONF
$node->start;
create_durable($node, 'finding');
$node->safe_psql('finding', <<"SQL");
INSERT INTO durable.instance (key, instance_id, owner, status, name, handler, created_at, started_at, completed_at, tags, waiting)
SELECT nextval('durable.instance_key_seq'), CASE WHEN n % 1000 = 0 THEN 'order-' || n ELSE gen_random_uuid()::text END,
       current_user::regrole, CASE WHEN n = 500001 THEN 'S' WHEN n = 700001 THEN 'P' WHEN n IN (7, 400001, 999999) THEN 'F' WHEN n % 2 = 0 THEN 'C' ELSE 'R' END,
       CASE WHEN n = 300003 THEN 'app.rare' WHEN n % 700 = 3 THEN 'app.spread' WHEN n BETWEEN 1000 AND 21000 AND n % 2 = 1 THEN 'app.old' ELSE 'app.f' || n % 5 END, '()', '2026-01-01'::timestamptz + n * interval '1 s',
       now(), CASE WHEN n % 2 = 0 THEN now() END, CASE WHEN n % 10 = 0 THEN jsonb_build_object('customer', n / 100) END, 'e1/3"Go"'
FROM generate_series(1, $INSTANCES) n;
INSERT INTO durable.tally (owner, name, handler, status, n) SELECT owner, name, handler, status, count(*) FROM durable.instance GROUP BY 1, 2, 3, 4;
INSERT INTO durable.tally (range, status, n) SELECT key >> 9, status, count(*) FROM durable.instance GROUP BY 1, 2;
INSERT INTO durable.name_range (name, range) SELECT DISTINCT name, key >> 9 FROM durable.instance;
VACUUM ANALYZE durable.instance;
VACUUM ANALYZE durable.tally;
SQL

my %pages = (
	'the newest' => ['', 100],
	'a page in the middle' => ["after => 'd1.000000000007a120'", 100],
	'a rare name' => ["name => 'app.rare'", 1],
	'a name that one instance of 700 has' => ["name => 'app.spread'", 100],
	'a name that only old instances have' => ["name => 'app.old'", 100],
	'a frequent name' => ["name => 'app.f1'", 100],
	'a name that is not there' => ["name => 'app.none'", 0],
	'a frequent status' => ["statuses => '{Completed}'", 100],
	'the suspended one' => ["statuses => '{Suspended}'", 1],
	'the pending one' => ["statuses => '{Pending}', name => 'app.f1'", 1],
	'the failed ones' => ["statuses => '{Failed}'", 3],
	'the failed ones on the next page' => ["statuses => '{Failed}', after => 'd1.00000000000f0000'", 2],
	'a status that is not there' => ["statuses => '{Terminated}'", 0],
	'a status that a name has not' => ["statuses => '{Suspended}', name => 'app.f2'", 0],
	'a prefix' => ["id_prefix => 'order-1'", 100],
	'a narrow prefix' => ["id_prefix => 'order-77000'", 2],
	'tags' => ["tags => '{\"customer\": 77}'", 10],
	'tags that are not there' => ["tags => '{\"customer\": -1}'", 0],
	'tags and a status' => ["tags => '{\"customer\": 77}', statuses => '{Running}'", 0],
	'the oldest' => ["created_to => '2026-01-01 01:00+00'", 100],
	'a minute' => ["created_from => '2026-01-06 00:00+00', created_to => '2026-01-06 00:01+00'", 60],
	'a day' => ["created_from => '2026-01-06 00:00+00', created_to => '2026-01-07 00:00+00'", 100],
	'before all' => ["created_to => '2025-01-01'", 0],
	'after all' => ["created_from => '2027-01-01'", 0]);

my $counted = $node->safe_psql('finding', "SELECT sum(instances) FROM durable.counts WHERE runtime_status <> 'Completed'");
is($counted, $INSTANCES / 2, 'durable.counts: the unfinished and the failed');

my $session = $node->background_psql('finding');
$session->query_safe("SET timezone TO 'UTC'");
foreach my $page (sort keys %pages)
{
	my ($conditions, $expected) = @{ $pages{$page} };
	my $best;

	foreach (1 .. 5)
	{
		my $start = time;
		is($session->query_safe("SELECT count(*) FROM durable.query($conditions)"), $expected, "$page: rows")
		  unless defined $best;
		$start = time;
		$session->query_safe("SELECT count(*) FROM durable.query($conditions)");
		my $took = time - $start;
		$best = $took if !defined $best || $took < $best;
	}
	cmp_ok($best, '<', patience($LIMIT), sprintf('%s: %.1f ms', $page, $best * 1000));
}
my $best;
foreach (1 .. 5)
{
	my $start = time;
	$session->query_safe("SELECT sum(instances) FROM durable.counts");
	my $took = time - $start;
	$best = $took if !defined $best || $took < $best;
}
cmp_ok($best, '<', patience($LIMIT), sprintf('durable.counts: %.1f ms', $best * 1000));

# --- the one that is stuck ----------------------------------------------------------------------------------------------------

$node->safe_psql('finding', <<'SQL');
UPDATE durable.instance SET waiting = 'a1', started_at = now() - interval '1 hour' WHERE key = 301;
UPDATE durable.instance SET started_at = now() - interval '1 hour' WHERE status = 'S';
INSERT INTO durable.timer (owner, due_at, key, execution, task) SELECT current_user::regrole, now() + n * interval '1 s' - interval '62 s', 1001 + 2 * n, 1, 1 FROM generate_series(1, 1000) n;
INSERT INTO durable.task_queue (id, owner, run_at, key, execution, task, attempt, name, handler, scheduled_at, last_failure)
VALUES (1, current_user::regrole, now() + interval '1 h', 701, 1, 1, 12, 'app.mail', 'app.mail()', now() - interval '1 day', '{"message": "no route to host"}');
ANALYZE durable.timer;
SQL
is($session->query_safe("SELECT string_agg(concat_ws(' ', reason, key, detail), ', ' ORDER BY reason, key) FROM durable.stuck s LEFT JOIN durable.instance i USING (instance_id) WHERE reason <> 'timer overdue'"),
	'activity fails 701 app.mail: no route to host, not looked at ' . $session->query_safe("SELECT detail FROM durable.stuck WHERE reason = 'not looked at'") . ', nothing to wait for 301 a1, suspended 500001',
	'durable.stuck names those that are stuck, and no other');
like($session->query_safe("SELECT detail FROM durable.stuck WHERE reason = 'not looked at'"), qr/^49\d{4} unfinished instances whose waits were not compared/, 'and how many it did not look at');
cmp_ok($session->query_safe("SELECT count(*) FROM durable.stuck WHERE reason = 'timer overdue'"), '>', 0, 'overdue timers');
undef $best;
foreach (1 .. 5)
{
	my $start = time;
	$session->query_safe("SELECT count(*) FROM durable.stuck");
	my $took = time - $start;
	$best = $took if !defined $best || $took < $best;
}
cmp_ok($best, '<', patience($LIMIT), sprintf('durable.stuck: %.1f ms', $best * 1000));
$session->quit;
$node->stop;

done_testing();
