/*-------------------------------------------------------------------------
 * credential_test.c
 *		What a credential adds to a request.
 *-------------------------------------------------------------------------
 */
#include "message/credential.h"
#include "message/request.h"
#include "tap.h"

static const struct
{
	const char *name;
	CredentialKind kind;
	const char *settings;
	const char *value;			/* NULL: none */
	const char *line;			/* or NULL */
	const char *reason;
}			cases[] =

{
	{"RFC 7617 §2", CREDENTIAL_BASIC, "{\"username\": \"Aladdin\"}", "open sesame",
	"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL},
	{"RFC 7617 §2.1", CREDENTIAL_BASIC, "{\"username\": \"test\"}", "123\xC2\xA3",
	"Authorization: Basic dGVzdDoxMjPCow==", NULL},
	{"a password may hold colons", CREDENTIAL_BASIC, "{\"username\": \"a\"}", "b:c",
	"Authorization: Basic YTpiOmM=", NULL},
	{"RFC 6750 §2.1", CREDENTIAL_BEARER, "{}", "mF_9.B5f-4.1JqM",
	"Authorization: Bearer mF_9.B5f-4.1JqM", NULL},
	{"a header of its own", CREDENTIAL_HEADER, "{\"name\": \"X-Api-Key\"}", "abc def",
	"X-Api-Key: abc def", NULL},
	{"no secret", CREDENTIAL_BEARER, "{}", NULL, NULL, "secret_missing"},
	{"an empty one", CREDENTIAL_BEARER, "{}", "", NULL, "secret_unreadable"},
	{"a token of OAuth 2.0", CREDENTIAL_OAUTH2, "{}", "abc", "Authorization: Bearer abc", NULL},
	{"a key that can't be read", CREDENTIAL_SIGNING, "{}", "whsec_short", NULL,
	"secret_unreadable"},
	{"a public key", CREDENTIAL_SIGNING, "{}", "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
	NULL, "secret_unreadable"},
	{"a line break", CREDENTIAL_BEARER, "{}", "a\r\nX-Evil: b", NULL, "secret_unreadable"},
};

static Request
build(void)
{
	static const RequestSource source = {
		.method = "POST",
		.url = "https://example.com/",
		.endpoint_headers = "{\"authorization\": \"old\", \"X-Other\": \"stays\"}",
		.payload = "{}",
		.payload_bytes = 2,
	};
	Request		request;
	const char *reason;
	char		problem[256];

	if (!request_build(&source, &request, &reason, problem, sizeof(problem)))
		tap_bail_out(problem);
	return request;
}

static int
count_lines(const Request *request, const char *start)
{
	int			count = 0;

	for (int i = 0; i < request->header_count; i++)
		count += strncmp(request->headers[i], start, strlen(start)) == 0;
	return count;
}

static void
check(int i)
{
	Request		request = build();
	int			before = request.header_count;
	CredentialProblem problem = {0};
	Credential	credential = {
		.kind = cases[i].kind,
		.settings = cases[i].settings,
		.values = &cases[i].value,
		.value_count = cases[i].value ? 1 : 0,
	};
	bool		is_applied = credential_apply(&credential, &request, 0, &problem);

	tap_text(problem.reason, cases[i].reason, cases[i].name);
	tap_number(request.secret_count, is_applied ? 1 : 0, "as many secrets");
	if (is_applied)
		tap_text(request.headers[request.header_count - 1], cases[i].line, "the line");
	else
		tap_ok(problem.text[0] != '\0', "with a sentence");
	request_forget_secrets(&request);
	tap_number(request.secret_count, 0, "nothing is left");
	if (!is_applied)
		tap_number(request.header_count, before, "the others are as they were");
	tap_number(count_lines(&request, "X-Other: stays"), 1, "another header stays");
	request_free(&request);
}

static void
check_replacement(void)
{
	Request		request = build();

	tap_ok(request_set_secret(&request, "Authorization", "new"), "a secret header is set");
	tap_ok(request_set_secret(&request, "X-Signature", "first"), "another one");
	tap_ok(request_set_secret(&request, "x-signature", "second"), "the same again");
	tap_number(count_lines(&request, "authorization: old"), 0, "it takes the place of a given one");
	tap_number(count_lines(&request, "X-Signature"), 0, "or of a secret one");
	tap_number(request.secret_count, 2, "two are secret");
	tap_text(request.headers[request.header_count - 1], "x-signature: second", "the last one");
	request_free(&request);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check((int) i);
	check_replacement();
	tap_number(credential_kind_of("aws_sigv4"), CREDENTIAL_AWS_SIGV4, "a kind by name");
	tap_number(credential_kind_of("magic"), CREDENTIAL_NONE, "no such kind");
	return tap_done();
}
