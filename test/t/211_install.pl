# Whoever may create schemas must not be able to make the engine's before the engine is installed, and so own it.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE install_mallory LOGIN;
CREATE DATABASE taken;
CREATE DATABASE clean;
GRANT CREATE ON DATABASE taken, clean TO install_mallory;
SQL

$node->safe_psql('taken', 'SET ROLE install_mallory; CREATE SCHEMA durable');
my ($rc, $out, $err) = $node->psql('taken', 'CREATE EXTENSION durable');
isnt($rc, 0, 'the extension does not move into a schema that is there already');
like($err, qr/schema "durable" already exists/, 'and says why');
is($node->safe_psql('taken', "SELECT count(*) FROM pg_extension WHERE extname = 'durable'"), '0', 'nothing is installed');

$node->safe_psql('taken', 'DROP SCHEMA durable; CREATE EXTENSION durable');
is($node->safe_psql('taken', "SELECT count(*) FROM pg_extension WHERE extname = 'durable'"), '1', 'without that schema it is');

$node->safe_psql('clean', 'CREATE EXTENSION durable');
is($node->safe_psql('clean', <<'SQL'), 't', 'the schema belongs to who has installed the extension');
SELECT n.nspowner = e.extowner FROM pg_namespace n, pg_extension e WHERE n.nspname = 'durable' AND e.extname = 'durable'
SQL
is($node->safe_psql('clean', <<'SQL'), '0', 'everything of the extension is in it');
SELECT count(*) FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
	LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
WHERE e.extname = 'durable' AND coalesce(p.pronamespace, c.relnamespace, t.typnamespace) <> 'durable'::regnamespace
SQL
$node->safe_psql('clean', 'DROP EXTENSION durable');
is($node->safe_psql('clean', "SELECT count(*) FROM pg_namespace WHERE nspname = 'durable'"), '0', 'and goes with it');

$node->stop;
done_testing();
