/*-------------------------------------------------------------------------
 * header_fuzz.c
 *		Header fields of requests: what may be sent is one line.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/header.h"

static void
check_list(const HeaderList *list)
{
	CHECK(!list->failed && list->count <= list->capacity);
	for (int i = 0; i < list->count; i++)
	{
		CHECK(strpbrk(list->lines[i], "\r\n") == NULL);
		CHECK(strstr(list->lines[i], ": ") != NULL || strchr(list->lines[i], ':') != NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	HeaderList	list = {0};
	int			names = 0;

	while (input.length > 0)
	{
		char	   *name = take_string(&input);
		char	   *value = take_string(&input);
		const char *problem = header_name_problem(name);

		CHECK(problem || strpbrk(name, "\r\n: \t") == NULL);
		if (!problem)
			problem = header_value_problem(value);
		if (!problem)
		{
			header_list_set(&list, name, value);
			names++;
		}
		CHECK(list.count <= names);
		free(name);
		free(value);
	}
	check_list(&list);
	header_list_free(&list);
	return 0;
}
