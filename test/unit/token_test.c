/*-------------------------------------------------------------------------
 * token_test.c
 *		How access tokens are asked for, what answers say.
 *-------------------------------------------------------------------------
 */
#include "message/text.h"
#include "message/token.h"
#include "tap.h"

static const struct
{
	const char *name;
	const char *settings;
	const char *secret;
	const char *authorization;	/* NULL: none */
	const char *body;
}			requests[] =

{
	{"RFC 6749 §2.3.1", "{\"token_url\": \"https://a/t\", \"client_id\": \"s6BhdRkqt3\"}",
		"gX1fBat3bV",
		"Authorization: Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW",
	"grant_type=client_credentials"},
	/* "a%3Ab+c:%2B%25%26+%C3%BC%7E*-._" */
	{"both parts are form-encoded", "{\"token_url\": \"https://a/t\", \"client_id\": \"a:b c\"}",
		"+%& \xC3\xBC~*-._",
		"Authorization: Basic YSUzQWIrYzolMkIlMjUlMjYrJUMzJUJDJTdFKi0uXw==",
	"grant_type=client_credentials"},
	{"in the body",
		"{\"token_url\": \"https://a/t\", \"client_id\": \"a b\", \"auth\": \"body\"}", "c&d",
	NULL, "grant_type=client_credentials&client_id=a+b&client_secret=c%26d"},
	{"basic by name",
		"{\"token_url\": \"https://a/t\", \"client_id\": \"a\", \"auth\": \"basic\"}", "b",
	"Authorization: Basic YTpi", "grant_type=client_credentials"},
	{"all that may be said",
		"{\"resource\": \"https://x/y\", \"audience\": \"u\", \"scope\": \"r w:all\","
		" \"token_url\": \"https://a/t\", \"client_id\": \"a\"}", "b", "Authorization: Basic YTpi",
	"grant_type=client_credentials&scope=r+w%3Aall&audience=u&resource=https%3A%2F%2Fx%2Fy"},
	{"an empty scope is none",
		"{\"scope\": \"\", \"token_url\": \"https://a/t\", \"client_id\": \"a\"}", "b",
	"Authorization: Basic YTpi", "grant_type=client_credentials"},
};

static const struct
{
	const char *name;
	int			http_status;
	const char *body;
	const char *value;			/* NULL: none */
	int			life_s;
	const char *reason;
	const char *problem;
}			answers[] =

{
	{"RFC 6749 §4.4.3", 200,
		"{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA\",\"token_type\":\"example\",\"expires_in\":3600}",
		NULL, 0, "oauth_rejected",
	"The token endpoint gives tokens of another token_type than Bearer."},
	{"a token", 200, "{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}",
	"abc", 3600, "", ""},
	{"the type in any case", 200,
	"{\"token_type\":\"bEARER\",\"access_token\":\"abc\",\"expires_in\":60}", "abc", 60, "", ""},
	{"no type", 200, "{\"access_token\":\"abc\"}", "abc", 300, "", ""},
	{"201", 201, "{\"access_token\":\"abc\",\"expires_in\":1.9e1}", "abc", 19, "", ""},
	{"the life as a string", 200, "{\"access_token\":\"abc\",\"expires_in\":\"3599\"}", "abc",
	3599, "", ""},
	{"no life that can be read", 200, "{\"access_token\":\"abc\",\"expires_in\":\"soon\"}", "abc",
	300, "", ""},
	{"an empty life", 200, "{\"access_token\":\"abc\",\"expires_in\":null}", "abc", 300, "", ""},
	{"nan", 200, "{\"access_token\":\"abc\",\"expires_in\":\"nan\"}", "abc", 300, "", ""},
	{"no life left", 200, "{\"access_token\":\"abc\",\"expires_in\":-5}", "abc", 1, "", ""},
	{"a life beyond sense", 200, "{\"access_token\":\"abc\",\"expires_in\":1e300}", "abc",
	31536000, "", ""},
	{"nested members before it", 200,
		"{\"x\":{\"access_token\":\"no\",\"y\":[1,\"}\\\"\",{}]},\"z\":null,"
	"\"access_token\":\"yes\"}", "yes", 300, "", ""},
	{"escapes", 200, "{\"access_token\":\"a\\/b\\u002B\"}", "a/b+", 300, "", ""},
	{"a line break", 200, "{\"access_token\":\"a\\r\\nX: y\"}", NULL, 0, "oauth_rejected",
	"The token endpoint gives a token that no header can hold, or of more than 8192 bytes."},
	{"a token that is no text", 200, "{\"access_token\":{\"a\":1}}", NULL, 0, "oauth_unavailable",
	"The token endpoint answers without an access_token, or not in JSON."},
	{"a page", 200, "<html>Please log in</html>", NULL, 0, "oauth_unavailable",
	"The token endpoint answers without an access_token, or not in JSON."},
	{"nothing", 204, NULL, NULL, 0, "oauth_unavailable",
	"The token endpoint answers without an access_token, or not in JSON."},
	{"an answer that was cut", 200, "{\"access_token\":\"abc", NULL, 0, "oauth_unavailable",
	"The token endpoint answers without an access_token, or not in JSON."},
	{"a member without an end", 200, "{\"x\":{\"y\":[", NULL, 0, "oauth_unavailable",
	"The token endpoint answers without an access_token, or not in JSON."},
	{"a word that is none", 200, "{\"x\":nil,\"access_token\":\"abc\"}", NULL, 0,
		"oauth_unavailable",
	"The token endpoint answers without an access_token, or not in JSON."},
	{"an error beside 200", 200, "{\"error\":\"invalid_scope\"}", NULL, 0, "oauth_rejected",
	"The token endpoint says invalid_scope (200)"},
	{"RFC 6749 §5.2", 400, "{\"error\":\"invalid_request\"}", NULL, 0, "oauth_rejected",
	"The token endpoint says invalid_request (400)"},
	{"a wrong secret", 401,
		"{\"error\":\"invalid_client\",\"error_description\":\"wrong\\nsecret\"}", NULL, 0,
	"oauth_rejected", "The token endpoint says invalid_client: wrong secret (401)"},
	{"another scope", 400, "{\"error_description\":\"no\",\"error\":\"invalid_scope\"}", NULL, 0,
	"oauth_rejected", "The token endpoint says invalid_scope: no (400)"},
	{"no such address", 404, "<html>", NULL, 0, "oauth_wrong_address",
	"The token endpoint answers 404."},
	{"no such client", 404, "{\"error\":\"invalid_client\"}", NULL, 0, "oauth_rejected",
	"The token endpoint says invalid_client (404)"},
	{"it has moved", 302, NULL, NULL, 0, "oauth_wrong_address",
	"The token endpoint answers 302; redirects are not followed."},
	{"too many", 429, "{\"error\":\"slow_down\"}", NULL, 0, "oauth_rate_limited",
	"The token endpoint says slow_down (429)"},
	{"too slow", 408, NULL, NULL, 0, "oauth_unavailable", "The token endpoint answers 408."},
	{"down", 503, "{\"error\":\"invalid_client\"}", NULL, 0, "oauth_unavailable",
	"The token endpoint says invalid_client (503)"},
	{"for a while", 400, "{\"error\":\"temporarily_unavailable\"}", NULL, 0, "oauth_unavailable",
	"The token endpoint says temporarily_unavailable (400)"},
	{"in trouble", 400, "{\"error\":\"server_error\"}", NULL, 0, "oauth_unavailable",
	"The token endpoint says server_error (400)"},
};

static const struct
{
	const char *reason;
	const char *error;
	const char *wanted;
	const char *problem;
}			failures[] =

{
	{"curl:7:refused", "Connection refused", "oauth_unavailable",
	"The token endpoint cannot be reached: Connection refused"},
	{"curl:28:response", "", "oauth_unavailable",
	"The token endpoint cannot be reached: curl:28:response"},
	{"blocked_private_address", "10.0.0.1", "blocked_private_address",
	"The token endpoint cannot be called: 10.0.0.1"},
	{"curl:7:blocked", "x", "curl:7:blocked", "The token endpoint cannot be called: x"},
	{"curl:27", "Out of memory", "", ""},
};

static void
check_request(int i)
{
	const char *secret = requests[i].secret;
	Credential	credential = {
		.kind = CREDENTIAL_OAUTH2,
		.settings = requests[i].settings,
		.values = &secret,
		.value_count = 1,
	};
	Request		request;

	if (!token_request_build(&credential, &request))
		tap_bail_out("no memory");
	tap_text(request.body, requests[i].body, requests[i].name);
	tap_text(request.url, "https://a/t", "the URL");
	tap_text(request.method, "POST", "the method");
	tap_number(request.secret_count, requests[i].authorization ? 1 : 0, "as many secrets");
	tap_text(request.headers[0], "Content-Type: application/x-www-form-urlencoded", "the type");
	if (requests[i].authorization)
		tap_text(request.headers[request.header_count - 1], requests[i].authorization, "who asks");
	token_request_free(&request);
	token_request_free(&request);
}

static void
check_answer(int i)
{
	TokenFacts	facts = {
		.http_status = answers[i].http_status,
		.reason = "http:200",
		.error = "",
		.body = answers[i].body,
	};
	TokenAnswer answer;

	token_read(&facts, &answer);
	tap_text(answer.value, answers[i].value, answers[i].name);
	tap_text(answer.reason, answers[i].reason, "the reason");
	tap_text(answer.problem, answers[i].problem, "the sentence");
	tap_number(answer.life_s, answers[i].life_s, "the life");
	token_value_free(answer.value);
}

static void
check_failure(int i)
{
	TokenFacts	facts = {.reason = failures[i].reason,.error = failures[i].error};
	TokenAnswer answer;

	token_read(&facts, &answer);
	tap_text(answer.reason, failures[i].wanted, failures[i].reason);
	tap_text(answer.problem, failures[i].problem, "the sentence");
	tap_ok(answer.value == NULL, "no token");
}

/* One more than fits into a header, beside what just fits. */
static void
check_length(int extra, const char *wanted)
{
	static char body[TOKEN_MOST_BYTES + 64];
	static char token[TOKEN_MOST_BYTES + 2];
	TokenFacts	facts = {.http_status = 200,.reason = "http:200",.error = "",.body = body};
	TokenAnswer answer;

	memset(token, 'x', TOKEN_MOST_BYTES + extra);
	token[TOKEN_MOST_BYTES + extra] = '\0';
	snprintf(body, sizeof(body), "{\"access_token\":\"%s\"}", token);
	token_read(&facts, &answer);
	tap_text(answer.reason, wanted, "the length of a token");
	token_value_free(answer.value);
}

/* Whatever is said, the sentence ends within its room, on a character. */
static void
check_long_words(void)
{
	static char body[4096] = "{\"error\":\"";
	TokenFacts	facts = {.http_status = 400,.reason = "http:400",.error = "",.body = body};
	TokenAnswer answer;

	for (int i = 0; i < 400; i++)
		strcat(body, "\xC3\xBC");
	strcat(body, "\",\"error_description\":\"");
	for (int i = 0; i < 400; i++)
		strcat(body, "\xC3\xBC");
	strcat(body, "\"}");
	token_read(&facts, &answer);
	tap_ok(text_is_utf8(answer.problem, strlen(answer.problem)), "cut on a character");
	tap_text(answer.problem + strlen(answer.problem) - 6, " (400)", "with its end");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		check_request((int) i);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		check_answer((int) i);
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		check_failure((int) i);
	check_length(0, "");
	check_length(1, "oauth_rejected");
	check_long_words();
	return tap_done();
}
