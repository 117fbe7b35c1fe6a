/*-------------------------------------------------------------------------
 * envelope_test.c
 *		CloudEvents 1.0 around a payload.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "message/envelope.h"
#include "tap.h"

/* The first row is published in the HTTP binding §3.1.3.2. */
static const struct
{
	const char *value;
	const char *header;
}			encodings[] =

{
	{"Euro \xE2\x82\xAC \xF0\x9F\x98\x80", "Euro%20%E2%82%AC%20%F0%9F%98%80"},
	{"plain", "plain"},
	{"a b", "a%20b"},
	{"\"q\"", "%22q%22"},
	{"100%", "100%25"},
	{"\xC3\xBC", "%C3%BC"},
	{"\xE6\x97\xA5\xE6\x9C\xAC", "%E6%97%A5%E6%9C%AC"},
	{"/mycontext/subcontext", "/mycontext/subcontext"},
	{"tab\tx", "tab%09x"},
	{"a%20b", "a%2520b"},
	{"", ""},
};

static const RequestSource full = {
	.message_id = "A1",
	.source = "/mycontext",
	.object_type = "order",
	.operation = "upsert",
	.object_id = "4\"2",
	.created_at = "2018-04-05T17:31:00Z",
	.payload = "{\"a\": 1}",
	.payload_bytes = 8,
	.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
};

static const RequestSource bare = {.message_id = "A1"};

static void
check_structured(const RequestSource *source, const char *wanted, const char *name)
{
	Text		body = {0};

	envelope_append(source, &body);
	tap_text(body.data, wanted, name);
	text_free(&body);
}

static void
check_binary(const RequestSource *source, const char *wanted, const char *name)
{
	HeaderList	headers = {0};
	Text		found = {0};

	envelope_set_headers(source, &headers);
	for (int i = 0; i < headers.count; i++)
	{
		text_append_string(&found, headers.lines[i]);
		text_append_char(&found, ';');
	}
	tap_text(found.data, wanted, name);
	text_free(&found);
	header_list_free(&headers);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
	{
		Text		text = {0};
		char	   *encoded;

		envelope_append_header_value(&text, encodings[i].value);
		encoded = text_take(&text);
		tap_text(encoded, encodings[i].header, encodings[i].value);
		free(encoded);
	}
	check_binary(&full, "ce-specversion: 1.0;ce-id: A1;ce-source: /mycontext;"
				 "ce-type: order.upsert;ce-subject: 4%222;ce-time: 2018-04-05T17:31:00Z;",
				 "binary headers");
	check_binary(&bare, "ce-specversion: 1.0;ce-id: A1;ce-source: /integration;"
				 "ce-type: integration.upsert;", "what is not known is absent");
	check_structured(&full, "{\"specversion\":\"1.0\",\"id\":\"A1\",\"source\":\"/mycontext\","
					 "\"type\":\"order.upsert\",\"subject\":\"4\\\"2\","
					 "\"time\":\"2018-04-05T17:31:00Z\","
					 "\"datacontenttype\":\"application/json\",\"data\":{\"a\": 1}}",
					 "structured body");
	check_structured(&bare, "{\"specversion\":\"1.0\",\"id\":\"A1\",\"source\":\"/integration\","
					 "\"type\":\"integration.upsert\","
					 "\"datacontenttype\":\"application/json\",\"data\":null}",
					 "structured body without a payload");
	return tap_done();
}
