# time(): seconds of a clock that is never set. Tests measure durations and deadlines with it, because the clock of a machine may be
# set back or forward while they run. CORE::time() is the time of day.
#
# Locks, memory: none. Owns: nothing.

package SteadyTime;

use strict;
use warnings;
use Exporter 'import';
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT = qw(time);

sub time ()
{
	return clock_gettime(CLOCK_MONOTONIC);
}

1;
