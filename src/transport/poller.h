/*-------------------------------------------------------------------------
 * poller.h
 *		Many descriptors behind one.
 *
 * epoll on Linux, kqueue elsewhere.  The one descriptor can be waited for in
 * another set, such as a WaitEventSet, which has no way to remove a member.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_POLLER_H
#define INTEGRATION_POLLER_H

#include <stdbool.h>

typedef struct PollerEvent
{
	int			descriptor;
	bool		is_readable;
	bool		is_writable;
	bool		is_broken;
} PollerEvent;

/* A close-on-exec descriptor, or -1 with errno.  Does not throw. */
extern int	poller_create(void);

/* Does not throw. */
extern void poller_destroy(int poller);

/* Watch a descriptor from now on for exactly these; 0, or -1 with errno.  Does not throw. */
extern int	poller_watch(int poller, int descriptor, bool for_reading, bool for_writing);

/* Stop watching; one that is already closed is no error.  Does not throw. */
extern void poller_forget(int poller, int descriptor);

/* Collect up to max events without waiting; returns how many.  Does not throw. */
extern int	poller_collect(int poller, PollerEvent *events, int max);

#endif							/* INTEGRATION_POLLER_H */
