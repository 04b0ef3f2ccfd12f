# durable.wait_until with real workers: no query is run while nothing changes, a commit on a watched table wakes the
# orchestration, however the change was made, and no change is lost.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.worker_idle_timeout = '1 h'
max_prepared_transactions = 5
wal_level = logical
autovacuum = off
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE stock (item text, pieces int);
CREATE TABLE other (n int);
CREATE TABLE moved (k int, n int) PARTITION BY RANGE (k);
CREATE TABLE moved_1 PARTITION OF moved FOR VALUES FROM (0) TO (10);
CREATE TABLE base (n int);
CREATE TABLE derived () INHERITS (base);
CREATE MATERIALIZED VIEW enough AS SELECT count(*) AS n FROM stock;
CREATE FUNCTION waits(q text, tables regclass[] DEFAULT NULL, recheck interval DEFAULT '1 h', give_up interval DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.wait_until(q, recheck, tables, timeout => give_up);
END $$;
SQL

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Starts a wait and lets it look once.
sub start_wait
{
	my ($id, $query, $tables, %arg) = @_;
	my $recheck = $arg{recheck} // '1 h';

	sql("SELECT durable.start('waits', jsonb_build_object('q', \$q\$$query\$q\$, 'tables', '$tables', 'recheck', '$recheck'), '$id')");
	$node->poll_query_until('postgres', "SELECT attempt > 1 FROM durable.waiting WHERE instance_id = '$id'") or BAIL_OUT("$id does not look");
	return;
}

sub looks { return sql("SELECT attempt - 1 FROM durable.waiting WHERE instance_id = '$_[0]'"); }
sub ended { return sql("SELECT runtime_status, coalesce(output, failure -> 'message') FROM durable.wait('$_[0]', '10 s')"); }

# --- no query while nothing changes; a commit wakes ---------------------------------------------------------------------------

start_wait('quiet', 'SELECT item FROM stock WHERE pieces >= 5', '{stock}');
is(sql("SELECT kind, detail FROM durable.waiting WHERE instance_id = 'quiet'"), 'data|SELECT item FROM stock WHERE pieces >= 5', 'durable.waiting shows the query');
like(sql("SELECT waiting_on FROM durable.instances WHERE instance_id = 'quiet'"), qr/^data SELECT item FROM stock WHERE pieces >= 5 \(attempt 2, next try /, 'and so does durable.instances');
like(sql("SELECT durable.explain('quiet')"), qr/^waits for data SELECT item FROM stock/m, 'and durable.explain');
sql("INSERT INTO other SELECT generate_series(1, 1000)") foreach 1 .. 20;
sql("BEGIN; INSERT INTO stock VALUES ('nail', 50); ROLLBACK");
sql("BEGIN; SAVEPOINT s; INSERT INTO stock VALUES ('nail', 50); ROLLBACK TO s; INSERT INTO other VALUES (1); COMMIT");
sql("SELECT count(*) FROM stock; UPDATE stock SET pieces = 9 WHERE false");
sleep(1);
is(looks('quiet'), 1, 'no query is run for changes of other tables, for what was rolled back, and for reading');
sql("INSERT INTO stock VALUES ('nail', 3)");
$node->poll_query_until('postgres', "SELECT attempt = 3 FROM durable.waiting WHERE instance_id = 'quiet'");
is(looks('quiet'), 2, 'one query for one change');

my @times;
sql("UPDATE stock SET pieces = 7");
is(ended('quiet'), 'Completed|[{"item": "nail"}]', 'the rows are the result');
foreach my $n (1 .. 20)
{
	sql('DELETE FROM stock');
	start_wait("latency-$n", 'SELECT count(*) >= 1 AS there FROM stock', '{stock}');
	my ($rc, $out) = $node->psql('postgres', <<"SQL");
\\timing on
INSERT INTO stock VALUES ('screw', 1);
SELECT durable.wait('latency-$n', '10 s') IS NOT NULL;
SQL
	push @times, $1 if $out =~ /.*Time: ([0-9.]+) ms/s;
}
@times = sort { $a <=> $b } @times;
note("from the commit to the end of the orchestration: median $times[10] ms, slowest $times[19] ms");
cmp_ok($times[10], '<', patience(50), 'a commit on a watched table wakes within 50 ms');

# --- each way to change a table ------------------------------------------------------------------------------------------------

my %changes = (
	'COPY' => ['{stock}', "COPY stock FROM PROGRAM 'printf ''nut\\t1\\n'''"],
	'DELETE' => ['{stock}', 'DELETE FROM stock'],
	'TRUNCATE' => ['{stock}', 'TRUNCATE stock'],
	'a partition' => ['{moved}', 'INSERT INTO moved_1 VALUES (1, 1)'],
	'the partitioned table' => ['{moved}', 'INSERT INTO moved VALUES (1, 1)'],
	'a new partition' => ['{moved}', 'CREATE TABLE moved_2 PARTITION OF moved FOR VALUES FROM (10) TO (20)'],
	'an attached partition' => ['{moved}', 'CREATE TABLE moved_3 (k int, n int); INSERT INTO moved_3 VALUES (20, 1); ALTER TABLE moved ATTACH PARTITION moved_3 FOR VALUES FROM (20) TO (30)'],
	'a detached partition' => ['{moved}', 'ALTER TABLE moved DETACH PARTITION moved_3'],
	'a child' => ['{base}', 'INSERT INTO derived VALUES (1)'],
	'a materialized view' => ['{enough}', 'REFRESH MATERIALIZED VIEW enough'],
	'a function' => ['{other,stock}', "DO 'BEGIN INSERT INTO stock VALUES (''bolt'', 1); END'"],
	'a subtransaction' => ['{stock}', 'BEGIN; SAVEPOINT s; INSERT INTO stock VALUES (NULL, 1); RELEASE s; COMMIT'],
	'COMMIT PREPARED' => ['{stock}', "BEGIN; INSERT INTO stock VALUES (NULL, 1); PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'"]);
foreach my $name ('COPY', 'DELETE', 'TRUNCATE', 'a partition', 'the partitioned table', 'a new partition', 'an attached partition', 'a detached partition',
	'a child', 'a materialized view', 'a function', 'a subtransaction', 'COMMIT PREPARED')
{
	my ($tables, @statements) = @{ $changes{$name} };
	my $last = pop @statements;

	start_wait($name, 'SELECT false AS never', $tables);
	foreach my $statement (@statements)
	{
		sql($statement);
		sleep(0.2);
		is(looks($name), 1, "$name: not before it is visible");
	}
	sql($last);
	ok($node->poll_query_until('postgres', "SELECT attempt > 2 FROM durable.waiting WHERE instance_id = '$name'"), "$name is seen");
	sql("SELECT durable.terminate('$name')");
}
start_wait('of a new partition', 'SELECT k FROM moved WHERE k = 11', '{moved}');
sql('INSERT INTO moved_2 VALUES (11, 1)');
is(ended('of a new partition'), 'Completed|[{"k": 11}]', 'a partition that was added later is watched');

sql(<<'SQL');
CREATE FUNCTION waits_for_other() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_until('SELECT n FROM other WHERE n < 0', '1 h', '{other}'); END $$;
CREATE FUNCTION waits_for_base() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_until('SELECT n FROM base WHERE n < 0', '1 h', '{base}'); END $$;
SELECT durable.start('waits_for_' || t, instance_id => t) FROM unnest(ARRAY['other', 'base']) t;
SQL
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM durable.waiting WHERE instance_id IN ('other', 'base') AND attempt > 1");
# The look fails. A worker that has no plan of the function yet cannot look up the name either, and suspends the instance.
foreach my $change ('ALTER TABLE base RENAME TO basis', 'DROP TABLE other')
{
	my ($table) = $change =~ /TABLE (\w+)/;
	sql($change);
	$node->poll_query_until('postgres', "SELECT runtime_status IN ('Failed', 'Suspended') FROM durable.instances WHERE instance_id = '$table'");
	like(sql("SELECT concat(suspend_reason, failure ->> 'message') FROM durable.instances WHERE instance_id = '$table'"),
		qr/relation "(?:public\.)?$table" does not exist/, "$change is an error at once");
}

# --- without a watched table ---------------------------------------------------------------------------------------------------

sql('DELETE FROM stock');
start_wait('recheck', 'SELECT 1 AS x FROM stock', '{}', recheck => '50 ms');
$node->poll_query_until('postgres', "SELECT attempt > 4 FROM durable.waiting WHERE instance_id = 'recheck'");
is(sql("SELECT count(*) FROM durable.history('recheck')"), sql("SELECT count(*) FROM durable.history('recheck') WHERE event_type IN ('ExecutionStarted', 'TaskScheduled')"),
	'looks in vain are not in the history');
sql("INSERT INTO stock VALUES ('wheel', 1)");
is(ended('recheck'), 'Completed|[{"x": 1}]', 'the recheck interval finds the change');
sql(q{SELECT durable.start('waits', '{"q": "SELECT false AS never", "recheck": "20 ms", "give_up": "300 ms"}'::jsonb, 'timeout')});
is(ended('timeout'), 'Completed|', 'the result is NULL after the timeout');

# --- errors --------------------------------------------------------------------------------------------------------------------

sql('CREATE ROLE clerk LOGIN; GRANT CREATE ON SCHEMA public TO clerk; SELECT durable.grant_usage($$clerk$$); CREATE VIEW seen AS SELECT * FROM stock; CREATE TABLE secret (n int)');
my %errors = (
	'a write' => [q({"q": "INSERT INTO stock VALUES ('a', 1)", "tables": "{stock}"}), qr/cannot execute INSERT in a read-only transaction/],
	'a view' => [q({"q": "SELECT 1", "tables": "{seen}"}), qr/cannot watch relation .*seen/],
	'nothing to wait for' => [q({"q": "SELECT 1", "recheck": null}), qr/recheck must not be null if no table is watched/],
	'no time' => [q({"q": "SELECT 1", "recheck": "0 s"}), qr/recheck must be greater than zero/],
	'bad syntax' => [q({"q": "SELEC 1", "tables": "{stock}"}), qr/syntax error/],
	'two statements' => [q({"q": "SELECT 1; SELECT 2", "tables": "{stock}"}), qr/exactly one statement/]);
foreach my $name (sort keys %errors)
{
	sql("SELECT durable.start('waits', \$j\$$errors{$name}[0]\$j\$::jsonb, '$name')");
	like(ended($name), qr/^Failed.*$errors{$name}[1]/, $name);
}
sql(q(SET ROLE clerk; SELECT durable.start('waits', '{"q": "SELECT 1", "tables": "{secret}"}'::jsonb, 'forbidden')));
like(ended('forbidden'), qr/Failed\|"permission denied to watch table \\"secret\\""/, 'a role without SELECT on the table');

# --- suspended, crashed ---------------------------------------------------------------------------------------------------------

sql('TRUNCATE stock');
start_wait('suspended', 'SELECT 1 AS x FROM stock', '{stock}');
sql("SELECT durable.suspend('suspended')");
$node->poll_query_until('postgres', "SELECT runtime_status = 'Suspended' FROM durable.instances WHERE instance_id = 'suspended'");
sql("INSERT INTO stock VALUES ('a', 1)");
sleep(0.3);
is(sql("SELECT runtime_status FROM durable.instances WHERE instance_id = 'suspended'"), 'Suspended', 'a change does not resume');
sql("SELECT durable.resume('suspended')");
is(ended('suspended'), 'Completed|[{"x": 1}]', 'but it is known when the instance is resumed');

sql('TRUNCATE stock');
start_wait('crashed', 'SELECT 1 AS x FROM stock WHERE pieces > 1', '{stock}');
$node->append_conf('postgresql.conf', "durable.enabled = off\n");
$node->reload;
sleep(0.5);
sql("INSERT INTO stock VALUES ('a', 2)");
$node->append_conf('postgresql.conf', "durable.enabled = on\n");
$node->stop('immediate');
$node->start;
is(ended('crashed'), 'Completed|[{"x": 1}]', 'a change right before a crash is found after it');

# --- no change is lost: changes at any time relative to the looks -----------------------------------------------------------------

sql('CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)');
sql(<<'SQL');
CREATE FUNCTION follows(upto int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. upto LOOP
		PERFORM durable.wait_until('SELECT 1 FROM counter WHERE n >= $1', '1 h', '{counter}', jsonb_build_array(i));
		PERFORM durable.call_sql('UPDATE acknowledged SET n = $1 WHERE who = $2', jsonb_build_array(i, durable.instance_id()));
	END LOOP;
	RETURN upto;
END $$;
CREATE TABLE acknowledged (who text, n int);
INSERT INTO acknowledged SELECT 'f' || i, 0 FROM generate_series(1, 4) i;
SELECT durable.start('follows', 50, 'f' || i) FROM generate_series(1, 4) i;
SQL
# Each step waits for all of the followers: one lost change, and the next step never comes.
my $followed = $node->psql('postgres', <<'SQL');
SET statement_timeout = '120 s';
DO $$
BEGIN
	FOR i IN 1 .. 50 LOOP
		UPDATE counter SET n = i;
		COMMIT;
		LOOP
			EXIT WHEN NOT EXISTS (SELECT FROM acknowledged WHERE n < i);
			PERFORM pg_sleep(0.001 * (i % 3));
			COMMIT;
		END LOOP;
		COMMIT;
	END LOOP;
END $$;
SQL
is($followed, 0, '200 changes, none lost');
is(sql("SELECT count(*) FILTER (WHERE (durable.wait('f' || i, '10 s')).runtime_status = 'Completed') FROM generate_series(1, 4) i"), 4, 'all end');
is(sql('SELECT count(*) FROM durable.task_queue'), 0, 'nothing is left in the queue');

is(sql("SELECT ok, detail FROM durable.doctor() WHERE check_name = 'watched'"), 't|no orchestration waits for changes of a table', 'the doctor has nothing to say');
start_wait('unseen', 'SELECT false AS never', '{stock}');
sql("ALTER DATABASE postgres SET track_counts = off");
like(sql("SELECT ok, detail, hint FROM durable.doctor() WHERE check_name = 'watched'"), qr/^f\|one orchestration waits for changes of tables, but .*track_counts.*\|.*ALTER DATABASE "?postgres"? RESET track_counts/, 'it reports changes that cannot be seen');
$node->stop;
done_testing();
