/*-------------------------------------------------------------------------
 * fuzz.h
 *		What the fuzz targets share: their input in pieces, checks that abort.
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/text.h"

#define CHECK(condition) \
	((condition) ? (void) 0 : \
	 (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), abort()))

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input. */
typedef struct Input
{
	const char *bytes;
	size_t		length;
} Input;

/*
 * The bytes up to the next zero byte, or to the end, as a string of exactly that
 * size, so that a read beyond it is seen.  The caller frees it.
 */
static inline char *
take_string(Input *input)
{
	size_t		length = input->length > 0 ? strnlen(input->bytes, input->length) : 0;
	size_t		step = length < input->length ? length + 1 : length;
	char	   *copy = malloc(length + 1);

	CHECK(copy);
	if (length > 0)
		memcpy(copy, input->bytes, length);
	copy[length] = '\0';
	input->bytes += step;
	input->length -= step;
	return copy;
}

/* 0 when nothing is left. */
static inline unsigned
take_byte(Input *input)
{
	unsigned	byte = 0;

	if (input->length == 0)
		return 0;
	byte = (unsigned char) input->bytes[0];
	input->bytes++;
	input->length--;
	return byte;
}

static inline int
is_clean(const char *string)
{
	return text_is_utf8(string, strlen(string));
}

#endif							/* FUZZ_H */
