/*-------------------------------------------------------------------------
 * json.h
 *		The little JSON that headers need: quoted strings out, flat objects in.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_JSON_H
#define INTEGRATION_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "message/text.h"

/* Append a quoted JSON string; what is not UTF-8 becomes U+FFFD.  Does not throw. */
extern void json_append_string(Text *text, const char *bytes, size_t length);

/* Walks over an object whose members are strings, numbers or booleans. */
typedef struct JsonReader
{
	const char *position;
	bool		has_started;
	bool		skips_others;	/* objects, arrays and null are empty values,
								 * not a problem */
	const char *problem;		/* static sentence fragment once something is
								 * wrong */
	Text		name;
	Text		value;			/* numbers and booleans as they are written */
} JsonReader;

/* Begin at the object's brace; text must outlive the reader.  Does not throw. */
extern void json_reader_begin(JsonReader *reader, const char *text);

/*
 * Step to the next member: name.data and value.data hold it until the next
 * call.  Returns false at the end, or with problem set.  Does not throw.
 */
extern bool json_reader_next(JsonReader *reader);

/*
 * The member of that name, a string, number or boolean, appended to *value.
 * Returns whether it is there; what stands behind something that can't be read
 * is not.  Of objects, arrays and null the value is empty.  Does not throw.
 */
extern bool json_find(const char *object, const char *name, Text *value);

/* Does not throw. */
extern void json_reader_end(JsonReader *reader);

#endif							/* INTEGRATION_JSON_H */
