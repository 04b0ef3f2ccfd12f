# What the engine writes to its tables without statements, under load by real workers and several clients: heaps and
# indexes are as the server's own checker wants them, and the statistics that autovacuum goes by count the rows.

use strict;
use warnings;
use DurableTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "durable.max_workers = 4\nautovacuum_naptime = 1s\n");
$node->start;
create_durable($node, 'postgres');

# The contributed modules are packaged apart in places.
plan(skip_all => 'amcheck is not installed')
	if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") == 0;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION amcheck;
CREATE FUNCTION bump(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n + 1; END';
CREATE FUNCTION child(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('bump', n); END $$;
CREATE FUNCTION mixed(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	got jsonb := jsonb_build_array(repeat('x', n % 7 * 1000));
BEGIN
	FOR i IN 1..n % 5 LOOP
		got := got || durable.call_activity('bump', i);
	END LOOP;
	IF n % 3 = 0 THEN
		PERFORM durable.sleep('50 ms');
	END IF;
	IF n % 4 = 0 THEN
		got := got || durable.call_sub_orchestrator('child', n);
	END IF;
	IF n % 5 = 0 THEN
		got := got || coalesce(durable.wait_for_external_event('never', '20 ms'), 'null');
	END IF;
	RETURN got;
END $$;
CREATE FUNCTION check_tables() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	item record;
BEGIN
	FOR item IN SELECT c.oid FROM pg_class c JOIN pg_am a ON a.oid = c.relam
		WHERE c.relnamespace = 'durable'::regnamespace AND c.relkind = 'i' AND a.amname = 'btree'
	LOOP
		PERFORM bt_index_check(item.oid, true);
	END LOOP;
	RETURN QUERY SELECT format('%s: %s', c.relname, v.msg) FROM pg_class c, verify_heapam(c.oid) v
		WHERE c.relnamespace = 'durable'::regnamespace AND c.relkind = 'r';
END $$;
SQL

# Three clients at once: in bulk, one by one with savepoints, and by ids that they fight for.
my @clients = map
{
	IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $_ ],
		'<', \undef, '>', \my $out, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default))
} (
	'SELECT count(durable.start(\'mixed\', i)) FROM generate_series(1, 1500) i',
	'DO $$ BEGIN
		FOR i IN 1..300 LOOP
			PERFORM durable.start(\'mixed\', i);
			BEGIN
				PERFORM durable.start(\'mixed\', i);
				RAISE division_by_zero;
			EXCEPTION WHEN division_by_zero THEN
			END;
			COMMIT;
		END LOOP;
	END $$',
	('SELECT count(durable.start(\'mixed\', i, \'chosen \' || i, on_conflict => \'return\')) FROM generate_series(1, 200) i') x 2);
$_->finish for @clients;
is(scalar(grep { $_->result(0) != 0 } @clients), 0, 'all clients could start what they wanted');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 2000 AND bool_and(runtime_status = 'Completed') FROM durable.instances WHERE name = 'public.mixed'"),
	'all are completed, once each');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.inbox'), 0, 'no message is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.timer'), 0, 'no timer is left');
is($node->safe_psql('postgres', 'SELECT * FROM check_tables()'), '', 'tables and indexes agree');
ok($node->poll_query_until('postgres',
		"SELECT bool_and(n_tup_ins >= 2000) AND bool_and(relname <> 'inbox' OR n_tup_del >= 2000)
		 FROM pg_stat_user_tables WHERE schemaname = 'durable' AND relname IN ('instance', 'history', 'inbox')"),
	'the statistics count the rows');

$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT * FROM check_tables()'), '', 'and agree after a crash');
$node->stop('fast');
done_testing();
