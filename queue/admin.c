/*
 * mailq and minimtactl queue (queue/admin.h). Decides who may do what and how it is said; what a command
 * does to messages is done by the log and queue/dispatch.c.
 */
#include "queue/admin.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/route.h"
#include "queue/await.h"
#include "queue/request.h"

#define REQUESTS_MAX	32		/* at once */
#define WORDS_MAX	4

typedef void	command_fn(struct request *, const char *argument);

struct admin {
	struct queue		*queue;
	LIST_HEAD(, request)	 requests;
	unsigned		 n;
};

static void
free_request(struct request *r)
{
	LIST_REMOVE(r, next);
	await_forget(r);
	r->admin->n--;
	caller_free(r->caller);
	for (size_t i = 0; i < r->n_held; i++)
		envelope_free_rcpt(&r->held[i].rcpt);
	free(r->held);
	free(r->ids);
	free(r);
}

static void
on_gone(void *arg)
{
	struct request *r = arg;

	r->caller = NULL;
	if (!r->reading)
		free_request(r);
}

bool
request_is_wanted(struct request *r)
{
	r->reading = false;
	if (r->caller != NULL)
		return true;
	free_request(r);
	return false;
}

void
request_answer(struct request *r, const char *fmt, ...)
{
	char text[REQUEST_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	caller_say(r->caller, "%s\n", text);
	caller_end(r->caller);
}

static void
on_changed(void *arg, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error != NULL)
		request_answer(r, "error: could not be recorded: %s", error);
	else
		request_answer(r, "ok\n%s is %s", id_text(r->id), r->change);
}

/* ---- changes ---- */

/* "@example.org", "example.org", "local", or a next hop as `queue hops` names it. False: an error was said. */
static bool
find_hop(struct request *r, const char *argument, char *hop, enum schedule_agent *agent_r)
{
	char domain[ADDRESS_DOMAIN_MAX + 1], address[ADDRESS_DOMAIN_MAX + 2];
	struct envelope_rcpt any = { .address = address, .local = true, .final = true };

	if (strcasecmp(argument, HOP_LOCAL) == 0) {
		snprintf(address, sizeof(address), "%s", HOP_LOCAL);
		*agent_r = dispatch_route(r->queue->dispatch, "", &any, hop);
		return true;
	}
	if (strlen(argument) < ROUTE_HOP_MAX && (strncmp(argument, "mx:", 3) == 0 || strncmp(argument, "relay", 5) == 0) &&
	    strchr(argument, ':') != NULL) {
		memcpy(hop, argument, strlen(argument) + 1);
		*agent_r = SCHEDULE_DELIVERY;
		return true;
	}
	if (address_domain(domain, argument + (argument[0] == '@'), ADDRESS_UTF8) != 0) {
		request_answer(r, "error: %.80s is neither a domain nor a next hop; expected example.org, mx:example.org, "
		    "relay:host:port or local", logq(argument));
		return false;
	}
	snprintf(address, sizeof(address), "@%s", domain);
	any.local = conf_is_local(r->queue->p.conf, domain);
	*agent_r = dispatch_route(r->queue->dispatch, "", &any, hop);
	return true;
}

static void
say_due(struct request *r, const char *what, uint32_t n)
{
	log_info("event=retry what=%s rcpts=%u uid=%u", logq(what), n, r->uid);
	request_answer(r, "ok\n%u recipient%s due now", n, n == 1 ? " is" : "s are");
}

static void
retry_one(struct request *r, const struct log_envelope *e)
{
	r->changed += dispatch_retry(r->queue->dispatch, e->message.id, NULL);
}

static void
retried_all(struct request *r)
{
	say_due(r, r->filter.text, r->changed);
}

static void
do_retry(struct request *r, const char *argument)
{
	struct dispatch *d = r->queue->dispatch;
	char hop[ROUTE_HOP_MAX];
	enum schedule_agent agent;
	uint32_t n;

	if (r->filter.by == FILTER_TO || r->filter.by == FILTER_FROM) {
		request_walk(r, retry_one, retried_all);
		return;
	}
	if (strcasecmp(argument, "all") == 0) {
		n = dispatch_retry(d, 0, NULL);
	} else if (argument[0] != '@') {
		n = dispatch_retry(d, r->id, NULL);
	} else {
		if (!find_hop(r, argument, hop, &agent))
			return;
		n = dispatch_retry(d, 0, hop);
		if (agent != SCHEDULE_DELIVERY) {	/* what is not expanded yet is here too */
			dispatch_route(d, "", &(struct envelope_rcpt){ .address = (char *)(uintptr_t)argument, .local = true }, hop);
			n += dispatch_retry(d, 0, hop);
		}
	}
	say_due(r, argument, n);
}

static void
set_pause(struct request *r, const char *argument, bool pause)
{
	char hop[ROUTE_HOP_MAX];
	enum schedule_agent agent;

	if (!find_hop(r, argument, hop, &agent))
		return;
	if (!dispatch_pause(r->queue->dispatch, hop, agent, pause)) {
		request_answer(r, "error: %s is %s", hop, pause ? "paused already" : "not paused");
		return;
	}
	log_info("event=%s hop=%s uid=%u", pause ? "paused" : "resumed", logq(hop), r->uid);
	if (pause)
		request_answer(r, "ok\n%s is paused until it is resumed, or the queue starts again", hop);
	else
		request_answer(r, "ok\n%s is resumed", hop);
}

static void
do_pause(struct request *r, const char *argument)
{
	set_pause(r, argument, true);
}

static void
do_resume(struct request *r, const char *argument)
{
	set_pause(r, argument, false);
}

static void
change(struct request *r, enum log_state to, const char *word, log_done_fn *done)
{
	char text[64];

	snprintf(text, sizeof(text), "%s by uid %u", word, r->uid);
	log_info("msg=%s event=%s uid=%u", id_text(r->id), word, r->uid);
	r->change = word;
	r->reading = true;
	log_admin(r->queue->log, r->id, UINT32_MAX, to, text, done, r);
}

static void
on_removed(void *arg, const char *error)
{
	struct request *r = arg;

	if (error == NULL && !log_find(r->queue->log, r->id, &r->message))
		log_info("msg=%s event=done", id_text(r->id));
	on_changed(arg, error);
}

static void
do_remove(struct request *r, const char *argument)
{
	(void)argument;
	dispatch_drop(r->queue->dispatch, r->id, SCHEDULE_ALL);
	change(r, LOG_REMOVED, "removed", on_removed);
}

static void
do_hold(struct request *r, const char *argument)
{
	(void)argument;
	dispatch_drop(r->queue->dispatch, r->id, SCHEDULE_ALL);
	change(r, LOG_HELD, "held", on_changed);
}

static void
on_released(void *arg, const char *error)
{
	struct request *r = arg;

	for (size_t i = 0; i < r->n_held && error == NULL; i++)
		dispatch_add(r->queue->dispatch, r->id, r->message.arrived, r->sender, &r->held[i].rcpt, r->held[i].index, 1);
	on_changed(arg, error);
}

/* Those that are held now are scheduled again once that is recorded; others are scheduled already. */
static void
on_to_release(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!request_is_wanted(r))
		return;
	if (error != NULL) {
		request_answer(r, "error: %s", error);
		return;
	}
	r->message = e->message;
	snprintf(r->sender, sizeof(r->sender), "%s", e->sender.address);
	if ((r->held = calloc(e->message.n_rcpts + 1, sizeof(*r->held))) == NULL)
		log_fatal("event=out-of-memory");
	for (uint32_t i = 0; i < e->message.n_rcpts; i++) {
		if (e->rcpts[i].state != LOG_HELD)
			continue;
		r->held[r->n_held] = (struct held){ i, e->rcpts[i].rcpt };
		envelope_copy_rcpt(&r->held[r->n_held++].rcpt, &e->rcpts[i].rcpt);
	}
	if (r->n_held == 0)
		request_answer(r, "error: nothing of %s is held", id_text(r->id));
	else
		change(r, LOG_OPEN, "released", on_released);
}

static void
do_release(struct request *r, const char *argument)
{
	(void)argument;
	r->reading = true;
	log_read_envelope(r->queue->log, r->id, on_to_release, r);
}

/* ---- commands ---- */

enum takes { NOTHING, FILTER, ID, ID_OR_MORE, HOP };

static const struct {
	const char	*word;
	bool		 privileged;	/* only root, or the user that minimta runs as */
	enum takes	 takes;
	command_fn	*run;
} commands[] = {
	{ "list", false, FILTER, show_list },
	{ "hops", false, NOTHING, show_hops },
	{ "show", true, ID, show_message },	/* changes nothing, but shows others' mail */
	{ "cat", true, ID, show_content },
	{ "retry", true, ID_OR_MORE, do_retry },
	{ "deliver", false, ID, await_delivery },	/* one's own only */
	{ "remove", true, ID, do_remove },
	{ "hold", true, ID, do_hold },
	{ "release", true, ID, do_release },
	{ "pause", true, HOP, do_pause },
	{ "resume", true, HOP, do_resume },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *const expected[] = {
	[NOTHING] = "nothing more",
	[FILTER] = "nothing, @domain, to=text or from=text",
	[ID] = "a message's id",
	[ID_OR_MORE] = "a message's id, @domain, to=text, from=text or all",
	[HOP] = "a domain, or a next hop as \"queue hops\" lists them",
};

static bool
find_message(struct request *r, const char *argument)
{
	char id[ID_TEXT + 2];
	size_t len = strlen(argument);

	/* As mailq shows it, with its mark. */
	while (len > 0 && strchr("*!", argument[len - 1]) != NULL)
		len--;
	snprintf(id, sizeof(id), "%.*s", (int)(len < sizeof(id) ? len : sizeof(id) - 1), argument);
	if (id_parse(id, &r->id) != 0)
		request_answer(r, "error: %.80s is no message's id; mailq lists them", logq(argument));
	else if (!log_find(r->queue->log, r->id, &r->message))
		request_answer(r, "error: there is no message %s in the queue", id_text(r->id));
	else
		return true;
	return false;
}

static bool
take_filter(struct request *r, const char *argument)
{
	static const struct { const char *before; int by; } filters[] = {
		{ "to=", FILTER_TO }, { "from=", FILTER_FROM }, { "@", FILTER_DOMAIN } };

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		size_t len = strlen(filters[i].before);

		if (strncmp(argument, filters[i].before, len) != 0)
			continue;
		r->filter.by = filters[i].by;
		snprintf(r->filter.text, sizeof(r->filter.text), "%s", argument + len);
		return true;
	}
	return false;
}

/* Whether the argument is what the command takes; else an error was said. */
static bool
take_argument(struct request *r, const char *word, enum takes takes, const char *argument)
{
	bool given = argument[0] != '\0';

	switch (takes) {
	case NOTHING:
		if (!given)
			return true;
		break;
	case FILTER:
		if (!given || take_filter(r, argument))
			return true;
		break;
	case ID:
		if (given)
			return find_message(r, argument);
		break;
	case ID_OR_MORE:
		if (given)
			return take_filter(r, argument) || strcasecmp(argument, "all") == 0 || find_message(r, argument);
		break;
	case HOP:
		if (given)
			return true;
		break;
	}
	request_answer(r, "error: queue %s takes %s", word, expected[takes]);
	return false;
}

static void
run(struct request *r, const char *word, const char *argument)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].word, word) != 0)
			continue;
		if (commands[i].privileged && !r->may_change)
			request_answer(r, "denied: queue %s is for root and for the user that started minimta; "
			    "you are uid %u", word, r->uid);
		else if (take_argument(r, word, commands[i].takes, argument))
			commands[i].run(r, argument);
		return;
	}
	request_answer(r, "error: unknown command; expected queue list, hops, show, cat, retry, deliver, remove, hold, release, pause "
	    "or resume");
}

/* "mailq" or "queue<tab>word[<tab>argument]". */
static void
run_line(struct request *r, char *line)
{
	const char *words[WORDS_MAX] = { "", "", "", "" };
	size_t n = 0;

	for (char *at = line, *word; n < WORDS_MAX && (word = strsep(&at, "\t")) != NULL;)
		words[n++] = word;
	if (strcmp(words[0], "mailq") == 0)
		run(r, "list", "");
	else if (n > 3)
		request_answer(r, "error: too many words; one message, domain or \"all\" at a time");
	else
		run(r, words[1], words[2]);
}

int
admin_on_control(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	static const char busy[] = "error: too many are asking; try again in a moment\n";
	struct admin *ad = ((struct queue *)arg)->admin;
	struct request *r;
	struct unpack u;
	char line[REQUEST_LINE_MAX];

	(void)ipc;
	if (m->fd < 0)
		return 0;
	if (ad->n >= REQUESTS_MAX) {
		send(m->fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(m->fd);
		return 0;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		log_fatal("event=out-of-memory");
	r->admin = ad;
	r->queue = ad->queue;
	r->caller = caller_new(ad->queue->p.base, m->fd, request_more, on_gone, r);
	LIST_INSERT_HEAD(&ad->requests, r, next);
	ad->n++;
	unpack_init(&u, m->data, m->len);
	r->uid = unpack_u32(&u);
	r->may_change = unpack_u8(&u) == 1;
	unpack_str_to(&u, line, sizeof(line));
	if (unpack_end(&u))
		run_line(r, line);
	else
		request_answer(r, "error: the command is too long");
	return 0;
}

struct admin *
admin_new(struct queue *q)
{
	struct admin *ad = calloc(1, sizeof(*ad));

	if (ad == NULL)
		log_fatal("event=out-of-memory");
	ad->queue = q;
	LIST_INIT(&ad->requests);
	return ad;
}

void
admin_free(struct admin *ad)
{
	if (ad == NULL)
		return;
	while (!LIST_EMPTY(&ad->requests))
		free_request(LIST_FIRST(&ad->requests));
	free(ad);
}
