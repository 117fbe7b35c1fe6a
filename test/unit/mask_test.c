/*-------------------------------------------------------------------------
 * mask_test.c
 *		No echo of a secret stays in a text.
 *-------------------------------------------------------------------------
 */
#include "message/mask.h"
#include "tap.h"

static const struct
{
	const char *text;
	const char *secret;
	const char *masked;
}			cases[] =

{
	{"nothing of it", "correct horse", "nothing of it"},
	{"it is correct horse!", "correct horse", "it is ***!"},
	{"correct horsecorrect horse", "correct horse", "******"},
	{"{\"a\": \"say \\\"yes\\\" now\"}", "say \"yes\" now", "{\"a\": \"***\"}"},
	{"q=correct%20horse&x", "correct horse", "q=***&x"},
	{"cut: correct h", "correct horse", "cut: ***"},
	{"cut: correct", "correct horse", "cut: correct"},
	{"short one", "short", "short one"},
	{"", "correct horse", ""},
	{"12345678", "12345678", "***"},
	{"a%2fb/c%20d+e f\\/g", "a/b/c d e f/g", "***"},
	{"caf\\u00e9 \\u0041bcdefgh", "Abcdefgh", "caf\\u00e9 ***"},
	{"C:\\\\secret\\\\x", "C:\\secret\\x", "***"},
	{"C:\\\\secret\\\\x", "C:\\\\secret\\\\x", "***"},
	{"%", "%%%%%%%%", "%"},
	{"100%25%25%25%25%25%25%25%25", "%%%%%%%%", "100***"},
	{"caf\xC3\xA9 caf\xC3\xA9", "caf\xC3\xA9 caf\xC3\xA9", "***"},
	{"caf%C3%A9%20caf%C3%A9", "caf\xC3\xA9 caf\xC3\xA9", "***"},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *text = strdup(cases[i].text);
		size_t		length;

		if (!text)
			tap_bail_out("out of memory");
		length = mask_secret(text, cases[i].secret);
		tap_text(text, cases[i].masked, cases[i].text);
		tap_number((long long) length, (long long) strlen(text), "its length");
		free(text);
	}
	return tap_done();
}
