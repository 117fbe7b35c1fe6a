/*-------------------------------------------------------------------------
 * text_test.c
 *		The byte buffer: growing, cleaning, cutting.
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdlib.h>

#include "message/text.h"
#include "tap.h"

#define BAD "\xEF\xBF\xBD"
#define EURO "\xE2\x82\xAC"
#define MIXED "\xC3\xBC" EURO "\xF0\x9F\x98\x80"

static const struct
{
	const char *name;
	const char *bytes;
	size_t		length;
	size_t		limit;
	const char *wanted;
}			cleanings[] =

{
	{"ASCII", "abc", 3, 100, "abc"},
	{"nothing", "", 0, 100, ""},
	{"two, three, four bytes", MIXED, 9, 100, MIXED},
	{"a zero byte", "a\0b", 3, 100, "a" BAD "b"},
	{"a lone continuation", "a\x80z", 3, 100, "a" BAD "z"},
	{"a cut character", "a\xE2\x82", 3, 100, "a" BAD BAD},
	{"overlong slash", "\xC0\xAF", 2, 100, BAD BAD},
	{"overlong in three", "\xE0\x80\xAF", 3, 100, BAD BAD BAD},
	{"overlong in four", "\xF0\x80\x80\xAF", 4, 100, BAD BAD BAD BAD},
	{"a surrogate", "\xED\xA0\x80", 3, 100, BAD BAD BAD},
	{"the last code point", "\xF4\x8F\xBF\xBF", 4, 100, "\xF4\x8F\xBF\xBF"},
	{"above the last one", "\xF4\x90\x80\x80", 4, 100, BAD BAD BAD BAD},
	{"bytes of no use", "\xFE\xFF", 2, 100, BAD BAD},
	{"Latin-1", "M\xFCller", 6, 100, "M" BAD "ller"},
	{"cut before a character", "ab\xE2\x82\xAC", 5, 4, "ab"},
	{"cut after a character", "ab\xE2\x82\xAC" "c", 6, 5, "ab\xE2\x82\xAC"},
	{"cut before a replacement", "ab\xFF", 3, 4, "ab"},
	{"room for nothing", "abc", 3, 0, ""},
};

static void
check_cleaning(size_t i)
{
	Text		text = {0};
	char	   *result;

	text_append_clean(&text, cleanings[i].bytes, cleanings[i].length, cleanings[i].limit);
	result = text_take(&text);
	tap_text(result, cleanings[i].wanted, cleanings[i].name);
	tap_ok(text_is_utf8(result, strlen(result)), "is UTF-8");
	free(result);
}

static void
check_growth(void)
{
	Text		text = {0};
	char	   *result;
	bool		is_good = true;

	for (int i = 0; i < 10000; i++)
		text_append_string(&text, "0123456789");
	tap_number((long long) text.length, 100000, "a hundred thousand bytes");
	result = text_take(&text);
	for (size_t i = 0; i < 100000; i++)
		is_good = is_good && result[i] == (char) ('0' + i % 10);
	tap_ok(is_good && result[100000] == '\0', "each in its place");
	tap_ok(text.data == NULL && text.length == 0, "an emptied buffer is a fresh one");
	free(result);
}

static void
check_failure(void)
{
	Text		text = {0};

	text_append_string(&text, "abc");
	text_append(&text, "x", SIZE_MAX / 2);
	tap_ok(text.failed, "more than there is");
	text_append_string(&text, "def");
	tap_ok(text.failed, "stays so");
	tap_ok(text_take(&text) == NULL, "and gives nothing");
}

static void
check_copy(void)
{
	char		small[6];

	text_copy_clean(small, sizeof(small), "abc");
	tap_text(small, "abc", "a copy that fits");
	text_copy_clean(small, sizeof(small), "abcdefgh");
	tap_text(small, "abcde", "a copy that is cut");
	text_copy_clean(small, sizeof(small), "abc\xE2\x82\xAC");
	tap_text(small, "abc", "cut before a character");
	text_copy_clean(small, sizeof(small), "\xFF" "ab");
	tap_text(small, BAD "ab", "cleaned");
}

/* Whole words are skipped at once: the byte that ends a run may stand anywhere in one. */
static void
check_ascii_runs(void)
{
	static const char ends[] = {'\0', '\x80', '\xFF', '\xC3'};
	size_t		wrong = 0;

	for (size_t length = 0; length < 20; length++)
		for (size_t at = 0; at <= length; at++)
			for (size_t i = 0; i < sizeof(ends); i++)
			{
				char		bytes[20];

				memset(bytes, i % 2 ? 0x7f : 0x01, sizeof(bytes));
				if (at < length)
					bytes[at] = ends[i];
				wrong += text_ascii_run(bytes, length) != at;
			}
	tap_number((long long) wrong, 0, "runs of ASCII end where something else stands");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cleanings) / sizeof(cleanings[0]); i++)
		check_cleaning(i);
	tap_ok(!text_is_utf8("a\0b", 3), "a zero byte is not text");
	tap_ok(!text_is_utf8("\xC3", 1), "half a character is not text");
	check_ascii_runs();
	check_growth();
	check_failure();
	check_copy();
	return tap_done();
}
