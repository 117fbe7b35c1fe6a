/*-------------------------------------------------------------------------
 * sqlcomment_fuzz.c
 *		Comments of statements: whatever stands around one, it says the same; what was written reads back.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/sqlcomment.h"

#define VALUE_MOST_BYTES 1200	/* so that a comment holds it with each byte encoded */

static void
check_surrounded(const char *statement, const char *key, bool is_there, const char *value)
{
	size_t		size = strlen(statement) + 32;
	char	   *around = malloc(size);
	char		again[64];

	CHECK(around);
	snprintf(around, size, "SELECT 1 %s ;\n", statement);
	CHECK(sqlcomment_value(around, key, again, sizeof(again)) == is_there);
	CHECK(!is_there || strcmp(again, value) == 0);
	free(around);
}

static void
check_written(const char *value)
{
	char		statement[3 * VALUE_MOST_BYTES + 32] = "SELECT 1 /*a='b', k='";
	char		read[VALUE_MOST_BYTES + 1];
	size_t		length = strlen(statement);

	if (strlen(value) > VALUE_MOST_BYTES)
		return;
	for (const char *byte = value; *byte != '\0'; byte++)
		length += (size_t) sprintf(statement + length, "%%%02X", (unsigned char) *byte);
	strcpy(statement + length, "'*/");
	CHECK(sqlcomment_value(statement, "k", read, sizeof(read)));
	CHECK(strcmp(read, value) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *statement = take_string(&input);
	char	   *key = take_string(&input);
	char	   *other = take_string(&input);
	char		value[64];
	bool		is_there = sqlcomment_value(statement, key, value, sizeof(value));

	CHECK(!is_there || strlen(value) < sizeof(value));
	check_surrounded(statement, key, is_there, value);
	check_written(other);
	free(statement);
	free(key);
	free(other);
	return 0;
}
