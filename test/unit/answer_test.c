/*-------------------------------------------------------------------------
 * answer_test.c
 *		The headers of an answer as a JSON object.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "tap.h"
#include "transport/answer.h"

static const struct
{
	const char *lines;
	const char *wanted;
}			cases[] =

{
	{"", NULL},
	{"\r\n", NULL},
	{"Content-Type: text/plain\r\n\r\n", "{\"content-type\":\"text/plain\"}"},
	{"A: 1\r\nB:2\r\na: \t3 \r\n", "{\"a\":\"1, 3\",\"b\":\"2\"}"},
	{"X:\r\n", "{\"x\":\"\"}"},
	{"X: \"q\"\\\r\n", "{\"x\":\"\\\"q\\\"\\\\\"}"},
	{"X: \xFF\r\n", "{\"x\":\"\xEF\xBF\xBD\"}"},
	{"no colon here\r\nX: 1\r\n", "{\"x\":\"1\"}"},
	{": no name\r\n", NULL},
	{"X: a:b\r\n", "{\"x\":\"a:b\"}"},
	{"connection: close\r\nX: 1\r\nTransfer-Encoding: chunked\r\n", "{\"x\":\"1\"}"},
	{"Connection-Id: 7\r\n", "{\"connection-id\":\"7\"}"},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *json = answer_headers_json(cases[i].lines, strlen(cases[i].lines));

		tap_text(json, cases[i].wanted, cases[i].lines);
		free(json);
	}
	answer_free(NULL);
	return tap_done();
}
