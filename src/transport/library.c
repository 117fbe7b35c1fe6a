/*-------------------------------------------------------------------------
 * library.c
 *		Whether the libcurl that is here can serve.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include <curl/curl.h>

#include "transport/library.h"

/* CURLOPT_PREREQFUNCTION, on which the address policy rests */
#define OLDEST_VERSION 0x075000

_Static_assert(LIBCURL_VERSION_NUM >= OLDEST_VERSION, "libcurl 7.80 or newer is needed");

bool
library_start(char *problem, size_t problem_size)
{
	const		curl_version_info_data *info;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
	{
		snprintf(problem, problem_size, "libcurl could not be started.");
		return false;
	}
	info = curl_version_info(CURLVERSION_NOW);
	if (info->version_num < OLDEST_VERSION)
	{
		snprintf(problem, problem_size, "libcurl %s is too old; 7.80 or newer is needed.",
				 info->version);
		return false;
	}
	if (!(info->features & CURL_VERSION_ASYNCHDNS))
	{
		snprintf(problem, problem_size, "libcurl %s was built without asynchronous name"
				 " resolution, so that one slow name server would stop all syncs.",
				 info->version);
		return false;
	}
	if (!(info->features & CURL_VERSION_SSL))
	{
		snprintf(problem, problem_size, "libcurl %s was built without TLS.", info->version);
		return false;
	}
	return true;
}
