/*
 * crashing.c
 *		Functions that no server should have to run; see test/t/231_chaos_containment.pl.
 */
#include "postgres.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(crashing_segfault);
PG_FUNCTION_INFO_V1(crashing_abort);
PG_FUNCTION_INFO_V1(crashing_oom);
PG_FUNCTION_INFO_V1(crashing_exit);

Datum
crashing_segfault(PG_FUNCTION_ARGS)
{
	*(volatile int *) 8 = 1;
	PG_RETURN_INT32(0);
}

Datum
crashing_abort(PG_FUNCTION_ARGS)
{
	abort();
}

/* What the kernel does to who takes too much memory. */
Datum
crashing_oom(PG_FUNCTION_ARGS)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* A library that knows better than its caller when it is time to go. */
Datum
crashing_exit(PG_FUNCTION_ARGS)
{
	exit(PG_GETARG_INT32(0));
}
