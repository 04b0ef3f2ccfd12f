/*
 * doctor.h
 *		The checks of durable.doctor.
 */
#ifndef DURABLE_DOCTOR_H
#define DURABLE_DOCTOR_H

#include "durable.h"
#include "executor/spi.h"
#include "nodes/execnodes.h"

typedef struct Doctor
{
	ReturnSetInfo *result;
	MemoryContext context;		/* of one check */
}			Doctor;

/* One line of the answer.  hint may be NULL and is left out when all is well. */
extern void durable_doctor_say(Doctor *doctor, const char *check, bool ok,
							   const char *detail, const char *hint);

/*
 * Runs a query as the extension's owner, planned like any query and not by key
 * as engine SQL is: checks look at whole tables.  Rows are in SPI_tuptable.
 */
extern uint64 durable_doctor_query(const char *text, int nargs, const Oid *types, const Datum *values);

/* "one instance", "12 instances"; more than the limit is "more than 10000 instances" */
#define DOCTOR_COUNT_LIMIT	10000
extern char *durable_doctor_count(int64 n, const char *one, const char *many);

/* doctor_tables.c: what the tables say */
extern void durable_doctor_check_tables(Doctor *doctor);

#endif							/* DURABLE_DOCTOR_H */
