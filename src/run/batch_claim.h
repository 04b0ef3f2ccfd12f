/*
 * batch_claim.h
 *		Finds and locks the work of a batch.
 */
#ifndef DURABLE_BATCH_CLAIM_H
#define DURABLE_BATCH_CLAIM_H

#include "batch.h"
#include "unit.h"

/* An instance or an entity of a batch, with its messages. */
typedef struct Work
{
	int64		key;
	Instance   *instance;		/* NULL: it could not be locked, or is_entity */
	bool		is_entity;
	bool		is_claimed;		/* an entity that could be locked */
	bool		runs_alone;		/* an entity that is the only work of its batch */
	List	   *messages;		/* Message, in chronological order */
}			Work;

/*
 * Returns a List of Work.  Each instance and entity is locked and still has messages.  *full:
 * there is more work than one batch takes.
 */
extern List *durable_claim_work(Batch * batch, UnitScan *scan, bool *full);

/* The batch does not do this work: moves the positions of scan back, so that another unit finds it. */
extern void durable_claim_leave(UnitScan *scan, Work * work);

#endif							/* DURABLE_BATCH_CLAIM_H */
