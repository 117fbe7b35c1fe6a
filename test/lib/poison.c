/*-------------------------------------------------------------------------
 * poison.c
 *		Has the worker of a test crash at a certain sync, preloaded into its server.
 *
 * What the process sends is looked at on its way into the socket: a request
 * with the marker in it is a SIGSEGV.
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#define MARKER "crash-the-worker"

ssize_t
send(int descriptor, const void *bytes, size_t count, int flags)
{
	ssize_t		(*next) (int, const void *, size_t, int) =
		(ssize_t (*) (int, const void *, size_t, int)) dlsym(RTLD_NEXT, "send");

	if (strstr(program_invocation_name, "postgres") != NULL &&
		memmem(bytes, count, "POST ", 5) == bytes &&
		memmem(bytes, count, MARKER, strlen(MARKER)) != NULL)
		(void) raise(SIGSEGV);
	return next(descriptor, bytes, count, flags);
}
