/*-------------------------------------------------------------------------
 * answer.c
 *		Answers in the making.
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "message/json.h"
#include "message/retry_after.h"
#include "message/text.h"
#include "transport/answer.h"
#include "transport/stopwatch.h"

/* Bounds the work of joining repeated names, which grows with the square. */
#define LINES_MAX 128

#define USUAL_QUOTES_BYTES 64	/* more that headers take as JSON */

typedef struct Line
{
	const char *name;
	size_t		name_bytes;
	const char *value;
	size_t		value_bytes;
	bool		is_written;
} Line;

static int	final_status(CURL *easy, CURLcode code);
static void fill_phases(Answer *answer, CURL *easy, const Capture *capture);
static void read_waits(Answer *answer, const Capture *capture);
static void split_connect(Answer *answer, CURL *easy, int total_ms);
static char *clean_copy(const char *bytes, size_t length, size_t limit_bytes);
static bool belongs_to_connection(const Line *line);
static int	split_lines(const char *lines, size_t length, Line *found);
static bool read_line(const char *bytes, size_t length, Line *line);
static bool is_blank(char byte);
static void append_member(Text *json, Line *lines, int count, int which);
static void append_lower(Text *json, const char *name, size_t length);
static bool same_name(const Line *one, const Line *other);

AnswerNode *
answer_create(void)
{
	AnswerNode *node = calloc(1, sizeof(AnswerNode));

	if (!node)
		return NULL;
	node->answer.dns_ms = -1;
	node->answer.connect_ms = -1;
	node->answer.tls_ms = -1;
	node->answer.first_byte_ms = -1;
	node->answer.retry_after_s = -1;
	node->answer.rate_limit = (RateLimit)
	{
		.quota = -1,.remaining = -1,.reset_s = -1
	};
	return node;
}

void
answer_free(Answer *answer)
{
	if (!answer)
		return;
	free(answer->headers);
	free(answer->body);
	free(answer->redirect_url);
	free((AnswerNode *) answer);
}

void
answer_fail(Answer *answer, const char *reason, const char *error)
{
	snprintf(answer->reason, sizeof(answer->reason), "%s", reason);
	text_copy_clean(answer->error, sizeof(answer->error), error);
}

void
answer_fill(Answer *answer, CURL *easy, CURLcode code, const Capture *capture)
{
	char	   *redirect_url = NULL;

	answer->http_status = final_status(easy, code);
	fill_phases(answer, easy, capture);
	text_copy_clean(answer->remote_address, sizeof(answer->remote_address), capture->address);
	if (answer->http_status == 0)
		return;

	answer->headers = answer_headers_json(capture->buffers->headers, capture->headers_kept_bytes);
	if (capture->body_kept_bytes > 0)
		answer->body = clean_copy(capture->buffers->body, capture->body_kept_bytes,
								  CAPTURE_BODY_KEPT_BYTES);
	answer->body_bytes = answer->body ? strlen(answer->body) : 0;
	read_waits(answer, capture);
	curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect_url);
	if (redirect_url)
		answer->redirect_url = clean_copy(redirect_url, strlen(redirect_url), SIZE_MAX);
}

char *
answer_headers_json(const char *lines, size_t length)
{
	Line		found[LINES_MAX];
	int			count = split_lines(lines, length, found);
	Text		json = {0};

	if (count == 0)
		return NULL;
	text_reserve(&json, length + USUAL_QUOTES_BYTES);
	text_append_char(&json, '{');
	for (int i = 0; i < count; i++)
		if (!found[i].is_written)
			append_member(&json, found, count, i);
	text_append_char(&json, '}');
	return text_take(&json);
}

/* An interim answer is none, unless libcurl took it for the last one. */
static int
final_status(CURL *easy, CURLcode code)
{
	long		status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status < 200 && code != CURLE_OK ? 0 : (int) status;
}

static void
fill_phases(Answer *answer, CURL *easy, const Capture *capture)
{
	answer->duration_ms = stopwatch_ms(capture->started_at_us, stopwatch_now_us());
	if (capture->socket_at_us)
		answer->dns_ms = stopwatch_ms(capture->started_at_us, capture->socket_at_us);
	if (capture->socket_at_us && capture->request_at_us)
		split_connect(answer, easy, stopwatch_ms(capture->socket_at_us, capture->request_at_us));
	if (capture->request_at_us && capture->answer_at_us)
		answer->first_byte_ms = stopwatch_ms(capture->request_at_us, capture->answer_at_us);
}

/* libcurl's times are right once the request has left on a new connection. */
static void
split_connect(Answer *answer, CURL *easy, int total_ms)
{
	curl_off_t	connected_us = 0;
	curl_off_t	secured_us = 0;

	curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &secured_us);
	answer->connect_ms = total_ms;
	if (secured_us == 0 || secured_us < connected_us)
		return;
	answer->tls_ms = stopwatch_ms(connected_us, secured_us);
	if (answer->tls_ms > total_ms)
		answer->tls_ms = total_ms;
	answer->connect_ms = total_ms - answer->tls_ms;
}

static void
read_waits(Answer *answer, const Capture *capture)
{
	int64_t		now_s = (int64_t) time(NULL);
	int64_t		date_s;

	if (capture->has_retry_after)
		answer->retry_after_s = retry_after_seconds(capture->retry_after, capture->date, now_s);
	if (answer->retry_after_s >= 0 || !capture->rate_limit.has_any)
		return;
	/* the answer's own clock cancels the error of ours */
	if (!retry_after_read_date(capture->date, now_s, &date_s))
		date_s = now_s;
	answer->rate_limit = rate_limit_read(&capture->rate_limit, date_s);
}

static char *
clean_copy(const char *bytes, size_t length, size_t limit_bytes)
{
	Text		text = {0};

	/* grown, it would leave copies of what may be secret behind */
	text_reserve(&text, length);
	text_append_clean(&text, bytes, length, limit_bytes);
	return text_take(&text);
}

/* RFC 9110 §7.6.1: they say how this connection is used, nothing of the answer. */
static bool
belongs_to_connection(const Line *line)
{
	switch (line->name_bytes)
	{
		case sizeof("Connection") - 1:	/* as long as Keep-Alive */
			return strncasecmp(line->name, "Connection", line->name_bytes) == 0 ||
				strncasecmp(line->name, "Keep-Alive", line->name_bytes) == 0;
		case sizeof("Transfer-Encoding") - 1:
			return strncasecmp(line->name, "Transfer-Encoding", line->name_bytes) == 0;
		default:
			return false;
	}
}

static int
split_lines(const char *lines, size_t length, Line *found)
{
	int			count = 0;

	while (length > 0 && count < LINES_MAX)
	{
		const char *end = memchr(lines, '\n', length);
		size_t		line_bytes = end ? (size_t) (end - lines) + 1 : length;

		if (read_line(lines, line_bytes, &found[count]) &&
			!belongs_to_connection(&found[count]))
			count++;
		lines += line_bytes;
		length -= line_bytes;
	}
	return count;
}

static bool
read_line(const char *bytes, size_t length, Line *line)
{
	const char *colon = memchr(bytes, ':', length);

	if (!colon || colon == bytes)
		return false;
	line->name = bytes;
	line->name_bytes = (size_t) (colon - bytes);
	line->value = colon + 1;
	line->value_bytes = length - line->name_bytes - 1;
	line->is_written = false;
	while (line->value_bytes > 0 && is_blank(line->value[0]))
	{
		line->value++;
		line->value_bytes--;
	}
	while (line->value_bytes > 0 && is_blank(line->value[line->value_bytes - 1]))
		line->value_bytes--;
	return true;
}

static bool
is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void
append_member(Text *json, Line *lines, int count, int which)
{
	Line		value = lines[which];
	Text		joined = {0};

	for (int i = which + 1; i < count; i++)
	{
		if (!same_name(&lines[i], &lines[which]))
			continue;
		if (joined.length == 0)
			text_append(&joined, lines[which].value, lines[which].value_bytes);
		text_append_string(&joined, ", ");
		text_append(&joined, lines[i].value, lines[i].value_bytes);
		lines[i].is_written = true;
		value.value = joined.data;
		value.value_bytes = joined.length;
	}
	if (which > 0)
		text_append_char(json, ',');
	append_lower(json, value.name, value.name_bytes);
	text_append_char(json, ':');
	if (!joined.failed)
		json_append_string(json, value.value, value.value_bytes);
	json->failed = json->failed || joined.failed;
	text_free(&joined);
}

static void
append_lower(Text *json, const char *name, size_t length)
{
	size_t		begin = json->length;

	json_append_string(json, name, length);
	for (size_t i = begin; i < json->length; i++)
		if (json->data[i] >= 'A' && json->data[i] <= 'Z')
			json->data[i] = (char) (json->data[i] + 32);
}

static bool
same_name(const Line *one, const Line *other)
{
	return one->name_bytes == other->name_bytes &&
		strncasecmp(one->name, other->name, one->name_bytes) == 0;
}
