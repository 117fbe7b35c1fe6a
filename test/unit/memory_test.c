/*-------------------------------------------------------------------------
 * memory_test.c
 *		Each allocation fails once: an honest answer, no crash, no leak.
 *
 * First those of this code, then libcurl's too.  What is tried runs again and
 * again, with the next allocation failing each time, until none is left to fail.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "message/request.h"
#include "tap.h"
#include "transport/transport.h"

#define DEADLINE_S 10
#define LEAST_FAILURES 5

static pthread_t tester;
static long allocations_left = -1;	/* until one fails; below 0: none does */
static bool fails_in_libcurl;
static int	listener;
static int	listener_port;

extern void *__real_malloc(size_t size);
extern void *__wrap_malloc(size_t size);
extern void *__real_calloc(size_t count, size_t size);
extern void *__wrap_calloc(size_t count, size_t size);
extern void *__real_realloc(void *old, size_t size);
extern void *__wrap_realloc(void *old, size_t size);
extern char *__real_strdup(const char *string);
extern char *__wrap_strdup(const char *string);

/* libcurl's resolver has threads of its own, which are left alone. */
static bool
must_fail(void)
{
	if (allocations_left < 0 || !pthread_equal(pthread_self(), tester))
		return false;
	return allocations_left-- == 0;
}

void *
__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return must_fail() ? NULL : __real_realloc(old, size);
}

char *
__wrap_strdup(const char *string)
{
	return must_fail() ? NULL : __real_strdup(string);
}

static void *
curl_malloc(size_t size)
{
	return fails_in_libcurl && must_fail() ? NULL : __real_malloc(size);
}

static void *
curl_calloc(size_t count, size_t size)
{
	return fails_in_libcurl && must_fail() ? NULL : __real_calloc(count, size);
}

static void *
curl_realloc(void *old, size_t size)
{
	return fails_in_libcurl && must_fail() ? NULL : __real_realloc(old, size);
}

static char *
curl_strdup(const char *string)
{
	return fails_in_libcurl && must_fail() ? NULL : __real_strdup(string);
}

/* ---- a request */

static const RequestSource source = {
	.method = "POST",
	.url = "https://shop.example.com/{object_type}/{object_id}?o={operation}",
	.endpoint_headers = "{\"X-One\": \"1\", \"X-Two\": \"2\"}",
	.sync_headers = "{\"X-Two\": \"3\"}",
	.format = REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED,
	.message_id = "i-1",
	.object_type = "order",
	.object_id = "Ö 1",
	.operation = "upsert",
	.payload = "{\"n\": 1}",
	.payload_bytes = 8,
	.created_at = "2026-11-21T20:03:52Z",
	.source = "/integration/shop",
	.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

/* Returns whether nothing failed any more. */
static bool
build_request(long fails_at, int *failures)
{
	Request		request;
	const char *reason = NULL;
	char		problem[256] = "";
	bool		is_built;

	allocations_left = fails_at;
	is_built = request_build(&source, &request, &reason, problem, sizeof(problem));
	if (allocations_left >= 0)
	{
		allocations_left = -1;
		request_free(&request);
		return true;
	}
	if (!is_built && (!reason || strcmp(reason, "curl:27") != 0 || !problem[0]))
		(*failures)++;
	request_free(&request);
	return false;
}

static void
check_requests(void)
{
	int			failures = 0;
	long		count = 0;

	while (!build_request(count, &failures))
		count++;
	tap_ok(count > LEAST_FAILURES, "a request needs memory");
	tap_number(failures, 0, "without it the reason says so, whatever it was needed for");
}

/* ---- a transfer */

static void *
receive(void *unused)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n"
		"Connection: close\r\n\r\nok";
	char		request[8192];
	int			descriptor;

	(void) unused;
	while ((descriptor = accept(listener, NULL, NULL)) >= 0)
	{
		if (read(descriptor, request, sizeof(request)) > 0 &&
			write(descriptor, answer, sizeof(answer) - 1) < 0)
			perror("write");
		close(descriptor);
	}
	return NULL;
}

static void
listen_on_loopback(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	length = sizeof(address);
	pthread_t	thread;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *) &address, length) != 0 ||
		listen(listener, 64) != 0 ||
		getsockname(listener, (struct sockaddr *) &address, &length) != 0 ||
		pthread_create(&thread, NULL, receive, NULL) != 0)
		tap_bail_out("no receiver");
	listener_port = ntohs(address.sin_port);
}

static Answer *
wait_for_answer(Transport *transport)
{
	time_t		end = time(NULL) + DEADLINE_S;
	Answer	   *answer = NULL;

	while (!answer && time(NULL) < end)
	{
		struct pollfd events = {.fd = transport_descriptor(transport),.events = POLLIN};
		int			timeout_ms = transport_timeout_ms(transport);

		(void) poll(&events, 1, timeout_ms < 0 || timeout_ms > 50 ? 50 : timeout_ms);
		transport_advance(transport);
		answer = transport_collect(transport);
	}
	return answer;
}

static void
check_answer(const Answer *answer, int *failures)
{
	if (!answer || (strncmp(answer->reason, "http:200", 8) != 0 &&
					strcmp(answer->reason, "curl_multi:3") != 0 &&
					strncmp(answer->reason, "curl:", 5) != 0))
	{
		printf("#  %s\n", answer ? answer->reason : "no answer");
		(*failures)++;
	}
}

/* Returns whether nothing failed any more. */
static bool
send_request(long fails_at, int *failures)
{
	char		url[64];
	char		problem[256] = "";
	char	   *headers[] = {"X-One: 1"};
	Request		request = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.header_count = 1,
		.body = "{}",
		.body_bytes = 2,
	};
	TransportOptions options = {.max_connections = 2,.user_agent = "test"};
	TransferOptions calling = {.connect_timeout_ms = 2000,.timeout_ms = 2000,.allow_http = true};
	Transport  *transport;
	Answer	   *answer = NULL;
	bool		is_done;

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", listener_port);
	if (!network_list_parse("127.0.0.0/8", &options.policy.networks, problem, sizeof(problem)))
		tap_bail_out(problem);
	allocations_left = fails_at;
	transport = transport_create(&options, problem, sizeof(problem));
	if (!transport)
	{
		*failures += problem[0] ? 0 : 1;
		allocations_left = -1;
		return false;
	}
	if (transport_start(transport, &request, &calling, &request))
	{
		answer = wait_for_answer(transport);
		check_answer(answer, failures);
	}
	is_done = allocations_left >= 0;
	allocations_left = -1;
	if (answer)
		answer_free(answer);
	transport_destroy(transport);
	return is_done;
}

static void
check_transfers(const char *needs, const char *says)
{
	int			failures = 0;
	long		count = 0;

	while (!send_request(count, &failures))
		count++;
	printf("# %ld allocations\n", count);
	tap_ok(count > LEAST_FAILURES, needs);
	tap_number(failures, 0, says);
}

int
main(void)
{
	tester = pthread_self();
	(void) signal(SIGPIPE, SIG_IGN);
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, free, curl_realloc, curl_strdup,
							 curl_calloc) != CURLE_OK)
		tap_bail_out("no libcurl");
	check_requests();
	listen_on_loopback();
	check_transfers("a transfer needs memory", "without it each leads to one answer that is one");
	fails_in_libcurl = true;
	check_transfers("so does libcurl", "without it the same holds");
	return tap_done();
}
