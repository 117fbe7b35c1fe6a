/*-------------------------------------------------------------------------
 * hand.c
 *		Which syncs a worker has in hand, written where its own end leaves it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/hand.h"

/* Neither a base backup nor a standby takes what is in it. */
#define DIRECTORY "pg_stat_tmp"
#define FILE_MARK 0x696e7467
#define PLACES 4096

typedef struct HandFile
{
	uint32		mark;
	int32		pid;
	TimestampTz started_at;
	volatile sig_atomic_t is_ended_by_others;
	volatile int64 making;
	volatile int64 syncs[PLACES];	/* 0: free; the first is never used */
} HandFile;

static HandFile *volatile hand = NULL;
static char path[MAXPGPATH];
static int	free_places[PLACES];
static int	free_count = 0;
static emit_log_hook_type previous_log_hook = NULL;

/* Nothing of ours: another process crashed, or the server is stopped at once. */
static void
quit(SIGNAL_ARGS)
{
	if (hand != NULL)
		hand->is_ended_by_others = 1;
	_exit(2);
}

/* The server's own end, such as a log without room: no sync is to blame. */
static void
note_panic(ErrorData *error)
{
	if (error->elevel >= PANIC && hand != NULL)
		hand->is_ended_by_others = 1;
	if (previous_log_hook)
		previous_log_hook(error);
}

/* Written out: a store into a page of a sparse file for which there is no disk is a SIGBUS. */
static bool
create_file(const HandFile *initial)
{
	const int	flags = O_RDWR | O_CREAT | O_TRUNC | PG_BINARY;
	int			descriptor = open(path, flags, pg_file_create_mode);
	void	   *mapped = MAP_FAILED;
	int			problem;

	if (descriptor < 0)
		return false;
	/* a write that comes short says no reason */
	errno = ENOSPC;
	if (write(descriptor, initial, sizeof(*initial)) == (ssize_t) sizeof(*initial))
		mapped = mmap(NULL, sizeof(*initial), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	problem = errno;
	close(descriptor);
	errno = problem;
	if (mapped == MAP_FAILED)
		return false;
	hand = mapped;
	return true;
}

/* The end is a clean one.  In this order, since a SIGQUIT may come at any moment. */
static void
remove_file(int code, Datum arg)
{
	HandFile   *mapped = hand;

	if (mapped == NULL)
		return;
	(void) unlink(path);
	hand = NULL;
	(void) munmap(mapped, sizeof(*mapped));
}

void
hand_open(void)
{
	HandFile   *initial = MemoryContextAllocZero(CurrentMemoryContext, sizeof(HandFile));

	initial->mark = FILE_MARK;
	initial->pid = MyProcPid;
	initial->started_at = GetCurrentTimestamp();
	snprintf(path, sizeof(path), DIRECTORY "/integration.%u.%d", MyDatabaseId, MyProcPid);
	if (!create_file(initial))
	{
		ereport(LOG,
				errcode_for_file_access(),
				errmsg("could not write file \"%s\": %m", path),
				errdetail("A sync that crashes the integration worker will not be recognized."));
		(void) unlink(path);
	}
	pfree(initial);
	free_count = 0;
	for (int place = PLACES - 1; place > 0; place--)
		free_places[free_count++] = place;
	before_shmem_exit(remove_file, (Datum) 0);
	previous_log_hook = emit_log_hook;
	emit_log_hook = note_panic;
	pqsignal(SIGQUIT, quit);
}

int
hand_take(int64 outbox_id)
{
	int			place;

	if (hand == NULL || free_count == 0)
		return 0;
	place = free_places[--free_count];
	hand->syncs[place] = outbox_id;
	return place;
}

void
hand_leave(int place)
{
	if (hand == NULL || place == 0)
		return;
	hand->syncs[place] = 0;
	free_places[free_count++] = place;
}

void
hand_set_making(int64 outbox_id)
{
	if (hand != NULL)
		hand->making = outbox_id;
}

static bool
is_attached(DatabaseSlot *slot, int pid)
{
	bool		found = false;

	/*
	 * what bears our own number is left of another process: ours is made
	 * later
	 */
	if (pid == MyProcPid)
		return false;
	LWLockAcquire(shared_state()->lock, LW_SHARED);
	for (int i = 0; i < SHARED_WORKERS; i++)
		found = found || slot->workers[i].pid == pid;
	LWLockRelease(shared_state()->lock);
	return found;
}

static void
read_syncs(const HandFile *file, Crash *crash)
{
	crash->syncs = palloc(sizeof(int64) * PLACES);
	if (file->making != 0)
	{
		crash->syncs[crash->count++] = file->making;
		return;
	}
	for (int place = 1; place < PLACES; place++)
	{
		if (file->syncs[place] != 0)
			crash->syncs[crash->count++] = file->syncs[place];
	}
}

/* What can't be read tells nothing, and is removed like one that does. */
static void
read_remnant(Remnant *remnant)
{
	HandFile   *file = palloc0(sizeof(HandFile));
	int			descriptor = OpenTransientFile(remnant->path, O_RDONLY | PG_BINARY);
	ssize_t		bytes = 0;

	if (descriptor >= 0)
	{
		bytes = read(descriptor, file, sizeof(*file));
		CloseTransientFile(descriptor);
	}
	remnant->is_crash = bytes == (ssize_t) sizeof(*file) && file->mark == FILE_MARK &&
		!file->is_ended_by_others;
	remnant->crash = (Crash)
	{
		.started_at = file->started_at,
			.pid = file->pid,
	};
	if (remnant->is_crash)
		read_syncs(file, &remnant->crash);
	pfree(file);
}

Remnant *
hand_find_remnants(DatabaseSlot *slot, int *count)
{
	Remnant    *remnants = palloc(sizeof(Remnant) * SHARED_WORKERS);
	DIR		   *directory = AllocateDir(DIRECTORY);
	struct dirent *entry;

	*count = 0;
	while (*count < SHARED_WORKERS &&
		   (entry = ReadDirExtended(directory, DIRECTORY, LOG)) != NULL)
	{
		Remnant    *remnant = &remnants[*count];
		unsigned	database;
		int			pid;

		if (sscanf(entry->d_name, "integration.%u.%d", &database, &pid) != 2 ||
			database != MyDatabaseId || is_attached(slot, pid))
			continue;
		snprintf(remnant->path, sizeof(remnant->path), DIRECTORY "/%s", entry->d_name);
		read_remnant(remnant);
		(*count)++;
	}
	FreeDir(directory);
	return remnants;
}
