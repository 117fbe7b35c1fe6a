/*-------------------------------------------------------------------------
 * kills.c
 *		Kills a worker at a named step of its loop.
 *
 * Both preloaded by the system (LD_PRELOAD: what goes into sockets and comes
 * out) and loaded by the server (shared_preload_libraries: where a transaction
 * begins to commit, where it has).  Each worker gets the step after the one that
 * the last kill was at, and some requests or settles to live.  KILLS_LOG names the file
 * that each kill is written to, in lines of one length; KILLS_MOST says how many
 * there are to be.
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "postgres.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

/* Programs that are not the server have none. */
#pragma weak XactLastCommitEnd

extern PGDLLEXPORT void _PG_init(void);

#define LINE_BYTES 64
#define REQUESTS_LEAST 20
#define REQUESTS_MOST 300
#define SETTLES_MOST 3
#define SETTLES_KEPT 4096
#define BATCH 200				/* SENDER_BATCH */

typedef enum Step
{
	STEP_BEFORE_SEND,
	STEP_IN_FLIGHT,
	STEP_ANSWERED,
	STEP_IN_SETTLE,
	STEP_AFTER_SETTLE,
	STEP_COUNT
} Step;

static const char *const step_names[] = {
	[STEP_BEFORE_SEND] = "before_send",
	[STEP_IN_FLIGHT] = "in_flight",
	[STEP_ANSWERED] = "answered",
	[STEP_IN_SETTLE] = "in_settle",
	[STEP_AFTER_SETTLE] = "after_settle",
};

static Step planned_step = STEP_COUNT;
static int	events_to_live = 0;
static int	requests = 0;
static int	answers = 0;
static int	settled = 0;

/* Settles that have committed, and what of the WAL they need. */
static struct
{
	XLogRecPtr	end;
	int			results;
}			settles[SETTLES_KEPT];
static int	settle_count = 0;

/* By the first request: this process is a worker, and has something to lose. */
static void
make_plan(void)
{
	const char *log = getenv("KILLS_LOG");
	const char *most = getenv("KILLS_MOST");
	struct stat status;
	long		kills;

	if (requests > 0 || log == NULL || most == NULL)
		return;
	kills = stat(log, &status) == 0 ? (long) status.st_size / LINE_BYTES : 0;
	if (kills >= atol(most))
		return;
	srandom((unsigned) getpid() * 2654435761U);
	planned_step = (Step) (kills % STEP_COUNT);
	events_to_live = planned_step < STEP_IN_SETTLE ?
		REQUESTS_LEAST + (int) (random() % (REQUESTS_MOST - REQUESTS_LEAST)) :
		1 + (int) (random() % SETTLES_MOST);
}

/* Results of settles that the server forgets when this process is killed now. */
static int
count_forgotten(void)
{
	XLogRecPtr	written = GetXLogWriteRecPtr();
	int			forgotten = 0;

	for (int i = settle_count - 1; i >= 0 && i >= settle_count - SETTLES_KEPT; i--)
	{
		if (settles[i % SETTLES_KEPT].end <= written)
			break;
		forgotten += settles[i % SETTLES_KEPT].results;
	}
	return forgotten;
}

static void
reach(Step step)
{
	char		line[LINE_BYTES + 1];
	struct timespec now;
	int			descriptor;

	if (step != planned_step || --events_to_live > 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	memset(line, ' ', LINE_BYTES);
	snprintf(line, sizeof(line), "%-12s %8d %5d %5d %5d %10ld.%06ld", step_names[step],
			 (int) getpid(), requests - answers, answers - settled, count_forgotten(),
			 (long) now.tv_sec, now.tv_nsec / 1000);
	line[strlen(line)] = ' ';
	line[LINE_BYTES - 1] = '\n';
	descriptor = open(getenv("KILLS_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (descriptor >= 0 && write(descriptor, line, LINE_BYTES) == LINE_BYTES)
		(void) kill(getpid(), SIGKILL);
}

ssize_t
send(int descriptor, const void *bytes, size_t count, int flags)
{
	ssize_t		(*next) (int, const void *, size_t, int) =
		(ssize_t (*) (int, const void *, size_t, int)) dlsym(RTLD_NEXT, "send");
	bool		is_request = count > 5 && memcmp(bytes, "POST ", 5) == 0;
	ssize_t		sent;

	if (is_request)
	{
		make_plan();
		requests++;
		reach(STEP_BEFORE_SEND);
	}
	sent = next(descriptor, bytes, count, flags);
	if (is_request)
		reach(STEP_IN_FLIGHT);
	return sent;
}

ssize_t
recv(int descriptor, void *bytes, size_t count, int flags)
{
	ssize_t		(*next) (int, void *, size_t, int) =
		(ssize_t (*) (int, void *, size_t, int)) dlsym(RTLD_NEXT, "recv");
	ssize_t		received = next(descriptor, bytes, count, flags);

	if (requests > 0 && received > 9 && memcmp(bytes, "HTTP/1.1 ", 9) == 0)
	{
		answers++;
		reach(STEP_ANSWERED);
	}
	return received;
}

/* A transaction that writes, with answers that are not settled yet, settles them. */
static void
watch_transaction(XactEvent event, void *arg)
{
	static bool is_settle = false;

	if (requests == 0)
		return;
	if (event == XACT_EVENT_PRE_COMMIT)
	{
		is_settle = answers > settled && TransactionIdIsValid(GetTopTransactionIdIfAny());
		if (is_settle)
			reach(STEP_IN_SETTLE);
	}
	else if (event == XACT_EVENT_COMMIT && is_settle)
	{
		settles[settle_count % SETTLES_KEPT].end = XactLastCommitEnd;
		settles[settle_count++ % SETTLES_KEPT].results = Min(answers - settled, BATCH);
		settled += Min(answers - settled, BATCH);
		reach(STEP_AFTER_SETTLE);
		is_settle = false;
	}
}

void
_PG_init(void)
{
	RegisterXactCallback(watch_transaction, NULL);
}
