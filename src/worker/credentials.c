/*-------------------------------------------------------------------------
 * credentials.c
 *		Secrets in the worker's memory: opened for use, wiped afterwards.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/seal.h"
#include "base/secret_file.h"
#include "base/settings.h"
#include "message/credential.h"
#include "message/mask.h"
#include "store/credentials.h"
#include "store/session.h"
#include "worker/credentials.h"
#include "worker/tokens.h"

/* What a secret refers to is read again, what can't be read is tried again. */
#define READ_AGAIN_US (10 * USECS_PER_SEC)

/* Meanwhile nothing else is sent. */
#define VIEW_MOST_MS 1000

/* Values that are in use; nobody changes them. */
struct OpenedCredential
{
	int			users;
	int64		number;			/* no other opening has it */
	Credential	credential;		/* its strings are copies */
	Certificate certificate;	/* of its kind only */
};

/* A credential in the registry. */
typedef struct Entry
{
	char		name[CREDENTIAL_NAME_BYTES];	/* hash key */
	int64		loaded_in;		/* the load that read it last */
	const CredentialRow *rows;	/* in the registry's memory, newest first */
	int			row_count;
	OpenedCredential *opened;	/* NULL: nobody needed it, or problem says why
								 * it can't be */
	CredentialProblem problem;	/* reason NULL: none */
	TimestampTz changes_at;		/* a secret begins or ends then, or a
								 * reference is read again */
} Entry;

/* Values being opened, newest first. */
typedef struct Opening
{
	const Sender *sender;
	char	  **values;
	int			count;
	bool		has_references;
	CredentialProblem *problem;
} Opening;

/* A reference to a view being read. */
typedef struct ViewStep
{
	const Sender *sender;
	const char *reference;
	char	   *value;
	char	   *problem;
} ViewStep;

void
credentials_init(Sender *sender)
{
	HASHCTL		control = {
		.keysize = CREDENTIAL_NAME_BYTES,
		.entrysize = sizeof(Entry),
		.hcxt = sender->memory,
	};

	sender->vault.memory = AllocSetContextCreate(sender->memory, "integration secrets",
												 ALLOCSET_SMALL_SIZES);
	sender->vault.opened = hash_create("integration credentials", 64, &control,
									   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* ---- memory */

static void
wipe_string(char *string)
{
	explicit_bzero(string, strlen(string));
	pfree(string);
}

static void
free_values(const char *const *values, int count)
{
	for (int i = 0; i < count; i++)
		wipe_string((char *) values[i]);
	pfree((void *) values);
}

static void
release(OpenedCredential *opened)
{
	if (opened == NULL || --opened->users > 0)
		return;
	certificate_wipe(&opened->certificate);
	free_values(opened->credential.values, opened->credential.value_count);
	pfree((char *) opened->credential.settings);
	pfree(opened);
}

static void
close_entry(Entry *entry)
{
	release(entry->opened);
	entry->opened = NULL;
	entry->problem.reason = NULL;
	entry->changes_at = DT_NOBEGIN;
}

/* ---- the registry */

static bool
is_same_secret(const CredentialRow *a, const CredentialRow *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->settings, b->settings) == 0 &&
		a->version == b->version && strcmp(a->place, b->place) == 0 &&
		a->not_before == b->not_before && a->not_after == b->not_after &&
		a->sealed_bytes == b->sealed_bytes &&
		(a->sealed == NULL || memcmp(a->sealed, b->sealed, a->sealed_bytes) == 0);
}

static void
update_entry(Entry *entry, const CredentialRow *rows, int count)
{
	bool		is_same = entry->row_count == count;

	for (int i = 0; i < count && is_same; i++)
		is_same = is_same_secret(&entry->rows[i], &rows[i]);
	entry->rows = rows;
	entry->row_count = count;
	/* what somebody changed may have mended a problem, too */
	if (!is_same || entry->problem.reason != NULL)
		close_entry(entry);
}

static Entry *
find_or_add(Sender *sender, const char *name)
{
	bool		found;
	Entry	   *entry = hash_search(sender->vault.opened, name, HASH_ENTER, &found);

	if (!found)
		memset((char *) entry + CREDENTIAL_NAME_BYTES, 0, sizeof(Entry) - CREDENTIAL_NAME_BYTES);
	return entry;
}

/* Whether this load has still to read it. */
static bool
is_wanted(Sender *sender, const char *name)
{
	Entry	   *entry;

	if (name == NULL)
		return false;
	entry = hash_search(sender->vault.opened, name, HASH_FIND, NULL);
	return entry == NULL || entry->loaded_in != sender->loading.count;
}

void
credentials_load(Sender *sender, const EndpointRow *rows, int count)
{
	const char **names = palloc(sizeof(char *) * (3 * count + 1));
	int			name_count = 0;
	int			row_count;
	int			end;
	CredentialRow *found;

	for (int i = 0; i < count; i++)
	{
		if (!sender_owns(sender, rows[i].id))
			continue;
		if (is_wanted(sender, rows[i].credential))
			names[name_count++] = rows[i].credential;
		if (is_wanted(sender, rows[i].signing))
			names[name_count++] = rows[i].signing;
		if (is_wanted(sender, rows[i].certificate))
			names[name_count++] = rows[i].certificate;
	}
	if (name_count == 0)
		return;
	found = credentials_rows(sender->loading.memory, names, name_count, &row_count);
	for (int first = 0; first < row_count; first = end)
	{
		Entry	   *entry = find_or_add(sender, found[first].name);

		end = first + 1;
		while (end < row_count && strcmp(found[end].name, found[first].name) == 0)
			end++;
		entry->loaded_in = sender->loading.count;
		update_entry(entry, &found[first], end - first);
	}
}

void
credentials_end_load(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Entry	   *entry;

	hash_seq_init(&scan, sender->vault.opened);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->loaded_in == sender->loading.count)
			continue;
		close_entry(entry);
		tokens_forget(sender, entry->name);
		hash_search(sender->vault.opened, entry->name, HASH_REMOVE, NULL);
	}
}

void
credentials_reopen(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Entry	   *entry;

	hash_seq_init(&scan, sender->vault.opened);
	while ((entry = hash_seq_search(&scan)) != NULL)
		close_entry(entry);
}

/* ---- opening */

static void
refuse(CredentialProblem *problem, const char *name, const char *what)
{
	problem->reason = "secret_unreadable";
	snprintf(problem->text, sizeof(problem->text), "Credential \"%s\": %s", name, what);
}

static void
read_view(void *arg)
{
	ViewStep   *step = arg;

	step->value = credentials_view_value(step->sender->vault.memory, step->reference,
										 &step->problem);
	if (step->problem != NULL)
		step->problem = MemoryContextStrdup(step->sender->scratch, step->problem);
}

static char *
read_file(const Sender *sender, const char *name, SecretFileProblem *problem)
{
	size_t		length;
	char	   *content;
	char	   *value;

	content = secret_file_read(settings_secret_directory(), name, &length, problem);
	if (content == NULL)
		return NULL;
	value = MemoryContextStrdup(sender->vault.memory, content);
	explicit_bzero(content, length);
	free(content);
	return value;
}

/* What the value says, itself wiped where it is a reference; NULL: there is a problem. */
static char *
resolve(Opening *opening, const CredentialRow *row, char *value)
{
	const char *name;
	SecretSource source = secret_file_source(value, &name);
	SecretFileProblem file_problem = {""};
	ViewStep	step = {.sender = opening->sender,.reference = name};
	char	   *found;

	if (source == SECRET_SOURCE_VALUE)
		return value;
	opening->has_references = true;
	if (source == SECRET_SOURCE_FILE)
		found = read_file(opening->sender, name, &file_problem);
	else
	{
		if (!session_run_within(read_view, &step, VIEW_MOST_MS))
			step.problem = "The view it refers to failed; the server's log says why.";
		found = step.value;
	}
	if (found == NULL)
		refuse(opening->problem, row->name,
			   source == SECRET_SOURCE_FILE ? file_problem.text : step.problem);
	wipe_string(value);
	return found;
}

static char *
open_row(const Sender *sender, const CredentialRow *row, const SealKey *key)
{
	Bytes		place = {row->place, strlen(row->place)};
	Bytes		sealed = {row->sealed, row->sealed_bytes};
	char	   *value;

	if (row->sealed_bytes < SEAL_ADDED_BYTES)
		return NULL;
	value = MemoryContextAllocZero(sender->vault.memory, row->sealed_bytes - SEAL_ADDED_BYTES + 1);
	if (seal_open(key, place, sealed, (unsigned char *) value))
		return value;
	pfree(value);
	return NULL;
}

static void
open_rows(Opening *opening, const Entry *entry, const SealKey *key)
{
	TimestampTz now = opening->sender->now;

	for (int i = 0; i < entry->row_count && opening->problem->reason == NULL; i++)
	{
		const CredentialRow *row = &entry->rows[i];
		char	   *value;

		if (row->version == 0 || row->not_before > now || row->not_after <= now)
			continue;
		value = open_row(opening->sender, row, key);
		if (value == NULL)
			refuse(opening->problem, row->name,
				   "It was sealed with another key than that of integration.secret_key_file, or in another installation.");
		else
			value = resolve(opening, row, value);
		if (value != NULL)
			opening->values[opening->count++] = value;
	}
}

static TimestampTz
next_change(const Entry *entry, TimestampTz now)
{
	TimestampTz at = DT_NOEND;

	for (int i = 0; i < entry->row_count; i++)
	{
		if (entry->rows[i].not_before > now)
			at = Min(at, entry->rows[i].not_before);
		else if (entry->rows[i].not_after > now)
			at = Min(at, entry->rows[i].not_after);
	}
	return at;
}

/* NULL: the entry's problem says why not. */
static OpenedCredential *
make_opened(Sender *sender, Entry *entry, const Opening *opening)
{
	OpenedCredential *opened;

	opened = MemoryContextAllocZero(sender->vault.memory, sizeof(OpenedCredential));
	opened->users = 1;
	opened->number = ++sender->vault.openings;
	opened->credential = (Credential)
	{
		.kind = credential_kind_of(entry->rows[0].kind),
			.settings = MemoryContextStrdup(sender->vault.memory, entry->rows[0].settings),
			.values = (const char *const *) opening->values,
			.value_count = opening->count,
	};
	if (opened->credential.kind != CREDENTIAL_CLIENT_CERTIFICATE ||
		certificate_open(&opened->credential, &opened->certificate, &entry->problem))
		return opened;
	release(opened);
	return NULL;
}

static void
open_entry(Sender *sender, Entry *entry)
{
	const char *path = settings_secret_key_file();
	bool		has_secrets = entry->row_count > 0 && entry->rows[0].version != 0;
	SecretFileProblem key_problem = {"The setting integration.secret_key_file is empty."};
	SealKey		key;
	Opening		opening = {.sender = sender,.problem = &entry->problem};

	close_entry(entry);
	opening.values = MemoryContextAllocZero(sender->vault.memory,
											sizeof(char *) * (entry->row_count + 1));
	if (has_secrets && (path == NULL || !secret_file_key(path, DataDir, &key, &key_problem)))
		refuse(&entry->problem, entry->name, key_problem.text);
	else if (has_secrets)
		open_rows(&opening, entry, &key);
	explicit_bzero(&key, sizeof(key));
	entry->changes_at = next_change(entry, sender->now);
	if (opening.has_references || entry->problem.reason != NULL)
		entry->changes_at = Min(entry->changes_at, sender->now + READ_AGAIN_US);
	if (entry->problem.reason == NULL)
		entry->opened = make_opened(sender, entry, &opening);
	else
		free_values((const char *const *) opening.values, opening.count);
}

/* ---- attempts */

static bool
give_up(Lease *lease, const CredentialProblem *problem)
{
	strlcpy(lease->reason, problem->reason, sizeof(lease->reason));
	strlcpy(lease->problem, problem->text, sizeof(lease->problem));
	request_forget_secrets(&lease->request);
	return false;
}

/* NULL: there is none of that name. */
static Entry *
find_opened(Sender *sender, const char *name)
{
	Entry	   *entry = hash_search(sender->vault.opened, name, HASH_FIND, NULL);

	if (entry != NULL && entry->changes_at <= sender->now)
		open_entry(sender, entry);
	return entry;
}

bool
credentials_client(Sender *sender, const char *name, OAuthClient *client)
{
	const Entry *entry = find_opened(sender, name);

	if (entry == NULL || entry->opened == NULL ||
		entry->opened->credential.kind != CREDENTIAL_OAUTH2 ||
		entry->opened->credential.value_count == 0)
		return false;
	client->credential = &entry->opened->credential;
	client->opening = entry->opened->number;
	return true;
}

static bool
apply_opened(Sender *sender, Lease *lease, const Entry *entry, CredentialProblem *problem)
{
	const Credential *credential = &entry->opened->credential;

	if (credential->kind == CREDENTIAL_OAUTH2 && credential->value_count > 0)
		return tokens_apply(sender, lease, entry->name, problem);
	return credential_apply(credential, &lease->request,
							(int64_t) timestamptz_to_time_t(sender->now), problem);
}

static bool
apply_one(Sender *sender, Lease *lease, const char *name, OpenedCredential **used)
{
	Entry	   *entry = find_opened(sender, name);
	CredentialProblem problem = {.reason = "secret_missing",.text = "The credential is gone."};

	if (entry == NULL)
		return give_up(lease, &problem);
	if (entry->opened == NULL)
		return give_up(lease, &entry->problem);
	*used = entry->opened;
	entry->opened->users++;
	if (!apply_opened(sender, lease, entry, &problem))
		return give_up(lease, &problem);
	return true;
}

bool
credentials_apply(Sender *sender, Lease *lease)
{
	const EndpointRow *row = &lease->endpoint->row;

	if (row->credential != NULL &&
		!apply_one(sender, lease, row->credential, &lease->used[0]))
		return false;
	if (row->signing != NULL && !apply_one(sender, lease, row->signing, &lease->used[1]))
		return false;
	return row->certificate == NULL ||
		apply_one(sender, lease, row->certificate, &lease->used[2]);
}

const Certificate *
credentials_certificate(const Lease *lease)
{
	for (int i = lengthof(lease->used) - 1; i >= 0; i--)
	{
		const OpenedCredential *used = lease->used[i];

		if (used != NULL && used->credential.kind == CREDENTIAL_CLIENT_CERTIFICATE)
			return &used->certificate;
	}
	return NULL;
}

static void
mask_string(char *string, const char *secret)
{
	if (string != NULL)
		(void) mask_secret(string, secret);
}

static void
mask_answer(Answer *answer, const char *secret)
{
	mask_string(answer->headers, secret);
	mask_string(answer->redirect_url, secret);
	mask_string(answer->error, secret);
	if (answer->body != NULL)
		answer->body_bytes = mask_secret(answer->body, secret);
}

/*
 * What follows from the secret: the value of the header line, and what follows the
 * scheme in it.  Signatures and their times give nothing away.
 */
static void
mask_line(Answer *answer, const char *line)
{
	const char *value = strchr(line, ':') + 2;
	const char *rest = strchr(value, ' ');

	if (pg_strncasecmp(line, "Authorization:", 14) != 0 &&
		pg_strncasecmp(line, "X-Amz-Security-Token:", 21) != 0)
		return;
	mask_answer(answer, value);
	if (rest != NULL)
		mask_answer(answer, rest + 1);
}

static void
mask_all(const Lease *lease)
{
	const Request *request = &lease->request;

	for (int i = request->header_count - request->secret_count; i < request->header_count; i++)
		mask_line(lease->answer, request->headers[i]);
	for (int i = 0; i < lengthof(lease->used); i++)
	{
		const OpenedCredential *used = lease->used[i];

		for (int v = 0; used != NULL && v < used->credential.value_count; v++)
			mask_answer(lease->answer, used->credential.values[v]);
	}
}

void
credentials_remove(Sender *sender, Lease *lease)
{
	if (lease->answer != NULL)
		mask_all(lease);
	request_forget_secrets(&lease->request);
	for (int i = 0; i < lengthof(lease->used); i++)
	{
		release(lease->used[i]);
		lease->used[i] = NULL;
	}
}

void
credentials_wipe(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Lease	   *lease;

	hash_seq_init(&scan, sender->leases);
	while ((lease = sender_next_lease(&scan)) != NULL)
		credentials_remove(sender, lease);
	tokens_wipe(sender);
	credentials_reopen(sender);
}
