# What the scripts start lives on after them, and must not keep anything of whoever called them: not the pipe that he
# reads their words from, and no lock that he holds for as long as they run.

use strict;
use warnings;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = abs_path(PostgreSQL::Test::Utils::tempdir);
my $library = "$ENV{DURABLE_TOP}/scripts/lib.sh";
chomp(my $config = `command -v pg_config`);

# No extension is needed here: the server is the installed one.
sub script
{
	my ($text) = @_;
	my $script = <<"SCRIPT";
export DURABLE_PLACEMENT=none PG_CONFIG='$config'
. '$library'
find_postgres || die 'no PostgreSQL'
$text
SCRIPT
	my $pid = open(my $pipe, '-|') // die "cannot fork: $!";

	if ($pid == 0)
	{
		open(STDERR, '>&', \*STDOUT) or die;
		exec 'bash', '-c', $script or die;
	}
	local $/;
	local $SIG{ALRM} = sub { die "the pipe stays open\n" };
	alarm 300;
	my $out = eval { <$pipe> };
	my $error = $@;
	alarm 0;
	close $pipe unless $error;
	return ($out // '', $error);
}

my ($out, $error) = script(<<"SCRIPT");
exec 5>&1 6>'$dir/lock'
flock -s 6
cluster_init '$dir'
cluster_conf '$dir' '$dir/root' </dev/null
cluster_start '$dir'
echo started
SCRIPT
is($error, '', 'whoever reads what the script says comes to its end while the server runs');
is($out, "started\n", 'the server is started');
is(system("flock -n -x '$dir/lock' true"), 0, 'a lock of the caller is free when the script has ended');
($out, $error) = script("cluster_running '$dir' && cluster_stop '$dir' && echo stopped");
is($out, "stopped\n", 'and it is stopped');

done_testing();
