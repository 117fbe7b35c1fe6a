/*-------------------------------------------------------------------------
 * certificate.c
 *		What a connection shows to the other side, what it accepts of it.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "message/certificate.h"

/* One block between BEGIN and END. */
typedef struct Block
{
	char	   *name;
	char	   *header;
	unsigned char *data;
	long		length;
} Block;

/* A text being taken apart. */
typedef struct Reading
{
	BIO		   *chain;			/* the certificates, written again */
	BIO		   *key;			/* the same of the key; wiped by OpenSSL */
	X509	   *first;
	EVP_PKEY   *opened;			/* the key */
} Reading;

static const char *read_blocks(Reading *reading, const char *pem);
static bool next_block(BIO *text, Block *block);
static void free_block(Block *block);
static const char *read_block(Reading *reading, const Block *block);
static const char *read_certificate(Reading *reading, const Block *block);
static const char *read_key(Reading *reading, const Block *block);
static const char *check_pair(const Reading *reading);
static bool write_block(BIO *target, const Block *block);
static char *copy_text(BIO *source);
static void end_reading(Reading *reading);

static const char no_memory[] = "There is no memory left to read it.";

const char *
certificate_read(const char *pem, Certificate *certificate)
{
	Reading		reading = {0};
	const char *problem = read_blocks(&reading, pem);

	memset(certificate, 0, sizeof(*certificate));
	if (!problem)
		problem = check_pair(&reading);
	if (!problem)
	{
		certificate->chain = copy_text(reading.chain);
		certificate->key = copy_text(reading.key);
		if (!certificate->chain || !certificate->key)
			problem = no_memory;
	}
	if (problem)
		certificate_wipe(certificate);
	end_reading(&reading);
	return problem;
}

bool
certificate_open(const Credential *credential, Certificate *certificate,
				 CredentialProblem *problem)
{
	char	   *authorities = credential_setting(credential->settings, "ca");
	const char *broken = NULL;

	memset(certificate, 0, sizeof(*certificate));
	problem->reason = NULL;
	if (credential->value_count > 0)
	{
		broken = certificate_read(credential->values[0], certificate);
		problem->reason = broken ? "secret_unreadable" : NULL;
	}
	else if (!authorities)
	{
		broken = "No certificate is valid at this time, and settings.ca is missing.";
		problem->reason = "secret_missing";
	}
	certificate->authorities = authorities;
	if (!broken)
		return true;
	snprintf(problem->text, sizeof(problem->text), "%s", broken);
	certificate_wipe(certificate);
	return false;
}

void
certificate_wipe(Certificate *certificate)
{
	if (certificate->key)
		OPENSSL_cleanse(certificate->key, strlen(certificate->key));
	free(certificate->key);
	free(certificate->chain);
	free(certificate->authorities);
	memset(certificate, 0, sizeof(*certificate));
}

bool
certificate_expires_at(const char *pem, int64_t *expires_at_s)
{
	Reading		reading = {0};
	struct tm	at;
	bool		is_known;

	(void) read_blocks(&reading, pem);
	is_known = reading.first && ASN1_TIME_to_tm(X509_get0_notAfter(reading.first), &at) == 1;
	if (is_known)
		*expires_at_s = (int64_t) timegm(&at);
	end_reading(&reading);
	return is_known;
}

const char *
certificate_authorities_problem(const char *pem)
{
	Reading		reading = {0};
	const char *problem = read_blocks(&reading, pem);

	if (reading.opened)
		problem = "ca holds a private key; what is secret goes to set_secret(), together with its certificate.";
	else if (problem)
		problem = "ca holds something that is not a certificate in PEM.";
	else if (!reading.first)
		problem = "ca holds no certificate in PEM: -----BEGIN CERTIFICATE-----, with its line breaks.";
	end_reading(&reading);
	return problem;
}

static const char *
read_blocks(Reading *reading, const char *pem)
{
	size_t		length = strlen(pem);
	BIO		   *text = length > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int) length);
	const char *problem = NULL;
	Block		block;

	reading->chain = BIO_new(BIO_s_mem());
	reading->key = BIO_new(BIO_s_mem());
	if (!text || !reading->chain || !reading->key)
		problem = no_memory;
	while (!problem && next_block(text, &block))
	{
		problem = read_block(reading, &block);
		free_block(&block);
	}
	/* a block that is cut off ends the text like a text without blocks does */
	if (!problem && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		problem = "The value holds a block that ends too early or is not in base64.";
	ERR_clear_error();
	BIO_free(text);
	return problem;
}

static bool
next_block(BIO *text, Block *block)
{
	ERR_clear_error();
	return PEM_read_bio(text, &block->name, &block->header, &block->data, &block->length) == 1;
}

static void
free_block(Block *block)
{
	OPENSSL_free(block->name);
	OPENSSL_free(block->header);
	OPENSSL_clear_free(block->data, (size_t) block->length);
}

static const char *
read_block(Reading *reading, const Block *block)
{
	if (strcmp(block->name, PEM_STRING_X509) == 0)
		return read_certificate(reading, block);
	/* "openssl ecparam" writes it before the key, which repeats it */
	if (strcmp(block->name, PEM_STRING_ECPARAMETERS) == 0)
		return NULL;
	if (strcmp(block->name, PEM_STRING_PKCS8) == 0 || strstr(block->header, "ENCRYPTED"))
		return "The private key is encrypted; take its passphrase off with \"openssl pkey\" first, it is sealed here.";
	if (strcmp(block->name, PEM_STRING_PKCS8INF) == 0 ||
		strcmp(block->name, PEM_STRING_RSA) == 0 ||
		strcmp(block->name, PEM_STRING_ECPRIVATEKEY) == 0)
		return read_key(reading, block);
	return "The value holds something that is neither a certificate nor a private key.";
}

static const char *
read_certificate(Reading *reading, const Block *block)
{
	const unsigned char *at = block->data;
	X509	   *found = d2i_X509(NULL, &at, block->length);

	if (!found)
		return "The value holds a certificate that cannot be read.";
	if (reading->first)
		X509_free(found);
	else
		reading->first = found;
	return write_block(reading->chain, block) ? NULL : no_memory;
}

static const char *
read_key(Reading *reading, const Block *block)
{
	const unsigned char *at = block->data;

	if (reading->opened)
		return "The value holds more than one private key.";
	reading->opened = d2i_AutoPrivateKey(NULL, &at, block->length);
	if (!reading->opened)
		return "The value holds a private key that cannot be read.";
	return write_block(reading->key, block) ? NULL : no_memory;
}

static const char *
check_pair(const Reading *reading)
{
	if (!reading->first && !reading->opened)
		return "The value holds neither a certificate nor a private key in PEM: blocks from -----BEGIN to -----END, with their line breaks.";
	if (!reading->first)
		return "The value holds no certificate; put the chain and the private key into one text.";
	if (!reading->opened)
		return "The value holds no private key; put the chain and the private key into one text.";
	if (X509_check_private_key(reading->first, reading->opened) != 1)
		return "The private key is not that of the first certificate; the certificate of the key comes first, its issuers after it.";
	return NULL;
}

static bool
write_block(BIO *target, const Block *block)
{
	return PEM_write_bio(target, block->name, "", block->data, block->length) > 0;
}

static char *
copy_text(BIO *source)
{
	char	   *bytes;
	long		length = BIO_get_mem_data(source, &bytes);

	return strndup(bytes, (size_t) length);
}

static void
end_reading(Reading *reading)
{
	BIO_free(reading->chain);
	BIO_free(reading->key);
	X509_free(reading->first);
	EVP_PKEY_free(reading->opened);
	ERR_clear_error();
}
