# Servers for the Perl tests. make check sets the environment up: the programs in PATH, this directory and PostgreSQL's
# own test modules in PERL5LIB, and through TEMP_CONFIG the settings by which a server finds the extensions in the
# private install root. So a test is
#
#	use DurableTest;
#	use Test::More;
#
#	my $node = new_node('main', conf => "durable.max_workers = 4\n");
#	$node->start;
#	create_durable($node, 'postgres');
#	...
#	done_testing();
#
# Locks, memory: none. Owns: nothing; the modules of PostgreSQL remove what they made.

package DurableTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(new_node create_durable create_dungeon process_pids);

# new_node(name, conf => text, init => {options of Cluster->init} or 0): a server with the library preloaded, not started.
# init => 0 gives the bare object, for init_from_backup. Later settings win, so conf may overrule what is set here.
#
# PostgreSQL's module turns restart_after_crash off; an engine that must survive crashes is tested with it on. Its
# log_statement = all would bury the log under the load of the stress tests.
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $init = exists $options{init} ? $options{init} : {};

	return $node unless $init;
	$node->init(%$init);
	$node->append_conf('postgresql.conf', <<'CONF' . ($options{conf} // ''));
shared_preload_libraries = 'durable'
restart_after_crash = on
log_statement = none
max_worker_processes = 20
CONF
	return $node;
}

# create_durable(node, database): make the database if it is not there, and the extension in it.
sub create_durable
{
	my ($node, $database) = @_;
	my $there = $node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = '$database'");

	$node->safe_psql('postgres', "CREATE DATABASE \"$database\"") unless $there;
	$node->safe_psql($database, 'CREATE EXTENSION durable');
	return;
}

# create_dungeon(node, database): the same with the game. Only for tests with "dungeon" in their names: the others run
# where the game is not installed.
sub create_dungeon
{
	my ($node, $database) = @_;

	create_durable($node, $database);
	$node->safe_psql($database, 'CREATE EXTENSION durable_dungeon');
	return;
}

# process_pids(node, backend type): the processes of that kind, e.g. 'durable worker'.
sub process_pids
{
	my ($node, $type) = @_;

	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' ORDER BY pid");
}

1;
