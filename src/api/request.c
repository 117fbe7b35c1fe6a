/*-------------------------------------------------------------------------
 * request.c
 *		The sender's own checks of an address, of headers, of a whole request, for SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "api/fit.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "message/header.h"
#include "message/request.h"
#include "transport/transport.h"

SQL_FUNCTION(integration_url_problem);
SQL_FUNCTION(integration_header_problem);
SQL_FUNCTION(integration_render_request);

Datum
integration_url_problem(PG_FUNCTION_ARGS)
{
	char	   *url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	AddressPolicy policy = settings_address_policy();
	char		buffer[512];
	const char *problem = transport_url_problem(url, &policy, PG_GETARG_BOOL(1),
												buffer, sizeof(buffer));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/* Fragments of message/header follow the header's name. */
static text *
about_header(const char *name, const char *problem)
{
	return cstring_to_text(psprintf("Header \"%s\" %s.", name, problem));
}

static text *
member_problem(const JsonbValue *key, const JsonbValue *value)
{
	char	   *name = pnstrdup(key->val.string.val, key->val.string.len);
	const char *problem = header_name_problem(name);

	if (problem == NULL && value->type != jbvString)
		problem = "must have a string as its value";
	if (problem == NULL)
		problem = header_value_problem(pnstrdup(value->val.string.val, value->val.string.len));
	return problem == NULL ? NULL : about_header(name, problem);
}

text *
request_header_problem(Jsonb *headers)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(headers))
		return cstring_to_text("Headers are a JSON object of names and values.");
	if (JB_ROOT_COUNT(headers) > HEADER_MOST)
		return cstring_to_text(psprintf("There are %u headers; %d are allowed.",
										(unsigned) JB_ROOT_COUNT(headers), HEADER_MOST));
	iterator = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		text	   *problem;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		problem = member_problem(&key, &value);
		if (problem != NULL)
			return problem;
	}
	return NULL;
}

Datum
integration_header_problem(PG_FUNCTION_ARGS)
{
	text	   *problem = request_header_problem(PG_GETARG_JSONB_P(0));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(problem);
}

static char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static char *
jsonb_argument(FunctionCallInfo fcinfo, int n)
{
	Jsonb	   *value;

	if (PG_ARGISNULL(n))
		return NULL;
	value = PG_GETARG_JSONB_P(n);
	return JsonbToCString(NULL, &value->root, VARSIZE(value));
}

static RequestFormat
format_argument(FunctionCallInfo fcinfo, int n)
{
	return request_format_of(text_argument(fcinfo, n));
}

static RequestSource
source_of(FunctionCallInfo fcinfo)
{
	char	   *created_at = palloc(CLOCK_RFC3339_BYTES);
	RequestSource source = {
		.method = text_argument(fcinfo, 0),
		.url = text_argument(fcinfo, 1),
		.endpoint_headers = jsonb_argument(fcinfo, 2),
		.sync_headers = jsonb_argument(fcinfo, 3),
		.format = format_argument(fcinfo, 4),
		.message_id = text_argument(fcinfo, 5),
		.object_type = text_argument(fcinfo, 6),
		.object_id = text_argument(fcinfo, 7),
		.operation = text_argument(fcinfo, 8),
		.remote_id = text_argument(fcinfo, 9),
		.payload = jsonb_argument(fcinfo, 10),
		.source = text_argument(fcinfo, 12),
		.traceparent = text_argument(fcinfo, 13),
		.quotes_key = !PG_ARGISNULL(14) && PG_GETARG_BOOL(14),
	};

	if (!PG_ARGISNULL(11))
		source.created_at = clock_rfc3339(PG_GETARG_TIMESTAMPTZ(11), created_at);
	source.payload_bytes = source.payload == NULL ? 0 : strlen(source.payload);
	return source;
}

/* In the order of the transport, which names the agent first. */
static ArrayType *
headers_array(const Request *request)
{
	Datum	   *values = palloc(sizeof(Datum) * (request->header_count + 1));
	int			count = 0;

	if (!request_names_agent(request))
		values[count++] = CStringGetTextDatum("User-Agent: " REQUEST_USER_AGENT);
	for (int i = 0; i < request->header_count; i++)
		values[count++] = CStringGetTextDatum(request->headers[i]);
	return construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT);
}

Datum
integration_render_request(PG_FUNCTION_ARGS)
{
	RequestSource source;
	Request		request;
	TupleDesc	columns;
	Datum		values[5] = {0};
	bool		nulls[5] = {true, true, true, true, true};
	const char *reason;
	char		problem[256];

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fit_require(fcinfo, 15, columns, lengthof(values));
	source = source_of(fcinfo);
	if (!request_build(&source, &request, &reason, problem, sizeof(problem)))
	{
		values[4] = CStringGetTextDatum(problem);
		nulls[4] = false;
	}
	else
	{
		values[0] = CStringGetTextDatum(request.method);
		values[1] = CStringGetTextDatum(request.url);
		values[2] = PointerGetDatum(headers_array(&request));
		nulls[0] = nulls[1] = nulls[2] = false;
		nulls[3] = request.body == NULL;
		if (request.body != NULL)
			values[3] = CStringGetTextDatum(request.body);
		request_free(&request);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}
