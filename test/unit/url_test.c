/*-------------------------------------------------------------------------
 * url_test.c
 *		What is wrong with an endpoint's URL.
 *-------------------------------------------------------------------------
 */
#include "tap.h"
#include "transport/transport.h"

#define PRIVATE "The URL leads to a protected network that integration.allowed_networks does" \
	" not open."
#define PLAIN "Plain http is allowed only to addresses in integration.allowed_networks;" \
	" use https."
#define PORT "The URL's port belongs to another kind of service; integration.allowed_ports can" \
	" open it."
#define UNLISTED_PORT "The URL's port is not in integration.allowed_ports."
#define UNLISTED_HOST "The URL's host is not in integration.allowed_hosts."
#define CHARACTER "The URL's host has a character that host names don't have; write an" \
	" international name in its ASCII form, such as xn--bcher-kva.example."
#define USER "The URL holds a user name or password; put them into a credential."
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

	/* an address that is protected, in other forms */
	{"https://127.0.0.1./", "", false, PRIVATE},
	{"https://0177.0.0.1/", "", false, PRIVATE},
	{"https://0x7f.0.0.0x1/", "", false, PRIVATE},
	{"https://017700000001/", "", false, PRIVATE},
	{"https://2852039166/", "", false, PRIVATE},
	{"https://0/", "", false, PRIVATE},
	{"https://%31%32%37.0.0.1/", "", false, PRIVATE},
	{"https://LOCALHOST/", "", false, PRIVATE},
	{"https://localhost./", "", false, PRIVATE},
	{"https://any.localhost/", "", false, PRIVATE},
	{"https://notlocalhost/", "", false, NULL},
	{"https://[::]/", "", false, PRIVATE},
	{"https://[0:0:0:0:0:ffff:7f00:1]/", "", false, PRIVATE},
	{"https://[::127.0.0.1]/", "", false, PRIVATE},
	{"https://[64:ff9b::169.254.169.254]/", "", false, PRIVATE},
	{"https://[2002:7f00:1::]/", "", false, PRIVATE},
	{"https://[2001:0:7f00:1::]/", "", false, PRIVATE},
	{"https://[fd00:ec2::254]/", "", false, PRIVATE},
	{"https://[fe80::1%25eth0]/", "", false, "*"},
	{"https://public@127.0.0.1/", "", false, USER},
	{"https://api.example.com@127.0.0.1/", "", false, USER},
	{"https://api.example.com\\@127.0.0.1/", "", false, "*"},
	{"https://api.example.com:443@127.0.0.1/", "", false, USER},
	{"https://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "", false, CHARACTER},
	{"https://127\xe3\x80\x82" "0\xe3\x80\x82" "0\xe3\x80\x82" "1/", "", false, CHARACTER},
	{"https://\xe2\x93\x9bocalhost/", "", false, CHARACTER},
	{"https://b\xc3\xbc" "cher.example/", "", false, CHARACTER},
	{"https://xn--bcher-kva.example/", "", false, NULL},
	{"https://a_b.example.com./", "", false, NULL},
};

static const struct
{
	const char *url;
	const char *networks;
	const char *hosts;
	const char *ports;
	const char *problem;
}			narrowed[] =

{
	{"https://api.example.com/", "", "api.example.com", "", NULL},
	{"https://API.Example.com./v1", "", "api.example.com", "", NULL},
	{"https://api.example.org/", "", "api.example.com, *.example.org", "", NULL},
	{"https://example.org/", "", "api.example.com, *.example.org", "", UNLISTED_HOST},
	{"https://api.example.com.evil.example/", "", "api.example.com", "", UNLISTED_HOST},
	{"https://evil.example/?api.example.com", "", "*.example.com", "", UNLISTED_HOST},
	{"https://api.example.com@evil.example/", "", "*.example.com", "", USER},
	{"https://8.8.8.8/", "", "api.example.com", "", UNLISTED_HOST},
	{"https://8.8.8.8/", "", "8.8.8.8", "", NULL},
	{"https://0x08080808/", "", "8.8.8.8", "", NULL},
	{"https://[2606:4700:0::1]/", "", "2606:4700::1", "", NULL},
	{"https://10.0.0.1/", "", "10.0.0.1", "", PRIVATE},
	{"http://localhost/", LOCAL, "localhost", "", NULL},
	{"http://127.0.0.1/", LOCAL, "localhost", "", UNLISTED_HOST},
	{"https://api.example.com:8443/", "", "", "443", UNLISTED_PORT},
	{"https://api.example.com/", "", "", "443", NULL},
	{"https://api.example.com:25/", "", "", "25", NULL},
	{"https://127.0.0.1:8443/", LOCAL, "", "443", UNLISTED_PORT},
	{"https://api.example.com:8443/", LOCAL, "", "443", UNLISTED_PORT},
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
		AddressPolicy policy = {0};
		char		buffer[300];

		network_list_parse(cases[i].allowed, &policy.networks, buffer, sizeof(buffer));
		check(transport_url_problem(cases[i].url, &policy, cases[i].allow_http,
									buffer, sizeof(buffer)),
			  cases[i].problem, cases[i].url);
	}
	for (size_t i = 0; i < sizeof(narrowed) / sizeof(narrowed[0]); i++)
	{
		AddressPolicy policy = {0};
		char		buffer[300];

		network_list_parse(narrowed[i].networks, &policy.networks, buffer, sizeof(buffer));
		host_list_parse(narrowed[i].hosts, &policy.hosts, buffer, sizeof(buffer));
		port_list_parse(narrowed[i].ports, &policy.ports, buffer, sizeof(buffer));
		check(transport_url_problem(narrowed[i].url, &policy, false, buffer, sizeof(buffer)),
			  narrowed[i].problem, narrowed[i].url);
	}
	return tap_done();
}
