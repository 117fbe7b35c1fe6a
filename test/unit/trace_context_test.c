/*-------------------------------------------------------------------------
 * trace_context_test.c
 *		Trace context in headers: which is valid, what is passed on.
 *
 * W3C Trace Context Level 2, §3.2.2 to §3.3.1; its own examples where it has some.
 *-------------------------------------------------------------------------
 */
#include "message/trace_context.h"
#include "tap.h"

#define IDS "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
#define LONG_VALUE "012345678901234567890123456789012345678901234567890123456789"

static const struct
{
	const char *given;
	const char *passed;			/* NULL: it is not valid */
}			parents[] =

{
	{"00-" IDS "-01", "00-" IDS "-01"},
	{"00-" IDS "-00", "00-" IDS "-00"},
	{"00-" IDS "-03", "00-" IDS "-03"},
	{"00-" IDS "-ff", "00-" IDS "-03"},
	{"cc-" IDS "-01", "00-" IDS "-01"},
	{"cc-" IDS "-01-what-the-future-will-be", "00-" IDS "-01"},
	{"ff-" IDS "-01", NULL},
	{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", NULL},
	{"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", NULL},
	{"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", NULL},
	{"00-" IDS "-01-x", NULL},
	{"00-" IDS "-0x", NULL},
	{"00-" IDS "-", NULL},
	{"00-" IDS, NULL},
	{"0-" IDS "-01", NULL},
	{"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", NULL},
	{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7x-01", NULL},
	{"cc-" IDS "-01.what", NULL},
	{"", NULL},
};

static const struct
{
	const char *given;
	const char *passed;			/* NULL: it is left out */
}			states[] =

{
	{"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
	{"a=1", "a=1"},
	{"tenant@system=1", "tenant@system=1"},
	{"", NULL},
	{" a=1 , b=2 ", "a=1,b=2"},
	{"a=1,,\tb=2", "a=1,b=2"},
	{"1a-_*/@=x", "1a-_*/@=x"},
	{"A=1", NULL},
	{"a", NULL},
	{"a=", NULL},
	{"=1", NULL},
	{"_a=1", NULL},
	{"a=1=2", NULL},
	{"a=\xC3\xA9", NULL},
	{"k0=1,k1=1,k2=1,k3=1,k4=1,k5=1,k6=1,k7=1,k8=1,k9=1,k10=1,k11=1,k12=1,k13=1,k14=1,k15=1,"
		"k16=1,k17=1,k18=1,k19=1,k20=1,k21=1,k22=1,k23=1,k24=1,k25=1,k26=1,k27=1,k28=1,k29=1,"
	"k30=1,k31=1,k32=1", NULL},
	{"a=" LONG_VALUE LONG_VALUE LONG_VALUE LONG_VALUE "012345678901234567", NULL},
	/* the long one goes though it is not the last */
	{"a=" LONG_VALUE LONG_VALUE LONG_VALUE ",b=" LONG_VALUE LONG_VALUE ",c=" LONG_VALUE LONG_VALUE
		",d=" LONG_VALUE LONG_VALUE,
	"b=" LONG_VALUE LONG_VALUE ",c=" LONG_VALUE LONG_VALUE ",d=" LONG_VALUE LONG_VALUE},
	/* none is long: the last one goes */
	{"a=" LONG_VALUE LONG_VALUE ",b=" LONG_VALUE LONG_VALUE ",c=" LONG_VALUE LONG_VALUE
		",d=" LONG_VALUE LONG_VALUE ",e=" LONG_VALUE,
		"a=" LONG_VALUE LONG_VALUE ",b=" LONG_VALUE LONG_VALUE ",c=" LONG_VALUE LONG_VALUE
	",d=" LONG_VALUE LONG_VALUE},
};

static void
check_parent(const char *given, const char *passed)
{
	TraceContext context;
	char		written[TRACE_PARENT_BYTES];
	bool		is_valid = trace_context_read(given, &context);

	if (is_valid)
		trace_context_write(&context, written);
	tap_text(is_valid ? written : NULL, passed, given);
}

static void
check_state(const char *given, const char *passed)
{
	char		written[TRACE_STATE_BYTES];

	tap_text(trace_context_pass_state(given, written) ? written : NULL, passed, given);
}

static void
test_shares(void)
{
	TraceContext trace = {.trace_id = "4bf92f3577b34da6ff80000000000000"};

	tap_ok(trace_context_is_in_share(&trace, 1), "all of them");
	tap_ok(trace_context_is_in_share(&trace, 0.51), "the half with the lower 56 bits, and a little more");
	tap_ok(!trace_context_is_in_share(&trace, 0.5), "not without that");
	tap_ok(!trace_context_is_in_share(&trace, 0), "none of them");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++)
		check_parent(parents[i].given, parents[i].passed);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		check_state(states[i].given, states[i].passed);
	test_shares();
	return tap_done();
}
