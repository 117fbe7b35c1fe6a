/*-------------------------------------------------------------------------
 * request_test.c
 *		The exact request of one sync.
 *-------------------------------------------------------------------------
 */
#include "message/request.h"
#include "message/text.h"
#include "tap.h"

#define ACCEPT "Accept: application/json, */" "*;q=0.5|"
#define KEYS "Idempotency-Key: m1|webhook-id: m1|"

static const struct
{
	const char *name;
	RequestSource source;
	const char *wanted;			/* method, URL, headers, body, parted by bars */
}			good[] =

{
	{
		.name = "the least",
		.source.url = "https://h/",
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT "="
	},
	{
		.name = "defaults",
		.source.url = "https://h/",
		.source.message_id = "m1",
		.source.traceparent = "00-a-b-01",
		.source.payload = "{\"a\":1}",
		.source.payload_bytes = 7,
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT KEYS
		"traceparent: 00-a-b-01|={\"a\":1}"
	},
	{
		.name = "a quoted key",
		.source.url = "https://h/",
		.source.message_id = "m\"\\1",
		.source.quotes_key = true,
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT
		"Idempotency-Key: \"m\\\"\\\\1\"|webhook-id: m\"\\1|="
	},
	{
		.name = "no key to quote",
		.source.url = "https://h/",
		.source.quotes_key = true,
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT "="
	},
	{
		.name = "a URL with values",
		.source.method = "PUT",
		.source.url = "https://h/{object_type}/{object_id}",
		.source.object_type = "order",
		.source.object_id = "a/b",
		.source.payload = "1",
		.source.payload_bytes = 1,
		.wanted = "PUT|https://h/order/a%2Fb|Content-Type: application/json|" ACCEPT "=1"
	},
	{
		.name = "the endpoint's header replaces a default",
		.source.url = "https://h/",
		.source.endpoint_headers = "{\"content-type\":\"text/plain\",\"X-A\":1}",
		.wanted = "POST|https://h/|content-type: text/plain|" ACCEPT "X-A: 1|="
	},
	{
		.name = "the sync's header replaces the endpoint's",
		.source.url = "https://h/",
		.source.endpoint_headers = "{\"X-A\":\"endpoint\",\"X-B\":\"b\"}",
		.source.sync_headers = "{\"x-a\":\"sync\"}",
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT "x-a: sync|X-B: b|="
	},
	{
		.name = "an empty header value",
		.source.url = "https://h/",
		.source.sync_headers = "{\"X-A\":\"\"}",
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT "X-A: |="
	},
	{
		.name = "GET carries no body",
		.source.method = "GET",
		.source.url = "https://h/",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "GET|https://h/|" ACCEPT "-"
	},
	{
		.name = "HEAD carries no body",
		.source.method = "HEAD",
		.source.url = "https://h/",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "HEAD|https://h/|" ACCEPT "-"
	},
	{
		.name = "DELETE carries no body",
		.source.method = "DELETE",
		.source.url = "https://h/",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "DELETE|https://h/|" ACCEPT "-"
	},
	{
		.name = "OPTIONS carries no body",
		.source.method = "OPTIONS",
		.source.url = "https://h/",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "OPTIONS|https://h/|" ACCEPT "-"
	},
	{
		.name = "PATCH carries one",
		.source.method = "PATCH",
		.source.url = "https://h/",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "PATCH|https://h/|Content-Type: application/json|" ACCEPT "={}"
	},
	{
		.name = "CloudEvents",
		.source.url = "https://h/",
		.source.format = REQUEST_FORMAT_CLOUDEVENTS,
		.source.message_id = "m1",
		.source.object_type = "order",
		.source.object_id = "7",
		.source.operation = "delete",
		.source.source = "/s",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "POST|https://h/|Content-Type: application/json|" ACCEPT KEYS
		"ce-specversion: 1.0|ce-id: m1|ce-source: /s|ce-type: order.delete|ce-subject: 7|={}"
	},
	{
		.name = "CloudEvents, structured",
		.source.url = "https://h/",
		.source.format = REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED,
		.source.message_id = "m1",
		.source.payload = "{}",
		.source.payload_bytes = 2,
		.wanted = "POST|https://h/|Content-Type: application/cloudevents+json; charset=utf-8|"
		ACCEPT KEYS "={\"specversion\":\"1.0\",\"id\":\"m1\",\"source\":\"/integration\","
		"\"type\":\"integration.upsert\",\"datacontenttype\":\"application/json\","
		"\"data\":{}}"
	},
	{
		.name = "CloudEvents, batched",
		.source.url = "https://h/",
		.source.format = REQUEST_FORMAT_CLOUDEVENTS_BATCHED,
		.source.message_id = "m1",
		.source.payload = "1",
		.source.payload_bytes = 1,
		.wanted = "POST|https://h/|Content-Type: application/cloudevents-batch+json; charset=utf-8|"
		ACCEPT KEYS "=[{\"specversion\":\"1.0\",\"id\":\"m1\",\"source\":\"/integration\","
		"\"type\":\"integration.upsert\",\"datacontenttype\":\"application/json\","
		"\"data\":1}]"
	}
};

static const struct
{
	const char *name;
	RequestSource source;
	const char *reason;
	const char *problem;
}			bad[] =

{
	{
		.name = "no URL",
		.source.url = NULL,
		.reason = "template_error",
		.problem = "The endpoint has no URL."
	},
	{
		.name = "an empty URL",
		.source.url = "",
		.reason = "template_error",
		.problem = "The endpoint has no URL."
	},
	{
		.name = "a bad method",
		.source.method = "po st",
		.source.url = "https://h/",
		.reason = "template_error",
		.problem = "The method is not one that can be sent, such as POST, PUT, PATCH or DELETE."
	},
	{
		.name = "an empty method",
		.source.method = "",
		.source.url = "https://h/",
		.reason = "template_error",
		.problem = "The method is not one that can be sent, such as POST, PUT, PATCH or DELETE."
	},
	{
		.name = "CONNECT",
		.source.method = "CONNECT",
		.source.url = "https://h/",
		.reason = "template_error",
		.problem = "The method is not one that can be sent, such as POST, PUT, PATCH or DELETE."
	},
	{
		.name = "TRACE",
		.source.method = "TRACE",
		.source.url = "https://h/",
		.reason = "template_error",
		.problem = "The method is not one that can be sent, such as POST, PUT, PATCH or DELETE."
	},
	{
		.name = "an unknown placeholder",
		.source.url = "https://h/{x}",
		.reason = "template_error",
		.problem = "The URL has a placeholder other than {object_type}, {object_id}, {operation}"
		" and {remote_id} at \"{x}\"."
	},
	{
		.name = "a missing value",
		.source.url = "https://h/{remote_id}",
		.reason = "template_data_error",
		.problem = "The URL needs {remote_id}, but this sync has none."
	},
	{
		.name = "a payload that is not UTF-8",
		.source.url = "https://h/",
		.source.payload = "\"\xFF\"",
		.source.payload_bytes = 3,
		.reason = "payload_unencodable",
		.problem = "The payload holds bytes that are not UTF-8."
	},
	{
		.name = "a payload with a zero byte",
		.source.url = "https://h/",
		.source.payload = "\"\0\"",
		.source.payload_bytes = 3,
		.reason = "payload_unencodable",
		.problem = "The payload holds bytes that are not UTF-8."
	},
	{
		.name = "the endpoint's headers are no object",
		.source.url = "https://h/",
		.source.endpoint_headers = "[]",
		.reason = "template_error",
		.problem = "The value of headers is not a JSON object."
	},
	{
		.name = "the sync's headers are no object",
		.source.url = "https://h/",
		.source.sync_headers = "7",
		.reason = "template_data_error",
		.problem = "The value of headers is not a JSON object."
	},
	{
		.name = "a line break in the endpoint's header",
		.source.url = "https://h/",
		.source.endpoint_headers = "{\"X-A\":\"a\\r\\nX-Evil: 1\"}",
		.reason = "template_error",
		.problem = "Header \"X-A\" holds a line break."
	},
	{
		.name = "a line break in the sync's header",
		.source.url = "https://h/",
		.source.sync_headers = "{\"X-A\":\"a\\nb\"}",
		.reason = "template_data_error",
		.problem = "Header \"X-A\" holds a line break."
	},
	{
		.name = "a line break in a name",
		.source.url = "https://h/",
		.source.sync_headers = "{\"X\\r\\nY\":\"a\"}",
		.reason = "template_data_error",
		.problem = "Header \"X\r\nY\" holds something other than letters, digits"
		" and !#$%&'*+-.^_`|~."
	},
	{
		.name = "a long name, cut on a character",
		.source.url = "https://h/",
		.source.sync_headers = "{\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffff\u00e9\":\"a\"}",
		.reason = "template_data_error",
		.problem = "Header \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffff\" holds"
		" something other than letters, digits and !#$%&'*+-.^_`|~."
	},
	{
		.name = "a header of the connection",
		.source.url = "https://h/",
		.source.sync_headers = "{\"Host\":\"a\"}",
		.reason = "template_data_error",
		.problem = "Header \"Host\" is taken from the URL."
	},
	{
		.name = "a bad message id",
		.source.url = "https://h/",
		.source.message_id = "a\nb",
		.reason = "template_data_error",
		.problem = "The value of header Idempotency-Key holds a line break."
	}
};

static void
check_good(const RequestSource *source, const char *wanted, const char *name)
{
	Request		request;
	Text		found = {0};
	const char *reason = NULL;
	char		problem[300] = "";

	if (!tap_ok(request_build(source, &request, &reason, problem, sizeof(problem)), name))
	{
		printf("# %s: %s\n", reason, problem);
		return;
	}
	text_append_string(&found, request.method);
	text_append_char(&found, '|');
	text_append_string(&found, request.url);
	text_append_char(&found, '|');
	for (int i = 0; i < request.header_count; i++)
	{
		text_append_string(&found, request.headers[i]);
		text_append_char(&found, '|');
	}
	text_append_char(&found, request.body ? '=' : '-');
	if (request.body)
		text_append(&found, request.body, request.body_bytes);
	tap_text(found.data, wanted, name);
	tap_ok(request.url_has_values == (strchr(source->url, '{') != NULL), "knows its URL");
	text_free(&found);
	request_free(&request);
	tap_ok(request.url == NULL, "a freed request is empty");
	request_free(&request);
}

static void
check_bad(const RequestSource *source, const char *wanted, const char *sentence,
		  const char *name)
{
	Request		request;
	const char *reason = NULL;
	char		problem[300] = "";

	tap_ok(!request_build(source, &request, &reason, problem, sizeof(problem)), name);
	tap_text(reason, wanted, wanted);
	tap_text(problem, sentence, sentence);
	tap_ok(!request.method && !request.url && !request.headers && !request.body, "stays empty");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(&good[i].source, good[i].wanted, good[i].name);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(&bad[i].source, bad[i].reason, bad[i].problem, bad[i].name);
	return tap_done();
}
