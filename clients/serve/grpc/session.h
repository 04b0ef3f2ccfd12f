/*
 * session.h - a connection to PostgreSQL of its own, with a role, for one statement at a time.
 */
#ifndef CLIENTS_SERVE_GRPC_SESSION_H
#define CLIENTS_SERVE_GRPC_SESSION_H

#include "../serve.h"

typedef struct Session Session;

/*
 * changed is called when the session has become ready, or (is_ready false) was lost. It reconnects
 * automatically. may_forget: a crash of the server may undo what was committed last
 * (synchronous_commit = off).
 */
extern Session *session_new(const char *role, bool may_forget, void (*changed) (void *arg, bool is_ready), void *arg);
extern bool session_is_idle(const Session *session);	/* ready, and nothing is being executed */
extern void session_run(Session *session, const Statement *statement, const char *const *values, OutcomeHandler handler, void *arg);

#endif
