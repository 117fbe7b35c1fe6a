/*-------------------------------------------------------------------------
 * integration.c
 *		What happens when the server loads the library.
 *
 * A connector is an external product; an endpoint is one of its addresses; a
 * sync is one row of the outbox; an attempt is one try at it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "api/log_filter.h"
#include "api/plan_filter.h"
#include "base/compat.h"
#include "base/place.h"
#include "base/settings.h"
#include "worker/ddl.h"
#include "worker/launcher.h"
#include "worker/shared.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* without the preload there is no worker, and CREATE EXTENSION says so */
	if (!process_shared_preload_libraries_in_progress)
		return;
	settings_define();
	place_note();
	shared_install();
	ddl_install();
	log_filter_install();
	plan_filter_install();
	launcher_register();
}
