/*-------------------------------------------------------------------------
 * settings.h
 *		The settings below integration.*, read-only for everybody else.
 *
 * Strings belong to the setting: until the next reload.  Reading one does not throw.
 * In a server without the preload all have their defaults.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SETTINGS_H
#define INTEGRATION_SETTINGS_H

#include "base/policy.h"

#define SETTINGS_MOST_WORKERS 16

/* Define all settings; called once from _PG_init().  May throw. */
extern void settings_define(void);

/* Databases that may have a worker at the same time; fixed at server start. */
extern int	settings_max_databases(void);

/* Requests in flight in one worker, at most. */
extern int	settings_max_connections(void);

/* Workers of one database. */
extern int	settings_workers(void);

/* Memory for syncs in one worker, in bytes. */
extern size_t settings_worker_memory_bytes(void);

/* Which part of the traces that begin here is exported, from 0 to 1. */
extern double settings_otlp_sample_ratio(void);

/* How long a worker may not come round before that is reported. */
extern int	settings_silent_after_ms(void);

/* A PEM bundle of certificate authorities, or NULL for the system's. */
extern const char *settings_ca_file(void);

/* The file whose bytes secrets are sealed with, or NULL. */
extern const char *settings_secret_key_file(void);

/* The directory below which secrets may refer to files, or NULL. */
extern const char *settings_secret_directory(void);

/* What endpoints and token addresses may lead to; parsed at each call. */
extern AddressPolicy settings_address_policy(void);

#endif							/* INTEGRATION_SETTINGS_H */
