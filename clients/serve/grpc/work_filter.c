/*
 * work_filter.c - the filters of a worker: names of work, and versions of them.
 *
 * A worker without filters gets all work.  A worker with filters gets only the listed work, and none of a kind
 * that has no list.
 *
 * Owns: nothing.
 * Called by: work.c.
 * Memory: a Filter is its stream's.
 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

typedef struct FilterName
{
	struct FilterName *next;
	char	   *name;
	JsonSpan	versions;		/* an array, in the text of the name */
	char	   *text;
} FilterName;

struct Filter
{
	FilterName *names[WORK_KINDS];
};

static const char *const members[WORK_KINDS] = {"orchestrations", "activities", "entities"};

Filter *
filter_read(JsonSpan request)
{
	JsonSpan	filters;
	Filter	   *filter;

	if (!json_member(request, "filters", &filters))
		return NULL;
	filter = must_alloc(sizeof(Filter));
	for (int kind = 0; kind < WORK_KINDS; kind++)
	{
		JsonSpan	list;
		JsonSpan	entry;

		if (!json_member(filters, members[kind], &list))
			continue;
		while (json_element(&list, &entry))
		{
			FilterName *name = must_alloc(sizeof(FilterName));

			name->text = must_alloc(entry.length + 1);
			memcpy(name->text, entry.at, entry.length);
			entry.at = name->text;
			name->name = json_member_text(entry, "name");
			if (name->name == NULL)
				name->name = must_copy("");
			if (kind == WORK_BATCH)
				for (char *c = name->name; *c != '\0'; c++)
					*c = *c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c;	/* as the engine stores them */
			json_member(entry, "versions", &name->versions);
			name->next = filter->names[kind];
			filter->names[kind] = name;
		}
	}
	return filter;
}

void
filter_free(Filter *filter)
{
	if (filter == NULL)
		return;
	for (int kind = 0; kind < WORK_KINDS; kind++)
		while (filter->names[kind] != NULL)
		{
			FilterName *name = filter->names[kind];

			filter->names[kind] = name->next;
			free(name->name);
			free(name->text);
			free(name);
		}
	free(filter);
}

bool
filter_wants_kind(const Filter *filter, WorkKind kind)
{
	return filter == NULL || filter->names[kind] != NULL;
}

bool
filter_accepts(const Filter *filter, WorkKind kind, const char *name, const char *version)
{
	if (filter == NULL)
		return true;
	for (const FilterName *entry = filter->names[kind]; entry != NULL; entry = entry->next)
	{
		JsonSpan	versions = entry->versions;
		JsonSpan	element;
		bool		any = true;
		bool		found = false;

		if (strcmp(entry->name, name) != 0)
			continue;
		while (versions.at != NULL && json_element(&versions, &element))
		{
			char	   *text = json_text(element);

			any = false;
			found |= text != NULL && strcmp(text, version) == 0;
			free(text);
		}
		if (any || found)
			return true;
	}
	return false;
}

void
filter_add_names(const Filter *filter, WorkKind kind, Buffer *array)
{
	for (const FilterName *entry = filter->names[kind]; entry != NULL; entry = entry->next)
		array_add(array, entry->name);
}

void
array_add(Buffer *array, const char *text)
{
	if (text == NULL)
	{
		buffer_add_text(array, array->length == 0 ? "{NULL" : ",NULL");
		return;
	}
	buffer_add_text(array, array->length == 0 ? "{\"" : ",\"");
	for (; *text != '\0'; text++)
	{
		if (*text == '"' || *text == '\\')
			buffer_add_byte(array, '\\');
		buffer_add_byte(array, *text);
	}
	buffer_add_byte(array, '"');
}
