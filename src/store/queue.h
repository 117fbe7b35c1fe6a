/*-------------------------------------------------------------------------
 * queue.h
 *		New rows of the queue.
 *
 * Written as COPY writes them, without a statement of SQL: its start alone
 * would cost an application's insert more than the insert itself.  The caller
 * answers for the table's constraints; triggers are not called.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_QUEUE_H
#define INTEGRATION_QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What queue.priority says. */
enum
{
	PRIORITY_PING,
	PRIORITY_HIGH,
	PRIORITY_NORMAL,
	PRIORITY_LOW,
	PRIORITY_COUNT
};

/* One pending sync; columns that are left out get their defaults. */
typedef struct QueueRow
{
	int64		outbox_id;
	int32		endpoint_id;
	TimestampTz due_at;
	int32		payload_bytes;
	int16		priority;
	NullableDatum expires_at;
	NullableDatum ordering_key;
	NullableDatum object_type;
	NullableDatum object_id;
	NullableDatum limited_customer; /* whose max_backlog it counts for */
	NullableDatum limited_role;
} QueueRow;

typedef struct QueueWriter QueueWriter;

/* Opens the queue in the extension's schema for the current command; palloc'd.  May throw. */
extern QueueWriter *queue_open(Oid schema);

/* Adds a row.  May throw. */
extern void queue_insert(QueueWriter *writer, const QueueRow *row);

/* Frees the writer; the lock stays until the transaction ends. */
extern void queue_close(QueueWriter *writer);

#endif							/* INTEGRATION_QUEUE_H */
