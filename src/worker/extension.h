/*-------------------------------------------------------------------------
 * extension.h
 *		What the worker's database has of the extension, as last looked.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_EXTENSION_H
#define INTEGRATION_EXTENSION_H

#include "worker/shared.h"

/* Look, in a transaction of its own; false: that failed, and was logged. */
extern bool extension_look(DatabaseSlot *slot);

/*
 * Whether it is there.  One that was made anew is another one: what is in
 * memory is about the old one's rows.
 */
extern bool extension_exists(void);

/* Whether the library was built for these objects; else none of them may be used. */
extern bool extension_fits(void);

/* Whether it may have been dropped or updated since the look. */
extern bool extension_may_have_changed(DatabaseSlot *slot);

/*
 * Whether a worker is still to be in the database, or to look again.  Caller
 * holds the lock of shared memory.
 */
extern bool extension_wants_worker(DatabaseSlot *slot);

/* Say what doesn't fit, return once it does or the worker is to end. */
extern void extension_await_fit(DatabaseSlot *slot, int number);

/* The database's name at the look. */
extern const char *extension_database(void);

#endif							/* INTEGRATION_EXTENSION_H */
