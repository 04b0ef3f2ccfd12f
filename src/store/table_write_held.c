/*-------------------------------------------------------------------------
 *
 * table_write_held.c
 *		Keeps writers with open tables until the transaction ends.
 *
 * A statement may call durable.start() for 1,000,000 rows.  Opening two tables and their
 * indexes was a tenth of the instructions of each call.  So a writer of such a table is
 * kept, with its open relations, for the next call in the transaction.
 *
 * The references and locks belong to the resource owner of the transaction, because the
 * statement or the subtransaction that has opened the tables may end earlier.  DDL refuses a
 * table that its own session uses, so the utility hook releases the writers before every
 * utility statement (ddl.c); without this hook no writer is kept.  The abort of a
 * subtransaction releases them too: the tables may have been created in it.
 *
 * A writer is not used again after its table or an index of it has changed (table.c).
 *
 * Owns:	DurableWritable.held
 * Called by: table_write.c; ddl.c (releasing)
 * Locks:	those of table_write.c, until the end of the transaction
 * Memory:	a context for each writer, in TopTransactionContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "table_write.h"
#include "table_write_internal.h"

#define MAX_HELD	4

static DurableWritable *held[MAX_HELD];
static int	nheld = 0;
static bool allowed = false;

static void hold(DurableWritable *writable);
static void release(DurableWritable *writable);
static bool is_current(const DurableWritable *writable);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
								  SubTransactionId parent, void *arg);

void
durable_writer_allow_held(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	allowed = true;
}

DurableWriter *
durable_writer_find_held(DurableWritable *writable)
{
	if (writable->held != NULL && !is_current(writable))
		release(writable);
	if (writable->held == NULL && allowed && nheld < MAX_HELD)
		hold(writable);
	return writable->held;
}

static bool
is_current(const DurableWritable *writable)
{
	return writable->table->known && writable->held->state->version == writable->table->version;
}

/* inv_api.c of PostgreSQL keeps the table of large objects open in the same way. */
static void
hold(DurableWritable *writable)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "durable writer", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DurableWriter *writer;

	CurrentResourceOwner = TopTransactionResourceOwner;
	writer = durable_writer_make(writable);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);
	writer->is_held = true;
	writable->held = writer;
	held[nheld++] = writable;
}

static void
release(DurableWritable *writable)
{
	ResourceOwner owner = CurrentResourceOwner;
	DurableWriter *writer = writable->held;
	int			place = 0;

	while (held[place] != writable)
		place++;
	held[place] = held[--nheld];
	writable->held = NULL;
	CurrentResourceOwner = TopTransactionResourceOwner;
	durable_writer_unmake(writer);
	CurrentResourceOwner = owner;
	MemoryContextDelete(writer->context);
}

void
durable_writer_release_held(void)
{
	while (nheld > 0)
		release(held[nheld - 1]);
}

void
durable_writer_forget_held(DurableWritable *writable)
{
	if (writable->held != NULL)
		release(writable);
}

/* The abort of the transaction closes open relations by itself. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			durable_writer_release_held();
			break;
		case XACT_EVENT_ABORT:
			while (nheld > 0)
				held[--nheld]->held = NULL;
			break;
		default:
			break;
	}
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)	/* before the relations and their cache entries are released */
		durable_writer_release_held();
}
