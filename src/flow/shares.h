/*-------------------------------------------------------------------------
 * shares.h
 *		Who may use one more of the worker's connections.
 *
 * Each endpoint that has or wants some may have its fair share; more only
 * while enough stay free for the others.  An endpoint that is silent (gave no
 * answer last time, or is overdue) holds a connection for a whole time-out, one
 * that was never called may do so: together they get half of the connections,
 * which for those never called is three quarters.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SHARES_H
#define INTEGRATION_SHARES_H

#include <stdbool.h>
#include <stdint.h>

/* What is known of an endpoint. */
typedef enum Trust
{
	TRUST_UNKNOWN,				/* never called */
	TRUST_ANSWERS,
	TRUST_SILENT				/* did not answer last time, or is overdue */
} Trust;

/* How the worker's connections are used. */
typedef struct Shares
{
	int			connections;	/* all there are */
	int			used;
	int			used_by_doubtful;	/* by endpoints that are not known to
									 * answer */
	int			claimants;		/* endpoints that have or want some */
} Shares;

/* Whether an endpoint that holds so many may start one more.  Does not throw. */
extern bool shares_allow(const Shares *shares, int held, Trust trust);

/*
 * Whether an answer is overdue that the endpoint (usual_ms: its baseline, 0
 * when not known) owes for so long.  Does not throw.
 */
extern bool shares_is_overdue(double usual_ms, int64_t waited_us);

#endif							/* INTEGRATION_SHARES_H */
