/*-------------------------------------------------------------------------
 * template.h
 *		URLs with placeholders for the values of one sync.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TEMPLATE_H
#define INTEGRATION_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "message/text.h"

/* NULL stands for "this sync has none". */
typedef struct TemplateValues
{
	const char *object_type;
	const char *object_id;
	const char *operation;
	const char *remote_id;
} TemplateValues;

typedef enum TemplateResult
{
	TEMPLATE_FILLED,
	TEMPLATE_IS_WRONG,			/* the URL itself */
	TEMPLATE_VALUE_IS_WRONG		/* a value of this sync */
} TemplateResult;

/*
 * Append the URL to filled, each placeholder replaced by its value with
 * everything but RFC 3986's unreserved characters percent-encoded.  Otherwise
 * writes a sentence to problem.  Does not throw.
 */
extern TemplateResult template_fill(const char *url, const TemplateValues *values,
									Text *filled, char *problem, size_t problem_size);

#endif							/* INTEGRATION_TEMPLATE_H */
