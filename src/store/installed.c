/*-------------------------------------------------------------------------
 * installed.c
 *		What a database has of the extension.
 *-------------------------------------------------------------------------
 */
#include "store/installed.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "store/columns.h"
#include "store/session.h"

Installed
installed_read(void)
{
	/* by the index pg_extension_name_index */
	static Statement statement = {
		.text = "SELECT oid::bigint, extversion FROM pg_catalog.pg_extension"
		" WHERE extname = 'integration'",
		.read_only = true,
	};
	Installed	installed = {.id = InvalidOid};

	strlcpy(installed.database, get_database_name(MyDatabaseId), sizeof(installed.database));
	if (session_execute(&statement, NULL, NULL) == 0)
		return installed;
	installed.id = (Oid) column_int64(0, 1, InvalidOid);
	strlcpy(installed.version, column_text(0, 2, CurrentMemoryContext),
			sizeof(installed.version));
	return installed;
}
