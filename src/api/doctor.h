/*
 * doctor.h
 *		The checks of durable.doctor().
 */
#ifndef DURABLE_DOCTOR_H
#define DURABLE_DOCTOR_H

#include "durable.h"
#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "portability/instr_time.h"

typedef struct Doctor
{
	ReturnSetInfo *result;
	MemoryContext context;		/* of one check */
	instr_time	began;
	int64		limit_us;		/* time limit of checks that read many rows; 0: none */
}			Doctor;

/* The number of names that a line of the result lists. */
#define DOCTOR_LISTED		3

/* In a statement with $1: the caller may see all instances; $2: the caller. */
#define DOCTOR_VISIBLE(owner)	"($1 OR pg_has_role($2, " owner ", 'USAGE'))"
#define DOCTOR_UNFINISHED		"status IN ('P', 'R', 'S')"

/* Adds a line to the result.  hint may be NULL, and is left out if ok. */
extern void durable_doctor_say(Doctor *doctor, const char *check, bool ok,
							   const char *detail, const char *hint);

/*
 * Runs a query as the extension's owner.  The planner chooses its plan, other than that of engine
 * SQL, because checks read whole tables.  Rows are in SPI_tuptable.
 */
extern uint64 durable_doctor_query(const char *text, int nargs, const Oid *types, const Datum *values);

/* "one instance", "12 instances"; a number above the limit is "more than 10000 instances". */
#define DOCTOR_COUNT_LIMIT	10000
extern char *durable_doctor_count(int64 n, const char *one, const char *many);
extern char *durable_doctor_count_exactly(int64 n, const char *one, const char *many);

/*
 * Runs body in a subtransaction that is rolled back.  Returns its error, or NULL.  A cancel
 * request or shutdown is raised again.
 */
extern ErrorData *durable_doctor_attempt(void (*body) (void *arg), void *arg);

extern bool durable_doctor_time_is_over(Doctor *doctor);

/* Up to which time this server has all changes: on a primary now, on a standby the last replayed commit. */
extern TimestampTz durable_doctor_known_until(void);

/* doctor_tables.c: the tables and the work in them */
extern void durable_doctor_check_tables(Doctor *doctor);

/* doctor_queues.c: workers outside of the database */
extern void durable_doctor_check_queues(Doctor *doctor);

/* doctor_entities.c */
extern void durable_doctor_check_entities(Doctor *doctor);

/* doctor_schedules.c */
extern void durable_doctor_check_schedules(Doctor *doctor);

/* doctor_walk.c: the instances */
extern void durable_doctor_walk(Doctor *doctor);

/* doctor_server.c: effects of other servers and sessions */
extern void durable_doctor_check_standby(Doctor *doctor);
extern void durable_doctor_check_oldest_snapshot(Doctor *doctor);
extern void durable_doctor_check_autovacuum(Doctor *doctor);

#endif							/* DURABLE_DOCTOR_H */
