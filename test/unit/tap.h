/*-------------------------------------------------------------------------
 * tap.h
 *		Test results in the form that prove reads.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TAP_H
#define INTEGRATION_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int	tap_count;
static int	tap_failures;

/* Report one result; the name may hold anything but a line break. */
static inline bool
tap_ok(bool is_good, const char *name)
{
	tap_count++;
	if (!is_good)
		tap_failures++;
	printf("%sok %d - ", is_good ? "" : "not ", tap_count);
	for (const char *at = name; *at; at++)
		putchar(*at == '#' || (unsigned char) *at < 0x20 ? '?' : *at);
	putchar('\n');
	return is_good;
}

static inline void
tap_text(const char *got, const char *wanted, const char *name)
{
	bool		is_equal = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;

	if (!tap_ok(is_equal, name))
		printf("#      got: %s\n#   wanted: %s\n", got ? got : "(none)",
			   wanted ? wanted : "(none)");
}

static inline void
tap_number(long long got, long long wanted, const char *name)
{
	if (!tap_ok(got == wanted, name))
		printf("#      got: %lld\n#   wanted: %lld\n", got, wanted);
}

/* Give up the whole run: the test can't be set up. */
static inline _Noreturn void
tap_bail_out(const char *problem)
{
	printf("Bail out! %s\n", problem);
	exit(1);
}

/* The last line of main(): "return tap_done();". */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures ? 1 : 0;
}

#endif							/* INTEGRATION_TAP_H */
