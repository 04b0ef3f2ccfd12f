# make installcheck on a server that somebody has: it says what the server lacks, skips what needs something optional, and
# its last line counts.

use strict;
use warnings;
use DurableTest;
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "max_prepared_transactions = 0\n");
$node->start;

my $dir = PostgreSQL::Test::Utils::tempdir;
my %files = (
	'sql/tiny.sql' => "SELECT 1 AS one;\n",
	'expected/tiny.out' => "SELECT 1 AS one;\n one \n-----\n   1\n(1 row)\n\n",
	'sql/wrong.sql' => "SELECT 2 AS one;\n",
	'expected/wrong.out' => "SELECT 1 AS one;\n one \n-----\n   1\n(1 row)\n\n",
	'sql/prepared.sql' => "BEGIN; PREPARE TRANSACTION 'p';\n",
	'sql/foreign.sql' => "CREATE EXTENSION no_such_language;\nCREATE EXTENSION IF NOT EXISTS no_such_language;\n");
mkdir "$dir/$_" foreach qw(sql expected test test/specs);
append_to_file("$dir/$_", $files{$_}) foreach keys %files;

chomp(my $bindir = `pg_config --bindir`);
my $drivers = dirname(dirname($ENV{PG_REGRESS}));

# installcheck(variables): exit code, what it printed.
sub installcheck
{
	my (%variables) = @_;
	my $out = '';

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => getpwuid($<), %variables);
	IPC::Run::run([ "$ENV{DURABLE_TOP}/scripts/installcheck", $bindir, $drivers, 'no' ],
		'>', \$out, '2>&1', init => sub { chdir $dir or die });
	return ($? >> 8, $out);
}

my ($code, $out) = installcheck(PGHOST => '/nowhere');
is($code, 2, 'no server');
like($out, qr/could not connect; set PGHOST, PGPORT and PGUSER/, '... and what to do');

($code, $out) = installcheck();
is($code, 2, 'a server that is not for tests');
like($out, qr/the server has durable\.testing = 'off'; put "durable\.testing = on" into its postgresql\.conf/, '... and what to do');

$node->append_conf('postgresql.conf', "durable.testing = on\ndurable.max_workers = 0\n");
$node->restart;
($code, $out) = installcheck();
is($code, 1, 'a file that fails');
like($out, qr{^ok +sql/tiny\.sql$}m, '... beside one that does not');
like($out, qr{^FAILED +sql/wrong\.sql: see tmp_check/wrong$}m, '... tells where to look');
like($out, qr{^skipped sql/prepared\.sql: it needs max_prepared_transactions larger than 0}m, 'prepared transactions are missing');
like($out, qr{^skipped sql/foreign\.sql: it needs extension no_such_language$}m, 'an extension is missing');
like($out, qr/^1 passed, 1 failed, 2 skipped\n\z/m, 'the last line counts');

$node->safe_psql('postgres', 'CREATE ROLE ordinary LOGIN');
($code, $out) = installcheck(PGUSER => 'ordinary');
is($code, 2, 'an ordinary role');
like($out, qr/it needs a superuser's connection; set PGUSER/, '... and what to do');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
($code, $out) = installcheck();
is($code, 2, 'a server without the library');
like($out, qr/put "shared_preload_libraries = 'durable'" into its postgresql\.conf/, '... and what to do');

$node->stop;
done_testing();
