/*
 * tally.h
 *		The table durable.tally: numbers of instances by owner, name, handler and status.
 */
#ifndef DURABLE_TALLY_H
#define DURABLE_TALLY_H

#include "durable.h"

/* A range is the instances whose keys differ only in this many low bits. */
#define TALLY_RANGE_BITS	9
#define TALLY_RANGE_SIZE	(INT64CONST(1) << TALLY_RANGE_BITS)

/* A change of a number that this transaction has made and not written yet. */
typedef struct TallyDifference
{
	Oid			owner;
	char		status;
	int64		range;
	int64		n;
	char	   *name;
	char	   *handler;		/* as in durable.instance */
}			TallyDifference;

/* The status of an instance changes; before '\0': the instance is new.  handler: as stored. */
extern void durable_tally_move(Oid owner, const char *name, const char *handler, int64 key, char before, char after);

/* The handler of an unfinished instance changes. */
extern void durable_tally_move_handler(Oid owner, const char *name, int64 key, char status,
									   const char *before, const char *after);

/* The changes that are not written yet, by their number from 0; NULL: there are no more. */
extern const TallyDifference *durable_tally_pending(int place);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_tally_check_table(void);

/*
 * Replaces the rows that transactions have added by their sums, if there are enough.  Returns
 * whether it did.  The caller has connected to SPI.
 */
extern bool durable_tally_fold(void);

#endif							/* DURABLE_TALLY_H */
