/*-------------------------------------------------------------------------
 * installed.h
 *		What a database has of the extension.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_INSTALLED_H
#define INTEGRATION_INSTALLED_H

#include "postgres.h"

typedef struct Installed
{
	Oid			id;				/* InvalidOid: it is not there */
	char		version[64];	/* of its objects, "" where it is not there */
	char		database[NAMEDATALEN];
} Installed;

/*
 * To be run within session_run().  Uses the catalog alone, whatever the version
 * of the objects.  May throw.
 */
extern Installed installed_read(void);

#endif							/* INTEGRATION_INSTALLED_H */
