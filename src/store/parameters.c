/*-------------------------------------------------------------------------
 * parameters.c
 *		Values as parameters of a statement.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "store/parameters.h"

Datum
parameters_array(Oid type, Datum *values, bool *nulls, int count)
{
	int16		length;
	bool		by_value;
	char		alignment;
	int			lower = 1;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &count, &lower, type,
											  length, by_value, alignment));
}

Datum
parameters_ids(const int64 *ids, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(ids[i]);
	return parameters_array(INT8OID, values, NULL, count);
}

Datum
parameters_text(const char *utf8)
{
	int			encoding = GetDatabaseEncoding();
	char	   *copy;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return CStringGetTextDatum(utf8);
	copy = pstrdup(utf8);
	for (char *c = copy; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
	return CStringGetTextDatum(copy);
}
