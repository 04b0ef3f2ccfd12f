# What the tests of durable serve --grpc share: the npm package of the Durable Task SDK, and programs in JavaScript that report
# what they have found, one JSON object a line: {"ok": true, "name": "..."}.
#
# Owns: a directory with node_modules below the test's own.
# Locks, memory: none.

package SdkTest;

use strict;
use warnings;
use Cwd qw(abs_path);
use DurableTest;
use Exporter 'import';
use File::Basename qw(dirname);
use GatewayTest;
use IPC::Run ();
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(sdk_install sdk_node sdk_add sdk_start sdk_finish sdk_report grpc_port);

my $source = dirname(dirname(abs_path(__FILE__))) . '/js';
my $directory;

# Installs what package-lock.json names; without npm or a registry the test is skipped, but not in CI.
sub sdk_install
{
	my ($out, $err) = ('', '');

	$directory = "$PostgreSQL::Test::Utils::tmp_check/sdk";
	system('cp', '-r', $source, $directory) == 0 or BAIL_OUT('could not copy the programs');
	$ENV{HOME} = $directory;
	return if eval {
		IPC::Run::run([ 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--cache', "$directory/.npm", '--prefix', $directory ], '<', \undef,
			'>', \$out, '2>', \$err, IPC::Run::timeout(300));
	};
	BAIL_OUT("npm ci has failed: $err $@") if $ENV{CI};
	plan skip_all => 'the packages of npm could not be installed';
}

# sdk_node() -> a server with the engine and the roles of a gateway, when the packages are installed.
sub sdk_node
{
	sdk_install();
	my $node = new_node('main', conf => "durable.max_workers = 2\n");

	$node->start;
	create_durable($node, 'postgres');
	gateway_roles($node);
	return $node;
}

# sdk_add(file, name): a program that is not in test/js.
sub sdk_add
{
	my ($file, $name) = @_;

	system('cp', $file, "$directory/$name") == 0 or BAIL_OUT("could not copy $file");
	return;
}

# sdk_start(program, argument, ...) -> a process.
sub sdk_start
{
	my ($program, @arguments) = @_;
	my %process = (out => '', err => '', name => $program);

	$process{run} = IPC::Run::start([ 'node', "$directory/$program", @arguments ], '<', \undef, '>', \$process{out}, '2>', \$process{err},
		IPC::Run::timeout(4 * $PostgreSQL::Test::Utils::timeout_default));
	$process{pid} = $process{run}{KIDS}[0]{PID};
	return \%process;
}

# Waits for its end; the exit code.
sub sdk_finish
{
	my ($process) = @_;

	eval { $process->{run}->finish; 1 } or do { diag("$process->{name}: $@"); $process->{run}->kill_kill; return -1; };
	return $process->{run}->result(0);
}

# Runs a program, and counts each line that it reports as a test.
sub sdk_report
{
	my ($program, @arguments) = @_;
	my $process = sdk_start($program, @arguments);
	my $code = sdk_finish($process);
	my $n = 0;

	foreach my $line (split /\n/, $process->{out})
	{
		next unless $line =~ /^\{"ok"/;
		my $result = decode_json($line);

		# PostgreSQL's test modules copy a test's output as bytes; from version 16 on a wide character there ends the test.
		utf8::encode($_) foreach grep { defined } @{$result}{qw(name why)};
		ok($result->{ok}, $result->{name}) or diag($result->{why});
		$n++;
	}
	is($code, 0, "$program has come to its end, after $n checks") or diag("$process->{out}\n$process->{err}");
	return;
}

# The port for gRPC of a gateway that was started with --grpc 127.0.0.1:0.
sub grpc_port
{
	my ($gateway) = @_;

	$gateway->{process}->pump until $gateway->{out} =~ m{^grpc://.*:(\d+)$}m || !$gateway->{process}->pumpable;
	return $gateway->{out} =~ m{^grpc://.*:(\d+)$}m ? $1 : BAIL_OUT("no gRPC: $gateway->{err}");
}

1;
