/*-------------------------------------------------------------------------
 * address_test.c
 *		What is called, whatever a name leads to.
 *
 * This program answers in the resolver's place for the names below "test".  Its
 * receiver serves 127.0.0.2, which is allowed; who connects to 127.0.0.1, which
 * is not, is counted by a trap.
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* for RTLD_NEXT */
#endif
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "transport/transport.h"

#define DEADLINE_S 20
#define REQUEST_BYTES 4096
#define ALLOWED "127.0.0.2"

typedef int (*Resolver) (const char *node, const char *service,
						 const struct addrinfo *hints, struct addrinfo **found);

static int	port;
static int	name_count;
static atomic_int connections;
static atomic_int requests;
static atomic_int trapped;
static _Atomic(const char *) next_addresses;
static Transport *transport;
static AddressPolicy policy;

/* Answers in the resolver's place: with next_addresses, separated by blanks. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			struct addrinfo **found)
{
	Resolver	resolve = (Resolver) dlsym(RTLD_NEXT, "getaddrinfo");
	const struct addrinfo numeric = {.ai_socktype = SOCK_STREAM,.ai_flags = AI_NUMERICHOST};
	const char *dot = node ? strrchr(node, '.') : NULL;
	struct addrinfo **last = found;
	char		addresses[200];

	if (!dot || strcmp(dot, ".test") != 0)
		return resolve(node, service, hints, found);
	snprintf(addresses, sizeof(addresses), "%s", atomic_load(&next_addresses));
	*found = NULL;
	for (char *rest, *one = strtok_r(addresses, " ", &rest); one; one = strtok_r(NULL, " ", &rest))
	{
		int			code = resolve(one, service, &numeric, last);

		if (code != 0)
			return code;
		last = &(*last)->ai_next;
	}
	return 0;
}

static void
serve(int descriptor)
{
	static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	char		answer[200];
	char		request[REQUEST_BYTES];
	ssize_t		count;

	while ((count = read(descriptor, request, sizeof(request) - 1)) > 0)
	{
		bool		is_moved;

		request[count] = '\0';
		is_moved = strstr(request, " /moved ") != NULL;
		snprintf(answer, sizeof(answer), "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
				 "Location: http://127.0.0.1:%d/trap\r\n\r\n", port);
		atomic_fetch_add(&requests, 1);
		if (write(descriptor, is_moved ? answer : good,
				  is_moved ? strlen(answer) : sizeof(good) - 1) < 0)
			return;
	}
}

static void *
serve_one(void *context)
{
	int			descriptor = (int) (intptr_t) context;

	serve(descriptor);
	close(descriptor);
	return NULL;
}

static void *
receive(void *context)
{
	int			listener = (int) (intptr_t) context;
	int			descriptor;
	pthread_t	thread;

	while ((descriptor = accept(listener, NULL, NULL)) >= 0)
	{
		atomic_fetch_add(&connections, 1);
		if (pthread_create(&thread, NULL, serve_one, (void *) (intptr_t) descriptor) == 0)
			pthread_detach(thread);
	}
	return NULL;
}

static void *
spring_trap(void *context)
{
	int			listener = (int) (intptr_t) context;
	int			descriptor;

	while ((descriptor = accept(listener, NULL, NULL)) >= 0)
	{
		atomic_fetch_add(&trapped, 1);
		close(descriptor);
	}
	return NULL;
}

/* wanted: 0 for any port; false when it is taken. */
static bool
listen_on(const char *host, int wanted, void *(*serving) (void *))
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons((uint16_t) wanted)};
	socklen_t	length = sizeof(address);
	int			listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t	thread;

	inet_pton(AF_INET, host, &address.sin_addr);
	if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener, 64) != 0 ||
		getsockname(listener, (struct sockaddr *) &address, &length) != 0 ||
		pthread_create(&thread, NULL, serving, (void *) (intptr_t) listener) != 0)
	{
		close(listener);
		return false;
	}
	pthread_detach(thread);
	port = ntohs(address.sin_port);
	return true;
}

static void
start_receivers(void)
{
	for (int tries = 0; tries < 20; tries++)
		if (listen_on(ALLOWED, 0, receive) && listen_on("127.0.0.1", port, spring_trap))
			return;
	tap_bail_out("no receiver");
}

static void
open_transport(void)
{
	TransportOptions options = {.max_connections = 20};
	char		problem[200];

	options.policy = policy;
	transport = transport_create(&options, problem, sizeof(problem));
	if (!transport)
		tap_bail_out(problem);
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

static Answer *
call(const char *host, const char *path)
{
	TransferOptions options = {
		.connect_timeout_ms = 5000,
		.timeout_ms = 5000,
		.allow_http = true,
		.idempotent = true
	};
	char		url[300];
	RequestSource source = {.url = url,.message_id = "m1",.payload = "{}",.payload_bytes = 2};
	Request		request;
	const char *reason;
	char		problem[100];
	Answer	   *answer;

	snprintf(url, sizeof(url), "http://%s:%d%s", host, port, path);
	if (!request_build(&source, &request, &reason, problem, sizeof(problem)))
		tap_bail_out(problem);
	transport_start(transport, &request, &options, NULL);
	answer = await_answer();
	request_free(&request);
	return answer;
}

/* What a name leads to is remembered, so that each look-up needs a name of its own. */
static Answer *
call_name(const char *addresses)
{
	char		host[30];

	atomic_store(&next_addresses, addresses);
	snprintf(host, sizeof(host), "n%d.test", name_count++);
	return call(host, "/");
}

static void
check_refusal(Answer *answer, const char *reason, const char *name)
{
	tap_text(answer->reason, reason, name);
	tap_number(answer->http_status, 0, "nothing was answered");
	answer_free(answer);
}

static void
check_names(void)
{
	static const char *const addresses[] = {
		"127.0.0.1", "0.0.0.0", "10.0.0.1", "100.64.0.1", "169.254.169.254", "192.168.0.1",
		"224.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2001:0:7f00:1::1",
		"2002:7f00:1::1", "fd00:ec2::254", "fe80::1", "127.0.0.1 ::1", "10.0.0.1 127.0.0.1"
	};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		check_refusal(call_name(addresses[i]), "blocked_private_address", addresses[i]);
}

/* What libcurl itself takes for an address, past all checks of the endpoint. */
static void
check_forms(void)
{
	static const char *const hosts[] = {
		"127.0.0.1", "127.0.0.1.", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7f000001",
		"localhost", "localhost.", "any.localhost", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
		"%31%32%37.0.0.1", "public@127.0.0.1", "n.test@127.0.0.1", "n.test\\@127.0.0.1",
		"n.test#@127.0.0.1", "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",
		"127\xe3\x80\x82" "0\xe3\x80\x82" "0\xe3\x80\x82" "1", "\xe2\x93\x9bocalhost"
	};

	atomic_store(&next_addresses, "127.0.0.1");
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
	{
		Answer	   *answer = call(hosts[i], "/");

		tap_number(answer->http_status, 0, hosts[i]);
		answer_free(answer);
	}
}

/* The address that was looked up is the one that is judged: there is no look-up in between. */
static void
check_flips(void)
{
	Answer	   *answer = call_name("127.0.0.1 " ALLOWED);

	tap_text(answer->reason, "http:200", "of two addresses the allowed one is called");
	tap_text(answer->remote_address, ALLOWED, "and noted");
	answer_free(answer);

	atomic_store(&next_addresses, ALLOWED);
	answer_free(call("flips.test", "/"));
	transport_destroy(transport);
	open_transport();
	atomic_store(&next_addresses, "127.0.0.1");
	answer = call("flips.test", "/");
	tap_text(answer->error, "address 127.0.0.1 is in a protected network that"
			 " integration.allowed_networks does not open", "it is said what and why");
	check_refusal(answer, "blocked_private_address", "a name that flips");
}

static void
check_redirect(void)
{
	Answer	   *answer;

	atomic_store(&next_addresses, ALLOWED);
	answer = call("moved.test", "/moved");
	tap_text(answer->reason, "http:302", "a redirect is an answer");
	tap_ok(answer->redirect_url && strstr(answer->redirect_url, "//127.0.0.1:"),
		   "that says where to");
	answer_free(answer);
}

/* The connection is there already, and would be used again. */
static void
check_change(const AddressPolicy *changed, const char *reason)
{
	int			before;

	atomic_store(&next_addresses, ALLOWED);
	answer_free(call("kept.test", "/"));
	before = atomic_load(&requests);
	transport_set_policy(transport, changed);
	check_refusal(call("kept.test", "/"), reason, reason);
	tap_number(atomic_load(&requests), before, "over a kept connection too");
	transport_set_policy(transport, &policy);
	answer_free(call("kept.test", "/"));
	tap_number(atomic_load(&requests), before + 1, "until it is allowed again");
}

static void
check_changes(void)
{
	AddressPolicy changed = policy;
	int			before;

	answer_free(call("kept.test", "/"));
	before = atomic_load(&connections);
	answer_free(call("kept.test", "/"));
	tap_number(atomic_load(&connections), before, "connections are kept");

	changed.networks.count = 0;
	check_change(&changed, "blocked_private_address");
	changed = policy;
	changed.ports = (PortList)
	{
		.count = 1,.items =
		{
			{
				443, 443
			}
		}
	};
	check_change(&changed, "blocked_port");
	changed = policy;
	changed.hosts = (HostList)
	{
		.count = 1,.items =
		{
			"other.test"
		}
	};
	check_change(&changed, "blocked_host");
}

/* Else what the environment names would be called in the receiver's place. */
static void
distrust_environment(void)
{
	static const char *const names[] = {
		"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"
	};
	char		proxy[100];

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", port);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		setenv(names[i], proxy, 1);
}

int
main(void)
{
	char		problem[100];

	signal(SIGPIPE, SIG_IGN);
	start_receivers();
	distrust_environment();
	network_list_parse(ALLOWED, &policy.networks, problem, sizeof(problem));
	open_transport();
	check_flips();
	check_names();
	check_forms();
	check_redirect();
	check_changes();
	transport_destroy(transport);
	tap_number(atomic_load(&trapped), 0, "nobody connected to what is not allowed");
	return tap_done();
}
