/*-------------------------------------------------------------------------
 * tls.c
 *		What a handle shows in TLS, whom it trusts.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "transport/tls.h"

/* A file of authorities that was replaced is read again after so long. */
#define CA_CACHE_S 60L

static CURLcode
set_text(CURL *easy, CURLoption option, const char *text)
{
	struct curl_blob blob = {
		.data = (void *) text,
		.len = text ? strlen(text) : 0,
		.flags = CURL_BLOB_NOCOPY
	};

	return curl_easy_setopt(easy, option, text ? &blob : NULL);
}

/* libcurl would trust the system's directory beside any file. */
static CURLcode
trust_directory(CURL *easy, const char *ca_file)
{
	return curl_easy_setopt(easy, CURLOPT_CAPATH,
							ca_file ? NULL : curl_version_info(CURLVERSION_NOW)->capath);
}

CURLcode
tls_begin(CURL *easy, const char *ca_file)
{
	CURLcode	code = CURLE_OK;

	if (ca_file)
		code = curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	if (code == CURLE_OK)
		code = trust_directory(easy, ca_file);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* unknown to an older library at run time, which keeps none */
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
#endif
	return code;
}

CURLcode
tls_set(CURL *easy, const Certificate *certificate)
{
	CURLcode	code = CURLE_OK;

	if (certificate->chain)
		code = set_text(easy, CURLOPT_SSLCERT_BLOB, certificate->chain);
	if (code == CURLE_OK && certificate->key)
		code = set_text(easy, CURLOPT_SSLKEY_BLOB, certificate->key);
	if (code == CURLE_OK && certificate->authorities)
		code = set_text(easy, CURLOPT_CAINFO_BLOB, certificate->authorities);
	if (code == CURLE_OK && certificate->authorities)
		code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	return code;
}

void
tls_forget(CURL *easy, const char *ca_file)
{
	set_text(easy, CURLOPT_SSLCERT_BLOB, NULL);
	set_text(easy, CURLOPT_SSLKEY_BLOB, NULL);
	set_text(easy, CURLOPT_CAINFO_BLOB, NULL);
	trust_directory(easy, ca_file);
}
