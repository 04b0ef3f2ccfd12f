/*
 * interrupt.h - Ctrl-C in programs that go on after it.
 */
#ifndef CLIENTS_INTERRUPT_H
#define CLIENTS_INTERRUPT_H

#include <libpq-fe.h>
#include <stdbool.h>

/* Catches SIGINT from now on. It terminates a program that does not call this. */
extern void interrupt_catch(void);

/* The query that SIGINT cancels; NULL: there is none. */
extern void interrupt_cancels(PGconn *pg);

/* Was there one since interrupt_forget? */
extern bool interrupt_pending(void);
extern void interrupt_forget(void);

#endif
