/*-------------------------------------------------------------------------
 * reason.c
 *		The name of the exact thing that happened to a transfer.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "transport/reason.h"

#define LAST_KNOWN_CODE 101

static const char *own_cause(const ReasonFacts *facts);
static bool was_confirmed(const ReasonFacts *facts);
static bool is_garbage(const ReasonFacts *facts);
static const char *curl_variant(const ReasonFacts *facts);
static const char *connect_variant(const ReasonFacts *facts);
static const char *timeout_variant(const ReasonFacts *facts);
static const char *handshake_variant(const ReasonFacts *facts);
static const char *receive_variant(const ReasonFacts *facts);
static const char *stream_variant(const ReasonFacts *facts);
static void write_status(const ReasonFacts *facts, char *reason, size_t size);
static const char *status_variant(const ReasonFacts *facts);
static bool mentions(const ReasonFacts *facts, const char *words);

void
reason_write(const ReasonFacts *facts, char *reason, size_t size)
{
	const char *cause = own_cause(facts);

	if (cause)
		snprintf(reason, size, "%s", cause);
	else if (facts->curl_code == CURLE_OK ||
			 (facts->answer_was_cut && facts->http_status != 0))
		write_status(facts, reason, size);
	else if (was_confirmed(facts))
		snprintf(reason, size, "curl:%d:complete",
				 facts->curl_code == CURLE_OPERATION_TIMEDOUT ? 28 : 18);
	else if (is_garbage(facts))
		snprintf(reason, size, "curl:1:http09");
	else if (facts->curl_code > LAST_KNOWN_CODE)
		snprintf(reason, size, "curl:other");
	else
		snprintf(reason, size, "curl:%d%s", facts->curl_code, curl_variant(facts));
}

/* What we did ourselves, which libcurl reports under some code of its own. */
static const char *
own_cause(const ReasonFacts *facts)
{
	const char *refusal = guard_reason(facts->refusal);

	if (facts->curl_code == CURLE_OK)
		return NULL;
	if (facts->would_resend)
		return "curl:42:resent";
	if (facts->refusal != GUARD_ALLOWS && refusal)
		return refusal;
	if (facts->refusal != GUARD_ALLOWS)
		return facts->request_has_started ? "curl:42:blocked" : "curl:7:blocked";
	if (facts->lacks_resources)
		return "curl:27";
	if (facts->headers_were_cut)
		return "curl:56:headers";
	return NULL;
}

/* A good status had arrived when the rest of the answer was lost on the way. */
static bool
was_confirmed(const ReasonFacts *facts)
{
	if (facts->http_status < 200 || facts->http_status > 299)
		return false;
	switch (facts->curl_code)
	{
		case CURLE_OPERATION_TIMEDOUT:
		case CURLE_PARTIAL_FILE:
		case CURLE_RECV_ERROR:
		case CURLE_SEND_ERROR:
		case CURLE_HTTP2:
		case CURLE_HTTP2_STREAM:
		case CURLE_BAD_CONTENT_ENCODING:
			return !mentions(facts, "Too large response headers");
		default:
			return false;
	}
}

/* Without a status line libcurl says 1 on a new connection, newer ones 8 on a kept one. */
static bool
is_garbage(const ReasonFacts *facts)
{
	return facts->curl_code == CURLE_WEIRD_SERVER_REPLY && facts->http_status == 0;
}

static const char *
curl_variant(const ReasonFacts *facts)
{
	switch (facts->curl_code)
	{
		case CURLE_UNSUPPORTED_PROTOCOL:
			return facts->socket_was_opened || facts->request_has_started ? ":http09" : "";
		case CURLE_URL_MALFORMAT:
			return facts->url_has_values ? ":data" : "";
		case CURLE_COULDNT_CONNECT:
			return connect_variant(facts);
		case CURLE_WRITE_ERROR:
			return facts->answer_was_cut ? ":limit" : ":memory";
		case CURLE_OUT_OF_MEMORY:
			return facts->http_status ? ":headers" : "";
		case CURLE_OPERATION_TIMEDOUT:
			return timeout_variant(facts);
		case CURLE_SSL_CONNECT_ERROR:
			return handshake_variant(facts);
		case CURLE_ABORTED_BY_CALLBACK:
			return ":cancelled";
		case CURLE_RECV_ERROR:
			return receive_variant(facts);
		case CURLE_HTTP2_STREAM:
			return stream_variant(facts);
		case 100:				/* CURLE_TOO_LARGE, absent from older headers */
			return facts->http_status ? ":headers" : ":request";
		default:
			return "";
	}
}

static const char *
connect_variant(const ReasonFacts *facts)
{
	if (facts->proxy_status != 0)
		return ":proxy";
	if (facts->system_error == ECONNREFUSED)
		return ":refused";

	/* connecting over TCP never gives this one */
	return facts->system_error == ENOENT ? ":socket" : ":unreachable";
}

static const char *
timeout_variant(const ReasonFacts *facts)
{
	if (facts->answer_has_started && facts->http_status != 0)
		return ":body";
	if (facts->request_has_started)
		return facts->request_was_sent ? ":response" : ":send";
	if (facts->has_connected && facts->is_https)
		return ":tls";
	if (facts->socket_was_opened)
		return ":connect";
	return facts->may_have_queued ? ":queue" : ":dns";
}

/* RFC 5246 §7.2.2: some alerts speak of the certificate that we showed, or did not. */
static const char *
handshake_variant(const ReasonFacts *facts)
{
	if (!mentions(facts, "alert"))
		return ":reset";
	if (mentions(facts, "certificate") || mentions(facts, "unknown ca") ||
		mentions(facts, "access denied"))
		return ":certificate";
	return ":refused";
}

static const char *
receive_variant(const ReasonFacts *facts)
{
	if (facts->proxy_status != 0)
		return ":proxy";
	if (mentions(facts, "Too large response headers"))
		return ":headers";
	return mentions(facts, "alert") ? ":certificate" : "";
}

static const char *
stream_variant(const ReasonFacts *facts)
{
	/* libcurl 7.88.1 now and then gives up a stream before it sent anything */
	if (!facts->request_has_started)
		return ":refused";
	return mentions(facts, "REFUSED_STREAM") ? ":refused" : "";
}

static void
write_status(const ReasonFacts *facts, char *reason, size_t size)
{
	int			status = facts->http_status;
	bool		is_valid = (status >= 100 && status <= 599) || status == 783 || status == 999;

	if (is_valid)
		snprintf(reason, size, "http:%d%s", status, status_variant(facts));
	else
		snprintf(reason, size, "http:invalid");
}

static const char *
status_variant(const ReasonFacts *facts)
{
	switch (facts->http_status)
	{
		case 400:
			return facts->misses_certificate ? ":certificate" : "";
		case 304:
			return facts->is_conditional ? ":conditional" : "";
		case 403:
			return facts->has_retry_after || facts->is_exhausted ? ":limited" : "";
		case 413:
		case 503:
			return facts->has_retry_after ? ":retry_after" : "";
		default:
			return "";
	}
}

static bool
mentions(const ReasonFacts *facts, const char *words)
{
	return strstr(facts->error, words) != NULL;
}
