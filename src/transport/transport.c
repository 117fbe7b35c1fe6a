/*-------------------------------------------------------------------------
 * transport.c
 *		Many HTTP requests at once behind one descriptor.
 *
 * libcurl says which sockets to watch and when to be called; a poller of our
 * own watches them, since libcurl's can't be waited for together with a latch.
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "message/text.h"
#include "transport/answer.h"
#include "transport/library.h"
#include "transport/mailbox.h"
#include "transport/poller.h"
#include "transport/pool.h"
#include "transport/stopwatch.h"
#include "transport/transfer.h"
#include "transport/transport.h"
#include "transport/url.h"

#define EVENTS_MAX 64

/* Bounds one turn, so that a flood of answers can't keep the caller from its other work. */
#define ROUNDS_MAX 16

#define NO_TIMER (-1)

/* More than requests at once: a handle has its endpoint's options, and its URL taken apart. */
#define IDLE_HANDLES 1024

struct Transport
{
	CURLM	   *multi;			/* NULL while it is broken */
	Poller	   *poller;
	int			max_connections;
	TransferSettings settings;
	Pool	   *pool;
	CaptureBuffers *spare;
	int64_t		timer_at_us;	/* when libcurl wants to be called, or
								 * NO_TIMER */
	Transfer   *in_flight;
	Mailbox		mailbox;
	int			in_flight_count;	/* started and not yet collected */
};

static bool set_up(Transport *transport, const TransportOptions *options);
static char *name_agent(const char *user_agent);
static bool open_multi(Transport *transport);
static CURLMcode configure_multi(Transport *transport, CURLM *multi);
static int	socket_changed(CURL *easy, curl_socket_t descriptor, int action,
						   void *context, void *socket_context);
static int	timer_changed(CURLM *multi, long timeout_ms, void *context);
static Transfer *obtain_transfer(Transport *transport, uint64_t isolation);
static void refuse(Transport *transport, Transfer *transfer, CURLcode code);
static void launch(Transport *transport, Transfer *transfer);
static void enlist(Transport *transport, Transfer *transfer);
static void unlist(Transport *transport, Transfer *transfer);
static bool has_company(const Transport *transport, const Transfer *transfer);
static CURLMcode serve_sockets(Transport *transport);
static CURLMcode serve_timer(Transport *transport);
static void take_finished(Transport *transport);
static void end_transfer(Transport *transport, Transfer *transfer, CURLcode code);
static void retire(Transport *transport, Transfer *transfer);
static void learn_version(Transport *transport, const Transfer *transfer);
static void fail_everything(Transport *transport, CURLMcode code);
static void abandon_transfers(Transport *transport);
static void write_multi_failure(Answer *answer, CURLMcode code);
static void block_signals(sigset_t *saved);
static void restore_signals(const sigset_t *saved);

Transport *
transport_create(const TransportOptions *options, char *problem, size_t problem_size)
{
	Transport  *transport;
	sigset_t	saved;
	bool		is_ready;

	block_signals(&saved);
	is_ready = library_start(problem, problem_size);
	restore_signals(&saved);
	if (!is_ready)
		return NULL;

	transport = calloc(1, sizeof(Transport));
	if (transport)
	{
		block_signals(&saved);
		is_ready = set_up(transport, options);
		restore_signals(&saved);
		if (is_ready)
			return transport;
	}
	snprintf(problem, problem_size, "The sender could not be set up: %s.", strerror(errno));
	if (transport)
		transport_destroy(transport);
	return NULL;
}

/* curl_global_cleanup() is left to the end of the process: a resolver thread may still run. */
void
transport_destroy(Transport *transport)
{
	sigset_t	saved;

	block_signals(&saved);
	abandon_transfers(transport);
	if (transport->pool)
		pool_destroy(transport->pool);
	if (transport->multi)
		curl_multi_cleanup(transport->multi);
	restore_signals(&saved);

	capture_free_spare(transport->spare);
	mailbox_clear(&transport->mailbox);
	if (transport->poller)
		poller_destroy(transport->poller);
	free(transport->settings.user_agent_line);
	free(transport->settings.ca_file);
	free(transport);
}

const char *
transport_description(void)
{
	return curl_version();
}

void
transport_set_policy(Transport *transport, const AddressPolicy *policy)
{
	transport->settings.policy = *policy;
}

int
transport_descriptor(const Transport *transport)
{
	return poller_descriptor(transport->poller);
}

int
transport_timeout_ms(const Transport *transport)
{
	int64_t		remaining_us;

	if (transport->mailbox.first)
		return 0;
	if (transport->timer_at_us == NO_TIMER)
		return -1;
	remaining_us = transport->timer_at_us - stopwatch_now_us();
	if (remaining_us <= 0)
		return 0;
	return remaining_us > INT_MAX ? INT_MAX / 1000 : (int) ((remaining_us + 999) / 1000);
}

bool
transport_start(Transport *transport, const Request *request,
				const TransferOptions *options, void *owner)
{
	AnswerNode *node = mailbox_obtain(&transport->mailbox);
	char		error[TRANSPORT_ERROR_BYTES];
	Transfer   *transfer;
	CURLcode	code;

	if (!node)
		return false;
	node->answer.owner = owner;
	transport->in_flight_count++;
	if (!url_host_is_listed(request->url, &transport->settings.policy, error, sizeof(error)))
	{
		answer_fail(&node->answer, guard_reason(GUARD_REFUSES_HOST), error);
		mailbox_push(&transport->mailbox, node);
		return true;
	}
	transfer = obtain_transfer(transport, options->isolation);
	if (!transfer)
	{
		answer_fail(&node->answer, "curl:27", "no memory for a transfer");
		mailbox_push(&transport->mailbox, node);
		return true;
	}

	transfer->node = node;
	code = transfer_prepare(transfer, &transport->settings, request, options);
	if (code != CURLE_OK)
		refuse(transport, transfer, code);
	else
		launch(transport, transfer);
	return true;
}

void
transport_advance(Transport *transport)
{
	sigset_t	saved;
	CURLMcode	code;

	mailbox_refill(&transport->mailbox);
	if (!transport->multi)
		return;
	block_signals(&saved);
	code = serve_sockets(transport);
	if (code == CURLM_OK)
		code = serve_timer(transport);
	if (code == CURLM_OK)
		take_finished(transport);
	else
		fail_everything(transport, code);
	restore_signals(&saved);
}

Answer *
transport_collect(Transport *transport)
{
	Answer	   *answer = mailbox_take(&transport->mailbox);

	if (answer)
		transport->in_flight_count--;
	return answer;
}

int
transport_in_flight(const Transport *transport)
{
	return transport->in_flight_count;
}

static bool
set_up(Transport *transport, const TransportOptions *options)
{
	const char *user_agent = options->user_agent ? options->user_agent : "integration";

	errno = ENOMEM;
	transport->timer_at_us = NO_TIMER;
	transport->max_connections = options->max_connections;
	transport->settings.policy = options->policy;
	transport->settings.user_agent_line = name_agent(user_agent);
	if (options->ca_file)
		transport->settings.ca_file = strdup(options->ca_file);
	if (!transport->settings.user_agent_line || (options->ca_file && !transport->settings.ca_file))
		return false;
	transport->pool = pool_create(IDLE_HANDLES);
	if (!transport->pool)
		return false;
	if (!mailbox_create(&transport->mailbox, options->max_connections))
		return false;
	transport->poller = poller_create();
	transport->settings.poller = transport->poller;
	return transport->poller && open_multi(transport);
}

static char *
name_agent(const char *user_agent)
{
	Text		line = {0};

	text_append_string(&line, "User-Agent: ");
	text_append_string(&line, user_agent);
	return text_take(&line);
}

static bool
open_multi(Transport *transport)
{
	sigset_t	saved;
	CURLM	   *multi;

	block_signals(&saved);
	multi = curl_multi_init();
	restore_signals(&saved);
	if (!multi)
		return false;
	if (configure_multi(transport, multi) != CURLM_OK)
	{
		curl_multi_cleanup(multi);
		return false;
	}
	transport->multi = multi;
	return true;
}

static CURLMcode
configure_multi(Transport *transport, CURLM *multi)
{
	CURLMcode	code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);

	if (code == CURLM_OK)
		code = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, transport);
	if (code == CURLM_OK)
		code = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	if (code == CURLM_OK)
		code = curl_multi_setopt(multi, CURLMOPT_TIMERDATA, transport);
	if (code == CURLM_OK)
		code = curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) transport->max_connections);
#if LIBCURL_VERSION_NUM >= 0x081400
	/* unknown to an older library at run time, which is no reason to stop */
	curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
	return code;
}

static int
socket_changed(CURL *easy, curl_socket_t descriptor, int action,
			   void *context, void *socket_context)
{
	Transport  *transport = context;
	Transfer   *transfer = NULL;

	(void) socket_context;
	if (action == CURL_POLL_REMOVE)
	{
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);

		/*
		 * only a connection that got as far is told to be closed in all
		 * versions
		 */
		if (transfer && transfer->capture.answer_at_us != 0)
			poller_rest(transport->poller, descriptor);
		else
			poller_forget(transport->poller, descriptor);
		return 0;
	}
	return poller_watch(transport->poller, descriptor,
						(action & CURL_POLL_IN) != 0, (action & CURL_POLL_OUT) != 0);
}

static int
timer_changed(CURLM *multi, long timeout_ms, void *context)
{
	Transport  *transport = context;

	(void) multi;
	if (timeout_ms <= 0)
		transport->timer_at_us = timeout_ms < 0 ? NO_TIMER : 0;
	else
		transport->timer_at_us = stopwatch_now_us() + (int64_t) timeout_ms * 1000;
	return 0;
}

static Transfer *
obtain_transfer(Transport *transport, uint64_t isolation)
{
	Transfer   *transfer = pool_take(transport->pool, isolation);
	sigset_t	saved;

	if (!transfer)
	{
		block_signals(&saved);
		transfer = transfer_create(&transport->settings);
		restore_signals(&saved);
	}
	if (!transfer || capture_open(&transfer->capture, &transport->spare))
		return transfer;
	transfer_free(transfer);
	return NULL;
}

/* The handle still holds what its last transfer left, so libcurl isn't asked. */
static void
refuse(Transport *transport, Transfer *transfer, CURLcode code)
{
	char		reason[TRANSPORT_REASON_BYTES];

	snprintf(reason, sizeof(reason), "curl:%d", (int) code);
	answer_fail(&transfer->node->answer, reason, curl_easy_strerror(code));
	retire(transport, transfer);
}

static void
launch(Transport *transport, Transfer *transfer)
{
	/*
	 * over plain http all would wait for the first answer while their time
	 * runs out
	 */
	bool		may_wait = transfer->is_https &&
		!pool_speaks_http1(transport->pool, transfer->isolation);
	CURLMcode	code = CURLM_OUT_OF_MEMORY;

	transfer_wait_for_connection(transfer, may_wait);
	if (transport->multi || open_multi(transport))
		code = curl_multi_add_handle(transport->multi, transfer->easy);
	if (code == CURLM_OK)
	{
		enlist(transport, transfer);
		return;
	}
	write_multi_failure(&transfer->node->answer, code);
	retire(transport, transfer);
}

static void
enlist(Transport *transport, Transfer *transfer)
{
	transfer->previous = NULL;
	transfer->next = transport->in_flight;
	if (transfer->next)
		transfer->next->previous = transfer;
	transport->in_flight = transfer;
}

static void
unlist(Transport *transport, Transfer *transfer)
{
	if (transfer->previous)
		transfer->previous->next = transfer->next;
	else
		transport->in_flight = transfer->next;
	if (transfer->next)
		transfer->next->previous = transfer->previous;
	transfer->next = NULL;
	transfer->previous = NULL;
}

/* Whether it may have waited for the connection of another one. */
static bool
has_company(const Transport *transport, const Transfer *transfer)
{
	for (const Transfer *other = transport->in_flight; other; other = other->next)
		if (other != transfer && other->isolation == transfer->isolation)
			return true;
	return false;
}

static CURLMcode
serve_sockets(Transport *transport)
{
	for (int round = 0; round < ROUNDS_MAX; round++)
	{
		PollerEvent events[EVENTS_MAX];
		int			count = poller_collect(transport->poller, events, EVENTS_MAX);

		for (int i = 0; i < count; i++)
		{
			int			mask = (events[i].is_readable ? CURL_CSELECT_IN : 0) |
				(events[i].is_writable ? CURL_CSELECT_OUT : 0) |
				(events[i].is_broken ? CURL_CSELECT_ERR : 0);
			int			running;
			CURLMcode	code = curl_multi_socket_action(transport->multi,
														events[i].descriptor, mask, &running);

			if (code != CURLM_OK)
				return code;
		}
		if (count < EVENTS_MAX)
			break;
	}
	return CURLM_OK;
}

static CURLMcode
serve_timer(Transport *transport)
{
	for (int round = 0; round < ROUNDS_MAX; round++)
	{
		int			running;
		CURLMcode	code;

		if (transport->timer_at_us == NO_TIMER || transport->timer_at_us > stopwatch_now_us())
			break;
		transport->timer_at_us = NO_TIMER;
		code = curl_multi_socket_action(transport->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		if (code != CURLM_OK)
			return code;
	}
	return CURLM_OK;
}

static void
take_finished(Transport *transport)
{
	CURLMsg    *message;
	int			remaining;

	while ((message = curl_multi_info_read(transport->multi, &remaining)) != NULL)
	{
		CURLcode	code = message->data.result;
		CURL	   *easy = message->easy_handle;
		Transfer   *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
		end_transfer(transport, transfer, code);
	}
}

static void
end_transfer(Transport *transport, Transfer *transfer, CURLcode code)
{
	bool		found_closed = transfer_found_closed(transfer);

	if (!found_closed)
	{
		learn_version(transport, transfer);
		transfer->may_have_queued = code == CURLE_OPERATION_TIMEDOUT &&
			transfer->may_wait && has_company(transport, transfer);
		transfer_finish(transfer, code);
	}
	curl_multi_remove_handle(transport->multi, transfer->easy);
	unlist(transport, transfer);
	if (!found_closed)
	{
		retire(transport, transfer);
		return;
	}
	transfer_renew(transfer);
	launch(transport, transfer);
}

/* Queue the written answer; the handle rests until its isolation value comes again. */
static void
retire(Transport *transport, Transfer *transfer)
{
	mailbox_push(&transport->mailbox, transfer->node);
	transfer_release(transfer, &transport->settings);
	capture_close(&transfer->capture, &transport->spare);
	pool_give(transport->pool, transfer);
}

static void
learn_version(Transport *transport, const Transfer *transfer)
{
	long		version = CURL_HTTP_VERSION_NONE;

	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
	if (transfer->is_https && version != CURL_HTTP_VERSION_NONE)
		pool_note_version(transport->pool, transfer->isolation,
						  version < CURL_HTTP_VERSION_2_0);
}

/* After an error of the multi handle itself nothing is known about any transfer. */
static void
fail_everything(Transport *transport, CURLMcode code)
{
	for (Transfer *transfer = transport->in_flight; transfer; transfer = transfer->next)
	{
		write_multi_failure(&transfer->node->answer, code);
		mailbox_push(&transport->mailbox, transfer->node);
		transfer->node = NULL;
	}
	abandon_transfers(transport);
	curl_multi_cleanup(transport->multi);
	transport->multi = NULL;
	transport->timer_at_us = NO_TIMER;
	open_multi(transport);
}

static void
abandon_transfers(Transport *transport)
{
	while (transport->in_flight)
	{
		Transfer   *transfer = transport->in_flight;

		curl_multi_remove_handle(transport->multi, transfer->easy);
		unlist(transport, transfer);
		if (transfer->node)
			answer_free(&transfer->node->answer);
		capture_close(&transfer->capture, &transport->spare);
		transfer_free(transfer);
	}
}

static void
write_multi_failure(Answer *answer, CURLMcode code)
{
	char		reason[TRANSPORT_REASON_BYTES];

	snprintf(reason, sizeof(reason), "curl_multi:%d", (int) code);
	answer_fail(answer, reason, curl_multi_strerror(code));
}

/*
 * libcurl's resolver threads inherit the mask: without this the server's
 * signal handlers would run in them.  Options and curl_multi_add_handle() start none.
 */
static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}
