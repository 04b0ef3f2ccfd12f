/*
 * flight_file.h
 *		Layout of the flight recorder's file; for the flight*.c and shared.h only.
 */
#ifndef DURABLE_FLIGHT_FILE_H
#define DURABLE_FLIGHT_FILE_H

#include <signal.h>

#include "flight.h"
#include "guc.h"
#include "port/atomics.h"

#define FLIGHT_MAGIC	"durable"
#define FLIGHT_VERSION	2

/*
 * Written without a lock, and only by the process with that pid, except parallel, which its
 * parallel workers write.  One cache line.
 */
typedef struct FlightRecord
{
	FlightRun	run;
	TimestampTz since;			/* start of the transaction in which the code runs */
	Oid			database;
	TimeLineID	timeline;
	int32		told;			/* 1: another process has sent this one a signal to end */
	pg_atomic_uint32 pid;		/* 0: free */
	pg_atomic_uint32 parallel;	/* parallel workers of this process that run, and have not got SIGQUIT */
	int32		unused;
}			FlightRecord;

typedef struct FlightFile
{
	char		magic[8];
	uint32		version;
	uint32		size;
	char		boot_id[40];	/* of the kernel; empty: not known */
	int32		told;			/* 1: the postmaster has sent its processes SIGQUIT */
	int32		unused;
	FlightRecord records[2 * DURABLE_MAX_SLOTS];	/* of workers and companions, in any order */
	FlightReport reports[FLIGHT_MAX_REPORTS];	/* under shared memory's report_mutex */
}			FlightFile;

/* flight.c: the mapped file, or its replacement in shared memory */
extern FlightFile *durable_flight_file(void);

/* The record of the process with that pid; NULL if it has none. */
extern FlightRecord *durable_flight_record_of(int pid);
extern void durable_flight_set_handler(int signo, void (*handler) (int, siginfo_t *, void *));

/* flight_report.c: adds a report of what the record has.  weight: see FLIGHT_CRASH. */
extern void durable_report_add(FlightFile *file, const FlightRecord *record, int weight);

#endif							/* DURABLE_FLIGHT_FILE_H */
