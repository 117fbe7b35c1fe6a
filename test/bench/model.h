/*-------------------------------------------------------------------------
 * model.h
 *		A receiver of limited capacity, called through the sender's own windows.
 *
 * Windows and brakes are src/flow's, with a clock of their own.  The breaker
 * is a rule in SQL (sql/breaker.sql); here stands a model of it: open on ten
 * failures in a row or half of at least ten in a minute; 1 s, doubling up to a
 * limit, with up to a fifth added; one probe.  The seed is fixed, so a run can
 * be repeated.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_MODEL_H
#define INTEGRATION_MODEL_H

#include <stdbool.h>

/* What the receiver does for 120 s. */
typedef struct ModelReceiver
{
	int			capacity;		/* requests it works on at a time: 20 ms on
								 * the way, 100 ms of work on average */
	int			reduced_capacity;
	int			reduced_from_s;
	int			reduced_to_s;
	int			queue;			/* so many more wait, the others are refused */
	int			outage_from_s;	/* everything fails at once */
	int			outage_to_s;
} ModelReceiver;

typedef struct ModelSender
{
	int			fixed;			/* so many at once; 0: a window */
	bool		has_brake;
	double		longest_open_s; /* 0: no breaker */
} ModelSender;

typedef struct ModelResult
{
	int			done;
	int			possible;		/* at full capacity all the time that it was
								 * up */
	int			errors;
	double		p50_s;			/* of what was done */
	double		p99_s;
	double		size;			/* of the window in the end */
	int			wasted;			/* requests that were started during the
								 * outage */
	int			errors_after;	/* in the 15 s after it */
	double		recovered_s;	/* from its end until 80 % of the capacity is
								 * used; 99: never */
	int			openings;
} ModelResult;

/* Does not throw; ends the program when memory is out. */
extern ModelResult model_run(const ModelReceiver *receiver, const ModelSender *sender);

#endif							/* INTEGRATION_MODEL_H */
