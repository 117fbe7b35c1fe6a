/*-------------------------------------------------------------------------
 * reading.h
 *		When the worker reads, what for.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_READING_H
#define INTEGRATION_READING_H

#include "worker/sender.h"

/* What a new sender needs for it; its clock is set. */
extern void reading_init(Sender *sender);

/* Whether something was announced or is due. */
extern bool reading_is_due(Sender *sender);

/*
 * Whether that may be a change after which something that is ready must not leave: people's, or a
 * newer state of its object.
 */
extern bool reading_may_stop_ready(const Sender *sender);

/* Read it. */
extern void reading_now(Sender *sender);

/* When reading has something to do next. */
extern TimestampTz reading_deadline(Sender *sender);

/* Before the worker sleeps: new rows need not wake it where it is going to look anyway. */
extern void reading_rest(Sender *sender);

#endif							/* INTEGRATION_READING_H */
