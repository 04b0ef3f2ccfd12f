# Fifty orchestrations work on a hundred entities while workers are killed again and again, and so is the whole server.
# They move money between two accounts in critical sections, some of which sleep, and send numbered signals; a client sends
# signals, too; others lock entities and are terminated in the middle. In the end no money has come or gone, each
# signal that was committed has been applied once and in the order of its sender, no two critical sections have met, and
# no lock and no waiting operation is left.
#
# There are 100 kills in make chaos, and a quarter of them in make check; CHAOS_KILLS is another number.

use strict;
use warnings;
use ChaosTest;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $KILLS = $ENV{CHAOS_KILLS} // 25 * ($ENV{CHAOS_TIMES} // 1);
my $MOVERS = 50;
my $ACCOUNTS = 80;
my $LOGS = 20;

chaos_seed();
my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 4
durable.max_crashes = 1000
deadlock_timeout = 20ms
shared_buffers = 64MB
log_line_prefix = '%m [%p] %b '
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<SQL);
CREATE ROLE chaos_ann LOGIN;
SELECT durable.grant_usage('chaos_ann');
CREATE SCHEMA chaos AUTHORIZATION chaos_ann;
SET ROLE chaos_ann;
CREATE TABLE chaos.applied (n bigint GENERATED ALWAYS AS IDENTITY, log text, sender text, seq integer);
CREATE TABLE chaos.sent (log text, seq integer);
CREATE TABLE chaos.wrong (what text);

-- {balance, busy}: busy is the instance in whose critical section it is.
CREATE FUNCTION chaos.account(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS \$\$
BEGIN
	state := coalesce(state, '{"balance": 1000}');
	CASE operation
		WHEN 'add' THEN state := state || jsonb_build_object('balance', (state->>'balance')::integer + input::integer);
		WHEN 'get' THEN NULL;
		WHEN 'enter' THEN
			IF state ? 'busy' AND state->'busy' <> input THEN
				INSERT INTO chaos.wrong VALUES (format('%s enters where %s is', input, state->'busy'));
			END IF;
			state := state || jsonb_build_object('busy', input);
		WHEN 'leave' THEN
			IF state->'busy' IS DISTINCT FROM input THEN
				INSERT INTO chaos.wrong VALUES (format('%s leaves where %s is', input, state->'busy'));
			END IF;
			state := state - 'busy';
	END CASE;
	RETURN (state, state->'balance')::durable.entity_result;
END \$\$;

-- The last number of each sender; and what it has done, in a table.
CREATE FUNCTION chaos.log(state jsonb, operation text, input jsonb) RETURNS durable.entity_result LANGUAGE plpgsql AS \$\$
BEGIN
	IF coalesce((state->>(input->>'sender'))::integer, 0) >= (input->>'seq')::integer THEN
		INSERT INTO chaos.wrong VALUES (format('%s after %s', input, state));
	END IF;
	INSERT INTO chaos.applied (log, sender, seq) VALUES (input->>'log', input->>'sender', (input->>'seq')::integer);
	RETURN (coalesce(state, '{}') || jsonb_build_object(input->>'sender', input->'seq'), state)::durable.entity_result;
END \$\$;
SELECT durable.register_entity('account', 'chaos.account(jsonb,text,jsonb)');
SELECT durable.register_entity('log', 'chaos.log(jsonb,text,jsonb)');

CREATE FUNCTION chaos.move(a text, b text, naps boolean) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	me text := durable.instance_id();
BEGIN
	PERFORM durable.lock_entities('\@account\@' || a, '\@account\@' || b);
	PERFORM durable.call_entity('account', a, 'enter', me);
	PERFORM durable.call_entity('account', b, 'enter', me);
	IF naps THEN
		PERFORM durable.sleep('20 ms');
	END IF;
	PERFORM durable.call_entity('account', a, 'add', -7);
	IF naps THEN
		PERFORM durable.sleep('20 ms');
	END IF;
	PERFORM durable.call_entity('account', b, 'add', 7);
	IF a <> b THEN
		PERFORM durable.call_entity('account', b, 'leave', me);
	END IF;
	PERFORM durable.call_entity('account', a, 'leave', me);
	PERFORM durable.unlock_entities();
END \$\$;

CREATE FUNCTION chaos.mover(seq integer) RETURNS integer LANGUAGE plpgsql AS \$\$
DECLARE
	stop durable.task := durable.external_event('stop');
	nap durable.task;
	what float8;
	log text;
BEGIN
	FOR i IN 1 .. 20 LOOP
		what := durable.random();
		IF what < 0.3 THEN
			PERFORM chaos.move((durable.random() * $ACCOUNTS)::integer::text, (durable.random() * $ACCOUNTS)::integer || '', what < 0.15);
		ELSIF what < 0.6 THEN
			seq := seq + 1;
			log := (durable.random() * $LOGS)::integer::text;
			PERFORM durable.signal_entity('log', log, 'write', jsonb_build_object('log', log, 'sender', durable.instance_id(), 'seq', seq));
		ELSIF what < 0.7 THEN
			PERFORM durable.call_entity('account', (durable.random() * $ACCOUNTS)::integer::text, 'get');
		ELSE
			nap := durable.create_timer(durable.now() + durable.random() * interval '100 ms');
			IF durable.when_any(stop, nap) = stop THEN
				RETURN seq;
			END IF;
		END IF;
	END LOOP;
	-- Some end their execution in the middle of a critical section.
	IF durable.random() < 0.3 THEN
		PERFORM durable.lock_entities('\@account\@1', '\@account\@2');
	END IF;
	PERFORM durable.continue_as_new(seq);
	RETURN NULL;
END \$\$;

CREATE FUNCTION chaos.grabber(n integer) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. 20 LOOP
		PERFORM durable.lock_entities('\@account\@' || n, '\@account\@' || n + 1, '\@account\@' || n + 2);
		PERFORM durable.sleep('50 ms');
		PERFORM durable.unlock_entities();
	END LOOP;
	RETURN 'done';
END \$\$;
SELECT count(durable.start('chaos.mover', 0, 'mover ' || i)) FROM generate_series(1, $MOVERS) i;
SQL

my $start = time;
my $seq = 0;
my $grabbers = 0;
my %killed;

foreach my $kill (1 .. $KILLS)
{
	my $before = crashes();
	my $until = time + 0.1 + rand(0.6);

	while (time < $until)
	{
		$seq++;
		$grabbers++;
		my $other = $grabbers - 1 - int(rand(3));
		my $number = int(rand($ACCOUNTS - 3));
		my $log = int(rand($LOGS));
		$node->psql('postgres', <<SQL, extra_params => [ '-U', 'chaos_ann' ], on_error_stop => 0);
BEGIN;
INSERT INTO chaos.sent VALUES ('$log', $seq);
SELECT durable.signal_entity('log', '$log', 'write', jsonb_build_object('log', '$log', 'sender', 'client', 'seq', $seq));
COMMIT;
SELECT durable.start('chaos.grabber', $number, 'grabber $grabbers');
SELECT durable.terminate('grabber $other');
SQL
		sleep(0.02);
	}
	if ($kill % 10 == 0)
	{
		$node->stop('immediate');
		$node->start;
		next;
	}
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while (crashes() == $before && time < $deadline)
	{
		kill_process($node, 'KILL', qr/durable worker/, \%killed);
		for (my $wait = 0; $wait < 100 && crashes() == $before; $wait++) { sleep(0.02); }
	}
}
note(sprintf '%d kills in %.1f s', $KILLS, time - $start);
wait_for_server($node);
$node->safe_psql('postgres', "SELECT durable.raise_event('mover ' || i, 'stop') FROM generate_series(1, $MOVERS) i");
wait_until_ended($node, 'postgres', 'everything has ended');
note(sprintf 'all of it in %.1f s', time - $start);

is($node->safe_psql('postgres', 'TABLE chaos.wrong'), '', 'no operation has seen what it must not see');
is($node->safe_psql('postgres', "SELECT sum((state->>'balance')::integer) = 1000 * count(*) FROM durable.entities WHERE name = 'account' AND state IS NOT NULL"),
	't', 'no money has come or gone');
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.entities WHERE state ? 'busy'"), '0', 'nobody is in a critical section');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE locked_by IS NOT NULL'), '0', 'no lock is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity_operation'), '0', 'no operation is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM durable.entity WHERE parked IS NOT NULL OR problem IS NOT NULL OR failure IS NOT NULL'), '0', 'and none is counted');
is($node->safe_psql('postgres', <<'SQL'), '', 'each signal of the client that was committed was applied once');
SELECT coalesce(s.log, a.log), s.seq, a.seq FROM chaos.sent s FULL JOIN (SELECT * FROM chaos.applied WHERE sender = 'client') a ON (a.log, a.seq) = (s.log, s.seq)
WHERE s.seq IS NULL OR a.seq IS NULL LIMIT 10
SQL
is($node->safe_psql('postgres', <<'SQL'), '', 'nothing was applied twice');
SELECT log, sender, seq FROM chaos.applied GROUP BY 1, 2, 3 HAVING count(*) > 1 LIMIT 10
SQL
is($node->safe_psql('postgres', <<'SQL'), '', 'the signals of each orchestration were all applied');
SELECT i.instance_id, i.output, count(a.seq), max(a.seq) FROM durable.instances i LEFT JOIN chaos.applied a ON a.sender = i.instance_id
WHERE i.instance_id LIKE 'mover%' GROUP BY 1, 2 HAVING count(a.seq) <> i.output::integer OR i.output IS NULL
SQL
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM chaos.applied WHERE sender LIKE 'mover%'"), '>', $KILLS * 5, 'there were many signals');
note($node->safe_psql('postgres', "SELECT name, runtime_status, count(*), sum(turns) AS turns FROM durable.instances GROUP BY 1, 2 ORDER BY 1, 2"));
note($node->safe_psql('postgres', "SELECT count(*), count(*) FILTER (WHERE sender = 'client') FROM chaos.applied"));
chaos_log_is_clean($node, 'nothing but that in the log');
$node->stop('fast');
done_testing();

sub crashes
{
	my $crashes = () = slurp_file($node->logfile) =~ /terminated by signal 9/g;
	return $crashes;
}
