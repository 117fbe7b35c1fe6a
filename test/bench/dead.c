/*-------------------------------------------------------------------------
 * dead.c
 *		A port that never answers.
 *
 *	dead hang		accepts every connection, reads nothing
 *	dead silent		lets no connection come about: its queue of them is full
 *
 * Prints the port it listens at.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#define HANG_BACKLOG 512
#define FILLERS 4

/* More than a worker has open, fewer than a process may. */
#define HELD 512

static struct sockaddr_in address = {.sin_family = AF_INET};

static int
listen_with(int backlog)
{
	const int	fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t	length = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) &address, length) != 0 || listen(fd, backlog) != 0)
		measure_fail("cannot listen", strerror(errno));
	getsockname(fd, (struct sockaddr *) &address, &length);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

/* Linux drops what asks for a connection once the queue holds more than its backlog. */
static void
fill_queue(void)
{
	for (int i = 0; i < FILLERS; i++)
	{
		const int	fd = socket(AF_INET, SOCK_STREAM, 0);

		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0 && errno != EINPROGRESS)
			measure_fail("cannot connect", strerror(errno));
	}
}

/* What is that many connections old was given up by its caller long ago. */
static void
hold_connections(int listener)
{
	int			held[HELD] = {0};

	for (size_t next = 0;; next = (next + 1) % HELD)
	{
		const int	fd = accept(listener, NULL, NULL);

		if (fd < 0)
			measure_fail("cannot accept", strerror(errno));
		if (held[next] > 0)
			close(held[next]);
		held[next] = fd;
	}
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "silent") == 0)
	{
		listen_with(0);
		fill_queue();
		for (;;)
			pause();
	}
	if (argc == 2 && strcmp(argv[1], "hang") == 0)
		hold_connections(listen_with(HANG_BACKLOG));
	measure_fail("usage", "dead hang|silent");
}
