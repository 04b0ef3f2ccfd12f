/*-------------------------------------------------------------------------
 *
 * companion.c
 *		A second process that keeps an orchestration running during a long burst of activities:
 *		the worker's side.
 *
 * A turn ends by unwinding the orchestration's stack, and the next one replays it
 * from the top: n activities in a row cost O(n^2).  The stack cannot be kept while
 * activities run and commit in the same process.  (Where they leave nothing in the
 * database, straight_through.c avoids the replays.)  So when a burst gets long, the worker lets
 * the companion run the orchestration.  The companion replays to the end of the history.  Then,
 * instead of unwinding the stack, it sends the next activities to the worker and waits for
 * their answers.  The worker runs, records and commits them as always.
 *
 * The companion makes no decisions.  It only sends calls of activities and log lines.
 * When the orchestration does anything else, ends, or waits for an event that has not
 * arrived, the companion's run is over and its last calls are dropped; the worker then
 * runs an ordinary turn over the whole history, and only its result counts.  So replay
 * stays authoritative, and the loss of a companion costs only time.
 *
 * Owns:	the process and the link to it
 * Called by: execution.c
 * Locks:	none
 * Memory:	the link in TopMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "companion.h"
#include "companion_link.h"
#include "guc.h"
#include "json.h"
#include "slot.h"
#include "usercall.h"

/* After a failure to start a process, no other is requested for this time; in milliseconds. */
#define RETRY_AFTER		1000

/* A companion that has to copy this much does not save time. */
#define MESSAGE_BYTES	(64 * 1024 * 1024)

typedef struct Peer
{
	CompanionLink link;
	BackgroundWorkerHandle *process;

	/* the run */
	bool		running;
	int64		key;
	int32		execution;
	int			seen;			/* events that the companion has */
}			Peer;

static bool start_process(void);
static bool create_link(void);
static Jsonb *create_link_body(void *arg);
static void drop_link(void);
static void drop_link_at_exit(int code, Datum arg);
static bool send_message(char kind, const Jsonb *body);
static Jsonb *describe_run(Instance *instance, Handler *handler);
static void push_text(JsonbParseState **state, const char *key, const char *value);
static void push_number(JsonbParseState **state, const char *key, int64 value);
static bool is_large(const Replay *replay, int from);
static void take_calls(Instance *instance, const Jsonb *body);
static Jsonb *element(const Jsonb *array, int index);

static Peer *peer = NULL;
static TimestampTz asked_at = 0;	/* for a process */

bool
durable_companion_begin(Instance *instance, Handler *handler)
{
	if (MyBgworkerEntry == NULL)
		return false;			/* durable.drain: one process, one session */
	if (is_large(&instance->replay, 0))
		return false;

	durable_companion_stop();
	if (peer == NULL && !start_process())
		return false;
	if (!durable_link_is_open(&peer->link))
	{
		pid_t		pid;

		if (GetBackgroundWorkerPid(peer->process, &pid) == BGWH_STOPPED)
			drop_link();
		return false;			/* it is not ready yet; continue without it */
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

	if (is_large(replay, peer->seen))
	{
		durable_companion_stop();
		return false;
	}
	if (!send_message(MESSAGE_ANSWER,
			  durable_history_encode(replay->events + peer->seen, nevents - peer->seen, 0)))
		return false;
	peer->seen = nevents;

	switch (durable_link_receive(&peer->link, &body, durable_turn_timeout > 0 ? durable_turn_timeout : -1))
	{
		case MESSAGE_CALLS:
			take_calls(instance, body);
			peer->seen = replay->nevents;
			return true;
		case MESSAGE_END:
			peer->running = false;
			return false;
		default:
			/* The companion is lost, or has not answered in time. */
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
		durable_link_receive(&peer->link, &body, durable_turn_timeout > 0 ? durable_turn_timeout : -1) != MESSAGE_END)
		drop_link();
}

/* Are these events too large for one message?  (A jsonb value has at most 256 MB.) */
static bool
is_large(const Replay *replay, int from)
{
	Size		bytes = 0;

	for (int i = from; i < replay->nevents && bytes <= MESSAGE_BYTES; i++)
		bytes += durable_history_event_size(replay->events[i]);
	return bytes > MESSAGE_BYTES;
}

/* The companion's calls become events of the history. */
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
		if (events[i]->type == HISTORY_LOG_WRITTEN)
			durable_turn_log(instance, events[i]);
		else if (events[i]->type != HISTORY_TASK_SCHEDULED && events[i]->type != HISTORY_PATCHED)
			elog(ERROR, "companion sent event of type %d", events[i]->type);
	}
	durable_turn_adopt(instance, events, nevents);
	instance->custom_status = element(body, 1);
	if (instance->custom_status != NULL && JB_ROOT_IS_SCALAR(instance->custom_status))
	{
		JsonbValue	value;

		/* JSON null stands for no status here: a status of null has the same meaning. */
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
	push_text(&state, "home", instance->handler_signature);
	push_number(&state, "code_hash", instance->code_hash);
	push_text(&state, "instance_id", instance->instance_id);
	push_text(&state, "name", instance->name);
	push_text(&state, "parent_instance_id", instance->parent_instance_id);
	durable_json_push_member(&state, "input", instance->input);
	durable_json_push_member(&state, "custom_status", instance->custom_status);
	push_number(&state, "key", instance->key);
	push_number(&state, "execution", instance->execution);
	push_number(&state, "parent_attempt", instance->parent_attempt);
	push_number(&state, "created_at", instance->created_at);
	push_number(&state, "started_at", instance->replay.started);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
push_text(JsonbParseState **state, const char *key, const char *value)
{
	if (value != NULL)
		durable_json_push_member(state, key, durable_json_text(value));
}

static void
push_number(JsonbParseState **state, const char *key, int64 value)
{
	durable_json_push_member(state, key, durable_history_number(value));
}

/* Makes the link and starts the process, which is ready some milliseconds later. */
static bool
start_process(void)
{
	static bool registered = false;
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old;
	BackgroundWorker worker = {0};
	CompanionStart start = {0};

	if (!durable_clock_passed(asked_at, now, RETRY_AFTER))
		return false;
	asked_at = now;

	if (!create_link())
		return false;

	old = MemoryContextSwitchTo(TopMemoryContext);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "durable companion of %d", MyProcPid);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "durable companion");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "durable");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "durable_companion_main");
	start.segment = dsm_segment_handle(peer->link.segment);
	start.database = MyDatabaseId;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "CompanionStart is too large");
	memcpy(worker.bgw_extra, &start, sizeof(start));

	if (!RegisterDynamicBackgroundWorker(&worker, &peer->process))
	{
		/* All slots are taken: the only effect is that long bursts are slower. */
		drop_link();
		MemoryContextSwitchTo(old);
		return false;
	}
	shm_mq_set_handle(peer->link.out, peer->process);
	shm_mq_set_handle(peer->link.in, peer->process);

	if (!registered)
		before_shmem_exit(drop_link_at_exit, (Datum) 0);
	registered = true;
	MemoryContextSwitchTo(old);
	return true;
}

/* Creating a segment raises an error if there is not enough shared memory, as in many containers. */
static bool
create_link(void)
{
	static bool logged = false;
	UserCall	call = {.body = create_link_body, .read_only = true};
	bool		created = false;

	call.arg = &created;
	peer = MemoryContextAllocZero(TopMemoryContext, sizeof(Peer));
	durable_usercall_run(&call);
	if (!call.returned && !logged)
		ereport(LOG,
				(errmsg("could not create shared memory for a durable companion: %s", call.error->message),
				 errdetail("Long bursts of activities run more slowly.")));
	logged = !call.returned;
	if (created)
		return true;
	pfree(peer);
	peer = NULL;
	return false;
}

static Jsonb *
create_link_body(void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	*(bool *) arg = durable_link_create(&peer->link);
	MemoryContextSwitchTo(old);
	return NULL;
}

static void
drop_link(void)
{
	Peer	   *dropped = peer;

	if (dropped == NULL)
		return;
	peer = NULL;
	if (dropped->process != NULL)
	{
		TerminateBackgroundWorker(dropped->process);
		pfree(dropped->process);
	}
	dsm_detach(dropped->link.segment);
	pfree(dropped);
}

static void
drop_link_at_exit(int code, Datum arg)
{
	drop_link();
}

/* Returns false, and drops the link, when the companion has exited. */
static bool
send_message(char kind, const Jsonb *body)
{
	if (durable_link_send(&peer->link, kind, body))
		return true;
	drop_link();
	return false;
}
