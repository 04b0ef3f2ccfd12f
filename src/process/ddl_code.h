/*
 * ddl_code.h
 *		Statements that change or drop functions which unfinished instances run.
 */
#ifndef DURABLE_DDL_CODE_H
#define DURABLE_DDL_CODE_H

#include "nodes/pg_list.h"
#include "nodes/parsenodes.h"

/* before returns the functions that the statement may change.  after keeps copies of those that have changed. */
extern List *durable_ddl_code_before(Node *statement);
extern void durable_ddl_code_after(List *old_code);

#endif							/* DURABLE_DDL_CODE_H */
