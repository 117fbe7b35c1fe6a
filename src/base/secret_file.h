/*-------------------------------------------------------------------------
 * secret_file.h
 *		Secrets that lie elsewhere: the key, what values refer to.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SECRET_FILE_H
#define INTEGRATION_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/seal.h"

#define SECRET_FILE_MOST_BYTES 65536

/* Why a file can't be used, as a sentence. */
typedef struct SecretFileProblem
{
	char text[	512];
} SecretFileProblem;

/* What a secret's value may be. */
typedef enum SecretSource
{
	SECRET_SOURCE_VALUE,		/* the secret itself */
	SECRET_SOURCE_FILE,			/* "file:name" below a directory */
	SECRET_SOURCE_VIEW			/* "view:schema.view/name" */
} SecretSource;

/* What the value is; *name: where a reference leads, within value.  Does not throw. */
extern SecretSource secret_file_source(const char *value, const char **name);

/*
 * The key that the file holds.  Refused: a path that is not absolute, what is no
 * regular file, what others than the server's user may read, less than
 * SEAL_KEY_BYTES or more than SECRET_FILE_MOST_BYTES, and what a base backup
 * would carry: a file below the data directory, or where its links lead
 * (tablespaces, the WAL).  The caller wipes the key.  Does not throw.
 */
extern bool secret_file_key(const char *path, const char *data_directory,
							SealKey *key, SecretFileProblem *problem);

/*
 * The content of a file below the directory (NULL: none is set), without the line break at its end:
 * malloc'ed with a zero byte after it, *length bytes.  Refused: a name that leads
 * out, also by a link, no regular file, an empty or a too big one.  The caller
 * wipes and frees it.  NULL, with the problem: it can't be read.  Does not throw.
 */
extern char *secret_file_read(const char *directory, const char *name,
							  size_t *length, SecretFileProblem *problem);

#endif							/* INTEGRATION_SECRET_FILE_H */
