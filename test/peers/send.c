/*-------------------------------------------------------------------------
 * send.c
 *		Sends one signed request through the extension's own transport.
 *
 *	send KIND SETTINGS METHOD URL OBJECT_ID BODY [SECRET...]
 *
 * KIND is aws_sigv4, standard_webhooks or rfc9421; without secrets nothing is signed.
 * TAMPER=body|path|header changes what was signed, AT is the time to sign for.
 * Prints the status, a blank, the answer's body; or the problem.
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "message/http_signature.h"
#include "message/sigv4.h"
#include "message/webhook_signature.h"
#include "transport/transport.h"

#define FIRST_SECRET 7

static void
give_up(const char *problem)
{
	fprintf(stderr, "%s\n", problem);
	exit(2);
}

static void
sign(const char *kind, const Credential *credential, Request *request)
{
	const char *at = getenv("AT");
	int64_t		now_s = at ? atoll(at) : (int64_t) time(NULL);
	CredentialProblem problem = {0};
	bool		is_signed;

	if (strcmp(kind, "aws_sigv4") == 0)
		is_signed = sigv4_apply(credential, request, now_s, &problem);
	else if (strcmp(kind, "rfc9421") == 0)
		is_signed = http_signature_apply(credential, request, now_s, &problem);
	else
		is_signed = webhook_signature_apply(credential, request, now_s, &problem);
	if (!is_signed)
		give_up(problem.text);
}

static void
tamper(Request *request)
{
	const char *what = getenv("TAMPER");

	if (!what)
		return;
	if (strcmp(what, "body") == 0 && request->body_bytes > 0)
		request->body[0] ^= 1;
	else if (strcmp(what, "path") == 0)
		request->url[strlen(request->url) - 1] ^= 1;
	else
		request_set_secret(request, "Content-Type", "text/plain");
}

static Answer *
wait_for_answer(Transport *transport)
{
	time_t		end = time(NULL) + 20;
	Answer	   *answer = NULL;

	while (!answer && time(NULL) < end)
	{
		struct pollfd events = {.fd = transport_descriptor(transport),.events = POLLIN};
		int			timeout_ms = transport_timeout_ms(transport);

		(void) poll(&events, 1, timeout_ms < 0 || timeout_ms > 50 ? 50 : timeout_ms);
		transport_advance(transport);
		answer = transport_collect(transport);
	}
	return answer;
}

static void
exchange(const Request *request)
{
	TransportOptions options = {.max_connections = 2,.user_agent = "integration-test"};
	TransferOptions calling = {.connect_timeout_ms = 5000,.timeout_ms = 20000,.allow_http = true};
	Transport  *transport;
	Answer	   *answer;
	char		problem[256];

	signal(SIGPIPE, SIG_IGN);
	if (!network_list_parse("127.0.0.0/8", &options.policy.networks, problem, sizeof(problem)))
		give_up(problem);
	transport = transport_create(&options, problem, sizeof(problem));
	if (!transport || !transport_start(transport, request, &calling, NULL))
		give_up("no transport");
	answer = wait_for_answer(transport);
	if (!answer)
		give_up("no answer");
	printf("%d %s\n", answer->http_status, answer->body ? answer->body : answer->error);
	answer_free(answer);
	transport_destroy(transport);
}

int
main(int argc, char **argv)
{
	RequestSource source = {.message_id = "m-1"};
	Credential	credential = {0};
	Request		request;
	const char *reason;
	char		problem[256];

	if (argc < FIRST_SECRET)
		give_up("send KIND SETTINGS METHOD URL OBJECT_ID BODY [SECRET...]");
	source.method = argv[3];
	source.url = argv[4];
	source.object_id = argv[5];
	source.payload = argv[6];
	source.payload_bytes = strlen(argv[6]);
	credential.settings = argv[2];
	credential.values = (const char *const *) argv + FIRST_SECRET;
	credential.value_count = argc - FIRST_SECRET;
	if (!request_build(&source, &request, &reason, problem, sizeof(problem)))
		give_up(problem);
	if (credential.value_count > 0)
		sign(argv[1], &credential, &request);
	tamper(&request);
	exchange(&request);
	request_free(&request);
	return 0;
}
