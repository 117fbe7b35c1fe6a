/*-------------------------------------------------------------------------
 * url.h
 *		What is wrong with an endpoint's URL.
 *
 * What the worker and SQL ask is in transport.h.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_URL_H
#define INTEGRATION_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/policy.h"

/*
 * Whether the policy's list of hosts, where it has one, names the URL's; where it doesn't, writes
 * to problem why not.  Does not throw.
 */
extern bool url_host_is_listed(const char *url, const AddressPolicy *policy,
							   char *problem, size_t problem_size);

#endif							/* INTEGRATION_URL_H */
