/*
 * session.h
 *		The session in which a worker runs user code.
 */
#ifndef DURABLE_SESSION_H
#define DURABLE_SESSION_H

#include "durable.h"

/* Connects this process to the database as that role. FATAL if that is impossible. */
extern void durable_session_connect(Oid database, Oid owner);

/* Within a transaction: may its owner still have workers? Without LOGIN it may not. */
extern bool durable_session_may_go_on(void);

/* Settings of a process of ours, after it has connected. */
extern void durable_process_settings(const char *application_name);

/* Names for messages; they need no catalog. */
extern const char *durable_session_user_name(void);
extern const char *durable_session_database_name(void);

/*
 * The last line of what a worker's errors say of their context.  In what becomes
 * data of a user's there is no place for it.
 */
extern char *durable_session_context(void);
extern void durable_session_strip_context(ErrorData *error);

/*
 * What user code left behind in the session goes away before the next unit.  In
 * the unit's transaction: what is cheap.  After it: advisory locks, which have to
 * outlive the commit.  And only if durable_session_left_something() said so before
 * the commit: what needs a transaction of its own.
 */
extern void durable_session_before_commit(void);
extern void durable_session_after_commit(void);
extern bool durable_session_left_something(void);
extern void durable_session_reset(void);

#endif							/* DURABLE_SESSION_H */
