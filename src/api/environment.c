/*-------------------------------------------------------------------------
 * environment.c
 *		The server's OTEL_* variables, for SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "base/compat.h"

SQL_FUNCTION(integration_otel_variable);

/* No others: what else stands there is nobody's business. */
Datum
integration_otel_variable(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *value = strncmp(name, "OTEL_", 5) == 0 ? getenv(name) : NULL;

	if (value == NULL || value[0] == '\0' || !pg_verifymbstr(value, strlen(value), true))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}
