/*-------------------------------------------------------------------------
 * http_signature_test.c
 *		HTTP Message Signatures: what is covered, which signature comes of it.
 *
 * RFC 9421's own vectors cover other components than the fixed ones here: they are in
 * signing_key_test.c.
 *-------------------------------------------------------------------------
 */
#include "message/http_signature.h"
#include "message/signing_key.h"
#include "tap.h"

#define AT 1618884473
#define SHARED "whsec_uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
#define SECRET "whsk_n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU="
#define DIGEST "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
#define EMPTY_DIGEST "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
#define COVERED "(\"@method\" \"@authority\" \"@path\" \"content-digest\")"
#define COVERED_QUERY "(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")"

static const struct
{
	const char *name;
	const char *method;
	const char *url;
	const char *body;
	const char *settings;
	const char *value;
	const char *digest;
	const char *parameters;
	const char *base;			/* without its last line */
	const char *sent_url;
}			good[] =

{
	{
		"a shared secret", "POST", "https://Example.com:443/foo", "{\"hello\": \"world\"}",
		"{\"scheme\": \"rfc9421\", \"key_id\": \"k1\"}", SHARED, DIGEST,
		COVERED ";created=1618884473;keyid=\"k1\";alg=\"hmac-sha256\"",
		"\"@method\": POST\n\"@authority\": example.com\n\"@path\": /foo\n"
		"\"content-digest\": " DIGEST "\n",
		"https://example.com/foo"
	},
	{
		"a secret key, a query", "PUT", "http://example.com:8080/a%2Fb/../c?x=1&y=%20",
		"{\"hello\": \"world\"}", "{\"key_id\": \"a\\\"b\\\\\"}", SECRET, DIGEST,
		COVERED_QUERY ";created=1618884473;keyid=\"a\\\"b\\\\\";alg=\"ed25519\"",
		"\"@method\": PUT\n\"@authority\": example.com:8080\n\"@path\": /c\n"
		"\"@query\": ?x=1&y=%20\n\"content-digest\": " DIGEST "\n",
		"http://example.com:8080/c?x=1&y=%20"
	},
	{
		"no body, no path, a fingerprint", "GET", "https://example.com", NULL, "{}", SECRET,
		EMPTY_DIGEST, COVERED ";created=1618884473;keyid=\"b16c2d1bead12626\";alg=\"ed25519\"",
		"\"@method\": GET\n\"@authority\": example.com\n\"@path\": /\n"
		"\"content-digest\": " EMPTY_DIGEST "\n",
		"https://example.com/"
	},
};

static const struct
{
	const char *name;
	const char *url;
	const char *settings;
	const char *value;
	const char *problem;
}			bad[] =

{
	{"no key", "https://h/", "{}", NULL, "There is no key to sign with."},
	{"an empty key", "https://h/", "{}", "whsec_", "The signing key is empty."},
	{"a public key", "https://h/", "{}", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
	"The signing key is a public key, which cannot sign."},
	{"a name that is no ASCII", "https://b\u00fccher.example/", "{}", SHARED,
		"The URL to sign names its host by other than ASCII letters, digits, dots and"
	" hyphens."},
	{"no scheme", "example.com/", "{}", SHARED, "The URL to sign has no scheme."},
	{"an empty scheme", "://example.com/", "{}", SHARED, "The URL to sign has no scheme."},
	{"a line break in the key's name", "https://h/", "{\"key_id\": \"a\\nb\"}", SHARED,
	"The setting key_id holds something other than printable ASCII."},
};

static void
begin(Request *request, const char *method, const char *url, const char *body)
{
	memset(request, 0, sizeof(*request));
	request->method = strdup(method);
	request->url = strdup(url);
	request->body = body ? strdup(body) : NULL;
	request->body_bytes = body ? strlen(body) : 0;
}

static void
check_header(const Request *request, int at, const char *name, const char *value)
{
	char		line[1024];

	snprintf(line, sizeof(line), "%s: %s", name, value);
	tap_text(at < request->header_count ? request->headers[at] : NULL, line, name);
}

static void
check_good(size_t i)
{
	Credential	credential = {CREDENTIAL_SIGNING, good[i].settings, &good[i].value, 1};
	CredentialProblem problem = {0};
	Request		request;
	SigningKey	key;
	Signature	signature;
	char		base[2048];
	char		input[512];
	Text		wanted = {0};

	begin(&request, good[i].method, good[i].url, good[i].body);
	tap_ok(http_signature_apply(&credential, &request, AT, &problem), good[i].name);
	tap_text(request.url, good[i].sent_url, "what is signed is what is sent");
	snprintf(base, sizeof(base), "%s\"@signature-params\": %s", good[i].base, good[i].parameters);
	signing_key_read(good[i].value, &key);
	signing_key_sign(&key, bytes_at(base, strlen(base)), &signature);
	text_append_string(&wanted, "sig1=:");
	digest_append_base64(&wanted, bytes_at(signature.bytes, signature.length));
	text_append_char(&wanted, ':');
	snprintf(input, sizeof(input), "sig1=%s", good[i].parameters);
	check_header(&request, 0, "Content-Digest", good[i].digest);
	check_header(&request, 1, "Signature-Input", input);
	check_header(&request, 2, "Signature", wanted.data);
	text_free(&wanted);
	request_free(&request);
}

static void
check_bad(size_t i)
{
	Credential	credential = {CREDENTIAL_SIGNING, bad[i].settings, &bad[i].value,
	bad[i].value != NULL};
	CredentialProblem problem = {0};
	Request		request;

	begin(&request, "POST", bad[i].url, "{}");
	tap_ok(!http_signature_apply(&credential, &request, AT, &problem), bad[i].name);
	tap_text(problem.reason, "signing_failed", "its reason");
	tap_text(problem.text, bad[i].problem, "its sentence");
	tap_number(request.header_count, 0, "no header");
	request_free(&request);
}

static void
check_rotation(void)
{
	const char *const values[] = {SECRET, SHARED};
	Credential	credential = {CREDENTIAL_SIGNING, "{\"key_id\": \"k\"}", values, 2};
	CredentialProblem problem = {0};
	Request		request;

	begin(&request, "POST", "https://example.com/foo", "{\"hello\": \"world\"}");
	tap_ok(http_signature_apply(&credential, &request, AT, &problem), "two keys");
	check_header(&request, 1, "Signature-Input",
				 "sig1=" COVERED ";created=1618884473;keyid=\"k\";alg=\"ed25519\", "
				 "sig2=" COVERED ";created=1618884473;keyid=\"k\";alg=\"hmac-sha256\"");
	tap_ok(strstr(request.headers[2], ":, sig2=:") != NULL, "two signatures, newest first");
	request_free(&request);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_good(i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(i);
	check_rotation();
	return tap_done();
}
