/*
 * action_members.h
 *		Members of JSON objects that workers send: actions of turns, actions and results of batches.
 */
#ifndef DURABLE_ACTION_MEMBERS_H
#define DURABLE_ACTION_MEMBERS_H

#include "durable.h"
#include "utils/jsonb.h"

/* For errors: "action 3 of the turn is not valid". */
typedef struct ActionPlace
{
	const char *what;			/* "action" or "result" */
	const char *of;				/* "turn" or "batch" */
	int			number;			/* from 1 */
}			ActionPlace;

extern int32 durable_action_id(const Jsonb *action, const ActionPlace * place);

/* A text, or NULL if it is missing.  The second function requires a valid name. */
extern char *durable_action_text(const Jsonb *action, const char *member, const ActionPlace * place);
extern char *durable_action_name(const Jsonb *action, const char *member, const ActionPlace * place);

/* A text as verbatim.h stores it, or NULL. */
extern Jsonb *durable_action_payload(const Jsonb *action, const char *member, const ActionPlace * place);

/* Member due_at; 0 if it is missing. */
extern TimestampTz durable_action_due(const Jsonb *action, const ActionPlace * place);

/*
 * Member tags, or NULL; and member failure, to which an SQLSTATE is added so that an
 * orchestration in SQL can catch it.
 */
extern Jsonb *durable_action_tags(const Jsonb *action, const ActionPlace * place);
extern Jsonb *durable_action_failure(const Jsonb *action, const ActionPlace * place);

/* Adds a member to an object that is being built, unless value is NULL. */
extern void durable_action_push_text(JsonbParseState **state, const char *member, const char *value);

/* Raises 22023. */
pg_noreturn_compat extern void durable_action_bad(const ActionPlace * place, const char *problem);

#endif							/* DURABLE_ACTION_MEMBERS_H */
