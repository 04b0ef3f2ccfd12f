# After an update of the library without that of the extension, or the other way round, nothing runs and everybody is told.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => <<'CONF');
durable.recheck_interval = 500ms
CONF
$node->start;
create_durable($node, 'postgres');
$node->safe_psql('postgres', 'CREATE FUNCTION one() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$');
$node->safe_psql('postgres', "SELECT durable.start('one', instance_id => 'before')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('before', '3min')"), 'Completed', 'both of one version: it runs');

my $version = $node->safe_psql('postgres', 'SELECT durable.version()');
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '0.0' WHERE extname = 'durable'");
my $told = qr/workflows of this database do not run because the version of extension "durable" is not \Q$version\E/;
ok($node->wait_for_log($told), 'the log says what is the matter');
$node->safe_psql('postgres', "SELECT durable.start('one', instance_id => 'meanwhile')");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('meanwhile', '3s')"), 'Pending', 'nothing runs');
my $times = () = slurp_file($node->logfile) =~ /$told/g;
is($times, 1, 'it is said once');
is($node->safe_psql('postgres', "SELECT ok, detail FROM durable.doctor() WHERE check_name = 'version'"),
	"f|library $version, extension 0.0", 'doctor says it');
$node->restart;
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('meanwhile', '2s')"), 'Pending', 'nor after a restart');

$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'durable'");
is($node->safe_psql('postgres', "SELECT runtime_status FROM durable.wait('meanwhile', '3min')"), 'Completed', 'when they fit again, it goes on');

$node->stop;
done_testing();
