/*-------------------------------------------------------------------------
 * traces.c
 *		The body of a request that exports a batch of attempts, for SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/compat.h"
#include "store/traces.h"

SQL_FUNCTION(integration_otlp_traces);

static text *
in_server_encoding(const Text *body)
{
	char	   *raw = pg_any_to_server(body->data, (int) body->length, PG_UTF8);

	return raw == body->data ? cstring_to_text_with_len(raw, (int) body->length) :
		cstring_to_text(raw);
}

Datum
integration_otlp_traces(PG_FUNCTION_ARGS)
{
	Jsonb	   *batch = PG_GETARG_JSONB_P(0);
	char	   *payload = JsonbToCString(NULL, &batch->root, VARSIZE(batch));
	Text		body = {0};
	text	   *result;

	SPI_connect();
	traces_write(payload, &body);
	SPI_finish();
	result = in_server_encoding(&body);
	text_free(&body);
	PG_RETURN_TEXT_P(result);
}
