# The commands for dumps that docs/operations.md names, and those of which it warns.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "fsync = off\n");
$node->start;
create_durable($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE clerk LOGIN;
SELECT durable.grant_usage('clerk');
CREATE FUNCTION patient() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN durable.wait_for_external_event('Go'); END $$;
SELECT durable.start('patient', instance_id => 'mine');
SET SESSION AUTHORIZATION clerk;
SELECT durable.start('public.patient', instance_id => 'of the clerk');
SQL
ok($node->poll_query_until('shop', "SELECT count(*) = 2 FROM durable.instances WHERE runtime_status = 'Running'"), 'two instances wait');

my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
my $instances = 'SELECT count(*) FROM durable.instance';

sub restored
{
	my (@dump) = @_;

	$node->command_ok([ 'pg_dump', @dump, '-Fc', '-f', $file, $node->connstr('shop') ], "pg_dump @dump");
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS copy');
	$node->safe_psql('postgres', 'CREATE DATABASE copy');
	system('pg_restore', '-d', $node->connstr('copy'), $file);
	return;
}

restored();
is($node->safe_psql('copy', $instances), '2', 'a dump of the database has the instances');
restored('-n', 'durable');
is($node->safe_psql('copy', "SELECT count(*) FROM pg_class WHERE relname = 'instance'"), '0', 'a dump of schema durable has nothing');
restored('-e', 'durable');
is($node->safe_psql('copy', $instances), '2', 'a dump of extension durable has the extension and its instances');

# A role that is missing.
restored();
$node->safe_psql('postgres', 'DROP DATABASE copy');
my $other = new_node('other', conf => "fsync = off\n");
$other->start;
$other->safe_psql('postgres', 'CREATE DATABASE copy');
system('pg_restore', '-d', $other->connstr('copy'), $file);
is($other->safe_psql('copy', $instances), '0', 'where a role is missing no instance is restored at all');
$other->safe_psql('postgres', 'DROP DATABASE copy');
$other->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_dumpall', '--roles-only', '-f', "$file.roles", '-d', $node->connstr('postgres') ], 'pg_dumpall --roles-only');
system('psql', '-Xq', '-d', $other->connstr('postgres'), '-f', "$file.roles");
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('copy'), $file ], 'with the roles the restore has no errors');
is($other->safe_psql('copy', $instances), '2', '... and all instances');
is($other->safe_psql('copy', "SELECT durable.adopt(); SELECT durable.raise_event('mine', 'Go', 1); SELECT runtime_status FROM durable.wait('mine', '1 min')"),
	"\n\nCompleted", 'which go on after durable.adopt()');
$_->stop foreach $node, $other;
done_testing();
