/*-------------------------------------------------------------------------
 *
 * companion.c
 *		A second process that keeps the call stack of a long burst alive.
 *
 * A turn ends by unwinding the orchestration's stack, and the next one replays it
 * from the top: n activities in a row cost O(n^2).  The stack cannot be kept while
 * activities run and commit in the same process.  So when a burst gets long, the
 * worker has the orchestration run once more, in this process: it replays to the
 * end of the history, and then, instead of unwinding, sends the activities it asks
 * for to the worker and waits for their answers.  The worker runs, records and
 * commits them as always.
 *
 * The companion decides nothing.  It only sends calls of activities and log lines.
 * When the orchestration does anything else, ends, or waits for something that is
 * not there, the companion's run is over and its last calls are dropped; the worker
 * then runs an ordinary turn over the whole history, and that counts.  So replay
 * stays the truth, and a companion that is lost costs nothing but time.
 *
 * Messages, in both directions: one byte, then jsonb.
 *	worker -> companion		B object		begin: what the run needs
 *							A history		answer: events, see history.c; preceded by
 *											B too
 *							S				stop
 *	companion -> worker		C [history, custom status]	calls
 *							E				the run is over
 *
 * The process connects as the owner of the instances and runs their code in
 * read-only turns like any worker.  It lives as long as its worker does, or until
 * it has had nothing to do for a while.
 *
 * Owns:	one dynamic shared memory segment for each worker that has a companion
 * Called by: execution.c (the worker's side), turn.c (the frontier)
 * Locks:	none; its transaction holds a snapshot during a run
 * Memory:	link and queues in TopMemoryContext; a run's in its transaction
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "companion.h"
#include "compat.h"
#include "engine.h"
#include "guc.h"
#include "handler.h"
#include "json.h"
#include "registry.h"
#include "session.h"

#define QUEUE_SIZE		(256 * 1024)
#define IDLE_MS			10000
/* A process that could not be had is not asked for again so soon. */
#define RETRY_US		(1 * USECS_PER_SEC)

#define MESSAGE_BEGIN	'B'
#define MESSAGE_ANSWER	'A'
#define MESSAGE_STOP	'S'
#define MESSAGE_CALLS	'C'
#define MESSAGE_END		'E'

/* In the segment, before the two queues. */
typedef struct Shared
{
	Oid			database;
	Oid			owner;
	pg_atomic_uint32 ready;		/* the companion has attached */
}			Shared;

#define TO_COMPANION(shared)	((char *) (shared) + MAXALIGN(sizeof(Shared)))
#define TO_WORKER(shared)		(TO_COMPANION(shared) + QUEUE_SIZE)

/* One end of the link, in either process. */
typedef struct Link
{
	dsm_segment *segment;
	Shared	   *shared;
	shm_mq_handle *out;
	shm_mq_handle *in;
	BackgroundWorkerHandle *process;	/* worker's end */

	/* worker's end: the run */
	bool		running;
	int64		key;
	int32		execution;
	int			seen;			/* events the companion has */

	/* companion's end */
	int			sent;			/* events the worker has */
	bool		stopped;		/* the worker wants the run to end */
}			Link;

static bool start_process(void);
static void drop_link(void);
static void drop_link_at_exit(int code, Datum arg);
static bool send_message(char kind, const Jsonb *body);
static char receive_message(Jsonb **body, long timeout_ms);
static Jsonb *describe_run(Instance *instance, Handler *handler);
static void push_text(JsonbParseState **state, const char *key, const char *value);
static void push_jsonb(JsonbParseState **state, const char *key, const Jsonb *value);
static void push_number(JsonbParseState **state, const char *key, int64 value);
static void take_calls(Instance *instance, const Jsonb *body);
static Jsonb *element(const Jsonb *array, int index);
static void run_instance(const Jsonb *description);
static bool at_frontier(Turn *turn);
static bool only_activities(const Instance *instance);
static void add_answers(Instance *instance, const Jsonb *history);

static Link *peer = NULL;
static TimestampTz not_before = 0;

/* --- the worker's side ------------------------------------------------------ */

bool
durable_companion_begin(Instance *instance, Handler *handler)
{
	if (MyBgworkerEntry == NULL)
		return false;			/* durable.drain: one process, one session */

	durable_companion_stop();
	if (peer == NULL && !start_process())
		return false;
	if (pg_atomic_read_u32(&peer->shared->ready) == 0)
	{
		pid_t		pid;

		if (GetBackgroundWorkerPid(peer->process, &pid) == BGWH_STOPPED)
			drop_link();
		return false;			/* not yet; go on without */
	}

	if (!send_message(MESSAGE_BEGIN, describe_run(instance, handler)))
		return false;
	peer->running = true;
	peer->key = instance->key;
	peer->execution = instance->execution;
	peer->seen = 0;
	return true;
}

bool
durable_companion_runs(const Instance *instance)
{
	return peer != NULL && peer->running && peer->key == instance->key &&
		peer->execution == instance->execution &&
		peer->seen <= instance->replay.nevents;
}

bool
durable_companion_step(Instance *instance, TimestampTz clock)
{
	Replay	   *replay = &instance->replay;
	Jsonb	   *body;
	int			nevents = replay->nevents;

	Assert(durable_companion_runs(instance));

	if (!send_message(MESSAGE_ANSWER,
			  durable_history_encode(replay->events + peer->seen, nevents - peer->seen, 0)))
		return false;
	peer->seen = nevents;

	switch (receive_message(&body, durable_turn_timeout > 0 ? durable_turn_timeout : -1))
	{
		case MESSAGE_CALLS:
			take_calls(instance, body);
			peer->seen = replay->nevents;
			return true;
		case MESSAGE_END:
			peer->running = false;
			return false;
		default:
			/* Lost, or it has not answered in time. */
			drop_link();
			return false;
	}
}

void
durable_companion_stop(void)
{
	Jsonb	   *body;

	if (peer == NULL || !peer->running)
		return;
	peer->running = false;
	if (send_message(MESSAGE_STOP, NULL) &&
		receive_message(&body, durable_turn_timeout > 0 ? durable_turn_timeout : -1) != MESSAGE_END)
		drop_link();
}

/* Its calls become ours: events of the history, and activities to run. */
static void
take_calls(Instance *instance, const Jsonb *body)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	Jsonb	   *history = element(body, 0);
	HistoryEvent **events = NULL;
	int			nevents = 0;
	int			allocated = 0;

	durable_history_decode(history, HISTORY_FORMAT, 0, &events, &nevents, &allocated);
	for (int i = 0; i < nevents; i++)
	{
		HistoryEvent *event = events[i];

		durable_replay_add(&instance->replay, event);
		if (event->type == HISTORY_TASK_SCHEDULED)
			instance->activities = lappend(instance->activities,
										   durable_turn_decision_of(event));
		else if (event->type == HISTORY_LOG_WRITTEN)
			durable_turn_log(instance, event);
		else
			elog(ERROR, "companion sent event of type %d", event->type);
	}
	instance->custom_status = element(body, 1);
	if (instance->custom_status != NULL && JB_ROOT_IS_SCALAR(instance->custom_status))
	{
		JsonbValue	value;

		/* JSON null stands for none here: a status of null says the same. */
		if (JsonbExtractScalar(&instance->custom_status->root, &value) && value.type == jbvNull)
			instance->custom_status = NULL;
	}
	MemoryContextSwitchTo(old);
}

static Jsonb *
element(const Jsonb *array, int index)
{
	JsonbValue *value = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &array->root),
													  index);

	return value ? JsonbValueToJsonb(value) : NULL;
}

static Jsonb *
describe_run(Instance *instance, Handler *handler)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "handler", handler->signature);
	push_text(&state, "instance_id", instance->instance_id);
	push_text(&state, "name", instance->name);
	push_text(&state, "parent_instance_id", instance->parent_instance_id);
	push_jsonb(&state, "input", instance->input);
	push_jsonb(&state, "custom_status", instance->custom_status);
	push_number(&state, "key", instance->key);
	push_number(&state, "execution", instance->execution);
	push_number(&state, "created_at", instance->created_at);
	push_number(&state, "started_at", instance->replay.started);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The segment, its queues, and the process.  Ready some milliseconds later. */
static bool
start_process(void)
{
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old;
	BackgroundWorker worker = {0};
	dsm_handle	handle;
	shm_mq	   *queue;

	if (now < not_before)
		return false;
	not_before = now + RETRY_US;

	old = MemoryContextSwitchTo(TopMemoryContext);
	peer = palloc0(sizeof(Link));
	peer->segment = dsm_create(MAXALIGN(sizeof(Shared)) + 2 * QUEUE_SIZE,
							   DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (peer->segment == NULL)
	{
		pfree(peer);
		peer = NULL;
		MemoryContextSwitchTo(old);
		return false;
	}
	dsm_pin_mapping(peer->segment);
	peer->shared = dsm_segment_address(peer->segment);
	peer->shared->database = MyDatabaseId;
	peer->shared->owner = GetSessionUserId();
	pg_atomic_init_u32(&peer->shared->ready, 0);

	queue = shm_mq_create(TO_COMPANION(peer->shared), QUEUE_SIZE);
	shm_mq_set_sender(queue, MyProc);
	peer->out = shm_mq_attach(queue, peer->segment, NULL);
	queue = shm_mq_create(TO_WORKER(peer->shared), QUEUE_SIZE);
	shm_mq_set_receiver(queue, MyProc);
	peer->in = shm_mq_attach(queue, peer->segment, NULL);

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "durable companion of %d", MyProcPid);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "durable companion");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "durable");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "durable_companion_main");
	handle = dsm_segment_handle(peer->segment);
	StaticAssertStmt(sizeof(handle) <= BGW_EXTRALEN, "segment handle must fit");
	memcpy(worker.bgw_extra, &handle, sizeof(handle));

	if (!RegisterDynamicBackgroundWorker(&worker, &peer->process))
	{
		/* All slots taken: long bursts are slower, that is all. */
		drop_link();
		MemoryContextSwitchTo(old);
		return false;
	}
	shm_mq_set_handle(peer->out, peer->process);
	shm_mq_set_handle(peer->in, peer->process);

	{
		static bool registered = false;

		if (!registered)
			before_shmem_exit(drop_link_at_exit, (Datum) 0);
		registered = true;
	}
	MemoryContextSwitchTo(old);
	return true;
}

static void
drop_link(void)
{
	Link	   *dropped = peer;

	if (dropped == NULL)
		return;
	peer = NULL;
	if (dropped->process != NULL)
	{
		TerminateBackgroundWorker(dropped->process);
		pfree(dropped->process);
	}
	dsm_detach(dropped->segment);
	pfree(dropped);
}

static void
drop_link_at_exit(int code, Datum arg)
{
	drop_link();
}

/* --- messages --------------------------------------------------------------- */

/* False when the other end has gone; then the worker's link is dropped. */
static bool
send_message(char kind, const Jsonb *body)
{
	shm_mq_iovec parts[2];
	shm_mq_result result;

	parts[0].data = &kind;
	parts[0].len = 1;
	parts[1].data = (const char *) body;
	parts[1].len = body ? VARSIZE(body) : 0;
	result = shm_mq_sendv(peer->out, parts, body ? 2 : 1, false, true);
	if (result == SHM_MQ_SUCCESS)
		return true;
	drop_link();
	return false;
}

/* The kind of the next message; 0: none in that time (-1: no limit), or the end is gone. */
static char
receive_message(Jsonb **body, long timeout_ms)
{
	static uint32 wait_event = 0;
	TimestampTz deadline = timeout_ms < 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	Size		length;
	void	   *data;

	for (;;)
	{
		shm_mq_result result = shm_mq_receive(peer->in, &length, &data, true);
		long		ms;

		if (result == SHM_MQ_DETACHED)
			return 0;
		if (result == SHM_MQ_SUCCESS)
			break;
		ms = timeout_ms < 0 ? 1000 :
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (ms <= 0)
			return 0;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(ms, 1000), durable_wait_event(&wait_event, "DurableCompanion"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	*body = NULL;
	if (length > 1)
	{
		*body = palloc(length - 1);
		memcpy(*body, (char *) data + 1, length - 1);
	}
	return *(char *) data;
}

static void
push_text(JsonbParseState **state, const char *key, const char *value)
{
	if (value != NULL)
		push_jsonb(state, key, durable_json_text(value));
}

static void
push_number(JsonbParseState **state, const char *key, int64 value)
{
	push_jsonb(state, key, durable_history_number(value));
}

static void
push_jsonb(JsonbParseState **state, const char *key, const Jsonb *value)
{
	JsonbValue	string;
	JsonbValue	binary;

	if (value == NULL)
		return;
	string.type = jbvString;
	string.val.string.val = unconstify(char *, key);
	string.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &string);
	binary.type = jbvBinary;
	binary.val.binary.data = unconstify(JsonbContainer *, &value->root);
	binary.val.binary.len = VARSIZE(value) - VARHDRSZ;
	pushJsonbValue(state, WJB_VALUE, &binary);
}

/* --- the companion's side --------------------------------------------------- */

void
durable_companion_main(Datum arg)
{
	dsm_handle	handle;
	shm_mq	   *queue;
	MemoryContext context;

	memcpy(&handle, MyBgworkerEntry->bgw_extra, sizeof(handle));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* Attaching needs an owner for the mapping until it is pinned. */
	MemoryContextSwitchTo(TopMemoryContext);
	peer = palloc0(sizeof(Link));
	peer->segment = dsm_attach(handle);
	if (peer->segment == NULL)
		proc_exit(0);			/* the worker has gone already */
	dsm_pin_mapping(peer->segment);
	peer->shared = dsm_segment_address(peer->segment);

	durable_session_connect(peer->shared->database, peer->shared->owner);

	queue = (shm_mq *) TO_COMPANION(peer->shared);
	shm_mq_set_receiver(queue, MyProc);
	peer->in = shm_mq_attach(queue, peer->segment, NULL);
	queue = (shm_mq *) TO_WORKER(peer->shared);
	shm_mq_set_sender(queue, MyProc);
	peer->out = shm_mq_attach(queue, peer->segment, NULL);
	pg_atomic_write_u32(&peer->shared->ready, 1);

	context = AllocSetContextCreate(TopMemoryContext, "durable companion",
									ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		Jsonb	   *body;

		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
		pgstat_report_activity(STATE_IDLE, NULL);
		switch (receive_message(&body, IDLE_MS))
		{
			case MESSAGE_BEGIN:
				pgstat_report_activity(STATE_RUNNING, "durable orchestration");
				run_instance(body);
				break;
			case MESSAGE_ANSWER:
			case MESSAGE_STOP:
				/* For a run that had ended when it was sent: the worker waits for this. */
				break;
			default:
				proc_exit(0);	/* the worker has gone, or has nothing for us */
		}
	}
}

/* One run, in a transaction that leaves nothing. */
static void
run_instance(const Jsonb *description)
{
	Instance   *instance;
	Turn		turn = {0};
	Jsonb	   *history;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!durable_engine_lock())
		proc_exit(0);
	durable_registry_load(false);

	instance = palloc0(sizeof(Instance));
	instance->context = AllocSetContextCreate(CurrentMemoryContext, "durable instance",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(instance->context);
	instance->owner = GetUserId();
	instance->instance_id = durable_json_get_text(description, "instance_id");
	instance->name = durable_json_get_text(description, "name");
	instance->parent_instance_id = durable_json_get_text(description, "parent_instance_id");
	instance->input = durable_json_get_member(description, "input");
	instance->custom_status = durable_json_get_member(description, "custom_status");
	instance->key = durable_history_get_number(durable_json_get_member(description, "key"));
	instance->execution = (int32)
		durable_history_get_number(durable_json_get_member(description, "execution"));
	instance->created_at =
		durable_history_get_number(durable_json_get_member(description, "created_at"));
	instance->replay.started =
		durable_history_get_number(durable_json_get_member(description, "started_at"));

	peer->sent = 0;
	peer->stopped = false;
	turn.instance = instance;
	turn.clock = instance->replay.started;
	turn.at_frontier = at_frontier;

	/* The history comes as the first answer. */
	if (receive_message(&history, -1) == MESSAGE_ANSWER)
	{
		add_answers(instance, history);
		peer->sent = turn.fresh_events = instance->replay.nevents;
		turn.handler = durable_handler_resolve(durable_json_get_text(description, "handler"));
		(void) durable_turn_run(&turn);
	}
	AbortCurrentTransaction();
	(void) send_message(MESSAGE_END, NULL);
	if (peer == NULL)
		proc_exit(0);
}

/*
 * The orchestration waits and has seen all of its history.  If it has asked for
 * activities since: has the worker run them, and says true once there is more to
 * see.
 */
static bool
at_frontier(Turn *turn)
{
	Instance   *instance = turn->instance;
	Replay	   *replay = &instance->replay;
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *parts[2];
	Jsonb	   *answers;

	if (replay->nevents == peer->sent || !only_activities(instance))
		return false;

	parts[0] = durable_history_encode(replay->events + peer->sent,
									  replay->nevents - peer->sent, 0);
	parts[1] = instance->custom_status;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < lengthof(parts); i++)
	{
		if (parts[i] == NULL)
			value.type = jbvNull;
		else
		{
			value.type = jbvBinary;
			value.val.binary.data = &parts[i]->root;
			value.val.binary.len = VARSIZE(parts[i]) - VARHDRSZ;
		}
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	if (!send_message(MESSAGE_CALLS, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))))
		proc_exit(0);

	list_free_deep(instance->activities);
	instance->activities = NIL;
	if (receive_message(&answers, -1) != MESSAGE_ANSWER)
		return false;			/* stopped, or alone */
	add_answers(instance, answers);
	peer->sent = replay->nevents;
	turn->clock = Max(turn->clock, replay->nevents > 0 ?
					  replay->events[replay->nevents - 1]->time : 0);
	return true;
}

/* Since the worker last heard of it: nothing but activities and log lines? */
static bool
only_activities(const Instance *instance)
{
	const Replay *replay = &instance->replay;

	for (int i = peer->sent; i < replay->nevents; i++)
		if (replay->events[i]->type != HISTORY_TASK_SCHEDULED &&
			replay->events[i]->type != HISTORY_LOG_WRITTEN)
			return false;
	return instance->decisions == NIL;
}

static void
add_answers(Instance *instance, const Jsonb *history)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	HistoryEvent **events = NULL;
	int			nevents = 0;
	int			allocated = 0;

	durable_history_decode(history, HISTORY_FORMAT, 0, &events, &nevents, &allocated);
	for (int i = 0; i < nevents; i++)
		durable_replay_add(&instance->replay, events[i]);
	MemoryContextSwitchTo(old);
}
