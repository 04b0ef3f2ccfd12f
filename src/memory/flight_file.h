/*
 * flight_file.h
 *		What lies in the file of the flight recorder; for flight.c, flight_report.c and shared.h only.
 */
#ifndef DURABLE_FLIGHT_FILE_H
#define DURABLE_FLIGHT_FILE_H

#include "flight.h"
#include "guc.h"

#define FLIGHT_MAGIC	"durable"
#define FLIGHT_VERSION	1

/* Written by one process only; one cache line. */
typedef struct FlightRecord
{
	FlightRun	run;
	TimestampTz since;
	Oid			database;
	TimeLineID	timeline;
	int32		told;			/* another process has told this one to end */
	int32		unused[3];
}			FlightRecord;

typedef struct FlightFile
{
	char		magic[8];
	uint32		version;
	uint32		size;
	char		boot_id[40];	/* of the kernel; empty: not known */
	int32		told;			/* the postmaster has told its processes to end */
	int32		unused;
	FlightRecord records[2 * DURABLE_MAX_SLOTS];	/* of workers, then of their companions */
	FlightReport reports[FLIGHT_MAX_REPORTS];	/* under shared memory's report_mutex */
}			FlightFile;

/* flight.c: the mapped file, or shared memory in its place */
extern FlightFile *durable_flight_file(void);

/* flight_report.c */
extern void durable_report_add(FlightFile *file, const FlightRecord *record, int weight);

#endif							/* DURABLE_FLIGHT_FILE_H */
