/*-------------------------------------------------------------------------
 * receiver.c
 *		A fast HTTP receiver on loopback that remembers what it got.
 *
 *	receiver [PORT]		prints the port it listens at; 0 or none: any free one
 *
 * Answers every request with 200 as soon as its body is there, and notes when
 * each Idempotency-Key came first, how often it came.  GET /_keys gives
 * "<key> <microseconds of the first> <count>" a line; GET /_reset forgets them.
 * From GET /_fail to GET /_heal every request is answered with 500; GET /_outage
 * gives how many those were, then the microseconds of the first good one after them.
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE				/* memmem, strcasestr, accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keys.h"
#include "measure.h"

#define BUFFER_BYTES 65536
#define READY_MOST 64
#define BACKLOG 512

typedef struct Client
{
	int			fd;
	size_t		length;
	char		buffer[BUFFER_BYTES + 1];
} Client;

typedef struct Outage
{
	bool		is_on;
	long		requests;
	int64_t		first_good_us;	/* 0: none since it ended */
} Outage;

static const char done[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static KeyTable seen;
static Outage outage;

static int
listen_at(long port)
{
	const int	fd = socket(AF_INET, SOCK_STREAM, 0);
	const int	on = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t) port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t	length = sizeof(address);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *) &address, length) != 0 || listen(fd, BACKLOG) != 0)
		measure_fail("cannot listen", strerror(errno));
	getsockname(fd, (struct sockaddr *) &address, &length);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

/* The value of a header in a terminated head; NULL when it has none. */
static const char *
find_header(const char *head, const char *name, size_t *length)
{
	const char *found = strcasestr(head, name);

	if (found == NULL)
		return NULL;
	found += strlen(name);
	found += strspn(found, " ");
	*length = strcspn(found, "\r\n");
	return found;
}

static void
write_all(int fd, const char *data, size_t length)
{
	while (length > 0)
	{
		const ssize_t written = write(fd, data, length);

		if (written < 0)
			return;
		data += written;
		length -= (size_t) written;
	}
}

static void
answer_with_keys(int fd)
{
	char	   *body = NULL;
	size_t		length = 0;
	FILE	   *out = open_memstream(&body, &length);

	if (out == NULL)
		measure_fail("no memory", "answer");
	keys_print(&seen, out);
	fclose(out);
	dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
	write_all(fd, body, length);
	free(body);
}

static bool
is_asked(const char *head, const char *path)
{
	const size_t length = strlen(path);

	return strncmp(head, "GET ", 4) == 0 && strncmp(head + 4, path, length) == 0 &&
		head[4 + length] == ' ';
}

static void
begin_outage(void)
{
	outage.is_on = true;
	outage.requests = 0;
	outage.first_good_us = 0;
}

/* What the measurement asks for itself. */
static bool
serve_control(int fd, const char *head)
{
	if (is_asked(head, "/_keys"))
	{
		answer_with_keys(fd);
		return true;
	}
	if (is_asked(head, "/_outage"))
	{
		dprintf(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%ld %lld\n", outage.requests,
				(long long) outage.first_good_us);
		shutdown(fd, SHUT_WR);
		return true;
	}
	if (is_asked(head, "/_reset"))
		keys_reset(&seen);
	else if (is_asked(head, "/_fail"))
		begin_outage();
	else if (is_asked(head, "/_heal"))
		outage.is_on = false;
	else
		return false;
	write_all(fd, done, sizeof(done) - 1);
	return true;
}

static void
answer(int fd, const char *head, int64_t now_us)
{
	static const char failed[] =
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
	size_t		length = 0;
	const char *key;

	if (serve_control(fd, head))
		return;
	if (outage.is_on)
	{
		outage.requests++;
		write_all(fd, failed, sizeof(failed) - 1);
		return;
	}
	if (outage.first_good_us == 0)
		outage.first_good_us = now_us;
	key = find_header(head, "\nIdempotency-Key:", &length);
	keys_note(&seen, key, length, now_us);
	write_all(fd, done, sizeof(done) - 1);
}

/* Takes the first whole request from the buffer, if there is one. */
static bool
serve_request(Client *client, int64_t now_us)
{
	char	   *end = memmem(client->buffer, client->length, "\r\n\r\n", 4);
	const char *value;
	size_t		digits;
	size_t		whole;

	if (end == NULL)
		return false;
	end[2] = '\0';
	value = find_header(client->buffer, "\nContent-Length:", &digits);
	whole = (size_t) (end + 4 - client->buffer) + (value ? strtoul(value, NULL, 10) : 0);
	if (whole > client->length)
	{
		end[2] = '\r';
		return false;
	}
	answer(client->fd, client->buffer, now_us);
	memmove(client->buffer, client->buffer + whole, client->length - whole);
	client->length -= whole;
	return true;
}

static void
accept_client(int epoll, int listener)
{
	const int	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	const int	on = 1;
	Client	   *client = malloc(sizeof(*client));
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = client};

	if (fd < 0 || client == NULL)
		measure_fail("cannot accept", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	client->fd = fd;
	client->length = 0;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
serve_client(Client *client)
{
	const size_t room = BUFFER_BYTES - client->length;
	const ssize_t got = read(client->fd, client->buffer + client->length, room);
	const int64_t now_us = measure_now_us();

	if (got <= 0)
	{
		close(client->fd);
		free(client);
		return;
	}
	client->length += (size_t) got;
	client->buffer[client->length] = '\0';
	while (serve_request(client, now_us))
		continue;
}

int
main(int argc, char **argv)
{
	const int	listener = listen_at(argc > 1 ? measure_number(argv[1]) : 0);
	const int	epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ready[READY_MOST] = {{.events = EPOLLIN,.data.ptr = NULL}};

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ready[0]);
	for (;;)
	{
		const int	count = epoll_wait(epoll, ready, READY_MOST, -1);

		for (int i = 0; i < count; i++)
		{
			if (ready[i].data.ptr == NULL)
				accept_client(epoll, listener);
			else
				serve_client(ready[i].data.ptr);
		}
	}
}
