/*-------------------------------------------------------------------------
 * watching.h
 *		The watchdogs look, now and then.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WATCHING_H
#define INTEGRATION_WATCHING_H

#include "worker/sender.h"

/* Have the watchdogs look where it is time; nothing where another worker does it. */
extern void watching_turn(const Sender *sender);

/* When they have to look again. */
extern TimestampTz watching_deadline(const Sender *sender);

#endif							/* INTEGRATION_WATCHING_H */
