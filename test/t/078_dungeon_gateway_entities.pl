# 078_dungeon_gateway.pl, with games that keep their things in entities.

use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

$ENV{DUNGEON_WORLD} = 'entities';
require "$FindBin::RealBin/078_dungeon_gateway.pl";
