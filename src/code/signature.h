/*
 * signature.h
 *		Handlers as text: schema-qualified name and types of the arguments.
 *
 * The form is app.hello(text,integer).  It depends neither on the search_path nor on
 * quote_all_identifiers.  Tables store functions in this form, because OIDs do not
 * survive a dump or an upgrade.
 */
#ifndef DURABLE_SIGNATURE_H
#define DURABLE_SIGNATURE_H

#include "durable.h"

#include "catalog/pg_proc.h"
#include "nodes/pg_list.h"

/* The signature of a function, and its name alone: app.hello. */
extern char *durable_signature_of(Form_pg_proc function);
extern char *durable_signature_name(Form_pg_proc function);
extern char *durable_signature_qualify(const char *schema, const char *function);

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

/*
 * Until unpin, names get quotes only where they need them, whatever quote_all_identifiers
 * says.  An error undoes it with the (sub)transaction.
 */
extern int	durable_quoting_pin(void);
extern void durable_quoting_unpin(int level);

#endif							/* DURABLE_SIGNATURE_H */
