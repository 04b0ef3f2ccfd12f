/*
 * client.h
 *		What the functions that clients call have in common.
 */
#ifndef DURABLE_CLIENT_H
#define DURABLE_CLIENT_H

#include "durable.h"
#include "fmgr.h"
#include "table_scan.h"

/* An instance as a client finds it. */
typedef struct ClientInstance
{
	char	   *instance_id;
	int64		key;
	Oid			owner;
	char		status;
	TransactionId inserted_by;	/* xmin of its row */
}			ClientInstance;

/* "Pending", "Running" and so on. */
extern const char *durable_client_status_word(char status);

/*
 * First line of every function that starts or changes something: raises WF001
 * inside an orchestration, 55000 when the library is not preloaded, 25006 in a
 * read-only transaction.  function is the name after "durable.", instead what an
 * orchestration does instead, a sentence.  The other function is for those that
 * only read.
 */
extern void durable_client_enter(const char *function, const char *instead);
extern void durable_client_refuse_in_turn(const char *function, const char *instead);

/*
 * A text argument that must not be NULL, empty or longer than DURABLE_MAX_NAME
 * (22023).  what names it in the error: "instance id".
 */
extern char *durable_client_name(FunctionCallInfo fcinfo, int argno, const char *what);
extern void durable_client_check_name(const char *name, const char *what);

/* A name for an error message, which stays readable whatever was passed for it. */
extern char *durable_client_shown(const char *name);

/*
 * An argument of type "any" as durable_json_from_any reads it.  *is_json_text: it is a
 * literal without a type that looks like JSON, and is passed as a text; warn_of_json_text says so.
 */
extern Jsonb *durable_client_json(FunctionCallInfo fcinfo, int argno, const char *what, bool *is_json_text);
extern void durable_client_warn_of_json_text(const char *what);
extern Jsonb *durable_client_event_data(FunctionCallInfo fcinfo, int argno);

/* A text argument or NULL. */
extern char *durable_client_text(FunctionCallInfo fcinfo, int argno);

/*
 * Finds an instance as it is now, whatever the transaction's snapshot says.  look_up
 * finds that owner's.  Ids are unique for each owner, so require finds the current
 * user's own, else the only one whose owner's privileges the current user has; it
 * raises WF003 when there is none, also when there is one of another role: nobody learns
 * of other people's instances.  Two are an error (42P08).  require_visible does
 * the same with those that the current user may see.
 */
extern bool durable_client_look_up(Oid owner, const char *instance_id, ClientInstance *instance);
extern void durable_client_require(const char *instance_id, ClientInstance *instance);
extern void durable_client_require_visible(const char *instance_id, ClientInstance *instance);

/* Fills in an instance from the row that the scan has found, except for the id. */
extern void durable_client_take(DurableScan *scan, ClientInstance *instance);

/* As require; raises WF004 when it is finished. */
extern void durable_client_require_unfinished(const char *instance_id, ClientInstance *instance);

pg_noreturn_compat extern void durable_client_no_instance(const char *instance_id);

/*
 * May the current user do what that role can (also when the role is gone)?  And
 * see that its instances are there, but not their payloads?
 */
extern bool durable_client_may_act_for(Oid owner);
extern bool durable_client_may_see(Oid owner);

/*
 * The two above, and the views, answer for that role until it is set back to
 * InvalidOid: engine SQL runs as the owner of the extension, who sees all.
 */
extern void durable_client_ask_as(Oid role);

/* Puts a message into the inbox of an instance and wakes its owner's workers at commit. */
extern void durable_client_send(const ClientInstance *instance, char kind,
								const char *name, const Jsonb *payload);

/* The same with a payload that is a text (verbatim.h). */
extern void durable_client_send_text(const ClientInstance *instance, char kind,
									 const char *name, const Jsonb *payload);

/* {"reason": text}, or {} for NULL; WF006 when it is too large. */
extern Jsonb *durable_client_reason(const char *reason);

/* Makes sure that the tables know which cluster they live in. */
extern void durable_client_seed_engine(void);

/*
 * Deletes a finished instance with its finished sub-orchestrations and all that belongs
 * to them; returns how many, 0 if it is gone or not finished.
 */
extern int64 durable_client_purge(int64 key);

/*
 * durable.start without its argument handling.  input may be NULL.  Returns the
 * key; *instance_id is the one given, or a new one.
 */
typedef struct StartRequest
{
	const char *name;
	const Jsonb *input;
	const char *instance_id;	/* NULL: make one */
	TimestampTz start_at;		/* DT_NOBEGIN: at once */
	const char *version;		/* or NULL */
	const Jsonb *tags;			/* or NULL */
	const char *trace;			/* for the workers of an external orchestration, or NULL */
	const char *on_conflict;	/* error, return, replace_finished */
	bool		is_json_text;	/* of the input: see durable_client_json */
	bool		accept_unfinished;	/* replace_finished: no error for one that goes on */
	bool		is_text;		/* the input is a text (verbatim.h) */
	const char *queue;			/* a name that is not registered is an external orchestration there; NULL: no */
}			StartRequest;

extern char *durable_client_start(const StartRequest *request, int64 *key);

/* The same, and whether the instance was started now; not when on_conflict let an older one be. */
extern char *durable_client_start_or_get(const StartRequest *request, int64 *key, bool *is_new);

/*
 * The same as that role, whose privileges the caller has made sure that the current user
 * has.
 */
extern char *durable_client_start_as(Oid owner, const StartRequest *request, bool *is_new);

/*
 * The checks of a start: the name, the owner, the privilege, the input.  Returns the name
 * that the same orchestration has in every session, and the input as it is stored.
 */
extern char *durable_client_check_start(const StartRequest *request, const Jsonb **input);

/* Raises 55000 when something has been added to a table that keeps instances from being started. */
extern void durable_client_check_tables(void);

/*
 * status_row.c: looks the instance up by its id and owner, and fills in the rest of it.  Returns
 * false if it does not exist.  *row: its row of durable.instances as a composite of that
 * description, in CurrentMemoryContext; 0 if the instance goes on, has a parent, or is
 * none that the current user may see: then the view must be read.
 */
extern bool durable_status_look_up(ClientInstance *instance, TupleDesc desc, Datum *row);

#endif							/* DURABLE_CLIENT_H */
