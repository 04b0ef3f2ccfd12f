/*
 * work.h - work that is handed out to workers.
 *
 *	work.c			streams of workers, fetching, handing out
 *	work_items.c	what is out
 *	work_leases.c	leases
 *	work_filter.c	which work a worker wants
 *	work_answers.c	completions
 */
#ifndef CLIENTS_SERVE_GRPC_WORK_H
#define CLIENTS_SERVE_GRPC_WORK_H

#include "grpc.h"
#include "json.h"
#include "session.h"

typedef enum WorkKind
{
	WORK_TURN, WORK_TASK, WORK_BATCH, WORK_KINDS
} WorkKind;

/* --- work_filter.c --- */
typedef struct Filter Filter;

extern Filter *filter_read(JsonSpan request);	/* of GetWorkItems; NULL: everything */
extern void filter_free(Filter *filter);
extern bool filter_wants_kind(const Filter *filter, WorkKind kind);
extern bool filter_accepts(const Filter *filter, WorkKind kind, const char *name, const char *version);
extern void filter_add_names(const Filter *filter, WorkKind kind, Buffer *array);	/* elements of an array of PostgreSQL */
extern void array_add(Buffer *array, const char *text);	/* the same for one element; NULL */

/* --- a stream of a worker --- */
typedef struct WorkStream
{
	struct WorkStream *next;
	Call	   *call;
	Filter	   *filter;
	int			limit[WORK_KINDS];
	int			out[WORK_KINDS];
	double		last_sent;
	bool		asks_for_history;	/* of large turns, instead of getting it with them */
} WorkStream;

/* --- work_items.c --- */
typedef struct WorkItem
{
	struct WorkItem *next;		/* with the same hash */
	char	   *token;
	WorkKind	kind;
	WorkStream *stream;			/* NULL: it has ended */
	char	   *instance_id;
	int			task_id;
	bool		is_cut_off;		/* the worker's connection was lost: the lease is not extended */
	double		orphan_since;	/* when the stream has ended */
	int			nparts;			/* of an answer that comes in parts: those that have come */
	Buffer		parts;			/* their actions */
	char	   *custom_status;	/* and what one of them has said besides; NULL: nothing */
	char	   *trace;
} WorkItem;

#define ITEM_HASHES		1024

typedef struct HubWork
{
	Hub		   *hub;
	WorkStream *streams;
	WorkItem   *items[ITEM_HASHES];
	int			nitems[WORK_KINDS];
	Session    *fetching[WORK_KINDS];
	Session    *waiting[WORK_KINDS];
	bool		may_be_there[WORK_KINDS];
	int			asked[WORK_KINDS];	/* in the fetch that is under way */
	bool		has_queue;
	bool		woken[WORK_KINDS];	/* the waiting session has said that there is some */
	bool		has_names[WORK_KINDS];	/* the last fetch was for some names only */
	int			in_vain[WORK_KINDS];	/* number of fetches in a row that got nothing although there was work */
	struct event *pause[WORK_KINDS];	/* between two fetches */
	bool		is_pausing[WORK_KINDS];
	bool		nothing_fits[WORK_KINDS];	/* there was work, but for none of the streams: fetch later */
	struct event *timer;
	double		extended;		/* when the leases were */
	struct Answers *answers;	/* of work_answers.c */
} HubWork;

extern WorkItem *item_add(HubWork *work, WorkKind kind, const char *token, const char *instance_id, int task_id, WorkStream *stream);
extern WorkItem *item_find(HubWork *work, const char *token);
extern WorkItem *item_of_instance(HubWork *work, WorkKind kind, const char *instance_id, int task_id);
extern void item_remove(HubWork *work, WorkItem *item);
extern void items_of_stream_end(HubWork *work, WorkStream *stream, bool is_cut_off);
extern void items_tokens(HubWork *work, bool (*chosen) (const WorkItem *item, double now), Buffer *array, bool removes);

/* --- work.c --- */
extern HubWork *work_of(Hub *hub);
extern void work_pump(HubWork *work);
extern uint64_t work_counts[];	/* handed out, of each kind */

/* --- work_leases.c --- */
extern void leases_give_back(HubWork *work);
extern void leases_extend(HubWork *work);
extern void leases_release(HubWork *work, const char *token, const char *delay);
extern void work_statement(HubWork *work, const Statement *statement, const char *const *values);

/* --- work_parts.c --- */
extern bool part_keep(Call *call, WorkItem *item, JsonSpan message);	/* true: it was the last one, and the whole is to be applied */
extern bool turn_may_lack_history(JsonSpan request);	/* of GetWorkItems */
extern const char *turn_without_history(JsonSpan item, Buffer *data);	/* the message; what is wrong, or NULL */

/* --- work_answers.c --- */
extern char *turn_trace(JsonSpan message);	/* of CompleteOrchestratorTask */
extern uint64_t answers_stale;
extern int	answers_pending(const HubWork *work);

#endif
