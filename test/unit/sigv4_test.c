/*-------------------------------------------------------------------------
 * sigv4_test.c
 *		AWS Signature Version 4: the published examples, awkward URLs.
 *-------------------------------------------------------------------------
 */
#include <time.h>

#include "message/sigv4.h"
#include "message/sigv4_target.h"
#include "tap.h"

#define EXAMPLE "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_EXAMPLE "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SERVICE "{\"region\": \"us-east-1\", \"service\": \"service\", \"access_key_id\": \"AKIDEXAMPLE\"}"
#define IAM "{\"region\": \"us-east-1\", \"service\": \"iam\", \"access_key_id\": \"AKIDEXAMPLE\"}"
#define S3 "{\"region\": \"us-east-1\", \"service\": \"s3\", \"access_key_id\": \"AKIAIOSFODNN7EXAMPLE\"}"
#define OF_2015 "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/"
#define OF_S3 "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "

static const struct
{
	const char *name;
	const char *settings;
	const char *value;
	const char *method;
	const char *url;
	const char *header;			/* one more, or NULL */
	const char *another;
	const char *body;
	int64_t		now_s;
	const char *authorization;
}			published[] =

{
	{
		"get-vanilla", SERVICE, EXAMPLE, "GET", "https://example.amazonaws.com/", NULL, NULL, NULL,
		1440938160,
		OF_2015 "service/aws4_request, SignedHeaders=host;x-amz-date, "
		"Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	},
	{
		"iam-listusers", IAM, EXAMPLE, "GET",
		"https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
		"application/x-www-form-urlencoded; charset=utf-8", "Content-Type", NULL, 1440938160,
		OF_2015 "iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	},
	{
		"get-vanilla-query-order-key-case", SERVICE, EXAMPLE, "GET",
		"https://example.amazonaws.com/?Param2=value2&Param1=value1", NULL, NULL, NULL, 1440938160,
		OF_2015 "service/aws4_request, SignedHeaders=host;x-amz-date, "
		"Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
	},
	{
		"s3-get-object-range", S3, S3_EXAMPLE, "GET",
		"https://examplebucket.s3.amazonaws.com/test.txt", "bytes=0-9", "Range", NULL, 1369353600,
		OF_S3 "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	},
	{
		"s3-put-object", S3, S3_EXAMPLE, "PUT",
		"https://examplebucket.s3.amazonaws.com/test$file.text", "REDUCED_REDUNDANCY",
		"x-amz-storage-class", "Welcome to Amazon S3.", 1369353600,
		OF_S3 "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
		"Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
	},
	{
		"s3-get-lifecycle", S3, S3_EXAMPLE, "GET",
		"https://examplebucket.s3.amazonaws.com?lifecycle", NULL, NULL, NULL, 1369353600,
		OF_S3 "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
		"Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
	},
	{
		"s3-list-objects", S3, S3_EXAMPLE, "GET",
		"https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2", NULL, NULL, NULL,
		1369353600,
		OF_S3 "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
		"Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
	},
};

static const struct
{
	const char *url;
	bool		is_s3;
	const char *path;			/* as signed */
	const char *query;
	const char *sent;
}			targets[] =

{
	{"https://h", false, "/", "", "https://h/"},
	{"https://h?a", false, "/", "a=", "https://h/?a="},
	{"https://h/a%20b", false, "/a%2520b", "", "https://h/a%20b"},
	{"https://h/\u1234", false, "/%E1%88%B4", "", "https://h/\u1234"},
	{"https://h//a//", false, "/a/", "", "https://h//a//"},
	{"https://h/a/./b/../c", false, "/a/c", "", "https://h/a/c"},
	{"https://h/a/..", false, "/", "", "https://h/"},
	{"https://h/../../a", false, "/a", "", "https://h/a"},
	{"https://h/a/%2E%2e/b/%2e", false, "/b/", "", "https://h/b/"},
	{"https://h/...", false, "/...", "", "https://h/..."},
	{"https://h/b/a%20b", true, "/b/a%20b", "", "https://h/b/a%20b"},
	{"https://h/b/a+b!~*'()$&,:;=@", true, "/b/a%2Bb%21~%2A%27%28%29%24%26%2C%3A%3B%3D%40", "",
	"https://h/b/a%2Bb%21~%2A%27%28%29%24%26%2C%3A%3B%3D%40"},
	{"https://h/b/x%2Fy%7e%c3%a9", true, "/b/x/y~%C3%A9", "", "https://h/b/x/y~%C3%A9"},
	{"https://h/b//a", true, "/b//a", "", "https://h/b//a"},
	{"https://h/b/100%", true, "/b/100%25", "", "https://h/b/100%25"},
	{"https://h/b/x%2F..%2Fy", true, "/b/x/../y", "", "https://h/b/x%2F..%2Fy"},
	{"https://h/b/x%2F.", true, "/b/x/.", "", "https://h/b/x%2F."},
	{"https://h/b/../c", true, "/c", "", "https://h/c"},
	{"https://h/?b=2&a=1&b=1", true, "/", "a=1&b=1&b=2", "https://h/?b=2&a=1&b=1"},
	{"https://h/?a-b=1&a=2", true, "/", "a=2&a-b=1", "https://h/?a-b=1&a=2"},
	{"https://h/?&a=x+y&&b=%2b/%2F=&", true, "/", "a=x%20y&b=%2B%2F%2F%3D",
	"https://h/?a=x%20y&b=%2B%2F%2F%3D"},
	{"https://H.Example:443/?#x", true, "/", "", "https://h.example/"},
	{"http://[::1]:0080/", true, "/", "", "http://[::1]/"},
	{"http://[::1]:8080", true, "/", "", "http://[::1]:8080/"},
};

static const struct
{
	const char *name;
	const char *settings;
	const char *value;
	const char *problem;
}			bad[] =

{
	{"no secret", SERVICE, NULL, "There is no secret access key to sign with."},
	{"an empty secret", SERVICE, " \n", "The secret access key is empty or longer than 252 bytes."},
	{"a JSON object without it", SERVICE, "{\"session_token\": \"a\"}",
	"The secret access key is empty or longer than 252 bytes."},
	{"no settings", "{}", EXAMPLE,
		"The settings region, service and access_key_id are needed, without blanks,"
	" commas or slashes."},
	{"a slash in the region",
		"{\"region\": \"a/b\", \"service\": \"s\", \"access_key_id\": \"k\"}", EXAMPLE,
		"The settings region, service and access_key_id are needed, without blanks,"
	" commas or slashes."},
	{"a token with a line break", SERVICE,
		"{\"secret_access_key\": \"a\", \"session_token\": \"a\\r\\nb\"}",
	"The session token cannot be sent in a header."},
};

static const char *
find(const Request *request, const char *name)
{
	for (int i = 0; i < request->header_count; i++)
		if (strncmp(request->headers[i], name, strlen(name)) == 0 &&
			strncmp(request->headers[i] + strlen(name), ": ", 2) == 0)
			return request->headers[i] + strlen(name) + 2;
	return NULL;
}

static void
begin(Request *request, const char *method, const char *url, const char *body)
{
	memset(request, 0, sizeof(*request));
	request->method = strdup(method);
	request->url = strdup(url);
	request->body = body ? strdup(body) : NULL;
	request->body_bytes = body ? strlen(body) : 0;
}

static void
check_published(size_t i)
{
	Credential	credential = {CREDENTIAL_AWS_SIGV4, published[i].settings, &published[i].value, 1};
	CredentialProblem problem = {0};
	Request		request;

	begin(&request, published[i].method, published[i].url, published[i].body);
	if (published[i].header)
		request_set_secret(&request, published[i].another, published[i].header);
	if (published[i].body)
		request_set_secret(&request, "Date", "Fri, 24 May 2013 00:00:00 GMT");
	request_set_secret(&request, "Accept", "not signed");
	request_set_secret(&request, "authorization", "replaced");
	tap_ok(sigv4_apply(&credential, &request, published[i].now_s, &problem), published[i].name);
	tap_text(find(&request, "Authorization"), published[i].authorization, "is signed as published");
	tap_ok(sigv4_apply(&credential, &request, published[i].now_s, &problem), "once more");
	tap_text(find(&request, "Authorization"), published[i].authorization, "in the same way");
	request_free(&request);
}

static void
check_target(size_t i)
{
	WireUrl		url = {0};
	Text		path = {0};
	Text		query = {0};
	Request		request;

	begin(&request, "PUT", targets[i].url, NULL);
	tap_text(wire_url_read(targets[i].url, &url), NULL, targets[i].url);
	sigv4_target_path(&url, targets[i].is_s3, &path);
	text_append(&query, "", 0);
	sigv4_target_query(&url, &query);
	tap_text(path.data, targets[i].path, "its canonical path");
	tap_text(query.data, targets[i].query, "its canonical query");
	tap_ok(wire_url_put(&url, &request), "is put back");
	tap_text(request.url, targets[i].sent, "as it is sent");
	wire_url_free(&url);
	text_free(&path);
	text_free(&query);
	request_free(&request);
}

static void
check_bad(size_t i)
{
	Credential	credential = {CREDENTIAL_AWS_SIGV4, bad[i].settings, &bad[i].value,
	bad[i].value != NULL};
	CredentialProblem problem = {0};
	Request		request;

	begin(&request, "PUT", "https://h/", "{}");
	tap_ok(!sigv4_apply(&credential, &request, 0, &problem), bad[i].name);
	tap_text(problem.reason, "signing_failed", "its reason");
	tap_text(problem.text, bad[i].problem, "its sentence");
	request_free(&request);
}

static void
check_session(void)
{
	const char *value = "{\"secret_access_key\": \"" EXAMPLE "\", \"session_token\": "
		"\"AQoDYXdzEPT//////////wEXAMPLE\", \"access_key_id\": \"ASIAEXAMPLE\"}";
	Credential	credential = {CREDENTIAL_AWS_SIGV4, SERVICE, &value, 1};
	CredentialProblem problem = {0};
	Request		request;
	const char *authorization;

	begin(&request, "POST", "https://example.amazonaws.com/", NULL);
	request_set_secret(&request, "X-Blanks", "  a   b\t c  ");
	tap_ok(sigv4_apply(&credential, &request, 1440938160, &problem), "a session token");
	authorization = find(&request, "Authorization");
	tap_text(find(&request, "X-Amz-Security-Token"), "AQoDYXdzEPT//////////wEXAMPLE", "is sent");
	tap_ok(authorization &&
		   strstr(authorization, "Credential=ASIAEXAMPLE/20150830/us-east-1/service/aws4_request, "
				  "SignedHeaders=host;x-amz-date;x-amz-security-token;x-blanks, "),
		   "is signed, with the id that it came with");
	tap_ok(!find(&request, "X-Amz-Content-Sha256"), "only S3 gets the payload's digest");
	request_free(&request);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++)
		check_published(i);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		check_target(i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(i);
	check_session();
	return tap_done();
}
