# The programs in examples/, each read as it is, with the virtual clock for what takes days.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
chomp(my $libraries = `${\($ENV{PG_CONFIG} // 'pg_config')} --pkglibdir`);
my $has_cron = -e "$libraries/pg_cron.so";

my $node = new_node('main', conf => <<'CONF' . ($has_cron ? "shared_preload_libraries = 'durable, pg_cron'\ncron.database_name = 'postgres'\n" : ''));
durable.testing = on
durable.max_workers = 0
timezone = 'UTC'
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron') if $has_cron;

my %read;

# Reads examples/NAME.sql, and runs what it has started as far as it gets.
sub example
{
	my ($name) = @_;
	my $text = slurp_file("$top/examples/$name.sql");

	$read{$name} = 1;
	cmp_ok(($text =~ tr/\n//), '<', 60, "$name is short");
	$node->safe_psql('postgres', $text);
	run();
	return;
}

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub run { return sql('CALL durable.drain()'); }

sub later
{
	my ($interval) = @_;

	sql("SELECT durable.advance_clock('$interval')");
	run();
	return;
}

sub output { return sql("SELECT coalesce(output::text, runtime_status) FROM durable.instances WHERE instance_id = '$_[0]'"); }

example('order_saga');
later('1 min');
is(output('order-1'), '"placed"', 'an order is placed');
is(sql("SELECT runtime_status, failure ->> 'message' FROM durable.status('order-2')"), 'Failed|the card of Bob was declined', 'one cannot be paid');
is(sql("SELECT string_agg(entry, ', ' ORDER BY n) FROM orders.journal WHERE customer = 'Ann'"), 'reserved, label printed, charged', 'each step once');
is(sql("SELECT string_agg(entry, ', ' ORDER BY n) FROM orders.journal WHERE customer = 'Bob'"), 'reserved, label printed, label voided, released', 'undone in reverse order');

sql("SELECT durable.terminate('order-3', 'canceled by the customer')");
run();
is(sql("SELECT string_agg(entry, ', ' ORDER BY n) FROM orders.journal WHERE customer = 'Cat'"), 'reserved, label printed, charged, label voided, released', 'and so is an order that is terminated');
is(sql("SELECT runtime_status, output FROM durable.status((SELECT failure ->> 'compensation' FROM durable.status('order-3')))"), 'Completed|2', 'the instance that undoes it is in its status');

example('approval');
later('1 day 1 s');
is(sql("SELECT count(*) FROM approval.mail WHERE recipient = 'ann'"), 4, 'a reminder for each');
sql(q(SELECT durable.raise_event('expense-1', 'decision', '{"approved": true, "by": "Pat"}'::jsonb)));
run();
is(output('expense-1'), '{"by": "Pat", "approved": true}', 'approved');
later('1 day 1 s') foreach 1 .. 2;
is(sql("SELECT custom_status ->> 'waits_for' FROM durable.instances WHERE instance_id = 'expense-2'"), 'max', 'escalated');
later('1 day 1 s');
is(output('expense-2'), '{"by": "nobody in four days", "approved": false}', 'and given up');

example('batch');
later('1 s') foreach 1 .. 3;
my $done = sql("SELECT custom_status ->> 'done' FROM durable.instances WHERE instance_id = 'recalculation'");
cmp_ok($done, '>=', 2000, 'progress is seen');
sql("SELECT durable.suspend('recalculation', 'peak hours')");
later('1 s') foreach 1 .. 3;
is(sql('SELECT max(id) FROM batch.account WHERE interest IS NOT NULL'), $done, 'nothing while it is suspended');
sql("SELECT durable.resume('recalculation')");
later('1 s') foreach 1 .. 25;
is(output('recalculation'), '10000', 'all of it');
is(sql('SELECT count(*), sum(interest) FROM batch.account WHERE interest = balance * 0.01'), '10000|500050.00', 'each row');

example('polling');
later('1 s');
later('2 s');
sql("UPDATE polling.job SET state = 'done' WHERE id = 'export'");
later('4 s');
is(output('wait-export'), '{"looks": 4, "state": "done"}', 'at the fourth look');
later('1 min') foreach 1 .. 62;
is(sql("SELECT failure ->> 'message' FROM durable.instances WHERE instance_id = 'wait-import'"), 'job import has not ended within an hour', 'or an error');
cmp_ok(sql("SELECT count(*) FROM durable.history('wait-import') WHERE event_type = 'TaskScheduled'"), '<', 70, 'without many looks');

example('agent');
is(output('agent-3'), '{"answer": "the budget does not suffice", "budget_left": 17}', 'the budget ends it');
is(sql("SELECT custom_status -> 'asks_for' ->> 'action' FROM durable.instances WHERE instance_id = 'agent-1'"), 'buy', 'it asks');
sql("SELECT durable.raise_event('agent-1', 'consent', true)");
run();
is(output('agent-1'), '{"answer": "a chair: done in 3 steps", "budget_left": 7}', 'and goes on');
later('1 day 1 s');
is(output('agent-2'), '{"answer": "nobody consented", "budget_left": 57}', 'or not');
is(sql("SELECT count(*) FROM agent.deed WHERE action = 'buy'"), 1, 'one purchase');

example('data_wait');
is(output('goods-1'), '"reserved"', 'goods that are there are reserved at once');
is(sql("SELECT string_agg(custom_status ->> 'waits_for', ', ') FROM durable.instances WHERE instance_id IN ('goods-2', 'goods-3') AND runtime_status = 'Running'"), 'chair, chair', 'others are waited for');
sql("UPDATE warehouse.stock SET pieces = pieces + 4 WHERE item = 'chair'");
run();
is(output('goods-2'), '"reserved"', 'a delivery wakes the order that it suffices for');
is(sql('SELECT pieces FROM warehouse.stock WHERE item = $$chair$$'), 1, 'the goods are taken');
later('31 days');
is(output('goods-3'), '"not available within 30 days"', 'the other one gives up');

SKIP:
{
	$read{nightly} = 1;
	skip 'pg_cron is not installed for this PostgreSQL', 3 unless $has_cron;
	example('nightly');
	sql('UPDATE cron.job SET active = false');
	my $night = sql("SELECT next_time FROM durable.schedules");
	sql("INSERT INTO nightly.sale SELECT ('$night'::timestamptz AT TIME ZONE 'Europe/Berlin')::date - 1, n FROM generate_series(1, 4) n");
	sql("SELECT durable.advance_clock('$night'::timestamptz - durable.clock() + interval '5 hours')");
	is(sql("SELECT durable.tick_schedule('close-day')"), 1, 'one run, late');
	run();
	is(sql("SELECT amount FROM nightly.total WHERE day = ('$night'::timestamptz AT TIME ZONE 'Europe/Berlin')::date - 1"), 10, 'for the right day');
}

ok($read{$_}, "$_ is tested") foreach map { s{.*/(.*)\.sql$}{$1}r } glob "$top/examples/*.sql";
$node->stop;
done_testing();
