/*-------------------------------------------------------------------------
 * traces.h
 *		The body of a request that exports a batch of attempts.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRACES_H
#define INTEGRATION_TRACES_H

#include "postgres.h"

#include "message/text.h"

/*
 * What the payload of such a sync stands for, in UTF-8: OTLP's JSON, with no
 * spans where the attempts have gone.  The caller frees body.  To be called where
 * SPI is connected.  May throw.
 */
extern void traces_write(const char *payload, Text *body);

#endif							/* INTEGRATION_TRACES_H */
