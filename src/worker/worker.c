/*-------------------------------------------------------------------------
 * worker.c
 *		The process that sends the syncs of one database, or its shards of them.
 *
 * A turn of the loop reads what is new and due, starts what may leave, takes
 * answers over, settles them, and sleeps until the earliest deadline.  It
 * waits on three things: its latch, the postmaster's death, and the one
 * descriptor behind which libcurl's sockets are.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "store/session.h"
#include "store/settle.h"
#include "worker/adoption.h"
#include "worker/aftermath.h"
#include "worker/announcing.h"
#include "worker/answered.h"
#include "worker/coalescing.h"
#include "worker/credentials.h"
#include "worker/exporting.h"
#include "worker/extension.h"
#include "worker/hand.h"
#include "worker/publishing.h"
#include "worker/reading.h"
#include "worker/sender.h"
#include "worker/sending.h"
#include "worker/settling.h"
#include "worker/shards.h"
#include "worker/upkeep.h"
#include "worker/watching.h"
#include "worker/worker.h"

#define DRAIN_MS 500			/* at shutdown, for answers that are on their
								 * way */
#define SPARE_DESCRIPTORS 8

/* The place becomes free; the database WANTED or ABSENT if this was its last worker. */
static void
leave_place(int code, Datum arg)
{
	SharedState *shared = shared_state();
	int			place = DatumGetInt32(arg);
	DatabaseSlot *slot = &shared->slots[place / SHARED_WORKERS];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared_detach(&slot->workers[place % SHARED_WORKERS]);
	if (code == 0 && !extension_wants_worker(slot))
		slot->state = SLOT_ABSENT;
	else if (slot->state == SLOT_ABSENT || shared_count_workers(slot) == 0)
		slot->state = SLOT_WANTED;
	shared_announce_share(slot);
	if (slot->state == SLOT_ABSENT && shared_count_workers(slot) == 0)
		shared_release(slot);
	LWLockRelease(shared->lock);
	shared_wake(&shared->launcher_proc_number);
}

/* STARTING to ATTACHED, or back to FREE where a statement needs the database empty. */
static Oid
attach_place(int place)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot = &shared->slots[place / SHARED_WORKERS];
	WorkerSlot *worker = &slot->workers[place % SHARED_WORKERS];
	Oid			database = InvalidOid;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (worker->state == WORKER_STARTING && slot->holds > 0)
		worker->state = WORKER_FREE;
	if (worker->state == WORKER_STARTING)
	{
		shared_attach(worker);
		database = slot->database;
	}
	LWLockRelease(shared->lock);
	if (!OidIsValid(database))
		proc_exit(0);
	on_shmem_exit(leave_place, Int32GetDatum(place));
	return database;
}

/* Shards are shared out to it from now on; the launcher starts the others. */
static void
begin_serving(DatabaseSlot *slot, WorkerSlot *worker)
{
	SharedState *shared = shared_state();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	worker->state = WORKER_SERVING;
	slot->state = SLOT_SERVED;
	LWLockRelease(shared->lock);
	shared_announce_share(slot);
	shared_wake(&shared->launcher_proc_number);
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
		.user_agent = REQUEST_USER_AGENT,
		.policy = settings_address_policy(),
		.ca_file = settings_ca_file(),
	};
	Transport  *transport = transport_create(&options, problem, sizeof(problem));

	if (transport == NULL)
		ereport(FATAL,
				errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("integration worker cannot use libcurl: %s", problem));
	return transport;
}

/* Before the server lets its locks go: whoever takes its shards must not meet its requests. */
static void
close_sender(int code, Datum arg)
{
	Sender	   *sender = (Sender *) DatumGetPointer(arg);

	transport_destroy(sender->transport);
	credentials_wipe(sender);
	publishing_end(sender);
}

static void
reload_settings(Sender *sender)
{
	AddressPolicy policy;
	const char *ca_file = settings_ca_file();
	char	   *before = MemoryContextStrdup(sender->scratch, ca_file ? ca_file : "");

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	ca_file = settings_ca_file();
	if (strcmp(before, ca_file ? ca_file : "") != 0)
	{
		/* libcurl keeps its certificates; the next worker reads the new ones */
		ShutdownRequestPending = true;
		SetLatch(MyLatch);
		return;
	}
	policy = settings_address_policy();
	transport_set_policy(sender->transport, &policy);
	credentials_reopen(sender);
	exporting_reload();
	sender->loading.is_reloaded = true;
	sender->agenda.must_load = true;
	sender->upkeep.retain_at = sender->now;
}

/* Milliseconds to sleep; 0: there is something to do. */
static long
sleep_ms(Sender *sender)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = Min(Min(reading_deadline(sender), sending_deadline(sender)),
							   Min(settling_deadline(sender), upkeep_deadline(sender)));
	int			transport_ms = transport_timeout_ms(sender->transport);
	long		ms;

	deadline = Min(deadline, Min(shards_deadline(sender), publishing_deadline(sender)));
	deadline = Min(deadline, Min(announcing_deadline(sender), watching_deadline(sender)));
	deadline = Min(deadline, exporting_deadline(sender));
	ms = deadline <= now ? 0 : (long) Min((deadline - now + 999) / 1000, 60000);
	if (sender->wanted.count + sender->crowd.count > 0 && sender->sql_again_at <= now)
		return 0;
	if (transport_ms >= 0)
		ms = Min(ms, transport_ms);
	return ms;
}

/* What may leave does, so that the receivers have work while statements run. */
static void
keep_them_busy(Sender *sender)
{
	sending_turn(sender);
	transport_advance(sender->transport);
}

static void
turn(Sender *sender)
{
	sender->now = GetCurrentTimestamp();
	shards_turn(sender);
	if (reading_is_due(sender))
	{
		if (!reading_may_stop_ready(sender))
			keep_them_busy(sender);
		reading_now(sender);
	}
	coalescing_turn(sender);
	sending_turn(sender);
	transport_advance(sender->transport);
	sending_collect(sender);
	if (settling_is_due(sender))
	{
		keep_them_busy(sender);
		settling_now(sender);
	}
	announcing_turn(sender);
	watching_turn(sender);
	exporting_turn(sender);
	upkeep_turn(sender);
	MemoryContextReset(sender->scratch);
}

static void
wait_for_work(Sender *sender, WaitEventSet *events, long ms)
{
	WaitEvent	event;

	publishing_turn(sender, ms > 0);
	reading_rest(sender);
	if (ms > 0)
		(void) WaitEventSetWait(events, ms, &event, 1, compat_wait_event());
	ResetLatch(MyLatch);
}

/*
 * Whatever the clock says, or it would be sent again.  A result that can't be
 * recorded is looked for by halves, for as long as there is time.
 */
static void
record_answers(Sender *sender)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DRAIN_MS);

	sender->batches.stuck_until = sender->now;
	answered_hurry(sender);
	do
	{
		int			answered = sender->answered_count;
		int			most = sender->batches.most;

		sender->now = GetCurrentTimestamp();
		sender->sql_again_at = sender->now;
		settling_now(sender);
		if ((sender->batches.most < most || sender->batches.most == 1) &&
			GetCurrentTimestamp() > end)
			return;
		if (sender->answered_count == answered && sender->batches.most == most &&
			sender->batches.rest_count == 0)
			return;
	} while (sender->answered_count > 0);
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
	record_answers(sender);
	session_flush();
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

/*
 * A statement that failed may mean that the extension was dropped or updated.
 * Ends the process where it was.
 */
static void
look_again(Sender *sender)
{
	if (!extension_may_have_changed(sender->slot) && sender->sql_again_at <= sender->now)
		return;
	if (!extension_look(sender->slot))
		return;
	if (!extension_exists())
		proc_exit(0);
	/* what was prepared is of no use any more: begin anew */
	if (!extension_fits())
		proc_exit(1);
}

static void
run(Sender *sender, WaitEventSet *events)
{
	while (!ShutdownRequestPending && !shards_are_left(sender))
	{
		/* between turns there is no statement that could be cancelled */
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload_settings(sender);
		turn(sender);
		look_again(sender);
		wait_for_work(sender, events, sleep_ms(sender));
	}
	drain(sender, events);
}

static void
start_up(Oid database, DatabaseSlot *slot, int number)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	/* a SIGHUP before the line above was ignored */
	ConfigReloadPending = true;
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	session_pin_settings("integration worker");
	pgstat_report_activity(STATE_RUNNING, "starting");
	if (!extension_look(slot))
		proc_exit(1);
	if (extension_exists())
		extension_await_fit(slot, number);
	if (!extension_exists() || ShutdownRequestPending)
		proc_exit(0);
}

/* Before anything waits. */
static void
rehearse_step(void *arg)
{
	settle_rehearse();
}

void
integration_worker_main(Datum arg)
{
	int			place = DatumGetInt32(arg);
	DatabaseSlot *slot = &shared_state()->slots[place / SHARED_WORKERS];
	int			number = place % SHARED_WORKERS;
	Sender	   *sender;

	start_up(attach_place(place), slot, number);
	adoption_await(slot, number);
	aftermath_await(slot, number);
	if (ShutdownRequestPending)
		proc_exit(0);
	hand_open();
	sender = sender_create(slot, number, reserve_descriptors());
	sender->transport = open_transport(sender->max_connections);
	before_shmem_exit(close_sender, PointerGetDatum(sender));
	ereport(LOG,
			errmsg("integration worker of database \"%s\" started with %d connections",
				   extension_database(), sender->max_connections),
			errdetail_internal("%s", transport_description()));
	(void) session_run(rehearse_step, NULL);
	begin_serving(slot, &slot->workers[number]);
	run(sender, create_events(sender));
	proc_exit(0);
}
