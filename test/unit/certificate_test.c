/*-------------------------------------------------------------------------
 * certificate_test.c
 *		Which texts can be a client certificate.
 *-------------------------------------------------------------------------
 */
#include <time.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "message/certificate.h"
#include "tap.h"

#define TEXT_BYTES 16384
#define EXPIRES_AT_S 2000000000

/* A pair that nobody else has, in PEM. */
typedef struct Pair
{
	char		certificate[4096];
	char		key[4096];
	char		old_key[4096];	/* in the form that says RSA or EC */
	char		encrypted[4096];
	char		old_encrypted[4096];
} Pair;

static void
take(BIO *source, char *text)
{
	int			length = BIO_read(source, text, 4095);

	text[length > 0 ? length : 0] = '\0';
	BIO_free(source);
}

static void
write_key(EVP_PKEY *key, Pair *pair)
{
	static unsigned char pass[] = "secret";
	BIO		   *text[4];

	for (int i = 0; i < 4; i++)
		text[i] = BIO_new(BIO_s_mem());
	PEM_write_bio_PKCS8PrivateKey(text[0], key, NULL, NULL, 0, NULL, NULL);
	PEM_write_bio_PrivateKey_traditional(text[1], key, NULL, NULL, 0, NULL, NULL);
	PEM_write_bio_PKCS8PrivateKey(text[2], key, EVP_aes_256_cbc(), (char *) pass, 6, NULL, NULL);
	PEM_write_bio_PrivateKey_traditional(text[3], key, EVP_aes_256_cbc(), pass, 6, NULL, NULL);
	take(text[0], pair->key);
	take(text[1], pair->old_key);
	take(text[2], pair->encrypted);
	take(text[3], pair->old_encrypted);
}

static void
make_pair(EVP_PKEY *key, Pair *pair)
{
	X509	   *certificate = X509_new();
	BIO		   *text = BIO_new(BIO_s_mem());

	if (!key || !certificate || !text)
		tap_bail_out("OpenSSL can't make a certificate");
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	ASN1_TIME_set(X509_getm_notAfter(certificate), EXPIRES_AT_S);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	PEM_write_bio_X509(text, certificate);
	take(text, pair->certificate);
	write_key(key, pair);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static const char *
join(const char *const *parts, char *text)
{
	text[0] = '\0';
	for (int i = 0; parts[i]; i++)
		strcat(text, parts[i]);
	return text;
}

/* Parts, and a piece of what is wrong with their sum, or NULL. */
static void
check(const char *name, const char *problem, const char *const *parts)
{
	char		text[TEXT_BYTES];
	Certificate certificate;
	const char *found = certificate_read(join(parts, text), &certificate);

	if (!tap_ok(problem ? found && strstr(found, problem) : !found, name))
		printf("# %s\n", found ? found : "no problem");
	tap_ok(!problem == (certificate.chain && certificate.key), "it comes to texts, or to none");
	certificate_wipe(&certificate);
}

#define PARTS(...) (const char *const[]) {__VA_ARGS__, NULL}

static const char parameters[] =
"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

static void
check_texts(const Pair *one, const Pair *other)
{
	check("chain, then key", NULL, PARTS(one->certificate, other->certificate, one->key));
	check("key, then chain", NULL, PARTS(one->key, one->certificate, other->certificate));
	check("words around", NULL, PARTS("Bag Attributes\n", one->certificate, "\nkey:\n", one->key));
	check("an older form", NULL, PARTS(one->certificate, one->old_key));
	check("RSA", NULL, PARTS(other->certificate, other->old_key));
	check("parameters", NULL, PARTS(parameters, one->old_key, one->certificate));
	check("the issuer first", "not that of the first",
		  PARTS(other->certificate, one->certificate, one->key));
	check("two keys", "more than one", PARTS(one->certificate, one->key, other->key));
	check("no key", "no private key", PARTS(one->certificate));
	check("no certificate", "no certificate", PARTS(one->key));
	check("nothing", "neither", PARTS("abc"));
	check("encrypted", "encrypted", PARTS(one->certificate, one->encrypted));
	check("encrypted in an older form", "encrypted", PARTS(one->certificate, one->old_encrypted));
	check("cut off", "too early", PARTS(one->key, "-----BEGIN CERTIFICATE-----\nMIIB\n"));
	check("no DER", "certificate that cannot be read",
		  PARTS(one->key, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"));
	check("something else", "neither a certificate nor a private key.",
		  PARTS(one->certificate, "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"));
}

static void
check_split(const Pair *one, const Pair *other)
{
	char		text[TEXT_BYTES];
	char		chain[TEXT_BYTES];
	Certificate certificate;

	join(PARTS(one->certificate, one->key, other->certificate), text);
	certificate_read(text, &certificate);
	join(PARTS(one->certificate, other->certificate), chain);
	tap_ok(strcmp(certificate.chain, chain) == 0, "the chain holds the certificates alone");
	tap_ok(strcmp(certificate.key, one->key) == 0, "the key stands apart");
	certificate_wipe(&certificate);
}

static void
check_expiry(const Pair *one)
{
	int64_t		at = 0;

	tap_ok(certificate_expires_at(one->certificate, &at) && at == EXPIRES_AT_S, "when it ends");
	tap_ok(!certificate_expires_at("abc", &at), "what is none has no end");
}

static void
check_authorities(const Pair *one, const Pair *other)
{
	char		text[TEXT_BYTES];

	join(PARTS(one->certificate, other->certificate), text);
	tap_ok(!certificate_authorities_problem(text), "several authorities");
	tap_ok(certificate_authorities_problem("abc") != NULL, "no authority");
	tap_ok(strstr(certificate_authorities_problem(one->key), "private key") != NULL,
		   "a key is no authority");
	tap_ok(certificate_authorities_problem(one->encrypted) != NULL, "nor is an encrypted one");
}

static void
check_open(const char *name, const char *settings, const char *value, const char *reason)
{
	Credential	credential = {
		.kind = CREDENTIAL_CLIENT_CERTIFICATE,
		.settings = settings,
		.values = &value,
		.value_count = value ? 1 : 0
	};
	CredentialProblem problem;
	Certificate certificate;
	bool		is_open = certificate_open(&credential, &certificate, &problem);

	tap_ok(is_open == !reason && (is_open || strcmp(problem.reason, reason) == 0), name);
	tap_ok(is_open || (!certificate.chain && !certificate.authorities), "nothing stays");
	certificate_wipe(&certificate);
}

int
main(void)
{
	static Pair one;
	static Pair other;
	char		text[TEXT_BYTES];

	make_pair(EVP_EC_gen("P-256"), &one);
	make_pair(EVP_RSA_gen(2048), &other);
	check_texts(&one, &other);
	check_split(&one, &other);
	check_expiry(&one);
	check_authorities(&one, &other);
	join(PARTS(one.certificate, one.key), text);
	check_open("a pair", "{}", text, NULL);
	check_open("an authority alone", "{\"ca\": \"x\"}", NULL, NULL);
	check_open("neither", "{}", NULL, "secret_missing");
	check_open("a broken one", "{\"ca\": \"x\"}", "abc", "secret_unreadable");
	return tap_done();
}
