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

/* The database's name in buffer; false: it is gone.  Takes a transaction; may throw. */
extern bool launcher_name_database(Oid database, char buffer[NAMEDATALEN]);

extern PGDLLEXPORT void integration_launcher_main(Datum arg);

#endif							/* INTEGRATION_LAUNCHER_H */
