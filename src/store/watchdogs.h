/*-------------------------------------------------------------------------
 * watchdogs.h
 *		The statement that has the watchdogs look.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WATCHDOGS_H
#define INTEGRATION_WATCHDOGS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Have all watchdogs look, within session_run_within().  Returns when they have
 * to look again.  May throw.
 */
extern TimestampTz watchdogs_look(void);

#endif							/* INTEGRATION_WATCHDOGS_H */
