/*
 * determinism.h
 *		Detects what an orchestration must not do, such as reading tables or the clock.
 */
#ifndef DURABLE_DETERMINISM_H
#define DURABLE_DETERMINISM_H

#include "durable.h"

extern void durable_determinism_install_hooks(void);	/* from _PG_init */

#endif							/* DURABLE_DETERMINISM_H */
