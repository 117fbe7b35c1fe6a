/*-------------------------------------------------------------------------
 * token_fuzz.c
 *		Answers of token endpoints: a token that fits into a header, or why there is none.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/header.h"
#include "message/json.h"
#include "message/token.h"

static const int statuses[] = {0, 200, 201, 302, 400, 401, 404, 429, 500, 503};
static const char *const reasons[] = {"http:200", "curl:7:refused", "blocked_scheme", "curl:27"};

static void
check_answer(const TokenAnswer *answer)
{
	CHECK(is_clean(answer->problem) && is_clean(answer->reason));
	CHECK(strpbrk(answer->problem, "\r\n") == NULL);
	if (!answer->value)
	{
		CHECK((answer->reason[0] == '\0') == (answer->problem[0] == '\0'));
		return;
	}
	CHECK(answer->reason[0] == '\0' && answer->value[0] != '\0');
	CHECK(!header_value_problem(answer->value));
	CHECK(answer->life_s >= 1 && answer->life_s <= 365 * 86400);
}

/* Whatever id and secret are, the request has one line for each header, a form for its body. */
static void
check_request(const char *client_id, const char *secret, unsigned form)
{
	Text		settings = {0};
	Credential	credential = {.kind = CREDENTIAL_OAUTH2,.values = &secret,.value_count = 1};
	Request		request;

	text_append_string(&settings, "{\"token_url\":\"https://a/\",\"client_id\":");
	json_append_string(&settings, client_id, strlen(client_id));
	text_append_string(&settings, form % 2 ? ",\"auth\":\"body\"}" : "}");
	credential.settings = settings.data;
	CHECK(token_request_build(&credential, &request));
	CHECK(strspn(request.body, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "*-._+%&=") == request.body_bytes);
	for (int i = 0; i < request.header_count; i++)
		CHECK(strpbrk(request.headers[i], "\r\n") == NULL);
	token_request_free(&request);
	text_free(&settings);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	unsigned	choice = take_byte(&input);
	char	   *error = take_string(&input);
	char	   *body = take_string(&input);
	TokenFacts	facts = {
		.http_status = statuses[choice % 10],
		.reason = reasons[choice / 10 % 4],
		.error = error,
		.body = body,
	};
	TokenAnswer answer;

	if (is_clean(body))
	{
		token_read(&facts, &answer);
		check_answer(&answer);
		token_value_free(answer.value);
	}
	check_request(error, body, choice);
	free(error);
	free(body);
	return 0;
}
