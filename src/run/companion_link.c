/*-------------------------------------------------------------------------
 *
 * companion_link.c
 *		Passes messages between a worker and its companion through shared memory.
 *
 * In a burst each side waits for the other at each step, usually for some microseconds.
 * Sleeping and being woken takes longer than that, so a side polls for a while before
 * it sleeps.  Polling is unsuccessful if all processors are busy, if there is only one, or
 * if the other side has a lot of work.  Then the side polls less often.
 *
 * Owns:	one dynamic shared memory segment for each worker that has a companion
 * Called by: companion.c (the worker's end), companion_main.c (the other end)
 * Locks:	none
 * Memory:	the handles in the context in which the link is made; bodies in the current one
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "companion_link.h"
#include "compat.h"

#define QUEUE_SIZE		(256 * 1024)

/* Sleeping and waking take about as long, so an unsuccessful poll at most doubles the cost. */
#define LOOK_US			50
/*
 * The number of waits without a poll after an unsuccessful poll. It doubles each time, and halves
 * after a number of successful polls in a row. Under full load every second poll succeeds, and
 * polling takes processor time that the other side could use.
 */
#define MAX_PATIENCE	1024
#define GOOD_STREAK		8

/* In the segment, before the two queues. */
typedef struct Shared
{
	Oid			database;
	Oid			owner;
	pg_atomic_uint32 open;		/* the companion is ready */
}			Shared;

#define SHARED(link)			((Shared *) dsm_segment_address((link)->segment))
#define TO_COMPANION(link)		((char *) SHARED(link) + MAXALIGN(sizeof(Shared)))
#define TO_WORKER(link)			(TO_COMPANION(link) + QUEUE_SIZE)

static shm_mq_result look(CompanionLink *link, Size *length, void **data);

bool
durable_link_create(CompanionLink *link)
{
	shm_mq	   *queue;

	link->segment = dsm_create(MAXALIGN(sizeof(Shared)) + 2 * QUEUE_SIZE,
							   DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (link->segment == NULL)
		return false;
	dsm_pin_mapping(link->segment);
	link->database = SHARED(link)->database = MyDatabaseId;
	link->owner = SHARED(link)->owner = GetSessionUserId();
	pg_atomic_init_u32(&SHARED(link)->open, 0);

	queue = shm_mq_create(TO_COMPANION(link), QUEUE_SIZE);
	shm_mq_set_sender(queue, MyProc);
	link->out = shm_mq_attach(queue, link->segment, NULL);
	queue = shm_mq_create(TO_WORKER(link), QUEUE_SIZE);
	shm_mq_set_receiver(queue, MyProc);
	link->in = shm_mq_attach(queue, link->segment, NULL);
	return true;
}

bool
durable_link_attach(CompanionLink *link, dsm_handle handle)
{
	link->segment = dsm_attach(handle);
	if (link->segment == NULL)
		return false;
	dsm_pin_mapping(link->segment);
	link->database = SHARED(link)->database;
	link->owner = SHARED(link)->owner;
	return true;
}

void
durable_link_open(CompanionLink *link)
{
	shm_mq	   *queue = (shm_mq *) TO_COMPANION(link);

	shm_mq_set_receiver(queue, MyProc);
	link->in = shm_mq_attach(queue, link->segment, NULL);
	queue = (shm_mq *) TO_WORKER(link);
	shm_mq_set_sender(queue, MyProc);
	link->out = shm_mq_attach(queue, link->segment, NULL);
	pg_atomic_write_u32(&SHARED(link)->open, 1);
}

bool
durable_link_is_open(const CompanionLink *link)
{
	return pg_atomic_read_u32(&SHARED(link)->open) != 0;
}

bool
durable_link_send(CompanionLink *link, char kind, const Jsonb *body)
{
	shm_mq_iovec parts[2];

	parts[0].data = &kind;
	parts[0].len = 1;
	parts[1].data = (const char *) body;
	parts[1].len = body ? VARSIZE(body) : 0;
	return shm_mq_sendv(link->out, parts, body ? 2 : 1, false, true) == SHM_MQ_SUCCESS;
}

char
durable_link_receive(CompanionLink *link, Jsonb **body, long timeout_ms)
{
	static uint32 wait_event = 0;
	TimestampTz deadline = timeout_ms < 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	Size		length;
	void	   *data;
	shm_mq_result result = look(link, &length, &data);

	while (result == SHM_MQ_WOULD_BLOCK)
	{
		long		ms = timeout_ms < 0 ? 1000 :
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (ms <= 0)
			return 0;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(ms, 1000), durable_wait_event(&wait_event, "DurableCompanion"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		result = shm_mq_receive(link->in, &length, &data, true);
	}
	if (result == SHM_MQ_DETACHED)
		return 0;

	*body = NULL;
	if (length > 1)
	{
		*body = palloc(length - 1);
		memcpy(*body, (char *) data + 1, length - 1);
	}
	return *(char *) data;
}

/* Polls without sleeping. */
static shm_mq_result
look(CompanionLink *link, Size *length, void **data)
{
	static int	patience = 1;
	static int	without = 0;
	static int	streak = 0;
	shm_mq_result result = shm_mq_receive(link->in, length, data, true);
	instr_time	start;
	instr_time	now;

	if (result != SHM_MQ_WOULD_BLOCK)
		return result;
	if (without > 0)
	{
		without--;
		return result;
	}

	INSTR_TIME_SET_CURRENT(start);
	do
	{
		pg_spin_delay();
		CHECK_FOR_INTERRUPTS();
		result = shm_mq_receive(link->in, length, data, true);
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
	} while (result == SHM_MQ_WOULD_BLOCK && INSTR_TIME_GET_MICROSEC(now) < LOOK_US);

	if (result != SHM_MQ_WOULD_BLOCK)
	{
		if (++streak % GOOD_STREAK == 0)
			patience = Max(patience / 2, 1);
	}
	else
	{
		streak = 0;
		without = patience - 1;
		patience = Min(patience * 2, MAX_PATIENCE);
	}
	return result;
}
