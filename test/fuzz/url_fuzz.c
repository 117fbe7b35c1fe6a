/*-------------------------------------------------------------------------
 * url_fuzz.c
 *		URLs of endpoints: what passes is http, and never a guarded address.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <strings.h>
#include <curl/curl.h>

#include "transport/guard.h"
#include "transport/transport.h"
#include "transport/url.h"

static const AddressPolicy nothing_allowed;
static const AddressPolicy one_host = {.hosts = {.count = 1,.items = {"api.example.com"}}};

/* Whatever comes before or after it: this is where libcurl goes. */
static void
check_listed(const char *url)
{
	CURLU	   *parsed = curl_url();
	char	   *host = NULL;

	CHECK(parsed);
	CHECK(curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK);
	CHECK(curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK);
	CHECK(strcasecmp(host, "api.example.com") == 0 || strcasecmp(host, "api.example.com.") == 0);
	curl_free(host);
	curl_url_cleanup(parsed);
}

/* Where the host is an address as it stands, the guard has nothing against it. */
static void
check_literal(CURLU *parsed)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons(443)};
	char	   *host = NULL;

	if (curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		inet_pton(AF_INET, host, &address.sin_addr) == 1)
		CHECK(guard_judge(&nothing_allowed, (struct sockaddr *) &address, false) == GUARD_ALLOWS);
	curl_free(host);
}

static void
check_passed(const char *url)
{
	CURLU	   *parsed = curl_url();
	char	   *scheme = NULL;

	CHECK(parsed);
	if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
	{
		CHECK(curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK);
		CHECK(strcasecmp(scheme, "https") == 0);
		check_literal(parsed);
	}
	curl_free(scheme);
	curl_url_cleanup(parsed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *url = take_string(&input);
	char		buffer[512];
	const char *problem = transport_url_problem(url, &nothing_allowed, false, buffer, sizeof(buffer));

	if (problem)
		CHECK(problem[0] && (is_clean(problem) || !is_clean(url)));
	else
	{
		CHECK(strpbrk(url, "\r\n") == NULL);
		check_passed(url);
		/* what goes without a permission goes with one */
		CHECK(!transport_url_problem(url, &nothing_allowed, true, buffer, sizeof(buffer)));
	}
	if (url_host_is_listed(url, &one_host, buffer, sizeof(buffer)))
		check_listed(url);
	else
		CHECK(buffer[0] && is_clean(buffer));
	free(url);
	return 0;
}
