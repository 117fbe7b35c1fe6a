/*-------------------------------------------------------------------------
 * poller_test.c
 *		Many descriptors behind one.
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "transport/poller.h"

static bool
is_ready(int descriptor)
{
	struct pollfd waited = {.fd = descriptor,.events = POLLIN};

	return poll(&waited, 1, 0) == 1;
}

int
main(void)
{
	PollerEvent events[4];
	int			pair[2];
	int			poller = poller_create();

	tap_ok(poller >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "set up");
	tap_number(poller_collect(poller, events, 4), 0, "nothing watched, nothing ready");
	tap_ok(poller_watch(poller, pair[0], true, false) == 0, "watch for reading");
	tap_ok(!is_ready(poller), "no data, not ready");

	tap_ok(write(pair[1], "x", 1) == 1 && is_ready(poller), "data makes the one descriptor ready");
	tap_number(poller_collect(poller, events, 4), 1, "one event");
	tap_ok(events[0].descriptor == pair[0] && events[0].is_readable && !events[0].is_writable,
		   "of the right kind");

	tap_ok(poller_watch(poller, pair[0], false, true) == 0, "change to writing");
	tap_number(poller_collect(poller, events, 4), 1, "one event");
	tap_ok(events[0].is_writable && !events[0].is_readable, "of the new kind");

	poller_forget(poller, pair[0]);
	tap_number(poller_collect(poller, events, 4), 0, "a forgotten descriptor is silent");
	poller_forget(poller, pair[0]);

	poller_watch(poller, pair[0], true, false);
	close(pair[1]);
	tap_number(poller_collect(poller, events, 4), 1, "the other end went away");
	tap_ok(events[0].is_readable, "which shows as readable");
	close(pair[0]);
	tap_number(poller_collect(poller, events, 4), 0, "a closed descriptor is silent");
	tap_ok(poller_watch(poller, pair[0], true, false) < 0, "and can't be watched");

	tap_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "its number comes back");
	tap_ok(poller_watch(poller, pair[0], false, true) == 0, "and is watched again");
	tap_number(poller_collect(poller, events, 4), 1, "with an event of its own");
	close(pair[0]);
	close(pair[1]);
	poller_destroy(poller);
	return tap_done();
}
