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

#include "api/fit.h"
#include "base/compat.h"
#include "base/seal.h"
#include "base/secret_file.h"
#include "base/settings.h"
#include "message/credential.h"

SQL_FUNCTION(integration_seal);
SQL_FUNCTION(integration_sealed);

/* What people run where there is no key yet: beside the data directory. */
static void
refuse_for_key(const char *problem)
{
	char	   *path = psprintf("%s/../integration.key", DataDir);

	canonicalize_path(path);
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("secrets can't be sealed without a key"),
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

/* Whether the file has what a credential of the kind can use; a problem is for a detail. */
static bool
check_file(const char *name, CredentialKind kind, SecretFileProblem *problem)
{
	const char *directory = settings_secret_directory();
	size_t		length;
	char	   *content;
	const char *broken;

	if (directory == NULL)
	{
		strlcpy(problem->text, "The setting integration.secret_directory is empty.",
				sizeof(problem->text));
		return false;
	}
	content = secret_file_read(directory, name, &length, problem);
	if (content == NULL)
		return false;
	broken = credential_value_problem(kind, content);
	if (broken != NULL)
		snprintf(problem->text, sizeof(problem->text), "\"%s\": %s", name, broken);
	explicit_bzero(content, length);
	free(content);
	return broken == NULL;
}

static bool
check_value(const char *value, CredentialKind kind, SecretFileProblem *problem)
{
	const char *name;
	const char *broken;

	switch (secret_file_source(value, &name))
	{
		case SECRET_SOURCE_FILE:
			return check_file(name, kind, problem);
		case SECRET_SOURCE_VIEW:
			return true;
		case SECRET_SOURCE_VALUE:
			break;
	}
	broken = credential_value_problem(kind, value);
	if (broken != NULL)
		strlcpy(problem->text, broken, sizeof(problem->text));
	return broken == NULL;
}

static bytea *
seal(const SealKey *key, const char *place, const char *value)
{
	SealSpan	where = {place, strlen(place)};
	SealSpan	what = {value, strlen(value)};
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
	SecretFileProblem problem = {""};
	bool		is_good = check_value(value, credential_kind_of(kind), &problem);
	SealKey		key;
	bool		has_key = is_good && read_key(&key, &problem);
	bytea	   *sealed = has_key ? seal(&key, place, value) : NULL;

	explicit_bzero(value, strlen(value));
	explicit_bzero(&key, sizeof(key));
	/* the statement may hold it, and stays visible while the session is idle */
	pgstat_report_activity(STATE_RUNNING, "integration.set_secret()");
	if (!is_good)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("value can't be the secret of a credential of kind %s", kind),
				errdetail("%s", problem.text));
	if (!has_key)
		refuse_for_key(problem.text);
	if (sealed == NULL)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR), errmsg("OpenSSL can't seal a value"));
	PG_RETURN_BYTEA_P(sealed);
}

/* The value without its seal, which the caller wipes; NULL: *problem says why not. */
static char *
unseal(const char *place, const bytea *sealed, SecretFileProblem *problem)
{
	SealSpan	where = {place, strlen(place)};
	SealSpan	what = {VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed)};
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
	SecretFileProblem problem = {""};
	char	   *value = unseal(place, PG_GETARG_BYTEA_PP(2), &problem);
	TupleDesc	columns;
	Datum		values[3] = {0};
	bool		nulls[3] = {true, true, true};
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
		(void) check_value(value, credential_kind_of(kind), &problem);
		explicit_bzero(value, strlen(value));
	}
	nulls[0] = value == NULL;
	nulls[2] = problem.text[0] == '\0';
	if (!nulls[2])
		values[2] = CStringGetTextDatum(problem.text);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}
