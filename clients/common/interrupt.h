/*
 * interrupt.h - Ctrl-C in programs that go on after it.
 */
#ifndef CLIENTS_INTERRUPT_H
#define CLIENTS_INTERRUPT_H

#include <libpq-fe.h>
#include <stdbool.h>

/* Catch SIGINT from now on.  A program that does not call this dies of it, as it should. */
extern void interrupt_catch(void);

/* The query that SIGINT shall cancel; NULL when it is over. */
extern void interrupt_cancels(PGconn *pg);

/* Was there one since interrupt_forget? */
extern bool interrupt_pending(void);
extern void interrupt_forget(void);

#endif
