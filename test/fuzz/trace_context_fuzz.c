/*-------------------------------------------------------------------------
 * trace_context_fuzz.c
 *		Trace context: what is passed on is valid, and passed on once more as it is.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/trace_context.h"

static void
check_parent(const char *given)
{
	TraceContext context;
	TraceContext again;
	char		written[TRACE_PARENT_BYTES];

	if (!trace_context_read(given, &context))
		return;
	CHECK(strlen(context.trace_id) == 32 && strlen(context.span_id) == 16);
	CHECK((context.flags & ~(unsigned) (TRACE_SAMPLED | TRACE_RANDOM)) == 0);
	trace_context_write(&context, written);
	CHECK(strlen(written) == TRACE_PARENT_BYTES - 1);
	CHECK(trace_context_read(written, &again));
	CHECK(strcmp(again.trace_id, context.trace_id) == 0);
	CHECK(strcmp(again.span_id, context.span_id) == 0);
	CHECK(again.flags == context.flags);
}

static void
check_state(const char *given)
{
	char		passed[TRACE_STATE_BYTES];
	char		again[TRACE_STATE_BYTES];

	if (!trace_context_pass_state(given, passed))
		return;
	CHECK(strlen(passed) > 0 && strlen(passed) < sizeof(passed));
	for (const char *byte = passed; *byte != '\0'; byte++)
		CHECK(*byte >= 0x20 && *byte <= 0x7E);
	CHECK(strstr(passed, ", ") == NULL && strstr(passed, " ,") == NULL);
	CHECK(trace_context_pass_state(passed, again));
	CHECK(strcmp(again, passed) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *parent = take_string(&input);
	char	   *state = take_string(&input);

	check_parent(parent);
	check_state(state);
	free(parent);
	free(state);
	return 0;
}
