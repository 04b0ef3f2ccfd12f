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
	int32		task;			/* of an activity; else 0 */
	int64		key;			/* of the instance */
	int64		task_id;		/* FLIGHT_TASK: task_queue.id */
}			FlightRun;

/*
 * Call them before and after user code.  Both only store into memory.  enter returns the
 * run that was recorded until now; pass it to leave when the code has returned or raised
 * an error.  If the kind is FLIGHT_NOTHING, the record of the outer code stays.
 */
extern FlightRun durable_flight_enter(const FlightRun *run);
extern void durable_flight_leave(const FlightRun *before);

/* In the postmaster, each time that shared memory is set up: reads the records of the server's last life. */
struct FlightFile;
extern void durable_flight_start_life(struct FlightFile *without_file);

/*
 * From now on this process has a record of its own.  place: its slot, or for a
 * companion that of the worker.  The handler of SIGTERM is the process's own: it is
 * called after the sender has been looked at.
 */
extern void durable_flight_attach(int place, bool companion, Oid database, pqsigfunc terminate);

/* For processes without a record: the file notes that the postmaster sent SIGQUIT. */
extern void durable_flight_watch_quit(void);

/* At exit: did the user code that was running end this process, and no other process? */
extern bool durable_flight_ended_by_code(void);

/* --- reports: code that has ended a process or the server, until it is counted --------- */

/* The weight of one crash; an end of the whole server has weight 1. */
#define FLIGHT_CRASH	5

typedef struct FlightReport
{
	Oid			database;		/* InvalidOid: free */
	TimeLineID	timeline;
	TimestampTz since;			/* the transaction in which it ran */
	FlightRun	run;
	int32		weight;			/* FLIGHT_CRASH: it ended its process; 1: the whole server ended */
	uint64		counted_by;		/* full transaction id of the count, 0: no count has begun */
}			FlightReport;

#define FLIGHT_MAX_REPORTS	256

/* The instance, and the tasks, of this database that must not run before their reports have been counted. */
extern bool durable_report_holds_instance(int64 key);
extern int	durable_report_held_tasks(int64 *task_ids, int max);

/* The reports of this database; marks one with the transaction that counts it; removes one. */
extern int	durable_report_list(FlightReport *reports, int max);
extern void durable_report_count_by(const FlightReport *report, uint64 transaction);
extern void durable_report_remove(const FlightReport *report);

#endif							/* DURABLE_FLIGHT_H */
