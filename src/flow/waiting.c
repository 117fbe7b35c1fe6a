/*-------------------------------------------------------------------------
 * waiting.c
 *		Attempts that are still to be told to a collector of telemetry.
 *-------------------------------------------------------------------------
 */
#include "flow/waiting.h"

#define WHOLE_UNTIL 0.5			/* of the room: no trace is left out before */

static uint32_t
length(const WaitingLine *line)
{
	return line->added - line->taken;
}

/* 1 until the room is half full, 0 when nothing is left of it. */
static double
share(const Waiting *waiting)
{
	double		full = (double) length(&waiting->delivered_line) / WAITING_DELIVERED_MOST;

	return full <= WHOLE_UNTIL ? 1 : (1 - full) / (1 - WHOLE_UNTIL);
}

bool
waiting_add(Waiting *waiting, const WaitingAttempt *attempt, bool had_failures,
			const TraceContext *trace)
{
	if (had_failures)
	{
		if (length(&waiting->failed_line) == WAITING_FAILED_MOST)
			return false;
		waiting->failed[waiting->failed_line.added++ % WAITING_FAILED_MOST] = *attempt;
		return true;
	}
	if (!trace_context_is_in_share(trace, share(waiting)))
		return false;
	waiting->delivered[waiting->delivered_line.added++ % WAITING_DELIVERED_MOST] = *attempt;
	return true;
}

int
waiting_count(const Waiting *waiting)
{
	return (int) (length(&waiting->failed_line) + length(&waiting->delivered_line));
}

int
waiting_next(const Waiting *waiting, WaitingAttempt *batch, int most)
{
	const WaitingLine *failed = &waiting->failed_line;
	const WaitingLine *delivered = &waiting->delivered_line;
	int			count = 0;

	for (uint32_t at = failed->taken; at != failed->added && count < most; at++)
		batch[count++] = waiting->failed[at % WAITING_FAILED_MOST];
	for (uint32_t at = delivered->taken; at != delivered->added && count < most; at++)
		batch[count++] = waiting->delivered[at % WAITING_DELIVERED_MOST];
	return count;
}

void
waiting_forget(Waiting *waiting, int count)
{
	uint32_t	left = (uint32_t) count;
	uint32_t	failed = length(&waiting->failed_line);

	if (failed > left)
		failed = left;
	waiting->failed_line.taken += failed;
	waiting->delivered_line.taken += left - failed;
}
