/*-------------------------------------------------------------------------
 * measuring.c
 *		How long requests take, for the metrics that are exported.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "worker/measuring.h"

#define SERIES_MOST 4096		/* what comes beyond is not counted */

typedef struct SeriesKey
{
	int32		endpoint_id;
	int32		status;			/* 0: no answer */
	char		reason[TRANSPORT_REASON_BYTES]; /* "" with a status */
} SeriesKey;

typedef struct Series
{
	SeriesKey	key;
	int64		counts[TELEMETRY_BUCKETS];
	double		sum_s;
} Series;

/* Those of http.client.request.duration in OpenTelemetry's semantic conventions 1.44.0. */
static const int bounds_ms[] = {
	5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000
};

StaticAssertDecl(lengthof(bounds_ms) == TELEMETRY_BUCKETS - 1, "a bucket lies between two bounds");

static HTAB *series = NULL;

static HTAB *
make_table(const Sender *sender)
{
	HASHCTL		options = {
		.keysize = sizeof(SeriesKey),
		.entrysize = sizeof(Series),
		.hcxt = sender->memory,
	};

	return hash_create("integration durations", 64, &options,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static SeriesKey
key_of(const Lease *lease)
{
	const Answer *answer = lease->answer;
	SeriesKey	key;

	/* compared as bytes */
	memset(&key, 0, sizeof(key));
	key.endpoint_id = lease->endpoint->id;
	key.status = answer->http_status;
	if (answer->http_status == 0)
		strlcpy(key.reason, answer->reason, sizeof(key.reason));
	return key;
}

static int
bucket_of(int duration_ms)
{
	int			bucket = 0;

	while (bucket < (int) lengthof(bounds_ms) && duration_ms > bounds_ms[bucket])
		bucket++;
	return bucket;
}

int
measuring_bound_ms(int bucket)
{
	return bounds_ms[bucket];
}

void
measuring_note(const Sender *sender, const Lease *lease)
{
	SeriesKey	key;
	Series	   *found;
	bool		has_room;
	bool		is_there;

	if (lease->answer == NULL)
		return;
	if (series == NULL)
		series = make_table(sender);
	key = key_of(lease);
	has_room = hash_get_num_entries(series) < SERIES_MOST;
	found = hash_search(series, &key, has_room ? HASH_ENTER : HASH_FIND, &is_there);
	if (found == NULL)
		return;
	if (!is_there)
	{
		memset(found->counts, 0, sizeof(found->counts));
		found->sum_s = 0;
	}
	found->counts[bucket_of(lease->answer->duration_ms)]++;
	found->sum_s += lease->answer->duration_ms / 1000.0;
}

void
measuring_forget(void)
{
	if (series != NULL)
		hash_destroy(series);
	series = NULL;
}

TelemetryDurations
measuring_figures(void)
{
	TelemetryDurations figures = {0};
	HASH_SEQ_STATUS scan;
	Series	   *each;
	long		count = series == NULL ? 0 : hash_get_num_entries(series);

	figures.rows = palloc(sizeof(TelemetryDuration) * (count + 1));
	if (series == NULL)
		return figures;
	hash_seq_init(&scan, series);
	while ((each = hash_seq_search(&scan)) != NULL)
	{
		TelemetryDuration *row = &figures.rows[figures.count++];

		row->endpoint_id = each->key.endpoint_id;
		row->status = each->key.status;
		row->reason = each->key.reason;
		row->counts = each->counts;
		row->sum_s = each->sum_s;
	}
	return figures;
}
