/*-------------------------------------------------------------------------
 * deliveries.h
 *		Plain deliveries: out of the queue, into attempt.
 *
 * Straight through the table and index interfaces, since a statement of SQL
 * spends twice as long on a row as the row itself takes.  Whether a delivery is
 * plain is for SQL to say; the caller answers for the tables' constraints.  Where
 * somebody's trigger would have to be called nothing is written.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_DELIVERIES_H
#define INTEGRATION_DELIVERIES_H

#include "postgres.h"

#include "store/result.h"

/* A value of integration_worker.result, taken apart; valid until the writer is closed. */
typedef struct ResultRow
{
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS];
} ResultRow;

typedef struct DeliveryWriter DeliveryWriter;

/* Opens the tables in the extension's schema for the current command; palloc'd.  May throw. */
extern DeliveryWriter *deliveries_open(Oid schema);

/*
 * Ends a sync as delivered.  False: nothing was written, since it is not queued
 * as it was when it was taken, has an ordering key, is a ping, because somebody
 * holds its row, for which it never waits, or a trigger has to be called.
 * api_version is the connector's, a text.  May throw.
 */
extern bool deliveries_record(DeliveryWriter *writer, const ResultRow *result,
							  NullableDatum api_version);

/* Writes what is held back and frees the writer; the locks stay until the transaction ends. */
extern void deliveries_close(DeliveryWriter *writer);

#endif							/* INTEGRATION_DELIVERIES_H */
