/*
 * call_sql.h
 *		The built-in activity that runs an SQL text.
 */
#ifndef DURABLE_CALL_SQL_H
#define DURABLE_CALL_SQL_H

#include "durable.h"

/* Input {"query": text, "params": array}; rows as an array of objects. */
extern Jsonb *durable_call_sql(const Jsonb *input);

#endif							/* DURABLE_CALL_SQL_H */
