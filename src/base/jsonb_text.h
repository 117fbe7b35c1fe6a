/*-------------------------------------------------------------------------
 * jsonb_text.h
 *		The size of a jsonb value's text, without writing it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_JSONB_TEXT_H
#define INTEGRATION_JSONB_TEXT_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/memutils.h"

/* More than any text has. */
#define JSONB_TEXT_TOO_MANY ((int64) MaxAllocSize + 1)

/*
 * octet_length(value::text), or JSONB_TEXT_TOO_MANY where that would fail; what it
 * allocates is the caller's to reset.  May throw.
 */
extern int	jsonb_text_bytes(Jsonb *value);

#endif							/* INTEGRATION_JSONB_TEXT_H */
