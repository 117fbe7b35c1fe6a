/*-------------------------------------------------------------------------
 * reason_test.c
 *		What each failure is called.
 *-------------------------------------------------------------------------
 */
#include <errno.h>

#include "tap.h"
#include "transport/reason.h"

static const struct
{
	const char *wanted;
	ReasonFacts facts;
}			cases[] =

{
	/* codes with one meaning */
	{"curl:2", {.curl_code = 2}},
	{"curl:6", {.curl_code = 6}},
	{"curl:8", {.curl_code = 8,.http_status = 200}},
	{"curl:16", {.curl_code = 16,.request_has_started = true}},
	{"curl:52", {.curl_code = 52,.request_has_started = true}},
	{"curl:55", {.curl_code = 55,.request_has_started = true}},
	{"curl:60", {.curl_code = 60,.is_https = true}},
	{"curl:67", {.curl_code = 67}},
	{"curl:101", {.curl_code = 101}},
	{"curl:other", {.curl_code = 102}},

	/* codes with several */
	{"curl:1", {.curl_code = 1}},
	{"curl:1:http09", {.curl_code = 1,.socket_was_opened = true,.request_has_started = true}},
	{"curl:1:http09", {.curl_code = 1,.request_has_started = true}},
	{"curl:1:http09", {.curl_code = 8,.request_has_started = true}},
	{"curl:3", {.curl_code = 3}},
	{"curl:3:data", {.curl_code = 3,.url_has_values = true}},
	{"curl:7:refused", {.curl_code = 7,.socket_was_opened = true,.system_error = ECONNREFUSED}},
	{"curl:7:unreachable", {.curl_code = 7,.socket_was_opened = true,.system_error = EHOSTUNREACH}},
	{"curl:7:unreachable", {.curl_code = 7,.socket_was_opened = true}},
	{"curl:7:socket", {.curl_code = 7,.system_error = ENOENT}},
	{"curl:7:blocked", {.curl_code = 7,.refusal = GUARD_REFUSES_FAMILY}},
	{"curl:7:proxy", {.curl_code = 7,.proxy_status = 403,.system_error = ECONNREFUSED}},
	{"curl:18", {.curl_code = 18,.http_status = 500}},
	{"curl:18", {.curl_code = 18}},
	{"curl:18:complete", {.curl_code = 18,.http_status = 200}},
	{"curl:18:complete", {.curl_code = 18,.http_status = 299}},
	{"curl:18", {.curl_code = 18,.http_status = 300}},
	{"curl:18:complete", {.curl_code = 56,.http_status = 200}},
	{"curl:18:complete", {.curl_code = 92,.http_status = 201,.request_has_started = true}},
	{"curl:18:complete", {.curl_code = 16,.http_status = 204}},
	{"curl:18:complete", {.curl_code = 55,.http_status = 204}},
	{"curl:18:complete", {.curl_code = 61,.http_status = 200}},
	{"curl:61", {.curl_code = 61,.http_status = 404}},
	{"curl:23:limit", {.curl_code = 23,.answer_was_cut = true}},
	{"curl:23:memory", {.curl_code = 23}},
	{"http:200", {.curl_code = 23,.answer_was_cut = true,.http_status = 200}},
	{"http:500", {.curl_code = 23,.answer_was_cut = true,.http_status = 500}},
	{"curl:27", {.curl_code = 27}},
	{"curl:27:headers", {.curl_code = 27,.http_status = 200}},
	{"curl:27", {.curl_code = 7,.lacks_resources = true}},
	{"curl:27", {.curl_code = 6,.lacks_resources = true}},
	{"curl:28:queue", {.curl_code = 28,.may_have_queued = true}},
	{"curl:28:dns", {.curl_code = 28}},
	{"curl:28:connect", {.curl_code = 28,.socket_was_opened = true,.is_https = true}},
	{"curl:28:connect", {.curl_code = 28,.socket_was_opened = true,.has_connected = true}},
	{"curl:28:tls", {.curl_code = 28,.socket_was_opened = true,.has_connected = true,
	.is_https = true}},
	{"curl:28:send", {.curl_code = 28,.request_has_started = true}},
	{"curl:28:response", {.curl_code = 28,.request_has_started = true,.request_was_sent = true}},

	/* an interim answer has started, a final one has not */
	{"curl:28:response", {.curl_code = 28,.request_has_started = true,.request_was_sent = true,
	.answer_has_started = true}},
	{"curl:28:body", {.curl_code = 28,.request_has_started = true,.request_was_sent = true,
	.answer_has_started = true,.http_status = 404}},
	{"curl:28:complete", {.curl_code = 28,.request_has_started = true,.request_was_sent = true,
	.answer_has_started = true,.http_status = 202}},
	{"curl:35:refused", {.curl_code = 35,.error = "sslv3 alert handshake failure"}},
	{"curl:35:certificate", {.curl_code = 35,.error = "sslv3 alert bad certificate"}},
	{"curl:35:certificate", {.curl_code = 35,.error = "tlsv1 alert unknown ca"}},
	{"curl:35:reset", {.curl_code = 35,.error = "Connection reset by peer"}},
	{"blocked_private_address", {.curl_code = 7,.refusal = GUARD_REFUSES_ADDRESS}},
	{"blocked_scheme", {.curl_code = 7,.refusal = GUARD_REFUSES_SCHEME}},
	{"blocked_port", {.curl_code = 7,.refusal = GUARD_REFUSES_PORT}},
	{"blocked_private_address", {.curl_code = 42,.refusal = GUARD_REFUSES_ADDRESS}},
	{"curl:42:blocked", {.curl_code = 42,.refusal = GUARD_REFUSES_FAMILY,
	.request_has_started = true}},
	{"curl:42:resent", {.curl_code = 42,.would_resend = true,.request_has_started = true}},
	{"curl:42:cancelled", {.curl_code = 42}},
	{"curl:56", {.curl_code = 56,.request_has_started = true}},
	{"curl:56", {.curl_code = 56,.http_status = 500}},
	{"curl:56:certificate", {.curl_code = 56,.error = "tlsv13 alert certificate required"}},
	{"curl:56:proxy", {.curl_code = 56,.proxy_status = 407}},
	{"curl:56:headers", {.curl_code = 56,.error = "Too large response headers: 307200 > 307200",
	.http_status = 200}},
	{"curl:56:headers", {.curl_code = 23,.headers_were_cut = true,.http_status = 200}},
	{"curl:92", {.curl_code = 92,.request_has_started = true}},
	{"curl:92:refused", {.curl_code = 92}},
	{"curl:92:refused", {.curl_code = 92,.request_has_started = true,
	.error = "HTTP/2 stream 1 was not closed cleanly: REFUSED_STREAM (err 7)"}},
	{"curl:100:headers", {.curl_code = 100,.http_status = 200}},
	{"curl:100:request", {.curl_code = 100}},

	/* answers */
	{"http:200", {.http_status = 200}},
	{"http:101", {.http_status = 101}},
	{"http:299", {.http_status = 299}},
	{"http:304", {.http_status = 304}},
	{"http:304:conditional", {.http_status = 304,.is_conditional = true}},
	{"http:400", {.http_status = 400}},
	{"http:400:certificate", {.http_status = 400,.misses_certificate = true}},
	{"http:403", {.http_status = 403}},
	{"http:403:limited", {.http_status = 403,.has_retry_after = true}},
	{"http:403:limited", {.http_status = 403,.is_exhausted = true}},
	{"http:404", {.http_status = 404,.has_retry_after = true}},
	{"http:413", {.http_status = 413}},
	{"http:413:retry_after", {.http_status = 413,.has_retry_after = true}},
	{"http:429", {.http_status = 429,.has_retry_after = true,.is_exhausted = true}},
	{"http:503", {.http_status = 503,.is_exhausted = true}},
	{"http:503:retry_after", {.http_status = 503,.has_retry_after = true}},
	{"http:599", {.http_status = 599}},
	{"http:783", {.http_status = 783}},
	{"http:999", {.http_status = 999}},
	{"http:invalid", {.http_status = 600}},
	{"http:invalid", {.http_status = 99}},
	{"http:invalid", {.http_status = 0}},

	/* one address was refused, another was used */
	{"http:200", {.http_status = 200,.refusal = GUARD_REFUSES_ADDRESS}},
	{"http:200", {.http_status = 200,.lacks_resources = true}},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ReasonFacts facts = cases[i].facts;
		char		reason[48];

		if (!facts.error)
			facts.error = "";
		reason_write(&facts, reason, sizeof(reason));
		tap_text(reason, cases[i].wanted, cases[i].wanted);
	}
	return tap_done();
}
