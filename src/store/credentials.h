/*-------------------------------------------------------------------------
 * credentials.h
 *		Credentials as the tables hold them: secrets sealed.
 *
 * To be run within session_run(); strings are UTF-8.  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_STORE_CREDENTIALS_H
#define INTEGRATION_STORE_CREDENTIALS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* One for each secret that is valid or will be, or one without any. */
typedef struct CredentialRow
{
	char	   *name;
	char	   *kind;
	char	   *settings;		/* JSON object */
	int32		version;		/* 0: the credential has no secret */
	char	   *place;			/* what it is sealed for */
	char	   *sealed;
	size_t		sealed_bytes;
	TimestampTz not_before;
	TimestampTz not_after;		/* DT_NOEND: no end */
} CredentialRow;

/* Rows of these credentials, each one's together, its newest first; copies in memory. */
extern CredentialRow *credentials_rows(MemoryContext memory, const char *const *names,
									   int name_count, int *row_count);

/*
 * The value that a reference to a view leads to, a copy in memory, which the
 * caller wipes; NULL: *problem says why not.
 */
extern char *credentials_view_value(MemoryContext memory, const char *reference, char **problem);

/*
 * Have endpoints probed that were stopped for want of a secret which has begun;
 * reloaded: also those whose secret could not be read.
 */
extern void credentials_probe(bool reloaded);

#endif							/* INTEGRATION_STORE_CREDENTIALS_H */
