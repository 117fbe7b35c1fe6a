/*-------------------------------------------------------------------------
 * columns.c
 *		Typed values out of a result row.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "store/columns.h"

static Datum
column_datum(uint64 row, int column, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

bool
column_is_null(uint64 row, int column)
{
	bool		is_null;

	(void) column_datum(row, column, &is_null);
	return is_null;
}

bool
column_bool(uint64 row, int column)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);

	return !is_null && DatumGetBool(value);
}

int32
column_int32(uint64 row, int column, int32 when_null)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);

	return is_null ? when_null : DatumGetInt32(value);
}

int64
column_int64(uint64 row, int column, int64 when_null)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);

	return is_null ? when_null : DatumGetInt64(value);
}

double
column_double(uint64 row, int column, double when_null)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);

	return is_null ? when_null : DatumGetFloat8(value);
}

TimestampTz
column_time(uint64 row, int column, TimestampTz when_null)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);

	return is_null ? when_null : DatumGetTimestampTz(value);
}

FullTransactionId
column_xid8(uint64 row, int column)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);

	return is_null ? InvalidFullTransactionId : DatumGetFullTransactionId(value);
}

int64
column_key(uint64 row, int column)
{
	return column_is_null(row, column) ? 0 : column_int64(row, column, 0) | 1;
}

char *
column_text(uint64 row, int column, MemoryContext memory)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);
	MemoryContext caller;
	char	   *raw;
	char	   *utf8;

	if (is_null)
		return NULL;
	caller = MemoryContextSwitchTo(memory);
	raw = TextDatumGetCString(value);

	utf8 = pg_server_to_any(raw, strlen(raw), PG_UTF8);
	MemoryContextSwitchTo(caller);
	return utf8;
}

const char *
column_bytes(uint64 row, int column, MemoryContext memory, size_t *bytes)
{
	bool		is_null;
	Datum		value = column_datum(row, column, &is_null);
	char	   *converted;
	text	   *plain;

	*bytes = 0;
	if (is_null)
		return NULL;
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		converted = column_text(row, column, memory);
		*bytes = strlen(converted);
		return converted;
	}
	plain = DatumGetTextPP(value);
	*bytes = VARSIZE_ANY_EXHDR(plain);
	return VARDATA_ANY(plain);
}

char *
column_output(uint64 row, int column, MemoryContext memory)
{
	char	   *output = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

	return output == NULL ? NULL : MemoryContextStrdup(memory, output);
}
