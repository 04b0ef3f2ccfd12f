# External entities with real processes. Orchestrations in SQL and external ones move money between accounts that are external
# entities, with calls, in critical sections, and with signals that entities send to each other, while workers are killed with batches
# and turns out, and the server with them. In the end no money has come or gone, each signal was applied once, and no
# lock, no waiting operation and no batch is left. And a worker that waits is woken.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $KILLS = $ENV{CHAOS_KILLS} // 8 * ($ENV{CHAOS_TIMES} // 1);
my $ACCOUNTS = 12;
my $MOVERS = 12;
my $MOVES = 5;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 3
durable.max_crashes = 1000
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
SELECT durable.register_entity('account', execution => 'external', queue => 'app');
SELECT durable.register_orchestration('Mover', execution => 'external', queue => 'app');
CREATE FUNCTION other(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE sql AS \$\$
	SELECT ROW(to_jsonb(coalesce(state::integer, 0) + 1), NULL)::durable.entity_result
\$\$;
-- counts the moves of all orchestrations, in SQL
SELECT durable.register_entity('moves', 'other(jsonb,text,jsonb)');

-- The program of an account: its state is {"balance", "signals"}. It fails without enough money.
CREATE FUNCTION run_batch(b durable.entity_batch, OUT results jsonb, OUT state text, OUT actions jsonb) LANGUAGE plpgsql AS \$\$
DECLARE
	op jsonb;
	s jsonb := coalesce(b.state, '{"balance": 1000, "signals": 0}');
	n integer;
BEGIN
	results := '[]';
	actions := '[]';
	FOR op IN SELECT e FROM jsonb_array_elements(b.operations) WITH ORDINALITY AS j (e, o) ORDER BY o LOOP
		n := ((op ->> 'input')::jsonb ->> 'n')::integer;
		IF op ->> 'name' = 'fail' OR (s ->> 'balance')::integer + n < 0 THEN
			results := results || '{"failure": {"message": "not enough money"}}';
			CONTINUE;
		END IF;
		s := s || jsonb_build_object('balance', (s ->> 'balance')::integer + n);
		IF op ->> 'name' = 'pass' THEN		-- n goes on to another account, with a signal
			s := s || jsonb_build_object('balance', (s ->> 'balance')::integer - 2 * n);
			actions := actions || jsonb_build_object('type', 'signal_entity', 'instance_id', (op ->> 'input')::jsonb ->> 'to', 'operation', 'add', 'input', jsonb_build_object('n', n)::text);
		ELSIF op ->> 'type' = 'EntityOperationSignaled' THEN
			s := s || jsonb_build_object('signals', (s ->> 'signals')::integer + 1);
		END IF;
		results := results || jsonb_build_object('output', s ->> 'balance');
	END LOOP;
	state := s::text;
END \$\$;

-- An external orchestration: locks two accounts, moves 7, signals a third one by way of a fourth, and again.
CREATE FUNCTION decide(t durable.turn) RETURNS jsonb LANGUAGE plpgsql AS \$\$
DECLARE
	events jsonb := t.past_events || t.new_events;
	done integer := (SELECT count(*) FROM jsonb_array_elements(events) e WHERE e ->> 'type' = 'EntityUnlockSent') / 2;
	granted integer := (SELECT count(*) FROM jsonb_array_elements(events) e WHERE e ->> 'type' = 'EntityLockGranted');
	answers integer := (SELECT count(*) FROM jsonb_array_elements(events) e WHERE e ->> 'type' LIKE 'EntityOperation%' AND e ? 'task_id');
	asked integer := (SELECT count(*) FROM jsonb_array_elements(events) e WHERE e ->> 'type' = 'EntityLockRequested');
	i integer := substr(t.instance_id, 2)::integer;
	a text;
	b text;
	r text;
BEGIN
	IF answers = 2 * granted AND granted = asked AND asked > done THEN		-- leave the section
		r := 's' || done;
		a := '\@account\@' || (i + done) % $ACCOUNTS;
		b := '\@account\@' || (i + done + 5) % $ACCOUNTS;
		RETURN jsonb_build_array(
			jsonb_build_object('type', 'unlock_entity', 'id', 10 * done + 5, 'request_id', r, 'instance_id', a),
			jsonb_build_object('type', 'unlock_entity', 'id', 10 * done + 6, 'request_id', r, 'instance_id', b),
			jsonb_build_object('type', 'signal_entity', 'id', 10 * done + 7, 'request_id', r || 'm', 'instance_id', '\@moves\@all', 'operation', 'count'),
			jsonb_build_object('type', 'signal_entity', 'id', 10 * done + 8, 'request_id', r || 'p', 'instance_id', a, 'operation', 'pass',
				'input', jsonb_build_object('n', 3, 'to', '\@account\@' || (i + done + 2) % $ACCOUNTS)::text))
			|| CASE WHEN done + 1 = $MOVES THEN '[{"type": "complete", "id": 999, "status": "Completed", "output": "moved"}]'
			   ELSE jsonb_build_array(jsonb_build_object('type', 'lock_entities', 'id', 10 * done + 11, 'request_id', 's' || done + 1, 'lock_set',
					jsonb_build_array('\@account\@' || (i + done + 1) % $ACCOUNTS, '\@account\@' || (i + done + 6) % $ACCOUNTS))) END;
	ELSIF asked = 0 THEN
		RETURN jsonb_build_array(jsonb_build_object('type', 'lock_entities', 'id', 1, 'request_id', 's0', 'lock_set',
			jsonb_build_array('\@account\@' || i % $ACCOUNTS, '\@account\@' || (i + 5) % $ACCOUNTS)));
	ELSIF granted > done AND answers = 2 * done AND t.new_events::text LIKE '%EntityLockGranted%' THEN
		r := 's' || done;
		RETURN jsonb_build_array(
			jsonb_build_object('type', 'call_entity', 'id', 10 * done + 2, 'request_id', r || 'a', 'instance_id', '\@account\@' || (i + done) % $ACCOUNTS, 'operation', 'add', 'input', '{"n": -7}'),
			jsonb_build_object('type', 'call_entity', 'id', 10 * done + 3, 'request_id', r || 'b', 'instance_id', '\@account\@' || (i + done + 5) % $ACCOUNTS, 'operation', 'add', 'input', '{"n": 7}'));
	END IF;
	RETURN '[]';
END \$\$;
CREATE PROCEDURE serve(seconds float8, lease interval) LANGUAGE plpgsql AS \$\$
DECLARE
	until timestamptz := clock_timestamp() + seconds * interval '1 second';
	batches durable.entity_batch[];
	turns durable.turn[];
BEGIN
	WHILE clock_timestamp() < until LOOP
		SELECT array_agg(b) INTO batches FROM durable.fetch_entities('app', pg_backend_pid()::text, 5, lease) b;
		COMMIT;
		IF batches IS NOT NULL THEN
			PERFORM durable.complete_entities(array_agg(b.token), array_agg(r.results), array_agg(r.state), array_agg(r.actions), on_stale => 'skip')
			FROM unnest(batches) b, run_batch(b) r;
			COMMIT;
		END IF;
		SELECT array_agg(t) INTO turns FROM durable.fetch_turns('app', pg_backend_pid()::text, 5, lease) t;
		COMMIT;
		IF turns IS NOT NULL THEN
			PERFORM durable.complete_turns(array_agg(t.token), array_agg(decide(t)), on_stale => 'skip') FROM unnest(turns) t;
			COMMIT;
		END IF;
		IF batches IS NULL AND turns IS NULL THEN
			PERFORM pg_sleep(0.02);
			COMMIT;
		END IF;
	END LOOP;
END \$\$;

-- An orchestration in SQL on the same accounts.
CREATE FUNCTION mover(n integer) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. $MOVES LOOP
		PERFORM durable.lock_entities('\@account\@' || (n + i) % $ACCOUNTS, '\@account\@' || (n + i + 4) % $ACCOUNTS);
		PERFORM durable.call_entity('account', ((n + i) % $ACCOUNTS)::text, 'add', '{"n": -5}'::jsonb);
		PERFORM durable.call_entity('account', ((n + i + 4) % $ACCOUNTS)::text, 'add', '{"n": 5}'::jsonb);
		PERFORM durable.unlock_entities();
		PERFORM durable.signal_entity('moves', 'all', 'count');
		BEGIN
			PERFORM durable.call_entity('account', ((n + i) % $ACCOUNTS)::text, 'fail', '{"n": 0}'::jsonb);
			RETURN 'not refused';
		EXCEPTION WHEN SQLSTATE 'WF010' THEN
			NULL;
		END;
	END LOOP;
	RETURN 'moved';
END \$\$;
-- Holds two locks until it is terminated.
CREATE FUNCTION grabber(n integer) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM durable.lock_entities('\@account\@' || n, '\@account\@' || n + 1);
	PERFORM durable.wait_for_external_event('never');
	RETURN 'done';
END \$\$;
SQL

# A worker that waits is woken by the operation.
my $waiting = $node->background_psql('postgres');
my $since = time;
$waiting->query_until(qr/waits/, "\\echo waits\nCALL durable.wait_for_work('app', '60 seconds', NULL, kind => 'entities');\n");
$node->safe_psql('postgres', q(SELECT durable.signal_entity('account', '0', 'add', '{"n": 0}'::jsonb)));
like($waiting->query('SELECT 1'), qr/t/, 'a worker that waits for entities is told that there is a batch');
cmp_ok(time - $since, '<', patience(10), 'at once');
$waiting->quit;

$node->safe_psql('postgres', "SELECT durable.start('Mover', NULL, 'e' || n) FROM generate_series(1, $MOVERS) n");
$node->safe_psql('postgres', "SELECT durable.start('mover', n, 's' || n) FROM generate_series(1, $MOVERS) n");
my $signals = 1;
foreach my $kill (1 .. $KILLS)
{
	$node->safe_psql('postgres', "SELECT durable.start('grabber', (random() * ($ACCOUNTS - 2))::integer, 'g$kill')");
	my @workers = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
	$_->query_until(qr/begins/, "\\echo begins\nCALL serve(20, '2 s');\n") foreach @workers;
	sleep(0.2 + rand(0.5));
	foreach my $n (1 .. 5)
	{
		$node->safe_psql('postgres', sprintf(q(SELECT durable.signal_entity('account', '%d', 'add', '{"n": 0}'::jsonb)), rand($ACCOUNTS)));
		$signals++;
	}
	$node->safe_psql('postgres', "SELECT durable.terminate('g$kill')");
	# Batches and turns are out, or completed and not applied.
	$node->safe_psql('postgres', q(SELECT count(*) FROM durable.fetch_entities('app', 'lost', 3, '1 s')));
	if ($kill % 3 == 0)
	{
		$node->stop('immediate');
		$node->start;
	}
	elsif ($kill % 3 == 1)
	{
		my ($pid) = process_pids($node, 'durable worker');
		kill_and_recover($node, 'KILL', $pid) if $pid;
	}
	else
	{
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL serve%'");
	}
	eval { $_->quit } foreach @workers;
}

my $left = 1;
for (my $round = 0; $left && $round < 60; $round++)
{
	$node->safe_psql('postgres', q(CALL serve(2, '2 s')));
	$left = $node->safe_psql('postgres', q(SELECT (SELECT count(*) FROM durable.instances WHERE runtime_status NOT IN ('Completed', 'Terminated'))
		+ (SELECT count(*) FROM durable.inbox) + (SELECT count(*) FROM durable.entity_operation) + (SELECT count(*) FROM durable.queued_task)));
}
is($left, '0', 'everything has come to its end')
  or diag($node->safe_psql('postgres', 'SELECT instance_id, runtime_status, waiting_on FROM durable.instances WHERE completed_time IS NULL; SELECT * FROM durable.entities; TABLE durable.inbox; TABLE durable.entity_operation; TABLE durable.queued_task'));
is($node->safe_psql('postgres', q(SELECT output, count(*) FROM durable.instances WHERE runtime_status = 'Completed' GROUP BY 1)), qq("moved"|) . 2 * $MOVERS, 'all moves were made');
is($node->safe_psql('postgres', q(SELECT sum((state_text::jsonb ->> 'balance')::integer), count(*) FROM durable.entities WHERE name = 'account')), 1000 * $ACCOUNTS . "|$ACCOUNTS", 'no money has come or gone');
is($node->safe_psql('postgres', q(SELECT sum((state_text::jsonb ->> 'signals')::integer) FROM durable.entities WHERE name = 'account')), $signals + $MOVERS * $MOVES, 'each signal was applied once');
is($node->safe_psql('postgres', q(SELECT durable.entity_state('moves', 'all'))), 2 * $MOVERS * $MOVES, 'and so was each to an entity in SQL');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE locked_by IS NOT NULL OR parked IS NOT NULL OR is_out'), '0', 'no lock, no waiting operation and no batch is left');

# A dump has a batch that is out and what waits behind it.
$node->safe_psql('postgres', q(SELECT durable.signal_entity('account', '0', 'add', '{"n": 1}'::jsonb)));
ok($node->poll_query_until('postgres', "SELECT ready = 1 FROM durable.queues WHERE name = 'app'"), 'a batch is ready');
is($node->safe_psql('postgres', q(SELECT count(*) FROM durable.fetch_entities('app', 'lost', 1, '2 s'))), '1', 'and out');
$node->safe_psql('postgres', q(SELECT durable.signal_entity('account', '0', 'add', '{"n": 1}'::jsonb)));
my $file = PostgreSQL::Test::Utils::tempdir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $file ], 'pg_restore');
my $before = $node->safe_psql('copy', q(SELECT state_text::jsonb ->> 'balance' FROM durable.entities WHERE entity_id = '@account@0'));
$node->safe_psql('copy', "SELECT durable.adopt()");
$node->safe_psql('copy', q(CALL serve(5, '2 s')));
is($node->safe_psql('copy', q(SELECT state_text::jsonb ->> 'balance' FROM durable.entities WHERE entity_id = '@account@0')), $before + 2, 'in the copy both are run');
$node->stop('fast');
done_testing();
