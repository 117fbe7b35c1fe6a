/*-------------------------------------------------------------------------
 * comment.h
 *		Trace context from the comment of the statement that inserts.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_COMMENT_H
#define INTEGRATION_COMMENT_H

#include "postgres.h"

#include "access/htup.h"
#include "commands/trigger.h"

/*
 * The outbox row of a BEFORE INSERT trigger: with the trace context of the
 * statement's sqlcommenter comment where it has none of its own.
 */
extern HeapTuple comment_continue_trace(const TriggerData *trigger);

#endif							/* INTEGRATION_COMMENT_H */
