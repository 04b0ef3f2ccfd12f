/*
 * verify.h
 *		Dry runs: does the history of an instance fit some code?
 */
#ifndef DURABLE_VERIFY_H
#define DURABLE_VERIFY_H

#include "handler.h"
#include "instance_table.h"

/* What is in the way of running that code. */
typedef struct Verdict
{
	const char *problem;		/* NULL: it fits */
	int			line;			/* of the code; 0: not known */
} Verdict;

/*
 * Replays the instance's stored history with that code, as the current user, who has to be
 * its owner.  Nothing is written, and no activity is run.
 */
extern Verdict durable_verify_instance(Instance *instance, Handler *handler);

#endif							/* DURABLE_VERIFY_H */
