/*-------------------------------------------------------------------------
 * answered.h
 *		How long an answered lease waits to be recorded.
 *
 * One that something else waits for goes with the next batch; others wait for
 * company (flow/patience.h).  An open endpoint is asked one thing at a time, so
 * nothing depends on when it is recorded that it still doesn't work: such a
 * probe in vain waits longer, for others of its kind.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_ANSWERED_H
#define INTEGRATION_ANSWERED_H

#include "worker/sender.h"

/* To ANSWERED, with lease->answer or, where nothing left, lease->reason set. */
extern void answered_add(Sender *sender, Lease *lease);

/* It is put elsewhere, or freed. */
extern void answered_leave(Sender *sender, Lease *lease);

/* A probe in vain waits no longer than other results. */
extern void answered_end_vain_wait(Sender *sender, Lease *lease);

/* So do all of them: something waits for what they are. */
extern void answered_hurry(Sender *sender);

#endif							/* INTEGRATION_ANSWERED_H */
