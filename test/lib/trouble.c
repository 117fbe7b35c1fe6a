/*-------------------------------------------------------------------------
 * trouble.c
 *		Takes from a server what it needs, for as long as a test says, preloaded into it.
 *
 * The file that TROUBLE names says what is missing: "disk" for data files that
 * would grow, "wal" for those of the log, "descriptors" for new sockets.
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static bool
lacks(const char *what)
{
	const char *path = getenv("TROUBLE");
	FILE	   *file = path == NULL ? NULL : fopen(path, "r");
	char		text[64] = "";
	bool		found;

	if (file == NULL)
		return false;
	found = fgets(text, sizeof(text), file) != NULL && strstr(text, what) != NULL;
	fclose(file);
	return found;
}

/* Whether what is written there makes a file of the server longer without room for it. */
static bool
has_no_room(int descriptor, off_t end)
{
	char		link[64];
	char		path[4096];
	struct stat status;
	ssize_t		length;

	if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || end <= status.st_size)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	return (strstr(path, "/base/") != NULL && lacks("disk")) ||
		(strstr(path, "/pg_wal/") != NULL && lacks("wal"));
}

ssize_t
pwrite(int descriptor, const void *bytes, size_t count, off_t at)
{
	ssize_t		(*next) (int, const void *, size_t, off_t) =
		(ssize_t (*) (int, const void *, size_t, off_t)) dlsym(RTLD_NEXT, "pwrite");

	if (has_no_room(descriptor, at + (off_t) count))
	{
		errno = ENOSPC;
		return -1;
	}
	return next(descriptor, bytes, count, at);
}

ssize_t
pwrite64(int descriptor, const void *bytes, size_t count, off64_t at)
{
	return pwrite(descriptor, bytes, count, at);
}

/* From 16 on tables grow by these. */
ssize_t
pwritev(int descriptor, const struct iovec *parts, int count, off_t at)
{
	ssize_t		(*next) (int, const struct iovec *, int, off_t) =
		(ssize_t (*) (int, const struct iovec *, int, off_t)) dlsym(RTLD_NEXT, "pwritev");

	if (has_no_room(descriptor, at + 1))
	{
		errno = ENOSPC;
		return -1;
	}
	return next(descriptor, parts, count, at);
}

ssize_t
pwritev64(int descriptor, const struct iovec *parts, int count, off64_t at)
{
	return pwritev(descriptor, parts, count, at);
}

int
posix_fallocate(int descriptor, off_t at, off_t length)
{
	int			(*next) (int, off_t, off_t) =
		(int (*) (int, off_t, off_t)) dlsym(RTLD_NEXT, "posix_fallocate");

	return has_no_room(descriptor, at + length) ? ENOSPC : next(descriptor, at, length);
}

int
posix_fallocate64(int descriptor, off64_t at, off64_t length)
{
	return posix_fallocate(descriptor, at, length);
}

int
socket(int domain, int type, int protocol)
{
	int			(*next) (int, int, int) = (int (*) (int, int, int)) dlsym(RTLD_NEXT, "socket");

	if ((domain == AF_INET || domain == AF_INET6) && lacks("descriptors"))
	{
		errno = EMFILE;
		return -1;
	}
	return next(domain, type, protocol);
}
