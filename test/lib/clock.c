/*-------------------------------------------------------------------------
 * clock.c
 *		Sets the clock of a server for a test, preloaded into it.
 *
 * The file that CLOCK_OFFSET names holds the seconds to add.
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long
read_offset(void)
{
	const char *path = getenv("CLOCK_OFFSET");
	FILE	   *file = path == NULL ? NULL : fopen(path, "r");
	char		text[32] = "";

	if (file == NULL)
		return 0;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	return strtol(text, NULL, 10);
}

int
gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	at->tv_sec = now.tv_sec + read_offset();
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

/* pg_ctl compares the server's clock with its own. */
time_t
time(time_t *at)
{
	struct timespec now;
	time_t		seconds;

	clock_gettime(CLOCK_REALTIME, &now);
	seconds = now.tv_sec + read_offset();
	if (at != NULL)
		*at = seconds;
	return seconds;
}
