/*-------------------------------------------------------------------------
 * envelope.c
 *		CloudEvents 1.0 around a payload.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/envelope.h"
#include "message/json.h"

#define ATTRIBUTES_MAX 6

typedef struct Attribute
{
	const char *name;
	const char *value;
} Attribute;

static int	list_attributes(const RequestSource *source, const char *type, Attribute *attributes);
static char *event_type(const RequestSource *source);

void
envelope_set_headers(const RequestSource *source, HeaderList *headers)
{
	Attribute	attributes[ATTRIBUTES_MAX];
	char	   *type = event_type(source);
	int			count = list_attributes(source, type, attributes);

	for (int i = 0; i < count; i++)
	{
		Text		value = {0};
		char		name[32];
		char	   *encoded;

		snprintf(name, sizeof(name), "ce-%s", attributes[i].name);
		envelope_append_header_value(&value, attributes[i].value);
		encoded = text_take(&value);
		if (encoded)
			header_list_set(headers, name, encoded);
		else
			headers->failed = true;
		free(encoded);
	}
	headers->failed = headers->failed || !type;
	free(type);
}

void
envelope_append(const RequestSource *source, Text *body)
{
	Attribute	attributes[ATTRIBUTES_MAX];
	char	   *type = event_type(source);
	int			count = list_attributes(source, type, attributes);

	text_append_char(body, '{');
	for (int i = 0; i < count; i++)
	{
		json_append_string(body, attributes[i].name, strlen(attributes[i].name));
		text_append_char(body, ':');
		json_append_string(body, attributes[i].value, strlen(attributes[i].value));
		text_append_char(body, ',');
	}
	text_append_string(body, "\"datacontenttype\":\"application/json\",\"data\":");
	if (source->payload)
		text_append(body, source->payload, source->payload_bytes);
	else
		text_append_string(body, "null");
	text_append_char(body, '}');
	body->failed = body->failed || !type;
	free(type);
}

void
envelope_append_batch(const RequestSource *source, Text *body)
{
	text_append_char(body, '[');
	envelope_append(source, body);
	text_append_char(body, ']');
}

void
envelope_append_header_value(Text *text, const char *value)
{
	for (; *value; value++)
	{
		unsigned char byte = (unsigned char) *value;
		char		escape[4];

		if (byte >= 0x21 && byte <= 0x7E && byte != '"' && byte != '%')
		{
			text_append_char(text, *value);
			continue;
		}
		snprintf(escape, sizeof(escape), "%%%02X", (unsigned) byte);
		text_append_string(text, escape);
	}
}

/* Attributes without a value are absent: CloudEvents §3 forbids empty ones. */
static int
list_attributes(const RequestSource *source, const char *type, Attribute *attributes)
{
	const Attribute all[ATTRIBUTES_MAX] = {
		{"specversion", "1.0"},
		{"id", source->message_id},
		{"source", source->source ? source->source : "/integration"},
		{"type", type},
		{"subject", source->object_id},
		{"time", source->created_at},
	};
	int			count = 0;

	for (int i = 0; i < ATTRIBUTES_MAX; i++)
		if (all[i].value && all[i].value[0])
			attributes[count++] = all[i];
	return count;
}

/* "order.upsert": what happened to which kind of object */
static char *
event_type(const RequestSource *source)
{
	bool		has_type = source->object_type && source->object_type[0];
	bool		has_operation = source->operation && source->operation[0];
	Text		type = {0};

	text_append_string(&type, has_type ? source->object_type : "integration");
	text_append_char(&type, '.');
	text_append_string(&type, has_operation ? source->operation : "upsert");
	return text_take(&type);
}
