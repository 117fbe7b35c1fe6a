/*-------------------------------------------------------------------------
 * request_fuzz.c
 *		Requests from anything people can write: built whole, or refused in words.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/request.h"

#define STRINGS 12

static void
check_request(const Request *request, const RequestSource *source)
{
	CHECK(request->method && request->url);
	CHECK(strpbrk(request->url, "{}") == NULL);
	for (int i = 0; i < request->header_count; i++)
		CHECK(strpbrk(request->headers[i], "\r\n") == NULL);
	CHECK(!request->body || text_is_utf8(request->body, request->body_bytes));
	if (request->body && source->format != REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED)
		CHECK(request->body_bytes == source->payload_bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	RequestFormat format = (RequestFormat) (take_byte(&input) % 3);
	char	   *strings[STRINGS];
	Request		request;
	const char *reason = NULL;
	char		problem[256] = "";
	RequestSource source;

	for (int i = 0; i < STRINGS; i++)
		strings[i] = take_string(&input);
	source = (RequestSource)
	{
		.format = format,.method = strings[0],.url = strings[1],.endpoint_headers = strings[2],
			.sync_headers = strings[3],.message_id = strings[4],.object_type = strings[5],
			.object_id = strings[6],.operation = strings[7],.remote_id = strings[8],
			.payload = strings[9],.payload_bytes = strlen(strings[9]),.source = strings[10],
			.traceparent = strings[11],.created_at = "2026-01-01T00:00:00Z",
	};
	if (request_build(&source, &request, &reason, problem, sizeof(problem)))
		check_request(&request, &source);
	else
	{
		bool		is_utf8 = true;

		for (int i = 0; i < STRINGS; i++)
			is_utf8 = is_utf8 && is_clean(strings[i]);
		CHECK(reason && problem[0] && (is_clean(problem) || !is_utf8));
		CHECK(!request.method && !request.url && request.header_count == 0);
	}
	request_free(&request);
	for (int i = 0; i < STRINGS; i++)
		free(strings[i]);
	return 0;
}
