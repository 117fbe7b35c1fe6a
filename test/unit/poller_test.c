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

static void
check_rest(Poller *poller)
{
	PollerEvent events[4];
	int			descriptor = poller_descriptor(poller);
	int			pair[2];

	tap_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "another pair");
	poller_watch(poller, pair[0], true, false);
	poller_rest(poller, pair[0]);
	tap_ok(poller_watch(poller, pair[0], true, false) == 0 && write(pair[1], "x", 1) == 1,
		   "watched again after a rest");
	tap_number(poller_collect(poller, events, 4), 1, "its events come");
	poller_rest(poller, pair[0]);
	tap_ok(is_ready(descriptor), "at rest the kernel still watches");
	tap_number(poller_collect(poller, events, 4), 0, "nobody gets what it saw");
	tap_ok(!is_ready(descriptor), "and it happens once, not for ever");
	poller_watch(poller, pair[0], true, false);
	tap_number(poller_collect(poller, events, 4), 1, "asked for again, it comes");

	poller_rest(poller, pair[0]);
	poller_watch(poller, pair[0], false, true);
	tap_number(poller_collect(poller, events, 4), 1, "after a rest for something else");
	tap_ok(events[0].is_writable && !events[0].is_readable, "that comes, the former doesn't");
	poller_rest(poller, pair[0]);
	poller_forget(poller, pair[0]);
	tap_ok(!is_ready(descriptor), "one at rest can be forgotten");
	close(pair[0]);
	close(pair[1]);
}

static void
check_rest_of_closed(Poller *poller)
{
	PollerEvent events[4];
	int			pair[2];
	int			number;

	tap_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "another pair");
	number = pair[0];
	poller_watch(poller, number, true, false);
	poller_rest(poller, number);
	close(pair[0]);
	close(pair[1]);
	poller_note_new(poller, number);
	tap_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[0] == number,
		   "a number closed at rest comes back");
	tap_ok(poller_watch(poller, number, true, false) == 0 && write(pair[1], "x", 1) == 1,
		   "watched for the same");
	tap_number(poller_collect(poller, events, 4), 1, "its own events come");
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	PollerEvent events[4];
	int			pair[2];
	Poller	   *poller = poller_create();

	tap_ok(poller && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "set up");
	tap_number(poller_collect(poller, events, 4), 0, "nothing watched, nothing ready");
	tap_ok(poller_watch(poller, pair[0], true, false) == 0, "watch for reading");
	tap_ok(!is_ready(poller_descriptor(poller)), "no data, not ready");

	tap_ok(write(pair[1], "x", 1) == 1 && is_ready(poller_descriptor(poller)), "data makes the one descriptor ready");
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

	check_rest(poller);
	check_rest_of_closed(poller);
	poller_destroy(poller);
	return tap_done();
}
