/*-------------------------------------------------------------------------
 * settling.h
 *		Results into tables, verdicts back into memory.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SETTLING_H
#define INTEGRATION_SETTLING_H

#include "worker/sender.h"

/* Settle what is there, if it is due. */
extern void settling_turn(Sender *sender);

/* Settle what is there, due or not. */
extern void settling_now(Sender *sender);

/* When a batch is due; DT_NOEND: there is none. */
extern TimestampTz settling_deadline(const Sender *sender);

#endif							/* INTEGRATION_SETTLING_H */
