/*-------------------------------------------------------------------------
 * feeding.h
 *		What became visible since the last look.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_FEEDING_H
#define INTEGRATION_FEEDING_H

#include "worker/sender.h"

/* Read it: ids, ranges, notes of when rows are due.  Within session_run(); may throw. */
extern void feeding_step(Sender *sender);

#endif							/* INTEGRATION_FEEDING_H */
