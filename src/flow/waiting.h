/*-------------------------------------------------------------------------
 * waiting.h
 *		Attempts that are still to be told to a collector of telemetry.
 *
 * Room is bounded.  Attempts of syncs that failed have room of their own, and
 * leave first: they are what people look for.  Of deliveries whole traces are
 * left out once the room is half full: whose id is above a share that shrinks
 * with what is left of it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WAITING_H
#define INTEGRATION_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "message/trace_context.h"

#define WAITING_DELIVERED_MOST 131072
#define WAITING_FAILED_MOST 8192

/* An attempt, as its span is known by. */
typedef struct WaitingAttempt
{
	int64_t		outbox_id;
	char		span_id[17];
	bool		is_ended;		/* nothing follows it by itself */
	bool		is_failed;
} WaitingAttempt;

typedef struct WaitingLine
{
	uint32_t	taken;			/* since the beginning, as all of these */
	uint32_t	added;
} WaitingLine;

/* Zeroed it is empty. */
typedef struct Waiting
{
	WaitingLine delivered_line;
	WaitingLine failed_line;
	WaitingAttempt delivered[WAITING_DELIVERED_MOST];
	WaitingAttempt failed[WAITING_FAILED_MOST];
} Waiting;

/*
 * Have an attempt wait; had_failures: its sync failed, now or before.  False
 * where it is left out.  Does not throw.
 */
extern bool waiting_add(Waiting *waiting, const WaitingAttempt *attempt, bool had_failures,
						const TraceContext *trace);

/* Does not throw. */
extern int	waiting_count(const Waiting *waiting);

/* Copies those that leave next, so many at most; returns how many.  Does not throw. */
extern int	waiting_next(const Waiting *waiting, WaitingAttempt *batch, int most);

/* The first so many of them have left.  Does not throw. */
extern void waiting_forget(Waiting *waiting, int count);

#endif							/* INTEGRATION_WAITING_H */
