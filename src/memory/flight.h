/*
 * flight.h
 *		The flight recorder: which user code each process runs, in a file that
 *		outlives the process and the server.
 */
#ifndef DURABLE_FLIGHT_H
#define DURABLE_FLIGHT_H

#include "durable.h"
#include "access/xlogdefs.h"
#include "access/transam.h"

/* The purpose of user code. */
typedef enum FlightKind
{
	FLIGHT_NOTHING,				/* no user code runs */
	FLIGHT_TURN,				/* an orchestration */
	FLIGHT_INLINE,				/* an activity in the transaction of a batch */
	FLIGHT_TASK					/* an activity with a transaction of its own */
}			FlightKind;

typedef struct FlightRun
{
	FlightKind	kind;
	int32		execution;
	int32		task;			/* activities: number of the call; else 0 */
	int64		key;			/* of the instance or the entity */
	int64		task_id;		/* FLIGHT_TASK: task_queue.id */
}			FlightRun;

/*
 * Called before and after user code; both only store into memory.  enter returns the run that
 * was recorded before.  The caller passes it to leave when the code has returned or raised an
 * error.  With FLIGHT_NOTHING the record of the outer code stays.
 */
extern FlightRun durable_flight_enter(const FlightRun *run);
extern void durable_flight_leave(const FlightRun *before);

/*
 * Called in the postmaster each time that shared memory is set up.  Turns the records that
 * the file has of the server's previous run into reports.  without_file is used if the file
 * cannot be mapped.
 */
struct FlightFile;
extern void durable_flight_start_life(struct FlightFile *without_file);

/*
 * Gives this process a record of its own; called before the process connects to its database.
 * terminate is the process's handler of SIGTERM; it is called after the sender of the signal
 * has been examined.  Returns false if all records are in use.
 */
extern bool durable_flight_attach(Oid database, pqsigfunc terminate);

/*
 * From now on an exit of this process in the middle of user code is reported.  Called after
 * the process has connected, so the report is made before the exit releases its locks.
 */
extern void durable_flight_connected(void);

/* For processes without a record: notes in the file when the postmaster sends SIGQUIT. */
extern void durable_flight_watch_quit(void);

/* Parallel workers of PostgreSQL that run for a process with a record: flight_parallel.c. */
extern void durable_flight_install_hooks(void);

/* At exit: did the user code that was running end this process, and no other process? */
extern bool durable_flight_ended_by_code(void);

/* --- reports: user code that has ended a process or the server, until blame.c has counted it --- */

/* The weight of one crash; an end of the whole server has weight 1. */
#define FLIGHT_CRASH	5

typedef struct FlightReport
{
	Oid			database;		/* InvalidOid: free */
	TimeLineID	timeline;
	TimestampTz since;			/* start of the transaction in which the code ran */
	FlightRun	run;
	int32		weight;			/* FLIGHT_CRASH: it ended its process; 1: the whole server ended */
	uint64		counted_by;		/* full id of the transaction that counts it; 0: none yet */
}			FlightReport;

#define FLIGHT_MAX_REPORTS	256

/*
 * Is there a report of that instance or task of this database?  It must not run until the
 * report is counted.  The answer is valid when its row is locked.
 */
extern bool durable_report_holds_instance(int64 key);
extern bool durable_report_holds_task(int64 task_id);
extern int	durable_report_held_tasks(int64 *task_ids, int max);

/* list: the reports of this database.  count_by: stores the transaction that counts it. */
extern int	durable_report_list(FlightReport *reports, int max);
extern void durable_report_count_by(const FlightReport *report, uint64 transaction);
extern void durable_report_remove(const FlightReport *report);

#endif							/* DURABLE_FLIGHT_H */
