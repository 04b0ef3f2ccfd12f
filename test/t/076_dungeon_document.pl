# The game's page tells the truth: each block of SQL in it runs, in a database called as it is there.

use strict;
use warnings;
use Documents;
use DurableTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = $ENV{DURABLE_TOP} or BAIL_OUT('DURABLE_TOP is not set');
my $node = new_node('main', conf => "durable.max_workers = 2\n");

$node->start;
create_durable($node, 'mydb');
cmp_ok(run_document($node, 'mydb', "$top/docs/game.md"), '>', 0, 'there are blocks of SQL in it');
like($node->safe_psql('mydb', "SELECT message FROM dungeon.console WHERE player = 'Pat' ORDER BY id LIMIT 1"),
	qr/^Pat knocks at the gate/, 'and whoever has pasted them has begun a game');
is($node->safe_psql('mydb', "SELECT (game.dd_confirm('Nobody')).http_status", extra_params => [ '-U', 'pat' ]),
	'400', 'pat may play');

$node->stop;
done_testing();
