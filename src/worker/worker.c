/*-------------------------------------------------------------------------
 * worker.c
 *		The process that sends one database's syncs.
 *
 * A turn of the loop reads what is new and due, starts what may leave, takes
 * answers over, settles them, and sleeps until the earliest deadline.  It
 * waits on three things: its latch, the postmaster's death, and the one
 * descriptor behind which libcurl's sockets are.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "store/session.h"
#include "worker/sender.h"
#include "worker/worker.h"

#define DRAIN_MS 500			/* at shutdown, for answers that are on their
								 * way */
#define SPARE_DESCRIPTORS 8
#define MAINTAIN_EVERY_MS 60000

static bool extension_exists = false;
static Oid	extension_at_start = InvalidOid;
static bool has_lock = false;
static char database_name[NAMEDATALEN];
static uint32 registry_changes_at_start = 0;

/* RUNNING to WANTED after a crash or a stop, to ABSENT where there is nothing to do. */
static void
leave_slot(int code, Datum arg)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot = (DatabaseSlot *) DatumGetPointer(arg);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&slot->proc_number, SHARED_NO_PROCESS);
	slot->pid = 0;
	if (extension_exists || code != 0 || slot->holds > 0 ||
		pg_atomic_read_u32(&slot->registry_changes) != registry_changes_at_start)
		slot->state = SLOT_WANTED;
	else
		shared_release(slot);
	LWLockRelease(shared->lock);
	shared_wake(&shared->launcher_proc_number);
}

/* STARTING to RUNNING, or back to WANTED where a statement needs the database empty. */
static DatabaseSlot *
attach_slot(Oid database)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = shared_find(database);
	if (slot != NULL && slot->state == SLOT_STARTING && slot->holds > 0)
		slot->state = SLOT_WANTED;
	if (slot != NULL && slot->state == SLOT_STARTING)
	{
		slot->state = SLOT_RUNNING;
		slot->pid = MyProcPid;
		memset(&slot->live, 0, sizeof(slot->live));
		registry_changes_at_start = pg_atomic_read_u32(&slot->registry_changes);
		pg_atomic_write_u32(&slot->proc_number, (uint32) compat_my_proc_number());
	}
	else
		slot = NULL;
	LWLockRelease(shared->lock);
	if (slot == NULL)
		proc_exit(0);
	on_shmem_exit(leave_slot, PointerGetDatum(slot));
	return slot;
}

/* An extension that was made anew is another one: what is in memory is about the old one's rows. */
static void
look_step(void *arg)
{
	Oid			extension = statements_extension();

	strlcpy(database_name, get_database_name(MyDatabaseId), NAMEDATALEN);
	if (!OidIsValid(extension_at_start))
		extension_at_start = extension;
	extension_exists = OidIsValid(extension) && extension == extension_at_start;
	if (extension_exists && !has_lock)
		has_lock = statements_take_lock();
}

static void
recover_step(void *arg)
{
	Sender	   *sender = arg;

	/* what was given a new time is found again from the beginning */
	if (statements_recover(sender->started_at) > 0)
		sender->must_rewind = true;
}

static void
partitions_step(void *arg)
{
	statements_make_partitions();
}

/* In transactions of its own: what can't be done now waits a minute, and nothing else does. */
static void
maintain(Sender *sender)
{
	if (sender->maintain_at > sender->now)
		return;
	sender->maintain_at = TimestampTzPlusMilliseconds(sender->now, MAINTAIN_EVERY_MS);
	(void) session_run(partitions_step, NULL);
	(void) session_run(recover_step, sender);
}

/*
 * libcurl opens descriptors behind the server's back: reserve them all at
 * once, since single ones can't be counted (libcurl 7.88.1 closes some without
 * a word).  Returns how many connections fit.
 */
static int
reserve_descriptors(void)
{
	int			wanted = 2 * settings_max_connections() + SPARE_DESCRIPTORS;
	int			granted = 0;
	int			connections;

	while (granted < wanted && AcquireExternalFD())
		granted++;
	connections = Max((granted - SPARE_DESCRIPTORS) / 2, 1);
	if (granted < wanted)
		ereport(LOG,
				errmsg("integration worker uses %d connections instead of %d",
					   connections, settings_max_connections()),
				errhint("Raise the limit of open files of the server process, or lower integration.max_connections."));
	return connections;
}

static Transport *
open_transport(int max_connections)
{
	char		problem[256];
	TransportOptions options = {
		.max_connections = max_connections,
		.user_agent = "integration/" INTEGRATION_VERSION,
		.allowed_networks = settings_allowed_networks(),
		.ca_file = settings_ca_file(),
	};
	Transport  *transport = transport_create(&options, problem, sizeof(problem));

	if (transport == NULL)
		ereport(FATAL,
				errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("integration worker can't use libcurl: %s", problem));
	return transport;
}

static void
close_transport(int code, Datum arg)
{
	Sender	   *sender = (Sender *) DatumGetPointer(arg);

	transport_destroy(sender->transport);
}

static void
reload_settings(Sender *sender)
{
	NetworkList networks;
	const char *ca_file = settings_ca_file();
	char	   *before = MemoryContextStrdup(sender->scratch, ca_file ? ca_file : "");

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	ca_file = settings_ca_file();
	if (strcmp(before, ca_file ? ca_file : "") != 0)
	{
		/* libcurl keeps its certificates; the next worker reads the new ones */
		ShutdownRequestPending = true;
		return;
	}
	networks = settings_allowed_networks();
	transport_set_allowed_networks(sender->transport, &networks);
	sender->must_load = true;
}

/* Milliseconds to sleep; 0: there is something to do. */
static long
sleep_ms(Sender *sender)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = Min(Min(reading_deadline(sender), sending_deadline(sender)),
							   Min(settling_deadline(sender),
								   Min(sender->maintain_at, publishing_deadline(sender))));
	long		ms = deadline <= now ? 0 : (long) Min((deadline - now + 999) / 1000, 60000);
	int			transport_ms = transport_timeout_ms(sender->transport);

	if (sender->id_count > 0 && sender->sql_again_at <= now)
		return 0;
	if (transport_ms >= 0)
		ms = Min(ms, transport_ms);
	return ms;
}

static void
turn(Sender *sender)
{
	sender->now = GetCurrentTimestamp();
	reading_turn(sender);
	sending_turn(sender);
	transport_advance(sender->transport);
	sending_collect(sender);
	settling_turn(sender, sender->in_flight_count == 0);
	maintain(sender);
	MemoryContextReset(sender->scratch);
}

static void
wait_for_work(Sender *sender, WaitEventSet *events, long ms)
{
	WaitEvent	event;

	publishing_turn(sender, ms > 0);
	if (ms > 0)
		(void) WaitEventSetWait(events, ms, &event, 1, compat_wait_event());
	ResetLatch(MyLatch);
}

/* Answers that are on their way are still taken; what hangs is left to the next worker. */
static void
drain(Sender *sender, WaitEventSet *events)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DRAIN_MS);
	WaitEvent	event;

	while (sender->in_flight_count > 0 && GetCurrentTimestamp() < end)
	{
		(void) WaitEventSetWait(events, 10, &event, 1, compat_wait_event());
		ResetLatch(MyLatch);
		sender->now = GetCurrentTimestamp();
		transport_advance(sender->transport);
		sending_collect(sender);
	}
	/* recorded whatever the clock says, or it would be sent again */
	sender->stuck_until = sender->now;
	do
	{
		int			before = sender->answered_count;

		sender->now = GetCurrentTimestamp();
		settling_turn(sender, true);
		if (sender->answered_count == before)
			break;
	} while (sender->answered_count > 0);
}

static WaitEventSet *
create_events(const Sender *sender)
{
	WaitEventSet *events = compat_create_wait_event_set(3);

	AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(events, WL_SOCKET_READABLE, transport_descriptor(sender->transport),
					  NULL, NULL);
	return events;
}

/* A statement that failed may mean that the extension was dropped; so does a DROP EXTENSION. */
static bool
may_be_dropped(Sender *sender)
{
	bool		was_announced = sender->slot->check_extension;

	/* before the look: one that is announced during it counts for the next */
	sender->slot->check_extension = false;
	return was_announced || sender->sql_again_at > sender->now;
}

static void
run(Sender *sender, WaitEventSet *events)
{
	while (!ShutdownRequestPending)
	{
		/* between turns there is no statement that could be cancelled */
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload_settings(sender);
		turn(sender);

		if (may_be_dropped(sender) && session_run(look_step, NULL) && !extension_exists)
			proc_exit(0);
		wait_for_work(sender, events, sleep_ms(sender));
	}
	drain(sender, events);
}

static void
start_up(Oid database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	/* a SIGHUP before the line above was ignored */
	ConfigReloadPending = true;
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	session_pin_settings();
	pgstat_report_activity(STATE_RUNNING, "starting");
	if (!session_run(look_step, NULL))
		proc_exit(1);
	if (!extension_exists)
		proc_exit(0);
	if (!has_lock)
	{
		ereport(LOG,
				errmsg("integration worker waits for another one to leave database \"%s\"",
					   database_name));
		proc_exit(1);
	}
}

void
integration_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);
	DatabaseSlot *slot = attach_slot(database);
	Sender	   *sender;

	start_up(database);
	sender = sender_create(slot, reserve_descriptors());
	sender->transport = open_transport(sender->max_connections);
	before_shmem_exit(close_transport, PointerGetDatum(sender));
	/* nothing may be sent before it is known what a worker before had sent */
	if (!session_run(recover_step, sender))
		proc_exit(1);
	ereport(LOG,
			errmsg("integration worker of database \"%s\" started with %d connections",
				   database_name, sender->max_connections),
			errdetail_internal("%s", transport_description()));
	run(sender, create_events(sender));
	proc_exit(0);
}
