# Owners that wait for a worker get one in the order in which they began to wait, a worker that cannot leave keeps no other
# one from leaving, and what a lost worker had locked is seen by the others at once.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $ROLES = 16;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 2
durable.turn_timeout = 0
log_min_messages = debug1
durable.recheck_interval = '60 s'
durable.worker_idle_timeout = '10 min'
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION nap(n int) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN PERFORM pg_sleep(0.01); RETURN n; END \$\$;
CREATE FUNCTION napping(n int) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN RETURN durable.call_activity('nap', n); END \$\$;
CREATE FUNCTION stuck() RETURNS int LANGUAGE plpgsql SET durable.determinism = off AS \$\$ BEGIN PERFORM pg_sleep(600); RETURN 1; END \$\$;
CREATE FUNCTION quick(n int) RETURNS int LANGUAGE sql AS \$\$ SELECT n \$\$;
DO \$\$
BEGIN
	FOR i IN 1..$ROLES LOOP
		EXECUTE format('CREATE ROLE r%s LOGIN', i);
		PERFORM durable.grant_usage(format('r%s', i)::regrole);
	END LOOP;
END \$\$;
SQL

# as(role, sql): in a session of that role.
sub as
{
	my ($role, $sql) = @_;

	return $node->safe_psql('postgres', $sql, connstr => $node->connstr('postgres') . " user=$role");
}

# --- in order of age ------------------------------------------------------------------------------------------------------

# All of them begin to wait at the same time, and have more to do than fits into a time slice.
$node->safe_psql('postgres', 'SELECT durable.pause()');
as("r$_", "SELECT count(durable.start('napping', n)) FROM generate_series(1, 3000) n") foreach 1 .. $ROLES;
my $logged = -s $node->logfile;
$node->safe_psql('postgres', 'SELECT durable.unpause()');
my @order;
foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	@order = slurp_file($node->logfile, $logged) =~ /starting a worker of role (\d+)/g;
	last if @order >= 5 * $ROLES;
	sleep 0.1;
}
cmp_ok(scalar(@order), '>=', 5 * $ROLES, 'the roles get workers');

# Between two workers of a role all others get one: a role may be overtaken only by those that began to wait in the same moment.
my (%last, @distances);
foreach my $i (0 .. $#order)
{
	push @distances, $i - $last{$order[$i]} if defined $last{$order[$i]};
	$last{$order[$i]} = $i;
}
@distances = sort { $a <=> $b } @distances;
note("between two workers of a role: $distances[0] to $distances[-1] starts");
cmp_ok($distances[0], '>=', $ROLES - 3, 'no role gets a worker again and again while another one waits');
cmp_ok($distances[-1], '<=', $ROLES + 5, 'no role waits while others get workers twice');
$node->safe_psql('postgres', 'SELECT durable.pause()');
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.workers)");
$node->safe_psql('postgres', "SELECT count(durable.terminate(instance_id)) FROM durable.instances WHERE completed_time IS NULL");
$node->safe_psql('postgres', 'SELECT durable.unpause()');
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM durable.instance WHERE status IN ('P', 'R'))")
	or die 'the instances are not terminated';

# --- a worker that cannot leave -------------------------------------------------------------------------------------------

as('r1', "SELECT durable.start('stuck')");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'r1')") or die 'it does not run';
as('r2', "SELECT count(durable.start('napping', n)) FROM generate_series(1, 20000) n");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM durable.workers WHERE owner = 'r2'::regrole)") or die 'r2 has no worker';
my $limit = patience(5);
my $longest = 0;
foreach my $role (qw(r3 r4 r5))
{
	my $start = time;

	as($role, "CALL durable.run('quick', 1)");
	$longest = time - $start if time - $start > $longest;
}
cmp_ok($longest, '<', $limit, sprintf('a worker that is stuck in its batch does not keep others from leaving: %.1f s', $longest));
is($node->safe_psql('postgres', "SELECT bool_or(is_leaving) FROM durable.workers WHERE owner = 'r1'::regrole"), 't', 'it was asked to leave');
$node->stop('immediate');

# --- what a lost worker had locked ----------------------------------------------------------------------------------------

my $two = new_node('two', conf => <<'CONF');
durable.max_workers = 3
durable.recheck_interval = '60 s'
durable.worker_idle_timeout = '10 min'
CONF
$two->start;
create_durable($two, 'postgres');
$two->safe_psql('postgres', <<'SQL');
CREATE TABLE begun (pid int);
CREATE FUNCTION slow() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(CASE WHEN EXISTS (SELECT FROM begun) THEN 0 ELSE 600 END);
	RETURN 'done';
END $$;
CREATE FUNCTION slowly() RETURNS text LANGUAGE sql AS $$ SELECT durable.call_activity('slow') #>> '{}' $$;
CREATE FUNCTION quick(n int) RETURNS int LANGUAGE sql AS $$ SELECT n $$;
SELECT durable.register_activity('slow', 'slow()', execution => 'task');
SELECT durable.start('slowly', NULL, 'slow');
SQL
$two->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'durable worker' AND wait_event = 'PgSleep')") or die 'it does not run';
$two->safe_psql('postgres', "CALL durable.run('quick', 1)");
$two->poll_query_until('postgres', "SELECT count(*) = 1 FROM durable.workers WHERE state = 'idle'") or die 'there is no idle worker';
my ($idle, $busy) = split /\n/, $two->safe_psql('postgres', "SELECT pid FROM durable.workers ORDER BY state = 'idle' DESC");
$two->safe_psql('postgres', 'INSERT INTO begun VALUES (0)');
my $start = time;
kill TERM => $busy;
is($two->safe_psql('postgres', "SELECT output #>> '{}' FROM durable.wait('slow', '50 s')"), 'done', 'the task of a lost worker is done');
cmp_ok(time - $start, '<', patience(3), sprintf('and not only at the next look at everything: %.1f s', time - $start));
$two->stop('fast');
done_testing();
