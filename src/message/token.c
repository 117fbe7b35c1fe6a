/*-------------------------------------------------------------------------
 * token.c
 *		Access tokens of OAuth 2.0: how they are asked for, what the answer says.
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "message/digest.h"
#include "message/header.h"
#include "message/json.h"
#include "message/text.h"
#include "message/token.h"

/* RFC 6749 §5.1 leaves it open */
#define DEFAULT_LIFE_S 300
#define MOST_LIFE_S (365 * 86400)

#define CODE_BYTES 64			/* of an error code that is shown */
#define SHOWN_BYTES 160			/* of what is said about it */

/* Plain parameters, from the settings of the same name. */
static const char *const parameters[] = {"scope", "audience", "resource"};

/* ---- the request */

/* RFC 6749 appendix B: application/x-www-form-urlencoded */
static void
append_encoded(Text *text, const char *value)
{
	char		escape[4];

	for (const char *at = value; *at; at++)
	{
		unsigned char byte = (unsigned char) *at;

		if (byte == ' ')
			text_append_char(text, '+');
		else if (byte < 0x80 && (isalnum(byte) || strchr("*-._", byte)))
			text_append_char(text, *at);
		else
		{
			snprintf(escape, sizeof(escape), "%%%02X", byte);
			text_append_string(text, escape);
		}
	}
}

static void
append_parameter(Text *body, const char *name, const char *value)
{
	text_append_char(body, '&');
	text_append_string(body, name);
	text_append_char(body, '=');
	append_encoded(body, value);
}

/* Secrets go into buffers that never grow: no copy of them stays behind. */
static void
reserve_encoded(Text *text, const Credential *credential)
{
	text_reserve(text, 256 + 4 * (strlen(credential->settings) + strlen(credential->values[0])));
}

static void
write_body(const Credential *credential, bool has_client, Text *body)
{
	Text		value = {0};

	reserve_encoded(body, credential);
	text_append_string(body, "grant_type=client_credentials");
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
	{
		value.length = 0;
		if (json_find(credential->settings, parameters[i], &value) && value.length > 0)
			append_parameter(body, parameters[i], value.data);
	}
	if (has_client)
	{
		value.length = 0;
		json_find(credential->settings, "client_id", &value);
		append_parameter(body, "client_id", value.data ? value.data : "");
		append_parameter(body, "client_secret", credential->values[0]);
	}
	body->failed = body->failed || value.failed;
	text_free(&value);
}

/* RFC 6749 §2.3.1: both parts are encoded as in a form before they are joined */
static bool
set_basic(const Credential *credential, Request *request)
{
	Text		client = {0};
	Text		pair = {0};
	bool		is_set;

	json_find(credential->settings, "client_id", &client);
	reserve_encoded(&pair, credential);
	append_encoded(&pair, client.data ? client.data : "");
	text_append_char(&pair, ':');
	append_encoded(&pair, credential->values[0]);
	is_set = !client.failed && credential_set_basic(request, &pair);
	text_free(&client);
	text_wipe(&pair);
	return is_set;
}

static bool
uses_body(const Credential *credential)
{
	char	   *auth = credential_setting(credential->settings, "auth");
	bool		is_body = auth && strcmp(auth, "body") == 0;

	free(auth);
	return is_body;
}

static bool
set_headers(Request *request)
{
	HeaderList	list = {0};

	header_list_set(&list, "Content-Type", "application/x-www-form-urlencoded");
	header_list_set(&list, "Accept", "application/json");
	request->headers = list.lines;
	request->header_count = list.count;
	return !list.failed;
}

bool
token_request_build(const Credential *credential, Request *request)
{
	bool		has_client = uses_body(credential);
	Text		body = {0};
	bool		is_built;

	memset(request, 0, sizeof(*request));
	write_body(credential, has_client, &body);
	request->body_bytes = body.length;
	request->body = text_take(&body);
	request->method = strdup("POST");
	request->url = credential_setting(credential->settings, "token_url");
	is_built = set_headers(request) && request->body && request->method && request->url &&
		(has_client || set_basic(credential, request));
	if (!is_built)
		token_request_free(request);
	return is_built;
}

void
token_request_free(Request *request)
{
	if (request->body)
		OPENSSL_cleanse(request->body, request->body_bytes);
	request_free(request);
}

/* ---- the answer */

/* Whatever was sent, on one line. */
static void
copy_shown(char *target, size_t target_size, const char *source)
{
	text_copy_clean(target, target_size, source);
	for (char *at = target; *at; at++)
		if ((unsigned char) *at < 0x20 || *at == 0x7F)
			*at = ' ';
}

static void
find_shown(const char *body, const char *name, char *target, size_t target_size)
{
	Text		value = {0};

	if (body)
		json_find(body, name, &value);
	copy_shown(target, target_size, value.data ? value.data : "");
	text_free(&value);
}

static void
refuse(TokenAnswer *answer, const char *reason, const char *problem)
{
	snprintf(answer->reason, sizeof(answer->reason), "%s", reason);
	snprintf(answer->problem, sizeof(answer->problem), "%s", problem);
}

/* Members of other types are tolerated: some servers send the number as a string. */
static int64_t
read_life(const char *body)
{
	Text		value = {0};
	double		life_s = DEFAULT_LIFE_S;

	if (json_find(body, "expires_in", &value) && value.length > 0)
	{
		char	   *end;
		double		read_s = strtod(value.data, &end);

		if (*end == '\0' && read_s == read_s)
			life_s = read_s;
	}
	text_free(&value);
	if (life_s < 1)
		return 1;
	return life_s > MOST_LIFE_S ? MOST_LIFE_S : (int64_t) life_s;
}

static bool
is_bearer(const char *body)
{
	char		type[CODE_BYTES];

	find_shown(body, "token_type", type, sizeof(type));
	return type[0] == '\0' || strcasecmp(type, "Bearer") == 0;
}

/* RFC 6749 appendix A.12, without blanks, which a header would not keep. */
static bool
can_be_sent(const Text *token)
{
	for (size_t i = 0; i < token->length; i++)
		if (token->data[i] <= 0x20 || token->data[i] >= 0x7F)
			return false;
	return token->length <= TOKEN_MOST_BYTES;
}

static void
take_token(const char *body, const Text *token, TokenAnswer *answer)
{
	if (!is_bearer(body))
		refuse(answer, "oauth_rejected",
			   "The token endpoint gives tokens of another token_type than Bearer.");
	else if (!can_be_sent(token))
		refuse(answer, "oauth_rejected",
			   "The token endpoint gives a token that no header can hold, or of more than 8192 bytes.");
	else
	{
		answer->life_s = read_life(body);
		answer->value = strdup(token->data);
	}
}

/* What the address policy says of any endpoint it says of this one. */
static bool
is_blocked(const char *reason)
{
	size_t		length = strlen(reason);

	return strncmp(reason, "blocked_", 8) == 0 ||
		(length > 8 && strcmp(reason + length - 8, ":blocked") == 0);
}

static void
read_no_answer(const TokenFacts *facts, TokenAnswer *answer)
{
	bool		is_blocked_here = is_blocked(facts->reason);
	char		said[SHOWN_BYTES];

	/* the shortage is ours: nobody's attempt is to pay for it */
	if (strcmp(facts->reason, "curl:27") == 0 || strcmp(facts->reason, "curl:23:memory") == 0)
		return;
	refuse(answer, is_blocked_here ? facts->reason : "oauth_unavailable", "");
	copy_shown(said, sizeof(said), facts->error[0] ? facts->error : facts->reason);
	snprintf(answer->problem, sizeof(answer->problem), "The token endpoint cannot be %s: %s",
			 is_blocked_here ? "called" : "reached", said);
}

/* What answers is no token endpoint: that would say an error of RFC 6749 §5.2. */
static bool
is_elsewhere(int http_status, const char *code)
{
	return code[0] == '\0' && ((http_status >= 300 && http_status <= 399) ||
							   http_status == 404 || http_status == 405 || http_status == 410);
}

/* RFC 6749 §5.2, and the two that §4.1.2.1 has for a server in trouble. */
static const char *
reason_of(int http_status, const char *code)
{
	if (http_status == 429)
		return "oauth_rate_limited";
	if (http_status < 200 || http_status >= 500 || http_status == 408 || http_status == 425 ||
		strcmp(code, "server_error") == 0 || strcmp(code, "temporarily_unavailable") == 0)
		return "oauth_unavailable";
	return is_elsewhere(http_status, code) ? "oauth_wrong_address" : "oauth_rejected";
}

static void
read_refusal(const TokenFacts *facts, TokenAnswer *answer)
{
	char		code[CODE_BYTES];
	char		said[SHOWN_BYTES];

	find_shown(facts->body, "error", code, sizeof(code));
	find_shown(facts->body, "error_description", said, sizeof(said));
	refuse(answer, reason_of(facts->http_status, code), "");
	if (code[0] == '\0')
		snprintf(answer->problem, sizeof(answer->problem),
				 "The token endpoint answers %d%s", facts->http_status,
				 facts->http_status >= 300 && facts->http_status <= 399 ?
				 "; redirects are not followed." : ".");
	else
		snprintf(answer->problem, sizeof(answer->problem), "The token endpoint says %s%s%s (%d)",
				 code, said[0] ? ": " : "", said, facts->http_status);
}

/* Some servers say 200 to what they refuse. */
static void
read_good_status(const TokenFacts *facts, TokenAnswer *answer)
{
	Text		token = {0};
	Text		code = {0};

	if (facts->body)
	{
		text_reserve(&token, strlen(facts->body));
		json_find(facts->body, "access_token", &token);
		json_find(facts->body, "error", &code);
	}
	if (token.length > 0)
		take_token(facts->body, &token, answer);
	else if (code.length > 0)
		read_refusal(facts, answer);
	else if (!token.failed)
		refuse(answer, "oauth_unavailable",
			   "The token endpoint answers without an access_token, or not in JSON.");
	text_free(&code);
	text_wipe(&token);
}

void
token_read(const TokenFacts *facts, TokenAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	if (facts->http_status == 0)
		read_no_answer(facts, answer);
	else if (facts->http_status >= 200 && facts->http_status <= 299)
		read_good_status(facts, answer);
	else
		read_refusal(facts, answer);
}

void
token_value_free(char *value)
{
	if (value)
		OPENSSL_cleanse(value, strlen(value));
	free(value);
}
