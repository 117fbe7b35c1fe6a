/*-------------------------------------------------------------------------
 * signing_key_test.c
 *		Keys in every form; signatures by known keys.
 *-------------------------------------------------------------------------
 */
#include "message/signing_key.h"
#include "tap.h"

#define WHOLE "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
#define SEED "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
#define PUBLIC "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="

static const struct
{
	const char *text;
	SigningKind kind;
	const char *written;
}			good[] =

{
	{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SIGNING_SHARED,
	"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	{"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SIGNING_SHARED,
	"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	{"whsec_aGk=", SIGNING_SHARED, "whsec_aGk="},
	{" whsec_aGk\n", SIGNING_SHARED, "whsec_aGk="},
	{"aGkh", SIGNING_SHARED, "whsec_aGkh"},
	{WHOLE, SIGNING_SECRET, WHOLE},
	{SEED, SIGNING_SECRET, WHOLE},
	{"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc", SIGNING_SECRET, WHOLE},
	{PUBLIC, SIGNING_PUBLIC, PUBLIC},
};

static const struct
{
	const char *text;
	const char *problem;
}			bad[] =

{
	{"", "The signing key is empty."},
	{"whsec_", "The signing key is empty."},
	{"whsk_", "The signing key is empty."},
	{"whpk_", "The signing key is empty."},
	{"whsec_a", "The signing key is not in base64 of at most 512 bytes."},
	{"whsec_ab-_", "The signing key is not in base64 of at most 512 bytes."},
	{"whsec_ab=c", "The signing key is not in base64 of at most 512 bytes."},
	{"whsec_a===", "The signing key is not in base64 of at most 512 bytes."},
	{"whsec_ab cd", "The signing key holds a blank."},
	{"whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "The secret key has neither 32 nor 64 bytes."},
	{"whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "The public key does not have 32 bytes."},
	{"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw==",
	"The secret key holds a public half that is not its own."},
};

/* RFC 9421 §B.2.5, §B.2.6 */
static const struct
{
	const char *name;
	const char *key;
	const char *content;
	const char *signature;
}			known[] =

{
	{"RFC 9421 B.2.5",
		"whsec_uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
		"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n"
		"\"content-type\": application/json\n"
		"\"@signature-params\": (\"date\" \"@authority\" \"content-type\")"
		";created=1618884473;keyid=\"test-shared-secret\"",
	"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="},
	{"RFC 9421 B.2.6",
		"whsk_n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=",
		"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n"
		"\"@authority\": example.com\n\"content-type\": application/json\n"
		"\"content-length\": 18\n"
		"\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\""
		" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
	"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="},
};

static void
check_good(const char *text, SigningKind kind, const char *written)
{
	SigningKey	key;
	Text		out = {0};

	tap_text(signing_key_read(text, &key), NULL, text);
	tap_number(key.kind, kind, "its kind");
	tap_ok(signing_key_append(&out, &key), "is written");
	tap_text(out.data, written, "as it should be");
	text_free(&out);
}

static void
check_known(const char *text, const char *content, const char *wanted, const char *name)
{
	SigningKey	key;
	Signature	signature;
	Bytes		bytes = {content, strlen(content)};
	Text		out = {0};

	tap_text(signing_key_read(text, &key), NULL, name);
	tap_ok(signing_key_sign(&key, bytes, &signature), "signs");
	digest_append_base64(&out, bytes_at(signature.bytes, signature.length));
	tap_text(out.data, wanted, "the known signature");
	tap_ok(signing_key_verify(&key, bytes, &signature), "verifies it");
	bytes.length--;
	tap_ok(!signing_key_verify(&key, bytes, &signature), "not for other content");
	bytes.length++;
	signature.length--;
	tap_ok(!signing_key_verify(&key, bytes, &signature), "not when it is cut");
	signature.length++;
	signature.bytes[0] ^= 1;
	tap_ok(!signing_key_verify(&key, bytes, &signature), "not when it is changed");
	text_free(&out);
}

static void
check_made(SigningKind kind)
{
	SigningKey	key;
	SigningKey	again;
	Text		out = {0};

	tap_ok(signing_key_make(kind, &key) && signing_key_append(&out, &key), "makes a key");
	tap_text(signing_key_read(out.data, &again), NULL, "which can be read");
	tap_ok(again.length == 32 && memcmp(key.bytes, again.bytes, 32) == 0, "and is the same");
	tap_ok(signing_key_make(kind, &again) && memcmp(key.bytes, again.bytes, 32) != 0,
		   "the next is another");
	text_free(&out);
}

static void
check_public(void)
{
	SigningKey	key;
	SigningKey	public_key;
	Signature	signature;
	Bytes		content = {"a", 1};

	tap_text(signing_key_read(SEED, &key), NULL, "a secret key");
	tap_ok(signing_key_public(&key, &public_key), "has a public half");
	tap_ok(signing_key_sign(&key, content, &signature), "signs");
	tap_ok(signing_key_verify(&public_key, content, &signature), "which verifies");
	tap_ok(!signing_key_sign(&public_key, content, &signature), "but can't sign");
	tap_text(signing_key_read("aGkh", &key), NULL, "a shared secret");
	tap_ok(!signing_key_public(&key, &public_key), "has none");
	tap_ok(!signing_key_make(SIGNING_PUBLIC, &key), "a public key isn't made of nothing");
}

int
main(void)
{
	SigningKey	key;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(good[i].text, good[i].kind, good[i].written);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		tap_text(signing_key_read(bad[i].text, &key), bad[i].problem, bad[i].text);
		tap_number((long long) key.length, 0, "leaves no key");
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		check_known(known[i].key, known[i].content, known[i].signature, known[i].name);
	check_made(SIGNING_SHARED);
	check_made(SIGNING_SECRET);
	check_public();
	return tap_done();
}
