/*-------------------------------------------------------------------------
 * poller.c
 *		Many descriptors behind one.
 *
 * A descriptor may be closed without being forgotten, since libcurl does that
 * with sockets that failed to connect, and its number may come back.  The
 * kernel drops closed ones by itself.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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
#define FIRST_ROOM 64

/* What is known of a descriptor: what it is watched for, and whether nobody asks just now. */
#define READING 1
#define WRITING 2
#define RESTING 4

struct Poller
{
	int			set;
	int			room;			/* of places */
	unsigned char *places;		/* by descriptor; 0: nothing is known */
};

static int	open_set(void);
static int	set_interest(int set, int descriptor, unsigned char interest);
static void clear_interest(int set, int descriptor);
static int	collect(int set, PollerEvent *events, int max);
static bool make_place(Poller *poller, int descriptor);
static unsigned char known(const Poller *poller, int descriptor);

Poller *
poller_create(void)
{
	Poller	   *poller = calloc(1, sizeof(Poller));

	if (!poller)
		return NULL;
	poller->set = open_set();
	if (poller->set >= 0)
		return poller;
	free(poller);
	return NULL;
}

void
poller_destroy(Poller *poller)
{
	close(poller->set);
	free(poller->places);
	free(poller);
}

int
poller_descriptor(const Poller *poller)
{
	return poller->set;
}

int
poller_watch(Poller *poller, int descriptor, bool for_reading, bool for_writing)
{
	unsigned char interest = (for_reading ? READING : 0) | (for_writing ? WRITING : 0);

	if (known(poller, descriptor) != (interest | RESTING) &&
		set_interest(poller->set, descriptor, interest) < 0)
		return -1;
	if (make_place(poller, descriptor))
		poller->places[descriptor] = interest;
	return 0;
}

void
poller_forget(Poller *poller, int descriptor)
{
	poller_note_new(poller, descriptor);
	clear_interest(poller->set, descriptor);
}

void
poller_rest(Poller *poller, int descriptor)
{
	if (known(poller, descriptor) == 0)
		clear_interest(poller->set, descriptor);
	else
		poller->places[descriptor] |= RESTING;
}

void
poller_note_new(Poller *poller, int descriptor)
{
	if (known(poller, descriptor) != 0)
		poller->places[descriptor] = 0;
}

int
poller_collect(Poller *poller, PollerEvent *events, int max)
{
	int			count = collect(poller->set, events, max);
	int			kept = 0;

	for (int i = 0; i < count; i++)
	{
		if (known(poller, events[i].descriptor) & RESTING)
			poller_forget(poller, events[i].descriptor);
		else
			events[kept++] = events[i];
	}
	return kept;
}

/* False when memory is out: then nothing is known of it. */
static bool
make_place(Poller *poller, int descriptor)
{
	int			room = poller->room ? poller->room : FIRST_ROOM;
	unsigned char *places;

	if (descriptor < poller->room)
		return true;
	while (room <= descriptor)
		room *= 2;
	places = realloc(poller->places, (size_t) room);
	if (!places)
		return false;
	memset(places + poller->room, 0, (size_t) (room - poller->room));
	poller->places = places;
	poller->room = room;
	return true;
}

static unsigned char
known(const Poller *poller, int descriptor)
{
	return descriptor < poller->room ? poller->places[descriptor] : 0;
}

#ifdef __linux__

static int
open_set(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

static int
set_interest(int set, int descriptor, unsigned char interest)
{
	struct epoll_event event = {
		.events = (interest & READING ? EPOLLIN : 0u) | (interest & WRITING ? EPOLLOUT : 0u),
		.data.fd = descriptor
	};

	if (epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	return epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event);
}

static void
clear_interest(int set, int descriptor)
{
	struct epoll_event event = {.events = 0};

	epoll_ctl(set, EPOLL_CTL_DEL, descriptor, &event);
}

static int
collect(int set, PollerEvent *events, int max)
{
	struct epoll_event ready[BATCH_MAX];
	int			count = epoll_wait(set, ready, max < BATCH_MAX ? max : BATCH_MAX, 0);

	for (int i = 0; i < count; i++)
	{
		events[i].descriptor = ready[i].data.fd;
		events[i].is_readable = (ready[i].events & (EPOLLIN | EPOLLHUP)) != 0;
		events[i].is_writable = (ready[i].events & EPOLLOUT) != 0;
		events[i].is_broken = (ready[i].events & EPOLLERR) != 0;
	}
	return count;
}

#else

static int	set_filter(int set, int descriptor, int filter, bool is_wanted);

static int
open_set(void)
{
	int			set = kqueue();

	if (set >= 0)
		fcntl(set, F_SETFD, FD_CLOEXEC);
	return set;
}

static int
set_interest(int set, int descriptor, unsigned char interest)
{
	if (set_filter(set, descriptor, EVFILT_READ, (interest & READING) != 0) < 0)
		return -1;
	return set_filter(set, descriptor, EVFILT_WRITE, (interest & WRITING) != 0);
}

static void
clear_interest(int set, int descriptor)
{
	set_filter(set, descriptor, EVFILT_READ, false);
	set_filter(set, descriptor, EVFILT_WRITE, false);
}

/* A nested kqueue stays readable until kevent() found nothing: the caller asks until then. */
static int
collect(int set, PollerEvent *events, int max)
{
	struct kevent ready[BATCH_MAX];
	struct timespec no_wait = {0};
	int			count = kevent(set, NULL, 0, ready, max < BATCH_MAX ? max : BATCH_MAX,
							   &no_wait);

	for (int i = 0; i < count; i++)
	{
		events[i].descriptor = (int) ready[i].ident;
		events[i].is_readable = ready[i].filter == EVFILT_READ;
		events[i].is_writable = ready[i].filter == EVFILT_WRITE;
		events[i].is_broken = (ready[i].flags & EV_ERROR) != 0;
	}
	return count;
}

static int
set_filter(int set, int descriptor, int filter, bool is_wanted)
{
	struct kevent change;

	EV_SET(&change, (uintptr_t) descriptor, filter, is_wanted ? EV_ADD : EV_DELETE, 0, 0, 0);
	if (kevent(set, &change, 1, NULL, 0, NULL) == 0)
		return 0;

	/* removing a filter that isn't there is what was wanted */
	return is_wanted ? -1 : 0;
}

#endif
