/*-------------------------------------------------------------------------
 * places.h
 *		Where reading goes on.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PLACES_H
#define INTEGRATION_PLACES_H

#include "worker/sender.h"

/* Have a row read by its id, at once or at the next safety look. */
extern void places_read_id(Sender *sender, int64 outbox_id);
extern void places_read_id_later(Sender *sender, int64 outbox_id);

/* Have the rows of a transaction read when there is room, from this one on.  May throw. */
extern void places_defer(Sender *sender, Endpoint *endpoint, FullTransactionId change_xid,
						 TimestampTz due_at, int64 outbox_id);
extern void places_free_range(Endpoint *endpoint, Range *range);
extern void places_free_ranges(Endpoint *endpoint);

/* Have all endpoints, or one, read from the beginning. */
extern void places_rewind(Sender *sender);
extern void places_rewind_endpoint(Sender *sender, Endpoint *endpoint);

/* Note that a row is passed over; have those read again that were. */
extern void places_pass_over(Endpoint *endpoint, int16 priority, TimestampTz due_at, Hold hold);
extern void places_rewind_held(Sender *sender, Hold hold);

/* Whether reading on from the cursor comes to a row that is due then. */
extern bool places_lies_ahead(const Cursor *cursor, TimestampTz due_at, int64 outbox_id);

/*
 * A row turned up that is due then: it lies ahead of the cursor, or is read by
 * its id, or, where the clock went back, the cursor does.
 */
extern void places_expect(Sender *sender, Endpoint *endpoint, int16 priority,
						  TimestampTz due_at, int64 outbox_id);

#endif							/* INTEGRATION_PLACES_H */
