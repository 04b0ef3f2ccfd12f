# Somebody who may use the engine, and wants more: to run as somebody else, to read or change what is others', to leave
# something behind for them. The stage is in test/lib/attacks.sql: the attacker's code writes down as whom it runs.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.max_workers = 6
durable.recheck_interval = 1s
CONF
$node->start;
create_durable($node, 'postgres');
my $lib = $INC{'DurableTest.pm'} =~ s{[^/]+$}{}r;
$node->safe_psql('postgres', slurp_file("$lib/attacks.sql"));

# as(role, SQL): output, or the SQLSTATE of the error.
sub as
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql", extra_params => [ '-U', $role ], on_error_stop => 1);

	return $err =~ /ERROR:  (\w{5})/ ? $1 : $err ? $err : $out;
}

my $number = 0;

# run_as(role, orchestration, input): its status and output.
sub run_as
{
	my ($role, $orchestration, $input) = @_;
	my $id = 'attack ' . ++$number;
	my $started = as($role, "SELECT durable.start('$orchestration', $input, '$id')");

	return $started if $started ne $id;
	return as($role, "SELECT runtime_status || ' ' || coalesce(output #>> '{}', failure ->> 'sqlstate') FROM durable.wait('$id', '10 min')");
}

# nobody_else(label): what the attacker's code has done there was done, and as mallory.
sub nobody_else
{
	my ($label) = @_;

	is($node->safe_psql('postgres', "SELECT DISTINCT who, session, superuser, reads_secret, reads_victor FROM loot WHERE label ~ '^$label'; DELETE FROM loot"),
		'mallory|mallory|off|f|f', "$label: as mallory and nobody else");
	return;
}

# --- code that runs later -------------------------------------------------------------------------------------------------

as('mallory', <<'SQL');
CREATE TABLE mallory.bait (n int);
CREATE TABLE mallory.bait2 (n int);
CREATE FUNCTION mallory.later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.report('deferred trigger ' || TG_TABLE_NAME);
	IF TG_TABLE_NAME = 'bait' THEN
		SET CONSTRAINTS ALL DEFERRED;
		INSERT INTO mallory.bait2 VALUES (1);
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mallory.bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.later();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mallory.bait2 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.later();
CREATE FUNCTION mallory.bite() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET CONSTRAINTS ALL DEFERRED;
	INSERT INTO mallory.bait VALUES (1);
	RETURN 'bitten';
END $$;
CREATE FUNCTION mallory.cursor() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE $c$ DECLARE held CURSOR WITH HOLD FOR SELECT public.report('held cursor') FROM generate_series(1, 3) $c$;
	PERFORM public.report('held cursor, declared');
	RETURN 'held';
END $$;
CREATE FUNCTION mallory.temporary() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE at_end (n int) ON COMMIT DELETE ROWS;
	CREATE FUNCTION pg_temp.later() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.report('trigger on a temporary table'); RETURN NULL; END $f$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON at_end DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.later();
	INSERT INTO at_end VALUES (1);
	RETURN 'temporary';
END $$;
SELECT durable.register_activity('bite in a task', 'mallory.bite()', execution => 'task');
SELECT durable.register_activity('bite inline', 'mallory.bite()', execution => 'inline');
SELECT durable.register_activity('hold in a task', 'mallory.cursor()', execution => 'task');
SELECT durable.register_activity('hold inline', 'mallory.cursor()', execution => 'inline');
SELECT durable.register_activity('temp in a task', 'mallory.temporary()', execution => 'task');
SELECT durable.register_activity('temp inline', 'mallory.temporary()', execution => 'inline');
SQL
foreach my $where ('in a task', 'inline')
{
	is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"bite $where\"}'"), 'Completed bitten', "deferred triggers, $where");
	nobody_else('deferred trigger');
	is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"hold $where\"}'"), 'Completed held', "a held cursor, $where");
	nobody_else('held cursor');
	is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"temp $where\"}'"), 'Completed temporary', "triggers on temporary tables, $where");
	nobody_else('trigger on a temporary table');
}

# --- becoming somebody else -------------------------------------------------------------------------------------------------

my @switches = ('SET ROLE postgres', 'SET ROLE victor', 'SET ROLE admin', 'SET SESSION AUTHORIZATION postgres', 'SET SESSION AUTHORIZATION victor',
	q{SELECT set_config('role', 'postgres', false)}, q{SELECT set_config('session_authorization', 'postgres', false)}, q{SELECT set_config('is_superuser', 'on', false)});
my @resets = ('RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE NONE', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET ALL');
as('mallory', <<'SQL');
CREATE FUNCTION mallory.become(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := public.attempt(statement);
BEGIN
	PERFORM public.report('become');
	RETURN result;
END $$;
CREATE FUNCTION mallory.become_in_turn(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN public.attempt(statement) || ', then ' || public.whoami() || ', then ' || (durable.call_activity('public.whoami') #>> '{}');
END $$;
SQL
foreach my $statement (@switches)
{
	my $quoted = $statement =~ s/'/''/gr;

	like(run_as('mallory', 'public.act', "jsonb_build_object('activity', 'mallory.become', 'input', '$quoted')"), qr/^Completed (42501|55P02)$/, "activity: $statement");
	like(run_as('mallory', 'mallory.become_in_turn', "'$quoted'"), qr/^Completed (42501|55P02|0A000), then mallory mallory off none, then mallory mallory off none$/, "orchestration: $statement");
	like(run_as('mallory', 'public.act_sql', "'$quoted'"), qr/^Failed (42501|55P02|0A000)$/, "call_sql: $statement");
}
foreach my $statement (@resets)
{
	is(run_as('mallory', 'public.act', "jsonb_build_object('activity', 'mallory.become', 'input', '$statement')"), 'Completed done as mallory mallory off none', "activity: $statement");
	is(run_as('mallory', 'mallory.become_in_turn', "'$statement'"),
		'Completed done as mallory mallory off none, then mallory mallory off none, then mallory mallory off none', "orchestration: $statement");
}
nobody_else('become');

# A member may become the group, for one call: the next one is itself again.
as('admin', <<'SQL');
CREATE FUNCTION admin.become_group() RETURNS text LANGUAGE plpgsql AS $$ BEGIN SET ROLE mallory; RETURN public.whoami(); END $$;
CREATE FUNCTION admin.twice() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (durable.call_activity('admin.become_group') #>> '{}') || ', then ' || (durable.call_activity('public.whoami') #>> '{}');
END $$;
SQL
is(run_as('admin', 'admin.twice', 'NULL'), 'Completed mallory admin off mallory, then admin admin off none', 'a role that was set lasts for one activity');

# Settings of the role itself, which are in force when a worker connects.
foreach my $setting ("role = 'victor'", "role = 'postgres'", "session_authorization = 'postgres'")
{
	my $set = as('mallory', "ALTER ROLE mallory SET $setting");

	as('mallory', "SELECT durable.start('public.act', jsonb '{\"activity\": \"public.report\", \"input\": \"settings\"}', 'settings $number')") if $set eq '';
	my $status = $set eq '' ? as('postgres', "SELECT runtime_status FROM durable.wait('settings $number', '2 s')") : 'refused';
	$node->safe_psql('postgres', 'ALTER ROLE mallory RESET ALL');
	like($status, qr/refused|Pending|Running|Completed/, "ALTER ROLE mallory SET $setting: $status");
	is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('settings $number', '5 min')"), 'Completed', 'it runs without') if $set eq '';
	$number++;
}
is($node->safe_psql('postgres', "SELECT count(*) FROM loot WHERE who <> 'mallory' OR session <> 'mallory'; DELETE FROM loot"), '0', 'never as the role that was set');

# --- objects that look like others --------------------------------------------------------------------------------------------

my @signatures = (
	[ 'now', '', 'timestamptz' ], [ 'nextval', 'regclass', 'bigint' ], [ 'unnest', 'anyarray', 'SETOF anyelement' ], [ 'pg_has_role', 'oid, oid, text', 'boolean' ],
	[ 'pg_has_role', 'oid, text', 'boolean' ], [ 'pg_has_role', 'name, text', 'boolean' ], [ 'jsonb_array_elements', 'jsonb', 'SETOF jsonb' ], [ 'concat_ws', 'text, VARIADIC "any"', 'text' ],
	[ 'generate_series', 'integer, integer', 'SETOF integer' ], [ 'format', 'text, VARIADIC "any"', 'text' ], [ 'count', '', 'bigint' ], [ 'current_setting', 'text', 'text' ],
	[ 'current_database', '', 'name' ], [ 'clock', '', 'timestamptz' ], [ 'start', 'text', 'text' ], [ 'aclexplode', 'aclitem[]', 'SETOF record' ]);
my $shadows = "CREATE SCHEMA shade;\n";
as('postgres', 'GRANT CREATE ON DATABASE postgres TO mallory');
foreach my $signature (@signatures)
{
	my ($name, $arguments, $result) = @$signature;

	next if $arguments =~ /VARIADIC "any"/;		# only in C
	$shadows .= "CREATE FUNCTION shade.$name($arguments) RETURNS $result LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM public.report('shadow $name'); RAISE EXCEPTION 'shadow'; END \$f\$;\n";
}
foreach my $type ('text', 'bigint', 'integer', 'name', 'oid', '"char"', 'boolean', 'timestamptz', 'jsonb', 'regrole', 'unknown')
{
	next if $type eq 'unknown';
	my $function = 'shade.eq_' . ($type =~ s/"//gr);

	$shadows .= "CREATE FUNCTION $function($type, $type) RETURNS boolean LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM public.report('shadow operator'); RETURN true; END \$f\$;\n";
	$shadows .= "CREATE OPERATOR shade.$_ (LEFTARG = $type, RIGHTARG = $type, FUNCTION = $function);\n" for '=', '<>', '>=', '<=', '<', '>';
}
$shadows .= <<'SQL';
GRANT USAGE ON SCHEMA shade TO PUBLIC;
CREATE FUNCTION shade.arrow(jsonb, text) RETURNS jsonb LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.report('shadow operator'); RETURN NULL; END $f$;
CREATE OPERATOR shade.-> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = shade.arrow);
CREATE TYPE mallory.bribe AS ENUM ('large');
CREATE FUNCTION mallory.bribe_to_json(mallory.bribe) RETURNS json LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.report('cast'); RETURN '"bribed"'; END $f$;
CREATE CAST (mallory.bribe AS json) WITH FUNCTION mallory.bribe_to_json(mallory.bribe);
CREATE FUNCTION mallory.bribe() RETURNS mallory.bribe LANGUAGE sql AS 'SELECT ''large''::mallory.bribe';
CREATE FUNCTION mallory.count_something() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.report('own search_path'); RETURN current_schemas(true)::text; END $f$;
CREATE DOMAIN mallory.guarded AS text CHECK (public.report('domain') OPERATOR(pg_catalog.<>) VALUE);
CREATE FUNCTION mallory.take(value mallory.guarded) RETURNS mallory.guarded LANGUAGE sql AS 'SELECT value';
ALTER ROLE mallory SET search_path = shade, pg_temp, pg_catalog, public;
SQL
is(as('mallory', $shadows), '', 'the attacker has functions, operators, casts and domains');
is(as('mallory', 'CREATE FUNCTION durable.start(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 $$'), '42501', 'but none in our schema');

# Whatever anybody calls with that search_path: the engine's own statements do not see it.
my @calls = (
	q{SELECT durable.start('public.patient', jsonb '1', 'ID')}, q{SELECT durable.raise_event('ID', 'Stop', jsonb '1')}, q{SELECT durable.status('ID') IS NULL}, q{SELECT durable.wait('ID', '300 ms') IS NULL},
	q{SELECT durable.history('ID') IS NULL}, q{TABLE durable.instances}, q{TABLE durable.waiting}, q{TABLE durable.buffered_events}, q{TABLE durable.workers}, q{TABLE durable.registrations},
	q{SELECT durable.doctor() IS NULL}, q{SELECT durable.suspend('ID')}, q{SELECT durable.resume('ID')}, q{SELECT durable.raise_event('ID', 'Go')}, q{SELECT durable.wait('ID', '10 s') IS NULL},
	q{SELECT durable.terminate('ID')}, q{SELECT durable.purge('ID')}, q{SELECT durable.purge_history('1 hour')}, q{SELECT durable.register_activity('call of ROLE', 'public.whoami()')},
	q{SELECT durable.unregister_activity('call of ROLE')}, q{CALL durable.run('public.act', '{"activity": "public.whoami"}'::jsonb)}, q{SELECT durable.version()}, q{SELECT durable.retry()});
foreach my $role ('mallory', 'victor', 'postgres')
{
	my $errors = '';

	foreach my $call (@calls, $role eq 'postgres' ? (q{SELECT durable.grant_usage('victor')}, q{SELECT durable.pause()}, q{SELECT durable.unpause()}, q{SELECT durable.adopt()}) : ())
	{
		my $sql = $call =~ s/ID/call of $role/gr =~ s/ROLE/$role/gr;
		my $result = as($role, "SET search_path TO shade, pg_temp, pg_catalog, public; $sql");

		$errors .= "$sql: $result\n" if $result =~ /^\w\w\w\w\w$/ && $result !~ /^WF004$/ && $result ne 'P0001';
		$errors .= "$sql: $result\n" if $result eq 'P0001' && $call =~ /start|raise|wait|doctor/;
	}
	is($errors, '', "$role can call everything with the attacker's schema first in the search_path");
}
is($node->safe_psql('postgres', "SELECT DISTINCT label, who FROM loot WHERE who <> 'mallory' AND label ~ 'shadow'; DELETE FROM loot"), '', 'and nothing of it runs the attacker\'s functions as them');

# A worker that is there already has the settings with which it has connected.
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'mallory'");
is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"mallory.count_something\"}'"), 'Completed {shade,pg_catalog,public}', 'with that search_path as setting of the role');
nobody_else('own search_path');
is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"mallory.bribe\"}'"), 'Completed bribed', 'a cast to json in the worker');
nobody_else('cast');
is(as('mallory', "SELECT 'done' FROM durable.start('public.patient', 'large'::mallory.bribe, 'bribe')"), 'done', 'a cast to json in the session');
nobody_else('cast');
is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"mallory.take\", \"input\": \"x\"}'"), 'Completed x', 'a domain with a check');
nobody_else('domain');
as('postgres', 'ALTER ROLE mallory RESET search_path; DROP SCHEMA shade CASCADE');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'mallory'");
$node->safe_psql('postgres', 'DELETE FROM loot');

# --- what is left in a session --------------------------------------------------------------------------------------------------

as('mallory', <<'SQL');
CREATE FUNCTION mallory.litter() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'mallory, public', false), set_config('work_mem', '77MB', false), set_config('mallory.note', 'left behind', false);
	SET TIME ZONE 'Pacific/Chatham';
	SET synchronous_commit = off;
	SET lock_timeout = 1;
	CREATE TEMP TABLE left_behind AS SELECT 1 AS n;
	PERFORM pg_advisory_lock(4711);
	EXECUTE 'PREPARE left_behind AS SELECT 1';
	RETURN pg_backend_pid()::text;
END $$;
SQL
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION look_around() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN concat_ws(', ', current_setting('search_path'), current_setting('work_mem'), nullif(current_setting('mallory.note', true), ''), current_setting('TimeZone'),
		current_setting('synchronous_commit'), current_setting('lock_timeout'), to_regclass('left_behind')::text, (SELECT string_agg(name, ' ') FROM pg_prepared_statements),
		(SELECT string_agg('advisory lock ' || objid, ' ') FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()));
END $$;
CREATE FUNCTION litter_and_look(how text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.call_activity('litter ' || how);
	RETURN durable.call_activity('look ' || how) #>> '{}';
END $$;
SELECT durable.register_activity('look in a task', 'look_around()', execution => 'task'), durable.register_activity('look inline', 'look_around()', execution => 'inline');
SQL
as('mallory', "SELECT durable.register_activity('litter in a task', 'mallory.litter()', execution => 'task'), durable.register_activity('litter inline', 'mallory.litter()', execution => 'inline')");
my $clean = run_as('victor', 'public.act', "jsonb '{\"activity\": \"look in a task\"}'");
like($clean, qr/^Completed "\$user", public, 4MB, [\w\/]+, on, 0$/, 'a session as it should be');
foreach my $where ('in a task', 'inline')
{
	is(run_as('mallory', 'public.litter_and_look', "'$where'"), $clean, "what an activity leaves behind is gone at the next one, $where");
	is(run_as('victor', 'public.act', "jsonb '{\"activity\": \"look $where\"}'"), $clean, 'and at others\', too');
}

# --- tables -----------------------------------------------------------------------------------------------------------------------

my @relations = split /\n/, $node->safe_psql('postgres', "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'durable'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1");
cmp_ok(scalar(@relations), '>=', 8, 'there are tables to attack');
foreach my $role ('mallory', 'bypasser', 'watcher')
{
	my %result;

	foreach my $table (@relations)
	{
		foreach my $statement ("SELECT * FROM $table", "INSERT INTO $table DEFAULT VALUES", "INSERT INTO $table SELECT * FROM $table", "DELETE FROM $table", "TRUNCATE $table", "BEGIN; LOCK TABLE $table IN ACCESS SHARE MODE",
			"COPY $table FROM PROGRAM 'true'", "COPY $table TO STDOUT", "ALTER TABLE $table ADD x int", "ALTER TABLE $table DISABLE TRIGGER ALL", "ALTER TABLE $table OWNER TO $role", "CREATE INDEX ON $table ((1))",
			"CREATE TRIGGER t BEFORE INSERT ON $table FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "CREATE RULE r AS ON INSERT TO $table DO INSTEAD NOTHING",
			"CREATE POLICY p ON $table", "DROP TABLE $table", "ALTER TABLE $table ENABLE ROW LEVEL SECURITY", "COMMENT ON TABLE $table IS 'mine'", "VACUUM FULL $table",
			$table =~ /registr/ ? () : "SET row_security = off; SELECT count(*) FROM $table")
		{
			my $outcome = as($role, $statement);

			# Who may not vacuum is told so with a warning.
			push @{ $result{ $statement =~ /^VACUUM/ && $outcome =~ /^WARNING|^psql.*WARNING|^01000|01007/ ? '42501' : $outcome } }, $statement;
		}
	}
	is(join(' ', sort keys %result), '42501', "$role can do nothing to a table of the engine")
	  or diag(explain(\%result));
	is(as($role, "UPDATE durable.instance SET owner = 'postgres'"), '42501', "$role cannot change an owner");
	is(as($role, "UPDATE durable.instances SET owner = 'postgres'"), '42501', 'not through the view either');
	is(as($role, "SELECT nextval('durable.instance_key_seq')"), '42501', 'nor use sequences');
	is(as($role, 'CREATE TABLE durable.mine (n int)'), '42501', 'nor make a table beside them');
	is(as($role, 'ALTER EXTENSION durable ADD FUNCTION public.whoami()'), '42501', 'nor a member of the extension');
}

# --- what is others' ------------------------------------------------------------------------------------------------------------------

is(as('victor', "SELECT durable.start('public.patient', jsonb '\"private input\"', 'victors', tags => '{\"private\": \"tag\"}')"), 'victors', 'victor has a workflow');
is(as('victor', "SELECT durable.start('public.patient', jsonb '\"private input\"', 'victors, ended')"), 'victors, ended', 'and another one');
is(as('victor', "SELECT durable.raise_event('victors, ended', 'Go', jsonb '\"private output\"'); SELECT runtime_status FROM durable.wait('victors, ended')"), "\nCompleted", 'that has ended');
is(as('victor', "SELECT durable.raise_event('victors', 'Private', jsonb '\"private event\"')"), '', 'and one that waits');
ok($node->poll_query_until('postgres', "SELECT runtime_status = 'Running' AND custom_status = '\"private status\"' FROM durable.status('victors')"), 'it has said how it is');
foreach my $role ('mallory', 'admin', 'bypasser')
{
	is(as($role, "SELECT count(*) FROM durable.$_ WHERE instance_id ~ 'victor'"), '0', "$role sees nothing of it in $_") for 'instances', 'waiting', 'buffered_events', 'workers';
	unlike(as($role, 'SELECT string_agg(d::text, $$ $$) FROM durable.doctor() d'), qr/victors/, 'nor from the doctor');
	is(as($role, "SELECT durable.$_"), 'WF003', "$role: $_ does not find it")
	  for "status('victors')", "wait('victors', '0')", "history('victors')", "raise_event('victors', 'Go')", "terminate('victors')", "suspend('victors')", "resume('victors')", "purge('victors, ended')";
	is(as($role, "BEGIN; SELECT durable.start('public.patient', NULL, 'victors, ended', on_conflict => '$_'); ROLLBACK"), 'victors, ended', "$role has ids of its own, $_") for 'error', 'return', 'replace_finished';
	is(as('victor', "SELECT runtime_status FROM durable.status('victors, ended')"), 'Completed', 'and victor has his');
	is(as($role, "SELECT durable.$_()"), '42501', "$role may not $_") for 'pause', 'unpause', 'adopt';
	is(as($role, "SELECT durable.grant_usage('$role')"), '42501', "$role may not let anybody in");
}
as('mallory', <<'SQL');
CREATE FUNCTION mallory.meddle() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := '';
BEGIN
	PERFORM durable.send_event('victors', 'Go', '"from mallory"'::jsonb);
	PERFORM durable.start_orchestration('public.patient', '"from mallory"'::jsonb, 'victors');
	BEGIN
		PERFORM durable.call_sub_orchestrator('public.patient', '"from mallory"'::jsonb, 'victors');
	EXCEPTION WHEN SQLSTATE 'WF002' THEN
		result := SQLSTATE;
	END;
	RETURN result;
END $$;
CREATE FUNCTION mallory.meddle_by_activity() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM durable.terminate('victors');
	RETURN 'terminated';
END $$;
SQL
is(run_as('mallory', 'public.act', "jsonb '{\"activity\": \"mallory.meddle_by_activity\"}'"), 'Failed WF003', 'an activity cannot terminate what is victor\'s');
is(run_as('mallory', 'mallory.meddle', 'NULL'), 'Completed WF002', 'nor can an orchestration start, send to or call it');
is(as('mallory', "SELECT input FROM durable.status('victors')"), '"from mallory"', 'an instance that it has started under that id is its own');
is(as('mallory', "SELECT durable.purge('victors')"), '', 'and is purged alone');
is(as('victor', "SELECT runtime_status, input, custom_status FROM durable.status('victors')"), 'Running|"private input"|"private status"', 'it is as it was');

# pg_monitor sees that it is there.
is(as('watcher', "SELECT runtime_status, input, output, failure, custom_status, tags FROM durable.instances WHERE instance_id = 'victors'"), 'Running|||||', 'a member of pg_monitor sees no payloads in the view');
is(as('watcher', "SELECT runtime_status, input, output, failure, custom_status, tags FROM durable.status('victors, ended')"), 'Completed|||||', 'nor in the status');
unlike(as('watcher', "SELECT string_agg(h::text, ' ') FROM durable.history('victors') h"), qr/private (?!status)/i, 'nor in the history');
unlike(as('watcher', "SELECT string_agg(w::text, ' ') FROM durable.waiting w") . as('watcher', "SELECT string_agg(b::text, ' ') FROM durable.buffered_events b WHERE event <> 'Private'"), qr/private/, 'nor in what it waits for');
is(as('watcher', "SELECT durable.raise_event('victors', 'Go')"), '42501', 'and raises no events');

# --- names that others use ----------------------------------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION pay(amount int) RETURNS text LANGUAGE sql AS $$ SELECT 'paid by ' || current_user $$;
CREATE FUNCTION buy(amount int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_activity('pay', amount) #>> '{}'; END $$;
CREATE FUNCTION shop(amount int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN durable.call_sub_orchestrator('buy', amount) #>> '{}'; END $$;
SQL
as('mallory', <<'SQL');
CREATE FUNCTION mallory.pay(amount int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.report('pay'); RETURN 'stolen'; END $$;
CREATE FUNCTION mallory.buy(amount int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'stolen ' || public.whoami(); END $$;
SELECT durable.register_activity(n, 'mallory.pay(int)'), durable.register_orchestration(n, 'mallory.buy(int)', retention => '0 s')
FROM unnest('{pay,public.pay,buy,public.buy,shop,public.shop,"pay(int)"}'::text[]) n;
SQL
foreach my $role ('victor', 'admin', 'postgres')
{
	is(run_as($role, $_, '1'), "Completed paid by $role", "$role: $_ is what it was") for 'buy', 'public.buy', 'shop', 'public.shop', 'buy(int)';
}
is(run_as('mallory', 'buy', '1'), 'Completed stolen mallory mallory off none', 'for the attacker himself it is what he made it');
is($node->safe_psql('postgres', "SELECT count(*) FROM loot WHERE who <> 'mallory'"), '0', 'nobody has run his activity');

# How long finished instances are kept is for their owners to say. When the attacker's are gone, all have been looked at.
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM durable.instance WHERE owner = 'mallory'::regrole AND name IN ('buy', 'shop') AND status = 'C'"), 'the attacker\'s instances are not kept');
is($node->safe_psql('postgres', "SELECT owner, count(*) FROM durable.instance WHERE owner <> 'mallory'::regrole AND name ~ 'buy|shop' AND parent_key IS NULL GROUP BY 1 ORDER BY 1"),
	"postgres|5\nvictor|5\nadmin|5", 'others\' are');

# --- SECURITY DEFINER ---------------------------------------------------------------------------------------------------------------------

as('victor', <<'SQL');
CREATE FUNCTION victor.door() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
	RETURN current_user || ' reads ' || (SELECT what FROM victor.secret) || ', ' || public.attempt('SET ROLE postgres') || ', ' || public.attempt('SET ROLE mallory');
END $$;
CREATE FUNCTION victor.failing_door() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'no entrance' USING ERRCODE = 'DO001';
END $$;
CREATE FUNCTION victor.guided() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
	RETURN current_user || ' asks, ' || (durable.call_activity('public.whoami') #>> '{}') || ' does';
END $$;
SQL
as('mallory', <<'SQL');
CREATE FUNCTION mallory.through_the_door(door text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	BEGIN
		result := durable.call_activity(door) #>> '{}';
	EXCEPTION WHEN SQLSTATE 'DO001' THEN
		result := 'refused';
	END;
	RETURN result || '; then ' || (durable.call_activity('public.whoami') #>> '{}') || ', ' || public.whoami();
END $$;
SQL
is(run_as('mallory', 'mallory.through_the_door', "'victor.door'"),
	'Completed victor reads of victor, 42501, 42501; then mallory mallory off none, mallory mallory off none', 'an activity that is SECURITY DEFINER is that for its own time');
is(run_as('mallory', 'mallory.through_the_door', "'victor.failing_door'"), 'Completed refused; then mallory mallory off none, mallory mallory off none', 'also when it fails');
is(run_as('mallory', 'victor.guided', 'NULL'), 'Completed victor asks, mallory mallory off none does', 'one that is an orchestration gives its activities nothing');
is(as('mallory', 'SELECT what FROM victor.secret'), '42501', 'the attacker has no right of his own to it');

# --- the process that keeps long bursts alive ---------------------------------------------------------------------------------------------------

as('mallory', <<'SQL');
CREATE FUNCTION mallory.tick(n int) RETURNS int LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION mallory.burst() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text[] := ARRAY[public.whoami()];
BEGIN
	FOR i IN 1..3000 LOOP
		PERFORM durable.call_activity('mallory.tick', i);
		IF public.whoami() <> ALL (seen) THEN
			seen := seen || public.whoami();
		END IF;
		IF i % 1000 = 0 THEN
			seen := seen || public.attempt('RESET ROLE') || public.attempt('SET ROLE postgres');
		END IF;
	END LOOP;
	RETURN (SELECT string_agg(DISTINCT s, ', ') FROM unnest(seen) s);
END $$;
SELECT durable.register_activity('mallory.tick', 'mallory.tick(int)', execution => 'inline');
SQL
like(run_as('mallory', 'mallory.burst', 'NULL'), qr/^Completed \w{5}, done as mallory mallory off none, mallory mallory off none$/, 'a long burst is its owner all the time');

is($node->safe_psql('postgres', "SELECT count(*) FROM loot WHERE who NOT IN ('mallory', 'admin') OR session NOT IN ('mallory', 'admin') OR reads_secret OR superuser = 'on'"), '0', 'no escalation');
unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|terminated by signal/, 'nothing has crashed');
$node->stop('fast');
done_testing();
