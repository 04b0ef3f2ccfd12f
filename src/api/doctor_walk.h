/*
 * doctor_walk.h
 *		The result of the scan of instances; doctor_walk.c collects it, and
 *		doctor_findings.c reports it.
 */
#ifndef DURABLE_DOCTOR_WALK_H
#define DURABLE_DOCTOR_WALK_H

#include "datatype/timestamp.h"
#include "utils/hsearch.h"

#include "doctor.h"

/* A function that unfinished instances run, with the hash of its code; 0: not known. */
typedef struct Code
{
	char	   *signature;
	int64		hash;
	int64		instances;
	bool		changed;		/* set by resolve_code */
}			Code;

typedef struct OwnerCount
{
	Oid			owner;			/* hash key */
	int64		instances;
}			OwnerCount;

typedef struct Walk
{
	Doctor	   *doctor;
	int64		low;			/* instances with keys up to low, and from high on, were read */
	int64		high;
	int64		n_oldest;
	int64		n_newest;
	bool		complete;

	HTAB	   *owners;			/* OwnerCount */
	List	   *codes;			/* Code */
	int64		nsuspended;
	TimestampTz suspended_at;	/* the latest one with a reason */
	char	   *suspended_id;
	char	   *suspended_why;
	int			nbuffered;		/* number of buffered events that were checked */
	int			nmistyped;
	char	   *mistyped;
	char	   *meant;
	List	   *stuck;			/* int64: keys without an obvious reason to wait */
	List	   *stuck_ids;
	int64		norphans;
	char	   *orphan;			/* the first one, and its parent */
	char	   *orphan_parent;
}			Walk;

/* doctor_findings.c: adds a line for each check. */
extern void durable_doctor_say_walk(Walk *walk);

#endif							/* DURABLE_DOCTOR_WALK_H */
