# Payloads that together take more than fits into one value of the server's: 1 GB for an array, 256 MB for a jsonb. What
# an orchestration asks for in one turn is stored all the same, and its burst goes on.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.max_payload = 64MB
durable.turn_timeout = 5min
max_wal_size = 8GB
checkpoint_timeout = 1h
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE seen (what text, n int);
CREATE FUNCTION note_length(input jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES ('task', length(input #>> '{}')); END $$;
CREATE FUNCTION child(input jsonb) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN length(input #>> '{}'); END $$;
CREATE FUNCTION step(n int, padding text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES ('step', n); RETURN padding; END $$;
SELECT durable.register_activity('note length', 'note_length(jsonb)', execution => 'task'),
	durable.register_activity('step', 'step(int, text)', execution => 'inline');
CREATE FUNCTION fans_out(tasks int, children int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..tasks LOOP
		PERFORM durable.schedule_activity('note length', repeat('x', 60000000));
	END LOOP;
	FOR i IN 1..children LOOP
		PERFORM durable.schedule_sub_orchestrator('child', repeat('x', 60000000), close_policy => 'abandon');
	END LOOP;
	RETURN tasks + children;
END $$;
CREATE FUNCTION bursts(small int, large int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	padding jsonb := '"x"';
BEGIN
	FOR i IN 1..small + large LOOP
		IF i > small THEN
			padding := to_jsonb(repeat('x', 60000000));
		END IF;
		padding := durable.call_activity('step', jsonb_build_array(i, padding));
	END LOOP;
	RETURN length(padding #>> '{}');
END $$;
SQL

# 4 of 60 MB are two statements; 18 would be an array of more than 1 GB.
$node->safe_psql('postgres', q{SELECT durable.start('fans_out', '[4, 4]'::jsonb, 'fans out'), durable.start('fans_out', '[18, 0]'::jsonb, 'far out')});
foreach (['fans out', 8], ['far out', 18])
{
	is($node->safe_psql('postgres', "SELECT runtime_status, output FROM durable.wait('$_->[0]', '3min')"), "Completed|$_->[1]", "$_->[0]: one turn asks for $_->[1]");
}
ok($node->poll_query_until('postgres', q{SELECT count(*) = 22 AND bool_and(n = 60000000) FROM seen WHERE what = 'task'}), 'all activities run, each with its input');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 4 AND bool_and(output = '60000000') FROM durable.instances WHERE name = 'public.child' AND runtime_status = 'Completed'}),
	'all sub-orchestrations, too');

# A history of more than 256 MB in a long burst.
$node->safe_psql('postgres', q{SELECT durable.start('bursts', '[120, 4]'::jsonb, 'bursts')});
is($node->safe_psql('postgres', q{SELECT runtime_status, output FROM durable.wait('bursts', '3min')}), 'Completed|60000000', 'a burst with a large history');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT n) FROM seen WHERE what = 'step'}), '124|124', 'has had each effect once');
unlike(slurp_file($node->logfile), qr/exceeds the maximum|invalid memory alloc|PANIC:|TRAP:|terminated by signal/, 'nothing was too large');

$node->stop;
done_testing();
