/*-------------------------------------------------------------------------
 * url_test.c
 *		What is wrong with an endpoint's URL.
 *-------------------------------------------------------------------------
 */
#include "tap.h"
#include "transport/transport.h"

#define PRIVATE "The URL leads to a protected network; use another address, or have an" \
	" administrator add its range to integration.allowed_networks."
#define PLAIN "Plain http is allowed only to addresses in integration.allowed_networks;" \
	" use https."
#define PORT "The URL names a port on which another kind of service answers; use another one."
#define LOCAL "127.0.0.0/8"

static const struct
{
	const char *url;
	const char *allowed;
	bool		allow_http;
	const char *problem;
}			cases[] =

{
	{"https://api.example.com/v1/orders", "", false, NULL},
	{"https://api.example.com", "", false, NULL},
	{"HTTPS://api.example.com/", "", false, NULL},
	{"https://api.example.com:8443/{object_type}/{object_id}?op={operation}", "", false, NULL},
	{"https://8.8.8.8/", "", false, NULL},
	{"https://[2606:4700::1]/", "", false, NULL},
	{"api.example.com/v1", "", false, "The URL must begin with https:// or http://."},
	{"", "", false, "The URL must begin with https:// or http://."},
	{"ftp://h/", "", false, "The URL must begin with https:// or http://."},
	{"file:///etc/passwd", "", false, "The URL must begin with https:// or http://."},
	{"https://h/a b", "", false,
	"The URL holds a blank or a control character; write it percent-encoded."},
	{"https://h/a\r\nb", "", false,
	"The URL holds a blank or a control character; write it percent-encoded."},
	{"https:///x", "", false, "The URL names no host."},
	{"https://", "", false, "The URL names no host."},
	{"https://?x", "", false, "The URL names no host."},
	{"https://h:99999/", "", false, "The URL is not valid: *"},
	{"https://[::1/", "", false, "The URL is not valid: *"},
	{"https://user:secret@h/", "", false,
	"The URL holds a user name or password; put them into a credential."},
	{"https://user@h/", "", false,
	"The URL holds a user name or password; put them into a credential."},
	{"https://h/x#part", "", false,
	"The URL has a part after \"#\", which is never sent; leave it out."},
	{"https://h/{id}", "", false, "The URL has a placeholder other than {object_type},"
	" {object_id}, {operation} and {remote_id} at \"{id}\"."},
	{"https://{object_id}/", "", false, "The URL has a brace before its path; placeholders"
	" may stand in the path and the query only."},
	{"http://api.example.com/", "", false, PLAIN},
	{"http://api.example.com/", "", true, NULL},
	{"http://api.example.com/", LOCAL, false, NULL},
	{"http://8.8.8.8/", LOCAL, false, PLAIN},
	{"https://10.0.0.1/", "", false, PRIVATE},
	{"https://10.0.0.1/", LOCAL, true, PRIVATE},
	{"https://0x0a000001/", "", false, PRIVATE},
	{"https://167772161/", "", false, PRIVATE},
	{"https://012.0.0.1/", "", false, PRIVATE},
	{"https://127.1/", "", false, PRIVATE},
	{"https://[::1]/", "", false, PRIVATE},
	{"https://[::ffff:10.0.0.1]/", "", false, PRIVATE},
	{"https://169.254.169.254/latest", "", false, PRIVATE},
	{"http://127.0.0.1:8080/", LOCAL, false, NULL},
	{"http://127.0.0.1:22/", LOCAL, false, NULL},
	{"http://localhost:8080/", LOCAL, false, NULL},
	{"https://localhost/", "", false, PRIVATE},
	{"https://api.example.com:22/", "", false, PORT},
	{"https://api.example.com:22/", LOCAL, false, NULL},
	{"https://8.8.8.8:25/", LOCAL, false, PORT},
};

/* A star at the end stands for libcurl's words, which differ between versions. */
static void
check(const char *found, const char *wanted, const char *url)
{
	size_t		length = wanted ? strlen(wanted) : 0;

	if (found && length > 0 && wanted[length - 1] == '*')
		tap_ok(strncmp(found, wanted, length - 1) == 0, url);
	else
		tap_text(found, wanted, url);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		NetworkList allowed;
		char		buffer[300];

		network_list_parse(cases[i].allowed, &allowed, buffer, sizeof(buffer));
		check(transport_url_problem(cases[i].url, &allowed, cases[i].allow_http,
									buffer, sizeof(buffer)),
			  cases[i].problem, cases[i].url);
	}
	return tap_done();
}
