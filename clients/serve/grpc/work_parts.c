/*
 * work_parts.c - turns that are too large for one message: answers in parts, histories that are sent later.
 *
 * Workers in .NET and Java send a large answer in parts, which are numbered from 0 on and joined here.
 * A worker that says so (HISTORY_STREAMING, .NET) gets a turn with more than a megabyte of history without
 * the past events, and asks for these with StreamInstanceHistory.
 *
 * Owns: the parts of an item.
 * Called by: work.c, work_answers.c, rpc.c.
 * Memory: parts live as long as their item.
 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

static void keep(char *text, char **place);

/* Adds the actions of a part; true: it was the last one, and the whole is to be applied. */
bool
part_keep(Call *call, WorkItem *item, JsonSpan message)
{
	JsonSpan	actions;
	JsonSpan	action;
	JsonSpan	chunk;
	int			number;

	if (item == NULL)
	{
		answers_stale++;
		call_send(call, "", 0);
		call_finish(call, GRPC_OK, "%s", "");
		return false;
	}
	/* Of a part that comes again, because the worker has not got our answer, the first counts. */
	if (json_member(message, "chunk", &chunk) && (number = atoi(chunk.at)) != item->nparts)
	{
		if (number > item->nparts)
			call_finish(call, GRPC_INVALID_ARGUMENT, "Part %d of the answer has come, and part %d has not.", number, item->nparts);
		else
		{
			call_send(call, "", 0);
			call_finish(call, GRPC_OK, "%s", "");
		}
		return false;
	}
	item->nparts++;
	keep(json_member_text(message, "custom_status"), &item->custom_status);
	keep(turn_trace(message), &item->trace);
	if (json_member(message, "actions", &actions))
		while (json_element(&actions, &action))
		{
			if (item->parts.length > 0)
				buffer_add_byte(&item->parts, ',');
			buffer_add(&item->parts, action.at, action.length);
		}
	if (item->parts.is_full)
	{
		call_finish(call, GRPC_RESOURCE_EXHAUSTED, "The parts of the answer are larger than %d MB.", grpc_options.max_message);
		return false;
	}
	if (!json_member_true(message, "is_partial"))
		return true;
	call_send(call, "", 0);
	call_finish(call, GRPC_OK, "%s", "");
	return false;
}

static void
keep(char *text, char **place)
{
	if (text == NULL)
		return;
	free(*place);
	*place = text;
}

/* --- histories that are sent later --------------------------------------------------------------------------- */

bool
turn_may_lack_history(JsonSpan request)
{
	JsonSpan	list;
	JsonSpan	element;
	bool		found = false;

	if (json_member(request, "capabilities", &list))
		while (json_element(&list, &element))
		{
			char	   *word = json_text(element);

			found |= word != NULL && strcmp(word, "history_streaming") == 0;
			free(word);
		}
	return found;
}

/* The turn with a word in place of its past events, for which the worker then asks (StreamInstanceHistory). */
const char *
turn_without_history(JsonSpan item, Buffer *data)
{
	Buffer		json = {.limit = SIZE_MAX / 4};
	JsonSpan	turn;
	JsonSpan	past;
	const char *problem;

	if (!json_member(item, "turn", &turn) || !json_member(turn, "past_events", &past))
		return "There is no turn.";
	buffer_add(&json, item.at, (size_t) (past.at - item.at));
	buffer_add_text(&json, "[],\"requires_history_streaming\":true");
	buffer_add(&json, past.at + past.length, item.length - (size_t) (past.at - item.at) - past.length);
	problem = proto_from_json(&message_work_item, json.data, json.length, data);
	buffer_free(&json);
	return problem;
}

/* The token of the turn of an instance that is out; NULL: there is none. */
const char *
work_turn_out(Hub *hub, const char *instance_id)
{
	WorkItem   *item = hub->work != NULL ? item_of_instance(hub->work, WORK_TURN, instance_id, 0) : NULL;

	return item != NULL ? item->token : NULL;
}
