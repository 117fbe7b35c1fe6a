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

static const AddressPolicy nothing_allowed;

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
	free(url);
	return 0;
}
