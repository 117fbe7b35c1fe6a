/*-------------------------------------------------------------------------
 * credentials.c
 *		Credentials as the tables hold them: secrets sealed.
 *-------------------------------------------------------------------------
 */
#include "store/credentials.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"

static CredentialRow
read_row(uint64 i, MemoryContext memory)
{
	CredentialRow row = {
		.name = column_text(i, 1, memory),
		.kind = column_text(i, 2, memory),
		.settings = column_text(i, 3, memory),
		.version = column_int32(i, 4, 0),
		.place = column_text(i, 5, memory),
		.not_before = column_time(i, 7, DT_NOBEGIN),
		.not_after = column_time(i, 8, DT_NOEND),
	};
	bool		is_null;
	Datum		sealed = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 6, &is_null);

	if (!is_null)
	{
		bytea	   *bytes = DatumGetByteaPP(sealed);

		row.sealed_bytes = VARSIZE_ANY_EXHDR(bytes);
		row.sealed = MemoryContextAlloc(memory, row.sealed_bytes);
		memcpy(row.sealed, VARDATA_ANY(bytes), row.sealed_bytes);
	}
	return row;
}

CredentialRow *
credentials_rows(MemoryContext memory, const char *const *names, int name_count, int *row_count)
{
	static const Oid types[] = {TEXTARRAYOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.credentials($1)",
		.arg_count = 1,
		.arg_types = types,
		.read_only = true,
	};
	Datum	   *given = palloc(sizeof(Datum) * name_count);
	Datum		values[1];
	uint64		rows;
	CredentialRow *result;

	for (int i = 0; i < name_count; i++)
		given[i] = parameters_text(names[i]);
	values[0] = parameters_array(TEXTOID, given, NULL, name_count);
	rows = session_execute(&statement, values, NULL);
	result = MemoryContextAlloc(memory, sizeof(CredentialRow) * (rows + 1));
	for (uint64 i = 0; i < rows; i++)
		result[i] = read_row(i, memory);
	*row_count = (int) rows;
	return result;
}

char *
credentials_view_value(MemoryContext memory, const char *reference, char **problem)
{
	static const Oid types[] = {TEXTOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.view_secret($1)",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {parameters_text(reference)};

	session_execute(&statement, values, NULL);
	*problem = column_text(0, 2, memory);
	return column_text(0, 1, memory);
}

void
credentials_probe(bool reloaded)
{
	static const Oid types[] = {BOOLOID};
	static Statement statement = {
		.text = "SELECT integration_worker.probe_mended($1)",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {BoolGetDatum(reloaded)};

	session_execute(&statement, values, NULL);
}
