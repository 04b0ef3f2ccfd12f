/*
 * client.h
 *		Functions that the files of the client API share.
 */
#ifndef DURABLE_CLIENT_H
#define DURABLE_CLIENT_H

#include "durable.h"
#include "fmgr.h"
#include "table_scan.h"

/* An instance that a client has named. */
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
 * Every function that starts or changes something begins with durable_client_enter.  It raises
 * WF001 inside an orchestration, 55000 if the library is not preloaded, and 25006 in a read-only
 * transaction.  function is its name without the schema; instead is a sentence for the hint, the
 * alternative in an orchestration.  Functions that only read begin with refuse_in_turn.
 */
extern void durable_client_enter(const char *function, const char *instead);
extern void durable_client_refuse_in_turn(const char *function, const char *instead);

/*
 * A text argument.  Raises 22023 if it is NULL, empty or longer than DURABLE_MAX_NAME.  "what"
 * names it in the error, for example "instance id".
 */
extern char *durable_client_name(FunctionCallInfo fcinfo, int argno, const char *what);
extern void durable_client_check_name(const char *name, const char *what);

/* A name in a form that is readable in an error message, whatever was passed. */
extern char *durable_client_shown(const char *name);

/*
 * An argument of type "any" as durable_json_from_any reads it.  *is_json_text: it is an untyped
 * literal that looks like JSON, and was read as a text; warn_of_json_text raises a warning.
 */
extern Jsonb *durable_client_json(FunctionCallInfo fcinfo, int argno, const char *what, bool *is_json_text);
extern void durable_client_warn_of_json_text(const char *what);
extern Jsonb *durable_client_event_data(FunctionCallInfo fcinfo, int argno);

/* A text argument or NULL. */
extern char *durable_client_text(FunctionCallInfo fcinfo, int argno);

/*
 * These find the present state of an instance, whatever the transaction's snapshot is.  look_up
 * finds that of the given owner.
 *
 * Ids are unique for each owner.  require finds the instance of the current user, or else the
 * only one whose owner's privileges the current user has.  It raises WF003 if there is none,
 * also if another role has one, so that its existence is not disclosed; 42P08 if there are
 * several.  require_visible does the same for instances that the current user may see.
 */
extern bool durable_client_look_up(Oid owner, const char *instance_id, ClientInstance *instance);
extern void durable_client_require(const char *instance_id, ClientInstance *instance);
extern void durable_client_require_visible(const char *instance_id, ClientInstance *instance);

/* Fills in an instance from the row that the scan has found, except for the id. */
extern void durable_client_take(DurableScan *scan, ClientInstance *instance);

/* Like require; also raises WF004 if the instance is finished. */
extern void durable_client_require_unfinished(const char *instance_id, ClientInstance *instance);

pg_noreturn_compat extern void durable_client_no_instance(const char *instance_id);

/*
 * May the current user act for that role, even if the role does not exist any more?  May it see
 * the role's instances without their payloads?
 */
extern bool durable_client_may_act_for(Oid owner);
extern bool durable_client_may_see(Oid owner);

/*
 * The two functions above, and the views, answer for that role until it is reset to InvalidOid.
 * Engine SQL needs this because it runs as the owner of the extension, which may see everything.
 */
extern void durable_client_ask_as(Oid role);

/* Inserts a message into the inbox of an instance, and wakes its owner's workers at commit. */
extern void durable_client_send(const ClientInstance *instance, char kind,
								const char *name, const Jsonb *payload);

/* The same with a payload that is a text (verbatim.h). */
extern void durable_client_send_text(const ClientInstance *instance, char kind,
									 const char *name, const Jsonb *payload);

/* {"reason": text}, or {} for NULL; raises WF006 if it is too large. */
extern Jsonb *durable_client_reason(const char *reason);

/* Inserts the row of durable.engine, which identifies the cluster and the database, unless it exists. */
extern void durable_client_seed_engine(void);

/*
 * Deletes a finished instance and its finished sub-orchestrations, with all their rows.  Returns
 * the number of instances, 0 if the instance does not exist or is not finished.
 */
extern int64 durable_client_purge(int64 key);

/* The arguments of durable.start(). */
typedef struct StartRequest
{
	const char *name;
	const Jsonb *input;
	const char *instance_id;	/* NULL: a new one is generated */
	TimestampTz start_at;		/* DT_NOBEGIN: at once */
	const char *version;		/* or NULL */
	const Jsonb *tags;			/* or NULL */
	const char *trace;			/* for the workers of an external orchestration, or NULL */
	const char *on_conflict;	/* error, return, replace_finished */
	bool		is_json_text;	/* of the input: see durable_client_json */
	bool		accept_unfinished;	/* replace_finished: an unfinished instance is not an error */
	bool		is_text;		/* the input is a text (verbatim.h) */
	const char *queue;			/* a name that is not registered is an external orchestration in this queue;
								 * NULL: it is an error */
}			StartRequest;

/* Starts an instance.  Returns its id, the given one or a new one, and its key. */
extern char *durable_client_start(const StartRequest *request, int64 *key);

/*
 * The same for that owner.  The caller has checked that the current user has its privileges.  *is_new: false if
 * on_conflict has returned an instance that existed.
 */
extern char *durable_client_start_as(Oid owner, const StartRequest *request, bool *is_new);

/*
 * Checks the name, the owner, the privilege and the input of a start.  Returns the name by which
 * every session finds the same orchestration, and the input as it is stored.
 */
extern char *durable_client_check_start(const StartRequest *request, const Jsonb **input);

/* Raises 55000 if an object was added to a table that prevents the start of instances. */
extern void durable_client_check_tables(void);

/*
 * status_row.c: looks the instance up by its id and owner, and sets the other members.  Returns
 * false if it does not exist.  *row: its row of durable.instances as a composite with that
 * descriptor, in CurrentMemoryContext.  It is 0 if the instance is unfinished, has a parent, or
 * must not be seen by the current user; then the caller reads the view.
 */
extern bool durable_status_look_up(ClientInstance *instance, TupleDesc desc, Datum *row);

#endif							/* DURABLE_CLIENT_H */
