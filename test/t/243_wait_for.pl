# CALL durable.wait_for holds no snapshot while it waits: it does not hold up replay on a standby, nor VACUUM on a primary.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

# Replay waits for a standby's queries for longer than the test would.
my $primary = new_node('primary', init => { allows_streaming => 1 }, conf => "autovacuum = off\n");
$primary->start;
create_durable($primary, 'postgres');
$primary->safe_psql('postgres', <<'SQL');
CREATE FUNCTION patient() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
CREATE FUNCTION breaks() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / 0; END $$;
CREATE TABLE remains (n int);
CREATE ROLE watcher LOGIN;
GRANT pg_monitor TO watcher;
SELECT durable.start('patient', instance_id => id) FROM unnest(ARRAY['one', 'two', 'three']) id;
SQL
$primary->backup('base');
my $standby = new_node('standby', init => 0);
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\n");
$standby->start;
$primary->wait_for_catchup($standby);

sub in_background
{
	my ($node, $sql) = @_;
	my %session = (out => '', err => '');

	$session{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

# --- on a standby ----------------------------------------------------------------------------------------------------------

my ($rc, $out, $err) = $standby->psql('postgres', "SELECT durable.wait('one', '1 min')");
like($err, qr/ERROR:  durable\.wait\(\) cannot wait on a standby\n.*HINT:  Use CALL durable\.wait_for\('one'\)/s, 'durable.wait does not wait on a standby, and says what does');
is($standby->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('one', '0 s')"), 'Running', '... but answers where it need not wait');

my $waiting = in_background($standby, "CALL durable.wait_for('one', '2 min')");
ok($standby->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL durable' AND backend_xmin IS NULL"),
	'durable.wait_for waits on a standby without a snapshot');
$primary->safe_psql('postgres', "SELECT durable.raise_event('one', 'Go', 'here'); SELECT durable.wait('one')");

# What would conflict with a snapshot: the removal of rows that a query of the standby might still see.
$primary->safe_psql('postgres', $_) foreach ('INSERT INTO remains SELECT generate_series(1, 1000)', 'DELETE FROM remains', 'VACUUM remains, durable.instance');
my $start = time;
$waiting->{handle}->finish;
is($waiting->{out}, "Completed|\"here\"|\n", 'and sees the end');
cmp_ok(time - $start, '<', patience(3), 'soon');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "CALL durable.wait_for('one')"), 'Completed|"here"|', 'of one that has ended it says so at once');

# --- on a primary ------------------------------------------------------------------------------------------------------------

$waiting = in_background($primary, "CALL durable.wait_for('two', '2 min')");
ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL durable' AND backend_xmin IS NULL AND backend_xid IS NULL AND wait_event IS NOT NULL"),
	'durable.wait_for waits on a primary without a snapshot');
$primary->safe_psql('postgres', $_) foreach ('INSERT INTO remains SELECT generate_series(1, 1000)', 'DELETE FROM remains');
(undef, undef, $err) = $primary->psql('postgres', 'VACUUM VERBOSE remains');
like($err, qr/tuples: 1000 removed, 0 remain/, 'VACUUM removes what has been deleted meanwhile');
$primary->safe_psql('postgres', "SELECT durable.raise_event('two', 'Go', 2)");
$waiting->{handle}->finish;
is($waiting->{out}, "Completed|2|\n", 'the end comes through');

is($primary->safe_psql('postgres', "CALL durable.wait_for('three', '100 ms')"), 'Running||', 'after the timeout it says how things are');
$primary->safe_psql('postgres', "SELECT durable.start('breaks', instance_id => 'broken')");
like($primary->safe_psql('postgres', "CALL durable.wait_for('broken')"), qr/^Failed\|\|\{.*"sqlstate": "22012"/, 'a failure is shown, and not raised');

# What is about to be rewound has not ended.
$primary->safe_psql('postgres', 'CREATE OR REPLACE FUNCTION breaks() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / 1; END $$');
$primary->safe_psql('postgres', $_) foreach ('SELECT durable.pause()', "SELECT durable.rewind('broken')");
my $before = time;
$primary->safe_psql('postgres', "CALL durable.wait_for('broken', '500 ms')");
cmp_ok(time - $before, '>=', 0.5, 'durable.wait_for waits for the end of what is rewound');
$primary->safe_psql('postgres', 'SELECT durable.unpause()');
is($primary->safe_psql('postgres', "CALL durable.wait_for('broken')"), 'Completed|1|', '... which is another one');
is($primary->safe_psql('postgres', "DO \$\$ DECLARE s text; o jsonb; f jsonb; BEGIN CALL durable.wait_for('one', '1 s', s, o, f); PERFORM set_config('t.result', s || o, false); END \$\$; SELECT current_setting('t.result')"),
	'Completed"here"', 'PL/pgSQL can call it');
(undef, undef, $err) = $primary->psql('postgres', "BEGIN; CALL durable.wait_for('three')");
like($err, qr/ERROR:  durable\.wait_for\(\) cannot be called inside a transaction block or a function\n.*HINT:  Use durable\.wait\(\)/s, 'it needs to be outside of a transaction block');
(undef, undef, $err) = $primary->psql('postgres', "CALL durable.wait_for('nobody')");
like($err, qr/ERROR:  instance "nobody" does not exist/, 'what is not there is an error');

# --- one of several ------------------------------------------------------------------------------------------------------------

$primary->safe_psql('postgres', "SELECT durable.start('patient', instance_id => 'any ' || n) FROM generate_series(1, 3) n");
$primary->wait_for_catchup($standby);
my @any = map { in_background($_, "CALL durable.wait_for_any('{any 1,any 2,any 3}', '2 min')") } $primary, $standby;
foreach my $node ($primary, $standby)
{
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL durable.wait_for_any' AND backend_xmin IS NULL AND backend_xid IS NULL AND wait_event IS NOT NULL"),
		'durable.wait_for_any waits without a snapshot on the ' . $node->name);
}
$primary->safe_psql('postgres', $_) foreach ('INSERT INTO remains SELECT generate_series(1, 1000)', 'DELETE FROM remains');
(undef, undef, $err) = $primary->psql('postgres', 'VACUUM VERBOSE remains');
like($err, qr/tuples: 1000 removed, 0 remain/, 'VACUUM removes what has been deleted meanwhile');
$primary->safe_psql('postgres', "SELECT durable.raise_event('any 2', 'Go', 22)");
foreach my $session (@any)
{
	$session->{handle}->finish;
	is($session->{out}, "any 2|Completed|22|\n", 'the end of one of them comes through');
}
is($primary->safe_psql('postgres', "CALL durable.wait_for_any('{any 3,one,any 2}')"), 'one|Completed|"here"|', 'of those that have ended it returns the first of the list');
is($primary->safe_psql('postgres', "CALL durable.wait_for_any('{any 1,any 3}', '100 ms')"), '|||', 'after the timeout all results are null');
is($primary->safe_psql('postgres', "DO \$\$ DECLARE id text; s text; o jsonb; f jsonb; BEGIN PERFORM durable.start('breaks', instance_id => 'any 4'); CALL durable.wait_for_any('{any 1,any 4}', '1 min', id, s, o, f); PERFORM set_config('t.result', concat_ws(' ', id, s, o), false); END \$\$; SELECT current_setting('t.result')"),
	'any 4 Completed 1', 'an instance that this transaction has started is committed first');
foreach ([ "'{}'", qr/instance_ids must not be empty/ ], [ 'NULL', qr/instance_ids must not be null/ ], [ "'{one,NULL}'", qr/instance id must not be null/ ],
	[ "'{any 1,nobody}'", qr/instance "nobody" does not exist/ ], [ "array_fill('any 1'::text, '{101}')", qr/cannot wait for 101 instances at once/ ])
{
	(undef, undef, $err) = $primary->psql('postgres', "CALL durable.wait_for_any($_->[0])");
	like($err, $_->[1], "durable.wait_for_any($_->[0])");
}
(undef, undef, $err) = $primary->psql('postgres', "BEGIN; CALL durable.wait_for_any('{one}')");
like($err, qr/ERROR:  durable\.wait_for_any\(\) cannot be called inside a transaction block or a function\n.*HINT:  Use durable\.wait_any\(\)/s, 'it needs to be outside of a transaction block');
# A session that is canceled gives its places back: 1024 are there.
$primary->psql('postgres', "SET statement_timeout = '20 ms'; CALL durable.wait_for_any(array_fill('any 1'::text, '{100}'), '1 min')") for 1 .. 12;
is($primary->safe_psql('postgres', "CALL durable.wait_for_any(array_fill('any 1'::text, '{100}'), '10 ms')"), '|||', 'canceled calls leave no place taken');

# Who may see an instance, but not its payloads.
$primary->safe_psql('postgres', 'GRANT EXECUTE ON PROCEDURE durable.wait_for TO watcher');
is($primary->safe_psql('postgres', "SET SESSION AUTHORIZATION watcher; CALL durable.wait_for('one')"), 'Completed||', 'monitoring sees the status only');

$primary->safe_psql('postgres', 'GRANT EXECUTE ON PROCEDURE durable.wait_for_any TO watcher');
is($primary->safe_psql('postgres', "SET SESSION AUTHORIZATION watcher; CALL durable.wait_for_any('{one}')"), 'one|Completed||', '... and so it does of several');

$standby->stop;
$primary->stop;
done_testing();
