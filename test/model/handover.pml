/*-------------------------------------------------------------------------
 * handover.pml
 *		How syncs pass from a commit to a request and to its recorded result.
 *
 * Three syncs, two ordering keys, one shard, two workers that may own it.  Steps
 * have the names of the functions they stand for; README.md says what is left
 * out, what holds, and which line each mutation (-DWITHOUT_...) breaks.
 *-------------------------------------------------------------------------
 */
#ifndef CRASHES
#define CRASHES 1				/* of the server */
#endif
#ifndef DEATHS
#define DEATHS 1				/* of a worker whose session ends without a word */
#endif
#ifndef MOVES
#define MOVES 1					/* of the shard to the other worker */
#endif
#ifndef ACTIONS
#define ACTIONS 1				/* of a person */
#endif
#ifndef FAILURES
#define FAILURES 1				/* that receivers answer with */
#endif

#define SYNCS 3
#define WORKERS 2
#define KEYS 2
#define WAL SYNCS				/* commits that may be unflushed at a time */
#define KEY(s) ((s) == 1)		/* the first and the last sync share one */
#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)
#define AT(w, s) ((w) * SYNCS + (s))
#define NOBODY 255
#define NONE 255				/* no sync */

/* ---- the server: what is committed, what of it is on disk */

#define ABSENT 0				/* not committed */
#define PENDING 1				/* or retrying */
#define FAILED 2
#define DELIVERED 3				/* no queue row */
#define CANCELLED 4				/* no queue row, a closing */

#define ROW(state, xid, due) ((state) | (xid) << 3 | (due) << 6)
#define STATE(r) ((r) & 7)
#define XID(r) (((r) >> 3) & 7)
#define DUE(r) ((r) >> 6)
#define QUEUED(r) (STATE(r) == PENDING || STATE(r) == FAILED)

short row[SYNCS];				/* as anybody sees them */
short durable[SYNCS];			/* as they are after a crash */
short wal_row[WAL * SYNCS];		/* all rows after each unflushed commit */
byte wal_xid[WAL];
byte wal_owner[WAL];			/* worker; NOBODY: a person or an application */
byte wal_count;
byte clock = 1;
byte next_xid = 1;
byte running;					/* a set of xids */
byte last_done;					/* latestCompletedXid */
byte lock_owner = NOBODY;		/* the session advisory lock of the shard */
byte share;						/* the worker that should have it */

/* ---- applications, and a person */

byte app_xid[SYNCS];
byte app_due[SYNCS];			/* of a transaction that runs; 0: none */
byte person_xid;
byte person_due;				/* now() of that transaction */
byte person_sync;
bit person_cancels;
byte person_locks;				/* a set of syncs */

/* ---- workers, in memory */

#define READY 1
#define IN_FLIGHT 2
#define GOOD 3					/* answered */
#define AGAIN 4					/* answered: try again later */
#define REFUSED 5				/* answered: a person must act */

byte lease[WORKERS * SYNCS];
byte lease_xid[WORKERS * SYNCS];
byte waiting[WORKERS * KEYS];	/* sync + 1 to be read when the key is free */
byte ids[WORKERS];				/* syncs to be read by id */
byte stuck[WORKERS];			/* results whose rows somebody held */
byte after_due[WORKERS];
byte next_due[WORKERS];			/* 0: not known */
bit has_passed_over[WORKERS];	/* the last sync, behind the first */
bit has_more[WORKERS];
bit serves[WORKERS];
bit is_dying[WORKERS];			/* its requests are cut, its lock is still there */
bit must_feed[WORKERS];
bit must_check[WORKERS];
byte snapshot_xmax[WORKERS];	/* 0: no look yet */
byte snapshot_xip[WORKERS];
byte settling[WORKERS];			/* sync + 1 whose transaction runs */
byte successor[WORKERS];		/* sync + 1 */

/* ---- what is watched */

byte was_sent;					/* a set of syncs */
byte was_received;
byte may_be_late;				/* may follow later ones of its key */
byte is_wanted;					/* a person asked for it, no request has left since */

byte crashes = CRASHES;
byte deaths = DEATHS;
byte moves = MOVES;
byte actions = ACTIONS;
byte failures = FAILURES;

byte i, j, k;					/* scratch of steps */

/* Scratch must not make one state many. */
#define END i = 0; j = 0; k = 0

#define FOR_SYNCS(n) n = 0; do :: n == SYNCS -> break :: else ->
#define NEXT(n) n++ od

#define PRINT_ROWS() \
	printf("ROWS %d %d %d\n", STATE(row[0]), STATE(row[1]), STATE(row[2]))

/* ---- WAL */

inline flush(count)
{
	FOR_SYNCS(k) durable[k] = wal_row[(count - 1) * SYNCS + k]; NEXT(k);
	k = count;
	do
	:: k == wal_count -> break
	:: else ->
		wal_xid[k - count] = wal_xid[k];
		wal_owner[k - count] = wal_owner[k];
		wal_row[(k - count) * SYNCS] = wal_row[k * SYNCS];
		wal_row[(k - count) * SYNCS + 1] = wal_row[k * SYNCS + 1];
		wal_row[(k - count) * SYNCS + 2] = wal_row[k * SYNCS + 2];
		k++
	od;
	k = wal_count;
	wal_count = wal_count - count;
	do
	:: k == wal_count -> break
	:: else ->
		k--;
		wal_xid[k] = 0;
		wal_owner[k] = 0;
		wal_row[k * SYNCS] = 0;
		wal_row[k * SYNCS + 1] = 0;
		wal_row[k * SYNCS + 2] = 0
	od
}

/* Up to the last commit of the worker. */
inline session_flush(w)
{
	j = wal_count;
	do
	:: j > 0 && wal_owner[j - 1] != w -> j--
	:: else -> break
	od;
	if
	:: j > 0 -> flush(j)
	:: else
	fi
}

/* Up to the commit that the row came with. */
inline flush_commit(xid)
{
	j = wal_count;
	do
	:: j > 0 && wal_xid[j - 1] != xid -> j--
	:: else -> break
	od;
	if
	:: j > 0 -> flush(j)
	:: else
	fi
}

/* Where no crash is to come the disk makes no difference. */
inline write_commit(xid, owner)
{
	if
	:: crashes > 0 ->
		FOR_SYNCS(k) wal_row[wal_count * SYNCS + k] = row[k]; NEXT(k);
		wal_xid[wal_count] = xid;
		wal_owner[wal_count] = owner;
		wal_count++
	:: else ->
		FOR_SYNCS(k) durable[k] = row[k]; NEXT(k)
	fi
}

inline end_transaction(xid)
{
	running = running & ~BIT(xid);
	last_done = (xid > last_done -> xid : last_done)
}

inline announce()
{
	must_feed[0] = 1;
	must_feed[1] = 1
}

/* ---- the queue */

#define SHARES_KEY(s, t) ((s) != (t) && KEY(s) == KEY(t))
/* There are two syncs of a key at most: the other one, or the sync itself. */
#define OTHER(s) ((s) == 1 -> 1 : 2 - (s))

#ifdef WITHOUT_ORDER_CHECK
#define HELD(s) false
#else
#define HELD(s) ((s) == 2 && QUEUED(row[0]))
#endif

/* heads(): the first queued sync of the key, unless it has failed */
#define SUCCESSOR(s) \
	(!SHARES_KEY(s, OTHER(s)) -> 0 : (STATE(row[OTHER(s)]) == PENDING -> OTHER(s) + 1 : 0))

/* ---- a worker's memory */

#ifdef WITHOUT_KEYS_IN_MEMORY
#define KEY_IS_LEASED(w, s) false
#else
#define KEY_IS_LEASED(w, s) (OTHER(s) != (s) && lease[AT(w, OTHER(s))] != 0)
#endif

inline free_lease(w, s)
{
	if
	:: waiting[w * KEYS + KEY(s)] != 0 ->
		ids[w] = ids[w] | BIT(waiting[w * KEYS + KEY(s)] - 1);
		waiting[w * KEYS + KEY(s)] = 0
	:: else
	fi;
	lease[AT(w, s)] = 0;
	lease_xid[AT(w, s)] = 0;
	stuck[w] = stuck[w] & ~BIT(s)
}

inline rewind(w)
{
	after_due[w] = 0;
	next_due[w] = 0;
	has_passed_over[w] = 0;
	has_more[w] = 1
}

inline expect(w, s, due)
{
	if
	:: due > after_due[w] ->
		next_due[w] = (next_due[w] == 0 || due < next_due[w] -> due : next_due[w])
	:: due <= after_due[w] && due <= clock -> ids[w] = ids[w] | BIT(s)
	:: else ->
		after_due[w] = due - 1;
		next_due[w] = 0;
		has_more[w] = 1
	fi
}

inline add_lease(w, s)
{
	if
	:: lease[AT(w, s)] != 0
	:: lease[AT(w, s)] == 0 && HELD(s) ->
#ifndef WITHOUT_LOOKING_BACK
		has_passed_over[w] = 1
#else
		skip
#endif
	:: lease[AT(w, s)] == 0 && !HELD(s) && KEY_IS_LEASED(w, s) ->
		waiting[w * KEYS + KEY(s)] = s + 1
	:: else ->
		lease[AT(w, s)] = READY;
		lease_xid[AT(w, s)] = XID(row[s]);
#ifndef WITHOUT_COMMIT_FLUSH
		flush_commit(XID(row[s]));
#endif
#ifndef WITHOUT_TAKE_FLUSH
		session_flush(w);
#endif
		printf("LEASE %d %d\n", w, s)
	fi
}

inline forget_memory(w)
{
	FOR_SYNCS(k) lease[AT(w, k)] = 0; lease_xid[AT(w, k)] = 0; NEXT(k);
	waiting[w * KEYS] = 0;
	waiting[w * KEYS + 1] = 0;
	ids[w] = 0;
	stuck[w] = 0;
	after_due[w] = 0;
	next_due[w] = 0;
	has_passed_over[w] = 0;
	has_more[w] = 0;
	serves[w] = 0;
	must_feed[w] = 0;
	must_check[w] = 0;
	snapshot_xmax[w] = 0;
	snapshot_xip[w] = 0;
	settling[w] = 0;
	successor[w] = 0
}

#define IS_IDLE(w) (!is_dying[w] && settling[w] == 0)
#define HOLDS_LEASES(w) (lease[AT(w, 0)] + lease[AT(w, 1)] + lease[AT(w, 2)] != 0)
#define IS_IN_FLIGHT(w) \
	(lease[AT(w, 0)] == IN_FLIGHT || lease[AT(w, 1)] == IN_FLIGHT || lease[AT(w, 2)] == IN_FLIGHT)

/* ---- shards.c */

inline take_shard(w)
{
	lock_owner = w;
	serves[w] = 1;
#ifndef WITHOUT_TAKEOVER_FLUSH
	if
	:: wal_count > 0 -> flush(wal_count)
	:: else
	fi;
#endif
#ifdef WITHOUT_REWIND
	has_more[w] = has_more[w] || after_due[w] == 0;
#else
	rewind(w);
#endif
	must_feed[w] = 1;
	printf("OWN %d\n", w)
}

/* What is ready is dropped; what is in flight stays. */
inline close_shard(w)
{
	serves[w] = 0;
	FOR_SYNCS(i)
		if
		:: lease[AT(w, i)] == READY -> free_lease(w, i)
		:: else
		fi;
	NEXT(i);
	printf("CLOSE %d\n", w)
}

inline leave_shard(w)
{
	lock_owner = NOBODY;
#ifndef WITHOUT_REWIND
	after_due[w] = 0;
	next_due[w] = 0;
	has_passed_over[w] = 0;
	has_more[w] = 0;
#endif
	printf("LEAVE %d\n", w)
}

/* ---- feeding.c, feed.sql */

#ifdef WITHOUT_RUNNING_LIST
#define IS_NEW(w, s) (XID(row[s]) >= snapshot_xmax[w])
#else
#ifdef WITH_ID_CURSOR
/* the ids that were seen stand where the snapshot would */
#define IS_NEW(w, s) ((s) + 1 > snapshot_xip[w])
#else
#define IS_NEW(w, s) (XID(row[s]) >= snapshot_xmax[w] || HAS(snapshot_xip[w], XID(row[s])))
#endif
#endif

inline keep_snapshot(w)
{
#ifdef WITH_ID_CURSOR
	snapshot_xip[w] = (STATE(row[2]) != ABSENT -> 3 : (STATE(row[1]) != ABSENT -> 2 : STATE(row[0]) != ABSENT));
	snapshot_xmax[w] = 1
#else
	snapshot_xmax[w] = last_done + 1;
	snapshot_xip[w] = running & (BIT(last_done + 1) - 1)
#endif
}

inline apply_row(w, s)
{
	printf("NEW %d %d\n", w, s);
	if
	:: lease[AT(w, s)] == READY && lease_xid[AT(w, s)] != XID(row[s]) -> free_lease(w, s)
	:: else
	fi;
	if
	:: DUE(row[s]) > clock || (DUE(row[s]) > after_due[w] &&
		(has_more[w] || (next_due[w] != 0 && next_due[w] <= DUE(row[s])))) ->
		expect(w, s, DUE(row[s]))
	:: else ->
		if
		:: lease[AT(w, s)] == 0 ->
			ids[w] = ids[w] | BIT(s);
			after_due[w] = (DUE(row[s]) > after_due[w] -> DUE(row[s]) : after_due[w])
		:: else
		fi
	fi
}

inline feed(w)
{
	printf("FEED %d %d\n", w, serves[w]);
	must_feed[w] = 0;
	if
	:: snapshot_xmax[w] == 0 ->
		rewind(w);
		ids[w] = 0
	:: else ->
		FOR_SYNCS(i)
			if
			:: serves[w] && STATE(row[i]) == PENDING && IS_NEW(w, i) -> apply_row(w, i)
			:: else
			fi;
		NEXT(i)
	fi;
	keep_snapshot(w)
}

/* check_ready() of reading.c */
inline check_ready(w)
{
	printf("CHECK %d\n", w);
	must_check[w] = 0;
	FOR_SYNCS(i)
		if
		:: lease[AT(w, i)] == READY &&
			(STATE(row[i]) != PENDING || XID(row[i]) != lease_xid[AT(w, i)]) ->
			printf("CHANGED %d %d\n", w, i);
			free_lease(w, i);
			ids[w] = ids[w] | BIT(i)
		:: else
		fi;
	NEXT(i)
}

/*
 * What a person closed may have had a successor that committed meanwhile: neither
 * saw the other.
 */
inline look_back(w)
{
	if
	:: has_passed_over[w] && STATE(row[2]) == PENDING && DUE(row[2]) <= after_due[w] ->
		after_due[w] = DUE(row[2]) - 1;
		next_due[w] = 0;
		has_more[w] = 1
	:: else
	fi;
	has_passed_over[w] = 0
}

/* ---- taking.c, feed.sql */

#define READS_CURSOR(w) (has_more[w] || (next_due[w] != 0 && next_due[w] <= clock))

inline take(w)
{
	printf("TAKE %d %d %d %d\n", w, serves[w] && READS_CURSOR(w), after_due[w], (serves[w] -> ids[w] : 0));
	/* whether the cursor reads: in the highest bit, beside what is read by id */
	ids[w] = ids[w] | (serves[w] && READS_CURSOR(w) -> 128 : 0);
	next_due[w] = (HAS(ids[w], 7) -> 0 : next_due[w]);
	FOR_SYNCS(i)
		if
		:: serves[w] && STATE(row[i]) == PENDING &&
			(HAS(ids[w], i) || (HAS(ids[w], 7) && DUE(row[i]) > after_due[w])) ->
			printf("ROW %d %d %d\n", w, i, HELD(i));
			ids[w] = ids[w] & ~BIT(i);
			if
			:: DUE(row[i]) > clock -> expect(w, i, DUE(row[i]))
			:: else -> add_lease(w, i)
			fi
		:: else -> ids[w] = ids[w] & ~BIT(i)
		fi;
	NEXT(i);
	if
	:: HAS(ids[w], 7) ->
		has_more[w] = 0;
		after_due[w] = clock
	:: else
	fi;
	ids[w] = ids[w] & 127
}

/* ---- sending.c */

inline start(w, s)
{
	printf("SEND %d %d\n", w, s);
	/* no two owners send the same sync at once, no two syncs of a key are under way */
	assert(lease[AT(1 - w, s)] != IN_FLIGHT);
	assert(OTHER(s) == s || (lease[AT(w, OTHER(s))] != IN_FLIGHT && lease[AT(1 - w, OTHER(s))] != IN_FLIGHT));
	/* an ordering key never overtakes */
	assert(s != 0 || !HAS(was_sent, 2) || HAS(may_be_late, 0));
	/* nothing leaves that a crash could undo */
	assert(STATE(durable[s]) != ABSENT);
	lease[AT(w, s)] = IN_FLIGHT;
	was_sent = was_sent | BIT(s);
	is_wanted = (lease_xid[AT(w, s)] == XID(row[s]) -> is_wanted & ~BIT(s) : is_wanted)
}

inline answer(w, s, how)
{
	printf("ANSWER %d %d %d\n", w, s, how);
	lease[AT(w, s)] = how;
	was_received = (how == GOOD -> was_received | BIT(s) : was_received)
}

/* ---- settling.c, settle.sql */

inline begin_settle(w, s)
{
	printf("SETTLE %d %d %d %d\n", w, s, lease[AT(w, s)], lease_xid[AT(w, s)] == XID(row[s]));
	if
	:: HAS(person_locks, s) ->
		printf("UNSETTLED %d %d\n", w, s);
		stuck[w] = stuck[w] | BIT(s)
	:: else ->
		settling[w] = s + 1;
		stuck[w] = stuck[w] & ~BIT(s);
#ifndef WITHOUT_SUCCESSOR
		/* its own snapshot: what commits from here on it doesn't see */
		successor[w] = (lease[AT(w, s)] == GOOD && QUEUED(row[s]) -> SUCCESSOR(s) : 0)
#endif
	fi
}

#ifdef WITHOUT_CHANGE_CHECK
#define IS_AS_READ(w, s) QUEUED(row[s])
#else
#define IS_AS_READ(w, s) (QUEUED(row[s]) && XID(row[s]) == lease_xid[AT(w, s)])
#endif

inline record(w, s)
{
	if
	:: lease[AT(w, s)] == GOOD ->
		assert(HAS(was_received, s));
		row[s] = ROW(DELIVERED, XID(row[s]), DUE(row[s]));
		is_wanted = is_wanted & ~BIT(s)
	:: lease[AT(w, s)] == REFUSED && IS_AS_READ(w, s) ->
		row[s] = ROW(FAILED, XID(row[s]), DUE(row[s]))
	:: lease[AT(w, s)] == AGAIN && IS_AS_READ(w, s) ->
		row[s] = ROW(PENDING, XID(row[s]), clock + 1)
	:: else
	fi
}

/* The commit, and apply(): asynchronous, but where a person must act. */
inline end_settle(w, s)
{
	record(w, s);
	write_commit(0, w);
	if
	:: lease[AT(w, s)] == REFUSED && wal_count > 0 -> flush(wal_count)
	:: else
	fi;
	printf("SETTLED %d %d %d %d\n", w, s, STATE(row[s]), successor[w]);
	PRINT_ROWS();
	free_lease(w, s);
	if
	:: STATE(row[s]) == PENDING -> expect(w, s, DUE(row[s]))
	:: else
	fi;
	if
	:: successor[w] != 0 && lease[AT(w, successor[w] - 1)] == 0 ->
		ids[w] = ids[w] | BIT(successor[w] - 1)
	:: else
	fi;
	settling[w] = 0;
	successor[w] = 0
}

/* ---- processes */

#define CAN_SETTLE(w, s) \
	(IS_IDLE(w) && lease[AT(w, s)] >= GOOD && \
	 (!HAS(stuck[w], s) || !HAS(person_locks, s)))

proctype worker(byte w)
{
end:
	do
	:: d_step { IS_IDLE(w) && share == w && lock_owner == NOBODY && !serves[w] -> take_shard(w); END }
	:: d_step { IS_IDLE(w) && lock_owner == w && !serves[w] && (share == w || stuck[w] != 0) ->
			rewind(w); serves[w] = 1; printf("SERVE %d\n", w); END }
	:: d_step { IS_IDLE(w) && serves[w] && share != w && stuck[w] == 0 -> close_shard(w); END }
	:: d_step { IS_IDLE(w) && lock_owner == w && !serves[w] && share != w &&
#ifdef WITHOUT_WAITING_FOR_ANSWERS
			true
#else
			!HOLDS_LEASES(w)
#endif
			-> leave_shard(w); END }
	:: d_step { IS_IDLE(w) && must_check[w] -> check_ready(w); look_back(w); END }
	:: d_step { IS_IDLE(w) && must_feed[w] && (serves[w] || share == w) -> feed(w); END }
	:: d_step { IS_IDLE(w) && (ids[w] != 0 || (serves[w] && READS_CURSOR(w))) -> take(w); END }
	:: d_step { IS_IDLE(w) && lease[AT(w, 0)] == READY -> start(w, 0) }
	:: d_step { IS_IDLE(w) && lease[AT(w, 1)] == READY -> start(w, 1) }
	:: d_step { IS_IDLE(w) && lease[AT(w, 2)] == READY -> start(w, 2) }
	:: d_step { lease[AT(w, 0)] == IN_FLIGHT -> answer(w, 0, GOOD) }
	:: d_step { lease[AT(w, 1)] == IN_FLIGHT -> answer(w, 1, GOOD) }
	:: d_step { lease[AT(w, 2)] == IN_FLIGHT -> answer(w, 2, GOOD) }
	:: d_step { lease[AT(w, 0)] == IN_FLIGHT && failures > 0 -> failures--; answer(w, 0, AGAIN) }
	:: d_step { lease[AT(w, 0)] == IN_FLIGHT && failures > 0 -> failures--; answer(w, 0, REFUSED) }
	:: d_step { lease[AT(w, 2)] == IN_FLIGHT && failures > 0 -> failures--; answer(w, 2, AGAIN) }
	:: d_step { CAN_SETTLE(w, 0) -> begin_settle(w, 0) }
	/* nobody has to do with this one in between */
	:: d_step { CAN_SETTLE(w, 1) && wal_count < WAL -> begin_settle(w, 1); end_settle(w, 1); END }
	:: d_step { CAN_SETTLE(w, 2) -> begin_settle(w, 2) }
	:: d_step { settling[w] != 0 && wal_count < WAL -> i = settling[w] - 1; end_settle(w, i); END }
	:: d_step { is_dying[w] ->
#ifdef WITHOUT_CUTTING_REQUESTS
			forget_memory(w);
#else
			lock_owner = (lock_owner == w -> NOBODY : lock_owner);
#endif
			is_dying[w] = 0; must_feed[w] = 1; printf("BACK %d\n", w); END }
	od
}

/* ---- applications: each inserts one sync; identities, xids and commits come in any order */

#define ROLLED_BACK 255

inline begin(s)
{
	clock++;
	app_due[s] = clock;
	app_xid[s] = next_xid;
	running = running | BIT(next_xid);
	next_xid++;
	printf("BEGIN %d %d\n", s, clock)
}

/*
 * Asynchronous: a synchronous commit is one after which the WAL writer comes at
 * once.
 */
inline commit(s)
{
	/* what came while a later one of its key was already read may be late */
	may_be_late = (s == 0 && (HAS(was_sent, 2) || lease[AT(0, 2)] != 0 || lease[AT(1, 2)] != 0) ->
		may_be_late | BIT(0) : may_be_late);
	row[s] = ROW(PENDING, app_xid[s], app_due[s]);
	write_commit(app_xid[s], NOBODY);
	end_transaction(app_xid[s]);
	announce();
	app_due[s] = 0;
	printf("COMMIT %d\n", s);
	PRINT_ROWS()
}

#define MAY_COMMIT(s) (app_due[s] != 0 && wal_count < WAL)

proctype application(byte s)
{
end:
	d_step { app_due[s] == 0 -> begin(s) };
	if
	:: d_step { MAY_COMMIT(s) -> commit(s); END }
	:: app_due[s] == 0			/* undone by a crash */
	fi
}

/* ---- a person: cancel or retry of actions.sql */

#define IS_LOCKED(s) (settling[0] == (s) + 1 || settling[1] == (s) + 1)

inline begin_action(s, is_cancel)
{
	actions--;
	clock++;
	person_due = clock;
	person_sync = s;
	person_cancels = is_cancel;
	person_xid = next_xid;
	running = running | BIT(next_xid);
	next_xid++;
	/* hand_over() holds the next one of the key, too */
	person_locks = BIT(s) | (is_cancel && QUEUED(row[OTHER(s)]) -> BIT(OTHER(s)) : 0);
	printf("ACT %d %d %d\n", s, is_cancel, clock)
}

inline end_action()
{
	i = person_sync;
	j = OTHER(i);
	if
	:: person_cancels ->
		row[i] = ROW(CANCELLED, XID(row[i]), DUE(row[i]));
		is_wanted = is_wanted & ~BIT(i);
		if
		:: j != i && HAS(person_locks, j) -> row[j] = ROW(STATE(row[j]), person_xid, DUE(row[j]))
		:: else
		fi
	:: else ->
		/* what had failed or was cancelled is due now; the other was due, or becomes so */
		row[i] = ROW(PENDING, person_xid, 
			(STATE(row[i]) != PENDING || DUE(row[i]) > person_due -> person_due : DUE(row[i])));
		is_wanted = is_wanted | BIT(i);
		may_be_late = (i == 0 && (HAS(was_sent, 2) || lease[AT(0, 2)] != 0 || lease[AT(1, 2)] != 0) ->
			may_be_late | BIT(0) : may_be_late)
	fi;
	write_commit(person_xid, NOBODY);
	/* people wait for their commits to be durable */
	if
	:: wal_count > 0 -> flush(wal_count)
	:: else
	fi;
	end_transaction(person_xid);
	announce();
	/* a worker without leases has nothing to check */
	must_check[0] = lock_owner == 0;
	must_check[1] = lock_owner == 1;
	person_xid = 0;
	person_due = 0;
	person_sync = 0;
	person_cancels = 0;
	person_locks = 0;
	printf("ACTED\n");
	PRINT_ROWS()
}

#define MAY_ACT(s, other) (person_xid == 0 && actions > 0 && !IS_LOCKED(s) && !IS_LOCKED(other))

proctype person()
{
end:
	do
	:: actions == 0 && person_xid == 0 -> break
	:: d_step { MAY_ACT(0, 2) && QUEUED(row[0]) -> begin_action(0, 1) }
	:: d_step { MAY_ACT(2, 0) && QUEUED(row[2]) -> begin_action(2, 1) }
	:: d_step { MAY_ACT(0, 0) && (QUEUED(row[0]) || STATE(row[0]) == CANCELLED) -> begin_action(0, 0) }
	:: d_step { MAY_ACT(2, 2) && (QUEUED(row[2]) || STATE(row[2]) == CANCELLED) -> begin_action(2, 0) }
	:: d_step { person_xid != 0 && wal_count < WAL -> end_action(); END }
	od
}

/* ---- the rest of the world */

inline crash()
{
	FOR_SYNCS(i)
		row[i] = durable[i];
		app_due[i] = 0;
	NEXT(i);
	i = 0;
	do
	:: i == WAL * SYNCS -> break
	:: else -> wal_row[i] = 0; i++
	od;
	i = 0;
	do
	:: i == WAL -> break
	:: else -> wal_xid[i] = 0; wal_owner[i] = 0; i++
	od;
	wal_count = 0;
	running = 0;
	last_done = next_xid - 1;
	person_xid = 0;
	person_due = 0;
	person_sync = 0;
	person_cancels = 0;
	person_locks = 0;
	lock_owner = NOBODY;
	is_dying[0] = 0;
	is_dying[1] = 0;
	forget_memory(0);
	forget_memory(1);
	must_feed[0] = 1;
	must_feed[1] = 1;
	/* a person's retry may have been undone */
	is_wanted = 0;
	printf("CRASH\n")
}

/* No more of it is to come. */
inline end_trouble()
{
	crashes = 0;
	deaths = 0;
	moves = 0;
	actions = 0;
	failures = 0;
	if
	:: wal_count > 0 -> flush(wal_count)
	:: else
	fi
}

inline die(w)
{
	is_dying[w] = 1;
	share = 1 - w;
	FOR_SYNCS(i)
		wal_owner[i] = (wal_owner[i] == w -> NOBODY : wal_owner[i]);
	NEXT(i);
#ifdef WITHOUT_CUTTING_REQUESTS
	lock_owner = (lock_owner == w -> NOBODY : lock_owner);
#else
	forget_memory(w);
#endif
	printf("DIE %d\n", w)
}

proctype world()
{
end:
	do
	:: d_step { crashes > 0 -> crashes--; crash(); END }
	:: d_step { deaths > 0 && lock_owner == 0 && !is_dying[0] -> deaths--; die(0); END }
	:: d_step { deaths > 0 && lock_owner == 1 && !is_dying[1] -> deaths--; die(1); END }
	:: d_step { moves > 0 -> moves--; share = 1 - share; printf("MOVE\n") }
	:: d_step { crashes + deaths + moves + actions + failures > 0 -> end_trouble(); END }
	:: d_step { wal_count > 0 -> flush(wal_count); END }
	:: d_step { (STATE(row[0]) == PENDING && DUE(row[0]) > clock) ||
			(STATE(row[2]) == PENDING && DUE(row[2]) > clock) -> clock++; printf("TICK\n") }
	od
}

/* Nothing is lost: when all is quiet, each committed sync has ended in a way that people can see. */
inline check_end(s)
{
	/* a failed head keeps its key back until somebody acts */
	assert(STATE(row[s]) != PENDING || (s == 2 && STATE(row[0]) == FAILED));
	assert(STATE(row[s]) != DELIVERED || HAS(was_received, s));
	assert(!HAS(is_wanted, s) || (s == 2 && STATE(row[0]) == FAILED))
}

proctype watcher()
{
	timeout ->
		d_step { check_end(0); check_end(1); check_end(2) }
}

init
{
	atomic {
		must_feed[0] = 1;
		must_feed[1] = 1;
		run worker(0); run worker(1);
		run application(0); run application(1); run application(2);
		run person(); run world(); run watcher()
	}
}
