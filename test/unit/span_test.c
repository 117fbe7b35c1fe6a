/*-------------------------------------------------------------------------
 * span_test.c
 *		What the spans of an attempt say.
 *-------------------------------------------------------------------------
 */
#include "message/span.h"
#include "tap.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define OTHER "0af7651916cd43dd8448eb211c80319c"
#define TEXT(key, value) "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" value "\"}}"
#define NUMBER(key, value) "{\"key\":\"" key "\",\"value\":{\"intValue\":\"" value "\"}}"
#define TIMES(from, to) "\"startTimeUnixNano\":\"" from "000\",\"endTimeUnixNano\":\"" to "000\""
#define IDS(trace, span) "\"traceId\":\"" trace "\",\"spanId\":\"" span "\""
#define LINK "\"links\":[{" IDS(TRACE, "1111111111111111") "}]"

#define MESSAGE(verb) \
	TEXT("messaging.system", "integration") "," \
	TEXT("messaging.destination.name", "shop \\\"1\\\"") "," \
	TEXT("messaging.message.id", "42") "," TEXT("integration.object.id", "PO\\u000a1") "," \
	TEXT("messaging.operation.name", verb) "," TEXT("messaging.operation.type", verb)
#define REQUEST \
	TEXT("integration.endpoint.name", "shop \\\"1\\\"") "," \
	TEXT("messaging.message.id", "42") "," TEXT("http.request.method", "POST")
#define HOST(name, port) TEXT("server.address", name) "," NUMBER("server.port", port)
#define TARGET TEXT("url.full", "https://[::1]:8443/a") "," HOST("::1", "8443")
#define STATUS(code) NUMBER("http.response.status_code", code)
#define RESENT NUMBER("http.request.resend_count", "2")
#define ERROR(type) TEXT("error.type", type)
#define SAID "\"status\":{\"code\":2,\"message\":\"said \\\"no\\\"\"}"

#define SEND \
	"{" IDS(TRACE, "1111111111111111") ",\"parentSpanId\":\"3333333333333333\",\"flags\":769," \
	"\"name\":\"send shop \\\"1\\\"\",\"kind\":4," TIMES("1000", "1000") \
	",\"attributes\":[" MESSAGE("send") "]}"
#define PROCESS \
	"{" IDS(TRACE, "2222222222222222") ",\"parentSpanId\":\"1111111111111111\",\"flags\":257," \
	"\"name\":\"process shop \\\"1\\\"\",\"kind\":5," TIMES("1500", "4000") \
	",\"attributes\":[" MESSAGE("process")
#define CLIENT(trace, parent, from) \
	"{" IDS(trace, "4444444444444444") parent ",\"flags\":257,\"name\":\"POST\",\"kind\":3," \
	TIMES(from, "4000") ",\"attributes\":[" REQUEST
#define BELOW ",\"parentSpanId\":\"2222222222222222\""

/* A sync in the application's trace that is delivered at once. */
static SpanFacts
delivery(void)
{
	return (SpanFacts)
	{
		.sync = 42,.attempt_no = 1,.is_ended = true,.endpoint = "shop \"1\"",.object_id = "PO\n1",
			.method = "POST",.url = "https://[::1]:8443/a",.status = 200,
			.created_at_us = 1000,.began_at_us = 1500,.started_at_us = 1500,.ended_at_us = 4000,
			.flags = 1,.trace_id = TRACE,.span_id = "4444444444444444",.sync_trace_id = TRACE,
			.parent_id = "3333333333333333",.send_id = "1111111111111111",
			.process_id = "2222222222222222",
	};
}

static void
check(const SpanFacts *facts, const char *wanted, const char *name)
{
	Text		text = {0};

	span_append(&text, facts);
	tap_text(text.data, wanted, name);
	text_free(&text);
}

static void
test_trees(void)
{
	SpanFacts	facts = delivery();

	check(&facts,
		  SEND "," PROCESS "]," LINK "},"
		  CLIENT(TRACE, BELOW, "1500") "," TARGET "," STATUS("200") "]}",
		  "a delivery: send, process, the request");
	facts.attempt_no = 3;
	facts.is_ended = false;
	facts.is_failed = true;
	facts.status = 503;
	facts.error_type = "503";
	facts.started_at_us = 3000;
	check(&facts,
		  CLIENT(TRACE, BELOW, "3000") "," TARGET "," STATUS("503") "," RESENT "," ERROR("503")
		  "],\"status\":{\"code\":2}}",
		  "a retry that isn't the last one: the request alone");
	facts.is_ended = true;
	facts.url = NULL;
	facts.status = -1;
	facts.error_type = "connect";
	facts.error = "said \"no\"";
	facts.trace_id = OTHER;
	check(&facts,
		  PROCESS "," ERROR("connect") "]," LINK "," SAID "},"
		  CLIENT(OTHER, "", "3000") "," RESENT "," ERROR("connect") "]," LINK "," SAID "}",
		  "one of an old sync that never left: a trace of its own, with a link");
}

static const struct
{
	const char *url;
	const char *place;
}			places[] =

{
	{"http://api.example.com/a:1", HOST("api.example.com", "80")},
	{"https://api.example.com", HOST("api.example.com", "443")},
	{"https://REDACTED:REDACTED@api.example.com:1?a@b:2", HOST("api.example.com", "1")},
	{"http://[fe80::1]#x", HOST("fe80::1", "80")},
	{"http://[fe80::1", HOST("fe80::1", "80")},
	{"nowhere", HOST("", "80")},
};

static void
test_places(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
	{
		SpanFacts	facts = delivery();
		Text		text = {0};

		facts.url = places[i].url;
		span_append(&text, &facts);
		tap_ok(text.data != NULL && strstr(text.data, places[i].place) != NULL, places[i].url);
		text_free(&text);
	}
}

int
main(void)
{
	test_trees();
	test_places();
	return tap_done();
}
