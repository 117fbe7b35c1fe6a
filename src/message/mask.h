/*-------------------------------------------------------------------------
 * mask.h
 *		Secrets out of texts that echo them.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_MASK_H
#define INTEGRATION_MASK_H

#include <stddef.h>

/* A shorter one could stand anywhere by chance. */
#define MASK_LEAST_BYTES 8

/*
 * Write *** in place of the secret wherever text holds it, each of its
 * characters as it is, escaped as in a JSON string or percent-encoded; or holds
 * at its end the beginning of it, as a text that was cut does.  Returns the new
 * length, which is never more.  Does not throw.
 */
extern size_t mask_secret(char *text, const char *secret);

#endif							/* INTEGRATION_MASK_H */
