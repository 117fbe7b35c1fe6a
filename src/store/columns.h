/*-------------------------------------------------------------------------
 * columns.h
 *		Typed values out of a result row.
 *
 * Rows are numbered from 0, columns from 1.  Strings are UTF-8 whatever the
 * database's encoding.  For steps of a session: all of them may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_COLUMNS_H
#define INTEGRATION_COLUMNS_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"

extern bool column_is_null(uint64 row, int column);
extern bool column_bool(uint64 row, int column);
extern int32 column_int32(uint64 row, int column, int32 when_null);
extern int64 column_int64(uint64 row, int column, int64 when_null);
extern double column_double(uint64 row, int column, double when_null);
extern TimestampTz column_time(uint64 row, int column, TimestampTz when_null);
extern FullTransactionId column_xid8(uint64 row, int column);

/* A hash as a key: odd, since 0 means none. */
extern int64 column_key(uint64 row, int column);

/* A copy in memory, or NULL. */
extern char *column_text(uint64 row, int column, MemoryContext memory);

/* The same without its zero byte and, where possible, without a copy: until SPI_finish(). */
extern const char *column_bytes(uint64 row, int column, MemoryContext memory, size_t *bytes);

/* The type's text form, a copy in memory, or NULL. */
extern char *column_output(uint64 row, int column, MemoryContext memory);

#endif							/* INTEGRATION_COLUMNS_H */
