/*-------------------------------------------------------------------------
 * bucket.h
 *		A token bucket for an agreed rate.
 *
 * The caller brings the time, so that a test can bring its own.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_BUCKET_H
#define INTEGRATION_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Bucket
{
	double		rate;			/* tokens a second; 0: no limit */
	double		burst;			/* tokens it holds at most */
	double		tokens;
	int64_t		filled_at_us;
} Bucket;

/* A full bucket.  Does not throw. */
extern Bucket bucket_make(double rate, double burst, int64_t now_us);

/*
 * One from which somebody else took tokens at these times, oldest first: all of
 * the last burst / rate seconds.  What it held before is not known: none, where
 * any was taken since.  Does not throw.
 */
extern Bucket bucket_resume(double rate, int burst, const int64_t *taken_at_us, int count,
							int64_t now_us);

/* Take over a changed rate, keeping what is in it.  Does not throw. */
extern void bucket_resize(Bucket *bucket, double rate, double burst, int64_t now_us);

/* Take one token if there is one.  Does not throw. */
extern bool bucket_take(Bucket *bucket, int64_t now_us);

/* Take so many tokens, or none.  Does not throw. */
extern bool bucket_take_many(Bucket *bucket, double count, int64_t now_us);

/* Put tokens back that were taken for nothing.  Does not throw. */
extern void bucket_give(Bucket *bucket, double count);

/* What is in it: 0 to burst.  Does not throw. */
extern double bucket_left(const Bucket *bucket, int64_t now_us);

/* When the next token is there: now_us or later.  Does not throw. */
extern int64_t bucket_free_at_us(const Bucket *bucket, int64_t now_us);

/* When so many are there, burst at most.  Does not throw. */
extern int64_t bucket_filled_to_us(const Bucket *bucket, double count, int64_t now_us);

#endif							/* INTEGRATION_BUCKET_H */
