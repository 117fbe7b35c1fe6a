/*-------------------------------------------------------------------------
 * template.c
 *		URLs with placeholders for the values of one sync.
 *
 * Placeholders stand in path and query only: a value must never choose which
 * host gets the request.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "message/template.h"

/* RFC 3986 §2.3 */
#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
#define SHOWN_BYTES 40			/* of what is wrong */

typedef struct Placeholder
{
	const char *name;
	const char *value;
} Placeholder;

static const Placeholder *find_placeholder(const Placeholder *known, const char *name,
										   size_t length);
static bool value_is_usable(const Placeholder *placeholder, char *problem, size_t problem_size);
static const char *path_of(const char *url);
static void describe_placeholder(const char *place, char *problem, size_t problem_size);
static void append_encoded(Text *text, const char *value);

TemplateResult
template_fill(const char *url, const TemplateValues *values, Text *filled,
			  char *problem, size_t problem_size)
{
	const Placeholder known[] = {
		{"object_type", values->object_type},
		{"object_id", values->object_id},
		{"operation", values->operation},
		{"remote_id", values->remote_id},
		{NULL, NULL}
	};
	const char *path = path_of(url);

	for (;;)
	{
		size_t		literal = strcspn(url, "{}");
		const char *name = url + literal + 1;
		size_t		length;
		const Placeholder *placeholder;

		text_append(filled, url, literal);
		if (url[literal] == '\0')
			return TEMPLATE_FILLED;
		if (url + literal < path)
		{
			snprintf(problem, problem_size,
					 "The URL has a brace before its path; placeholders may stand in the"
					 " path and the query only.");
			return TEMPLATE_IS_WRONG;
		}
		length = strcspn(name, "{}");
		placeholder = find_placeholder(known, name, length);
		if (url[literal] == '}' || name[length] != '}' || !placeholder)
		{
			describe_placeholder(url + literal, problem, problem_size);
			return TEMPLATE_IS_WRONG;
		}
		if (!value_is_usable(placeholder, problem, problem_size))
			return TEMPLATE_VALUE_IS_WRONG;
		append_encoded(filled, placeholder->value);
		url = name + length + 1;
	}
}

static void
describe_placeholder(const char *place, char *problem, size_t problem_size)
{
	char		shown[SHOWN_BYTES + 1];

	text_copy_clean(shown, sizeof(shown), place);
	snprintf(problem, problem_size,
			 "The URL has a placeholder other than {object_type}, {object_id},"
			 " {operation} and {remote_id} at \"%s\".", shown);
}

/* With all but unreserved characters percent-encoded. */
static void
append_encoded(Text *text, const char *value)
{
	while (*value)
	{
		size_t		plain = strspn(value, UNRESERVED);

		text_append(text, value, plain);
		value += plain;
		if (*value)
		{
			char		escape[4];

			snprintf(escape, sizeof(escape), "%%%02X", (unsigned) (unsigned char) *value);
			text_append_string(text, escape);
			value++;
		}
	}
}

static const Placeholder *
find_placeholder(const Placeholder *known, const char *name, size_t length)
{
	for (; known->name; known++)
		if (strlen(known->name) == length && memcmp(known->name, name, length) == 0)
			return known;
	return NULL;
}

static bool
value_is_usable(const Placeholder *placeholder, char *problem, size_t problem_size)
{
	const char *value = placeholder->value;

	if (!value || *value == '\0')
	{
		snprintf(problem, problem_size, "The URL needs {%s}, but this sync has none.",
				 placeholder->name);
		return false;
	}

	/* RFC 3986 §5.2.4: as a path segment these would address another object */
	if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
	{
		snprintf(problem, problem_size, "The URL needs {%s}, but \"%s\" means a directory there.",
				 placeholder->name, value);
		return false;
	}
	return true;
}

static const char *
path_of(const char *url)
{
	const char *authority = strstr(url, "://");

	authority = authority ? authority + 3 : url;
	return authority + strcspn(authority, "/?#");
}
