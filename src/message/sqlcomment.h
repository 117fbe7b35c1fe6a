/*-------------------------------------------------------------------------
 * sqlcomment.h
 *		What a sqlcommenter comment says at the end of a statement.
 *
 * The sqlcommenter specification: pairs of key='value' between slashes and
 * stars, percent-encoded, behind all else.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SQLCOMMENT_H
#define INTEGRATION_SQLCOMMENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copy the value of a key, decoded.  False where the statement has no such
 * comment, it lacks the key, or the value doesn't fit.  Does not throw.
 */
extern bool sqlcomment_value(const char *statement, const char *key, char *value, size_t size);

#endif							/* INTEGRATION_SQLCOMMENT_H */
