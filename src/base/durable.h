/*
 * durable.h
 *		Terms and constants that all layers use.
 *
 * orchestration	a function that describes a workflow
 * instance			one run of a workflow, from its start to its end
 * turn				one call of the orchestration, until it waits or ends
 * activity			a function with side effects, which an orchestration calls
 * task				a durable call that an orchestration has made, and its number
 * inbox			messages that make an instance runnable
 * owner			the role that started an instance, and with whose rights it runs
 */
#ifndef DURABLE_H
#define DURABLE_H

#include "postgres.h"

#include "compat.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* The version of the library; equal to default_version in durable.control. */
#define DURABLE_VERSION	"0.2.0"

/* The engine's class of SQLSTATEs, WF. */
#define ERRCODE_DURABLE_NONDETERMINISTIC	MAKE_SQLSTATE('W','F','0','0','1')
#define ERRCODE_DURABLE_INSTANCE_EXISTS		MAKE_SQLSTATE('W','F','0','0','2')
#define ERRCODE_DURABLE_NO_INSTANCE			MAKE_SQLSTATE('W','F','0','0','3')
#define ERRCODE_DURABLE_FINISHED			MAKE_SQLSTATE('W','F','0','0','4')
#define ERRCODE_DURABLE_OUTSIDE				MAKE_SQLSTATE('W','F','0','0','5')
#define ERRCODE_DURABLE_PAYLOAD_TOO_LARGE	MAKE_SQLSTATE('W','F','0','0','6')
#define ERRCODE_DURABLE_WAITS_FOREVER		MAKE_SQLSTATE('W','F','0','0','7')
#define ERRCODE_DURABLE_LEASE_LOST			MAKE_SQLSTATE('W','F','0','0','8')
#define ERRCODE_DURABLE_LIMIT				MAKE_SQLSTATE('W','F','0','0','9')
#define ERRCODE_DURABLE_EXTERNAL			MAKE_SQLSTATE('W','F','0','1','0')

/* instance.status */
#define STATUS_PENDING		'P'
#define STATUS_RUNNING		'R'
#define STATUS_SUSPENDED	'S'
#define STATUS_COMPLETED	'C'
#define STATUS_FAILED		'F'
#define STATUS_TERMINATED	'T'

/* instance.close_policy; NULL: the sub-orchestration is terminated when its parent ends. */
#define CLOSE_ABANDON		'a' /* it goes on */
#define CLOSE_TERMINATED	't' /* it is terminated only if its parent is (external orchestrations) */

#define STATUS_IS_FINISHED(s) \
	((s) == STATUS_COMPLETED || (s) == STATUS_FAILED || (s) == STATUS_TERMINATED)

/* inbox.kind */
#define MESSAGE_START		's'
#define MESSAGE_EVENT		'e'
#define MESSAGE_COMPLETED	'c'
#define MESSAGE_FAILED		'f'
#define MESSAGE_TERMINATE	't'
#define MESSAGE_REWIND		'w'
#define TERMINATE_ALONE		"alone"	/* name of a MESSAGE_TERMINATE that does not concern the children */
#define MESSAGE_SUSPEND		'u'
#define MESSAGE_RESUME		'r'

/* inbox.kind of messages to an entity; their inbox.key is an entity's. */
#define MESSAGE_SIGNAL		'o' /* an operation without an answer */
#define MESSAGE_CALL		'q' /* an operation, whose answer goes to the sender */
#define MESSAGE_LOCK		'l' /* the sender enters a critical section */
#define MESSAGE_UNLOCK		'n' /* the sender leaves its critical section */

/* Keys of entities are computed from their ids (entity_id.c), and greater than all keys of instances. */
#define DURABLE_FIRST_ENTITY_KEY	(INT64CONST(1) << 62)
#define DURABLE_IS_ENTITY_KEY(key)	((key) >= DURABLE_FIRST_ENTITY_KEY)

/* The largest value of durable.history_limit. */
#define DURABLE_MAX_EVENTS	500000

/* The longest instance id, and the longest name of an event or of a registration, in bytes. */
#define DURABLE_MAX_NAME	1024

#endif							/* DURABLE_H */
