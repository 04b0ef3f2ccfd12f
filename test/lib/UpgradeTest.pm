# What the tests of updates have in common: the catalogs of an extension that was updated, and of one that was created.

package UpgradeTest;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use Test::More;

our @EXPORT = qw(same_catalog);

# A hash of the lines that describe the extension.
sub catalog
{
	my ($node, $database, $extension) = @_;
	my ($out, $err);

	IPC::Run::run([ 'psql', '-XAtqv', 'ON_ERROR_STOP=1', '-v', "extension=$extension", '-f', "$ENV{DURABLE_TOP}/test/lib/catalog.sql", $node->connstr($database) ],
		'>', \$out, '2>', \$err) or BAIL_OUT("catalog.sql: $err");
	return map { $_ => 1 } split /\n/, $out;
}

# Checks that the extension of the first database consists of the same as that of the second.
sub same_catalog
{
	my ($node, $old, $new, $extension) = @_;
	my %upgraded = catalog($node, $old, $extension);
	my %fresh = catalog($node, $new, $extension);
	my @missing = grep { !$upgraded{$_} } sort keys %fresh;
	my @left = grep { !$fresh{$_} } sort keys %upgraded;

	cmp_ok(scalar(keys %fresh), '>', 100, "$extension consists of something");
	ok(!@missing, 'nothing is missing after the update') or diag("missing in extension/upgrade/$extension--0.1--*.*.sql:\n  ", join("\n  ", map { substr($_, 0, 400) } @missing));
	ok(!@left, 'nothing is left over') or diag("left over, to be dropped or changed in extension/upgrade/$extension--0.1--*.before.sql:\n  ",
		join("\n  ", map { substr($_, 0, 400) } @left));
	return;
}

1;
