# The documents tell the truth: each block of SQL in README, tutorial and operations runs, and prints what is shown below it.
# Then the same again on a server that is killed before each block: workflows survive that, so a reader notices nothing.

use strict;
use warnings;
use Documents;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
my %documents = (
	readme => "$top/README.md",
	tutorial => "$top/docs/tutorial.md",
	operations => "$top/docs/operations.md");

foreach my $crashing (0, 1)
{
	my $node = new_node($crashing ? 'crashing' : 'calm', conf => <<'CONF');
durable.testing = on
durable.max_workers = 2
CONF
	$node->start;
	foreach my $name (sort keys %documents)
	{
		create_durable($node, $name);
		my $blocks = run_document($node, $name, $documents{$name},
			before => $crashing ? \&crash : undef);
		cmp_ok($blocks, '>', 0, "there are blocks of SQL in $name");
	}
	$node->stop;
}

# Where the document has told the workers to stay away and moves the clock by hand, the clock is in shared memory: a
# crash would set it right again.
sub crash
{
	my ($node, $database) = @_;

	return if $node->safe_psql($database, 'SHOW durable.max_workers') eq '0';
	$node->stop('immediate');
	$node->start;
	return;
}

done_testing();
