/*-------------------------------------------------------------------------
 * url.c
 *		What is wrong with an endpoint's URL.
 *
 * Catches at once what the guard would refuse later; what depends on the
 * address behind a name is left to the guard.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
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
#include "transport/url.h"

/* What libcurl would convert (IDN), cut or look up in ways of its own is written plainly. */
#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~[]:"

#define HOST_BYTES 256

#define DEFAULT_HTTP_PORT 80
#define DEFAULT_HTTPS_PORT 443

typedef struct UrlRules
{
	const AddressPolicy *policy;
	bool		allow_http;
	char	   *buffer;			/* for sentences that are not constant */
	size_t		buffer_size;
} UrlRules;

static const char *check_filled(const char *url, const UrlRules *rules);
static const char *check_parts(CURLU * parts, const UrlRules *rules);
static bool has_part(CURLU * parts, CURLUPart part);
static int	port_of(CURLU * parts, bool is_http);
static const char *check_host(const char *host, int port, bool is_plain, const UrlRules *rules);
static const char *check_name(int port, bool is_plain, const UrlRules *rules);
static bool is_listed(const char *host, const HostList *hosts);
static void write_bare(const char *host, char *bare);
static bool is_local_name(const char *name);
static bool resolve_literal(const char *host, int port, struct sockaddr_storage *address);
static const char *describe(GuardVerdict verdict, const UrlRules *rules);

const char *
transport_url_problem(const char *url, const AddressPolicy *policy, bool allow_http,
					  char *buffer, size_t buffer_size)
{
	const TemplateValues sample = {
		.object_type = "a",
		.object_id = "a",
		.operation = "a",
		.remote_id = "a"
	};
	const UrlRules rules = {
		.policy = policy,
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

bool
url_host_is_listed(const char *url, const AddressPolicy *policy,
				   char *problem, size_t problem_size)
{
	CURLU	   *parts;
	char	   *host = NULL;
	char		sentence[HOST_BYTES + 64];
	bool		is_in_list = false;

	if (policy->hosts.count == 0)
		return true;
	parts = curl_url();
	if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		is_in_list = is_listed(host, &policy->hosts);
	snprintf(sentence, sizeof(sentence), "host %.*s %s", HOST_BYTES, host ? host : "",
			 guard_explanation(GUARD_REFUSES_HOST));
	text_copy_clean(problem, problem_size, sentence);
	curl_free(host);
	curl_url_cleanup(parts);
	return is_in_list;
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

	if (host[strspn(host, HOST_CHARACTERS)] != '\0')
		return "The URL's host has a character that host names don't have; write an international"
			" name in its ASCII form, such as xn--bcher-kva.example.";
	if (rules->policy->hosts.count > 0 && !is_listed(host, &rules->policy->hosts))
		return describe(GUARD_REFUSES_HOST, rules);
	if (!resolve_literal(host, port, &address))
		return check_name(port, is_plain, rules);
	return describe(guard_judge(rules->policy, (const struct sockaddr *) &address, is_plain),
					rules);
}

/* Without networks that are opened the verdict is known whatever the name resolves to. */
static const char *
check_name(int port, bool is_plain, const UrlRules *rules)
{
	bool		is_public = rules->policy->networks.count == 0;

	if (is_public && is_plain)
		return describe(GUARD_REFUSES_SCHEME, rules);
	return guard_refuses_port(rules->policy, port, is_public) ?
		describe(GUARD_REFUSES_PORT, rules) : NULL;
}

/* An address is compared in the one form that the list has it in. */
static bool
is_listed(const char *host, const HostList *hosts)
{
	struct sockaddr_storage address;
	char		bare[HOST_BYTES];

	write_bare(host, bare);
	if (is_local_name(bare) || !resolve_literal(host, 0, &address))
		return host_list_contains(hosts, host);
	inet_ntop(address.ss_family, address.ss_family == AF_INET ?
			  (void *) &((struct sockaddr_in *) &address)->sin_addr :
			  (void *) &((struct sockaddr_in6 *) &address)->sin6_addr, bare, sizeof(bare));
	return host_list_contains(hosts, bare);
}

/* Without brackets and the final dot; "" when there is no such host. */
static void
write_bare(const char *host, char *bare)
{
	size_t		length = strlen(host);

	if (length > 1 && host[length - 1] == '.')
		length--;
	if (length > 1 && host[0] == '[' && host[length - 1] == ']')
	{
		host++;
		length -= 2;
	}
	if (length >= HOST_BYTES)
		length = 0;
	memcpy(bare, host, length);
	bare[length] = '\0';
}

/* RFC 6761 §6.3: such names never leave the machine. */
static bool
is_local_name(const char *name)
{
	static const char local[] = "localhost";
	size_t		length = strlen(name);
	size_t		local_bytes = sizeof(local) - 1;

	if (length < local_bytes || strcasecmp(name + length - local_bytes, local) != 0)
		return false;
	return length == local_bytes || name[length - local_bytes - 1] == '.';
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
	char		bare[HOST_BYTES];
	char		service[16];

	write_bare(host, bare);
	if (is_local_name(bare))
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
describe(GuardVerdict verdict, const UrlRules *rules)
{
	switch (verdict)
	{
		case GUARD_REFUSES_ADDRESS:
		case GUARD_REFUSES_FAMILY:
			return "The URL leads to a protected network that integration.allowed_networks does"
				" not open.";
		case GUARD_REFUSES_SCHEME:
			return "Plain http is allowed only to addresses in integration.allowed_networks;"
				" use https.";
		case GUARD_REFUSES_PORT:
			return rules->policy->ports.count > 0 ?
				"The URL's port is not in integration.allowed_ports." :
				"The URL's port belongs to another kind of service; integration.allowed_ports can"
				" open it.";
		case GUARD_REFUSES_HOST:
			return "The URL's host is not in integration.allowed_hosts.";
		default:
			return NULL;
	}
}
