# docs/reference.md against the catalog: every function with its signature and its COMMENT, every view with its columns,
# every setting with its default and description, every SQLSTATE, every type of event. What is missing is printed as it
# should stand there. And its examples run.

use strict;
use warnings;
use Documents;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
my $reference = slurp_file("$top/docs/reference.md");
my $words = one_line($reference);
my %settings_of_this_test = ('durable.testing' => 'off', 'durable.max_workers' => 4);

my $node = new_node('main', conf => <<'CONF');
durable.testing = on
durable.max_workers = 2
CONF
$node->start;
create_durable($node, 'reference');

my %entries = catalog_entries($node, 'reference', %settings_of_this_test);
cmp_ok(scalar keys %entries, '>', 50, 'the catalog was read');
foreach my $name (sort keys %entries)
{
	ok(index($words, one_line($entries{$name})) >= 0, "$name is in the reference, and as the catalog says")
	  or diag("expected:\n$entries{$name}");
}

# What the reference describes is there.
while ($reference =~ /^### (?:CALL )?(durable\.\w+)$/mg)
{
	ok(exists $entries{$1}, "$1, which the reference describes, exists");
}

my $header = slurp_file("$top/src/base/durable.h");
my @codes;
while ($header =~ /MAKE_SQLSTATE\('(\w)',\s*'(\w)',\s*'(\w)',\s*'(\w)',\s*'(\w)'\)/g)
{
	push @codes, "$1$2$3$4$5";
}
cmp_ok(scalar @codes, '>=', 9, 'SQLSTATEs were found in durable.h');
like($reference, qr/^\| `$_` \|/m, "SQLSTATE $_ is in the reference") foreach @codes;

my $history = slurp_file("$top/src/value/history.c");
my @types = $history =~ /^\s*\[HISTORY_\w+\] = \{"(\w+)"/mg;
cmp_ok(scalar @types, '>=', 17, 'types of events were found in history.c');
like($reference, qr/^\| `$_` \|/m, "event $_ is in the reference")
  foreach @types, map { "Execution$_" } qw(Started Completed Failed Terminated);

cmp_ok(run_document($node, 'reference', "$top/docs/reference.md"), '>', 0, 'the reference has examples');
$node->stop;

# Where the lines of the document end does not matter.
sub one_line
{
	my ($text) = @_;

	return $text =~ s/\s+/ /gr;
}

done_testing();
