/*
 * session.h
 *		The session in which a worker runs user code.
 */
#ifndef DURABLE_SESSION_H
#define DURABLE_SESSION_H

#include "durable.h"

/* Connects this process to the database as that role; FATAL if that is not possible. */
extern void durable_session_connect(Oid database, Oid owner);

/* May the owner still have workers?  Not without LOGIN.  Called in a transaction. */
extern bool durable_session_may_go_on(void);

/* Settings of a background process of the engine, after it has connected. */
extern void durable_process_settings(const char *application_name);

/* For messages; no catalog access. */
extern const char *durable_session_database_name(void);

/*
 * The last line of the context of a worker's errors.  strip_context removes it from an error
 * that becomes the failure of an instance, which is the user's data.
 */
extern char *durable_session_context(void);
extern void durable_session_strip_context(ErrorData *error);

/*
 * State that user code has left in the session is removed before the next unit.
 * before_commit resets in the unit's transaction all that is cheap to reset.  commit_later: this
 * commit, after before_commit, does not wait for the disk.  after_commit
 * releases advisory locks, which must be held until the effects of the unit are visible.
 * reset is for the state that needs a transaction of its own; it is called only if
 * left_something returned true before the commit.
 */
extern void durable_session_before_commit(void);
extern void durable_session_commit_later(void);
extern void durable_session_after_commit(void);
extern bool durable_session_left_something(void);
extern void durable_session_reset(void);

#endif							/* DURABLE_SESSION_H */
