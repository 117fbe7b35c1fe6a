/*-------------------------------------------------------------------------
 * request.h
 *		The exact HTTP request that brings one sync to its endpoint.
 *
 * Built from plain values, so the worker sends and preview() shows the same
 * bytes.  All text is UTF-8 and ends with a zero byte.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_REQUEST_H
#define INTEGRATION_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_USER_AGENT "integration/" INTEGRATION_VERSION

typedef enum RequestFormat
{
	REQUEST_FORMAT_JSON,
	REQUEST_FORMAT_CLOUDEVENTS,
	REQUEST_FORMAT_CLOUDEVENTS_STRUCTURED,
	REQUEST_FORMAT_CLOUDEVENTS_BATCHED,
	REQUEST_FORMAT_OTLP,		/* telemetry of our own, in its JSON */
	REQUEST_FORMAT_OTLP_GZIP
} RequestFormat;

/* What is asked.  NULL stands for "not given"; the caller owns every string. */
typedef struct RequestSource
{
	const char *method;			/* "POST", "PUT", ... */
	const char *url;			/* may hold {object_type}, {object_id},
								 * {operation}, {remote_id} */
	const char *endpoint_headers;	/* JSON object of strings, or NULL */
	const char *sync_headers;	/* the same from the outbox row; wins by name */
	RequestFormat format;
	const char *message_id;		/* Idempotency-Key and webhook-id: the same
								 * for each attempt */
	bool		quotes_key;		/* Idempotency-Key as a structured field */
	const char *object_type;
	const char *object_id;
	const char *operation;
	const char *remote_id;
	const char *payload;		/* JSON text */
	size_t		payload_bytes;
	const char *created_at;		/* RFC 3339 */
	const char *source;			/* CloudEvents source, e.g.
								 * "/integration/shop" */
	const char *traceparent;	/* of this attempt */
	const char *tracestate;		/* what others passed on with theirs */
} RequestSource;

typedef struct Request
{
	char	   *method;
	char	   *url;			/* placeholders filled in, percent-encoded */
	char	  **headers;		/* "Name: value", no CR or LF */
	int			header_count;
	int			secret_count;	/* the last so many hold secrets */
	char	   *body;			/* NULL when the method carries none (GET,
								 * HEAD, ...) */
	size_t		body_bytes;
	bool		url_has_values; /* a placeholder was filled in: a bad URL may
								 * be the sync's fault */
} Request;

/* The format of that name in endpoint.format; JSON for any other.  Does not throw. */
extern RequestFormat request_format_of(const char *name);

/*
 * Build a request.  Memory is malloc'ed and belongs to *request until
 * request_free().  On failure returns false, leaves *request empty, sets
 * *reason to the error_reason (a static string: "template_error",
 * "template_data_error", "payload_unencodable", "curl:27" when out of memory)
 * and writes a plain sentence to problem.  Does not throw.
 */
extern bool request_build(const RequestSource *source, Request *request,
						  const char **reason, char *problem, size_t problem_size);

/*
 * Set a header that holds a secret, in place of any other of its name.  Copies;
 * the value is shown by nothing that shows requests.  False: memory ran out,
 * nothing was changed.  Does not throw.
 */
extern bool request_set_secret(Request *request, const char *name, const char *value);

/*
 * Whether it says itself who sends; else the transport does, with what the
 * worker calls itself.  Does not throw.
 */
extern bool request_names_agent(const Request *request);

/* Wipe what request_set_secret() set.  Does not throw. */
extern void request_forget_secrets(Request *request);

/* Free what request_build() made; safe on a zeroed or freed one.  Does not throw. */
extern void request_free(Request *request);

#endif							/* INTEGRATION_REQUEST_H */
