# What the scripts start lives on after them, and must not keep anything of whoever called them: not the pipe that he
# reads their words from, and no lock that he holds for as long as they run. What they say about packages, and about the
# directory that the game is in.

use strict;
use warnings;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = abs_path(PostgreSQL::Test::Utils::tempdir);
my $library = "$ENV{DURABLE_TOP}/scripts/lib.sh";
# That of make check: where the server is a copy of the installation, the copy has no development files.
chomp(my $config = $ENV{PG_CONFIG} // `command -v pg_config`);

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

# Packages: apt is not asked here; what is put together for it is looked at.
my $nothing = "dpkg-query() { return 1; }\n";

($out) = script($nothing . 'missing_packages play 15');
is($out, join("\n", qw(gcc make libc6-dev libpq-dev libedit-dev libevent-dev libnghttp2-dev libssl-dev postgresql-15), ''), 'make play needs no clang and no postgresql-server-dev');
($out) = script($nothing . 'as_root() { return 1; }; sudo() { :; }; PG_CONFIG=; find_postgres() { return 1; }; newest_package_version() { echo 15; }; need play');
like($out, qr/missing for make play and make check: .* postgresql-15 .*postgresql-plperl-15 postgresql-plpython3-15 postgresql-15-pgtap postgresql-15-cron$/m,
	'who has to install packages by hand is told of all of them');
like($out, qr/^  sudo sh -c '.*apt-get -q install -y --no-install-recommends gcc .*postgresql-15-cron'$/m, '... in one line to run');
($out) = script("CACHE='$dir/cache'; as_root() { \"\$\@\"; }; apt_quietly 'installing packages' 'echo one; echo pmstatus:x:50:half >&3; echo two >&2; false' || echo status \$?");
is($out, "one\ntwo\nall of it is in $dir/cache/packages.log\nstatus 1\n", 'the output of apt is shown when it fails');
($out) = script("CACHE='$dir/cache'; as_root() { \"\$\@\"; }; apt_quietly 'installing packages' 'echo one; echo pmstatus:x:50:half >&3' && echo status \$?");
is($out, "status 0\n", '... and only then');

# Where the game is.
foreach my $case ([ '/tmp/a b (1)', 'DURABLE_DUNGEON_STATE=/tmp/a\ b\ \(1\) make stop' ], [ 'games', "DURABLE_DUNGEON_STATE=$dir/games make stop" ])
{
	local $ENV{DURABLE_DUNGEON_STATE} = $case->[0];
	($out) = script("cd '$dir'; how_to stop");
	is($out, $case->[1], "a state directory like $case->[0] is in what is to be typed");
}
foreach my $path ("/it's", '/a"b', '/a$b', '/a`b', '/a:b', '/a%b', '/a\\b', "/a\nb")
{
	local $ENV{DURABLE_DUNGEON_STATE} = $path;
	($out) = script('STATE=$(game_state); echo not reached');
	like($out, qr/\Aerror: DURABLE_DUNGEON_STATE cannot contain [^\n]*\n\z/, "a state directory $path is refused");
}

done_testing();
