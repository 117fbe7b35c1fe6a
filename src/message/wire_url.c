/*-------------------------------------------------------------------------
 * wire_url.c
 *		A URL in the parts that a signature covers, as they go over the wire.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "message/wire_url.h"

/* RFC 3986 §2.3 */
#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._[]:"

static void append_lower(Text *text, const char *bytes, size_t length);
static const char *read_authority(const char *authority, size_t length, WireUrl *parts);
static void append_port(WireUrl *parts, const char *port);
static void append_path(Text *path, const char *from, size_t length);
static int	dots_of(const char *segment, size_t length);
static void drop_last_segment(Text *path);
static int	hex_value(char digit);

const char *
wire_url_read(const char *url, WireUrl *parts)
{
	const char *authority = strstr(url, "://");
	const char *problem;
	size_t		length;

	if (!authority || authority == url)
		return "The URL to sign has no scheme.";
	append_lower(&parts->scheme, url, (size_t) (authority - url));
	authority += 3;
	length = strcspn(authority, "/?#");
	problem = read_authority(authority, length, parts);
	url = authority + length;
	length = strcspn(url, "?#");
	append_path(&parts->path, url, length);
	url += length;
	if (*url == '?')
		text_append(&parts->query, url + 1, strcspn(url + 1, "#"));
	else
		text_append(&parts->query, "", 0);
	return problem;
}

bool
wire_url_put(const WireUrl *parts, Request *request)
{
	Text		url = {0};
	char	   *content;

	if (parts->scheme.failed || parts->authority.failed || parts->path.failed ||
		parts->query.failed)
		return false;
	text_append_string(&url, parts->scheme.data);
	text_append_string(&url, "://");
	text_append_string(&url, parts->authority.data);
	text_append_string(&url, parts->path.data);
	if (parts->query.length > 0)
	{
		text_append_char(&url, '?');
		text_append_string(&url, parts->query.data);
	}
	content = text_take(&url);
	if (!content)
		return false;
	free(request->url);
	request->url = content;
	return true;
}

void
wire_url_append_encoded(Text *text, const char *bytes, size_t length, bool keeps_slashes)
{
	for (size_t i = 0; i < length; i++)
	{
		char		escape[4];

		if (bytes[i] && (strchr(UNRESERVED, bytes[i]) || (keeps_slashes && bytes[i] == '/')))
		{
			text_append_char(text, bytes[i]);
			continue;
		}
		snprintf(escape, sizeof(escape), "%%%02X", (unsigned) (unsigned char) bytes[i]);
		text_append_string(text, escape);
	}
}

char
wire_url_next_byte(const char **at)
{
	const char *bytes = *at;
	int			high = bytes[0] == '%' ? hex_value(bytes[1]) : -1;
	int			low = high >= 0 ? hex_value(bytes[2]) : -1;

	*at += low >= 0 ? 3 : 1;
	return low >= 0 ? (char) (high * 16 + low) : bytes[0];
}

void
wire_url_free(WireUrl *parts)
{
	text_free(&parts->scheme);
	text_free(&parts->authority);
	text_free(&parts->path);
	text_free(&parts->query);
}

static void
append_lower(Text *text, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		text_append_char(text, bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] + 32 : bytes[i]);
}

static const char *
read_authority(const char *authority, size_t length, WireUrl *parts)
{
	size_t		host = length;

	/* libcurl would send another name than what stands there */
	if (length == 0 || strspn(authority, HOST_CHARACTERS) < length)
		return "The URL to sign names its host by other than ASCII letters, digits, dots and"
			" hyphens.";
	while (host > 0 && authority[host - 1] >= '0' && authority[host - 1] <= '9')
		host--;
	if (host == 0 || authority[host - 1] != ':' || memchr(authority + host, ']', length - host))
	{
		append_lower(&parts->authority, authority, length);
		return NULL;
	}
	append_lower(&parts->authority, authority, host - 1);
	append_port(parts, authority + host);
	return NULL;
}

static void
append_port(WireUrl *parts, const char *port)
{
	long		number = strtol(port, NULL, 10);
	long		usual = 443;
	char		text[24];

	if (parts->scheme.data && strcmp(parts->scheme.data, "http") == 0)
		usual = 80;
	if (number == usual || number == 0)
		return;
	snprintf(text, sizeof(text), ":%ld", number);
	text_append_string(&parts->authority, text);
}

/* RFC 3986 §5.2.4 */
static void
append_path(Text *path, const char *from, size_t length)
{
	const char *end = from + length;

	text_append(path, "", 0);
	while (from < end)
	{
		const char *segment = from + 1;
		size_t		segment_bytes = strcspn(segment, "/?#");
		int			dots = dots_of(segment, segment_bytes);

		from = segment + segment_bytes;
		if (dots == 2)
			drop_last_segment(path);
		if (dots == 0 || from >= end)
			text_append_char(path, '/');
		if (dots == 0)
			text_append(path, segment, segment_bytes);
	}
	if (path->length == 0)
		text_append_char(path, '/');
}

/* 1 or 2 for the segments with a meaning of their own, written in any way; else 0. */
static int
dots_of(const char *segment, size_t length)
{
	const char *at = segment;
	int			dots = 0;

	while (at < segment + length)
	{
		if (wire_url_next_byte(&at) != '.')
			return 0;
		dots++;
	}
	return dots <= 2 ? dots : 0;
}

static void
drop_last_segment(Text *path)
{
	while (path->length > 0)
		if (path->data[--path->length] == '/')
			break;
	if (path->data)
		path->data[path->length] = '\0';
}

static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}
