/*-------------------------------------------------------------------------
 * poller.h
 *		Many descriptors behind one.
 *
 * epoll on Linux, kqueue elsewhere.  The one descriptor can be waited for in
 * another set, such as a WaitEventSet, which has no way to remove a member.
 *
 * Nothing is asked of the kernel that it does already.  So a descriptor that
 * rests costs nothing when it is watched again in the same way; in return the
 * poller must be told when such a number begins to mean another file.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_POLLER_H
#define INTEGRATION_POLLER_H

#include <stdbool.h>

typedef struct Poller Poller;

typedef struct PollerEvent
{
	int			descriptor;
	bool		is_readable;
	bool		is_writable;
	bool		is_broken;
} PollerEvent;

/* NULL with errno when it can't be made.  Does not throw. */
extern Poller *poller_create(void);

/* Does not throw. */
extern void poller_destroy(Poller *poller);

/* What to wait on, close-on-exec; the same for the whole life.  Does not throw. */
extern int	poller_descriptor(const Poller *poller);

/* Watch a descriptor from now on for exactly these; 0, or -1 with errno.  Does not throw. */
extern int	poller_watch(Poller *poller, int descriptor, bool for_reading, bool for_writing);

/* Stop watching; one that is already closed is no error.  Does not throw. */
extern void poller_forget(Poller *poller, int descriptor);

/*
 * Stop watching one that will be watched again: no events come, but the kernel
 * keeps it until there is one.  To be followed by poller_note_new() before its
 * number is watched for another file.  Does not throw.
 */
extern void poller_rest(Poller *poller, int descriptor);

/* The number was closed, or stands for another file from now on.  Does not throw. */
extern void poller_note_new(Poller *poller, int descriptor);

/* Collect up to max events without waiting; returns how many.  Does not throw. */
extern int	poller_collect(Poller *poller, PollerEvent *events, int max);

#endif							/* INTEGRATION_POLLER_H */
