# Ids that open and prepared transactions hold: nobody's workers wait for them.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "durable.max_workers = 4\nmax_prepared_transactions = 4\n");
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ann LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE eve LOGIN;
SELECT durable.grant_usage('ann'), durable.grant_usage('bob'), durable.grant_usage('eve');
CREATE FUNCTION monitor(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION calls(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN durable.call_sub_orchestrator('monitor', n, 'the-monitor')::int;
EXCEPTION WHEN SQLSTATE 'WF002' THEN
	RETURN 0;
END $$;
CREATE FUNCTION detaches(n int) RETURNS text LANGUAGE sql AS $$ SELECT durable.start_orchestration('monitor', n, 'the-monitor') $$;
SQL

# as(role, SQL)
sub as
{
	my ($role, $sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

# goes_on(role): a workflow with a child of its own ends
sub goes_on
{
	my ($role, $what) = @_;

	as($role, "SELECT durable.start('monitor', 7, 'trivial')");
	is(as($role, "SELECT output FROM durable.wait('trivial', '60 s')"), '7', "$role: $what");
	as($role, "SELECT durable.purge('trivial')");
	return;
}

# --- a session of each role holds the id, and of a role that only guesses it -----------------------------------------------------

my %holders;
foreach my $role (qw(ann bob eve))
{
	$holders{$role} = $node->background_psql('postgres', on_error_die => 1, extra_params => [ '-U', $role ]);
	$holders{$role}->query_safe("BEGIN; SELECT durable.start('monitor', 0, 'the-monitor')");
}
as($_, "SELECT durable.start('calls', n) FROM generate_series(1, 3) n; SELECT durable.start('detaches', 4)") foreach qw(ann bob);
ok($node->poll_query_until('postgres', "SELECT count(*) = 8 FROM durable.task_queue"), 'eight starts are put off');
goes_on($_, 'others go on') foreach qw(ann bob eve);
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'durable%' AND wait_event_type = 'Lock'"), 0,
	'no process of the engine waits for a lock');
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.instances WHERE runtime_status = 'Running'"), 6, 'six wait for their children');

# Ann's is taken, Bob's becomes free.
$holders{ann}->query_safe('COMMIT');
$holders{bob}->query_safe('ROLLBACK');
$holders{eve}->query_safe('COMMIT');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.task_queue"), 'all of them are decided');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instances WHERE runtime_status NOT IN ('Completed')"), 'all have ended');
is(as('ann', "SELECT string_agg(output::text, ' ') FROM durable.instances WHERE name = 'public.calls'"), '0 0 0', 'three times taken');
is(as('bob', "SELECT count(*) FROM durable.instances WHERE instance_id = 'the-monitor' AND output::int > 0"), '1', 'one of four got it');
is($node->safe_psql('postgres', "SELECT count(*) FROM durable.instances WHERE instance_id = 'the-monitor'"), 3, 'each role has its own');

# --- a prepared purge survives a crash of the server -----------------------------------------------------------------------------

as('ann', "BEGIN; SELECT durable.purge('the-monitor'); PREPARE TRANSACTION 'purge'");
as('ann', "SELECT durable.start('calls', 5, 'wants it')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.task_queue"), 'put off');
$node->stop('immediate');
$node->start;
goes_on('ann', 'others go on after a crash');
is(as('ann', "SELECT runtime_status FROM durable.status('wants it')"), 'Running', 'it waits');
as('ann', "COMMIT PREPARED 'purge'");
is(as('ann', "SELECT output FROM durable.wait('wants it', '60 s')"), '5', 'and gets the id');

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:/, 'nothing crashed');
$_->quit foreach values %holders;
$node->stop('fast');
done_testing();
