/*-------------------------------------------------------------------------
 * jsonb_text.h
 *		The size of a jsonb value's text, without writing it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_JSONB_TEXT_H
#define INTEGRATION_JSONB_TEXT_H

#include "postgres.h"

#include "utils/jsonb.h"

/* octet_length(value::text); what it allocates is the caller's to reset.  May throw. */
extern int	jsonb_text_bytes(Jsonb *value);

#endif							/* INTEGRATION_JSONB_TEXT_H */
