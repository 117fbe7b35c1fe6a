/*-------------------------------------------------------------------------
 * signature.c
 *		Signatures of Standard Webhooks, for receivers in SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "message/signing_key.h"
#include "message/webhook_signature.h"

SQL_FUNCTION(integration_verify_signature);
SQL_FUNCTION(integration_new_signing_key);
SQL_FUNCTION(integration_public_signing_key);

/* The key of that text; wiped by the caller, with the copy of it. */
static void
require_key(text *value, SigningKey *key)
{
	char	   *copy = text_to_cstring(value);
	const char *problem = signing_key_read(copy, key);

	explicit_bzero(copy, strlen(copy));
	if (problem != NULL)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("this is no signing key"),
				errdetail("%s", problem),
				errhint("Pass a key such as whsec_..., whsk_... or whpk_...; integration.new_signing_key() makes one."));
}

/* A string or number of that name, in whatever case; NULL: none. */
static char *
find_header(Jsonb *headers, const char *name)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (key.val.string.len != (int) strlen(name) ||
			pg_strncasecmp(key.val.string.val, name, key.val.string.len) != 0)
			continue;
		if (value.type == jbvString)
			return pnstrdup(value.val.string.val, value.val.string.len);
		if (value.type == jbvNumeric)
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value.val.numeric)));
	}
	return NULL;
}

/* Seconds of an interval as now - (now - interval), so that months have their days. */
static int64
tolerance_seconds(Interval *tolerance, TimestampTz now)
{
	TimestampTz then = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
															   TimestampTzGetDatum(now),
															   IntervalPGetDatum(tolerance)));

	if (then > now || TIMESTAMP_NOT_FINITE(then))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("tolerance must be a finite interval that is not negative"),
				errhint("Pass NULL to accept a signature of any age."));
	return (now - then) / USECS_PER_SEC;
}

static int64
unix_seconds(TimestampTz at)
{
	return at / USECS_PER_SEC +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

/* What comes from outside and is missing is a signature that does not match; never NULL. */
Datum
integration_verify_signature(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	WebhookHeaders headers;
	SigningKey	key;
	Jsonb	   *given;
	bytea	   *payload;
	int64		tolerance_s = -1;
	bool		matches;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("there is no secret to verify with"));
	if (!PG_ARGISNULL(3))
		tolerance_s = tolerance_seconds(PG_GETARG_INTERVAL_P(3), now);
	require_key(PG_GETARG_TEXT_PP(2), &key);
	given = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	if (PG_ARGISNULL(0) || given == NULL || !JB_ROOT_IS_OBJECT(given))
	{
		signing_key_wipe(&key);
		PG_RETURN_BOOL(false);
	}
	payload = PG_GETARG_BYTEA_PP(0);
	headers.id = find_header(given, "webhook-id");
	headers.timestamp = find_header(given, "webhook-timestamp");
	headers.signature = find_header(given, "webhook-signature");
	matches = webhook_signature_matches(&headers, bytes_at(VARDATA_ANY(payload),
														   VARSIZE_ANY_EXHDR(payload)),
										&key, unix_seconds(now), tolerance_s);
	signing_key_wipe(&key);
	PG_RETURN_BOOL(matches);
}

/* Wipes the key. */
static Datum
key_as_text(SigningKey *key)
{
	Text		written = {0};
	text	   *result = NULL;

	if (signing_key_append(&written, key))
		result = cstring_to_text(written.data);
	signing_key_wipe(key);
	if (written.data != NULL)
		explicit_bzero(written.data, written.capacity);
	text_free(&written);
	if (result == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
	PG_RETURN_TEXT_P(result);
}

Datum
integration_new_signing_key(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		is_shared = strcmp(kind, "v1") == 0;
	SigningKey	key;

	if (!is_shared && strcmp(kind, "v1a") != 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("there is no kind of signing key \"%s\"", kind),
				errhint("Use v1 for a shared secret, v1a for an Ed25519 key."));
	if (!signing_key_make(is_shared ? SIGNING_SHARED : SIGNING_SECRET, &key))
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not get random bytes for a key"));
	return key_as_text(&key);
}

Datum
integration_public_signing_key(PG_FUNCTION_ARGS)
{
	SigningKey	key;
	SigningKey	public_key;
	bool		has_public;

	require_key(PG_GETARG_TEXT_PP(0), &key);
	has_public = signing_key_public(&key, &public_key);
	signing_key_wipe(&key);
	if (!has_public)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a shared secret has no public half"),
				errhint("Hand out the secret itself, or make a key that has one by integration.new_signing_key('v1a')."));
	return key_as_text(&public_key);
}
