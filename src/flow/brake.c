/*-------------------------------------------------------------------------
 * brake.c
 *		Whether an endpoint answers more slowly than it used to.
 *-------------------------------------------------------------------------
 */
#include "flow/brake.h"

#include <math.h>

#define ROUND_US 200000
#define ROUND_ANSWERS 5
#define SLOW_FACTOR 2.0
#define SLACK_MS 20.0			/* below it, it is our own loop that is slow */
#define CUT_FACTOR 1.5
#define FOLLOW_DOWN 0.25
#define DRIFT_UP 1.001
#define TRIAL_ROUNDS 8
#define HELPED_FACTOR 0.8

static double
slow_above_ms(const Brake *brake)
{
	return brake->baseline_ms * SLOW_FACTOR + SLACK_MS;
}

/* Eight rounds of sending less: either they helped, or it was not our sending. */
static void
judge_trial(Brake *brake, double mean_ms)
{
	brake->worst_ms = fmax(brake->worst_ms, mean_ms);
	if (++brake->slow_rounds < TRIAL_ROUNDS)
		return;
	if (mean_ms > brake->worst_ms * HELPED_FACTOR)
	{
		brake->baseline_ms = mean_ms;
		brake->is_slow = false;
	}
	brake->slow_rounds = 0;
	brake->worst_ms = 0;
}

static void
end_round(Brake *brake)
{
	double		mean_ms = brake->sum_ms / brake->answers;
	double		cut_mean_ms = brake->cut_sum_ms / brake->answers;

	brake->is_slow = brake->baseline_ms > 0 && cut_mean_ms > slow_above_ms(brake);
	if (brake->is_slow)
	{
		judge_trial(brake, mean_ms);
		return;
	}
	brake->slow_rounds = 0;
	brake->worst_ms = 0;
	if (brake->baseline_ms == 0)
		brake->baseline_ms = mean_ms;
	else if (cut_mean_ms < brake->baseline_ms)
		brake->baseline_ms += (cut_mean_ms - brake->baseline_ms) * FOLLOW_DOWN;
	else
		brake->baseline_ms = fmin(brake->baseline_ms * DRIFT_UP, cut_mean_ms);
}

bool
brake_take(Brake *brake, double latency_ms, int64_t started_at_us, int64_t now_us)
{
	if (brake->round_at_us == 0)
		brake->round_at_us = started_at_us;

	/* what left before the last change tells how it was before */
	if (started_at_us < brake->round_at_us)
		return false;
	brake->answers++;
	brake->sum_ms += latency_ms;
	brake->cut_sum_ms += brake->baseline_ms == 0 ? latency_ms
		: fmin(latency_ms, slow_above_ms(brake) * CUT_FACTOR);
	if (brake->answers < ROUND_ANSWERS || now_us - brake->round_at_us < ROUND_US)
		return false;

	end_round(brake);
	brake->round_at_us = now_us;
	brake->answers = 0;
	brake->sum_ms = 0;
	brake->cut_sum_ms = 0;
	return brake->is_slow;
}
