/*
 * messages.c - the messages of the Durable Task protocol that are sent and received.
 *
 * The numbers are those of orchestrator_service.proto of microsoft/durabletask-protobuf at
 * commit 67a2f1d.  The names are not on the wire: they are those of the JSON that the functions
 * of the database take and return (docs/external.md).  Fields that nothing here reads or
 * writes are left out.
 *
 * Owns: the tables.
 * Called by: rpc.c, work.c, work_answers.c.
 * Memory: static.
 */
#include "messages.h"

#define MESSAGE(message_name, ...) \
	static const ProtoField message_name##_fields[] = {__VA_ARGS__}; \
	const ProtoMessage message_name = {message_name##_fields, sizeof(message_name##_fields) / sizeof(ProtoField)}
#define PART(message_name, ...) \
	static const ProtoField message_name##_fields[] = {__VA_ARGS__}; \
	static const ProtoMessage message_name = {message_name##_fields, sizeof(message_name##_fields) / sizeof(ProtoField)}

/* A field: number, name in JSON. */
#define STRING(number, name)		{number, PROTO_STRING, PROTO_PLAIN, name, NULL, NULL}
#define TEXT(number, name)			{number, PROTO_STRING, PROTO_WRAPPED, name, NULL, NULL}
#define STRINGS(number, name)		{number, PROTO_STRING, PROTO_REPEATED, name, NULL, NULL}
#define TAGS(number, name)			{number, PROTO_STRING, PROTO_MAP, name, NULL, NULL}
#define VALUES(number, name)		{number, PROTO_VALUE, PROTO_MAP, name, NULL, NULL}
#define INTEGER(number, name)		{number, PROTO_INT32, PROTO_PLAIN, name, NULL, NULL}
#define ALWAYS(number, name)		{number, PROTO_INT32, PROTO_EXPLICIT, name, NULL, NULL}
#define INTEGER_OR_NONE(number, name)	{number, PROTO_INT32, PROTO_WRAPPED, name, NULL, NULL}
#define BOOLEAN(number, name)		{number, PROTO_BOOL, PROTO_EXPLICIT, name, NULL, NULL}
#define BOOLEAN_OR_NONE(number, name)	{number, PROTO_BOOL, PROTO_WRAPPED, name, NULL, NULL}
#define TIME(number, name)			{number, PROTO_TIME, PROTO_PLAIN, name, NULL, NULL}
#define DURATION(number, name)		{number, PROTO_DURATION, PROTO_PLAIN, name, NULL, NULL}
#define OPAQUE(number, name)		{number, PROTO_OPAQUE, PROTO_PLAIN, name, NULL, NULL}
#define STATUS(number, name)		{number, PROTO_ENUM, PROTO_EXPLICIT, name, NULL, statuses}
#define STATUSES(number, name)		{number, PROTO_ENUM, PROTO_REPEATED, name, NULL, statuses}
#define ONE(number, name, type)		{number, PROTO_MESSAGE, PROTO_PLAIN, name, &type, NULL}
#define MANY(number, name, type)	{number, PROTO_MESSAGE, PROTO_REPEATED, name, &type, NULL}
#define INLINE(number, type)		{number, PROTO_MESSAGE, PROTO_INLINE, "", &type, NULL}
#define CHOICE(number, name, type)	{number, PROTO_MESSAGE, PROTO_CHOICE, name, &type, NULL}

static const char *const statuses[] = {
	"Running", "Completed", "ContinuedAsNew", "Failed", "Canceled", "Terminated", "Pending", "Suspended", NULL
};
static const char *const reuse_actions[] = {"error", "ignore", "terminate", NULL};
static const char *const capabilities[] = {"unspecified", "history_streaming", "scheduled_tasks", "large_payloads", NULL};

const ProtoMessage message_empty = {0};

/* --- failures, parents ------------------------------------------------------------------------- */

static const ProtoMessage failure;
static const ProtoField failure_fields[] = {
	STRING(1, "type"), {2, PROTO_STRING, PROTO_EXPLICIT, "message", NULL, NULL}, TEXT(3, "stack"), ONE(4, "inner", failure), BOOLEAN(5, "non_retriable"), VALUES(6, "properties")
};
static const ProtoMessage failure = {failure_fields, sizeof(failure_fields) / sizeof(ProtoField)};

PART(instance, STRING(1, "instance_id"), TEXT(2, "execution_id"));
PART(instance_only, STRING(1, "instance_id"));
PART(parent, ALWAYS(1, "task_id"), TEXT(2, "name"), TEXT(3, "version"), INLINE(4, instance));

/* --- events of histories ------------------------------------------------------------------------ */

PART(execution_started, STRING(1, "name"), TEXT(2, "version"), TEXT(3, "input"), INLINE(4, instance), ONE(5, "parent", parent),
	 TIME(6, "due_at"), OPAQUE(7, "trace"), TAGS(9, "tags"));
PART(execution_completed, STATUS(1, "status"), TEXT(2, "input"), ONE(3, "failure", failure));
PART(input_only, TEXT(1, "input"));
PART(task_scheduled, STRING(1, "name"), TEXT(2, "version"), TEXT(3, "input"), OPAQUE(4, "trace"), TAGS(5, "tags"));
PART(answer_completed, INTEGER(1, "task_id"), TEXT(2, "input"));
PART(answer_failed, INTEGER(1, "task_id"), ONE(2, "failure", failure));
PART(sub_created, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "version"), TEXT(4, "input"), OPAQUE(5, "trace"), TAGS(6, "tags"));
PART(timer_created, TIME(1, "due_at"));
PART(timer_fired, TIME(1, "due_at"), INTEGER(2, "task_id"));
PART(event_sent, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "input"));
PART(event_raised, STRING(1, "name"), TEXT(2, "input"));
PART(generic, TEXT(1, "type"));
PART(operation_signaled, STRING(1, "request_id"), STRING(2, "name"), TIME(3, "due_at"), TEXT(4, "input"), TEXT(5, "instance_id"));
PART(operation_called, STRING(1, "request_id"), STRING(2, "name"), TIME(3, "due_at"), TEXT(4, "input"), TEXT(5, "parent_instance_id"),
	 TEXT(6, "parent_execution_id"), TEXT(7, "instance_id"));
PART(operation_completed, STRING(1, "request_id"), TEXT(2, "input"));
PART(operation_failed, STRING(1, "request_id"), ONE(2, "failure", failure));
PART(lock_requested, STRING(1, "request_id"), STRINGS(2, "lock_set"), INTEGER(3, "position"), TEXT(4, "parent_instance_id"));
PART(lock_granted, STRING(1, "request_id"));
PART(unlock_sent, STRING(1, "request_id"), TEXT(2, "parent_instance_id"), TEXT(3, "instance_id"));
PART(rewound, TEXT(1, "input"));

PART(event, ALWAYS(1, "event_id"), TIME(2, "at"),
	 CHOICE(3, "ExecutionStarted", execution_started), CHOICE(4, "ExecutionCompleted", execution_completed),
	 CHOICE(5, "ExecutionTerminated", input_only), CHOICE(6, "TaskScheduled", task_scheduled),
	 CHOICE(7, "TaskCompleted", answer_completed), CHOICE(8, "TaskFailed", answer_failed),
	 CHOICE(9, "SubOrchestrationInstanceCreated", sub_created),
	 CHOICE(10, "SubOrchestrationInstanceCompleted", answer_completed), CHOICE(11, "SubOrchestrationInstanceFailed", answer_failed),
	 CHOICE(12, "TimerCreated", timer_created), CHOICE(13, "TimerFired", timer_fired),
	 CHOICE(14, "OrchestratorStarted", message_empty), CHOICE(16, "EventSent", event_sent), CHOICE(17, "EventRaised", event_raised),
	 CHOICE(18, "*", generic), CHOICE(21, "ExecutionSuspended", input_only), CHOICE(22, "ExecutionResumed", input_only),
	 CHOICE(23, "EntityOperationSignaled", operation_signaled), CHOICE(24, "EntityOperationCalled", operation_called),
	 CHOICE(25, "EntityOperationCompleted", operation_completed), CHOICE(26, "EntityOperationFailed", operation_failed),
	 CHOICE(27, "EntityLockRequested", lock_requested), CHOICE(28, "EntityLockGranted", lock_granted),
	 CHOICE(29, "EntityUnlockSent", unlock_sent), CHOICE(30, "ExecutionRewound", rewound));

/* --- actions of a turn --------------------------------------------------------------------------- */

PART(schedule_task, STRING(1, "name"), TEXT(2, "version"), TEXT(3, "input"), TAGS(4, "tags"), OPAQUE(5, "trace"));
PART(create_sub, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "version"), TEXT(4, "input"), OPAQUE(5, "trace"), TAGS(6, "tags"));
PART(send_event, INLINE(1, instance_only), STRING(2, "name"), TEXT(3, "input"));
PART(carried_event, INLINE(17, event_raised));
PART(complete, STATUS(1, "status"), TEXT(2, "output"), TEXT(4, "version"), MANY(5, "carryover", carried_event), ONE(6, "failure", failure));
PART(terminate, STRING(1, "instance_id"), TEXT(2, "reason"), BOOLEAN(3, "recurse"));
PART(signal_entity, STRING(1, "request_id"), STRING(2, "operation"), TIME(3, "due_at"), TEXT(4, "input"), TEXT(5, "instance_id"));
PART(call_entity, STRING(1, "request_id"), STRING(2, "operation"), TEXT(4, "input"), TEXT(7, "instance_id"));
PART(entity_message, CHOICE(1, "signal_entity", signal_entity), CHOICE(2, "call_entity", call_entity),
	 CHOICE(3, "lock_entities", lock_requested), CHOICE(4, "unlock_entity", unlock_sent));

PART(action, ALWAYS(1, "id"), CHOICE(2, "schedule_task", schedule_task), CHOICE(3, "create_sub_orchestration", create_sub),
	 CHOICE(4, "create_timer", timer_created), CHOICE(5, "send_event", send_event), CHOICE(6, "complete", complete),
	 CHOICE(7, "terminate", terminate), INLINE(8, entity_message), CHOICE(9, "rewind", message_empty));

/* --- requests of clients -------------------------------------------------------------------------- */

PART(reuse_policy, STATUSES(1, "statuses"), {2, PROTO_ENUM, PROTO_PLAIN, "action", NULL, reuse_actions});
MESSAGE(message_create_instance, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "version"), TEXT(4, "input"), TIME(5, "start_at"),
		ONE(6, "reuse_policy", reuse_policy), TAGS(8, "tags"), OPAQUE(9, "trace"));
MESSAGE(message_instance_id, STRING(1, "instance_id"));
MESSAGE(message_get_instance, STRING(1, "instance_id"), BOOLEAN(2, "with_payloads"));
MESSAGE(message_raise_event, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "input"));
MESSAGE(message_terminate, STRING(1, "instance_id"), TEXT(2, "output"), BOOLEAN(3, "recursive"));
MESSAGE(message_with_reason, STRING(1, "instance_id"), TEXT(2, "reason"));
MESSAGE(message_restart, STRING(1, "instance_id"), BOOLEAN(2, "new_id"));

PART(query, STATUSES(1, "statuses"), TIME(2, "created_from"), TIME(3, "created_to"), INTEGER(5, "page_size"), TEXT(6, "after"),
	 TEXT(7, "id_prefix"), BOOLEAN(8, "with_payloads"));
MESSAGE(message_query, ONE(1, "query", query));
MESSAGE(message_list_ids, STATUSES(1, "statuses"), TIME(2, "completed_from"), TIME(3, "completed_to"), INTEGER(4, "page_size"), TEXT(5, "after"));
PART(purge_filter, TIME(1, "created_from"), TIME(2, "created_to"), STATUSES(3, "statuses"), DURATION(4, "timeout"));
PART(ids, STRINGS(1, "instance_ids"));
MESSAGE(message_purge, STRING(1, "instance_id"), ONE(2, "filter", purge_filter), BOOLEAN(3, "recursive"), ONE(4, "batch", ids),
		BOOLEAN(5, "is_orchestration"));
MESSAGE(message_stream_history, STRING(1, "instance_id"), TEXT(2, "execution_id"), BOOLEAN(3, "for_work_item"));
MESSAGE(message_skip_terminations, ONE(1, "batch", ids), TEXT(2, "reason"));

/* --- answers to clients --------------------------------------------------------------------------- */

PART(state, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "version"), STATUS(4, "status"), TIME(5, "scheduled_start"),
	 TIME(6, "created_at"), TIME(7, "updated_at"), TEXT(8, "input"), TEXT(9, "output"), TEXT(10, "custom_status"),
	 ONE(11, "failure", failure), TEXT(12, "execution_id"), TIME(13, "completed_at"), TEXT(14, "parent_instance_id"), TAGS(15, "tags"));
MESSAGE(message_instance, BOOLEAN(1, "exists"), ONE(2, "state", state));
MESSAGE(message_instances, MANY(1, "states", state), TEXT(2, "next"));
MESSAGE(message_ids, STRINGS(1, "instance_ids"), TEXT(2, "next"));
MESSAGE(message_purged, INTEGER(1, "deleted"), BOOLEAN_OR_NONE(2, "is_complete"));
MESSAGE(message_history_chunk, MANY(1, "events", event));
MESSAGE(message_unterminated, STRINGS(1, "instance_ids"));

/* --- work ------------------------------------------------------------------------------------------- */

PART(filter, STRING(1, "name"), STRINGS(2, "versions"));
PART(entity_filter, STRING(1, "name"));
PART(filters, MANY(1, "orchestrations", filter), MANY(2, "activities", filter), MANY(3, "entities", entity_filter));
MESSAGE(message_get_work_items, INTEGER(1, "max_turns"), INTEGER(2, "max_tasks"), INTEGER(3, "max_entities"),
		{10, PROTO_ENUM, PROTO_REPEATED, "capabilities", NULL, capabilities}, ONE(11, "filters", filters));

PART(entity_parameters, DURATION(1, "reorder_window"));
PART(orchestrator_request, STRING(1, "instance_id"), TEXT(2, "execution_id"), MANY(3, "past_events", event), MANY(4, "new_events", event),
	 ONE(5, "entity_parameters", entity_parameters), BOOLEAN(6, "requires_history_streaming"), OPAQUE(8, "orchestration_trace"));
PART(activity_request, STRING(1, "name"), TEXT(2, "version"), TEXT(3, "input"), INLINE(4, instance), INTEGER(5, "task_id"),
	 OPAQUE(6, "trace"), TAGS(7, "tags"));
PART(entity_request, STRING(1, "instance_id"), STRING(2, "execution_id"), TEXT(3, "state"), MANY(4, "operations", event));
MESSAGE(message_work_item, ONE(1, "turn", orchestrator_request), ONE(2, "task", activity_request), ONE(4, "ping", message_empty),
		ONE(5, "entity", entity_request), STRING(10, "token"));

MESSAGE(message_orchestrator_response, STRING(1, "instance_id"), MANY(2, "actions", action), TEXT(3, "custom_status"), STRING(4, "token"),
		INTEGER_OR_NONE(5, "events_processed"), OPAQUE(6, "trace"), BOOLEAN(7, "requires_history"), BOOLEAN(8, "is_partial"),
		INTEGER_OR_NONE(9, "chunk"));
MESSAGE(message_activity_response, STRING(1, "instance_id"), INTEGER(2, "task_id"), TEXT(3, "result"), ONE(4, "failure", failure),
		STRING(5, "token"));
MESSAGE(message_abandon, STRING(1, "token"));

/* --- entities ----------------------------------------------------------------------------------------- */

MESSAGE(message_signal_entity, STRING(1, "instance_id"), STRING(2, "operation"), TEXT(3, "input"), STRING(4, "request_id"), TIME(5, "due_at"));
MESSAGE(message_get_entity, STRING(1, "instance_id"), BOOLEAN(2, "with_state"));
PART(entity_metadata, STRING(1, "instance_id"), TIME(2, "modified_at"), INTEGER(3, "backlog"), TEXT(4, "locked_by"), TEXT(5, "state"));
MESSAGE(message_entity, BOOLEAN(1, "exists"), ONE(2, "entity", entity_metadata));
PART(entity_query, TEXT(1, "id_prefix"), TIME(2, "modified_from"), TIME(3, "modified_to"), BOOLEAN(4, "with_state"),
	 BOOLEAN(5, "with_transient"), INTEGER_OR_NONE(6, "page_size"), TEXT(7, "after"));
MESSAGE(message_query_entities, ONE(1, "query", entity_query));
MESSAGE(message_entities, MANY(1, "entities", entity_metadata), TEXT(2, "next"));
MESSAGE(message_clean_entities, TEXT(1, "after"), BOOLEAN(2, "remove_empty"), BOOLEAN(3, "release_locks"));
MESSAGE(message_cleaned, TEXT(1, "next"), INTEGER(2, "removed"), INTEGER(3, "released"));

PART(operation_success, TEXT(1, "output"));
PART(operation_failure, ONE(1, "failure", failure));
PART(operation_result, CHOICE(1, "completed", operation_success), CHOICE(2, "failed", operation_failure));
PART(entity_signal, STRING(1, "instance_id"), STRING(2, "operation"), TEXT(3, "input"), TIME(4, "due_at"));
PART(entity_start, STRING(1, "instance_id"), STRING(2, "name"), TEXT(3, "version"), TEXT(4, "input"), TIME(5, "due_at"));
PART(entity_decision, ALWAYS(1, "id"), CHOICE(2, "signal_entity", entity_signal), CHOICE(3, "start_orchestration", entity_start));
PART(operation_info, STRING(1, "request_id"), INLINE(2, instance));
MESSAGE(message_entity_result, MANY(1, "results", operation_result), MANY(2, "actions", entity_decision), TEXT(3, "state"),
		ONE(4, "failure", failure), STRING(5, "token"), MANY(6, "operations", operation_info));

/* --- grpc.health.v1 ------------------------------------------------------------------------------------- */

MESSAGE(message_health_check, STRING(1, "service"));
MESSAGE(message_health, INTEGER(1, "status"));
