/*-------------------------------------------------------------------------
 * extent.c
 *		The trigger that refuses outbox rows beyond what can be kept.
 *
 * Beyond these an index or a sum of times would fail, in words that say
 * nothing, for others too.  In C and without a condition in the catalog: that
 * would be read and planned again for each statement of the application, which
 * costs a third of its insert.  What else is to be done for each row before it
 * is inserted begins here for the same reason.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "commands/trigger.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "api/comment.h"
#include "base/compat.h"
#include "store/layout.h"

SQL_FUNCTION(integration_refuse_extent);

#define MOST_BYTES 1000
#define YEAR_1 (INT64CONST(-730119) * USECS_PER_DAY)
#define YEAR_10000 (INT64CONST(2921940) * USECS_PER_DAY)

enum
{
	COLUMN_OBJECT_TYPE,
	COLUMN_OBJECT_ID,
	COLUMN_OPERATION,
	COLUMN_CUSTOMER,
	COLUMN_ORDERING_KEY,
	COLUMN_DEDUP_KEY,
	COLUMN_SEND_AFTER,			/* what is before it is text */
	COLUMN_CREATED_AT,
	COLUMN_ENDPOINT,
	COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_OBJECT_TYPE] = "object_type",
	[COLUMN_OBJECT_ID] = "object_id",
	[COLUMN_OPERATION] = "operation",
	[COLUMN_CUSTOMER] = "customer",
	[COLUMN_ORDERING_KEY] = "ordering_key",
	[COLUMN_DEDUP_KEY] = "dedup_key",
	[COLUMN_SEND_AFTER] = "send_after",
	[COLUMN_CREATED_AT] = "created_at",
	[COLUMN_ENDPOINT] = "endpoint",
};

static Layout layout;

static NullableDatum
column(const TriggerData *trigger, int column)
{
	NullableDatum given;

	given.value = slot_getattr(trigger->tg_trigslot, layout.numbers[column], &given.isnull);
	return given;
}

/* The checks of NOT NULL come after this. */
static char *
endpoint_name(const TriggerData *trigger)
{
	NullableDatum name = column(trigger, COLUMN_ENDPOINT);

	return name.isnull ? "" : TextDatumGetCString(name.value);
}

static char *
time_text(NullableDatum time)
{
	return DatumGetCString(DirectFunctionCall1(timestamptz_out, time.value));
}

static void
check_length(const TriggerData *trigger, int which)
{
	NullableDatum given = column(trigger, which);
	Size		bytes;

	if (given.isnull)
		return;
	bytes = toast_raw_datum_size(given.value) - VARHDRSZ;
	if (bytes <= MOST_BYTES)
		return;
	ereport(ERROR,
			errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("%s of a sync to endpoint \"%s\" is too long",
				   column_names[which], endpoint_name(trigger)),
			errdetail("It has %zu bytes; %d are allowed.", bytes, MOST_BYTES),
			errhint("Write a reference, and put long texts into the payload."),
			errtablecol(trigger->tg_relation, layout.numbers[which]));
}

static void
check_send_after(const TriggerData *trigger)
{
	NullableDatum given = column(trigger, COLUMN_SEND_AFTER);

	if (given.isnull || DatumGetTimestampTz(given.value) < YEAR_10000)
		return;
	ereport(ERROR,
			errcode(ERRCODE_CHECK_VIOLATION),
			errmsg("a sync to endpoint \"%s\" could never be sent", endpoint_name(trigger)),
			errdetail("send_after is %s.", time_text(given)),
			errhint("Write a send_after before the year 10000."),
			errtablecol(trigger->tg_relation, layout.numbers[COLUMN_SEND_AFTER]));
}

static void
check_created_at(const TriggerData *trigger)
{
	NullableDatum given = column(trigger, COLUMN_CREATED_AT);

	if (given.isnull || (DatumGetTimestampTz(given.value) >= YEAR_1 &&
						 DatumGetTimestampTz(given.value) < YEAR_10000))
		return;
	ereport(ERROR,
			errcode(ERRCODE_CHECK_VIOLATION),
			errmsg("created_at of a sync to endpoint \"%s\" cannot be used",
				   endpoint_name(trigger)),
			errdetail("It is %s.", time_text(given)),
			errhint("Leave it out, or write a time between the years 1 and 9999."),
			errtablecol(trigger->tg_relation, layout.numbers[COLUMN_CREATED_AT]));
}

Datum
integration_refuse_extent(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("integration_worker.refuse_extent() is a trigger of integration.outbox"));
	layout_resolve(&layout, trigger->tg_relation, column_names, COLUMN_COUNT);
	for (int i = 0; i < COLUMN_SEND_AFTER; i++)
		check_length(trigger, i);
	check_send_after(trigger);
	check_created_at(trigger);
	return PointerGetDatum(comment_continue_trace(trigger));
}
