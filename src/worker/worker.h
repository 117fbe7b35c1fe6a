/*-------------------------------------------------------------------------
 * worker.h
 *		The process that sends one database's syncs.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WORKER_H
#define INTEGRATION_WORKER_H

#include "base/compat.h"

extern PGDLLEXPORT void integration_worker_main(Datum arg);

#endif							/* INTEGRATION_WORKER_H */
