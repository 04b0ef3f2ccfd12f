# Entities with real workers: operations that end their process, a session that has the entity's row locked, many sessions that signal
# one entity, and a dump.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
my $library = compile_library('crashing');

$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE FUNCTION segfault() RETURNS int LANGUAGE c AS '$library', 'crashing_segfault';
CREATE FUNCTION fragile(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS \$\$
BEGIN
	IF operation = 'crash' THEN
		PERFORM segfault();
	ELSIF operation = 'slow' THEN
		PERFORM pg_sleep(1.5);
	END IF;
	state := coalesce(state, '[]') || input;
	RETURN (state, to_jsonb(jsonb_array_length(state)))::durable.entity_result;
END \$\$;
SELECT durable.register_entity('fragile', 'fragile(jsonb,text,jsonb)');
CREATE FUNCTION calls(key text, operation text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.call_entity('fragile', key, 'add', 1);
	PERFORM durable.call_entity('fragile', key, operation, 2);
	RETURN 'survived';
EXCEPTION WHEN SQLSTATE '57P02' THEN
	PERFORM durable.call_entity('fragile', key, 'add', 3);
	RETURN 'told';
END \$\$;
SQL

# An operation that ends its process is out after two crashes; those before and behind it are run, of this entity and others.
$node->psql('postgres', <<'SQL');
BEGIN;
SELECT durable.signal_entity('fragile', 'a', 'add', 1);
SELECT durable.signal_entity('fragile', 'a', 'crash', 2);
SELECT durable.signal_entity('fragile', 'a', 'add', 3);
SELECT durable.signal_entity('fragile', 'new', 'crash', 1);
SELECT durable.signal_entity('fragile', 'new', 'add', 2);
SELECT durable.signal_entity('fragile', 'b', 'add', i) FROM generate_series(1, 100) i;
COMMIT;
SQL
sub becomes
{
	my ($query, $name) = @_;
	ok($node->poll_query_until('postgres', $query), $name)
	  or diag($node->safe_psql('postgres', 'SELECT * FROM durable.entities; SELECT * FROM durable.inbox; SELECT * FROM durable.doctor() WHERE NOT ok'));
}
wait_for_server($node);
becomes("SELECT durable.entity_state('fragile', 'a') = '[1, 3]'", 'the operations around the one that crashed were run');
becomes("SELECT durable.entity_state('fragile', 'new') = '[2]'", 'so was that of an entity which began with a crash');
becomes("SELECT jsonb_array_length(durable.entity_state('fragile', 'b')) = 100", 'and those of another entity, once');
my $crashes = () = slurp_file($node->logfile) =~ /terminated by signal 11/g;
cmp_ok($crashes, '<=', 4, 'two crashes for each') or diag($crashes);

# The same in a call: the caller is told. (The session that has started it may be thrown out before it has disconnected.)
$node->psql('postgres', "SELECT durable.start('calls', '[\"c\", \"crash\"]'::jsonb, 'caller')");
wait_for_server($node);
becomes("SELECT runtime_status = 'Completed' FROM durable.instances WHERE instance_id = 'caller'", 'the caller ends');
is($node->safe_psql('postgres', "SELECT concat_ws(' ', output, durable.entity_state('fragile', 'c')) FROM durable.instances WHERE instance_id = 'caller'"),
	'"told" [1, 3]', 'and was told of the crash');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE crashes IS NOT NULL'), '0', 'no crash is counted any more');

# A session has the row: the operation waits for its end, and for no other.
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT durable.purge_entity('fragile', 'b')");
$node->safe_psql('postgres', "SELECT durable.signal_entity('fragile', 'b', 'add', 1); SELECT durable.signal_entity('fragile', 'a', 'add', 4)");
becomes("SELECT durable.entity_state('fragile', 'a') = '[1, 3, 4]'", 'another entity works meanwhile');
is($node->safe_psql('postgres', "SELECT jsonb_array_length(durable.entity_state('fragile', 'b'))"), '100', 'this one waits');
$session->query_safe('COMMIT');
$session->quit;
becomes("SELECT durable.entity_state('fragile', 'b') = '[1]'", 'and is run after that');

# Workers that have passed over the entity are woken also by the end of a transaction that is rolled back, or that fails.
foreach my $end ('ROLLBACK', 'SELECT 1/0', 'ROLLBACK TO a; COMMIT')
{
	foreach my $what ("durable.purge_entity('fragile', 'b')", "durable.apply_entity('fragile', 'b', 'add', 0)")
	{
		my $before = $node->safe_psql('postgres', "SELECT jsonb_array_length(durable.entity_state('fragile', 'b'))");
		$session = $node->background_psql('postgres', on_error_stop => 0);
		$session->query("BEGIN; SAVEPOINT a; SELECT $what");
		$node->safe_psql('postgres', "SELECT durable.signal_entity('fragile', 'b', 'add', 1); SELECT durable.signal_entity('fragile', 'other', 'add', 1)");
		becomes("SELECT count(*) = 1 FROM durable.inbox", 'the other entity was served, and all workers have passed over this one');
		$node->safe_psql('postgres', 'SELECT pg_sleep(0.2)');
		my $since = time;
		$session->query($end);
		$node->poll_query_until('postgres', "SELECT jsonb_array_length(durable.entity_state('fragile', 'b')) = $before + 1");
		cmp_ok(time - $since, '<', patience(0.8), "served soon after $what and $end");
		$session->quit;
	}
}

# One that takes long is run alone, once; what comes behind it waits for it, and nothing else does.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION quick(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n';
BEGIN;
SELECT durable.signal_entity('fragile', 'slow', 'slow', 1);
SELECT durable.signal_entity('fragile', 'slow', 'add', 2);
SELECT durable.start('quick', i) FROM generate_series(1, 20) i;
COMMIT;
SQL
becomes("SELECT count(*) = 20 FROM durable.instances WHERE name = 'public.quick' AND runtime_status = 'Completed'", 'others go on');
becomes("SELECT durable.entity_state('fragile', 'slow') = '[1, 2]'", 'a slow operation is run once, and then the next one');
like(slurp_file($node->logfile), qr/operation "slow" takes longer than \d+ ms, and is run alone/, 'it was run alone');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE problem_at IS NOT NULL OR parked IS NOT NULL'), '0', 'no entity has a problem');

# Many sessions signal one entity; the signals of each are in their order.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION ordered(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS $$
BEGIN
	IF (state->>operation)::integer + 1 <> input::integer THEN
		RAISE EXCEPTION 'out of order';
	END IF;
	RETURN (coalesce(state, '{}') || jsonb_build_object(operation, input), NULL)::durable.entity_result;
END $$;
SELECT durable.register_entity('ordered', 'ordered(jsonb,text,jsonb)');
SQL
my @sessions = map { $node->background_psql('postgres') } 1 .. 4;
foreach my $round (1 .. 25)
{
	for my $i (0 .. $#sessions)
	{
		my ($from, $to) = (($round - 1) * 20 + 1, $round * 20);
		$sessions[$i]->query_safe("SELECT count(durable.signal_entity('ordered', 'x', 'session $i', n)) FROM generate_series($from, $to) n");
	}
}
$_->quit foreach @sessions;
becomes(q(SELECT durable.entity_state('ordered', 'x') = '{"session 0": 500, "session 1": 500, "session 2": 500, "session 3": 500}'), 'four sessions in their orders');
is($node->safe_psql('postgres', "SELECT count(last_failure) FROM durable.entities WHERE name = 'ordered'"), '0', 'none was out of order');

# A dump has entities, locks, what waits, and what is for later.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION holds() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.lock_entities('@fragile@a');
	PERFORM durable.wait_for_external_event('go');
	PERFORM durable.call_entity('fragile', 'a', 'add', 5);
	RETURN 'done';
END $$;
SELECT durable.start('holds', instance_id => 'holder');
SQL
becomes("SELECT locked_by = 'holder' FROM durable.entities WHERE key = 'a' AND name = 'fragile'", 'an entity is locked');
$node->safe_psql('postgres', <<'SQL');
SELECT durable.signal_entity('fragile', 'a', 'add', 6);
SELECT durable.signal_entity('fragile', 'later', 'add', 7, now() + interval '3 s');
SQL
becomes("SELECT waiting = 1 FROM durable.entities WHERE key = 'a' AND name = 'fragile'", 'an operation waits');
my $file = PostgreSQL::Test::Utils::tempdir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $file ], 'pg_restore');
$node->safe_psql('copy', "SELECT durable.adopt(); SELECT durable.raise_event('holder', 'go')");
ok($node->poll_query_until('copy', "SELECT durable.entity_state('fragile', 'a') = '[1, 3, 4, 5, 6]'"), 'in the copy the holder goes on, and the waiting operation after it');
ok($node->poll_query_until('copy', "SELECT durable.entity_state('fragile', 'later') = '[7]'"), 'and what was for later is run');
is($node->safe_psql('postgres', "SELECT durable.entity_state('fragile', 'a')"), '[1, 3, 4]', 'the original has not moved');
$node->stop('fast');
done_testing();
