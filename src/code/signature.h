/*
 * signature.h
 *		Handlers as text: schema-qualified name and types of the arguments.
 *
 * The form is app.hello(text,integer).  It does not depend on the search_path.  Tables store
 * functions in this form, because OIDs do not survive a dump or an upgrade.
 */
#ifndef DURABLE_SIGNATURE_H
#define DURABLE_SIGNATURE_H

#include "durable.h"

#include "catalog/pg_proc.h"
#include "nodes/pg_list.h"

/* The signature of a function, and its name alone: app.hello. */
extern char *durable_signature_of(Form_pg_proc function);
extern char *durable_signature_name(Form_pg_proc function);

/* Schema and function of a signature, without quotes; NIL if the text is not one. */
extern List *durable_signature_names(const char *signature);

/* The function that has this signature; InvalidOid if there is none. */
extern Oid	durable_signature_find(const char *signature);

/*
 * The function that has that name and these parameters, followed by others that have
 * defaults; InvalidOid if there is none or more than one.  *given: the number of parameters in
 * the signature.
 */
extern Oid	durable_signature_find_grown(const char *signature, int *given);

#endif							/* DURABLE_SIGNATURE_H */
