/*-------------------------------------------------------------------------
 * list.c
 *		Comma-separated lists, entry by entry.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "base/list.h"

#define BLANKS " \t\r\n"

ListReader
list_begin(const char *entries)
{
	ListReader	reader = {.rest = entries + strspn(entries, BLANKS)};

	reader.has_more = reader.rest[0] != '\0';
	return reader;
}

bool
list_next(ListReader *reader, char *problem, size_t problem_size)
{
	const char *entry = reader->rest + strspn(reader->rest, BLANKS);
	size_t		length = strcspn(entry, "," BLANKS);

	if (length == 0 || length >= sizeof(reader->entry))
	{
		snprintf(problem, problem_size, "an entry of the list is %s",
				 length == 0 ? "empty" : "too long");
		return false;
	}
	if (reader->count == LIST_ENTRIES_MAX)
	{
		snprintf(problem, problem_size, "the list has more than %d entries", LIST_ENTRIES_MAX);
		return false;
	}
	memcpy(reader->entry, entry, length);
	reader->entry[length] = '\0';
	reader->count++;

	reader->rest = entry + length + strspn(entry + length, BLANKS);
	reader->has_more = reader->rest[0] == ',';
	if (reader->has_more)
		reader->rest++;
	else if (reader->rest[0] != '\0')
	{
		snprintf(problem, problem_size, "a comma is missing after \"%s\"", reader->entry);
		return false;
	}
	return true;
}
