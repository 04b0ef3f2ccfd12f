/*
 * tally.h
 *		How many instances there are, by owner, name and status.
 */
#ifndef DURABLE_TALLY_H
#define DURABLE_TALLY_H

#include "durable.h"

/* Instances whose keys differ only in so many bits at the end make a range. */
#define TALLY_RANGE_BITS	9

/* An instance that was not there before has status '\0' before. */
extern void durable_tally_move(Oid owner, const char *name, int64 key, char before, char after);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_tally_check_table(void);

/*
 * Replaces what transactions have added by sums, if there is enough of it.  Returns
 * whether it did.  The caller has connected to SPI.
 */
extern bool durable_tally_fold(void);

#endif							/* DURABLE_TALLY_H */
