# What an activity leaves in its worker's session is not there for the next one; a worker that has done enough is
# replaced; and who creates the extension anew in the session that dropped it goes on as if nothing had been.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 1
durable.worker_idle_timeout = 10min
max_prepared_transactions = 5
CONF
$node->start;
create_durable($node, 'postgres');

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION leave_things() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	held refcursor := 'held';
BEGIN
	PERFORM set_config('work_mem', '123kB', false);
	PERFORM set_config('my.setting', 'left', false);
	PERFORM set_config('search_path', 'nowhere', false);
	PERFORM set_config('default_transaction_isolation', 'serializable', false);
	CREATE TEMP TABLE leftover (a int);
	PERFORM pg_advisory_lock(4711);
	EXECUTE 'PREPARE leftover AS SELECT 1';
	EXECUTE 'DECLARE held CURSOR WITH HOLD FOR SELECT 1';
	RETURN pg_backend_pid();
END $$;
CREATE FUNCTION find_things() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(', ',
		'pid ' || pg_backend_pid(),
		'work_mem ' || current_setting('work_mem'),
		'setting ' || nullif(current_setting('my.setting', true), ''),
		'path ' || nullif(current_setting('search_path'), '"$user", public'),
		'isolation ' || nullif(current_setting('default_transaction_isolation'), 'read committed'),
		(SELECT 'table ' || relname FROM pg_class WHERE relname = 'leftover'),
		(SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory'),
		(SELECT 'statement ' || name FROM pg_prepared_statements WHERE name = 'leftover'),
		(SELECT 'cursor ' || name FROM pg_cursors WHERE name = 'held'))
$$;
CREATE FUNCTION leave() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('leave_things'); END $$;
CREATE FUNCTION find() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('find_things'); END $$;
CREATE FUNCTION pid() RETURNS int LANGUAGE sql AS 'SELECT pg_backend_pid()';
CREATE FUNCTION who() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('pid'); END $$;
SQL

sub result_of
{
	my ($id) = @_;

	return $node->safe_psql('postgres', "SELECT runtime_status || ' ' || (output #>> '{}') FROM durable.wait('$id', '3min')");
}

foreach my $execution (qw(inline task))
{
	$node->safe_psql('postgres', "SELECT durable.register_activity('leave_things', 'leave_things()', execution => '$execution');
		SELECT durable.register_activity('find_things', 'find_things()', execution => '$execution')")
	  if $execution eq 'inline';
	$node->safe_psql('postgres', "UPDATE durable.activity SET execution = '$execution'");
	$node->restart;			# the registrations were changed behind the engine's back

	$node->safe_psql('postgres', "SELECT durable.start('leave', instance_id => 'leave $execution')");
	my ($pid) = result_of("leave $execution") =~ /^Completed (\d+)$/;
	ok($pid, "$execution: an activity leaves all sorts of things");
	$node->safe_psql('postgres', "SELECT durable.start('find', instance_id => 'find $execution')");
	is(result_of("find $execution"), "Completed pid $pid, work_mem 4MB", "$execution: the next one, in the same process, finds none of them");
	$node->safe_psql('postgres', "SELECT durable.start('leave', instance_id => 'again $execution')");
	is(result_of("again $execution"), "Completed $pid", "$execution: and they can be made again");
}

# --- replaced ----------------------------------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', 'durable.worker_max_units = 3');
$node->reload;
my %pids;
foreach my $n (1 .. 12)
{
	$node->safe_psql('postgres', "SELECT durable.start('who', instance_id => 'who $n')");
	my ($pid) = result_of("who $n") =~ /^Completed (\d+)$/;
	ok($pid, "instance $n ends");
	$pids{$pid} = 1;
}
cmp_ok(scalar(keys %pids), '>=', 3, 'workers are replaced after durable.worker_max_units');

# --- statements kept across DROP and CREATE EXTENSION in one session ---------------------------------------------------------

is($node->safe_psql('postgres', <<'SQL'), "a\nf\nb\nt\nf\nc\nt", 'one session, three extensions');
SET client_min_messages = error;
SELECT durable.start('who', instance_id => 'a');
DROP EXTENSION durable CASCADE;
SELECT to_regclass('durable.instance') IS NOT NULL;
CREATE EXTENSION durable;
SELECT durable.start('who', instance_id => 'b');
SELECT runtime_status = 'Completed' FROM durable.wait('b', '3min');
DROP EXTENSION durable CASCADE;
SELECT to_regclass('durable.instance') IS NOT NULL;
CREATE EXTENSION durable;
SELECT durable.start('who', instance_id => 'c');
SELECT runtime_status = 'Completed' FROM durable.wait('c', '3min');
SQL

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal/, 'nothing crashed');
$node->stop('fast');
done_testing();
