/*-------------------------------------------------------------------------
 * settling.h
 *		Results into tables, verdicts back into memory.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SETTLING_H
#define INTEGRATION_SETTLING_H

#include "worker/sender.h"

/* Nothing more can join the batch that somebody waits for, or it is full, or old enough. */
extern bool settling_is_due(const Sender *sender);

/* Settle what is there, due or not. */
extern void settling_now(Sender *sender);

/* When a batch is due; DT_NOEND: there is none. */
extern TimestampTz settling_deadline(const Sender *sender);

#endif							/* INTEGRATION_SETTLING_H */
