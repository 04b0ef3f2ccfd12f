# The checker of the chaos tests finds what it looks for: each of these faults is planted into sound tables, in a
# transaction that is rolled back, and must be reported under the invariant that it breaks.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

srand(1);
my $node = new_node('main', conf => "durable.max_workers = 4\n");
$node->start;
create_durable($node, 'postgres');
install_chaos($node, 'postgres');
my $clients = clients_start($node, 'postgres', [ plan_workflows(100) ], 0);
clients_finish($clients);
wait_until_ended($node, 'postgres', 'a hundred workflows have ended');
violations_are($node, 'postgres', '', 'nothing is wrong with them');

# planted(invariant, fault, SQL, finished): the fault is found, and so is nothing in the tables when it is gone.
sub planted
{
	my ($invariant, $fault, $sql, $finished) = @_;
	my $found = $node->safe_psql('postgres', "BEGIN; $sql; SELECT DISTINCT invariant FROM invariant.violations(@{[ $finished // 'true' ]}); ROLLBACK");

	like($found, qr/^$invariant$/m, "$invariant: $fault");
	return;
}

# The events of one history row, changed.
sub events
{
	my ($id, $expression, $added) = @_;

	return "UPDATE durable.history h SET events = invariant.encoded(h.at, (SELECT jsonb_agg(x ORDER BY n) FROM ($expression) q (x, n)))
		FROM durable.instance i WHERE i.key = h.key AND i.instance_id = '$id'
		AND h.seq = (SELECT max(seq) FROM durable.history l WHERE l.key = h.key);
		UPDATE durable.instance SET events = events + $added WHERE instance_id = '$id'";
}
my $each = 'SELECT x, n FROM invariant.decoded(h.at, h.events) WITH ORDINALITY AS e (x, n)';

# A history in one row makes it easy to say what to change.
$node->safe_psql('postgres', <<'SQL');
CREATE TEMP TABLE whole AS SELECT key, min(h.at) AS at, execution, invariant.encoded(min(h.at), jsonb_agg(x ORDER BY h.seq, n)) AS events
	FROM durable.history h, invariant.decoded(h.at, h.events) WITH ORDINALITY AS e (x, n) GROUP BY key, execution;
TRUNCATE durable.history;
INSERT INTO durable.history SELECT key, at, execution, 1, '2', events FROM whole;
SQL
violations_are($node, 'postgres', '', 'nor when their histories are rows of other sizes');

planted('I1', 'an acknowledged start is lost', "DELETE FROM durable.instance WHERE instance_id = 'sequence 1'");
planted('I1', 'an instance that nobody started', "UPDATE durable.instance SET instance_id = 'sequence 1 rolled back' WHERE instance_id = 'sequence 1'");
planted('I1', 'an instance that never ends', "UPDATE durable.instance SET status = 'R', completed_at = NULL, output = NULL WHERE instance_id = 'fan 1'");
planted('I1', 'an instance that failed', "UPDATE durable.instance SET status = 'F', failure = '{}', output = NULL WHERE instance_id = 'fan 1'");
planted('I1', 'a wrong output', "UPDATE durable.instance SET output = to_jsonb(output::int + 1) WHERE instance_id = 'fan 1'");
planted('I2', 'an effect that happened twice', "INSERT INTO chaos.effect SELECT * FROM chaos.effect WHERE instance_id = 'fan 2' AND step = 'branch 4'");
planted('I2', 'an effect that did not happen', "DELETE FROM chaos.effect WHERE instance_id = 'fan 2' AND step = 'branch 4'");
planted('I2', 'an effect of something that was rolled back', "INSERT INTO chaos.effect VALUES ('saga 3', 'ship', 3, 2, 'chaos_ann')");
planted('I2', 'an effect in an earlier execution that happened twice', "INSERT INTO chaos.effect SELECT * FROM chaos.effect WHERE instance_id = 'again 1' AND step = 'round 2'");
planted('I2', 'an effect as somebody else', "UPDATE chaos.effect SET owner = 'postgres' WHERE instance_id = 'fan 2' AND step = 'branch 4'");
planted('I3', 'a history row is lost', "DELETE FROM durable.history h USING durable.instance i WHERE i.key = h.key AND i.instance_id = 'fan 3'");
planted('I3', 'an event is lost', events('fan 3', "$each WHERE n <> 5", 0));
planted('I3', 'something completed twice', events('fan 3', "$each UNION ALL (SELECT x, 99 FROM ($each) q WHERE x ->> 0 = '2' LIMIT 1)", 1));
planted('I3', 'something completed and failed', events('fan 3', "$each UNION ALL (SELECT jsonb_set(x, '{0}', '3'), 99 FROM ($each) q WHERE x ->> 0 = '2' LIMIT 1)", 1));
planted('I3', 'something completed that was never called', events('fan 3', "$each UNION ALL (SELECT jsonb_set(x, '{1}', '77'), 99 FROM ($each) q WHERE x ->> 0 = '2' LIMIT 1)", 1));
planted('I3', 'an answer before its call', events('sequence 2', "SELECT x, -n FROM ($each) q", 0));
planted('I3', 'history of an earlier execution', "INSERT INTO durable.history SELECT key, at, execution - 1, seq, format, events FROM durable.history h WHERE key = (SELECT key FROM durable.instance WHERE instance_id = 'again 2')");
planted('I3', 'history of an instance that is gone', "INSERT INTO durable.history VALUES (-1, now(), 1, 1, '2', '[]')");
planted('I4', 'half a booking', "DELETE FROM chaos.ledger WHERE instance_id = 'saga 1' AND account = 'shop'");
planted('I4', 'a refund that was not made', "DELETE FROM chaos.ledger WHERE instance_id = 'saga 3' AND step = 'refund'");
planted('I4', 'a transfer that was made twice', "UPDATE chaos.balance SET amount = amount + CASE account WHEN 1 THEN 5 ELSE -5 END WHERE account IN (1, 2)");
planted('I5', 'a timer that fired too early', events('timer 1', "SELECT CASE x ->> 0 WHEN '5' THEN jsonb_set(x, '{3}', to_jsonb((x ->> 3)::bigint - 10000000)) ELSE x END, n FROM ($each) q", 0));
planted('I3', 'a timer that fired twice', events('timer 1', "$each UNION ALL (SELECT x, n + 0.5 FROM ($each) q WHERE x ->> 0 = '5' LIMIT 1)", 1));
planted('I5', 'time that goes back', events('sequence 3', "SELECT CASE WHEN n = 4 THEN jsonb_set(x, '{3}', to_jsonb((x ->> 3)::bigint - 10000000)) ELSE x END, n FROM ($each) q", 0));
planted('I6', 'an event that was lost', events('pair 1', "$each WHERE x -> 5 IS DISTINCT FROM '2'", -1));
planted('I6', 'an event that came twice', events('pair 1', "$each UNION ALL (SELECT x, n + 0.5 FROM ($each) q WHERE x ->> 0 = '9' LIMIT 1)", 1));
planted('I6', 'events in the wrong order', events('pair 1', "SELECT CASE x -> 5 WHEN '1' THEN jsonb_set(x, '{5}', '3') WHEN '3' THEN jsonb_set(x, '{5}', '1') ELSE x END, n FROM ($each) q", 0));
planted('I7', 'steps side by side', "UPDATE chaos.effect SET seen = 1 WHERE instance_id = 'sequence 4' AND step = 'step 3'");
planted('I8', 'a parent that was told something else', events('parent 1', "SELECT CASE x ->> 0 WHEN '12' THEN jsonb_set(x, '{5}', '-1') ELSE x END, n FROM ($each) q", 0));
planted('I8', 'a child that failed and is said to have completed', "UPDATE durable.instance SET status = 'F', output = NULL, failure = '{}' WHERE parent_key = (SELECT key FROM durable.instance WHERE instance_id = 'parent 1')");
planted('I8', 'a child that outlives its parent', "UPDATE durable.instance SET status = 'R', completed_at = NULL WHERE parent_key = (SELECT key FROM durable.instance WHERE instance_id = 'parent 1')");
planted('I8', 'a child that is gone', "DELETE FROM durable.instance WHERE parent_key = (SELECT key FROM durable.instance WHERE instance_id = 'parent 1')");
planted('I11', 'a message for an instance that has ended', "INSERT INTO durable.inbox (id, owner, key, kind, execution, task, sent_at) SELECT -1, owner, key, 'c', 1, 1, now() FROM durable.instance WHERE instance_id = 'fan 1'");
planted('I11', 'a message for an instance that is gone', "INSERT INTO durable.inbox (id, owner, key, kind, execution, task, name, sent_at) VALUES (-1, 'chaos_ann', -1, 'e', 1, 1, 'Item', now())");
planted('I11', 'an end that is not in the list of finished instances', "DELETE FROM durable.finished WHERE (SELECT key FROM durable.instance WHERE instance_id = 'fan 1') = ANY (key || others)");
planted('I11', 'one that is there twice', "INSERT INTO durable.finished SELECT f.* FROM durable.finished f JOIN durable.instance i ON i.key = ANY (f.key || f.others) WHERE i.instance_id = 'fan 1'");
planted('I11', 'an entry of instances that are gone', "INSERT INTO durable.finished SELECT now(), -1, 'chaos_ann', 'C', 'fan', '{-2}'");
planted('I11', 'a timer of an instance that has ended', "INSERT INTO durable.timer SELECT owner, now(), key, 1, 1 FROM durable.instance WHERE instance_id = 'fan 1'");
planted('I11', 'an activity of an instance that has ended', "INSERT INTO durable.task_queue (id, owner, run_at, key, execution, task, name, handler, scheduled_at)
	SELECT -1, owner, now(), key, 1, 1, 'x', 'x', now() FROM durable.instance WHERE instance_id = 'fan 1'");
planted('I13', 'an index that lacks a row', "SET LOCAL allow_system_table_mods = on;
	UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = 'durable.timer_due'::regclass;
	INSERT INTO durable.timer SELECT owner, now(), key, 1, 1 FROM durable.instance WHERE instance_id = 'fan 1';
	UPDATE pg_index SET indisready = true, indislive = true WHERE indexrelid = 'durable.timer_due'::regclass");

# --- what has not ended --------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION chaos.dozes(n int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM durable.sleep('1 hour'); RETURN 'awake'; END $$;
CREATE FUNCTION chaos.insists(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_activity('chaos.ship', chaos.a_note('ship', 3), durable.retry(max_attempts => 5, first_interval => '1 hour'));
END $$;
INSERT INTO chaos.client_log (word, action, instance_id) SELECT w, 'start', i FROM unnest('{try,ack}'::text[]) w, unnest('{dozes,insists,listens,minds}'::text[]) i;
SELECT durable.start('chaos.dozes', 1, 'dozes'), durable.start('chaos.insists', 1, 'insists'), durable.start('chaos.patient', 1, 'listens'),
	durable.start('chaos.stopped', 1, 'minds');
SQL
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.inbox) AND count(*) = 5 FROM durable.instance WHERE status = 'R'"), 'workflows wait for each kind of thing');
violations_are($node, 'postgres', '', 'nothing is wrong with those that wait', 'false');

planted('I10', 'a timer that is lost', 'DELETE FROM durable.timer', 'false');
planted('I10', 'a timer that was set anew', "UPDATE durable.timer SET due_at = due_at + interval '1 minute'", 'false');
planted('I10', 'an activity that is lost', 'DELETE FROM durable.task_queue', 'false');
planted('I10', 'a child that ended without a word', "UPDATE durable.instance SET status = 'T', completed_at = now() WHERE parent_key = (SELECT key FROM durable.instance WHERE instance_id = 'minds')", 'false');
planted('I10', 'an instance that waits for nothing', "UPDATE durable.instance SET waiting = NULL WHERE instance_id = 'listens'", 'false');
planted('I10', 'an instance whose start is lost', "UPDATE durable.instance SET status = 'P' WHERE instance_id = 'listens'", 'false');
planted('I1', 'an instance that has not ended, when all should have', 'SELECT 1');

$node->stop('fast');
done_testing();
