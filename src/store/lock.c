/*-------------------------------------------------------------------------
 * lock.c
 *		Which session has a shard.
 *-------------------------------------------------------------------------
 */
#include "store/lock.h"

#include "miscadmin.h"
#include "storage/lock.h"

/*
 * "IG".  Advisory locks that SQL takes have class 1 or 2, so nobody keeps the
 * workers out by taking these.
 */
#define LOCK_CLASS 0x4947

static LOCKTAG
tag_of(int shard)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, (uint32) shard, LOCK_CLASS);
	return tag;
}

bool
lock_take(int shard)
{
	LOCKTAG		tag = tag_of(shard);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
lock_leave(int shard)
{
	LOCKTAG		tag = tag_of(shard);

	(void) LockRelease(&tag, ExclusiveLock, true);
}
