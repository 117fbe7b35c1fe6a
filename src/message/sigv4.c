/*-------------------------------------------------------------------------
 * sigv4.c
 *		AWS Signature Version 4.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "message/digest.h"
#include "message/header.h"
#include "message/json.h"
#include "message/sigv4.h"
#include "message/sigv4_target.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DAY_BYTES 8
#define SECRET_PREFIX "AWS4"
#define SECRET_MAX_BYTES 256

/* One request's signature in the making; problem is NULL while all is well. */
typedef struct Draft
{
	Request    *request;
	Text		region;
	Text		service;
	Text		access_key_id;
	Text		session_token;
	Text		secret;
	bool		is_s3;
	char		now[20];		/* ISO 8601, basic */
	WireUrl		url;			/* as sent */
	char		payload[DIGEST_HEX_BYTES];
	Text		scope;
	Text		signed_headers;
	Text		canonical;
	const char *problem;
	bool		lacks_memory;
} Draft;

static void read_settings(Draft *draft, const Credential *credential);
static void read_secret(Draft *draft, const char *value);
static void check_settings(Draft *draft);
static void check_secret(Draft *draft);
static bool is_word(const Text *text);
static bool is_s3_service(const char *service);
static void set_facts(Draft *draft, int64_t now_s);
static void set_header(Draft *draft, const char *name, const char *value);
static void write_canonical(Draft *draft);
static void append_headers(Draft *draft);
static bool is_signed(const char *line);
static int	compare_lines(const void *a, const void *b);
static void append_header(Draft *draft, const char *line);
static void authorize(Draft *draft);
static bool derive_key(const Draft *draft, unsigned char key[DIGEST_BYTES]);
static bool has_memory(const Draft *draft);
static void free_draft(Draft *draft);

bool
sigv4_apply(const Credential *credential, Request *request, int64_t now_s,
			CredentialProblem *problem)
{
	Draft		draft = {.request = request};

	read_settings(&draft, credential);
	if (!draft.problem && has_memory(&draft))
		check_settings(&draft);
	if (!draft.problem)
		draft.problem = wire_url_read(request->url, &draft.url);
	if (!draft.problem && has_memory(&draft))
		set_facts(&draft, now_s);
	if (!draft.problem && has_memory(&draft))
		write_canonical(&draft);
	if (!draft.problem && has_memory(&draft))
		authorize(&draft);
	if (!draft.problem && !has_memory(&draft))
		draft.problem = "The signature needs more memory than there is.";
	if (draft.problem)
	{
		problem->reason = has_memory(&draft) ? "signing_failed" : "curl:27";
		snprintf(problem->text, sizeof(problem->text), "%s", draft.problem);
	}
	free_draft(&draft);
	return !draft.problem;
}

const char *
sigv4_secret_problem(const char *value)
{
	Draft		draft = {0};
	const char *problem;

	read_secret(&draft, value);
	if (has_memory(&draft))
		check_secret(&draft);
	problem = draft.problem;
	free_draft(&draft);
	return problem;
}

static void
read_settings(Draft *draft, const Credential *credential)
{
	const char *settings = credential->settings ? credential->settings : "{}";

	json_find(settings, "region", &draft->region);
	json_find(settings, "service", &draft->service);
	if (credential->value_count > 0)
		read_secret(draft, credential->values[0]);
	else
		draft->problem = "There is no secret access key to sign with.";
	if (draft->access_key_id.length == 0)
		json_find(settings, "access_key_id", &draft->access_key_id);
}

/* Temporary keys come with a token, and an id of their own. */
static void
read_secret(Draft *draft, const char *value)
{
	size_t		length = strlen(value);

	text_reserve(&draft->secret, strlen(SECRET_PREFIX) + length + 1);
	text_append_string(&draft->secret, SECRET_PREFIX);
	if (value[0] != '{')
	{
		/* a file ends with a line break */
		while (length > 0 && strchr(" \t\r\n", value[length - 1]))
			length--;
		text_append(&draft->secret, value, length);
		return;
	}
	json_find(value, "secret_access_key", &draft->secret);
	text_reserve(&draft->session_token, length);
	json_find(value, "session_token", &draft->session_token);
	json_find(value, "access_key_id", &draft->access_key_id);
}

static void
check_settings(Draft *draft)
{
	if (!is_word(&draft->region) || !is_word(&draft->service) || !is_word(&draft->access_key_id))
		draft->problem = "The settings region, service and access_key_id are needed, without"
			" blanks, commas or slashes.";
	else
	{
		check_secret(draft);
		draft->is_s3 = is_s3_service(draft->service.data);
	}
}

static void
check_secret(Draft *draft)
{
	if (draft->secret.length <= strlen(SECRET_PREFIX) || draft->secret.length > SECRET_MAX_BYTES)
		draft->problem = "The secret access key is empty or longer than 252 bytes.";
	else if (draft->session_token.length > 0 && header_value_problem(draft->session_token.data))
		draft->problem = "The session token cannot be sent in a header.";
}

/* What may stand between the slashes of a credential's scope. */
static bool
is_word(const Text *text)
{
	for (size_t i = 0; i < text->length; i++)
		if (text->data[i] <= ' ' || text->data[i] > '~' || strchr(",/", text->data[i]))
			return false;
	return text->length > 0;
}

/* Whose paths are encoded once, and who wants the payload's digest in a header. */
static bool
is_s3_service(const char *service)
{
	static const char *const names[] = {"s3", "s3-outposts", "s3-object-lambda", "s3express"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(service, names[i]) == 0)
			return true;
	return false;
}

static void
set_facts(Draft *draft, int64_t now_s)
{
	Bytes		body = {draft->request->body, draft->request->body_bytes};
	unsigned char digest[DIGEST_BYTES];
	time_t		seconds = (time_t) now_s;
	struct tm	now;

	if (!gmtime_r(&seconds, &now) ||
		strftime(draft->now, sizeof(draft->now), "%Y%m%dT%H%M%SZ", &now) == 0)
	{
		draft->problem = "The time cannot be written as a date.";
		return;
	}
	if (!digest_sha256(body, digest))
	{
		draft->problem = "The body's digest was refused by OpenSSL.";
		return;
	}
	digest_hex(digest, draft->payload);
	text_append(&draft->scope, draft->now, DAY_BYTES);
	text_append_char(&draft->scope, '/');
	text_append_string(&draft->scope, draft->region.data);
	text_append_char(&draft->scope, '/');
	text_append_string(&draft->scope, draft->service.data);
	text_append_string(&draft->scope, "/aws4_request");
	set_header(draft, "X-Amz-Date", draft->now);
	if (draft->is_s3)
		set_header(draft, "X-Amz-Content-Sha256", draft->payload);
	if (draft->session_token.length > 0)
		set_header(draft, "X-Amz-Security-Token", draft->session_token.data);
}

static void
set_header(Draft *draft, const char *name, const char *value)
{
	if (!request_set_secret(draft->request, name, value))
		draft->lacks_memory = true;
}

static void
write_canonical(Draft *draft)
{
	Text	   *canonical = &draft->canonical;

	text_append_string(canonical, draft->request->method);
	text_append_char(canonical, '\n');
	sigv4_target_path(&draft->url, draft->is_s3, canonical);
	text_append_char(canonical, '\n');
	sigv4_target_query(&draft->url, canonical);
	text_append_char(canonical, '\n');
	append_headers(draft);
	text_append_char(canonical, '\n');
	if (!has_memory(draft))
		return;
	text_append(canonical, draft->signed_headers.data, draft->signed_headers.length);
	text_append_char(canonical, '\n');
	text_append_string(canonical, draft->payload);
	if (!wire_url_put(&draft->url, draft->request))
		draft->lacks_memory = true;
}

static void
append_headers(Draft *draft)
{
	size_t		count = 0;
	const char **lines = malloc(((size_t) draft->request->header_count + 1) * sizeof(char *));
	Text		host = {0};

	text_append_string(&host, "host: ");
	text_append(&host, draft->url.authority.data, draft->url.authority.length);
	if (!lines || host.failed)
	{
		free(lines);
		text_free(&host);
		draft->lacks_memory = true;
		return;
	}
	lines[count++] = host.data;
	for (int i = 0; i < draft->request->header_count; i++)
		if (is_signed(draft->request->headers[i]))
			lines[count++] = draft->request->headers[i];
	qsort(lines, count, sizeof(char *), compare_lines);
	for (size_t i = 0; i < count; i++)
		append_header(draft, lines[i]);
	free(lines);
	text_free(&host);
}

/* Not what is set later, or may be changed on the way. */
static bool
is_signed(const char *line)
{
	static const char *const unsigned_names[] = {
		"Authorization", "User-Agent", "Accept", "traceparent", "tracestate", "X-Amzn-Trace-Id"
	};
	size_t		length = strcspn(line, ":");

	for (size_t i = 0; i < sizeof(unsigned_names) / sizeof(unsigned_names[0]); i++)
		if (strlen(unsigned_names[i]) == length &&
			strncasecmp(line, unsigned_names[i], length) == 0)
			return false;
	return true;
}

static int
compare_lines(const void *a, const void *b)
{
	const char *one = *(const char *const *) a;
	const char *other = *(const char *const *) b;
	size_t		one_bytes = strcspn(one, ":");
	size_t		other_bytes = strcspn(other, ":");
	int			order = strncasecmp(one, other, one_bytes < other_bytes ? one_bytes : other_bytes);

	if (order)
		return order;
	return (one_bytes > other_bytes) - (one_bytes < other_bytes);
}

/* The name in lower case; the value trimmed, blanks in a row as one. */
static void
append_header(Draft *draft, const char *line)
{
	size_t		name_bytes = strcspn(line, ":");
	size_t		start = draft->canonical.length;
	const char *at = line + name_bytes;

	for (size_t i = 0; i < name_bytes; i++)
		text_append_char(&draft->canonical,
						 line[i] >= 'A' && line[i] <= 'Z' ? line[i] + 32 : line[i]);
	if (draft->canonical.failed)
		return;
	if (draft->signed_headers.length > 0)
		text_append_char(&draft->signed_headers, ';');
	text_append(&draft->signed_headers, draft->canonical.data + start, name_bytes);
	text_append_char(&draft->canonical, ':');
	at += *at == ':';
	at += strspn(at, " \t");
	while (*at)
	{
		size_t		word = strcspn(at, " \t");

		text_append(&draft->canonical, at, word);
		at += word;
		at += strspn(at, " \t");
		if (*at)
			text_append_char(&draft->canonical, ' ');
	}
	text_append_char(&draft->canonical, '\n');
}

static void
authorize(Draft *draft)
{
	Text		text = {0};
	unsigned char key[DIGEST_BYTES];
	unsigned char digest[DIGEST_BYTES];
	char		hex[DIGEST_HEX_BYTES] = "";
	Bytes		canonical = bytes_at(draft->canonical.data, draft->canonical.length);
	bool		is_good = digest_sha256(canonical, digest);

	digest_hex(digest, hex);
	text_append_string(&text, ALGORITHM "\n");
	text_append_string(&text, draft->now);
	text_append_char(&text, '\n');
	text_append(&text, draft->scope.data, draft->scope.length);
	text_append_char(&text, '\n');
	text_append_string(&text, hex);
	is_good = is_good && !text.failed && derive_key(draft, key) &&
		digest_hmac(bytes_at(key, sizeof(key)), bytes_at(text.data, text.length), digest);
	digest_hex(digest, hex);
	OPENSSL_cleanse(key, sizeof(key));

	text.length = 0;
	text_append_string(&text, ALGORITHM " Credential=");
	text_append_string(&text, draft->access_key_id.data);
	text_append_char(&text, '/');
	text_append(&text, draft->scope.data, draft->scope.length);
	text_append_string(&text, ", SignedHeaders=");
	text_append(&text, draft->signed_headers.data, draft->signed_headers.length);
	text_append_string(&text, ", Signature=");
	text_append_string(&text, hex);
	if (text.failed)
		draft->lacks_memory = true;
	else if (!is_good)
		draft->problem = "The secret access key was refused by OpenSSL.";
	else
		set_header(draft, "Authorization", text.data);
	text_free(&text);
}

static bool
derive_key(const Draft *draft, unsigned char key[DIGEST_BYTES])
{
	const Bytes steps[] = {
		{draft->region.data, draft->region.length},
		{draft->service.data, draft->service.length},
		{"aws4_request", strlen("aws4_request")},
	};
	bool		is_derived = digest_hmac(bytes_at(draft->secret.data, draft->secret.length),
										 bytes_at(draft->now, DAY_BYTES), key);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		is_derived = is_derived && digest_hmac(bytes_at(key, DIGEST_BYTES), steps[i], key);
	return is_derived;
}

static bool
has_memory(const Draft *draft)
{
	return !(draft->lacks_memory || draft->region.failed || draft->service.failed ||
			 draft->access_key_id.failed || draft->session_token.failed || draft->secret.failed ||
			 draft->url.scheme.failed || draft->url.authority.failed || draft->url.path.failed ||
			 draft->url.query.failed || draft->scope.failed || draft->signed_headers.failed ||
			 draft->canonical.failed);
}

static void
free_draft(Draft *draft)
{
	text_wipe(&draft->secret);
	text_wipe(&draft->session_token);
	/* it holds the session token */
	text_wipe(&draft->canonical);
	text_free(&draft->region);
	text_free(&draft->service);
	text_free(&draft->access_key_id);
	text_free(&draft->scope);
	text_free(&draft->signed_headers);
	wire_url_free(&draft->url);
}
