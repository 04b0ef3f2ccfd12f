# The update of the game from 0.1: catalogs are those of a fresh installation, players keep their privileges, and a game goes on.
# See 216_upgrade.pl for what to do when something is missing.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UpgradeTest;

my $node = new_node('main', conf => "fsync = off\ndurable.max_workers = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE player LOGIN; CREATE DATABASE fresh; CREATE DATABASE old');
$node->safe_psql('fresh', 'CREATE EXTENSION durable_dungeon CASCADE');

# This library cannot register anything in the tables of 0.1, so the rows are written here.
$node->safe_psql('old', <<'SQL');
CREATE EXTENSION durable VERSION '0.1';
CREATE OR REPLACE FUNCTION durable.register_activity(name text, handler regprocedure DEFAULT NULL, execution text DEFAULT 'auto', retry jsonb DEFAULT NULL,
    timeout interval DEFAULT NULL, description text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    INSERT INTO durable.activity VALUES (current_user::regrole, $1, pg_catalog.quote_ident(split_part($2::text, '.', 1)) || '.' || split_part($2::text, '.', 2), $3, $4, $5, $6) $$;
CREATE OR REPLACE FUNCTION durable.register_orchestration(name text, handler regprocedure, version text DEFAULT NULL, retention interval DEFAULT NULL,
    description text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    INSERT INTO durable.orchestration VALUES (current_user::regrole, $1, $2::text, $3, $4, $5) $$;
CREATE EXTENSION durable_dungeon VERSION '0.1';
SELECT dungeon.grant_play('player');
INSERT INTO dungeon.game (player, game_key) VALUES ('Old', 'old');
SQL
$node->safe_psql('old', 'ALTER EXTENSION durable UPDATE');
$node->safe_psql('old', 'ALTER EXTENSION durable_dungeon UPDATE');
is($node->safe_psql('old', "SELECT count(DISTINCT extversion) FROM pg_extension WHERE extname LIKE 'durable%'"), '1', 'both are updated');
is($node->safe_psql('old', <<'SQL'), 't|t', 'a player keeps the privileges that are not those of changed functions');
SELECT has_function_privilege('player', 'dd_action(text, text, text, text)', 'EXECUTE'), has_table_privilege('player', 'dungeon.console', 'SELECT')
SQL
is($node->safe_psql('old', "SELECT count(*) FROM pg_init_privs i, aclexplode(i.initprivs) a WHERE a.grantee = 'player'::regrole"), '0', 'and pg_dump dumps them');
$node->safe_psql('old', "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public, dungeon FROM player; REVOKE ALL ON ALL TABLES IN SCHEMA dungeon FROM player; REVOKE ALL ON SCHEMA dungeon FROM player");
same_catalog($node, 'old', 'fresh', 'durable_dungeon');
same_catalog($node, 'old', 'fresh', 'durable');
my $versions = "SELECT name, version, execution, queue, is_newest FROM durable.registrations WHERE kind = 'orchestration' ORDER BY name, version";
is($node->safe_psql('old', $versions), $node->safe_psql('fresh', $versions), 'the versions of the workflows are the same, and so are the newest ones');

$node->safe_psql('old', "SELECT dungeon.grant_play('player')");
is($node->safe_psql('old', "SELECT player FROM dungeon.game"), 'Old', 'its rows are there');
my @player = (extra_params => [ '-U', 'player' ]);
is($node->safe_psql('old', "SELECT (dd_new_user('Ann')).ok", @player), 't', 'a game begins');
ok($node->poll_query_until('old', "SELECT count(*) > 0 FROM dungeon.player WHERE name = 'Ann'"), 'and its workflows run')
	or diag($node->safe_psql('old', 'SELECT instance_id, runtime_status, suspend_reason, failure FROM durable.instances'));
$node->stop;
done_testing();
