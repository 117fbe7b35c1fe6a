/*-------------------------------------------------------------------------
 * progress.c
 *		How far statements that touch many syncs have come, in shared memory.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "worker/progress.h"
#include "worker/shared.h"

#define PLACES 64
#define NAME "integration progress"

static Progress *places = NULL;
static Progress *own = NULL;

void
progress_request_memory(void)
{
	RequestAddinShmemSpace(mul_size(PLACES, sizeof(Progress)));
}

void
progress_attach_memory(void)
{
	bool		found;

	places = ShmemInitStruct(NAME, mul_size(PLACES, sizeof(Progress)), &found);
	if (!found)
		memset(places, 0, mul_size(PLACES, sizeof(Progress)));
}

static void
give_back(XactEvent event, void *unused)
{
	if (own == NULL || event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
	own->pid = 0;
	LWLockRelease(shared_state()->lock);
	own = NULL;
}

static void
write_down(Progress *place, const char *subject, int64 total, int64 done)
{
	int			length = pg_mbcliplen(subject, strlen(subject), PROGRESS_SUBJECT_BYTES - 1);

	memcpy(place->subject, subject, length);
	place->subject[length] = '\0';
	place->updated_at = GetCurrentTimestamp();
	place->total = total;
	place->done = done;
}

/* Caller holds the lock. */
static Progress *
take_place(const char *verb)
{
	for (int i = 0; i < PLACES; i++)
	{
		if (places[i].pid != 0)
			continue;
		places[i] = (Progress)
		{
			.database = MyDatabaseId,
				.pid = MyProcPid,
				.role = GetSessionUserId(),
				.started_at = GetCurrentTimestamp(),
		};
		strlcpy(places[i].verb, verb, PROGRESS_VERB_BYTES);
		return &places[i];
	}
	return NULL;
}

void
progress_note(const char *verb, const char *subject, int64 total, int64 done)
{
	static bool gives_back = false;

	if (places == NULL)
		return;
	if (!gives_back)
		RegisterXactCallback(give_back, NULL);
	gives_back = true;
	LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
	/* a statement before this one in the same transaction had it */
	if (own != NULL && done == 0)
		own->pid = 0;
	if (own == NULL || done == 0)
		own = take_place(verb);
	if (own != NULL)
		write_down(own, subject, total, done);
	LWLockRelease(shared_state()->lock);
}

bool
progress_copy(Progress *copy, int *number)
{
	bool		found = false;

	if (places == NULL)
		return false;
	LWLockAcquire(shared_state()->lock, LW_SHARED);
	while (!found && *number < PLACES)
	{
		*copy = places[(*number)++];
		found = copy->pid != 0 && copy->database == MyDatabaseId;
	}
	LWLockRelease(shared_state()->lock);
	return found;
}
