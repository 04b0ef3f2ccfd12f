/*
 * work_items.c - the work that is out: the stream that has it, and since when it has had none.
 *
 * This is only for limits and for leases.  The database decides whether the token of an answer is
 * valid, also for work that is not listed here.
 *
 * Owns: the items of a hub.
 * Called by: work.c, work_answers.c.
 * Memory: an item until it is answered, given back, or forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

static unsigned
hash(const char *token)
{
	unsigned	h = 5381;

	for (; *token != '\0'; token++)
		h = h * 33 + (unsigned char) *token;
	return h % ITEM_HASHES;
}

WorkItem *
item_add(HubWork *work, WorkKind kind, const char *token, const char *instance_id, int task_id, WorkStream *stream)
{
	WorkItem   *item = must_alloc(sizeof(WorkItem));
	unsigned	h = hash(token);

	item->token = must_copy(token);
	item->kind = kind;
	item->instance_id = must_copy(instance_id);
	item->task_id = task_id;
	item->stream = stream;
	item->parts.limit = (size_t) grpc_options.max_message * 1024 * 1024 * 2;
	item->next = work->items[h];
	work->items[h] = item;
	work->nitems[kind]++;
	stream->out[kind]++;
	return item;
}

WorkItem *
item_find(HubWork *work, const char *token)
{
	for (WorkItem *item = work->items[hash(token)]; item != NULL; item = item->next)
		if (strcmp(item->token, token) == 0)
			return item;
	return NULL;
}

/* For SDKs that send no token. */
WorkItem *
item_of_instance(HubWork *work, WorkKind kind, const char *instance_id, int task_id)
{
	for (int h = 0; h < ITEM_HASHES; h++)
		for (WorkItem *item = work->items[h]; item != NULL; item = item->next)
			if (item->kind == kind && strcmp(item->instance_id, instance_id) == 0 && (kind != WORK_TASK || item->task_id == task_id))
				return item;
	return NULL;
}

void
item_remove(HubWork *work, WorkItem *item)
{
	WorkItem  **link = &work->items[hash(item->token)];

	while (*link != item)
		link = &(*link)->next;
	*link = item->next;
	work->nitems[item->kind]--;
	if (item->stream != NULL)
		item->stream->out[item->kind]--;
	buffer_free(&item->parts);
	free(item->custom_status);
	free(item->trace);
	free(item->token);
	free(item->instance_id);
	free(item);
}

void
items_of_stream_end(HubWork *work, WorkStream *stream, bool is_cut_off)
{
	for (int h = 0; h < ITEM_HASHES; h++)
		for (WorkItem *item = work->items[h]; item != NULL; item = item->next)
			if (item->stream == stream)
			{
				item->stream = NULL;
				item->is_cut_off = is_cut_off;
				item->orphan_since = now_seconds();
			}
}

/* The tokens of the items that are chosen. */
void
items_tokens(HubWork *work, bool (*chosen) (const WorkItem *item, double now), Buffer *array, bool removes)
{
	double		now = now_seconds();

	for (int h = 0; h < ITEM_HASHES; h++)
		for (WorkItem *item = work->items[h], *next; item != NULL; item = next)
		{
			next = item->next;
			if (!chosen(item, now))
				continue;
			array_add(array, item->token);
			if (removes)
				item_remove(work, item);
		}
	if (array->length > 0)
		buffer_add_byte(array, '}');
}
