/*-------------------------------------------------------------------------
 * secret.c
 *		Secrets sealed, for SQL, which never gets one back.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/fit.h"
#include "base/compat.h"
#include "base/seal.h"
#include "base/secret_file.h"
#include "base/settings.h"
#include "message/certificate.h"
#include "message/credential.h"

SQL_FUNCTION(integration_authorities_problem);
SQL_FUNCTION(integration_seal);
SQL_FUNCTION(integration_sealed);

/* What a value turns out to be. */
typedef struct Finding
{
	SecretFileProblem problem;	/* "": none; for a detail */
	bool		expires;		/* it is a certificate, or refers to a file of
								 * one */
	TimestampTz expires_at;
} Finding;

/* What people run where there is no key yet: beside the data directory. */
static void
refuse_for_key(const char *problem)
{
	char	   *path = psprintf("%s/../integration.key", DataDir);

	canonicalize_path(path);
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("secrets cannot be sealed without a key"),
			errdetail("%s", problem),
			errhint("Make a file of random bytes outside of the data directory as the server's user, name it in the settings as a superuser:\n"
					"(umask 077; head -c 32 /dev/urandom > %s)\n"
					"ALTER SYSTEM SET integration.secret_key_file = '%s'; SELECT pg_reload_conf();",
					path, path));
}

static bool
read_key(SealKey *key, SecretFileProblem *problem)
{
	const char *path = settings_secret_key_file();

	if (path != NULL)
		return secret_file_key(path, DataDir, key, problem);
	strlcpy(problem->text, "The setting integration.secret_key_file is empty.",
			sizeof(problem->text));
	return false;
}

/* UTF-8 whatever the database's encoding; the caller wipes it. */
static char *
utf8_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *given = text_to_cstring(PG_GETARG_TEXT_PP(n));
	size_t		length = strlen(given);
	char	   *value = pg_server_to_any(given, (int) length, PG_UTF8);

	if (value != given)
		explicit_bzero(given, length);
	return value;
}

/* What is wrong with it; NULL: a credential of the kind can use it. */
static const char *
check_content(const char *content, CredentialKind kind, Finding *finding)
{
	const char *broken = credential_value_problem(kind, content);
	int64_t		expires_at_s;

	if (broken != NULL || kind != CREDENTIAL_CLIENT_CERTIFICATE)
		return broken;
	finding->expires = certificate_expires_at(content, &expires_at_s);
	if (finding->expires)
		finding->expires_at = time_t_to_timestamptz((pg_time_t) expires_at_s);
	return NULL;
}

static void
check_file(const char *name, CredentialKind kind, Finding *finding)
{
	SecretFileProblem *problem = &finding->problem;
	size_t		length;
	char	   *content;
	const char *broken;

	content = secret_file_read(settings_secret_directory(), name, &length, problem);
	if (content == NULL)
		return;
	broken = check_content(content, kind, finding);
	if (broken != NULL)
		snprintf(problem->text, sizeof(problem->text), "\"%s\": %s", name, broken);
	explicit_bzero(content, length);
	free(content);
}

static Finding
check_value(const char *value, CredentialKind kind)
{
	Finding		finding = {.problem = {""}};
	const char *name;
	const char *broken;

	switch (secret_file_source(value, &name))
	{
		case SECRET_SOURCE_FILE:
			check_file(name, kind, &finding);
			break;
		case SECRET_SOURCE_VIEW:
			break;
		case SECRET_SOURCE_VALUE:
			broken = check_content(value, kind, &finding);
			if (broken != NULL)
				strlcpy(finding.problem.text, broken, sizeof(finding.problem.text));
			break;
	}
	return finding;
}

/* One that can't be of use any more. */
static void
refuse_expired(Finding *finding)
{
	if (finding->problem.text[0] == '\0' && finding->expires &&
		finding->expires_at <= GetCurrentTimestamp())
		snprintf(finding->problem.text, sizeof(finding->problem.text),
				 "The certificate expired at %s; renew it, set the new one with its key.",
				 timestamptz_to_str(finding->expires_at));
}

static bytea *
seal(const SealKey *key, const char *place, const char *value)
{
	Bytes		where = {place, strlen(place)};
	Bytes		what = {value, strlen(value)};
	bytea	   *sealed = palloc(VARHDRSZ + what.length + SEAL_ADDED_BYTES);

	SET_VARSIZE(sealed, VARHDRSZ + what.length + SEAL_ADDED_BYTES);
	return seal_close(key, where, what, (unsigned char *) VARDATA(sealed)) ? sealed : NULL;
}

Datum
integration_seal(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *place = utf8_argument(fcinfo, 0);
	char	   *value = utf8_argument(fcinfo, 2);
	Finding		finding = check_value(value, credential_kind_of(kind));
	bool		is_good;
	SealKey		key;
	bool		has_key;
	bytea	   *sealed;

	refuse_expired(&finding);
	is_good = finding.problem.text[0] == '\0';
	has_key = is_good && read_key(&key, &finding.problem);
	sealed = has_key ? seal(&key, place, value) : NULL;
	explicit_bzero(value, strlen(value));
	explicit_bzero(&key, sizeof(key));
	/* the statement may hold it, and stays visible while the session is idle */
	pgstat_report_activity(STATE_RUNNING, "integration.set_secret()");
	if (!is_good)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("value cannot be the secret of a credential of kind %s", kind),
				errdetail("%s", finding.problem.text));
	if (!has_key)
		refuse_for_key(finding.problem.text);
	if (sealed == NULL)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR), errmsg("OpenSSL cannot seal a value"));
	PG_RETURN_BYTEA_P(sealed);
}

/* The value without its seal, which the caller wipes; NULL: *problem says why not. */
static char *
unseal(const char *place, const bytea *sealed, SecretFileProblem *problem)
{
	Bytes		where = {place, strlen(place)};
	Bytes		what = {VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed)};
	char	   *value = palloc0(what.length + 1);
	SealKey		key;

	if (!read_key(&key, problem))
		return NULL;
	if (!seal_open(&key, where, what, (unsigned char *) value))
	{
		strlcpy(problem->text, "It was sealed with another key, or for another place.",
				sizeof(problem->text));
		value = NULL;
	}
	explicit_bzero(&key, sizeof(key));
	return value;
}

Datum
integration_sealed(PG_FUNCTION_ARGS)
{
	static const char *const sources[] = {
		[SECRET_SOURCE_VALUE] = "value",
		[SECRET_SOURCE_FILE] = "file",
		[SECRET_SOURCE_VIEW] = "view",
	};
	char	   *place = utf8_argument(fcinfo, 0);
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Finding		finding = {.problem = {""}};
	char	   *value = unseal(place, PG_GETARG_BYTEA_PP(2), &finding.problem);
	TupleDesc	columns;
	Datum		values[4] = {0};
	bool		nulls[4] = {true, true, true, true};
	SecretSource source;
	const char *name;

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fit_require(fcinfo, 3, columns, lengthof(values));
	if (value != NULL)
	{
		source = secret_file_source(value, &name);
		values[0] = CStringGetTextDatum(sources[source]);
		nulls[1] = source != SECRET_SOURCE_VIEW;
		if (source == SECRET_SOURCE_VIEW)
			values[1] = CStringGetTextDatum(pg_any_to_server(name, (int) strlen(name), PG_UTF8));
		finding = check_value(value, credential_kind_of(kind));
		explicit_bzero(value, strlen(value));
	}
	nulls[0] = value == NULL;
	nulls[2] = finding.problem.text[0] == '\0';
	if (!nulls[2])
		values[2] = CStringGetTextDatum(finding.problem.text);
	nulls[3] = !finding.expires;
	values[3] = TimestampTzGetDatum(finding.expires_at);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}

Datum
integration_authorities_problem(PG_FUNCTION_ARGS)
{
	const char *problem = certificate_authorities_problem(utf8_argument(fcinfo, 0));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
