/*-------------------------------------------------------------------------
 * measure.h
 *		What the measuring programs share: time, payloads, giving up.
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* The pause before each request of a system that is said to be idle. */
#define MEASURE_IDLE_US 10000

/* Microseconds of the clock that both sides of a connection on this machine share. */
extern int64_t measure_now_us(void);

/* Processor time of this process so far. */
extern double measure_processor_us(void);

/* Processor time that a process has used so far, as the kernel counts it (ticks of 10 ms). */
typedef struct ProcessorTime
{
	double		user_us;
	double		system_us;
} ProcessorTime;

extern ProcessorTime measure_process(long pid);

/* Sleeps that long. */
extern void measure_sleep_us(int64_t duration_us);

/* A JSON object of exactly that many bytes, to be freed by the caller. */
extern char *measure_payload(size_t bytes);

/* The number in a command line's argument; ends the program when there is none. */
extern long measure_number(const char *text);

/* Says what is wrong, ends the program. */
extern void measure_fail(const char *what, const char *detail) __attribute__((noreturn));

#endif							/* BENCH_MEASURE_H */
