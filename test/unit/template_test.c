/*-------------------------------------------------------------------------
 * template_test.c
 *		URLs with placeholders.
 *-------------------------------------------------------------------------
 */
#include "message/template.h"
#include "tap.h"

#define UNKNOWN_AT "The URL has a placeholder other than {object_type}, {object_id}," \
	" {operation} and {remote_id} at "
#define MISPLACED "The URL has a brace before its path; placeholders may stand in the path" \
	" and the query only."

static const struct
{
	const char *url;
	const char *object_id;
	TemplateResult result;
	const char *wanted;			/* the URL, or the problem */
}			cases[] =

{
	{"https://h/x", NULL, TEMPLATE_FILLED, "https://h/x"},
	{"https://h", NULL, TEMPLATE_FILLED, "https://h"},
	{"https://h/{object_id}", "42", TEMPLATE_FILLED, "https://h/42"},
	{"https://h/{object_type}/{object_id}?op={operation}", "42", TEMPLATE_FILLED,
	"https://h/order/42?op=upsert"},
	{"https://h?id={object_id}", "42", TEMPLATE_FILLED, "https://h?id=42"},
	{"https://h/{object_id}{object_id}", "1", TEMPLATE_FILLED, "https://h/11"},
	{"https://h/{object_id}", "a/b?c#d&e=f g%", TEMPLATE_FILLED,
	"https://h/a%2Fb%3Fc%23d%26e%3Df%20g%25"},
	{"https://h/{object_id}", "\xC3\xBC\xE2\x82\xAC", TEMPLATE_FILLED, "https://h/%C3%BC%E2%82%AC"},
	{"https://h/{object_id}", "Az09-._~", TEMPLATE_FILLED, "https://h/Az09-._~"},
	{"https://h/{object_id}", "{operation}", TEMPLATE_FILLED, "https://h/%7Boperation%7D"},
	{"https://h/{object_id}", "a\r\nb", TEMPLATE_FILLED, "https://h/a%0D%0Ab"},
	{"https://h/{object_id}", "...", TEMPLATE_FILLED, "https://h/..."},
	{"https://h/{object_id}", NULL, TEMPLATE_VALUE_IS_WRONG,
	"The URL needs {object_id}, but this sync has none."},
	{"https://h/{object_id}", "", TEMPLATE_VALUE_IS_WRONG,
	"The URL needs {object_id}, but this sync has none."},
	{"https://h/{object_id}", "..", TEMPLATE_VALUE_IS_WRONG,
	"The URL needs {object_id}, but \"..\" means a directory there."},
	{"https://h/{object_id}", ".", TEMPLATE_VALUE_IS_WRONG,
	"The URL needs {object_id}, but \".\" means a directory there."},
	{"https://h/{remote_id}", "1", TEMPLATE_VALUE_IS_WRONG,
	"The URL needs {remote_id}, but this sync has none."},
	{"https://h/{id}", "1", TEMPLATE_IS_WRONG, UNKNOWN_AT "\"{id}\"."},
	{"https://h/{}", "1", TEMPLATE_IS_WRONG, UNKNOWN_AT "\"{}\"."},
	{"https://h/{object_id", "1", TEMPLATE_IS_WRONG, UNKNOWN_AT "\"{object_id\"."},
	{"https://h/object_id}", "1", TEMPLATE_IS_WRONG, UNKNOWN_AT "\"}\"."},
	{"https://h/{{object_id}}", "1", TEMPLATE_IS_WRONG, UNKNOWN_AT "\"{{object_id}}\"."},
	{"https://h/{Object_id}", "1", TEMPLATE_IS_WRONG, UNKNOWN_AT "\"{Object_id}\"."},
	/* cut on a character */
	{"https://h/{aaaaaaaaaabbbbbbbbbbccccccccccdddddddd\u00e9}", "1", TEMPLATE_IS_WRONG,
	UNKNOWN_AT "\"{aaaaaaaaaabbbbbbbbbbccccccccccdddddddd\"."},
	{"https://{object_id}.h/", "1", TEMPLATE_IS_WRONG, MISPLACED},
	{"https://h:{object_id}/", "1", TEMPLATE_IS_WRONG, MISPLACED},
	{"{object_id}://h/", "1", TEMPLATE_IS_WRONG, MISPLACED},
	{"{object_id}", "1", TEMPLATE_IS_WRONG, MISPLACED},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const TemplateValues values = {
			.object_type = "order",
			.object_id = cases[i].object_id,
			.operation = "upsert"
		};
		Text		filled = {0};
		char		problem[300] = "";
		TemplateResult result = template_fill(cases[i].url, &values, &filled,
											  problem, sizeof(problem));

		tap_number(result, cases[i].result, cases[i].url);
		tap_text(result == TEMPLATE_FILLED ? filled.data : problem, cases[i].wanted,
				 cases[i].wanted);
		text_free(&filled);
	}
	return tap_done();
}
