/*-------------------------------------------------------------------------
 * plain.c
 *		Requests per second of a plain libcurl loop: the yardstick.
 *
 *	plain URL REQUESTS PAYLOAD_BYTES CONCURRENCY
 *	plain URL REQUESTS PAYLOAD_BYTES warm
 *
 * The first form keeps that many requests in flight through one multi handle, as
 * the extension does, without a database; prints requests a second, then
 * microseconds of processor time for each.  The second sends one after the other,
 * a moment apart, over one warm connection, each with an Idempotency-Key "bare-<n>",
 * for the receiver to note when it came; prints "bare-<n> <microseconds at start>".
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define MAX_CONCURRENCY 512
#define WAIT_MS 1000

typedef struct Load
{
	CURLM	   *multi;
	long		requests;
	long		started;
	long		finished;
} Load;

static size_t
drop_body(char *data, size_t size, size_t count, void *context)
{
	(void) data;
	(void) context;
	return size * count;
}

/* The headers that the extension sends, so that the load is the same. */
static struct curl_slist *
make_headers(long number)
{
	char		key[64];
	char		id[64];
	char		trace[96];
	struct curl_slist *headers = NULL;

	snprintf(key, sizeof(key), "Idempotency-Key: bare-%ld", number);
	snprintf(id, sizeof(id), "webhook-id: bare-%ld", number);
	snprintf(trace, sizeof(trace), "traceparent: 00-%032lx-%016lx-01", number + 1, number + 1);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Accept: application/json, */*;q=0.5");
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, trace);
	headers = curl_slist_append(headers, id);
	return curl_slist_append(headers, key);
}

static CURL *
make_request(const char *url, const char *payload)
{
	CURL	   *easy = curl_easy_init();

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, payload);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(payload));
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_body);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "integration/plain");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	return easy;
}

static void
check_answer(CURL *easy, CURLcode code)
{
	long		status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK)
		measure_fail("request failed", curl_easy_strerror(code));
	if (status / 100 != 2)
		measure_fail("request refused", "status is not 2xx");
}

static void
start_request(Load *load, CURL *easy)
{
	struct curl_slist *headers = make_headers(load->started++);

	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, headers);
	curl_multi_add_handle(load->multi, easy);
}

static void
finish_request(Load *load, CURL *easy, CURLcode code)
{
	char	   *headers = NULL;

	check_answer(easy, code);
	load->finished++;
	curl_multi_remove_handle(load->multi, easy);
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &headers);
	curl_slist_free_all((struct curl_slist *) headers);
	if (load->started < load->requests)
		start_request(load, easy);
	else
		curl_easy_cleanup(easy);
}

static void
send_many(const char *url, const char *payload, long requests, long concurrency)
{
	Load		load = {.multi = curl_multi_init(),.requests = requests};
	const int64_t start_us = measure_now_us();
	int			running;
	int			left;
	CURLMsg    *done;

	curl_multi_setopt(load.multi, CURLMOPT_MAXCONNECTS, concurrency);
	for (long i = 0; i < concurrency && i < requests; i++)
		start_request(&load, make_request(url, payload));
	while (load.finished < requests)
	{
		curl_multi_perform(load.multi, &running);
		while ((done = curl_multi_info_read(load.multi, &left)) != NULL)
			finish_request(&load, done->easy_handle, done->data.result);
		if (load.finished < requests)
			curl_multi_poll(load.multi, NULL, 0, WAIT_MS, NULL);
	}
	printf("%.0f %.1f\n", (double) requests * 1e6 / (double) (measure_now_us() - start_us),
		   measure_processor_us() / (double) requests);
	curl_multi_cleanup(load.multi);
}

static void
send_warm(const char *url, const char *payload, long requests)
{
	CURL	   *easy = make_request(url, payload);

	for (long i = 0; i <= requests; i++)
	{
		struct curl_slist *headers = make_headers(i);
		int64_t		start_us;

		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
		measure_sleep_us(MEASURE_IDLE_US);
		start_us = measure_now_us();
		check_answer(easy, curl_easy_perform(easy));
		/* the first one only opens the connection */
		if (i > 0)
			printf("bare-%ld %lld\n", i, (long long) start_us);
		curl_slist_free_all(headers);
	}
	curl_easy_cleanup(easy);
}

int
main(int argc, char **argv)
{
	char	   *payload;
	long		concurrency;

	if (argc != 5)
		measure_fail("usage", "plain URL REQUESTS PAYLOAD_BYTES CONCURRENCY|warm");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	payload = measure_payload((size_t) measure_number(argv[3]));
	if (strcmp(argv[4], "warm") == 0)
		send_warm(argv[1], payload, measure_number(argv[2]));
	else
	{
		concurrency = measure_number(argv[4]);
		if (concurrency < 1 || concurrency > MAX_CONCURRENCY)
			measure_fail("concurrency out of range", argv[4]);
		send_many(argv[1], payload, measure_number(argv[2]), concurrency);
	}
	free(payload);
	curl_global_cleanup();
	return 0;
}
