# The commit of a unit that only puts work into queues does not wait for the disk. What a worker has been given, and what a client
# can see of ends, statuses and effects of SQL, is on disk. A commit that waits is told from others by a synchronous standby
# that does not exist.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 1
durable.recheck_interval = 1s
wal_writer_delay = 10s
wal_level = replica
max_wal_senders = 2
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE effect (instance text);
CREATE FUNCTION effect(id jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO effect VALUES (id #>> '{}'); SELECT '1'::jsonb $$;
SELECT durable.register_queue('app');
SELECT durable.register_activity('outside', execution => 'external', queue => 'app');
SELECT durable.register_activity('effect', 'effect(jsonb)');
CREATE FUNCTION plain(id text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('outside', id); END $$;
CREATE FUNCTION twice(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM durable.call_activity('outside', id); RETURN durable.call_activity('outside', id); END $$;
CREATE FUNCTION with_status(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM durable.set_custom_status('"asked"'); RETURN durable.call_activity('outside', id); END $$;
CREATE FUNCTION with_effect(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM durable.call_activity('effect', id); RETURN durable.call_activity('outside', id); END $$;
CREATE FUNCTION with_child(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM durable.schedule_sub_orchestrator('plain', id); RETURN durable.call_activity('outside', id); END $$;
CREATE FUNCTION with_event(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM durable.send_event('other', 'ping', '1'); RETURN durable.call_activity('outside', id); END $$;
SQL

# Commits of this session wait for its own disk only.
sub sql { return $node->safe_psql('postgres', "SET synchronous_commit = local; $_[0]"); }

sub start { my ($kind, $id) = @_; return sql("SELECT durable.start('$kind', to_jsonb('$id'::text), '$id')"); }

sub queued { my ($id) = @_; return "SELECT count(*) = 1 FROM durable.queued_task t JOIN durable.instance i USING (key) WHERE i.instance_id = '$id'"; }

sub standby
{
	my ($name) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$name'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT setting = '$name' FROM pg_settings WHERE name = 'synchronous_standby_names'")
	  or die 'the setting did not change';
	# The checkpointer tells the other processes whether commits have to wait.
	$node->safe_psql('postgres', 'SET synchronous_commit = local; CHECKPOINT');
	return;
}

# The worker runs, and has read all that it needs.
start('plain', 'warm');
$node->poll_query_until('postgres', queued('warm')) or die 'the first activity is not in the queue';

standby('missing');
start($_, $_) for qw(plain twice);
ok($node->poll_query_until('postgres', queued($_)), "the commit of a turn that puts an activity into a queue does not wait: $_") for qw(plain twice);

# The session that fetches decides by its own setting.
sql("CREATE TABLE work AS SELECT * FROM durable.fetch_work('app', 'w', 10)");
is(sql("SELECT count(*) FROM work"), 3, 'the activities were fetched');
sql("SELECT durable.complete_tasks(array_agg(token), array_agg(input)) FROM work WHERE instance_id = 'twice'");
ok($node->poll_query_until('postgres', queued('twice')), 'nor does a later turn that does the same');

# The commits of these wait, so nobody sees their activities.
foreach my $kind (qw(with_status with_effect with_child with_event))
{
	start($kind, $kind);
	ok($node->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'durable worker%' AND wait_event = 'SyncRep'"),
		"the commit of a turn waits: $kind");
	is(sql(queued($kind)), 'f', "... and its activity is not to be seen: $kind");
	standby('');
	ok($node->poll_query_until('postgres', queued($kind)), "... until it is committed: $kind");
	standby('missing');
}

# The end of an instance.
sql("SELECT durable.complete_tasks(array_agg(token), array_agg(input)) FROM work WHERE instance_id = 'plain'");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'durable worker%' AND wait_event = 'SyncRep'"),
	'the commit of a turn that ends an instance waits');
is(sql("SELECT runtime_status FROM durable.status('plain')"), 'Running', '... and the end is not to be seen');
standby('');
is(sql("SELECT output #>> '{}' FROM durable.wait('plain', '60 s')"), 'plain', '... until it is committed');

# What a worker has been given survives a crash of the server at once; what it has not been given is called for again.
foreach my $round (1 .. 3)
{
	sql('DROP TABLE work');
	start('plain', "given $round");
	$node->poll_query_until('postgres', queued("given $round")) or die 'the activity is not in the queue';
	sql("CREATE TABLE work AS SELECT * FROM durable.fetch_work('app', 'w', 100)");
	start('plain', "left $round");
	$node->poll_query_until('postgres', queued("left $round")) or die 'the activity is not in the queue';
	kill_server($node);
	$node->start;
	is(sql("SELECT durable.complete_tasks(array_agg(token), array_agg(input)) FROM work WHERE instance_id = 'given $round'"),
		1, "round $round: the token of an activity that was fetched before the crash is valid");
	is(sql("SELECT output #>> '{}' FROM durable.wait('given $round', '60 s')"), "given $round", '... and its instance completes');
	ok($node->poll_query_until('postgres', queued("left $round")), '... and an activity that was not fetched is there once');
}
is(sql("SELECT count(*) FROM durable.queued_task t JOIN durable.instance i USING (key) WHERE i.instance_id LIKE 'given%'"),
	0, 'no activity is left that was completed');
is(sql('SELECT count(*) FROM effect'), 1, 'the activity in SQL has run once');

$node->stop;
done_testing();
