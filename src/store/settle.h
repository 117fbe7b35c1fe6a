/*-------------------------------------------------------------------------
 * settle.h
 *		A batch of facts into deliver() or settle(), verdicts out of it.
 *
 * To be called within session_run(); strings are UTF-8.  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SETTLE_H
#define INTEGRATION_SETTLE_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"

/* What is known of one attempt; strings may be NULL, numbers -1. */
typedef struct Fact
{
	int64		outbox_id;
	int32		endpoint_id;
	FullTransactionId change_xid;
	const char *reason;
	TimestampTz started_at;
	int32		duration_ms;
	int32		http_status;
	const char *error;
	const char *request_url;
	const char *remote_address;
	int32		dns_ms;
	int32		connect_ms;
	int32		tls_ms;
	int32		first_byte_ms;
	int32		retry_after_s;
	const char *redirect_url;
	const char *response_headers;
	const char *response_body;
	const char *trace_id;
	const char *span_id;
	const char *object_type;
	const char *object_id;
} Fact;

/* Figures of one endpoint that live in the worker between two settles. */
typedef struct Counter
{
	int32		endpoint_id;
	int32		failures;
	TimestampTz minute_at;
	int32		minute_attempts;
	int32		minute_failures;
	int32		window;
	int32		row_after;		/* so many of the batch's facts came before a
								 * delivery that has left it */
	TimestampTz changed_at;		/* when the worker read that what it is called
								 * with was changed; 0: never */
} Counter;

/* One row of settle(): of a sync, or (outbox_id 0) of an endpoint. */
typedef struct Verdict
{
	int64		outbox_id;
	int32		endpoint_id;
	char		state[16];
	TimestampTz due_at;			/* 0: none */
	char		signal[16];
	Counter		counter;
} Verdict;

/* A batch of results on its way through settle(). */
typedef struct Settlement
{
	int			fact_count;
	Fact	   *facts;
	int			counter_count;
	Counter    *counters;
	int			verdict_count;
	Verdict    *verdicts;
} Settlement;

/*
 * Record the plain deliveries among the facts; returns how many that were,
 * their places in facts in places, which has room for all.
 */
extern int	settle_plain(const Settlement *settlement, int *places);

/* Record the facts by all the rules.  Fills in the verdicts, in memory. */
extern void settle_by_rules(MemoryContext memory, Settlement *settlement);

/*
 * Go through what a bad answer sets off, and take it back: the session has its
 * plans then.  May throw.
 */
extern void settle_rehearse(void);

#endif							/* INTEGRATION_SETTLE_H */
