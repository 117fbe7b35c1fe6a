/*-------------------------------------------------------------------------
 * poller.c
 *		Many descriptors behind one.
 *
 * A descriptor may be closed without being forgotten, since libcurl does that
 * with sockets that failed to connect, and its number may come back.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#else
#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>
#endif

#include "transport/poller.h"

#define BATCH_MAX 64

void
poller_destroy(int poller)
{
	close(poller);
}

#ifdef __linux__

int
poller_create(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

int
poller_watch(int poller, int descriptor, bool for_reading, bool for_writing)
{
	struct epoll_event event = {
		.events = (for_reading ? EPOLLIN : 0u) | (for_writing ? EPOLLOUT : 0u),
		.data.fd = descriptor
	};

	if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	return epoll_ctl(poller, EPOLL_CTL_MOD, descriptor, &event);
}

void
poller_forget(int poller, int descriptor)
{
	struct epoll_event event = {.events = 0};

	epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, &event);
}

int
poller_collect(int poller, PollerEvent *events, int max)
{
	struct epoll_event ready[BATCH_MAX];
	int			count = epoll_wait(poller, ready, max < BATCH_MAX ? max : BATCH_MAX, 0);

	for (int i = 0; i < count; i++)
	{
		events[i].descriptor = ready[i].data.fd;
		events[i].is_readable = (ready[i].events & (EPOLLIN | EPOLLHUP)) != 0;
		events[i].is_writable = (ready[i].events & EPOLLOUT) != 0;
		events[i].is_broken = (ready[i].events & EPOLLERR) != 0;
	}
	return count > 0 ? count : 0;
}

#else

static int	set_filter(int poller, int descriptor, int filter, bool is_wanted);

int
poller_create(void)
{
	int			poller = kqueue();

	if (poller >= 0)
		fcntl(poller, F_SETFD, FD_CLOEXEC);
	return poller;
}

int
poller_watch(int poller, int descriptor, bool for_reading, bool for_writing)
{
	if (set_filter(poller, descriptor, EVFILT_READ, for_reading) < 0)
		return -1;
	return set_filter(poller, descriptor, EVFILT_WRITE, for_writing);
}

void
poller_forget(int poller, int descriptor)
{
	set_filter(poller, descriptor, EVFILT_READ, false);
	set_filter(poller, descriptor, EVFILT_WRITE, false);
}

/* A nested kqueue stays readable until kevent() found nothing: the caller asks until then. */
int
poller_collect(int poller, PollerEvent *events, int max)
{
	struct kevent ready[BATCH_MAX];
	struct timespec no_wait = {0};
	int			count = kevent(poller, NULL, 0, ready, max < BATCH_MAX ? max : BATCH_MAX,
							   &no_wait);

	for (int i = 0; i < count; i++)
	{
		events[i].descriptor = (int) ready[i].ident;
		events[i].is_readable = ready[i].filter == EVFILT_READ;
		events[i].is_writable = ready[i].filter == EVFILT_WRITE;
		events[i].is_broken = (ready[i].flags & EV_ERROR) != 0;
	}
	return count > 0 ? count : 0;
}

static int
set_filter(int poller, int descriptor, int filter, bool is_wanted)
{
	struct kevent change;

	EV_SET(&change, (uintptr_t) descriptor, filter, is_wanted ? EV_ADD : EV_DELETE, 0, 0, 0);
	if (kevent(poller, &change, 1, NULL, 0, NULL) == 0)
		return 0;

	/* removing a filter that isn't there is what was wanted */
	return is_wanted ? -1 : 0;
}

#endif
