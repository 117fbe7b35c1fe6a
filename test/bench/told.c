/*-------------------------------------------------------------------------
 * told.c
 *		Listens for incidents.
 *
 *	told COUNT SECONDS		prints "listening", then "<endpoint> <microseconds when it was
 *							told>" for each that opens
 *
 * Ends after that many, or when the time is over.
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"
#include "measure.h"

/* What stands in a member of a flat JSON object, up to its closing quote. */
static const char *
member(const char *object, const char *name, int *length)
{
	char		start[32];
	const char *value;

	snprintf(start, sizeof(start), "\"%s\": \"", name);
	value = strstr(object, start);
	if (value == NULL)
		measure_fail("no such member", object);
	value += strlen(start);
	*length = (int) strcspn(value, "\"");
	return value;
}

/* Whether an incident opens. */
static bool
print_opened(const char *payload, int64_t at_us)
{
	int			length;
	const char *change = member(payload, "change", &length);

	if (strncmp(change, "opened", (size_t) length) != 0)
		return false;
	change = member(payload, "endpoint", &length);
	printf("%.*s %lld\n", length, change, (long long) at_us);
	fflush(stdout);
	return true;
}

/* How many opened of those that have come. */
static long
take_notifications(PGconn *connection)
{
	const int64_t at_us = measure_now_us();
	PGnotify   *notification;
	long		opened = 0;

	if (!PQconsumeInput(connection))
		measure_fail("listening", PQerrorMessage(connection));
	while ((notification = PQnotifies(connection)) != NULL)
	{
		opened += print_opened(notification->extra, at_us);
		PQfreemem(notification);
	}
	return opened;
}

int
main(int argc, char **argv)
{
	PGconn	   *connection;
	long		missing;
	int64_t		end_us;

	if (argc != 3)
		measure_fail("usage", "told COUNT SECONDS");
	missing = measure_number(argv[1]);
	end_us = measure_now_us() + measure_number(argv[2]) * 1000000;
	connection = database_connect();
	database_run(connection, "LISTEN integration_incident");
	printf("listening\n");
	fflush(stdout);
	while (missing > 0 && measure_now_us() < end_us)
	{
		struct pollfd waited = {.fd = PQsocket(connection),.events = POLLIN};

		if (poll(&waited, 1, 100) > 0)
			missing -= take_notifications(connection);
	}
	PQfinish(connection);
	return 0;
}
