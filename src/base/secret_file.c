/*-------------------------------------------------------------------------
 * secret_file.c
 *		Secrets that lie elsewhere: the key, what values refer to.
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/secret_file.h"

SecretSource
secret_file_source(const char *value, const char **name)
{
	static const char file[] = "file:";
	static const char view[] = "view:";

	*name = value + sizeof(file) - 1;
	if (strncmp(value, file, sizeof(file) - 1) == 0)
		return SECRET_SOURCE_FILE;
	return strncmp(value, view, sizeof(view) - 1) == 0 ? SECRET_SOURCE_VIEW : SECRET_SOURCE_VALUE;
}

static bool
__attribute__((format(printf, 2, 3)))
refuse(SecretFileProblem *problem, const char *format,...)
{
	va_list		values;

	va_start(values, format);
	vsnprintf(problem->text, sizeof(problem->text), format, values);
	va_end(values);
	return false;
}

/* Both without links on their way. */
static bool
is_below(const char *path, const char *directory)
{
	size_t		length = strlen(directory);

	if (strcmp(directory, "/") == 0)
		return true;
	return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* Whether it lies where the link, or directory, of this name leads. */
static bool
is_behind(const char *path, const char *directory, const char *name)
{
	char		link[PATH_MAX];
	char		target[PATH_MAX];
	int			length = snprintf(link, sizeof(link), "%s/%s", directory, name);

	return length < (int) sizeof(link) && realpath(link, target) && is_below(path, target);
}

static bool
is_in_tablespace(const char *path, const char *data_directory)
{
	char		directory[PATH_MAX];
	DIR		   *entries;
	struct dirent *entry;
	bool		is_found = false;

	snprintf(directory, sizeof(directory), "%s/pg_tblspc", data_directory);
	entries = opendir(directory);
	if (!entries)
		return false;
	while (!is_found && (entry = readdir(entries)))
		is_found = entry->d_name[0] != '.' && is_behind(path, directory, entry->d_name);
	closedir(entries);
	return is_found;
}

static bool
is_backed_up(const char *path, const char *data_directory)
{
	return is_behind(path, data_directory, ".") || is_behind(path, data_directory, "pg_wal") ||
		is_in_tablespace(path, data_directory);
}

/* As PostgreSQL asks of a TLS key: root's may be readable to one group. */
static bool
is_private(const struct stat *facts)
{
	return (facts->st_uid == geteuid() && (facts->st_mode & 077) == 0) ||
		(facts->st_uid == 0 && (facts->st_mode & 027) == 0);
}

static bool
read_all(int descriptor, char *buffer, size_t size, size_t *length)
{
	*length = 0;
	while (*length < size)
	{
		ssize_t		bytes = read(descriptor, buffer + *length, size - *length);

		if (bytes == 0)
			return true;
		if (bytes < 0 && errno != EINTR)
			return false;
		*length += bytes > 0 ? (size_t) bytes : 0;
	}
	return true;
}

/* path has no links on its way: one that comes now is not followed; a pipe is not waited for. */
static int
open_file(const char *path, struct stat *facts, SecretFileProblem *problem)
{
	int			descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (descriptor >= 0 && fstat(descriptor, facts) == 0)
	{
		if (S_ISREG(facts->st_mode))
			return descriptor;
		refuse(problem, "\"%s\" is no regular file.", path);
	}
	else
		refuse(problem, "\"%s\" cannot be read: %s.", path, strerror(errno));
	if (descriptor >= 0)
		close(descriptor);
	return -1;
}

static bool
derive(const char *path, int descriptor, SealKey *key, SecretFileProblem *problem)
{
	char		material[SECRET_FILE_MOST_BYTES + 1];
	size_t		length;
	bool		is_derived = false;

	if (!read_all(descriptor, material, sizeof(material), &length))
		refuse(problem, "\"%s\" cannot be read: %s.", path, strerror(errno));
	else if (length < SEAL_KEY_BYTES)
		refuse(problem, "\"%s\" holds %zu of the %d bytes that are needed.", path, length,
			   SEAL_KEY_BYTES);
	else if (length > SECRET_FILE_MOST_BYTES)
		refuse(problem, "\"%s\" holds more than %d bytes.", path, SECRET_FILE_MOST_BYTES);
	else
		is_derived = seal_derive(bytes_at(material, length), key) ||
			refuse(problem, "OpenSSL cannot derive a key.");
	OPENSSL_cleanse(material, sizeof(material));
	return is_derived;
}

bool
secret_file_key(const char *path, const char *data_directory, SealKey *key,
				SecretFileProblem *problem)
{
	char		real[PATH_MAX];
	struct stat facts;
	int			descriptor;
	bool		is_read;

	if (path[0] != '/')
		return refuse(problem, "\"%s\" is not an absolute path.", path);
	if (!realpath(path, real))
		return refuse(problem, "\"%s\" cannot be read: %s.", path, strerror(errno));
	if (is_backed_up(real, data_directory))
		return refuse(problem, "\"%s\" lies where a base backup would carry it beside the secrets.",
					  path);
	descriptor = open_file(real, &facts, problem);
	if (descriptor < 0)
		return false;
	if (is_private(&facts))
		is_read = derive(path, descriptor, key, problem);
	else
		is_read = refuse(problem,
						 "\"%s\" belongs to somebody else, or others may read it.", path);
	close(descriptor);
	return is_read;
}

static char *
read_content(const char *path, int descriptor, size_t *length, SecretFileProblem *problem)
{
	char	   *content = malloc(SECRET_FILE_MOST_BYTES + 2);

	if (!content || !read_all(descriptor, content, SECRET_FILE_MOST_BYTES + 1, length))
		refuse(problem, "\"%s\" cannot be read: %s.", path, strerror(errno));
	else if (*length > SECRET_FILE_MOST_BYTES)
		refuse(problem, "\"%s\" holds more than %d bytes.", path, SECRET_FILE_MOST_BYTES);
	else
	{
		if (*length > 0 && content[*length - 1] == '\n')
			*length -= *length > 1 && content[*length - 2] == '\r' ? 2 : 1;
		content[*length] = '\0';
		if (*length > 0)
			return content;
		refuse(problem, "\"%s\" is empty.", path);
	}
	if (content)
		OPENSSL_cleanse(content, SECRET_FILE_MOST_BYTES + 2);
	free(content);
	return NULL;
}

char *
secret_file_read(const char *directory, const char *name, size_t *length,
				 SecretFileProblem *problem)
{
	char		base[PATH_MAX];
	char		path[PATH_MAX];
	char		real[PATH_MAX];
	struct stat facts;
	int			descriptor;
	char	   *content;

	if (!directory)
	{
		refuse(problem, "A superuser has to set integration.secret_directory first.");
		return NULL;
	}
	if (!realpath(directory, base))
	{
		refuse(problem, "\"%s\" cannot be read: %s.", directory, strerror(errno));
		return NULL;
	}
	if (snprintf(path, sizeof(path), "%s/%s", base, name) >= (int) sizeof(path) ||
		!realpath(path, real))
	{
		refuse(problem, "\"%s\" cannot be read below \"%s\": %s.", name, base, strerror(errno));
		return NULL;
	}
	if (!is_below(real, base))
	{
		refuse(problem, "\"%s\" leads out of \"%s\".", name, base);
		return NULL;
	}
	descriptor = open_file(real, &facts, problem);
	if (descriptor < 0)
		return NULL;
	content = read_content(real, descriptor, length, problem);
	close(descriptor);
	return content;
}
