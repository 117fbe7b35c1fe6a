/*-------------------------------------------------------------------------
 * answer_fuzz.c
 *		Answers as libcurl hands them over: lines of headers, pieces of a body.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <stdarg.h>

#include "message/json.h"
#include "message/retry_after.h"
#include "transport/answer.h"
#include "transport/capture.h"

typedef size_t (*Callback) (char *bytes, size_t size, size_t count, void *context);

static Callback take_header;
static Callback take_body;

extern CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option,...);
extern CURLcode __wrap_curl_easy_getinfo(CURL *easy, CURLINFO info,...);

/* In libcurl's place: keeps the callbacks. */
CURLcode
__wrap_curl_easy_setopt(CURL *easy, CURLoption option,...)
{
	va_list		arguments;

	(void) easy;
	va_start(arguments, option);
	if (option == CURLOPT_HEADERFUNCTION)
		take_header = va_arg(arguments, Callback);
	else if (option == CURLOPT_WRITEFUNCTION)
		take_body = va_arg(arguments, Callback);
	va_end(arguments);
	return CURLE_OK;
}

/* In libcurl's place: every answer is a 200 and knows nothing else. */
CURLcode
__wrap_curl_easy_getinfo(CURL *easy, CURLINFO info,...)
{
	va_list		arguments;

	(void) easy;
	va_start(arguments, info);
	if ((info & CURLINFO_TYPEMASK) == CURLINFO_LONG)
		*va_arg(arguments, long *) = info == CURLINFO_RESPONSE_CODE ? 200 : 0;
	else
		*va_arg(arguments, void **) = NULL;
	va_end(arguments);
	return CURLE_OK;
}

static void
check_headers(const char *json)
{
	JsonReader	reader;
	int			members = 0;

	if (!json)
		return;
	CHECK(is_clean(json));
	json_reader_begin(&reader, json);
	while (json_reader_next(&reader))
	{
		members++;
		CHECK(strpbrk(reader.name.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
	}
	CHECK(!reader.problem && members > 0);
	json_reader_end(&reader);
}

static void
check_answer(const Answer *answer)
{
	check_headers(answer->headers);
	CHECK(!answer->body || is_clean(answer->body));
	CHECK(answer->body_bytes <= CAPTURE_BODY_KEPT_BYTES);
	CHECK(answer->retry_after_s >= -1 && answer->retry_after_s <= RETRY_AFTER_MAX_S);
	CHECK(answer->rate_limit.reset_s >= -1 && answer->rate_limit.reset_s <= RATE_LIMIT_RESET_MAX_S);
}

/* A line of headers as libcurl hands it over, from a block of its own size. */
static void
feed(Callback callback, Capture *capture, const char *bytes, size_t length)
{
	char	   *copy = malloc(length + 1);

	CHECK(copy);
	memcpy(copy, bytes, length);
	(void) callback(copy, 1, length, capture);
	free(copy);
}

/* Lines up to an empty one, then the body in two pieces. */
static void
feed_all(Capture *capture, Input *input)
{
	const char *end;

	while ((end = memchr(input->bytes, '\n', input->length)) != NULL)
	{
		size_t		length = (size_t) (end - input->bytes) + 1;

		feed(take_header, capture, input->bytes, length);
		input->bytes += length;
		input->length -= length;
		if (length == 1)
			break;
	}
	feed(take_body, capture, input->bytes, input->length / 2);
	feed(take_body, capture, input->bytes + input->length / 2, input->length - input->length / 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const AddressPolicy nothing;
	Input		input = {(const char *) data, size};
	AnswerNode *node = answer_create();
	Capture		capture = {0};
	CaptureBuffers *spare = NULL;

	CHECK(node && capture_open(&capture, &spare));
	CHECK(capture_attach(&capture, NULL, NULL) == CURLE_OK);
	capture_begin(&capture, &nothing, false);
	if (size > 0)
		feed_all(&capture, &input);
	answer_fill(&node->answer, NULL, CURLE_OK, &capture);
	check_answer(&node->answer);
	answer_free(&node->answer);
	capture_close(&capture, &spare);
	capture_free_spare(spare);
	return 0;
}
