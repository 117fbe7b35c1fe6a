/*-------------------------------------------------------------------------
 * lists_fuzz.c
 *		Lists of hosts, of ports: each holds what it names, and reads back as it was.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <strings.h>

#include "base/host.h"
#include "base/port.h"

static void
check_pattern(const HostList *list, const char *pattern)
{
	HostList	again;
	char		host[LIST_ENTRY_BYTES + 2];
	char		problem[LIST_ENTRY_BYTES + 64];

	CHECK(host_list_parse(pattern, &again, problem, sizeof(problem)));
	CHECK(again.count == 1 && strcmp(again.items[0], pattern) == 0);
	snprintf(host, sizeof(host), "%s%s", pattern[0] == '*' ? "a" : "",
			 pattern[0] == '*' ? pattern + 1 : pattern);
	CHECK(host_list_contains(list, host));
	strcat(host, ".");
	CHECK(host_list_contains(list, host));
	/* what only begins with it is another host */
	strcpy(host + strlen(host) - 1, "x");
	CHECK(!host_list_contains(&again, host));
}

static void
check_hosts(const char *text)
{
	HostList	list;
	char		problem[LIST_ENTRY_BYTES + 64] = "";

	if (!host_list_parse(text, &list, problem, sizeof(problem)))
		CHECK(problem[0] && (is_clean(problem) || !is_clean(text)));
	else
		for (int i = 0; i < list.count; i++)
			check_pattern(&list, list.items[i]);
}

static void
check_ports(const char *text)
{
	PortList	list;
	char		problem[LIST_ENTRY_BYTES + 64] = "";

	if (!port_list_parse(text, &list, problem, sizeof(problem)))
	{
		CHECK(problem[0] && (is_clean(problem) || !is_clean(text)));
		return;
	}
	for (int i = 0; i < list.count; i++)
	{
		CHECK(list.items[i].first >= 1 && list.items[i].last <= 65535);
		CHECK(port_list_contains(&list, list.items[i].first));
		CHECK(port_list_contains(&list, list.items[i].last));
	}
	CHECK(!port_list_contains(&list, 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *text = take_string(&input);

	check_hosts(text);
	check_ports(text);
	free(text);
	return 0;
}
