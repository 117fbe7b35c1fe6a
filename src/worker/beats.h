/*-------------------------------------------------------------------------
 * beats.h
 *		Which workers don't come round any more, as the launcher sees it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_BEATS_H
#define INTEGRATION_BEATS_H

/* To be called once, before anything else.  May throw. */
extern void beats_begin(void);

/*
 * Look whether each worker has come round since the last time, report one that
 * has not for too long.  Returns milliseconds until it has to look again, -1:
 * there is none.  May throw.
 */
extern long beats_look(void);

#endif							/* INTEGRATION_BEATS_H */
