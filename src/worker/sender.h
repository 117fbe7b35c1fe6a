/*-------------------------------------------------------------------------
 * sender.h
 *		What one worker holds in memory: endpoints, leases.
 *
 * A lease is one sync that this worker has read and not settled yet, good for
 * one attempt.  It lives here only: if the worker dies, its queue row is still
 * there and is read again.
 *
 *		READY --start--> IN_FLIGHT --collect--> ANSWERED --settle--> (freed)
 *												  ^  |
 *												  |  row held by somebody
 *												  |  v
 *												 STUCK
 *
 * The other files of this directory work on it, each with a header of its own.
 * They run outside of any transaction, and what needs one goes through
 * session_run(), which ends the errors of statements.  What is left to throw is
 * want of memory: that ends the worker, whose leases the next one reads again.
 * A header says so where a function is different.
 *
 * Memory: "integration sender" for the worker's life, "integration registry"
 * until all endpoints were read again, "integration scratch" for one turn.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SENDER_H
#define INTEGRATION_SENDER_H

#include "postgres.h"

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "utils/hsearch.h"

#include "flow/bucket.h"
#include "flow/ownership.h"
#include "flow/pace.h"
#include "flow/patience.h"
#include "flow/shares.h"
#include "flow/turns.h"
#include "flow/window.h"
#include "message/request.h"
#include "message/trace_context.h"
#include "store/settle.h"
#include "store/statements.h"
#include "transport/transport.h"
#include "worker/shared.h"

#define SENDER_BATCH 200		/* results in one settle, rows in one take */
#define SENDER_IDS 1000			/* rows that the feed gives to be read by
								 * their ids */

/* What rows are passed over for that may end without a word about them. */
typedef enum Hold
{
	HOLD_PAUSE,					/* of their customer */
	HOLD_KEY,					/* an earlier one of their ordering key */
	HOLD_COUNT
} Hold;

/* Where reading of one endpoint and priority stands. */
typedef struct Cursor
{
	TimestampTz after_due;
	int64		after_id;
	bool		has_more;		/* the last read stopped at its limit */
	TimestampTz next_due_at;	/* of rows above the cursor; DT_NOEND: none
								 * known */
	TimestampTz held_due[HOLD_COUNT];	/* first row passed over for each;
										 * DT_NOEND: none */
} Cursor;

/*
 * Rows of one transaction that turned up below their cursors, when the endpoint
 * had no room: read forward in the feed's index.
 */
typedef struct Range
{
	dlist_node	node;
	FullTransactionId change_xid;
	TimestampTz after_due;
	int64		after_id;
} Range;

typedef enum LeaseKind
{
	LEASE_FIRST,				/* never tried */
	LEASE_RETRY
} LeaseKind;

#define LEASE_KINDS 2

/* What keeps an endpoint from sending is waited for in one place. */
typedef enum EndpointStand
{
	STAND_ASIDE,				/* nothing to send, or its window is full */
	STAND_IN_TURN,				/* in sender->line.turns */
	STAND_TIMED,				/* in sender->line.timed: until again_at */
	STAND_SHORT,				/* in sender->line.short_of_connections */
	STAND_TOKEN					/* in sender->line.waiting_for_tokens */
} EndpointStand;

typedef struct Endpoint
{
	int32		id;				/* hash key */
	bool		is_listed;		/* in the registry as last read */
	int64		listed_in;		/* the load that read it last */
	bool		is_busy;		/* in sender->busy */
	dlist_node	busy_node;
	bool		is_hungry;		/* in sender->hungry */
	dlist_node	hungry_node;
	TimestampTz wake_at;		/* in sender->sleepers; 0: it is not */
	pairingheap_node sleep_node;
	EndpointRow row;			/* strings in the registry's memory */
	RequestFormat format;
	TransferOptions options;
	Window		window;
	Bucket		bucket;
	bool		is_taken_over;	/* its calls of before are still to be counted */
	Pace		pace;
	TimestampTz paced_at;		/* when it was last told what is left */
	TimestampTz lost_at;		/* when a request was last lost on a kept
								 * connection; 0: never */
	EndpointStand stand;
	Turn		turn_node;
	pairingheap_node timed_node;
	dlist_node	short_node;
	dlist_node	token_node;
	int64		awaited_token;	/* the request for one that it waits for; 0:
								 * none; see tokens.c */
	bool		awaits_token;	/* what was chosen last could not leave
								 * without one */
	TimestampTz again_at;
	bool		is_claimant;	/* counted in sender->line.claimant_count */
	Trust		trust;
	Counter		counter;
	int			row_after;		/* of the present batch's rest, so many came
								 * before a delivery to it */
	int64		counted_in;		/* the batch that has the counter already */
	bool		is_probing;		/* breaker not closed: one request at a time */
	int64		last_retried;	/* the sync that failed last; a probe is
								 * another one */
	TimestampTz not_before;		/* 0: now */
	TimestampTz changed_at;		/* when a change of what it is called with was
								 * read; 0: never */
	bool		needs_remote_id;	/* its URL holds {remote_id} */
	Cursor		cursors[PRIORITY_COUNT];
	dlist_head	ranges;
	int			range_count;
	int			lease_count;
	size_t		held_bytes;		/* of its leases */
	size_t		planned_bytes;	/* of rows about to become leases */
	int32		needed_bytes;	/* of the payload for which there was no room */
	dlist_head	ready[PRIORITY_COUNT][LEASE_KINDS];
	int			ready_count;
	int			in_flight;
	int			retries_in_flight;
	int			unjudged;		/* bad answers that settle() has not seen:
								 * they keep their slots */
	unsigned	turn;			/* walks through the priorities' weights */
} Endpoint;

typedef struct OpenedCredential OpenedCredential;
typedef struct Tokens Tokens;

typedef enum LeaseState
{
	LEASE_READY,
	LEASE_IN_FLIGHT,
	LEASE_ANSWERED,
	LEASE_STUCK					/* answered; its row is held by somebody */
} LeaseState;

typedef struct Lease
{
	int64		outbox_id;
	Endpoint   *endpoint;
	LeaseState	state;
	dlist_node	node;			/* in endpoint->ready, sender->in_flight or
								 * sender->answered */
	FullTransactionId change_xid;
	int16		priority;
	LeaseKind	kind;
	TimestampTz due_at;
	TimestampTz expires_at;
	bool		is_unjudged;	/* counted in endpoint->unjudged */
	int64		settled_in;		/* the batch that it was brought in last */
	bool		is_vain;		/* a probe that failed: nobody waits for its
								 * verdict */
	bool		is_stuck;		/* its row was held by somebody at a settle */
	bool		must_reread;	/* a newer sync of its object may be there */
	TimestampTz fresh_until;	/* sent all the same until then */
	int64		keys[KEY_COUNT];	/* see keys.c */
	TimestampTz started_at;
	int			crashes;		/* that it was in hand at, since its last
								 * attempt */
	int			place_in_hand;	/* see hand.h; 0: none */
	int			at_once;		/* requests of its endpoint in flight when it
								 * was answered, itself included */
	size_t		bytes;			/* counted in sender->held_bytes */
	Request		request;
	OpenedCredential *used[3];	/* whose secrets the attempt holds: the one
								 * that authenticates, the one that signs, the
								 * one that its connection shows */
	int64		token;			/* access token that it left with; 0: none */
	bool		was_refused;	/* that one, once: it left with another one */
	Answer	   *answer;			/* NULL: never left, reason says why not */
	char		reason[TRANSPORT_REASON_BYTES]; /* why it can't leave; "" when
												 * it can */
	char		problem[256];
	int			retry_after_s;	/* as said where it could not leave; -1: not */
	char	   *object_type;	/* NULL: none */
	char	   *object_id;
	TraceContext trace;			/* of the attempt */
} Lease;

/* Its shards by advisory locks; see shards.c. */
typedef struct Locks
{
	uint32		held;			/* those that are locked: also what is about
								 * to be given up */
	uint32		share;			/* those that it should have */
	uint32		share_seen;		/* of shared memory's share_changes */
	TimestampTz held_since[OWNERSHIP_SHARDS];
	TimestampTz again_at;		/* when missing locks are tried again; 0: it
								 * has not looked yet */
} Locks;

/* Secrets opened for use; see credentials.c. */
typedef struct Vault
{
	MemoryContext memory;		/* wiped before it is freed */
	HTAB	   *opened;			/* by name */
	int64		openings;		/* of credentials so far */
} Vault;

/* Endpoints that have something to send, each in one place; see sending.c. */
typedef struct Line
{
	Turns		turns;			/* endpoints that may be able to send */
	pairingheap timed;			/* endpoints that wait for a time, the next
								 * one first */
	dlist_head	short_of_connections;
	dlist_head	waiting_for_tokens; /* endpoints */
	int			claimant_count; /* endpoints that have or want connections */
	int			doubtful_in_flight_count;	/* of endpoints not known to
											 * answer */
	TimestampTz checked_at;		/* when overdue answers were last looked for */
} Line;

/* Syncs that were in hand at crashes, one at a time; see suspects.c. */
typedef struct Suspects
{
	HTAB	   *table;			/* by id; NULL: there are none */
	Lease	   *in_hand;		/* the one in hand, or NULL */
	dlist_head	waiting;		/* ready, until that one is settled */
} Suspects;

/* What became visible between two snapshots, more than is looked at one by one; see feeding.c. */
typedef struct Flood
{
	char	   *previous;
	char	   *present;		/* NULL: there is none */
	FullTransactionId after_xid;	/* how far it has been read */
	int32		after_endpoint;
	bool		is_followed;	/* by another one, which waits for its end */
} Flood;

/* How far what became visible has been looked at; see feeding.c. */
typedef struct Feeding
{
	char	   *snapshot;		/* of the last feed; NULL: read from the
								 * beginning */
	Flood		flood;			/* of before it */
} Feeding;

/* Rows to be read by their ids; see places.c. */
typedef struct Wanted
{
	int64	   *ids;
	int			count;
	int			room;
} Wanted;

/* Rows of whose objects other syncs wait; see coalescing.c. */
typedef struct Crowd
{
	int64		ids[SENDER_IDS];
	int64		keys[SENDER_IDS];	/* KEY_OBJECT of each */
	int			count;
} Crowd;

/* Endpoints being read anew; see registry.c. */
typedef struct Loading
{
	MemoryContext memory;		/* theirs; NULL: none are being read */
	int32		until;			/* how far by their ids */
	int64		count;			/* begun so far */
	bool		is_reloaded;	/* the settings were, since it was read */
	bool		is_for_settings;	/* they were before it began */
} Loading;

/* What is to be read, when; see reading.c. */
typedef struct Agenda
{
	bool		must_load;		/* the registry changed: begin to read it */
	bool		must_look;		/* safety look: whether it did */
	bool		must_check;		/* people changed rows that may be leased */
	bool		must_feed;		/* commits were announced */
	Bucket		feeds;			/* a token for each look at them */
	Bucket		held_feeds;		/* for each of these that led to no request */
	TimestampTz feed_at;		/* and are looked at not before */
	bool		must_rewind;	/* read from the beginning */
	TimestampTz noticed_at;		/* of the last turn that read */
	uint32		turns_back;		/* how often the clock went back */
	TimestampTz look_at;		/* next safety look */
	bool		must_look_back; /* at what was passed over behind heads */
	TimestampTz look_back_at;	/* not before */
	TimestampTz expire_at;		/* DT_NOEND: nothing expires */
	TimestampTz expired_until;	/* what expired before has been closed */
} Agenda;

/* Results on their way into tables; see settling.c. */
typedef struct Batches
{
	int64		count;			/* batches so far */
	int			most;			/* results in the next settle: fewer after one
								 * that failed */
	Patience	patience;		/* of the answered ones */
	int64		rest_of;		/* the batch of which some wait for settle() */
	int			rest_count;		/* how many */
	int			judged_count;	/* how many of them no longer do */
	int			vain_count;		/* answered ones that wait until vain_until */
	TimestampTz vain_until;		/* DT_NOEND: there are none */
	int			stuck_count;	/* put aside, since somebody holds their rows */
	TimestampTz stuck_until;	/* when stuck results are brought again;
								 * DT_NOEND: there are none */
} Batches;

/* What is done beside sending; see upkeep.c. */
typedef struct Upkeep
{
	bool		has_looked_back;	/* whether the clock was set back before
									 * it started */
	bool		is_turning_back;	/* it was: the queue's rows are gone
									 * through */
	int64		turned_back_to;
	TimestampTz maintain_at;	/* ranges and marks are looked after next */
	TimestampTz ranges_at;		/* the next range is not made before */
	int64		ranges_from;	/* it is wanted when this id is reached */
	int64		highest_id;		/* of a sync that was read */
	TimestampTz retain_at;		/* what is old is looked for next */
	TimestampTz forget_at;		/* old dedup_keys are removed next */
} Upkeep;

typedef struct Sender
{
	DatabaseSlot *slot;
	int			number;			/* among the database's workers, from 0 */
	MemoryContext memory;
	MemoryContext registry_memory;
	MemoryContext scratch;
	Transport  *transport;
	int			max_connections;
	uint32		shards;			/* bit by bit: those that may be sent to */
	Locks		locks;
	TimestampTz now;			/* of this turn */
	Vault		vault;
	Tokens	   *tokens;			/* see tokens.c */
	HTAB	   *endpoints;		/* by id */
	dlist_head	busy;			/* endpoints that are shown: with something to
								 * send, or in flight */
	dlist_head	hungry;			/* endpoints that may have rows to be read */
	pairingheap *sleepers;		/* those that will have some at a known time */
	int			leasing_count;	/* endpoints that have leases */
	HTAB	   *leases;			/* by outbox id */
	HTAB	   *keys;			/* of the leases; see keys.c */
	Line		line;
	dlist_head	in_flight;		/* in the order they were started */
	dlist_head	answered;
	dlist_head	stuck;			/* answered, but somebody holds their rows */
	Suspects	suspects;
	int			ready_count;
	int			in_flight_count;
	int			answered_count;
	size_t		held_bytes;
	size_t		planned_bytes;	/* of rows about to become leases */
	Feeding		feeding;
	Wanted		wanted;
	Wanted		wanted_later;	/* at the next safety look */
	Crowd		crowd;
	RegistryState registry;		/* as last read */
	Loading		loading;
	Agenda		agenda;
	Batches		batches;
	Upkeep		upkeep;
	TimestampTz sql_again_at;	/* after an error no statement is run before */
	int64		delivered;
	int64		failed;
	TimestampTz started_at;
	TimestampTz published_at;
} Sender;

/* With nothing read yet; lives as long as the process. */
extern Sender *sender_create(DatabaseSlot *slot, int number, int max_connections);

/* The endpoint of this id, made where the worker has not met it yet. */
extern Endpoint *sender_endpoint(Sender *sender, int32 id);

/* The endpoint's shard, as a mask. */
extern uint32 sender_shard(int32 endpoint_id);

/* Whether the endpoint is in one of this worker's shards. */
extern bool sender_owns(const Sender *sender, int32 endpoint_id);

/* It has something to send, or room again: it gets its turn, and is shown among the live ones. */
extern void sender_mark_busy(Sender *sender, Endpoint *endpoint);

/* Have reading look whether there is something to read for the endpoint. */
extern void sender_mark_hungry(Sender *sender, Endpoint *endpoint);

/* The same at a later time; DT_NOEND: not before something happens. */
extern void sender_sleep_until(Sender *sender, Endpoint *endpoint, TimestampTz at);

/* The lease of the sync, or NULL. */
extern Lease *sender_lease(Sender *sender, int64 outbox_id);

/* Walks through all leases. */
extern Lease *sender_next_lease(HASH_SEQ_STATUS *scan);

/* What a sync takes in memory, with what its request is made of. */
extern size_t sender_row_bytes(int32 payload_bytes);

/* Nothing happens where the sync is leased already. */
extern void sender_add_lease(Sender *sender, Endpoint *endpoint, const TakenRow *row,
							 const Content *content);

/* From any state; what its keys and its room held back may go on. */
extern void sender_free_lease(Sender *sender, Lease *lease);

/*
 * Whether the lease is to be read again before it leaves, since a newer sync
 * of its object may be there.  It is then gone; what is read has its turn.
 */
extern bool sender_rereads(Sender *sender, Lease *lease);

/* Forget what was read for the endpoint and not sent yet; it is read again by id. */
extern void sender_drop_ready(Sender *sender, Endpoint *endpoint);

/* The same for all endpoints. */
extern void sender_drop_all_ready(Sender *sender);

/* Read nothing more and start nothing more for the endpoints of these shards. */
extern void sender_close_shards(Sender *sender, uint32 shards);

/* Forget their endpoints, of which nothing may be in flight or unsettled. */
extern void sender_forget_shards(Sender *sender, uint32 shards);

/* The clock went back: no deadline lies further ahead than it could. */
extern void sender_turn_back(Sender *sender);

/* A row expires then. */
extern void sender_note_expiry(Sender *sender, TimestampTz expires_at);

/*
 * When the endpoint may be called again, apart from window and rate: 0 now,
 * DT_NOEND not before somebody acts.
 */
extern TimestampTz sender_closed_until(const Sender *sender, const Endpoint *endpoint);

#endif							/* INTEGRATION_SENDER_H */
