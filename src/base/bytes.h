/*-------------------------------------------------------------------------
 * bytes.h
 *		Bytes that stand elsewhere.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_BYTES_H
#define INTEGRATION_BYTES_H

#include <stddef.h>

typedef struct Bytes
{
	const void *data;
	size_t		length;
} Bytes;

/* Does not throw. */
static inline Bytes
bytes_at(const void *data, size_t length)
{
	return (Bytes)
	{
		.data = data,.length = length
	};
}

#endif							/* INTEGRATION_BYTES_H */
