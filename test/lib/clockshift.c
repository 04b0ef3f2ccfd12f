/*
 * clockshift.c
 *		A wall clock that a test can set: to be preloaded into a server (LD_PRELOAD).
 *
 * CLOCKSHIFT names a file of 8 bytes: the seconds that are added to the time, as a
 * signed integer of the machine.  What counts time without telling it (CLOCK_MONOTONIC)
 * is left alone, as it is when somebody sets the clock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *
shift(void)
{
	static volatile int64_t *seconds = NULL;
	static int64_t none = 0;
	const char *name;
	int			file;

	if (seconds != NULL)
		return seconds;
	seconds = &none;
	name = getenv("CLOCKSHIFT");
	file = name ? open(name, O_RDONLY) : -1;
	if (file >= 0)
	{
		void	   *map = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);

		if (map != MAP_FAILED)
			seconds = map;
		close(file);
	}
	return seconds;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec time;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &time);
	now->tv_sec = time.tv_sec + *shift();
	now->tv_usec = time.tv_nsec / 1000;
	return 0;
}
