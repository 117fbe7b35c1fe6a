/*-------------------------------------------------------------------------
 * webhook_signature_test.c
 *		Signatures of Standard Webhooks, made and verified.
 *-------------------------------------------------------------------------
 */
#include "message/webhook_signature.h"
#include "tap.h"

#define MSG "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define NOW 1614265330
#define BODY "{\"test\": 2432232314}"
#define SHARED "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
#define SECRET "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
#define PUBLIC "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
#define V1 "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define V1_OTHER "v1,78nXHjpFP0tVJQW5D0SBwmVyyW87BV/rL6MgfM/Bw44="
#define V1A "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="

static const struct
{
	const char *name;
	const char *value;
	const char *older;
	const char *id;
	long		at_s;
	const char *body;
	const char *signature;
}			good[] =

{
	{"v1", SHARED, NULL, MSG, NOW, BODY, V1},
	{
		"v1, another", OTHER, NULL, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
		"{\"email\":\"test@example.com\",\"username\":\"test_user\"}",
		"v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
	},
	{
		"without prefix, unpadded", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", NULL, MSG, NOW, BODY,
		"v1,LVOXivKoo4FWasi/IaHvzhE/u+7/cu2AME+zS/nXqzk="
	},
	{
		"unpadded", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr", NULL, MSG, NOW, BODY,
		"v1,yK2tMbA6BHPrMEJ1lLv7UlJJbgFoqGenJkiajZ29evg="
	},
	{
		"an empty body", SHARED, NULL, MSG, NOW, "",
		"v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="
	},
	{"no body", SHARED, NULL, MSG, NOW, NULL, "v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="},
	{
		"UTF-8", SHARED, NULL, MSG, NOW, "{\"name\":\"Zo\u00eb \u2013 \u65e5\u672c\"}",
		"v1,+n6Cv4+cYwuneAzrYNIX4KaeAWAij53hfMzCkTKVbpw="
	},
	{"v1a", SECRET, NULL, MSG, NOW, BODY, V1A},
	{
		"v1a, an empty body", SECRET, NULL, MSG, NOW, "",
		"v1a,B7QTtBWn3FCmEgaIAxfHcTQsVTvrObbZrn2ZpDIJT+aUREdLmLcUDsy+BgzSHOSWZ5c+W5sPYk5UnuCxv79UCQ=="
	},
	{"two keys", OTHER, SHARED, MSG, NOW, BODY, V1_OTHER " " V1},
	{"from v1 to v1a", SECRET, SHARED, MSG, NOW, BODY, V1A " " V1},
};

static const struct
{
	const char *name;
	const char *value;
	const char *older;
	const char *id;
	const char *problem;
}			bad[] =

{
	{"no key", NULL, NULL, MSG, "There is no key to sign with."},
	{"an empty key", "whsec_", NULL, MSG, "The signing key is empty."},
	{
		"a bad key beside a good one", SHARED, "whsec_-", MSG,
		"The signing key is not in base64 of at most 512 bytes."
	},
	{"a public key", PUBLIC, NULL, MSG, "The signing key is a public key, which cannot sign."},
	{
		"no id", SHARED, NULL, NULL,
		"The request has no webhook-id without a dot, which a signature needs."
	},
	{
		"a dot in the id", SHARED, NULL, "a.b",
		"The request has no webhook-id without a dot, which a signature needs."
	},
};

static const struct
{
	const char *name;
	const char *key;
	const char *id;
	const char *timestamp;
	const char *signature;
	const char *body;
	long		now_s;
	long		tolerance_s;
	bool		matches;
}			seen[] =

{
	{"as sent", SHARED, MSG, "1614265330", V1, BODY, NOW, 300, true},
	{"by the public key", PUBLIC, MSG, "1614265330", V1A, BODY, NOW, 300, true},
	{"by the secret key", SECRET, MSG, "1614265330", V1A, BODY, NOW, 300, true},
	{"the second of two", SHARED, MSG, "1614265330", V1_OTHER " " V1, BODY, NOW, 300, true},
	{
		"beside unknown versions", SHARED, MSG, "1614265330", "v9,x v1a,= , v1 " V1, BODY, NOW, 300,
		true
	},
	{"beside a broken one", SHARED, MSG, "1614265330", "v1,a v1,?? " V1, BODY, NOW, 300, true},
	{"another key", OTHER, MSG, "1614265330", V1, BODY, NOW, 300, false},
	{"another kind of key", PUBLIC, MSG, "1614265330", V1, BODY, NOW, 300, false},
	{
		"another version's name", SHARED,
		MSG, "1614265330", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		BODY, NOW, 300, false
	},
	{"another body", SHARED, MSG, "1614265330", V1, BODY " ", NOW, 300, false},
	{"another id", SHARED, "msg_x", "1614265330", V1, BODY, NOW, 300, false},
	{"another time", SHARED, MSG, "1614265331", V1, BODY, NOW, 300, false},
	{
		"a part of it", SHARED, MSG, "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1A==",
		BODY, NOW, 300, false
	},
	{"nothing of it", SHARED, MSG, "1614265330", "v1,", BODY, NOW, 300, false},
	{"just recent enough", SHARED, MSG, "1614265330", V1, BODY, NOW + 300, 300, true},
	{"too old", SHARED, MSG, "1614265330", V1, BODY, NOW + 301, 300, false},
	{"just not too far ahead", SHARED, MSG, "1614265330", V1, BODY, NOW - 300, 300, true},
	{"too far ahead", SHARED, MSG, "1614265330", V1, BODY, NOW - 301, 300, false},
	{"of any age", SHARED, MSG, "1614265330", V1, BODY, 2 * (long) NOW, -1, true},
	{"no number", SHARED, MSG, "1614265330 ", V1, BODY, NOW, -1, false},
	{"a negative number", SHARED, MSG, "-1614265330", V1, BODY, NOW, -1, false},
	{"a huge number", SHARED, MSG, "99999999999999999999", V1, BODY, NOW, -1, false},
	{"no time", SHARED, MSG, NULL, V1, BODY, NOW, 300, false},
	{"no id", SHARED, NULL, "1614265330", V1, BODY, NOW, 300, false},
	{"no signature", SHARED, MSG, "1614265330", NULL, BODY, NOW, 300, false},
	{"an empty signature", SHARED, MSG, "1614265330", "", BODY, NOW, 300, false},
};

static long now_s;
static CredentialProblem problem;

static bool
apply(const char *value, const char *older, const char *id, const char *body,
	  Request *request)
{
	const char *const values[] = {value, older};
	Credential	credential = {.kind = CREDENTIAL_SIGNING,.settings = "{}",.values = values};

	memset(request, 0, sizeof(*request));
	credential.value_count = (value != NULL) + (older != NULL);
	if (id && !request_set_secret(request, "webhook-id", id))
		tap_bail_out("no memory");
	request->body = body ? strdup(body) : NULL;
	request->body_bytes = body ? strlen(body) : 0;
	return webhook_signature_apply(&credential, request, now_s, &problem);
}

static void
check_good(size_t i)
{
	Request		request;
	char		timestamp[64];
	char		signature[512];

	snprintf(timestamp, sizeof(timestamp), "webhook-timestamp: %ld", good[i].at_s);
	snprintf(signature, sizeof(signature), "webhook-signature: %s", good[i].signature);
	now_s = good[i].at_s;
	tap_ok(apply(good[i].value, good[i].older, good[i].id, good[i].body, &request),
		   good[i].name);
	tap_number(request.header_count, 3, "two headers more");
	if (request.header_count == 3)
	{
		tap_text(request.headers[1], timestamp, "the attempt's time");
		tap_text(request.headers[2], signature, "the signatures, newest first");
	}
	request_free(&request);
}

static void
check_bad(size_t i)
{
	Request		request;

	tap_ok(!apply(bad[i].value, bad[i].older, bad[i].id, BODY, &request), bad[i].name);
	tap_text(problem.reason, "signing_failed", "its reason");
	tap_text(problem.text, bad[i].problem, "its sentence");
	request_free(&request);
}

static void
check_seen(size_t i)
{
	SigningKey	key;
	WebhookHeaders headers = {
		.id = seen[i].id,
		.timestamp = seen[i].timestamp,
		.signature = seen[i].signature
	};
	Bytes		body = {seen[i].body, strlen(seen[i].body)};

	tap_text(signing_key_read(seen[i].key, &key), NULL, "the key");
	tap_ok(webhook_signature_matches(&headers, body, &key, seen[i].now_s,
									 seen[i].tolerance_s) == seen[i].matches, seen[i].name);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(i);
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		check_seen(i);
	return tap_done();
}
