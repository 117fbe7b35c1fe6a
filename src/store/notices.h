/*-------------------------------------------------------------------------
 * notices.h
 *		Statements that tell people of incidents.
 *
 * To be run within session_run(), each in a transaction of its own.  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_NOTICES_H
#define INTEGRATION_NOTICES_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Write down who is told of what is new, a line for each in the server's log;
 * not more than so many changes.  Returns how many there were.
 */
extern int	notices_distribute(int most);

/* Enqueue what is to leave.  Returns when to look again; DT_NOEND: not by itself. */
extern TimestampTz notices_send(void);

/*
 * NOTIFY those who listen, which takes a lock over all databases at commit: it
 * is waited for no more than 20 ms.  Returns whether something is left.
 */
extern bool notices_notify(void);

#endif							/* INTEGRATION_NOTICES_H */
