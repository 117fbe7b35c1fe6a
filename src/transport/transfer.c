/*-------------------------------------------------------------------------
 * transfer.c
 *		One libcurl handle with everything that belongs to it.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "message/text.h"
#include "transport/reason.h"
#include "transport/tls.h"
#include "transport/transfer.h"

#define CONNECTION_LIFETIME_S 300L
#define IDLE_S 300L
#define IDLE_NOT_IDEMPOTENT_S 10L

static CURLcode set_fixed_options(Transfer *transfer, const TransferSettings *settings);
static CURLcode set_protocols(CURL *easy);
static CURLcode set_method(Transfer *transfer, const Request *request);
static CURLcode set_url(Transfer *transfer, const char *url);
static CURLcode set_url_parts(Transfer *transfer, const char *url);
static void forget_url_parts(Transfer *transfer);
static CURLcode set_times(Transfer *transfer, const TransferOptions *options);
static CURLcode set_body(CURL *easy, const Request *request);
static void forget_applied(Transfer *transfer);
static bool keep_copy(char **copy, const char *string);
static bool list_headers(Transfer *transfer, const TransferSettings *settings,
						 const Request *request);
static char *header_line(char *line);
static ReasonFacts collect_facts(const Transfer *transfer, CURLcode code);
static void collect_info(const Transfer *transfer, ReasonFacts *facts);
static bool is_conditional(const Request *request);
static bool misses_certificate(const Answer *answer);
static bool lacks_resources(const Transfer *transfer);
static void write_error(Transfer *transfer, CURLcode code);

/* otherwise a large body waits a second for "100 Continue" */
static char no_expect[] = "Expect:";

static const struct
{
	CURLoption	option;
	long		value;
}			fixed_options[] =

{
	{CURLOPT_NOSIGNAL, 1},
	{CURLOPT_FOLLOWLOCATION, 0},
	{CURLOPT_HTTP09_ALLOWED, 0},
	{CURLOPT_SSL_VERIFYPEER, 1},
	{CURLOPT_SSL_VERIFYHOST, 2},
	{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S},
	{CURLOPT_DISALLOW_USERNAME_IN_URL, 1},
	{CURLOPT_NETRC, CURL_NETRC_IGNORED},
	{CURLOPT_FAILONERROR, 0},
#if LIBCURL_VERSION_NUM >= 0x075700
	{CURLOPT_QUICK_EXIT, 1},
#endif
};

/* All schemes but http are taken as https. */
static bool
url_is_plain(const char *url)
{
	return strncasecmp(url, "http:", 5) == 0;
}

Transfer *
transfer_create(const TransferSettings *settings)
{
	Transfer   *transfer = calloc(1, sizeof(Transfer));

	if (!transfer)
		return NULL;
	transfer->easy = curl_easy_init();
	if (!transfer->easy || set_fixed_options(transfer, settings) != CURLE_OK)
	{
		transfer_free(transfer);
		return NULL;
	}
	return transfer;
}

void
transfer_free(Transfer *transfer)
{
	curl_easy_cleanup(transfer->easy);
	curl_url_cleanup(transfer->url_parts);
	free(transfer->applied_url);
	free(transfer->applied_method);
	free(transfer->headers);
	free(transfer);
}

static void
connect_anew(Transfer *transfer, bool is_wanted)
{
	if (transfer->takes_new == is_wanted)
		return;
	transfer->takes_new = is_wanted;
	curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, is_wanted ? 1L : 0L);
}

CURLcode
transfer_prepare(Transfer *transfer, const TransferSettings *settings,
				 const Request *request, const TransferOptions *options)
{
	CURL	   *easy = transfer->easy;
	bool		is_plain = url_is_plain(request->url);
	CURLcode	code;

	transfer->request = request;
	transfer->is_https = !is_plain;
	transfer->isolation = options->isolation;
	transfer->error[0] = '\0';
	capture_begin(&transfer->capture, &settings->policy, is_plain && !options->allow_http);

	connect_anew(transfer, options->over_new_connection);
	if (!list_headers(transfer, settings, request))
		return CURLE_OUT_OF_MEMORY;
	code = set_url(transfer, request->url);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	if (code == CURLE_OK)
		code = set_times(transfer, options);
	if (code == CURLE_OK)
		code = set_method(transfer, request);
	if (code == CURLE_OK && request->body)
		code = set_body(easy, request);
	if (code == CURLE_OK && options->certificate)
		code = tls_set(easy, options->certificate);
	transfer->has_certificate = options->certificate != NULL;
	if (code != CURLE_OK)
		forget_applied(transfer);
	return code;
}

void
transfer_wait_for_connection(Transfer *transfer, bool is_wanted)
{
	if (transfer->may_wait == is_wanted)
		return;
	transfer->may_wait = is_wanted;
	curl_easy_setopt(transfer->easy, CURLOPT_PIPEWAIT, is_wanted ? 1L : 0L);
}

bool
transfer_found_closed(const Transfer *transfer)
{
	return transfer->capture.found_closed;
}

void
transfer_renew(Transfer *transfer)
{
	transfer->error[0] = '\0';
	capture_renew(&transfer->capture);
	connect_anew(transfer, true);
}

void
transfer_finish(Transfer *transfer, CURLcode code)
{
	Answer	   *answer = &transfer->node->answer;
	ReasonFacts facts;

	answer_fill(answer, transfer->easy, code, &transfer->capture);
	facts = collect_facts(transfer, code);
	reason_write(&facts, answer->reason, sizeof(answer->reason));
	answer->was_lost = facts.would_resend;
	write_error(transfer, code);
}

void
transfer_release(Transfer *transfer, const TransferSettings *settings)
{
	if (transfer->has_certificate)
		tls_forget(transfer->easy, settings->ca_file);
	transfer->has_certificate = false;
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
	/* makes the method POST, which a request without a body must not find */
	if (transfer->request->body)
		curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, NULL);
	transfer->request = NULL;
	transfer->node = NULL;
}

static CURLcode
set_fixed_options(Transfer *transfer, const TransferSettings *settings)
{
	CURL	   *easy = transfer->easy;
	CURLcode	code = set_protocols(easy);

	for (size_t i = 0; i < sizeof(fixed_options) / sizeof(fixed_options[0]); i++)
		if (code == CURLE_OK)
			code = curl_easy_setopt(easy, fixed_options[i].option, fixed_options[i].value);

	/*
	 * otherwise the environment of the postmaster names a proxy, past the
	 * address policy
	 */
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	if (code == CURLE_OK)
		code = tls_begin(easy, settings->ca_file);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	if (code == CURLE_OK)
		code = capture_attach(&transfer->capture, easy, settings->poller);

	/* a libcurl without HTTP/2 says no, which does no harm */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
	return code;
}

static CURLcode
set_protocols(CURL *easy)
{
	CURLcode	code;

#if LIBCURL_VERSION_NUM >= 0x075500
	code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
	code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_DEFAULT_PROTOCOL, "https");
	return code;
}

/* A handle serves one endpoint nearly always, whose options it has already. */
static CURLcode
set_url(Transfer *transfer, const char *url)
{
	if (transfer->applied_url && strcmp(transfer->applied_url, url) == 0)
		return transfer->url_parts ? CURLE_OK : set_url_parts(transfer, url);
	forget_url_parts(transfer);
	if (!keep_copy(&transfer->applied_url, url))
		return CURLE_OUT_OF_MEMORY;
	return curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
}

/*
 * libcurl takes a URL apart and puts it together again for each transfer, unless it is given
 * the parts.  What they can't be told of stays with the URL, and its errors.
 */
static CURLcode
set_url_parts(Transfer *transfer, const char *url)
{
	CURLU	   *parts = curl_url();

	if (!parts || curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK)
	{
		curl_url_cleanup(parts);
		return CURLE_OK;
	}
	transfer->url_parts = parts;
	return curl_easy_setopt(transfer->easy, CURLOPT_CURLU, parts);
}

static void
forget_url_parts(Transfer *transfer)
{
	if (!transfer->url_parts)
		return;
	curl_easy_setopt(transfer->easy, CURLOPT_CURLU, NULL);
	curl_url_cleanup(transfer->url_parts);
	transfer->url_parts = NULL;
}

static CURLcode
set_times(Transfer *transfer, const TransferOptions *options)
{
	CURL	   *easy = transfer->easy;
	long		idle_s = options->idempotent ? IDLE_S : IDLE_NOT_IDEMPOTENT_S;
	CURLcode	code = CURLE_OK;

	if (transfer->applied.connect_timeout_ms == options->connect_timeout_ms &&
		transfer->applied.timeout_ms == options->timeout_ms &&
		transfer->applied.idempotent == options->idempotent)
		return CURLE_OK;
	code = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) options->connect_timeout_ms);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) options->timeout_ms);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, idle_s);
	if (code == CURLE_OK)
		transfer->applied = *options;
	return code;
}

/* A used handle still has the last method, so each kind sets all of it. */
static CURLcode
set_method(Transfer *transfer, const Request *request)
{
	CURL	   *easy = transfer->easy;
	CURLcode	code;

	if (transfer->applied_method && strcmp(transfer->applied_method, request->method) == 0 &&
		transfer->applied_body == (request->body != NULL))
		return CURLE_OK;
	if (!keep_copy(&transfer->applied_method, request->method))
		return CURLE_OUT_OF_MEMORY;
	transfer->applied_body = request->body != NULL;
	code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (code == CURLE_OK && strcmp(request->method, "HEAD") == 0)
		code = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (code == CURLE_OK && request->body)
		code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
	return code;
}

static CURLcode
set_body(CURL *easy, const Request *request)
{
	CURLcode	code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
										(curl_off_t) request->body_bytes);

	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	return code;
}

/* Nobody knows any more what the handle is set to. */
static void
forget_applied(Transfer *transfer)
{
	forget_url_parts(transfer);
	free(transfer->applied_url);
	free(transfer->applied_method);
	transfer->applied_url = NULL;
	transfer->applied_method = NULL;
	memset(&transfer->applied, 0, sizeof(transfer->applied));
}

static bool
keep_copy(char **copy, const char *string)
{
	free(*copy);
	*copy = strdup(string);
	return *copy != NULL;
}

/*
 * libcurl only reads the list, so its nodes can point to the request's own lines.  It would format
 * CURLOPT_USERAGENT twice for each request.
 */
static bool
list_headers(Transfer *transfer, const TransferSettings *settings, const Request *request)
{
	int			room = request->header_count + 2;
	int			count = 0;

	if (room > transfer->header_room)
	{
		free(transfer->headers);
		transfer->headers = calloc((size_t) room, sizeof(struct curl_slist));
		transfer->header_room = transfer->headers ? room : 0;
	}
	if (!transfer->headers)
		return false;

	if (!request_names_agent(request))
		transfer->headers[count++].data = settings->user_agent_line;
	transfer->headers[count++].data = no_expect;
	for (int i = 0; i < request->header_count; i++)
		transfer->headers[count++].data = header_line(request->headers[i]);
	for (int i = 1; i < count; i++)
		transfer->headers[i - 1].next = &transfer->headers[i];
	transfer->headers[count - 1].next = NULL;
	return true;
}

/* To libcurl "Name:" means "leave it out", "Name;" means an empty value. */
static char *
header_line(char *line)
{
	char	   *colon = strchr(line, ':');

	if (colon && strcmp(colon, ": ") == 0)
		memcpy(colon, ";", 2);
	return line;
}

static ReasonFacts
collect_facts(const Transfer *transfer, CURLcode code)
{
	const Capture *capture = &transfer->capture;
	ReasonFacts facts = {
		.curl_code = (int) code,
		.http_status = transfer->node->answer.http_status,
		.error = transfer->error,
		.refusal = capture_final_refusal(capture),
		.is_https = transfer->is_https,
		.is_conditional = transfer->node->answer.http_status == 304 &&
		is_conditional(transfer->request),
		.url_has_values = transfer->request->url_has_values,
		.may_have_queued = transfer->may_have_queued,
		.socket_was_opened = capture->socket_at_us != 0,
		.request_has_started = capture->request_at_us != 0,
		.would_resend = capture->would_resend,
		.answer_has_started = capture->answer_at_us != 0,
		.answer_was_cut = capture->answer_was_cut,
		.headers_were_cut = capture->headers_were_cut,
		.has_retry_after = capture->has_retry_after,
		.is_exhausted = transfer->node->answer.rate_limit.is_exhausted,
		.misses_certificate = misses_certificate(&transfer->node->answer),
		.lacks_resources = code != CURLE_OK && lacks_resources(transfer)
	};

	/* of a transfer that went well only the status is asked */
	if (code != CURLE_OK)
		collect_info(transfer, &facts);
	return facts;
}

static void
collect_info(const Transfer *transfer, ReasonFacts *facts)
{
	long		connects = 0;
	long		system_error = 0;
	long		proxy_status = 0;
	curl_off_t	sent_bytes = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &system_error);
	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent_bytes);
	facts->has_connected = connects > 0;
	facts->system_error = (int) system_error;
	facts->proxy_status = (int) proxy_status;
	facts->request_was_sent = sent_bytes >= (curl_off_t) transfer->request->body_bytes;
}

static bool
is_conditional(const Request *request)
{
	for (int i = 0; i < request->header_count; i++)
		if (strncasecmp(request->headers[i], "If-", 3) == 0)
			return true;
	return false;
}

/* nginx judges certificates after the handshake and says 400, as for bad data. */
static bool
misses_certificate(const Answer *answer)
{
	return answer->http_status == 400 && answer->body &&
		(strstr(answer->body, "<center>No required SSL certificate was sent</center>") ||
		 strstr(answer->body, "<center>The SSL certificate error</center>"));
}

/* A shortage of our own must never count against the endpoint. */
static bool
lacks_resources(const Transfer *transfer)
{
	switch (transfer->capture.socket_error)
	{
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			return transfer->capture.socket_at_us == 0;
		default:
			return strstr(transfer->error, "thread failed to start") != NULL;
	}
}

static void
write_error(Transfer *transfer, CURLcode code)
{
	Answer	   *answer = &transfer->node->answer;
	const Capture *capture = &transfer->capture;
	GuardVerdict refusal = capture_final_refusal(capture);
	char		error[TRANSPORT_ERROR_BYTES * 2];

	if (code == CURLE_OK)
		return;
	if (capture->answer_was_cut)
		snprintf(error, sizeof(error), "answer cut after 1 MiB");
	else if (capture->headers_were_cut)
		snprintf(error, sizeof(error), "answer has more than 256 kB of headers");
	else if (capture->would_resend)
		snprintf(error, sizeof(error), "a kept connection was closed before an answer came");
	else if (refusal != GUARD_ALLOWS)
		snprintf(error, sizeof(error), "address %s %s",
				 capture->address, guard_explanation(refusal));
	else if (capture->socket_error != 0 && capture->socket_at_us == 0)
		snprintf(error, sizeof(error), "could not open a socket: %s",
				 strerror(capture->socket_error));
	else
		snprintf(error, sizeof(error), "%s",
				 transfer->error[0] ? transfer->error : curl_easy_strerror(code));
	text_copy_clean(answer->error, sizeof(answer->error), error);
}
