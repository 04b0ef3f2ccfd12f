# Retention waits for nobody, keeps what its registration keeps, and costs nothing while nothing is due.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "durable.max_workers = 4\nmax_prepared_transactions = 4\n");
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ann LOGIN;
CREATE ROLE bob LOGIN;
SELECT durable.grant_usage('ann'), durable.grant_usage('bob');
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO ann, bob;
CREATE FUNCTION app.gated() RETURNS int LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(42); SELECT 1';
CREATE FUNCTION app.gives_up() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.schedule_activity('app.gated');
	RETURN durable.wait_for_external_event('End', interval '1 second', '"given up"');
END $$;
CREATE FUNCTION app.quick(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
SET ROLE ann;
SELECT durable.register_activity('app.gated', 'app.gated()', execution => 'task');
SELECT durable.register_orchestration('short', 'app.gives_up()', retention => '0 s');
SELECT durable.register_orchestration('quick', 'app.quick(int)', retention => '0 s');
SELECT durable.register_orchestration('absurd', 'app.quick(int)', retention => '1 day');
RESET ROLE;
SET ROLE bob;
SELECT durable.register_orchestration('quick', 'app.quick(int)', retention => '0 s');
SQL

# --- an activity that an ended instance has given up, and that still runs ----------------------------------------------------

my $gate = $node->background_psql('postgres', on_error_die => 1);
$gate->query_safe('SELECT pg_advisory_lock(42)');
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.start('short', NULL, 'abandons')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instance"), 'deleted at once, although an activity of it runs');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'advisory'"), 1, 'which it does');
$node->safe_psql('postgres', "SET ROLE bob; SELECT count(durable.start('quick', n)) FROM generate_series(1, 700) n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instance"), 'the coordinator goes on for others');
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.finished"), 0, 'with their entries');
$gate->query_safe('SELECT pg_advisory_unlock(42)');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.task_queue"), 'the activity ends');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.inbox"), 'and leaves nothing');

# --- rows that somebody else has locked -----------------------------------------------------------------------------------------

$node->safe_psql('postgres', "SELECT durable.pause()");
$node->safe_psql('postgres', "SET ROLE ann; SELECT count(durable.start('quick', n, 'a' || n)) FROM generate_series(1, 3) n; SELECT durable.start('quick', 4, 'b')");
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.register_orchestration('quick', 'app.quick(int)')");
$node->safe_psql('postgres', "SELECT durable.unpause()");
ok($node->poll_query_until('postgres', "SELECT sum(cardinality(key || others)) = 4 FROM durable.finished"), 'four have ended, and are kept');
my $purger = $node->background_psql('postgres', on_error_die => 1);
$purger->query_safe("BEGIN; SET ROLE ann; SELECT durable.purge('a1'); SELECT durable.purge('a2'); RESET ROLE");
$node->safe_psql('postgres', "BEGIN; SET ROLE ann; SELECT durable.purge('a3'); RESET ROLE; PREPARE TRANSACTION 'purge'");
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.register_orchestration('quick', 'app.quick(int)', retention => '0 s')");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT string_agg(instance_id, ' ' ORDER BY instance_id) = 'a1 a2 a3' FROM durable.instance"),
	'what an open purge and a prepared one have locked is passed over');
$purger->query_safe('ROLLBACK');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'purge'");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instance"), 'and deleted when they are gone');

# --- an entry whose last instances two transactions have deleted at the same time ---------------------------------------------

$node->safe_psql('postgres', "SELECT durable.pause()");
$node->safe_psql('postgres', "SET ROLE ann; SELECT count(durable.start('quick', n, 'c' || n)) FROM generate_series(1, 2) n");
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.register_orchestration('quick', 'app.quick(int)')");
$node->safe_psql('postgres', "SELECT durable.unpause()");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 AND sum(cardinality(key || others)) = 2 FROM durable.finished"), 'two have ended in one unit');
$purger->query_safe("BEGIN; SET ROLE ann; SELECT durable.purge('c1'); RESET ROLE");
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.purge('c2')");
$purger->query_safe('COMMIT');
is($node->safe_psql('postgres', "SELECT (SELECT count(*) FROM durable.instance), (SELECT count(*) FROM durable.finished)"), '0|1', 'neither transaction has deleted the entry');
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.register_orchestration('quick', 'app.quick(int)', retention => '0 s')");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.finished"), 'retention deletes it');

# --- what a registration says must not end the coordinator ---------------------------------------------------------------------

$node->safe_psql('postgres', "UPDATE durable.orchestration SET retention = '2562047788 hours' WHERE name = 'absurd'");
$node->safe_psql('postgres', "SET ROLE ann; SELECT durable.start('absurd', 1, 'kept for good'); SELECT durable.start('quick', 1, 'not kept')");
ok($node->poll_query_until('postgres', "SELECT string_agg(instance_id, ' ') = 'kept for good' FROM durable.instance"), 'an absurd retention keeps');
$node->safe_psql('postgres', "UPDATE durable.orchestration SET retention = '-2562047788 hours' WHERE name = 'absurd'");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instance"), 'a negative one is none');

# --- the price -----------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', "UPDATE durable.orchestration SET retention = '30 days'");
$node->append_conf('postgresql.conf', "autovacuum = off\n");	# its reads are counted, too
$node->reload;
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')");
$node->safe_psql('postgres', <<'SQL');
INSERT INTO durable.instance (key, created_at, owner, status, instance_id, name, handler, completed_at)
SELECT nextval('durable.instance_key_seq'), now(), 'ann'::regrole, 'C', 'kept ' || n, 'quick', 'app.quick(integer)', now() FROM generate_series(1, 50000) n;
INSERT INTO durable.finished (completed_at, key, owner, status, name) SELECT completed_at, key, owner, status, name FROM durable.instance;
SQL
$node->reload;
my $blocks = sub {
	return $node->safe_psql('postgres', "SELECT pg_stat_force_next_flush(), sum(idx_blks_hit + heap_blks_hit) FROM pg_statio_user_tables WHERE schemaname = 'durable' AND relname IN ('instance', 'finished')") =~ s/^.*\|//r;
};
my $before = $blocks->();
sleep 5;
my $after = $blocks->();
cmp_ok($after - $before, '<', 5000, '50000 that are kept are not looked at');

# An instance with many children is deleted with them, in a time that grows with their number and not with its square.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO durable.instance (key, created_at, owner, status, instance_id, name, handler, completed_at, parent_key)
SELECT 900000000 + n, now(), 'ann'::regrole, CASE WHEN name = 'failed' THEN 'F' ELSE 'C' END::"char", name || n, name, 'app.quick(integer)',
	now() - CASE WHEN name = 'failed' THEN n * interval '1 ms' ELSE '0' END, CASE WHEN name <> 'single' AND n % 20000 > 0 THEN 900000000 + n - n % 20000 END
FROM generate_series(0, 59999) n, LATERAL (SELECT CASE WHEN n < 20000 THEN 'single' WHEN n < 40000 THEN 'child' ELSE 'failed' END) v (name);
INSERT INTO durable.finished (completed_at, key, owner, status, name, others)
SELECT completed_at, min(key), owner, status, name, array_remove(array_agg(key), min(key)) FROM durable.instance WHERE key >= 900000000 GROUP BY completed_at, owner, status, name, key / 50;
ANALYZE durable.instance, durable.finished;
SQL
my %took;
foreach my $name (qw(single child failed))
{
	my $start = time;

	is($node->safe_psql('postgres', "SET ROLE ann; SELECT durable.purge_history('0', name => '$name')"), 20000, "20000 of the name $name are deleted");
	$took{$name} = time - $start;
	is($node->safe_psql('postgres', "SELECT count(*) FROM durable.finished WHERE name = '$name'"), 0, '... with their entries');
}
cmp_ok($took{child}, '<', 4 * $took{single} + 2, sprintf('in one family they take %.1f s, and one by one %.1f s', $took{child}, $took{single}));
cmp_ok($took{failed}, '<', 8 * $took{single} + 2, sprintf('and with an entry for each of them %.1f s', $took{failed}));

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal|ERROR:.*timestamp/, 'nothing crashed');
$gate->quit;
$purger->quit;
$node->stop('fast');
done_testing();
