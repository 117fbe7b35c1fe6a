/*-------------------------------------------------------------------------
 * url.c
 *		What is wrong with an endpoint's URL.
 *
 * Catches at once what the guard would refuse later; what depends on the
 * address behind a name is left to the guard.
 *-------------------------------------------------------------------------
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "message/template.h"
#include "message/text.h"
#include "transport/guard.h"
#include "transport/transport.h"

#define DEFAULT_HTTP_PORT 80
#define DEFAULT_HTTPS_PORT 443

typedef struct UrlRules
{
	const NetworkList *allowed;
	bool		allow_http;
	char	   *buffer;
	size_t		buffer_size;
} UrlRules;

static const char *check_filled(const char *url, const UrlRules *rules);
static const char *check_parts(CURLU * parts, const UrlRules *rules);
static bool has_part(CURLU * parts, CURLUPart part);
static int	port_of(CURLU * parts, bool is_http);
static const char *check_host(const char *host, int port, bool is_plain, const UrlRules *rules);
static bool resolve_literal(const char *host, int port, struct sockaddr_storage *address);
static const char *check_address(const struct sockaddr_storage *address, bool is_plain,
								 const UrlRules *rules);
static const char *describe(GuardVerdict verdict);

const char *
transport_url_problem(const char *url, const NetworkList *allowed, bool allow_http,
					  char *buffer, size_t buffer_size)
{
	const TemplateValues sample = {
		.object_type = "a",
		.object_id = "a",
		.operation = "a",
		.remote_id = "a"
	};
	const UrlRules rules = {
		.allowed = allowed,
		.allow_http = allow_http,
		.buffer = buffer,
		.buffer_size = buffer_size
	};
	Text		filled = {0};
	const char *problem = buffer;

	if (template_fill(url, &sample, &filled, buffer, buffer_size) == TEMPLATE_FILLED)
		problem = filled.failed ? "There is no memory left to check the URL." :
			check_filled(filled.data, &rules);
	text_free(&filled);
	return problem;
}

static const char *
check_filled(const char *url, const UrlRules *rules)
{
	CURLU	   *parts;
	const char *problem;
	CURLUcode	code;

	if (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)
		return "The URL must begin with https:// or http://.";

	/* libcurl would skip further slashes to find a host */
	if (strchr("/?#", strstr(url, "://")[3]))
		return "The URL names no host.";
	for (const char *at = url; *at; at++)
		if ((unsigned char) *at <= 0x20 || *at == 0x7f)
			return "The URL holds a blank or a control character; write it percent-encoded.";

	parts = curl_url();
	if (!parts)
		return "There is no memory left to check the URL.";
	code = curl_url_set(parts, CURLUPART_URL, url, 0);
	if (code == CURLUE_OK)
		problem = check_parts(parts, rules);
	else
	{
		snprintf(rules->buffer, rules->buffer_size, "The URL is not valid: %s.",
				 curl_url_strerror(code));
		problem = rules->buffer;
	}
	curl_url_cleanup(parts);
	return problem;
}

static const char *
check_parts(CURLU * parts, const UrlRules *rules)
{
	char	   *scheme = NULL;
	char	   *host = NULL;
	const char *problem = "The URL names no host.";

	if (has_part(parts, CURLUPART_USER) || has_part(parts, CURLUPART_PASSWORD))
		return "The URL holds a user name or password; put them into a credential.";
	if (has_part(parts, CURLUPART_FRAGMENT))
		return "The URL has a part after \"#\", which is never sent; leave it out.";

	curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	curl_url_get(parts, CURLUPART_HOST, &host, 0);
	if (scheme && host && host[0])
	{
		bool		is_http = strcasecmp(scheme, "http") == 0;

		problem = check_host(host, port_of(parts, is_http),
							 is_http && !rules->allow_http, rules);
	}
	curl_free(scheme);
	curl_free(host);
	return problem;
}

static bool
has_part(CURLU * parts, CURLUPart part)
{
	char	   *content = NULL;
	bool		is_there = curl_url_get(parts, part, &content, 0) == CURLUE_OK;

	curl_free(content);
	return is_there;
}

static int
port_of(CURLU * parts, bool is_http)
{
	char	   *text = NULL;
	int			port = is_http ? DEFAULT_HTTP_PORT : DEFAULT_HTTPS_PORT;

	if (curl_url_get(parts, CURLUPART_PORT, &text, 0) == CURLUE_OK)
		port = atoi(text);
	curl_free(text);
	return port;
}

static const char *
check_host(const char *host, int port, bool is_plain, const UrlRules *rules)
{
	struct sockaddr_storage address;

	if (resolve_literal(host, port, &address))
		return check_address(&address, is_plain, rules);

	/* without exceptions the verdict is known whatever the name resolves to */
	if (rules->allowed->count > 0)
		return NULL;
	if (is_plain)
		return describe(GUARD_REFUSES_SCHEME);
	return guard_refuses_port(port) ? describe(GUARD_REFUSES_PORT) : NULL;
}

/* Reads what the resolver takes for an address: decimal, octal, hexadecimal too. */
static bool
resolve_literal(const char *host, int port, struct sockaddr_storage *address)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
	};
	struct addrinfo *found = NULL;
	char		bare[256];
	char		service[16];
	size_t		length = strlen(host);

	if (length >= sizeof(bare))
		return false;
	memcpy(bare, host, length + 1);
	if (bare[0] == '[' && bare[length - 1] == ']')
	{
		bare[length - 1] = '\0';
		memmove(bare, bare + 1, length - 1);
	}
	if (strcasecmp(bare, "localhost") == 0)
		strcpy(bare, "127.0.0.1");
	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(bare, service, &hints, &found) != 0)
		return false;
	memset(address, 0, sizeof(*address));
	memcpy(address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return true;
}

static const char *
check_address(const struct sockaddr_storage *address, bool is_plain, const UrlRules *rules)
{
	return describe(guard_judge(rules->allowed, (const struct sockaddr *) address, is_plain));
}

static const char *
describe(GuardVerdict verdict)
{
	switch (verdict)
	{
		case GUARD_REFUSES_ADDRESS:
		case GUARD_REFUSES_FAMILY:
			return "The URL leads to a protected network; use another address, or have an"
				" administrator add its range to integration.allowed_networks.";
		case GUARD_REFUSES_SCHEME:
			return "Plain http is allowed only to addresses in integration.allowed_networks;"
				" use https.";
		case GUARD_REFUSES_PORT:
			return "The URL names a port on which another kind of service answers; use"
				" another one.";
		default:
			return NULL;
	}
}
