/*-------------------------------------------------------------------------
 * sending.h
 *		Whose turn it is to send.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SENDING_H
#define INTEGRATION_SENDING_H

#include "worker/sender.h"

extern void sending_init(Sender *sender);

/* Start what may leave now, a few of them: the next turn starts more. */
extern void sending_turn(Sender *sender);

/* It has got something to send, or room; nothing happens where a time keeps it waiting. */
extern void sending_offer(Sender *sender, Endpoint *endpoint);

/* What kept it waiting may have changed. */
extern void sending_reconsider(Sender *sender, Endpoint *endpoint);

/* Take it out of every list of those that wait; nothing of it may be in flight. */
extern void sending_forget(Sender *sender, Endpoint *endpoint);

/* There is an access token, or none can be had: those that wait for one look again. */
extern void sending_tokens_changed(Sender *sender);

/* When a token or an opening lets something leave that is ready now. */
extern TimestampTz sending_deadline(const Sender *sender);

/* Take answers over from the transport. */
extern void sending_collect(Sender *sender);

#endif							/* INTEGRATION_SENDING_H */
