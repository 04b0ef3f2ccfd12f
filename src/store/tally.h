/*
 * tally.h
 *		How many instances there are, by owner, name, handler and status.
 */
#ifndef DURABLE_TALLY_H
#define DURABLE_TALLY_H

#include "durable.h"

/* Instances whose keys differ only in so many bits at the end make a range. */
#define TALLY_RANGE_BITS	9
#define TALLY_RANGE_SIZE	(INT64CONST(1) << TALLY_RANGE_BITS)

/* A difference that this transaction has made and not written yet. */
typedef struct TallyDifference
{
	Oid			owner;
	char		status;
	int64		range;
	int64		n;
	char	   *name;
	char	   *handler;		/* as the column of durable.instance has it */
}			TallyDifference;

/* An instance that was not there before has status '\0' before.  handler: as the column has it. */
extern void durable_tally_move(Oid owner, const char *name, const char *handler, int64 key, char before, char after);

/* An unfinished instance goes on with another function. */
extern void durable_tally_move_handler(Oid owner, const char *name, int64 key, char status,
									   const char *before, const char *after);

/* The differences that are not written yet, one after the other; NULL: there are no more. */
extern const TallyDifference *durable_tally_pending(int place);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_tally_check_table(void);

/*
 * Replaces what transactions have added by sums, if there is enough of it.  Returns
 * whether it did.  The caller has connected to SPI.
 */
extern bool durable_tally_fold(void);

#endif							/* DURABLE_TALLY_H */
