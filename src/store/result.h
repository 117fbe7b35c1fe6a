/*-------------------------------------------------------------------------
 * result.h
 *		The columns of the type integration_worker.result.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_RESULT_H
#define INTEGRATION_RESULT_H

/* In the order in which CREATE TYPE lists them, from 0. */
enum
{
	RESULT_OUTBOX_ID,
	RESULT_ENDPOINT_ID,
	RESULT_CHANGE_XID,
	RESULT_REASON,
	RESULT_STARTED_AT,
	RESULT_DURATION_MS,
	RESULT_HTTP_STATUS,
	RESULT_ERROR,
	RESULT_REQUEST_URL,
	RESULT_REMOTE_ADDRESS,
	RESULT_DNS_MS,
	RESULT_CONNECT_MS,
	RESULT_TLS_MS,
	RESULT_FIRST_BYTE_MS,
	RESULT_RETRY_AFTER_S,
	RESULT_REDIRECT_URL,
	RESULT_RESPONSE_HEADERS,
	RESULT_RESPONSE_BODY,
	RESULT_TRACE_ID,
	RESULT_SPAN_ID,
	RESULT_OBJECT_TYPE,
	RESULT_OBJECT_ID,
	RESULT_COLUMNS
};

#endif							/* INTEGRATION_RESULT_H */
