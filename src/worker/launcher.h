/*-------------------------------------------------------------------------
 * launcher.h
 *		The process that keeps the workers of each database.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LAUNCHER_H
#define INTEGRATION_LAUNCHER_H

#include "base/compat.h"

/* Have the postmaster start the launcher; called once from _PG_init().  May throw. */
extern void launcher_register(void);

extern PGDLLEXPORT void integration_launcher_main(Datum arg);

#endif							/* INTEGRATION_LAUNCHER_H */
