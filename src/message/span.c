/*-------------------------------------------------------------------------
 * span.c
 *		An attempt as OpenTelemetry's spans, in OTLP's JSON.
 *
 * OpenTelemetry semantic conventions 1.44.0, HTTP client spans, messaging spans.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "message/json.h"
#include "message/span.h"

/* opentelemetry/proto/trace/v1/trace.proto: SpanKind, SpanFlags */
#define KIND_CLIENT "3"
#define KIND_PRODUCER "4"
#define KIND_CONSUMER "5"
#define FLAG_REMOTE_IS_KNOWN 0x100
#define FLAG_IS_REMOTE 0x200

#define NUMBER_BYTES 24

#define APPEND(text, literal) text_append(text, literal, sizeof(literal) - 1)

typedef struct Place
{
	const char *host;
	size_t		host_bytes;
	const char *port;
	size_t		port_bytes;
} Place;

/* Its digits, at the end of the buffer: printf() would take longer than all the rest. */
static const char *
write_number(char buffer[NUMBER_BYTES], int64_t number)
{
	char	   *at = buffer + NUMBER_BYTES - 1;
	uint64_t	rest = number < 0 ? -(uint64_t) number : (uint64_t) number;

	*at = '\0';
	do
		*--at = (char) ('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (number < 0)
		*--at = '-';
	return at;
}

static void
append_number(Text *text, int64_t number)
{
	char		buffer[NUMBER_BYTES];

	text_append_string(text, write_number(buffer, number));
}

static void
append_string(Text *text, const char *string)
{
	json_append_string(text, string, strlen(string));
}

/* What is known to need no escape. */
static void
append_quoted(Text *text, const char *string)
{
	text_append_char(text, '"');
	text_append_string(text, string);
	text_append_char(text, '"');
}

static void
open_attribute(Text *text, const char *key)
{
	if (text->length > 0 && text->data[text->length - 1] != '[')
		text_append_char(text, ',');
	APPEND(text, "{\"key\":");
	append_quoted(text, key);
}

static void
add_bytes(Text *text, const char *key, const char *value, size_t length)
{
	open_attribute(text, key);
	APPEND(text, ",\"value\":{\"stringValue\":");
	json_append_string(text, value, length);
	APPEND(text, "}}");
}

static void
add_string(Text *text, const char *key, const char *value)
{
	if (value != NULL)
		add_bytes(text, key, value, strlen(value));
}

/* OTLP: an int64 is a string of digits. */
static void
add_digits(Text *text, const char *key, const char *digits, size_t length)
{
	open_attribute(text, key);
	APPEND(text, ",\"value\":{\"intValue\":\"");
	text_append(text, digits, length);
	APPEND(text, "\"}}");
}

static void
add_number(Text *text, const char *key, int64_t number)
{
	char		buffer[NUMBER_BYTES];
	const char *digits = write_number(buffer, number);

	add_digits(text, key, digits, strlen(digits));
}

static void
append_time(Text *text, const char *member, int64_t at_us)
{
	text_append_char(text, ',');
	append_quoted(text, member);
	APPEND(text, ":\"");
	append_number(text, at_us);
	APPEND(text, "000\"");
}

static void
append_ids(Text *text, const char *trace_id, const char *span_id)
{
	APPEND(text, "{\"traceId\":");
	append_quoted(text, trace_id);
	APPEND(text, ",\"spanId\":");
	append_quoted(text, span_id);
}

static void
append_parent(Text *text, const char *span_id, unsigned flags)
{
	if (span_id != NULL)
	{
		APPEND(text, ",\"parentSpanId\":");
		append_quoted(text, span_id);
	}
	APPEND(text, ",\"flags\":");
	append_number(text, flags);
}

static void
append_times(Text *text, int64_t from_us, int64_t to_us)
{
	append_time(text, "startTimeUnixNano", from_us);
	append_time(text, "endTimeUnixNano", to_us);
	APPEND(text, ",\"attributes\":[");
}

/* Behind the attributes. */
static void
append_link_to_send(Text *text, const SpanFacts *facts)
{
	APPEND(text, ",\"links\":[");
	append_ids(text, facts->sync_trace_id, facts->send_id);
	APPEND(text, "}]");
}

static void
append_status(Text *text, const SpanFacts *facts)
{
	if (facts->is_failed)
	{
		APPEND(text, ",\"status\":{\"code\":2");
		if (facts->error != NULL)
		{
			APPEND(text, ",\"message\":");
			append_string(text, facts->error);
		}
		text_append_char(text, '}');
	}
	text_append_char(text, '}');
}

/* Of send and process. */
static void
append_name(Text *text, const char *verb, const char *endpoint)
{
	Text		name = {0};

	text_append_string(&name, verb);
	text_append_char(&name, ' ');
	text_append_string(&name, endpoint);
	APPEND(text, ",\"name\":");
	if (!name.failed)
		json_append_string(text, name.data, name.length);
	text->failed = text->failed || name.failed;
	text_free(&name);
}

static void
add_message(Text *text, const SpanFacts *facts, const char *operation)
{
	char		buffer[NUMBER_BYTES];

	add_string(text, "messaging.system", "integration");
	add_string(text, "messaging.destination.name", facts->endpoint);
	add_string(text, "messaging.message.id", write_number(buffer, facts->sync));
	add_string(text, "integration.object.type", facts->object_type);
	add_string(text, "integration.object.id", facts->object_id);
	add_string(text, "integration.customer", facts->customer);
	add_string(text, "messaging.operation.name", operation);
	add_string(text, "messaging.operation.type", operation);
}

static void
append_send(Text *text, const SpanFacts *facts)
{
	unsigned	parent = facts->parent_id == NULL ? 0 : FLAG_IS_REMOTE;

	append_ids(text, facts->sync_trace_id, facts->send_id);
	append_parent(text, facts->parent_id, facts->flags | FLAG_REMOTE_IS_KNOWN | parent);
	append_name(text, "send", facts->endpoint);
	APPEND(text, ",\"kind\":" KIND_PRODUCER);
	append_times(text, facts->created_at_us, facts->created_at_us);
	add_message(text, facts, "send");
	APPEND(text, "]},");
}

static void
append_process(Text *text, const SpanFacts *facts)
{
	append_ids(text, facts->sync_trace_id, facts->process_id);
	append_parent(text, facts->send_id, facts->flags | FLAG_REMOTE_IS_KNOWN);
	append_name(text, "process", facts->endpoint);
	APPEND(text, ",\"kind\":" KIND_CONSUMER);
	append_times(text, facts->began_at_us, facts->ended_at_us);
	add_message(text, facts, "process");
	add_string(text, "error.type", facts->error_type);
	text_append_char(text, ']');
	append_link_to_send(text, facts);
	append_status(text, facts);
	text_append_char(text, ',');
}

/* RFC 3986 §3.2: what stands between // and the path, without userinfo. */
static Place
place_of(const char *url)
{
	const char *start = strstr(url, "://");
	const char *end;
	Place		place = {.host = ""};

	if (start == NULL)
		return place;
	place.host = start + 3;
	end = place.host + strcspn(place.host, "/?#");
	for (const char *at = place.host; at < end; at++)
		if (*at == '@')
			place.host = at + 1;
	if (*place.host == '[')
		place.host_bytes = strcspn(++place.host, "]/?#");
	else
		place.host_bytes = strcspn(place.host, ":/?#");
	place.port = memchr(place.host + place.host_bytes, ':',
						(size_t) (end - place.host) - place.host_bytes);
	if (place.port != NULL)
		place.port_bytes = (size_t) (end - ++place.port);
	return place;
}

static void
add_place(Text *text, const char *url)
{
	Place		place;

	if (url == NULL)
		return;
	place = place_of(url);
	add_string(text, "url.full", url);
	add_bytes(text, "server.address", place.host, place.host_bytes);
	if (place.port_bytes > 0)
		add_digits(text, "server.port", place.port, place.port_bytes);
	else
		add_number(text, "server.port", strncmp(url, "https:", 6) == 0 ? 443 : 80);
}

static void
add_answer(Text *text, const SpanFacts *facts)
{
	add_string(text, "network.peer.address", facts->peer);
	if (facts->status >= 0)
		add_number(text, "http.response.status_code", facts->status);
	if (facts->attempt_no > 1)
		add_number(text, "http.request.resend_count", facts->attempt_no - 1);
	add_string(text, "error.type", facts->error_type);
}

/* In the sync's trace below process; one of an old sync has a trace of its own, with a link. */
static void
append_request(Text *text, const SpanFacts *facts)
{
	bool		is_own_trace = strcmp(facts->trace_id, facts->sync_trace_id) != 0;
	char		buffer[NUMBER_BYTES];

	append_ids(text, facts->trace_id, facts->span_id);
	append_parent(text, is_own_trace ? NULL : facts->process_id,
				  facts->flags | FLAG_REMOTE_IS_KNOWN);
	APPEND(text, ",\"name\":");
	append_string(text, facts->method);
	APPEND(text, ",\"kind\":" KIND_CLIENT);
	append_times(text, facts->started_at_us, facts->ended_at_us);
	add_string(text, "integration.endpoint.name", facts->endpoint);
	add_string(text, "messaging.message.id", write_number(buffer, facts->sync));
	add_string(text, "http.request.method", facts->method);
	add_place(text, facts->url);
	add_answer(text, facts);
	text_append_char(text, ']');
	if (is_own_trace)
		append_link_to_send(text, facts);
	append_status(text, facts);
}

void
span_append(Text *text, const SpanFacts *facts)
{
	if (facts->attempt_no == 1)
		append_send(text, facts);
	if (facts->is_ended)
		append_process(text, facts);
	append_request(text, facts);
}
