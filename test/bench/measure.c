/*-------------------------------------------------------------------------
 * measure.c
 *		What the measuring programs share: time, payloads, giving up.
 *-------------------------------------------------------------------------
 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT_BYTES 1024

int64_t
measure_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

double
measure_processor_us(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
		(double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* proc(5): the name, in brackets, may hold anything; what follows it is counted. */
ProcessorTime
measure_process(long pid)
{
	static const char times[] = " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu";
	const double tick_us = 1e6 / (double) sysconf(_SC_CLK_TCK);
	char		line[STAT_BYTES] = "";
	unsigned long user;
	unsigned long system;
	const char *rest;
	FILE	   *in;

	snprintf(line, sizeof(line), "/proc/%ld/stat", pid);
	in = fopen(line, "r");
	if (in == NULL || fgets(line, sizeof(line), in) == NULL)
		measure_fail("process is gone", line);
	fclose(in);
	rest = strrchr(line, ')');
	if (rest == NULL || sscanf(rest + 1, times, &user, &system) != 2)
		measure_fail("not a line of stat", line);
	return (ProcessorTime)
	{
		.user_us = (double) user * tick_us,.system_us = (double) system * tick_us
	};
}

void
measure_sleep_us(int64_t duration_us)
{
	const struct timespec duration = {
		.tv_sec = duration_us / 1000000,
		.tv_nsec = duration_us % 1000000 * 1000,
	};

	nanosleep(&duration, NULL);
}

char *
measure_payload(size_t bytes)
{
	static const char before[] = "{\"text\": \"";
	static const char after[] = "\"}";
	const size_t frame = sizeof(before) + sizeof(after) - 2;
	char	   *payload;

	if (bytes < frame)
		bytes = frame;
	payload = malloc(bytes + 1);
	if (payload == NULL)
		measure_fail("no memory", "");
	memcpy(payload, before, sizeof(before) - 1);
	memset(payload + sizeof(before) - 1, 'x', bytes - frame);
	memcpy(payload + bytes - sizeof(after) + 1, after, sizeof(after));
	return payload;
}

long
measure_number(const char *text)
{
	char	   *end;
	const long	number = strtol(text, &end, 10);

	if (end == text || *end != '\0' || number < 0)
		measure_fail("not a number", text);
	return number;
}

void
measure_fail(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s\n", what, detail);
	exit(1);
}
