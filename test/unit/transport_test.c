/*-------------------------------------------------------------------------
 * transport_test.c
 *		Requests over loopback: each start leads to one answer.
 *
 * The receiver is a thread that serves one connection after the other and
 * does what the path says.
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* for strcasestr() */
#endif
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "tap.h"
#include "transport/transport.h"

#define DEADLINE_S 20
#define REQUEST_BYTES 8192

static int	listener;
static int	listener_port;
static atomic_int closed_count;
static char last_request[REQUEST_BYTES];	/* whole when its answer is there */
static Transport *transport;
static CURLMcode injected_error = CURLM_OK;

extern CURLMcode __real_curl_multi_socket_action(CURLM *multi, curl_socket_t descriptor,
												 int mask, int *running);
extern CURLMcode __wrap_curl_multi_socket_action(CURLM *multi, curl_socket_t descriptor,
												 int mask, int *running);

/* Answers in libcurl's place when an error was ordered. */
CURLMcode
__wrap_curl_multi_socket_action(CURLM *multi, curl_socket_t descriptor, int mask, int *running)
{
	CURLMcode	code = injected_error;

	injected_error = CURLM_OK;
	if (code != CURLM_OK)
		return code;
	return __real_curl_multi_socket_action(multi, descriptor, mask, running);
}

static const struct
{
	const char *path;
	const char *bytes;
}			scripts[] =

{
	{"/ok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\nok"},
	{"/bad", "HTTP/1.1 422 Bad\r\nContent-Length: 4\r\n\r\n\xFFno\xFF"},
	{"/later", "HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n"},
	{"/early", "HTTP/1.1 103 Early\r\nRetry-After: 9\r\nX-Early: 1\r\n\r\n"
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{"/moved", "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: /there\r\n\r\n"},
	{"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nab"},
	{"/cut-error", "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\nConnection: close\r\n\r\nab"},
	{"/garbage", "what is this?\r\n\r\n"},
	{"/nothing", ""},
	{"/silent", NULL},
};

/* Read a request up to its blank line; the body is expected in the same turn. */
static bool
read_request(int descriptor, char *request)
{
	size_t		length = 0;

	while (length < REQUEST_BYTES - 1)
	{
		ssize_t		count = read(descriptor, request + length, REQUEST_BYTES - 1 - length);

		if (count <= 0)
			return false;
		length += (size_t) count;
		request[length] = '\0';
		if (strstr(request, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void
serve(int descriptor)
{
	char	   *request = last_request;

	if (!read_request(descriptor, request))
		return;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
	{
		char	   *path = strchr(request, ' ');
		size_t		length = strlen(scripts[i].path);

		if (!path || strncmp(path + 1, scripts[i].path, length) != 0 || path[1 + length] != ' ')
			continue;
		if (!scripts[i].bytes)
			while (read(descriptor, request, REQUEST_BYTES) > 0)
				continue;
		else if (write(descriptor, scripts[i].bytes, strlen(scripts[i].bytes)) < 0)
			return;
	}
}

static void *
receive(void *unused)
{
	int			descriptor;

	(void) unused;
	while ((descriptor = accept(listener, NULL, NULL)) >= 0)
	{
		serve(descriptor);
		shutdown(descriptor, SHUT_WR);
		close(descriptor);
		atomic_fetch_add(&closed_count, 1);
	}
	return NULL;
}

static void
start_receiver(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	length = sizeof(address);
	pthread_t	thread;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener, 256) != 0 ||
		getsockname(listener, (struct sockaddr *) &address, &length) != 0 ||
		pthread_create(&thread, NULL, receive, NULL) != 0)
		tap_bail_out("no receiver");
	listener_port = ntohs(address.sin_port);
	pthread_detach(thread);
}

static Answer *
await_answer(void)
{
	time_t		deadline = time(NULL) + DEADLINE_S;

	while (time(NULL) < deadline)
	{
		struct pollfd waited = {.fd = transport_descriptor(transport),.events = POLLIN};
		int			timeout_ms = transport_timeout_ms(transport);
		Answer	   *answer = transport_collect(transport);

		if (answer)
			return answer;
		poll(&waited, 1, timeout_ms < 0 || timeout_ms > 1000 ? 1000 : timeout_ms);
		transport_advance(transport);
	}
	tap_bail_out("no answer until the deadline");
}

/* The receiver closes each connection without having said so; the next request comes after that. */
static void
await_close(int count)
{
	time_t		deadline = time(NULL) + DEADLINE_S;

	while (atomic_load(&closed_count) < count)
	{
		if (time(NULL) >= deadline)
			tap_bail_out("a connection was not closed until the deadline");
		poll(NULL, 0, 1);
	}
}

static Request
build_by(const char *method, const char *path, const char *headers)
{
	char		url[100];
	RequestSource source = {
		.method = method,
		.url = url,
		.endpoint_headers = headers,
		.message_id = "m1",
		.payload = "{}",
		.payload_bytes = 2
	};
	Request		request;
	const char *reason;
	char		problem[100];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", listener_port, path);
	if (!request_build(&source, &request, &reason, problem, sizeof(problem)))
		tap_bail_out(problem);
	return request;
}

static Request
build_with(const char *path, const char *headers)
{
	return build_by(NULL, path, headers);
}

static Request
build(const char *path)
{
	return build_with(path, NULL);
}

static Answer *
call_with(Request *request, int timeout_ms)
{
	TransferOptions options = {
		.connect_timeout_ms = timeout_ms,
		.timeout_ms = timeout_ms,
		.idempotent = true,
		.isolation = 1
	};
	int			closed_before = atomic_load(&closed_count);
	Answer	   *answer;

	transport_start(transport, request, &options, &listener);
	answer = await_answer();
	if (answer->connect_ms >= 0)
		await_close(closed_before + 1);
	tap_ok(answer->owner == &listener, "the owner comes back");
	tap_text(answer->remote_address, "127.0.0.1", "with the address");
	tap_number(transport_in_flight(transport), 0, "and nothing is left");
	return answer;
}

static Answer *
call(const char *path, int timeout_ms)
{
	Request		request = build(path);
	Answer	   *answer = call_with(&request, timeout_ms);

	request_free(&request);
	return answer;
}

static void
check_reasons(void)
{
	static const struct
	{
		const char *path;
		const char *reason;
		int			status;
		int			retry_after_s;
		const char *error;		/* NULL: any but empty */
		const char *body;
	}			cases[] =
	{
		{"/ok", "http:200", 200, -1, "", "ok"},
		{"/bad", "http:422", 422, -1, "", "\xEF\xBF\xBDno\xEF\xBF\xBD"},
		{"/later", "http:503:retry_after", 503, 7, "", NULL},
		{"/early", "http:200", 200, -1, "", NULL},
		{"/cut", "curl:18:complete", 200, -1, NULL, "ab"},
		{"/cut-error", "curl:18", 500, -1, NULL, "ab"},
		{"/garbage", "curl:1:http09", 0, -1, NULL, NULL},
		{"/nothing", "curl:52", 0, -1, NULL, NULL},
		{"/silent", "curl:28:response", 0, -1, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Answer	   *answer = call(cases[i].path, strcmp(cases[i].path, "/silent") ? 5000 : 200);

		tap_text(answer->reason, cases[i].reason, cases[i].path);
		tap_number(answer->http_status, cases[i].status, "status");
		tap_number(answer->retry_after_s, cases[i].retry_after_s, "retry after");
		tap_text(answer->body, cases[i].body, "body");
		tap_number((long long) answer->body_bytes,
				   cases[i].body ? (long long) strlen(cases[i].body) : 0, "bytes of the body");
		if (cases[i].error)
			tap_text(answer->error, cases[i].error, "error");
		else
			tap_ok(answer->error[0] != '\0', "an error is told");
		answer_free(answer);
	}
}

static void
check_answer(void)
{
	Answer	   *answer = call("/ok", 5000);

	tap_text(answer->headers, "{\"content-length\":\"2\",\"x-a\":\"1, 2\"}", "headers");
	tap_ok(answer->duration_ms >= 0 && answer->dns_ms >= 0 && answer->connect_ms >= 0 &&
		   answer->first_byte_ms >= 0, "phases of a new connection");
	tap_number(answer->tls_ms, -1, "no TLS, no time for it");
	tap_text(answer->redirect_url, NULL, "no redirect");
	answer_free(answer);

	answer = call("/early", 5000);
	tap_text(answer->headers, "{\"content-length\":\"0\"}",
			 "headers of an interim answer are not kept");
	answer_free(answer);

	answer = call("/moved", 5000);
	tap_ok(answer->redirect_url && strstr(answer->redirect_url, "/there"), "where it points to");
	answer_free(answer);
}

static void
check_policy(const AddressPolicy *loopback)
{
	AddressPolicy nothing = {0};
	Answer	   *answer;

	transport_set_policy(transport, &nothing);
	answer = call("/ok", 5000);
	tap_text(answer->reason, "blocked_private_address", "loopback is blocked unless allowed");
	tap_number(answer->dns_ms, -1, "no socket was opened");
	answer_free(answer);
	transport_set_policy(transport, loopback);
	answer = call("/ok", 5000);
	tap_text(answer->reason, "http:200", "and allowed again");
	answer_free(answer);
}

static int
count_in_request(const char *words)
{
	int			count = 0;

	for (const char *at = last_request; (at = strcasestr(at, words)) != NULL; at++)
		count++;
	return count;
}

static void
check_agent(void)
{
	Request		named = build_with("/ok", "{\"user-agent\":\"own/2\"}");
	Request		unnamed = build_with("/ok", "{\"User-Agent\":\"\"}");

	answer_free(call("/ok", 5000));
	tap_number(count_in_request("User-Agent: unit/1\r\n"), 1, "who sends is told");
	answer_free(call_with(&named, 5000));
	tap_number(count_in_request("user-agent: own/2\r\n"), 1, "unless the endpoint says who");
	tap_number(count_in_request("user-agent"), 1, "once");
	for (int i = 0; i < 2; i++)
	{
		answer_free(call_with(&unnamed, 5000));
		tap_number(count_in_request("User-Agent:\r\n"), 1, "or that nobody is named");
		tap_number(count_in_request("user-agent"), 1, "each time");
	}
	request_free(&named);
	request_free(&unnamed);
}

/* A handle that is used again has a method already, a body too. */
static void
check_methods(void)
{
	static const char *const methods[] = {
		"GET", "GET", "POST", "POST", "GET", "HEAD", "HEAD", "GET", "PUT", "DELETE", "DELETE",
		"PUT", "OPTIONS", "OPTIONS"
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
	{
		bool		has_body = methods[i][0] == 'P';
		char		start[30];
		Request		request = build_by(methods[i], "/ok", NULL);
		Answer	   *answer = call_with(&request, 5000);

		tap_text(answer->reason, "http:200", methods[i]);
		snprintf(start, sizeof(start), "%s /ok HTTP/1.1\r\n", methods[i]);
		tap_ok(strncmp(last_request, start, strlen(start)) == 0, "is sent");
		tap_number(count_in_request("Content-Length: 2\r\n"), has_body, "with its body");
		tap_number(count_in_request("Content-Length") + count_in_request("Transfer-Encoding"),
				   has_body, "or none");
		answer_free(answer);
		request_free(&request);
	}
}

/* A URL that comes again is not taken apart again. */
static void
check_urls(void)
{
	static const struct
	{
		const char *path;
		const char *reason;
	}			cases[] =
	{
		{"/ok", "http:200"},
		{"/ok", "http:200"},
		{"/ok", "http:200"},
		{"/bad", "http:422"},
		{"/bad", "http:422"},
		{"/ok", "http:200"},
		{"/moved", "http:301"},
		{"/moved", "http:301"},
	};
	TransferOptions options = {.connect_timeout_ms = 1000,.timeout_ms = 1000,.isolation = 1};
	Request		request = build("/ok");
	int			length = snprintf(NULL, 0, "http://me@127.0.0.1:%d/ok", listener_port) + 1;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Answer	   *answer = call(cases[i].path, 5000);

		tap_text(answer->reason, cases[i].reason, cases[i].path);
		tap_ok((answer->redirect_url && strstr(answer->redirect_url, "/there")) ==
			   (strcmp(cases[i].path, "/moved") == 0), "where it points to");
		answer_free(answer);
	}
	request.url = realloc(request.url, (size_t) length);
	snprintf(request.url, (size_t) length, "http://me@127.0.0.1:%d/ok", listener_port);
	for (int i = 0; i < 2; i++)
	{
		Answer	   *answer;

		transport_start(transport, &request, &options, NULL);
		answer = await_answer();
		tap_text(answer->reason, "curl:67", "a URL with a user is refused");
		answer_free(answer);
	}
	request_free(&request);
}

static bool
is_readable(int wait_ms)
{
	struct pollfd waited = {.fd = transport_descriptor(transport),.events = POLLIN};

	return poll(&waited, 1, wait_ms) == 1;
}

/* A kept connection is not watched while nobody uses it: its end must not keep us busy. */
static void
check_idle_close(void)
{
	answer_free(call("/ok", 5000));
	tap_ok(is_readable(DEADLINE_S * 1000), "an idle connection is closed by the other side");
	transport_advance(transport);
	tap_ok(!is_readable(0), "which is noticed once");
	answer_free(call("/ok", 5000));
}

static int
count_answers(int started, const char *reason)
{
	int			matching = 0;

	for (int i = 0; i < started; i++)
	{
		Answer	   *answer = await_answer();

		matching += strcmp(answer->reason, reason) == 0;
		answer_free(answer);
	}
	return matching;
}

static void
check_many(void)
{
	TransferOptions options = {
		.connect_timeout_ms = 10000,
		.timeout_ms = 10000,
		.idempotent = true,
		.isolation = 2
	};
	Request		request = build("/ok");

	for (int i = 0; i < 200; i++)
		transport_start(transport, &request, &options, NULL);
	tap_number(transport_in_flight(transport), 200, "two hundred at once");
	tap_number(count_answers(200, "http:200"), 200, "all are answered");
	tap_number(transport_in_flight(transport), 0, "none is left");

	for (int i = 0; i < 20; i++)
		transport_start(transport, &request, &options, NULL);
	injected_error = CURLM_BAD_SOCKET;
	tap_number(count_answers(20, "curl_multi:5"), 20, "an error of libcurl's fails them all");
	transport_start(transport, &request, &options, NULL);
	tap_number(count_answers(1, "http:200"), 1, "after which the next one succeeds");
	request_free(&request);
}

/* libcurl takes no text of more than 8 MB */
static void
check_prepare_failure(void)
{
	TransferOptions options = {.connect_timeout_ms = 1000,.timeout_ms = 1000,.isolation = 3};
	size_t		length = 9000000;
	Request		request = {.url = malloc(length + 1)};

	memset(request.url, 'a', length);
	request.url[length] = '\0';
	transport_start(transport, &request, &options, NULL);
	tap_number(transport_timeout_ms(transport), 0, "an answer waits to be collected");
	tap_number(count_answers(1, "curl:43"), 1, "what can't begin is answered");
	request_free(&request);
}

static void
check_mask(void)
{
	sigset_t	mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	tap_ok(!sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGUSR1), "signals are not blocked");
}

static void
check_destroy(void)
{
	TransferOptions options = {.connect_timeout_ms = 5000,.timeout_ms = 5000,.isolation = 4};
	Request		request = build("/silent");

	for (int i = 0; i < 10; i++)
		transport_start(transport, &request, &options, NULL);
	transport_advance(transport);
	tap_number(transport_in_flight(transport), 10, "in flight when all is abandoned");
	transport_destroy(transport);
	request_free(&request);
}

int
main(void)
{
	TransportOptions options = {.max_connections = 200,.user_agent = "unit/1"};
	char		problem[200];

	signal(SIGPIPE, SIG_IGN);
	start_receiver();
	network_list_parse("127.0.0.0/8", &options.policy.networks, problem, sizeof(problem));
	transport = transport_create(&options, problem, sizeof(problem));
	if (!transport)
		tap_bail_out(problem);
	tap_ok(strstr(transport_description(), "libcurl/") != NULL, "libcurl tells its version");
	tap_number(transport_timeout_ms(transport), -1, "nothing to do, no deadline");
	check_reasons();
	check_answer();
	check_policy(&options.policy);
	check_agent();
	check_methods();
	check_urls();
	check_idle_close();
	check_many();
	check_prepare_failure();
	check_mask();
	check_destroy();
	return tap_done();
}
