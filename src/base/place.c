/*-------------------------------------------------------------------------
 * place.c
 *		Where the server's data lies, as far as a copy of it lies elsewhere.
 *
 * Every file of a copy is a new one, with an inode and a birth of its own; a
 * snapshot of the volume keeps both, but is mounted on another machine or below
 * another directory.  A host's name says nothing: containers change it at will,
 * and so do devices at each boot.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/place.h"

#define OLD_FILE "PG_VERSION"	/* written by initdb, never since */

static Place place;

/* The first word of the file, or "". */
static void
read_word(const char *path, char *word, size_t word_bytes)
{
	FILE	   *file = fopen(path, "r");
	size_t		length = 0;

	word[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(word, (int) word_bytes, file) == NULL)
		word[0] = '\0';
	fclose(file);
	while (word[length] != '\0' && !isspace((unsigned char) word[length]))
		length++;
	word[length] = '\0';
}

static void
note_directory(void)
{
	char	   *resolved = realpath(DataDir, NULL);

	place.directory[0] = '\0';
	if (resolved != NULL)
		strlcpy(place.directory, resolved, sizeof(place.directory));
	free(resolved);
}

static void
note_file(void)
{
#ifdef STATX_BTIME
	struct statx extended;

	if (statx(AT_FDCWD, OLD_FILE, 0, STATX_INO | STATX_BTIME, &extended) == 0)
	{
		place.inode = extended.stx_ino;
		if (extended.stx_mask & STATX_BTIME)
			snprintf(place.born, sizeof(place.born), "%lld.%09u",
					 (long long) extended.stx_btime.tv_sec, extended.stx_btime.tv_nsec);
		return;
	}
#endif
	struct stat plain;

	if (stat(OLD_FILE, &plain) == 0)
		place.inode = plain.st_ino;
}

/* A restore to some point in time is none, even if it was run as a standby. */
static bool
is_standby(void)
{
	static const char *const targets[] = {
		"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
		"recovery_target_xid",
	};

	for (int i = 0; i < lengthof(targets); i++)
	{
		const char *target = GetConfigOption(targets[i], true, false);

		if (target != NULL && target[0] != '\0')
			return false;
	}
	return access(STANDBY_SIGNAL_FILE, F_OK) == 0;
}

void
place_note(void)
{
	read_word("/etc/machine-id", place.machine, sizeof(place.machine));
	note_directory();
	note_file();
	place.was_standby = is_standby();
}

const Place *
place_get(void)
{
	return &place;
}
