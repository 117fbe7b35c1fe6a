/*-------------------------------------------------------------------------
 * header.c
 *		Lines of HTTP header fields.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "message/header.h"

/* RFC 9110 §5.6.2 */
#define TOKEN_CHARACTERS \
	"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#define NAME_MAX_BYTES 128
#define VALUE_MAX_BYTES 8192

#define SET_BY_CONNECTION "belongs to the connection, which the sender controls"

static const struct
{
	const char *name;
	const char *problem;
}			refused_names[] =

{
	{"Host", "is taken from the URL"},
	{"Content-Length", "is counted by the sender"},
	{"Transfer-Encoding", SET_BY_CONNECTION},
	{"Connection", SET_BY_CONNECTION},
	{"Proxy-Connection", SET_BY_CONNECTION},
	{"Keep-Alive", SET_BY_CONNECTION},
	{"Upgrade", SET_BY_CONNECTION},
	{"HTTP2-Settings", SET_BY_CONNECTION},
	{"TE", SET_BY_CONNECTION},
	{"Trailer", SET_BY_CONNECTION},
	{"Proxy-Authorization", SET_BY_CONNECTION},
	{"Expect", "would make each request wait for an interim answer"},
	{"Accept-Encoding", "would bring compressed answers, which are not read"},
};

static char *make_line(const char *name, size_t name_bytes, const char *value);
static char **find_or_add(HeaderList *list, const char *name, size_t name_bytes);

const char *
header_name_problem(const char *name)
{
	size_t		length = strlen(name);

	if (length == 0)
		return "is empty";
	if (length > NAME_MAX_BYTES)
		return "is longer than 128 bytes";
	if (strspn(name, TOKEN_CHARACTERS) != length)
		return "holds something other than letters, digits and !#$%&'*+-.^_`|~";
	for (size_t i = 0; i < sizeof(refused_names) / sizeof(refused_names[0]); i++)
		if (strcasecmp(name, refused_names[i].name) == 0)
			return refused_names[i].problem;
	return NULL;
}

const char *
header_value_problem(const char *value)
{
	const unsigned char *first = (const unsigned char *) value;
	const unsigned char *at = first;

	while ((*at >= 0x20 && *at != 0x7f) || *at == '\t')
		at++;
	if (*at == '\r' || *at == '\n')
		return "holds a line break";
	if (*at != '\0')
		return "holds a control character";
	return at - first > VALUE_MAX_BYTES ? "is longer than 8192 bytes" : NULL;
}

void
header_list_set(HeaderList *list, const char *name, const char *value)
{
	size_t		name_bytes = strlen(name);
	char	  **line = list->failed ? NULL : find_or_add(list, name, name_bytes);

	if (line)
	{
		free(*line);
		*line = make_line(name, name_bytes, value);
	}
	if (!line || !*line)
		list->failed = true;
}

void
header_list_free(HeaderList *list)
{
	for (int i = 0; i < list->count; i++)
		free(list->lines[i]);
	free(list->lines);
	memset(list, 0, sizeof(*list));
}

static char *
make_line(const char *name, size_t name_bytes, const char *value)
{
	size_t		value_bytes = strlen(value);
	char	   *line = malloc(name_bytes + 2 + value_bytes + 1);

	if (!line)
		return NULL;
	memcpy(line, name, name_bytes);
	memcpy(line + name_bytes, ": ", 2);
	memcpy(line + name_bytes + 2, value, value_bytes + 1);
	return line;
}

static char **
find_or_add(HeaderList *list, const char *name, size_t name_bytes)
{
	for (int i = 0; i < list->count; i++)
		if (list->lines[i] && strncasecmp(list->lines[i], name, name_bytes) == 0 &&
			list->lines[i][name_bytes] == ':')
			return &list->lines[i];

	if (list->count == list->capacity)
	{
		int			capacity = list->capacity ? list->capacity * 2 : 16;
		char	  **lines = realloc(list->lines, (size_t) capacity * sizeof(char *));

		if (!lines)
			return NULL;
		list->lines = lines;
		list->capacity = capacity;
	}
	list->lines[list->count] = NULL;
	return &list->lines[list->count++];
}
