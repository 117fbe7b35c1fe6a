/*-------------------------------------------------------------------------
 * signature_fuzz.c
 *		Headers of signed requests: nothing but the right signature passes.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/webhook_signature.h"

#define KEY "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

/* Whatever is taken for a key is written so that it reads back. */
static void
check_key(const char *text)
{
	SigningKey	key;
	SigningKey	again;
	Text		written = {0};

	if (signing_key_read(text, &key))
	{
		CHECK(key.length == 0);
		return;
	}
	CHECK(key.length > 0 && key.length <= SIGNING_KEY_MAX_BYTES);
	CHECK(signing_key_append(&written, &key));
	CHECK(!signing_key_read(written.data, &again));
	CHECK(again.kind == key.kind && again.length == key.length);
	CHECK(memcmp(again.bytes, key.bytes, key.length) == 0);
	text_free(&written);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *id = take_string(&input);
	char	   *timestamp = take_string(&input);
	char	   *signature = take_string(&input);
	char	   *key_text = take_string(&input);
	WebhookHeaders headers = {.id = id,.timestamp = timestamp,.signature = signature};
	SigningKey	key;

	CHECK(!signing_key_read(KEY, &key));
	/* nobody guesses the signature of a body that the input doesn't have */
	CHECK(!webhook_signature_matches(&headers, bytes_at("secret body", 11), &key, 1614265330, -1));
	CHECK(!webhook_signature_matches(&headers, bytes_at(input.bytes, input.length), &key, 0, 300) ||
		  strstr(signature, "v1,"));
	check_key(key_text);
	free(id);
	free(timestamp);
	free(signature);
	free(key_text);
	return 0;
}
