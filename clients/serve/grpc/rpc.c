/*
 * rpc.c - the table of RPCs, and those that are one statement.
 *
 * Most RPCs are a call of durable.grpc(rpc, queue, request), which returns the messages of the
 * answer.  The gateway has only the tables of their messages.  extension/durable/71_grpc.sql
 * defines their meaning, and the privileges are those of the role.
 *
 * Owns: the table, with what is counted.
 * Called by: call.c.
 * Memory: nothing that stays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc.h"
#include "json.h"

#define SERVICE		"/TaskHubSidecarService/"
#define HEALTH		"/grpc.health.v1.Health/Check"

static void one_statement(Call *call, const Buffer *json);
static void history(Call *call, const Buffer *json);
static void hello(Call *call, const Buffer *json);
static void answered(const Outcome *outcome, void *arg);

const Statement rpc_statement = {"grpc", "SELECT r FROM durable.grpc($1, $2, $3::pg_catalog.jsonb) AS r", 3};

#define READS		.is_read = true
Rpc			rpcs[] = {
	{"Hello", &message_empty, &message_empty, hello},
	{"StartInstance", &message_create_instance, &message_instance_id, starts_begin},
	{"GetInstance", &message_get_instance, &message_instance, one_statement, READS},
	{"WaitForInstanceStart", &message_get_instance, &message_instance, waits_begin_start, READS},
	{"WaitForInstanceCompletion", &message_get_instance, &message_instance, waits_begin_completion, READS},
	{"RaiseEvent", &message_raise_event, &message_empty, one_statement},
	{"TerminateInstance", &message_terminate, &message_empty, one_statement},
	{"SuspendInstance", &message_with_reason, &message_empty, one_statement},
	{"ResumeInstance", &message_with_reason, &message_empty, one_statement},
	{"RewindInstance", &message_with_reason, &message_empty, one_statement},
	{"RestartInstance", &message_restart, &message_instance_id, one_statement},
	{"PurgeInstances", &message_purge, &message_purged, one_statement},
	{"QueryInstances", &message_query, &message_instances, one_statement, READS},
	{"ListInstanceIds", &message_list_ids, &message_ids, one_statement, READS},
	{"StreamInstanceHistory", &message_stream_history, &message_history_chunk, history, READS},
	{"CreateTaskHub", &message_empty, &message_empty, one_statement},
	{"DeleteTaskHub", &message_empty, &message_empty, one_statement},
	{"SkipGracefulOrchestrationTerminations", &message_skip_terminations, &message_unterminated, one_statement},
	{"GetWorkItems", &message_get_work_items, &message_work_item, work_begin, .is_stream = true},
	{"CompleteActivityTask", &message_activity_response, &message_empty, work_complete_task},
	{"CompleteOrchestratorTask", &message_orchestrator_response, &message_empty, work_complete_turn},
	{"CompleteEntityTask", &message_entity_result, &message_empty, work_complete_batch},
	{"AbandonTaskActivityWorkItem", &message_abandon, &message_empty, work_abandon},
	{"AbandonTaskOrchestratorWorkItem", &message_abandon, &message_empty, work_abandon},
	{"AbandonTaskEntityWorkItem", &message_abandon, &message_empty, work_abandon},
	{"SignalEntity", &message_signal_entity, &message_empty, one_statement},
	{"GetEntity", &message_get_entity, &message_entity, one_statement, READS},
	{"QueryEntities", &message_query_entities, &message_entities, one_statement, READS},
	{"CleanEntityStorage", &message_clean_entities, &message_cleaned, one_statement},
	{"Check", &message_health_check, &message_health, NULL},
	{NULL}
};

Rpc *
rpc_find(const char *path)
{
	Rpc		   *rpc = rpcs;

	if (strcmp(path, HEALTH) == 0)
		path = "Check";
	else if (strncmp(path, SERVICE, sizeof(SERVICE) - 1) == 0 && strcmp(path + sizeof(SERVICE) - 1, "Check") != 0)
		path += sizeof(SERVICE) - 1;
	else
		return NULL;
	while (rpc->name != NULL && strcmp(rpc->name, path) != 0)
		rpc++;
	return rpc->name != NULL ? rpc : NULL;
}

static void
hello(Call *call, const Buffer *json)
{
	(void) json;
	call_send(call, "", 0);
	call_finish(call, GRPC_OK, "%s", "");
}

static void
one_statement(Call *call, const Buffer *json)
{
	const char *values[3] = {call->rpc->name, call->hub->queue, json->data};
	Access		access = {NULL, call->hub->role, call->rpc->is_read};
	JsonSpan	request = {json->data, json->length};

	/* The change may be one for which a client waits. */
	if (!call->rpc->is_read)
	{
		char	   *instance_id = json_member_text(request, "instance_id");

		if (instance_id != NULL)
			waits_hint(call->hub, instance_id, true);
		free(instance_id);
	}
	call_keep(call);
	pool_run(&rpc_statement, values, &access, answered, call);
}

/* For a worker: the past events of its turn, which is identified by the token of the turn. */
static void
history(Call *call, const Buffer *json)
{
	JsonSpan	request = {json->data, json->length};
	Buffer		with_token = {.limit = SIZE_MAX / 4};
	char	   *id;
	const char *token;

	if (!json_member_true(request, "for_work_item"))
	{
		one_statement(call, json);
		return;
	}
	id = json_member_text(request, "instance_id");
	token = id != NULL ? work_turn_out(call->hub, id) : NULL;
	free(id);
	if (token == NULL)
	{
		call_finish(call, GRPC_NOT_FOUND, "No turn of that instance is out.");
		return;
	}
	buffer_add_format(&with_token, "{\"token\":\"%s\",", token);
	buffer_add(&with_token, json->data + 1, json->length - 1);
	buffer_text(&with_token);
	one_statement(call, &with_token);
	buffer_free(&with_token);
}

static void
answered(const Outcome *outcome, void *arg)
{
	Call	   *call = arg;

	if (outcome->rows == NULL)
		rpc_fail(call, outcome);
	else
	{
		/* Only the answer to a request that has changed nothing can be replaced by an error. */
		for (int i = 0; i < PQntuples(outcome->rows) && !call->is_finished; i++)
			if (call->rpc->is_read && hub_lacks_room(call->hub, (size_t) PQgetlength(outcome->rows, i, 0)))
				rpc_refuse_large(call);
			else
				rpc_send(call, call->rpc->answer, PQgetvalue(outcome->rows, i, 0), (size_t) PQgetlength(outcome->rows, i, 0));
		call_finish(call, GRPC_OK, "%s", "");
	}
	call_release(call);
}

bool
rpc_send(Call *call, const ProtoMessage *message, const char *json, size_t length)
{
	Buffer		data = {.limit = (size_t) grpc_options.max_message * 1024 * 1024};
	const char *problem = proto_from_json(message, json, length, &data);

	if (problem == NULL)
		call_send(call, data.data, data.length);
	else if (data.is_full)
		call_finish(call, GRPC_RESOURCE_EXHAUSTED, "The answer is larger than %d MB.", grpc_options.max_message);
	else
	{
		complain("%s: %s", call->rpc->name, problem);
		call_finish(call, GRPC_INTERNAL, "%s", problem);
	}
	buffer_free(&data);
	return problem == NULL;
}

void
rpc_refuse_large(Call *call)
{
	call_finish(call, GRPC_RESOURCE_EXHAUSTED, "Clients of this hub have asked for more than they read. Small answers are still given.");
}

/* --- errors ---------------------------------------------------------------------------------------------- */

/* The first row that fits; docs/grpc.md has this table, too.  UNAVAILABLE: nothing was done. */
static const struct
{
	const char *sqlstate;		/* or its beginning */
	GrpcStatus	status;
}			statuses[] = {
	{"WF002", GRPC_ALREADY_EXISTS},
	{"WF003", GRPC_NOT_FOUND},
	{"WF004", GRPC_FAILED_PRECONDITION},
	{"WF006", GRPC_RESOURCE_EXHAUSTED},
	{"WF008", GRPC_OK},			/* an answer that comes too late */
	{"WF009", GRPC_RESOURCE_EXHAUSTED},
	{POOL_LOST, GRPC_UNKNOWN},
	{POOL_FULL, GRPC_UNAVAILABLE},
	{"08", GRPC_UNAVAILABLE},
	{"0A", GRPC_UNIMPLEMENTED},
	{"22", GRPC_INVALID_ARGUMENT},
	{"25006", GRPC_UNAVAILABLE},	/* a standby */
	{"28", GRPC_UNAUTHENTICATED},
	{"40", GRPC_UNAVAILABLE},
	{"42501", GRPC_PERMISSION_DENIED},
	{"42", GRPC_INVALID_ARGUMENT},
	{"53", GRPC_RESOURCE_EXHAUSTED},
	{"54", GRPC_RESOURCE_EXHAUSTED},
	{"55P03", GRPC_UNAVAILABLE},
	{"55", GRPC_FAILED_PRECONDITION},
	{"57", GRPC_UNAVAILABLE}
};

GrpcStatus
rpc_status(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strncmp(sqlstate, statuses[i].sqlstate, strlen(statuses[i].sqlstate)) == 0)
			return statuses[i].status;
	return GRPC_INTERNAL;
}

void
rpc_fail(Call *call, const Outcome *outcome)
{
	GrpcStatus	status = rpc_status(outcome->sqlstate);

	if (status == GRPC_INTERNAL)
	{
		complain("%s: %s: %s", call->rpc->name, outcome->sqlstate, outcome->message);
		call_finish(call, status, "An error has occurred in the server. Its log has more.");
	}
	else if (outcome->hint != NULL)
		call_finish(call, status, "%s (%s)", outcome->message, outcome->hint);
	else
		call_finish(call, status, "%s", outcome->message);
}
