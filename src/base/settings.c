/*-------------------------------------------------------------------------
 * settings.c
 *		The settings below integration.*, read-only for everybody else.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/settings.h"

#define PROBLEM_BYTES (LIST_ENTRY_BYTES + 64)

/* What C reads is good before it is defined, too: without the preload it never is. */
static int	max_databases = 32;
static int	max_connections = 128;
static int	workers = 1;
static int	worker_memory_kb = 256 * 1024;
static int	silent_after_s = 60;
static bool synchronous_settle = false;
static int	keep_delivered_s = 7 * SECS_PER_DAY;
static char *otlp_endpoint = NULL;
static double otlp_sample_ratio = 1;
static int	keep_failed_s = 90 * SECS_PER_DAY;
static char *environment = NULL;
static char *ca_file = "";
static char *allowed_networks = "";
static char *allowed_ports = "";
static char *allowed_hosts = "";
static char *secret_key_file = "";
static char *secret_directory = "";
static char *traceparent = NULL;
static char *tracestate = NULL;
static char *triggered_by = NULL;
static char *trigger_ref = NULL;
static char *locale = NULL;

/* Problems of lists are fragments, which begin in lower case. */
static bool
refuse_list(char *problem, const char *hint)
{
	problem[0] = pg_toupper((unsigned char) problem[0]);
	GUC_check_errdetail("%s.", problem);
	GUC_check_errhint("%s", hint);
	return false;
}

static bool
check_allowed_networks(char **newval, void **extra, GucSource source)
{
	NetworkList list;
	char		problem[PROBLEM_BYTES] = "";

	return network_list_parse(*newval, &list, problem, sizeof(problem)) ||
		refuse_list(problem, "Write address ranges separated by commas, such as 127.0.0.0/8, 10.1.0.0/16.");
}

static bool
check_allowed_ports(char **newval, void **extra, GucSource source)
{
	PortList	list;
	char		problem[PROBLEM_BYTES] = "";

	return port_list_parse(*newval, &list, problem, sizeof(problem)) ||
		refuse_list(problem, "Write ports separated by commas, such as 443, 8000-8999.");
}

static bool
check_allowed_hosts(char **newval, void **extra, GucSource source)
{
	HostList	list;
	char		problem[PROBLEM_BYTES] = "";

	return host_list_parse(*newval, &list, problem, sizeof(problem)) ||
		refuse_list(problem, "Write names without scheme, port and path, separated by commas, such as api.example.com, *.example.org; an international name in its ASCII form, such as xn--bcher-kva.example.");
}

static void
define_policy_settings(void)
{
	DefineCustomStringVariable("integration.allowed_networks",
							   "Private address ranges that endpoints may lead to.",
							   "A comma-separated list of CIDR ranges; empty: public addresses only.",
							   &allowed_networks, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_allowed_networks, NULL, NULL);
	DefineCustomStringVariable("integration.allowed_ports",
							   "The ports that endpoints may lead to.",
							   "A comma-separated list of ports and ranges; empty: all but those of other protocols, in allowed networks all.",
							   &allowed_ports, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_allowed_ports, NULL, NULL);
	DefineCustomStringVariable("integration.allowed_hosts",
							   "The hosts that endpoints may lead to.",
							   "A comma-separated list of names, addresses and *.names; empty: all.",
							   &allowed_hosts, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_allowed_hosts, NULL, NULL);
}

static void
define_server_settings(void)
{
	DefineCustomIntVariable("integration.max_databases",
							"How many databases may have an integration worker at the same time.",
							NULL, &max_databases, 32, 1, 1024,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("integration.max_connections",
							"How many requests a worker may have in flight at the same time.",
							"A server whose limit of open files is low grants less; the worker then says so in the log.",
							&max_connections, 128, 1, 1024,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("integration.workers",
							"How many workers share out the endpoints of a database.",
							"Each takes one of max_worker_processes.",
							&workers, 1, 1, SETTINGS_MOST_WORKERS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("integration.worker_memory",
							"How much memory a worker may hold in syncs, whatever the backlog.",
							NULL, &worker_memory_kb, 256 * 1024, 16 * 1024, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	/* also read by SQL: integration.health() */
	DefineCustomIntVariable("integration.silent_after",
							"How long a worker may not come round before that is reported.",
							NULL, &silent_after_s, 60, 1, SECS_PER_HOUR,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomBoolVariable("integration.synchronous_settle",
							 "Whether results are flushed to disk before anything else happens.",
							 "When off, a server crash may lose the record of the last 0.6 s of deliveries, which are then sent again with the same Idempotency-Key.",
							 &synchronous_settle, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	/* read by SQL: integration_worker.fingerprint() */
	DefineCustomStringVariable("integration.environment",
							   "A name for what this server is for, such as production or staging.",
							   "A database that was adopted under another name is taken for a copy and sends nothing.",
							   &environment, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("integration.ca_file",
							   "A PEM file of certificate authorities to trust in place of the system's.",
							   NULL, &ca_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

static void
define_secret_settings(void)
{
	DefineCustomStringVariable("integration.secret_key_file",
							   "A file of 32 random bytes or more that secrets are sealed with.",
							   "An absolute path outside of the data directory, readable by the server's user alone.",
							   &secret_key_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("integration.secret_directory",
							   "The directory below which secrets may refer to files.",
							   "Empty: secrets of the form file:... are refused.",
							   &secret_directory, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

/* Read by SQL: integration_worker.keep_limit(). */
static void
define_retention_settings(void)
{
	DefineCustomIntVariable("integration.keep_delivered",
							"How long a sync that was simply delivered is kept.",
							"-1: for ever; then no sync leaves.",
							&keep_delivered_s, 7 * SECS_PER_DAY, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("integration.keep_failed",
							"How long a sync that failed at least once, or that people touched, is kept when it is over.",
							"Also holds for incidents and actions. -1: for ever.",
							&keep_failed_s, 90 * SECS_PER_DAY, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_telemetry_settings(void)
{
	/* read by SQL: integration_worker.otlp_url() */
	DefineCustomStringVariable("integration.otlp_endpoint",
							   "The OpenTelemetry collector that traces, metrics and logs are exported to.",
							   "An address such as https://collector.example.com:4318; empty: what the server's OTEL_EXPORTER_OTLP_ENDPOINT says, else nowhere.",
							   &otlp_endpoint, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomRealVariable("integration.otlp_sample_ratio",
							 "Which part of the traces that begin here is exported.",
							 "Attempts that failed are exported whatever it says; where the application gave a trace context, that one decides.",
							 &otlp_sample_ratio, 1, 0, 1,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_session_settings(void)
{
	DefineCustomStringVariable("integration.traceparent",
							   "W3C trace context of what this session enqueues.",
							   NULL, &traceparent, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("integration.tracestate",
							   "What other tracing systems pass on with integration.traceparent.",
							   NULL, &tracestate, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("integration.triggered_by",
							   "Who or what in the application causes what this session enqueues.",
							   NULL, &triggered_by, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("integration.trigger_ref",
							   "The application's own reference for what causes what this session enqueues.",
							   NULL, &trigger_ref, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("integration.locale",
							   "Language of the texts that this session is shown.",
							   "What a language lacks is shown in English (en).",
							   &locale, "en",
							   PGC_USERSET, 0, NULL, NULL, NULL);
}

void
settings_define(void)
{
	define_server_settings();
	define_policy_settings();
	define_secret_settings();
	define_retention_settings();
	define_telemetry_settings();
	define_session_settings();
	compat_reserve_prefix("integration");
}

int
settings_max_databases(void)
{
	return max_databases;
}

int
settings_max_connections(void)
{
	return max_connections;
}

int
settings_workers(void)
{
	return workers;
}

size_t
settings_worker_memory_bytes(void)
{
	return (size_t) worker_memory_kb * 1024;
}

double
settings_otlp_sample_ratio(void)
{
	return otlp_sample_ratio;
}

int
settings_silent_after_ms(void)
{
	return silent_after_s * 1000;
}

const char *
settings_ca_file(void)
{
	return ca_file[0] == '\0' ? NULL : ca_file;
}

const char *
settings_secret_key_file(void)
{
	return secret_key_file[0] == '\0' ? NULL : secret_key_file;
}

const char *
settings_secret_directory(void)
{
	return secret_directory[0] == '\0' ? NULL : secret_directory;
}

AddressPolicy
settings_address_policy(void)
{
	AddressPolicy policy = {0};
	char		problem[PROBLEM_BYTES];

	network_list_parse(allowed_networks, &policy.networks, problem, sizeof(problem));
	port_list_parse(allowed_ports, &policy.ports, problem, sizeof(problem));
	host_list_parse(allowed_hosts, &policy.hosts, problem, sizeof(problem));
	return policy;
}
