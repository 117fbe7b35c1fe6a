/*-------------------------------------------------------------------------
 * header.h
 *		Lines of HTTP header fields.
 *
 * libcurl sends what it is given, line breaks included, so everything passes
 * these checks first.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_HEADER_H
#define INTEGRATION_HEADER_H

#include <stdbool.h>

#define HEADER_MOST 100			/* in one object: each is compared with each */

/* A zeroed list is an empty one. */
typedef struct HeaderList
{
	char	  **lines;			/* "Name: value", each malloc'ed */
	int			count;
	int			capacity;
	bool		failed;			/* memory ran out: the list is not complete */
} HeaderList;

/*
 * Why people may not send a header of this name, as a static sentence fragment
 * that follows the name ("is not ..."); NULL when they may.  Does not throw.
 */
extern const char *header_name_problem(const char *name);

/* The same for a value.  Does not throw. */
extern const char *header_value_problem(const char *value);

/*
 * Set one, name and value being ones that may be sent; replaces the one whose
 * name differs in case at most.  Copies.  Does not throw.
 */
extern void header_list_set(HeaderList *list, const char *name, const char *value);

/* Does not throw. */
extern void header_list_free(HeaderList *list);

#endif							/* INTEGRATION_HEADER_H */
