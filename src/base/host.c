/*-------------------------------------------------------------------------
 * host.c
 *		Lists of host names.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/host.h"

#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

static bool parse_pattern(const char *entry, char *pattern);
static size_t length_without_dot(const char *host);
static bool matches(const char *pattern, const char *host, size_t length);

bool
host_list_parse(const char *text, HostList *list, char *problem, size_t problem_size)
{
	ListReader	reader = list_begin(text);

	list->count = 0;
	while (reader.has_more)
	{
		if (!list_next(&reader, problem, problem_size))
			return false;
		if (!parse_pattern(reader.entry, list->items[list->count]))
		{
			snprintf(problem, problem_size, "\"%s\" is no host name", reader.entry);
			return false;
		}
		list->count++;
	}
	return true;
}

bool
host_list_contains(const HostList *list, const char *host)
{
	size_t		length = length_without_dot(host);

	for (int i = 0; i < list->count; i++)
		if (matches(list->items[i], host, length))
			return true;
	return false;
}

/* An address is kept in the form in which inet_ntop() writes it. */
static bool
parse_pattern(const char *entry, char *pattern)
{
	const char *name = strncmp(entry, "*.", 2) == 0 ? entry + 2 : entry;
	struct in6_addr address;
	size_t		length = length_without_dot(entry);

	if (inet_pton(AF_INET6, entry, &address) == 1)
		return inet_ntop(AF_INET6, &address, pattern, LIST_ENTRY_BYTES) != NULL;
	if (name[0] == '.' || name[0] == '\0' || strcmp(name, ".") == 0 || strstr(name, "..") ||
		name[strspn(name, HOST_CHARACTERS)] != '\0')
		return false;
	memcpy(pattern, entry, length);
	pattern[length] = '\0';
	return true;
}

static size_t
length_without_dot(const char *host)
{
	size_t		length = strlen(host);

	return length > 1 && host[length - 1] == '.' ? length - 1 : length;
}

static bool
matches(const char *pattern, const char *host, size_t length)
{
	size_t		pattern_bytes = strlen(pattern);

	if (pattern[0] != '*')
		return pattern_bytes == length && strncasecmp(pattern, host, length) == 0;
	pattern++;
	pattern_bytes--;
	return length > pattern_bytes &&
		strncasecmp(pattern, host + length - pattern_bytes, pattern_bytes) == 0;
}
