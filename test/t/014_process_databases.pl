# Many databases: after a restart, and after a crash, each of them has its coordinator at once, not one after the other
# at the launcher's leisure.

use strict;
use warnings;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $DATABASES = 8;
my $LIMIT = 5;		# seconds, on a quiet machine; the launcher's own round takes ten, and two find out at a time

my $node = new_node('main');
$node->start;
create_durable($node, "app_$_") foreach 1 .. $DATABASES;

foreach my $mode (qw(fast immediate))
{
	$node->stop($mode);
	my $start = time;
	$node->start;
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = $DATABASES FROM pg_stat_activity WHERE backend_type = 'durable coordinator' AND datname LIKE 'app%'"),
		"$mode stop: all databases have a coordinator again");
	cmp_ok(time - $start, '<', patience($LIMIT), "$mode stop: ... within seconds");
}
$node->stop;

done_testing();
