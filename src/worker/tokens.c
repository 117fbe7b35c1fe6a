/*-------------------------------------------------------------------------
 * tokens.c
 *		Access tokens in the worker's memory: asked for once, for all that wait.
 *
 * A failure becomes the result of one sync of each endpoint that waited for the
 * request that failed; the others wait on, uncharged, until the next request,
 * which keeps a growing distance.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "message/digest.h"
#include "message/mask.h"
#include "message/token.h"
#include "worker/credentials.h"
#include "worker/sending.h"
#include "worker/tokens.h"

#define ASKED_MOST 8			/* requests at once, beside those of syncs */
#define CONNECT_TIMEOUT_MS 10000
#define TIMEOUT_MS 30000
#define AGAIN_FIRST_US USECS_PER_SEC
#define AGAIN_MOST_US (60 * USECS_PER_SEC)
#define DOUBTED_US (60 * USECS_PER_SEC)

/* What libcurl keeps for token endpoints is shared with no endpoint, whose ids are smaller. */
#define FIRST_ISOLATION (UINT64CONST(1) << 32)

/* Whom a token is for: equal digests, the same token. */
typedef struct Identity
{
	unsigned char settings[DIGEST_BYTES];
	unsigned char secret[DIGEST_BYTES];
} Identity;

/* One request for a token, in flight. */
typedef struct TokenRequest
{
	dlist_node	node;			/* in tokens->asked */
	char		credential[CREDENTIAL_NAME_BYTES];
	int64		number;
	TimestampTz asked_at;
	Identity	identity;
	char	   *secret;			/* of the client */
	Request		request;
} TokenRequest;

typedef struct Token
{
	char		credential[CREDENTIAL_NAME_BYTES];	/* hash key */
	uint64		isolation;
	int64		opening;		/* of the credential, that identity is of */
	Identity	identity;
	char	   *value;			/* NULL: there is none */
	int64		number;			/* of the request that brought it */
	TimestampTz asked_at;
	int64		life_us;		/* from then on */
	int64		refresh_us;		/* another one is asked for at that age */
	bool		is_outdated;	/* the client has got another secret since */
	bool		has_worked;
	bool		is_refused;		/* the value that was there last */
	bool		is_second;		/* the one before was refused */
	TokenRequest *request;		/* in flight; NULL: none */
	int			failures;		/* in a row */
	TimestampTz failed_at;
	int64		wait_us;		/* from then on */
	int64		failed;			/* the request whose failure follows */
	char		reason[TOKEN_REASON_BYTES];
	char		problem[256];
	int			retry_after_s;	/* -1: none */
} Token;

struct Tokens
{
	HTAB	   *by_credential;
	dlist_head	asked;
	int			asked_count;
	int64		requests;		/* so far */
	uint64		isolations;
};

void
tokens_init(Sender *sender)
{
	HASHCTL		control = {
		.keysize = CREDENTIAL_NAME_BYTES,
		.entrysize = sizeof(Token),
		.hcxt = sender->memory,
	};

	sender->tokens = MemoryContextAllocZero(sender->memory, sizeof(Tokens));
	sender->tokens->by_credential = hash_create("integration tokens", 16, &control,
												HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	dlist_init(&sender->tokens->asked);
	dlist_init(&sender->line.waiting_for_tokens);
}

/* ---- memory */

static void
drop_value(Token *token)
{
	if (token->value == NULL)
		return;
	explicit_bzero(token->value, strlen(token->value));
	pfree(token->value);
	token->value = NULL;
}

static void
end_request(Tokens *tokens, TokenRequest *request)
{
	dlist_delete(&request->node);
	tokens->asked_count--;
	token_request_free(&request->request);
	explicit_bzero(request->secret, strlen(request->secret));
	pfree(request->secret);
	pfree(request);
}

static Token *
find(const Sender *sender, const char *credential)
{
	return hash_search(sender->tokens->by_credential, credential, HASH_FIND, NULL);
}

void
tokens_forget(Sender *sender, const char *credential)
{
	Token	   *token = find(sender, credential);

	if (token == NULL)
		return;
	drop_value(token);
	hash_search(sender->tokens->by_credential, credential, HASH_REMOVE, NULL);
}

void
tokens_wipe(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Token	   *token;

	hash_seq_init(&scan, sender->tokens->by_credential);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		drop_value(token);
		token->request = NULL;
	}
	while (!dlist_is_empty(&sender->tokens->asked))
		end_request(sender->tokens, dlist_container(TokenRequest, node,
													dlist_head_node(&sender->tokens->asked)));
}

/* ---- whom a token is for */

static Identity
identity_of(const Credential *credential)
{
	Identity	identity = {{0}, {0}};

	(void) digest_sha256(bytes_at(credential->settings, strlen(credential->settings)),
						 identity.settings);
	(void) digest_sha256(bytes_at(credential->values[0], strlen(credential->values[0])),
						 identity.secret);
	return identity;
}

/* Of other settings the old token is another one; a new secret leaves it good while it lasts. */
static void
compare_identity(Token *token, const Credential *credential)
{
	Identity	identity = identity_of(credential);

	if (memcmp(&identity, &token->identity, sizeof(identity)) == 0)
		return;
	if (memcmp(identity.settings, token->identity.settings, DIGEST_BYTES) != 0)
		drop_value(token);
	token->is_outdated = true;
	token->identity = identity;
	token->failures = 0;
	token->failed = 0;
}

static Token *
find_or_add(Sender *sender, const char *name, const OAuthClient *client)
{
	bool		found;
	Token	   *token = hash_search(sender->tokens->by_credential, name, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) token + CREDENTIAL_NAME_BYTES, 0, sizeof(Token) - CREDENTIAL_NAME_BYTES);
		token->isolation = FIRST_ISOLATION + sender->tokens->isolations++;
	}
	if (token->opening != client->opening)
		compare_identity(token, client->credential);
	token->opening = client->opening;
	return token;
}

/* ---- times */

/* Up to most, evenly. */
static int64
random_us(int64 most)
{
	uint32		random;

	if (!pg_strong_random(&random, sizeof(random)))
		return 0;
	return (int64) ((double) most * random / PG_UINT32_MAX);
}

/* The last twentieth of its life is left for the way of the request. */
static bool
is_valid(const Token *token, TimestampTz now)
{
	return token->value != NULL && now >= token->asked_at &&
		now - token->asked_at < token->life_us - token->life_us / 20;
}

static bool
is_to_be_renewed(const Token *token, TimestampTz now)
{
	return token->is_outdated || now - token->asked_at >= token->refresh_us;
}

static bool
is_backing_off(const Token *token, TimestampTz now)
{
	return token->failures > 0 && now >= token->failed_at &&
		now < token->failed_at + token->wait_us;
}

static void
back_off(Token *token, int retry_after_s, TimestampTz now)
{
	int64		wait_us = Min(AGAIN_FIRST_US << Min(token->failures, 10), AGAIN_MOST_US);

	token->failures++;
	token->failed_at = now;
	token->wait_us = Max(wait_us + random_us(wait_us / 5), retry_after_s * USECS_PER_SEC);
}

/* ---- asking */

static bool
start_request(Sender *sender, Token *token, const Credential *credential)
{
	Tokens	   *tokens = sender->tokens;
	TransferOptions options = {
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.timeout_ms = TIMEOUT_MS,
		.idempotent = true,
		.isolation = token->isolation,
	};
	TokenRequest *request = MemoryContextAllocZero(sender->vault.memory, sizeof(TokenRequest));

	strlcpy(request->credential, token->credential, sizeof(request->credential));
	request->number = ++tokens->requests;
	request->asked_at = sender->now;
	request->identity = token->identity;
	request->secret = MemoryContextStrdup(sender->vault.memory, credential->values[0]);
	dlist_push_tail(&tokens->asked, &request->node);
	tokens->asked_count++;
	if (token_request_build(credential, &request->request) &&
		transport_start(sender->transport, &request->request, &options, request))
	{
		token->request = request;
		return true;
	}
	end_request(tokens, request);
	return false;
}

/* One request at a time, whoever waits. */
static void
ask(Sender *sender, Token *token, const Credential *credential)
{
	if (token->request != NULL || sender->tokens->asked_count >= ASKED_MOST ||
		is_backing_off(token, sender->now))
		return;
	if (!start_request(sender, token, credential))
		back_off(token, 0, sender->now);
}

static void
give_up(const Token *token, Lease *lease)
{
	strlcpy(lease->reason, token->reason, sizeof(lease->reason));
	strlcpy(lease->problem, token->problem, sizeof(lease->problem));
	lease->retry_after_s = token->retry_after_s;
}

bool
tokens_are_there(Sender *sender, Lease *lease, TimestampTz *again_at)
{
	Endpoint   *endpoint = lease->endpoint;
	OAuthClient client;
	Token	   *token;
	int64		awaited = endpoint->awaited_token;

	endpoint->awaits_token = false;
	if (endpoint->row.credential == NULL ||
		!credentials_client(sender, endpoint->row.credential, &client))
		return true;
	token = find_or_add(sender, endpoint->row.credential, &client);
	endpoint->awaited_token = 0;
	if (is_valid(token, sender->now))
	{
		if (is_to_be_renewed(token, sender->now))
			ask(sender, token, client.credential);
		return true;
	}
	if (awaited != 0 && awaited == token->failed)
	{
		give_up(token, lease);
		return true;
	}
	ask(sender, token, client.credential);
	if (token->request != NULL)
		endpoint->awaited_token = token->request->number;
	*again_at = is_backing_off(token, sender->now) ? token->failed_at + token->wait_us : DT_NOEND;
	endpoint->awaits_token = true;
	return false;
}

/* ---- answers */

static TokenRequest *
find_request(Tokens *tokens, const void *owner)
{
	dlist_iter	iter;

	dlist_foreach(iter, &tokens->asked)
	{
		TokenRequest *request = dlist_container(TokenRequest, node, iter.cur);

		if (request == owner)
			return request;
	}
	return NULL;
}

/* A server may say what it was sent. */
static void
mask_answer(const TokenRequest *request, Answer *answer)
{
	if (answer->body == NULL)
		return;
	(void) mask_secret(answer->body, request->secret);
	for (int i = 0; i < request->request.header_count; i++)
	{
		const char *basic = strstr(request->request.headers[i], "Basic ");

		if (basic != NULL)
			(void) mask_secret(answer->body, basic + strlen("Basic "));
	}
}

static void
keep(Sender *sender, Token *token, const TokenRequest *request, const TokenAnswer *said)
{
	drop_value(token);
	token->value = MemoryContextStrdup(sender->vault.memory, said->value);
	token->number = request->number;
	token->asked_at = request->asked_at;
	token->life_us = said->life_s * USECS_PER_SEC;
	/* workers that began together do not ask together */
	token->refresh_us = token->life_us / 10 * 8 - random_us(token->life_us / 10);
	token->is_outdated = false;
	token->has_worked = false;
	token->is_second = token->is_refused;
	token->is_refused = false;
	token->failures = 0;
	token->failed = 0;
}

static void
note_failure(Sender *sender, Token *token, const TokenRequest *request, const Answer *answer,
			 const TokenAnswer *said)
{
	back_off(token, answer->retry_after_s, sender->now);
	token->failed = said->reason[0] == '\0' ? 0 : request->number;
	strlcpy(token->reason, said->reason, sizeof(token->reason));
	strlcpy(token->problem, said->problem, sizeof(token->problem));
	token->retry_after_s = answer->retry_after_s;
}

static void
take(Sender *sender, Token *token, const TokenRequest *request, Answer *answer)
{
	TokenFacts	facts = {
		.http_status = answer->http_status,
		.reason = answer->reason,
		.error = answer->error,
		.body = answer->body,
	};
	TokenAnswer said;

	if (answer->http_status < 200 || answer->http_status > 299)
		mask_answer(request, answer);
	token_read(&facts, &said);
	if (said.value != NULL)
		keep(sender, token, request, &said);
	else
		note_failure(sender, token, request, answer, &said);
	token_value_free(said.value);
}

bool
tokens_collect(Sender *sender, Answer *answer)
{
	TokenRequest *request = find_request(sender->tokens, answer->owner);
	Token	   *token;

	if (request == NULL)
		return false;
	token = find(sender, request->credential);
	if (token != NULL && token->request == request)
	{
		token->request = NULL;
		/* what was asked for in another's name is of no use any more */
		if (memcmp(&request->identity, &token->identity, sizeof(Identity)) == 0)
			take(sender, token, request, answer);
	}
	end_request(sender->tokens, request);
	if (answer->body != NULL)
		explicit_bzero(answer->body, answer->body_bytes);
	answer_free(answer);
	sending_tokens_changed(sender);
	return true;
}

/* ---- attempts */

bool
tokens_apply(Sender *sender, Lease *lease, const char *credential, CredentialProblem *problem)
{
	const Token *token = find(sender, credential);
	const char *value = token == NULL ? NULL : token->value;
	Credential	bearer = {
		.kind = CREDENTIAL_OAUTH2,
		.settings = "{}",
		.values = &value,
		.value_count = value == NULL ? 0 : 1,
	};

	lease->token = token == NULL ? 0 : token->number;
	return credential_apply(&bearer, &lease->request, 0, problem);
}

/* One that took the place of a refused one, and is refused, too: the fault lies elsewhere. */
static bool
is_worth_another(const Token *token, TimestampTz now)
{
	return token->has_worked || !token->is_second || now - token->asked_at > DOUBTED_US;
}

bool
tokens_are_refused(Sender *sender, Lease *lease)
{
	Token	   *token;
	bool		is_current;

	if (lease->token == 0 || lease->endpoint->row.credential == NULL)
		return false;
	token = find(sender, lease->endpoint->row.credential);
	if (token == NULL)
		return false;
	is_current = token->value != NULL && token->number == lease->token;
	if (lease->answer->http_status != 401)
	{
		token->has_worked = token->has_worked || (is_current && lease->answer->http_status != 0);
		return false;
	}
	if (lease->was_refused || (is_current && !is_worth_another(token, sender->now)))
		return false;
	if (is_current)
	{
		drop_value(token);
		token->is_refused = true;
	}
	lease->was_refused = true;
	return true;
}
