/*-------------------------------------------------------------------------
 * request.c
 *		The exact HTTP request that brings one sync to its endpoint.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "message/envelope.h"
#include "message/gzip.h"
#include "message/header.h"
#include "message/json.h"
#include "message/request.h"
#include "message/template.h"
#include "message/text.h"

#define METHOD_MAX_BYTES 20
#define SHOWN_NAME_BYTES 60

static const char agent_name[] = "User-Agent";
static const char reason_template[] = "template_error";
static const char reason_data[] = "template_data_error";
static const char reason_encoding[] = "payload_unencodable";
static const char reason_memory[] = "curl:27";

/* One request in the making; reason is NULL while all is well. */
typedef struct Draft
{
	const RequestSource *source;
	HeaderList	headers;
	Request    *request;
	const char *reason;
	char	   *problem;
	size_t		problem_size;
} Draft;

static void write_method(Draft *draft);
static void write_url(Draft *draft);
static void write_body(Draft *draft);
static bool carries_body(const char *method);
static void set_defaults(Draft *draft);
static void set_idempotency_key(Draft *draft);
static const char *content_type_of(RequestFormat format);
static void set_default(Draft *draft, const char *name, const char *value);
static void set_given(Draft *draft, const char *json, const char *reason);
static const char *checked_header(const char *name, const char *value);
static void hand_over_headers(Draft *draft);
static void fail(Draft *draft, const char *reason, const char *problem);
static void fail_for_memory(Draft *draft);

RequestFormat
request_format_of(const char *name)
{
	if (strcmp(name, "cloudevents") == 0)
		return REQUEST_FORMAT_CLOUDEVENTS;
	if (strcmp(name, "cloudevents-structured") == 0)
		return REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED;
	if (strcmp(name, "cloudevents-batched") == 0)
		return REQUEST_FORMAT_CLOUDEVENTS_BATCHED;
	if (strcmp(name, "otlp") == 0)
		return REQUEST_FORMAT_OTLP;
	if (strcmp(name, "otlp-gzip") == 0)
		return REQUEST_FORMAT_OTLP_GZIP;
	return REQUEST_FORMAT_JSON;
}

bool
request_build(const RequestSource *source, Request *request, const char **reason,
			  char *problem, size_t problem_size)
{
	Draft		draft = {
		.source = source,
		.request = request,
		.problem = problem,
		.problem_size = problem_size
	};

	memset(request, 0, sizeof(*request));
	write_method(&draft);
	if (!draft.reason)
		write_url(&draft);
	if (!draft.reason)
		write_body(&draft);
	if (!draft.reason)
		set_defaults(&draft);
	if (!draft.reason)
		set_given(&draft, source->endpoint_headers, reason_template);
	if (!draft.reason)
		set_given(&draft, source->sync_headers, reason_data);
	if (!draft.reason)
		hand_over_headers(&draft);
	header_list_free(&draft.headers);
	if (!draft.reason)
		return true;

	request_free(request);
	*reason = draft.reason;
	return false;
}

/* The line goes; the others keep their order. */
static void
drop_header(Request *request, int at)
{
	OPENSSL_cleanse(request->headers[at], strlen(request->headers[at]));
	free(request->headers[at]);
	if (at >= request->header_count - request->secret_count)
		request->secret_count--;
	request->header_count--;
	memmove(&request->headers[at], &request->headers[at + 1],
			sizeof(char *) * (size_t) (request->header_count - at));
}

static void
drop_headers_named(Request *request, const char *name)
{
	size_t		length = strlen(name);

	for (int i = request->header_count - 1; i >= 0; i--)
		if (strncasecmp(request->headers[i], name, length) == 0 &&
			request->headers[i][length] == ':')
			drop_header(request, i);
}

bool
request_set_secret(Request *request, const char *name, const char *value)
{
	size_t		bytes = strlen(name) + strlen(value) + sizeof(": ");
	char	   *line = malloc(bytes);
	char	  **headers = realloc(request->headers,
								  sizeof(char *) * (size_t) (request->header_count + 1));

	if (headers)
		request->headers = headers;
	if (!line || !headers)
	{
		free(line);
		return false;
	}
	snprintf(line, bytes, "%s: %s", name, value);
	drop_headers_named(request, name);
	request->headers[request->header_count++] = line;
	request->secret_count++;
	return true;
}

bool
request_names_agent(const Request *request)
{
	size_t		length = sizeof(agent_name) - 1;

	for (int i = 0; i < request->header_count; i++)
	{
		const char *line = request->headers[i];

		/* a semicolon: it has been sent before, with an empty value */
		if (strncasecmp(line, agent_name, length) == 0 &&
			(line[length] == ':' || line[length] == ';'))
			return true;
	}
	return false;
}

void
request_forget_secrets(Request *request)
{
	while (request->secret_count > 0)
		drop_header(request, request->header_count - 1);
}

void
request_free(Request *request)
{
	request_forget_secrets(request);
	for (int i = 0; i < request->header_count; i++)
		free(request->headers[i]);
	free(request->headers);
	free(request->method);
	free(request->url);
	free(request->body);
	memset(request, 0, sizeof(*request));
}

static void
write_method(Draft *draft)
{
	const char *method = draft->source->method ? draft->source->method : "POST";
	size_t		length = strlen(method);

	if (length == 0 || length > METHOD_MAX_BYTES ||
		strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != length ||
		strcmp(method, "CONNECT") == 0 || strcmp(method, "TRACE") == 0)
	{
		fail(draft, reason_template,
			 "The method is not one that can be sent, such as POST, PUT, PATCH or DELETE.");
		return;
	}
	draft->request->method = strdup(method);
	if (!draft->request->method)
		fail_for_memory(draft);
}

static void
write_url(Draft *draft)
{
	const RequestSource *source = draft->source;
	const TemplateValues values = {
		.object_type = source->object_type,
		.object_id = source->object_id,
		.operation = source->operation,
		.remote_id = source->remote_id
	};
	Text		url = {0};
	TemplateResult result;

	if (!source->url || source->url[0] == '\0')
	{
		fail(draft, reason_template, "The endpoint has no URL.");
		return;
	}
	result = template_fill(source->url, &values, &url, draft->problem, draft->problem_size);
	if (result != TEMPLATE_FILLED)
	{
		text_free(&url);
		draft->reason = result == TEMPLATE_IS_WRONG ? reason_template : reason_data;
		return;
	}
	draft->request->url_has_values = strchr(source->url, '{') != NULL;
	draft->request->url = text_take(&url);
	if (!draft->request->url)
		fail_for_memory(draft);
}

static void
write_body(Draft *draft)
{
	const RequestSource *source = draft->source;
	Text		body = {0};

	if (!carries_body(draft->request->method))
		return;
	if (source->payload && !text_is_utf8(source->payload, source->payload_bytes))
	{
		fail(draft, reason_encoding, "The payload holds bytes that are not UTF-8.");
		return;
	}
	if (source->format == REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED)
		envelope_append(source, &body);
	else if (source->format == REQUEST_FORMAT_CLOUDEVENTS_BATCHED)
		envelope_append_batch(source, &body);
	else if (source->format == REQUEST_FORMAT_OTLP_GZIP && source->payload)
		gzip_append(&body, source->payload, source->payload_bytes);
	else if (source->payload)
		text_append(&body, source->payload, source->payload_bytes);
	draft->request->body_bytes = body.length;
	draft->request->body = text_take(&body);
	if (!draft->request->body)
		fail_for_memory(draft);
}

/* RFC 9110 §9.3: content in these has no defined meaning, which some servers refuse */
static bool
carries_body(const char *method)
{
	static const char *const without[] = {"GET", "HEAD", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (strcmp(method, without[i]) == 0)
			return false;
	return true;
}

static void
set_defaults(Draft *draft)
{
	const RequestSource *source = draft->source;

	if (draft->request->body)
		header_list_set(&draft->headers, "Content-Type", content_type_of(source->format));
	if (draft->request->body && source->format == REQUEST_FORMAT_OTLP_GZIP)
		header_list_set(&draft->headers, "Content-Encoding", "gzip");
	header_list_set(&draft->headers, "Accept", "application/json, */*;q=0.5");
	set_idempotency_key(draft);
	set_default(draft, "webhook-id", source->message_id);
	set_default(draft, "traceparent", source->traceparent);
	set_default(draft, "tracestate", source->tracestate);
	if (source->format == REQUEST_FORMAT_CLOUDEVENTS)
		envelope_set_headers(source, &draft->headers);
}

/* draft-ietf-httpapi-idempotency-key-header §2.1; most APIs want it without quotes */
static void
set_idempotency_key(Draft *draft)
{
	Text		quoted = {0};

	if (!draft->source->quotes_key || !draft->source->message_id)
	{
		set_default(draft, "Idempotency-Key", draft->source->message_id);
		return;
	}
	text_append_quoted(&quoted, draft->source->message_id);
	if (quoted.failed)
		fail_for_memory(draft);
	else
		set_default(draft, "Idempotency-Key", quoted.data);
	text_free(&quoted);
}

static const char *
content_type_of(RequestFormat format)
{
	if (format == REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED)
		return ENVELOPE_STRUCTURED_TYPE;
	if (format == REQUEST_FORMAT_CLOUDEVENTS_BATCHED)
		return ENVELOPE_BATCHED_TYPE;
	return "application/json";
}

static void
set_default(Draft *draft, const char *name, const char *value)
{
	const char *problem = value ? header_value_problem(value) : NULL;

	if (!value || draft->reason)
		return;
	if (!problem)
	{
		header_list_set(&draft->headers, name, value);
		return;
	}
	draft->reason = reason_data;
	snprintf(draft->problem, draft->problem_size, "The value of header %s %s.", name, problem);
}

static void
set_given(Draft *draft, const char *json, const char *reason)
{
	JsonReader	reader;
	const char *problem = NULL;
	char		name[SHOWN_NAME_BYTES + 1];

	if (!json)
		return;
	json_reader_begin(&reader, json);
	while (!problem && json_reader_next(&reader))
	{
		problem = checked_header(reader.name.data, reader.value.data);
		if (!problem)
			header_list_set(&draft->headers, reader.name.data, reader.value.data);
	}
	if (problem)
	{
		draft->reason = reason;
		text_copy_clean(name, sizeof(name), reader.name.data);
		snprintf(draft->problem, draft->problem_size, "Header \"%s\" %s.", name, problem);
	}
	else if (reader.name.failed || reader.value.failed)
		fail_for_memory(draft);
	else if (reader.problem)
	{
		draft->reason = reason;
		snprintf(draft->problem, draft->problem_size, "The value of headers %s.",
				 reader.problem);
	}
	json_reader_end(&reader);
}

static const char *
checked_header(const char *name, const char *value)
{
	const char *problem = header_name_problem(name);

	return problem ? problem : header_value_problem(value);
}

/* The lines belong to the request from here on. */
static void
hand_over_headers(Draft *draft)
{
	if (draft->headers.failed)
	{
		fail_for_memory(draft);
		return;
	}
	draft->request->headers = draft->headers.lines;
	draft->request->header_count = draft->headers.count;
	memset(&draft->headers, 0, sizeof(draft->headers));
}

static void
fail(Draft *draft, const char *reason, const char *problem)
{
	draft->reason = reason;
	snprintf(draft->problem, draft->problem_size, "%s", problem);
}

static void
fail_for_memory(Draft *draft)
{
	fail(draft, reason_memory, "The request needs more memory than there is.");
}
