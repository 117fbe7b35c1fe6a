/*-------------------------------------------------------------------------
 * watchdogs.h
 *		Statements of the watchdogs.
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

/* Write down that a worker did not come round; until is 0 while it lasts.  May throw. */
extern void watchdogs_note_silence(TimestampTz since, TimestampTz until);

#endif							/* INTEGRATION_WATCHDOGS_H */
