/*-------------------------------------------------------------------------
 * secret_file_test.c
 *		Which files secrets are read from.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret_file.h"
#include "tap.h"

static char base[PATH_MAX];		/* a directory of this run */

static const char *
below(const char *name)
{
	static char paths[4][PATH_MAX + 64];
	static int	next;
	char	   *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
	return path;
}

static void
write_file(const char *name, size_t bytes, mode_t mode)
{
	FILE	   *out = fopen(below(name), "w");

	if (!out)
		tap_bail_out("a file can't be written");
	for (size_t i = 0; i < bytes; i++)
		fputc('k', out);
	fclose(out);
	chmod(below(name), mode);
}

static void
write_text(const char *name, const char *text)
{
	FILE	   *out = fopen(below(name), "w");

	if (!out)
		tap_bail_out("a file can't be written");
	fputs(text, out);
	fclose(out);
}

static void
make_tree(void)
{
	static const char *const directories[] = {
		"data", "data/pg_tblspc", "space", "secrets", "secrets/sub", "wal"
	};

	if (!realpath("/tmp", base))
		tap_bail_out("there is no /tmp");
	strncat(base, "/secret_file_test.XXXXXX", sizeof(base) - strlen(base) - 1);
	if (!mkdtemp(base))
		tap_bail_out("a directory can't be made");
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		if (mkdir(below(directories[i]), 0700) != 0)
			tap_bail_out("a directory can't be made");
	if (symlink(below("space"), below("data/pg_tblspc/16384")) != 0 ||
		symlink(below("wal"), below("data/pg_wal")) != 0 ||
		symlink(below("data/key"), below("link")) != 0 ||
		symlink("../key", below("secrets/out")) != 0 ||
		symlink("sub/plain", below("secrets/within")) != 0)
		tap_bail_out("a link can't be made");
}

static void
remove_tree(void)
{
	char		command[PATH_MAX + 32];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	if (system(command) != 0)
		tap_bail_out("the directory can't be removed");
}

static void
check_key(const char *path, const char *problem, const char *name)
{
	SealKey		key;
	SecretFileProblem found = {""};
	bool		is_read = secret_file_key(path, below("data"), &key, &found);

	if (!tap_ok(is_read == (problem == NULL) && (is_read || strstr(found.text, problem)), name))
		printf("#      got: %s\n", found.text);
}

static void
check_keys(void)
{
	write_file("key", 32, 0600);
	write_file("short", 31, 0600);
	write_file("long", SECRET_FILE_MOST_BYTES + 1, 0600);
	write_file("group", 32, 0640);
	write_file("world", 32, 0604);
	write_file("data/key", 32, 0600);
	write_file("space/key", 32, 0600);
	write_file("wal/key", 32, 0600);
	check_key(below("key"), NULL, "a good key");
	check_key("integration.key", "not an absolute path", "a relative path");
	check_key(below("none"), "No such file", "no file");
	check_key(below("secrets"), "is no regular file", "a directory");
	check_key("/dev/zero", "is no regular file", "a device");
	check_key(below("short"), "holds 31 of the 32 bytes", "too short");
	check_key(below("long"), "holds more than", "too long");
	if (geteuid() != 0)
		check_key(below("group"), "others may read it", "readable to the group");
	check_key(below("world"), "others may read it", "readable to all");
	check_key(below("data/key"), "base backup", "in the data directory");
	check_key(below("link"), "base backup", "a link into it");
	check_key(below("space/key"), "base backup", "in a tablespace");
	check_key(below("wal/key"), "base backup", "beside the WAL");
}

static void
check_secret_below(const char *directory, const char *name, const char *content,
				   const char *problem)
{
	SecretFileProblem found = {""};
	size_t		length = 0;
	char	   *text = secret_file_read(directory, name, &length, &found);

	tap_text(text, content, name);
	if (content)
		tap_number((long long) length, (long long) strlen(content), "its length");
	else if (!tap_ok(strstr(found.text, problem), problem))
		printf("#      got: %s\n", found.text);
	free(text);
}

static void
check_secret(const char *name, const char *content, const char *problem)
{
	check_secret_below(below("secrets"), name, content, problem);
}

static void
check_secrets(void)
{
	write_text("secrets/sub/plain", "the secret\n");
	write_text("secrets/dos", "the secret\r\n");
	write_text("secrets/bare", "the secret");
	write_text("secrets/two", "one\ntwo\n");
	write_text("secrets/empty", "\n");
	write_file("secrets/big", SECRET_FILE_MOST_BYTES + 1, 0600);
	check_secret("sub/plain", "the secret", NULL);
	check_secret("within", "the secret", NULL);
	check_secret("dos", "the secret", NULL);
	check_secret("bare", "the secret", NULL);
	check_secret("two", "one\ntwo", NULL);
	check_secret("empty", NULL, "is empty");
	check_secret("big", NULL, "holds more than");
	check_secret("none", NULL, "No such file");
	check_secret("sub", NULL, "is no regular file");
	check_secret("out", NULL, "leads out of");
	check_secret("../key", NULL, "leads out of");
	check_secret("sub/../../key", NULL, "leads out of");
	check_secret("", NULL, "leads out of");
	check_secret_below(NULL, "none is set", NULL, "has to set integration.secret_directory");
}

static void
check_source(const char *value, SecretSource source, const char *name)
{
	const char *found;

	tap_number(secret_file_source(value, &found), source, value);
	if (name)
		tap_text(found, name, "where it leads");
}

int
main(void)
{
	make_tree();
	check_keys();
	check_secrets();
	remove_tree();
	check_source("file:a/b", SECRET_SOURCE_FILE, "a/b");
	check_source("view:a.b/c", SECRET_SOURCE_VIEW, "a.b/c");
	check_source("files", SECRET_SOURCE_VALUE, NULL);
	return tap_done();
}
