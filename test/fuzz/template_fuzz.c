/*-------------------------------------------------------------------------
 * template_fuzz.c
 *		URL templates: values can't add to a URL but what is percent-encoded.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/template.h"

/* As many of each as in the template: no value brought one. */
static size_t
count_of(const char *string, char byte)
{
	size_t		count = 0;

	for (; *string; string++)
		count += *string == byte;
	return count;
}

static void
check_filled(const char *url, const Text *filled)
{
	static const char delimiters[] = "/?#@:&=+ \r\n\t";

	CHECK(!filled->failed);
	CHECK(!filled->data || strpbrk(filled->data, "{}") == NULL);
	for (const char *at = delimiters; *at; at++)
		CHECK(count_of(filled->data ? filled->data : "", *at) == count_of(url, *at));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *strings[5];
	TemplateValues values;
	Text		filled = {0};
	char		problem[256] = "";
	TemplateResult result;

	for (int i = 0; i < 5; i++)
		strings[i] = take_string(&input);
	values = (TemplateValues)
	{
		.object_type = strings[1],.object_id = strings[2],
			.operation = strings[3],.remote_id = strings[4]
	};
	result = template_fill(strings[0], &values, &filled, problem, sizeof(problem));
	if (result == TEMPLATE_FILLED)
		check_filled(strings[0], &filled);
	else
		CHECK(problem[0] && (is_clean(problem) || !is_clean(strings[0])));
	text_free(&filled);
	for (int i = 0; i < 5; i++)
		free(strings[i]);
	return 0;
}
