/*-------------------------------------------------------------------------
 * tls.h
 *		What a handle shows in TLS, whom it trusts.
 *
 * libcurl never shares a connection, or what resumes one, between transfers
 * that show or trust different texts: it compares them.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TLS_H
#define INTEGRATION_TLS_H

#include <curl/curl.h>

#include "message/certificate.h"

/*
 * Set up a new handle: authorities of that file, NULL: those of the system.
 * Does not throw.
 */
extern CURLcode tls_begin(CURL *easy, const char *ca_file);

/*
 * Have the handle show and trust what is in *certificate, whose texts must stay
 * until tls_forget().  Does not throw.
 */
extern CURLcode tls_set(CURL *easy, const Certificate *certificate);

/* As after tls_begin(); nothing of a key stays with the handle.  Does not throw. */
extern void tls_forget(CURL *easy, const char *ca_file);

#endif							/* INTEGRATION_TLS_H */
