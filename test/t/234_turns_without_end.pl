# Orchestrations that will not end: they raise what is the server's to raise, or catch the error that is to end them. And
# what failures say, where a worker ran them.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.turn_timeout = 1500ms
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION plperl;
CREATE EXTENSION plpython3u;
CREATE FUNCTION raises(sqlstate text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'as always' USING ERRCODE = sqlstate;
END $$;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION catches_in_python() RETURNS text LANGUAGE plpython3u AS $$
while True:
    try:
        plpy.execute("SELECT durable.call_activity('one')")
    except:
        pass
$$;
CREATE FUNCTION queries_in_python() RETURNS text LANGUAGE plpython3u AS $$
while True:
    try:
        plpy.execute("SELECT 1")
    except:
        pass
$$;
CREATE FUNCTION catches_in_perl() RETURNS text LANGUAGE plperl AS $$
while (1) { eval { spi_exec_query("SELECT durable.call_activity('one')"); }; }
$$;
CREATE FUNCTION catches_in_plpgsql() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		BEGIN
			PERFORM durable.call_activity('one');
		EXCEPTION WHEN query_canceled THEN
			NULL;
		END;
	END LOOP;
END $$;
-- Each of these looks for a function, in a call of user code within the turn.
CREATE FUNCTION starts_and_catches() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		BEGIN
			PERFORM durable.start_orchestration(NULL);
		EXCEPTION WHEN query_canceled OR OTHERS THEN
			NULL;
		END;
	END LOOP;
END $$;
-- Once is no matter: it comes to its end.
CREATE FUNCTION catches_once() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n int := 0;
BEGIN
	BEGIN
		LOOP n := n + 1; END LOOP;
	EXCEPTION WHEN query_canceled THEN
		RETURN 'caught';
	END;
END $$;
SQL

$node->safe_psql('postgres', "SELECT durable.start('raises', s, s) FROM unnest('{40001,40P01,57014,23505}'::text[]) s");
foreach my $sqlstate (qw(23505 40001 40P01 57014))
{
	is($node->safe_psql('postgres', "SELECT runtime_status || ' ' || (failure ->> 'sqlstate') || ' ' || (failure ->> 'message') FROM durable.wait('$sqlstate', '3min')"),
		"Failed $sqlstate as always", "an orchestration that always raises $sqlstate fails in the end");
}
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT failure ->> 'context', '; ') FROM durable.instances WHERE failure IS NOT NULL"),
	'PL/pgSQL function raises(text) line 3 at RAISE', 'the context is that of the user\'s code');

my @loops = qw(catches_in_python queries_in_python catches_in_perl catches_in_plpgsql starts_and_catches);
$node->safe_psql('postgres', "SELECT durable.start(f, instance_id => f) FROM unnest('{" . join(',', @loops, 'catches_once') . "}'::text[]) f");
# The error comes again and again, and may come where the code cannot catch it: between the handler's end and the next block.
# Then the orchestration has failed by it, as one that does not catch it.
foreach my $loop (@loops)
{
	ok($node->poll_query_until('postgres', "SELECT runtime_status IN ('Suspended', 'Failed') FROM durable.status('$loop')"), "$loop comes to an end");
	like($node->safe_psql('postgres', "SELECT coalesce(suspend_reason, (SELECT failure ->> 'message' FROM durable.status('$loop'))) FROM durable.instance WHERE instance_id = '$loop'"),
		qr/caught the error raised at durable\.turn_timeout|"public\.$loop" ran for more than 1500 ms without waiting/, 'and it is said why');
}
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('catches_once', '3min')"), 'Completed', 'one that catches it and returns is let go');
$node->safe_psql('postgres', "SELECT durable.start('one', instance_id => 'after')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('after', '3min')"), 'Completed', 'and others go on');
unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal/, 'nothing crashed');

$node->stop;
done_testing();
