/*
 * collector.c - requests that go into one statement together.
 *
 * While a statement is executed, the requests that arrive are collected.  The next statement takes all of them in
 * one transaction.  If a statement fails, its requests can be put back so that each is sent by itself, and a
 * request that fails does not affect the others.
 *
 * Owns: the order of the requests.
 * Called by: starts.c, work_answers.c.
 * Memory: none; the requests belong to the callers.
 */
#include "collector.h"

void
collector_add(Collector *collector, Collected *request)
{
	if (collector->first == NULL)
		collector->end = &collector->first;
	request->next = NULL;
	*collector->end = request;
	collector->end = &request->next;
}

/* A statement that cannot be sent fails at once, within send, and then the next one is sent by this loop. */
void
collector_send(Collector *collector, void (*send) (void *arg), void *arg)
{
	if (collector->is_sending)
		return;
	collector->is_sending = true;
	while (!collector->is_busy && collector->first != NULL)
		send(arg);
	collector->is_sending = false;
}

Collected *
collector_take(Collector *collector, int most, size_t largest, size_t (*add) (void *arg, const Collected *request), void *arg, int *n)
{
	Collected  *list = NULL;
	Collected **end = &list;
	size_t		size = 0;

	*n = 0;
	while (collector->first != NULL && *n < most && size < largest)
	{
		Collected  *request = collector->first;

		if (request->alone && *n > 0)
			break;
		collector->first = request->next;
		request->next = NULL;
		*end = request;
		end = &request->next;
		(*n)++;
		size += add(arg, request);
		if (request->alone)
			break;
	}
	return list;
}

void
collector_give_back(Collector *collector, Collected *list, bool alone)
{
	Collected **end = &list;

	for (; *end != NULL; end = &(*end)->next)
		if (alone)
			(*end)->alone = true;
	*end = collector->first;
	if (collector->first == NULL)
		collector->end = end;
	collector->first = list;
}
