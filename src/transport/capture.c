/*-------------------------------------------------------------------------
 * capture.c
 *		What libcurl's callbacks see of one transfer.
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* for POLLRDHUP */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "transport/capture.h"
#include "transport/stopwatch.h"

#define FIELD_NAME_BYTES 32

/* From here on libcurl asks a kept connection at most once a second whether it is still open. */
#define RARELY_ASKING_VERSION 0x081600

/* Where poll() can't tell, a connection that was closed is found out by the resend guard. */
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

/* An interface name after a percent sign ("fe80::1%eth0") belongs to no inet value. */
#define ZONE_MARK "%"

static curl_socket_t open_socket(void *context, curlsocktype purpose,
								 struct curl_sockaddr *address);
static int	close_socket(void *context, curl_socket_t descriptor);
static int	check_request(void *context, char *remote_address, char *local_address,
						  int remote_port, int local_port);
static bool was_closed_meanwhile(const Capture *capture);
static size_t take_header(char *bytes, size_t size, size_t count, void *context);
static size_t take_body(char *bytes, size_t size, size_t count, void *context);
static void note_address(Capture *capture, const struct sockaddr *address);
static bool read_address(const char *host, int port, struct sockaddr_storage *address);
static void begin_header_block(Capture *capture);
static void keep_header(Capture *capture, const char *line, size_t length);
static void read_field(Capture *capture, const char *line, size_t length);
static bool is_blank(char byte);
static void copy_trimmed(char *target, size_t size, const char *bytes, size_t length);

bool
capture_open(Capture *capture, CaptureBuffers **spare)
{
	capture->buffers = *spare ? *spare : malloc(sizeof(CaptureBuffers));
	if (*spare)
		*spare = (*spare)->next;
	return capture->buffers;
}

void
capture_close(Capture *capture, CaptureBuffers **spare)
{
	CaptureBuffers *buffers = capture->buffers;

	explicit_bzero(buffers->body, capture->body_kept_bytes);
	capture->body_kept_bytes = 0;
	capture->buffers = NULL;
	buffers->next = *spare;
	*spare = buffers;
}

void
capture_free_spare(CaptureBuffers *spare)
{
	while (spare)
	{
		CaptureBuffers *buffers = spare;

		spare = buffers->next;
		free(buffers);
	}
}

void
capture_begin(Capture *capture, const AddressPolicy *policy, bool is_plain)
{
	*capture = (Capture)
	{
		.easy = capture->easy,
			.poller = capture->poller,
			.policy = policy,
			.is_plain = is_plain,
			.started_at_us = stopwatch_now_us(),
			.buffers = capture->buffers
	};
}

void
capture_renew(Capture *capture)
{
	int64_t		started_at_us = capture->started_at_us;

	capture_begin(capture, capture->policy, capture->is_plain);
	capture->started_at_us = started_at_us;
}

CURLcode
capture_attach(Capture *capture, CURL *easy, Poller *poller)
{
	CURLcode	code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);

	if (curl_version_info(CURLVERSION_NOW)->version_num >= RARELY_ASKING_VERSION)
		capture->easy = easy;
	capture->poller = poller;
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, capture);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, poller);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, check_request);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PREREQDATA, capture);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_HEADERDATA, capture);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, capture);
	return code;
}

GuardVerdict
capture_final_refusal(const Capture *capture)
{
	if (capture->request_was_refused || capture->socket_at_us == 0)
		return capture->refusal;
	return GUARD_ALLOWS;
}

static curl_socket_t
open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	Capture    *capture = context;
	GuardVerdict verdict = guard_judge(capture->policy, &address->addr, capture->is_plain);
	int			descriptor;

	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	if (capture->socket_at_us == 0 || verdict == GUARD_ALLOWS)
		note_address(capture, &address->addr);
	if (verdict != GUARD_ALLOWS)
	{
		capture->refusal = verdict;
		return CURL_SOCKET_BAD;
	}

	descriptor = socket(address->family, address->socktype, address->protocol);
	if (descriptor < 0)
	{
		capture->socket_error = errno;
		return CURL_SOCKET_BAD;
	}
	poller_note_new(capture->poller, descriptor);
	fcntl(descriptor, F_SETFD, FD_CLOEXEC);
	if (capture->socket_at_us == 0)
		capture->socket_at_us = stopwatch_now_us();
	return descriptor;
}

/* May come long after the transfer that opened it. */
static int
close_socket(void *context, curl_socket_t descriptor)
{
	poller_note_new(context, descriptor);
	return close(descriptor);
}

/*
 * The last look before the request leaves.  open_socket() does not see a
 * connection that is used again.  A second call means that libcurl is about to
 * repeat the request on its own because a kept connection died (all versions
 * do), which nobody would learn about.
 */
static int
check_request(void *context, char *remote_address, char *local_address,
			  int remote_port, int local_port)
{
	Capture    *capture = context;
	struct sockaddr_storage address;
	char		host[CAPTURE_ADDRESS_BYTES];
	GuardVerdict verdict = GUARD_REFUSES_FAMILY;

	(void) local_address;
	(void) local_port;
	if (capture->request_at_us != 0)
	{
		capture->would_resend = true;
		return CURL_PREREQFUNC_ABORT;
	}
	copy_trimmed(host, sizeof(host), remote_address, strcspn(remote_address, ZONE_MARK));
	if (read_address(host, remote_port, &address))
	{
		memcpy(capture->address, host, sizeof(host));
		verdict = guard_judge(capture->policy, (struct sockaddr *) &address,
							  capture->is_plain);
	}
	if (verdict != GUARD_ALLOWS)
	{
		capture->refusal = verdict;
		capture->request_was_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (capture->socket_at_us == 0 && was_closed_meanwhile(capture))
	{
		capture->found_closed = true;
		return CURL_PREREQFUNC_ABORT;
	}
	capture->request_at_us = stopwatch_now_us();
	return CURL_PREREQFUNC_OK;
}

/* What is sent to a connection that the other side has closed is lost with an unknown outcome. */
static bool
was_closed_meanwhile(const Capture *capture)
{
	curl_socket_t descriptor = CURL_SOCKET_BAD;
	struct pollfd asked = {.events = POLLRDHUP};

	if (!capture->easy ||
		curl_easy_getinfo(capture->easy, CURLINFO_ACTIVESOCKET, &descriptor) != CURLE_OK)
		return false;
	asked.fd = descriptor;
	return descriptor != CURL_SOCKET_BAD && poll(&asked, 1, 0) > 0;
}

/* libcurl gives whole lines, for each answer from the status line on. */
static size_t
take_header(char *bytes, size_t size, size_t count, void *context)
{
	Capture    *capture = context;
	size_t		length = size * count;

	if (capture->answer_at_us == 0)
		capture->answer_at_us = stopwatch_now_us();
	capture->headers_read_bytes += length;
	if (capture->headers_read_bytes > CAPTURE_HEADERS_READ_BYTES)
	{
		capture->headers_were_cut = true;
		return 0;
	}
	if (length > 5 && memcmp(bytes, "HTTP/", 5) == 0 && capture->body_read_bytes == 0)
	{
		begin_header_block(capture);
		return length;
	}
	keep_header(capture, bytes, length);
	read_field(capture, bytes, length);
	return length;
}

static size_t
take_body(char *bytes, size_t size, size_t count, void *context)
{
	Capture    *capture = context;
	size_t		length = size * count;
	size_t		room = CAPTURE_BODY_KEPT_BYTES - capture->body_kept_bytes;
	size_t		kept = length < room ? length : room;

	memcpy(capture->buffers->body + capture->body_kept_bytes, bytes, kept);
	capture->body_kept_bytes += kept;
	capture->body_read_bytes += length;
	if (capture->body_read_bytes <= CAPTURE_BODY_READ_BYTES)
		return length;
	capture->answer_was_cut = true;
	return 0;
}

static void
note_address(Capture *capture, const struct sockaddr *address)
{
	const void *bytes = NULL;

	if (address->sa_family == AF_INET)
		bytes = &((const struct sockaddr_in *) address)->sin_addr;
	else if (address->sa_family == AF_INET6)
		bytes = &((const struct sockaddr_in6 *) address)->sin6_addr;
	if (!bytes || !inet_ntop(address->sa_family, bytes, capture->address, CAPTURE_ADDRESS_BYTES))
		capture->address[0] = '\0';
}

static bool
read_address(const char *host, int port, struct sockaddr_storage *address)
{
	struct sockaddr_in *address4 = (struct sockaddr_in *) address;
	struct sockaddr_in6 *address6 = (struct sockaddr_in6 *) address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &address4->sin_addr) == 1)
	{
		address4->sin_family = AF_INET;
		address4->sin_port = htons((uint16_t) port);
		return true;
	}
	if (inet_pton(AF_INET6, host, &address6->sin6_addr) != 1)
		return false;
	address6->sin6_family = AF_INET6;
	address6->sin6_port = htons((uint16_t) port);
	return true;
}

/* What an interim answer (1xx) said is of no use once the next one begins. */
static void
begin_header_block(Capture *capture)
{
	capture->headers_kept_bytes = 0;
	capture->has_retry_after = false;
	capture->rate_limit = (RateLimitFields)
	{
		0
	};
	capture->date[0] = '\0';
}

static void
keep_header(Capture *capture, const char *line, size_t length)
{
	if (length > CAPTURE_HEADERS_KEPT_BYTES - capture->headers_kept_bytes)
		return;
	memcpy(capture->buffers->headers + capture->headers_kept_bytes, line, length);
	capture->headers_kept_bytes += length;
}

static void
read_field(Capture *capture, const char *line, size_t length)
{
	const char *colon;
	size_t		name_bytes;
	char		name[FIELD_NAME_BYTES];
	char		value[RATE_LIMIT_LIST_BYTES];

	/* Retry-After, Date, RateLimit, X-RateLimit: few lines begin like these */
	if (length == 0 || !strchr("RrDdXx", line[0]))
		return;
	colon = memchr(line, ':', length);
	name_bytes = colon ? (size_t) (colon - line) : 0;
	if (!colon || name_bytes >= sizeof(name))
		return;
	memcpy(name, line, name_bytes);
	name[name_bytes] = '\0';
	copy_trimmed(value, sizeof(value), colon + 1, length - name_bytes - 1);

	if (strcasecmp(name, "Retry-After") == 0 && !capture->has_retry_after)
	{
		capture->has_retry_after = true;
		copy_trimmed(capture->retry_after, sizeof(capture->retry_after), value, strlen(value));
	}
	else if (strcasecmp(name, "Date") == 0)
		copy_trimmed(capture->date, sizeof(capture->date), value, strlen(value));
	else
		rate_limit_note(&capture->rate_limit, name, value);
}

static bool
is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void
copy_trimmed(char *target, size_t size, const char *bytes, size_t length)
{
	while (length > 0 && is_blank(bytes[0]))
	{
		bytes++;
		length--;
	}
	while (length > 0 && is_blank(bytes[length - 1]))
		length--;
	if (length >= size)
		length = size - 1;
	memcpy(target, bytes, length);
	target[length] = '\0';
}
