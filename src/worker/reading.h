/*-------------------------------------------------------------------------
 * reading.h
 *		When the worker reads, what for.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_READING_H
#define INTEGRATION_READING_H

#include "worker/sender.h"

/* Read what was announced or is due. */
extern void reading_turn(Sender *sender);

/* When reading has something to do next. */
extern TimestampTz reading_deadline(Sender *sender);

#endif							/* INTEGRATION_READING_H */
