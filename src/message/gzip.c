/*-------------------------------------------------------------------------
 * gzip.c
 *		Compressed request bodies.
 *-------------------------------------------------------------------------
 */
#include <limits.h>

#include <zlib.h>

#include "message/gzip.h"

#define GZIP_WINDOW (15 + 16)	/* zlib: the largest, with gzip's header */
#define MEMORY_LEVEL 8			/* zlib's default */

void
gzip_append(Text *text, const char *bytes, size_t length)
{
	z_stream	stream = {0};
	int			result;

	/* the fastest level: repeated names make nearly all of what is saved */
	if (length > UINT_MAX / 2 ||
		deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
					 Z_DEFAULT_STRATEGY) != Z_OK)
	{
		text->failed = true;
		return;
	}
	stream.next_in = (Bytef *) bytes;
	stream.avail_in = (uInt) length;
	do
	{
		char		chunk[8192];

		stream.next_out = (Bytef *) chunk;
		stream.avail_out = sizeof(chunk);
		result = deflate(&stream, Z_FINISH);
		text_append(text, chunk, sizeof(chunk) - stream.avail_out);
	} while (result == Z_OK);
	text->failed = text->failed || result != Z_STREAM_END;
	deflateEnd(&stream);
}
