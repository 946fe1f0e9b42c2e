/*
 * mailq and minimtactl queue (queue/admin.h). Decides who may do what and how it is said; what a command
 * does to messages is done by the log and queue/dispatch.c.
 */
#include "queue/admin.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/route.h"
#include "queue/await.h"
#include "queue/pauses.h"
#include "queue/request.h"

#define REQUESTS_MAX	32		/* at once */
#define REQUESTS_KEPT	8		/* of them for who may change the queue: others can wait here for half an hour */

typedef void	command_fn(struct request *);

struct admin {
	struct queue		*queue;
	LIST_HEAD(, request)	 requests;
	unsigned		 n;
	bool			 pausing;	/* pauses are being recorded */
	bool			 complete;	/* every message of before the start is known */
};

static void
free_request(struct request *r)
{
	LIST_REMOVE(r, next);
	await_forget(r);
	r->admin->n--;
	caller_free(r->caller);
	selection_free(&r->selection);
	free(r->line);
	free(r->own);
	free(r->ids);
	free(r);
}

static void
on_gone(void *arg)
{
	struct request *r = arg;

	r->caller = NULL;
	if (!r->reading && r->pending == 0)
		free_request(r);
}

bool
request_still_wanted(struct request *r)
{
	if (r->caller != NULL)
		return true;
	if (!r->reading && r->pending == 0)
		free_request(r);
	return false;
}

bool
request_is_wanted(struct request *r)
{
	r->reading = false;
	return request_still_wanted(r);
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

/* ---- next hops ---- */

/* "@example.org", "example.org", "local", or a next hop as `queue hops` names it. False: an error was said. */
static bool
find_hop(struct request *r, const char *argument, char *hop, enum schedule_agent *agent_r)
{
	char domain[ADDRESS_DOMAIN_MAX + 1], address[ADDRESS_DOMAIN_MAX + 2];
	struct envelope_rcpt any = { .address = address, .local = true, .final = true };

	if (strcasecmp(argument, HOP_COMMAND) == 0) {
		memcpy(hop, HOP_COMMAND, sizeof(HOP_COMMAND));
		*agent_r = SCHEDULE_MDA;
		return true;
	}
	if (strcasecmp(argument, HOP_LOCAL) == 0) {
		snprintf(address, sizeof(address), "%s", HOP_LOCAL);
		*agent_r = dispatch_route(r->queue->dispatch, "", &any, hop);
		return true;
	}
	if (strlen(argument) < ROUTE_HOP_MAX && (strncmp(argument, "mx:", 3) == 0 || strncmp(argument, "relay", 5) == 0 ||
	    strncmp(argument, "lmtp:", 5) == 0) &&
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
note_hop(void *arg, const struct schedule_hop *h)
{
	if (h->paused)
		fprintf(arg, "%s\n", h->name);
}

static void
on_pause_kept(void *arg, const char *error)
{
	struct request *r = arg;

	r->admin->pausing = false;
	if (!request_is_wanted(r))
		return;
	if (error != NULL)
		request_answer(r, "error: %s is %s, but that could not be recorded (%s): a start will not know of it", r->own, r->with, error);
	else
		request_answer(r, "ok\n%s is %s", r->own, r->with);
}

/* What is paused stays so when queue starts again: the answer comes when that is on stable storage. */
static void
keep_pauses(struct request *r, const char *hop, const char *what)
{
	char *names = NULL;
	size_t len;
	FILE *f = alloc_stream(&names, &len);

	r->own = alloc_text(hop);
	schedule_each_hop(r->queue->schedule, note_hop, f);
	alloc_stream_end(f);
	r->with = what;
	r->reading = true;
	r->admin->pausing = true;
	pauses_write(r->queue->log, names, on_pause_kept, r);
	free(names);
}

static void
set_pause(struct request *r, const char *argument, bool pause)
{
	char hop[ROUTE_HOP_MAX];
	enum schedule_agent agent;

	if (!find_hop(r, argument, hop, &agent))
		return;
	if (r->admin->pausing) {
		request_answer(r, "later: another pause is being recorded");
		return;
	}
	if (!dispatch_pause(r->queue->dispatch, hop, agent, pause)) {
		request_answer(r, "error: %s is %s", hop, pause ? "paused already" : "not paused");
		return;
	}
	log_info("event=%s hop=%s uid=%u", pause ? "paused" : "resumed", logq(hop), r->uid);
	keep_pauses(r, hop, pause ? "paused until it is resumed" : "resumed");
}

void
admin_pause_again(struct queue *q, const char *names)
{
	char hop[ROUTE_HOP_MAX];
	size_t len;

	for (; *names != '\0'; names += len + (names[len] == '\n')) {
		len = strcspn(names, "\n");
		if (len == 0 || len >= sizeof(hop))
			continue;
		memcpy(hop, names, len);
		hop[len] = '\0';
		dispatch_pause(q->dispatch, hop, strcmp(hop, HOP_LOCAL) == 0 || strcmp(hop, HOP_COMMAND) == 0 ? SCHEDULE_MDA : strchr(hop, ':') == NULL ?
		    SCHEDULE_LOOKUP : SCHEDULE_DELIVERY, true);
		log_info("event=paused hop=%s reason=\"as before the start\"", logq(hop));
	}
}

static void
do_pause(struct request *r)
{
	set_pause(r, r->with, true);
}

static void
do_resume(struct request *r)
{
	set_pause(r, r->with, false);
}

/* ---- retry ---- */

static void
say_due(struct request *r, const char *what, uint32_t n)
{
	log_info("event=retry what=%s rcpts=%u uid=%u", logq(what), n, r->uid);
	caller_say(r->caller, "ok\nE\t0\t%u\tdue now\t\n", n);
	caller_end(r->caller);
}

/* All mail, one message, or what goes to a domain's next hop need no look at every message. */
static void
do_retry(struct request *r)
{
	const struct selection *s = &r->selection;
	bool alone = s->to == NULL && s->from == NULL && s->reason == NULL && s->hop == NULL && s->state == NULL && s->older_s < 0 &&
	    s->newer_s < 0 && !r->dry_run;
	struct dispatch *d = r->queue->dispatch;
	char hop[ROUTE_HOP_MAX];
	struct envelope_rcpt local = { .address = (char *)(uintptr_t)s->domain, .local = true };
	enum schedule_agent agent;
	uint32_t n;

	if (!alone || s->n_ids > 1 || (s->n_ids == 1 && s->domain != NULL)) {
		change_begin(r);
	} else if (s->n_ids == 1) {
		say_due(r, id_text(s->ids[0]), dispatch_retry(d, s->ids[0], NULL));
	} else if (s->domain == NULL) {
		say_due(r, "all", dispatch_retry(d, 0, NULL));
	} else if (find_hop(r, s->domain, hop, &agent)) {
		n = dispatch_retry(d, 0, hop);
		if (agent != SCHEDULE_DELIVERY) {	/* what is not expanded yet is here too */
			dispatch_route(d, "", &local, hop);
			n += dispatch_retry(d, 0, hop);
		}
		say_due(r, s->domain, n);
	}
}

/* ---- commands ---- */

enum takes {
	NOTHING,
	SELECTION,			/* words of selection.h, or none: everything */
	SELECTED,			/* at least one */
	ONE,				/* a message */
	HOP,				/* a domain or next hop */
};

enum with {
	WITH_NONE,
	WITH_HOP,			/* before the selection: where to */
	WITH_ADDRESS,			/* likewise */
	WITH_TEXT,			/* text=… among its words */
};

static const struct command {
	const char	*word;
	bool		 privileged;	/* only root, or the user that minimta runs as */
	enum takes	 takes;
	enum with	 with;
	command_fn	*run;
	const struct change_kind *change;	/* which one, of those that are */
} commands[] = {
	{ "list", false, SELECTION, WITH_NONE, show_list, NULL },
	{ "hops", false, NOTHING, WITH_NONE, show_hops, NULL },
	{ "show", true, ONE, WITH_NONE, show_message, NULL },	/* changes nothing, but shows others' mail */
	{ "cat", true, ONE, WITH_NONE, show_content, NULL },
	{ "retry", true, SELECTED, WITH_NONE, do_retry, &change_retry },
	{ "deliver", false, ONE, WITH_NONE, await_delivery, NULL },	/* one's own only */
	{ "remove", true, SELECTED, WITH_NONE, change_begin, &change_remove },
	{ "hold", true, SELECTED, WITH_NONE, change_begin, &change_hold },
	{ "release", true, SELECTED, WITH_NONE, change_begin, &change_release },
	{ "bounce", true, SELECTED, WITH_TEXT, change_begin, &change_bounce },
	{ "reroute", true, SELECTED, WITH_HOP, change_begin, &change_reroute },
	{ "replace", true, SELECTED, WITH_ADDRESS, change_begin, &change_replace },
	{ "add", true, SELECTED, WITH_ADDRESS, change_begin, &change_add },
	{ "pause", true, HOP, WITH_NONE, do_pause, NULL },
	{ "resume", true, HOP, WITH_NONE, do_resume, NULL },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char filters[] = "messages' ids, @domain, to=, from=, reason=, hop=, state=, older=, newer= or all";

/* route_parse takes what route_hop makes; a person may write anything. */
static bool
is_route(const struct conf *conf, const char *hop)
{
	struct route *route = alloc_new(1, sizeof(*route));
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct in6_addr address;
	bool good;

	good = strlen(hop) < ROUTE_HOP_MAX && route_parse(route, conf, hop) == 0 && route->n > 0;
	for (size_t i = 0; good && i < route->n; i++)
		good = inet_pton(AF_INET, route->hosts[i].name, &address) == 1 ||
		    inet_pton(AF_INET6, route->hosts[i].name, &address) == 1 || address_domain(domain, route->hosts[i].name, 0) == 0;
	free(route);
	return good;
}

static bool
take_hop(struct request *r, const char *text)
{
	const char *colon = strrchr(text, ':');
	bool good;

	if (strcmp(text, "normal") == 0)
		r->own = alloc_text("");
	else if (strncmp(text, "mx:", 3) == 0 || strncmp(text, "relay", 5) == 0)
		r->own = alloc_text(text);
	else
		r->own = alloc_printf(colon == NULL || strchr(colon, ']') != NULL ? "relay:%s:25" : "relay:%s", text);
	good = r->own[0] == '\0' || is_route(r->queue->p.conf, r->own);
	if (!good)
		request_answer(r, "error: %.80s is no next hop; expected host, host:port, mx:example.org, or normal", logq(text));
	r->with = r->own;
	return good;
}

static bool
take_address(struct request *r, const char *text)
{
	const char *why = "expected user@domain";
	struct address a;

	if (address_parse(&a, text, ADDRESS_BARE | ADDRESS_UTF8, &why) != ADDRESS_OK) {
		request_answer(r, "error: %.80s is no address: %s", logq(text), why);
		return false;
	}
	r->own = alloc_printf(a.domain[0] == '\0' ? "%s@%s" : "%s", a.text, conf_origin(r->queue->p.conf));
	r->with = r->own;
	return true;
}

static bool
take_word(struct request *r, const struct command *c, const char *word)
{
	char why[300];
	int rc;

	if (strcmp(word, "dry-run") == 0 && c->takes == SELECTED) {
		r->dry_run = true;
		return true;
	}
	if (c->with == WITH_TEXT && strncmp(word, "text=", 5) == 0) {
		r->with = word + 5;
		return true;
	}
	if ((rc = selection_take(&r->selection, word, why, sizeof(why))) < 0)
		request_answer(r, "error: %s", why);
	else if (rc == 0)
		request_answer(r, "error: %.80s is no message's id, and nothing else that queue %s takes; expected %s", logq(word),
		    c->word, filters);
	return rc > 0;
}

/* What stands before the selection. */
static bool
take_first(struct request *r, const struct command *c, const char *word)
{
	switch (c->with) {
	case WITH_HOP:
		return take_hop(r, word);
	case WITH_ADDRESS:
		return take_address(r, word);
	default:
		return take_word(r, c, word);
	}
}

/* Each named message must be there: one that is not is a mistake, and nothing is done. */
static bool
find_messages(struct request *r, const struct command *c)
{
	const struct selection *s = &r->selection;

	for (size_t i = 0; i < s->n_ids; i++)
		if (!log_find(r->queue->log, s->ids[i], &r->message)) {
			request_answer(r, "error: there is no message %s in the queue", id_text(s->ids[i]));
			return false;
		}
	if (c->takes == ONE && s->n_ids != 1) {
		request_answer(r, "error: queue %s takes a message's id", c->word);
		return false;
	}
	r->id = s->n_ids > 0 ? s->ids[0] : 0;
	return true;
}

static bool
take_words(struct request *r, const struct command *c, char *rest)
{
	bool needs_first = c->with == WITH_HOP || c->with == WITH_ADDRESS;
	size_t n = 0;

	if (c->takes == HOP) {
		r->with = rest == NULL ? "" : rest;
		if (rest == NULL || *rest == '\0' || strchr(rest, '\t') != NULL)
			request_answer(r, "error: queue %s takes a domain, or a next hop as \"queue hops\" lists them", c->word);
		return rest != NULL && *rest != '\0' && strchr(rest, '\t') == NULL;
	}
	for (char *word; (word = strsep(&rest, "\t")) != NULL; n++)
		if (c->takes == NOTHING) {
			request_answer(r, "error: queue %s takes nothing more", c->word);
			return false;
		} else if (!(n == 0 ? take_first(r, c, word) : take_word(r, c, word))) {
			return false;
		}
	if ((c->takes == SELECTED && !r->selection.any) || (needs_first && n == 0)) {
		request_answer(r, "error: queue %s takes %s%s", c->word, c->with == WITH_HOP ? "a next hop, then " :
		    c->with == WITH_ADDRESS ? "an address, then " : "", filters);
		return false;
	}
	return find_messages(r, c);
}

static void
run(struct request *r, const char *word, char *rest)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].word, word) != 0)
			continue;
		if (commands[i].privileged && !r->may_change)
			request_answer(r, "denied: queue %s is for root and for the user that started minimta; "
			    "you are uid %u", word, r->uid);
		else if (take_words(r, &commands[i], rest)) {
			r->change = commands[i].change;
			commands[i].run(r);
		}
		return;
	}
	request_answer(r, "error: unknown command; expected queue list, hops, show, cat, retry, remove, hold, release, bounce, "
	    "reroute, replace, add, pause or resume");
}

/* "mailq" or "queue<tab>word[<tab>argument…]". */
static void
run_line(struct request *r)
{
	char *rest = r->line, *first = strsep(&rest, "\t"), *word = rest == NULL ? NULL : strsep(&rest, "\t");

	if (strcmp(first, "mailq") == 0)
		run(r, "list", NULL);
	else
		run(r, word == NULL ? "" : word, rest);
}

int
admin_on_control(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	static const char busy[] = "error: too many are asking; try again in a moment\n";
	struct admin *ad = ((struct queue *)arg)->admin;
	struct request *r;
	struct unpack u;
	uint32_t uid;
	bool may_change;

	(void)ipc;
	if (m->fd < 0)
		return 0;
	unpack_init(&u, m->data, m->len);
	uid = unpack_u32(&u);
	may_change = unpack_u8(&u) == 1;
	if (ad->n + (may_change ? 0 : REQUESTS_KEPT) >= REQUESTS_MAX) {
		send(m->fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(m->fd);
		return 0;
	}
	r = alloc_new(1, sizeof(*r));
	r->admin = ad;
	r->queue = ad->queue;
	r->caller = caller_new(ad->queue->p.base, m->fd, request_more, on_gone, r);
	LIST_INSERT_HEAD(&ad->requests, r, next);
	ad->n++;
	r->uid = uid;
	r->may_change = may_change;
	r->line = unpack_str(&u);
	r->with = "";
	selection_init(&r->selection);
	if (!unpack_end(&u))
		request_answer(r, "error: this is no command");
	else if (ad->complete)
		run_line(r);
	else
		r->early = true;
	return 0;
}

void
admin_complete(struct admin *ad)
{
	struct request *r, *next;

	ad->complete = true;
	for (r = LIST_FIRST(&ad->requests); r != NULL; r = next) {
		next = LIST_NEXT(r, next);
		if (r->early && r->caller != NULL)
			run_line(r);
	}
}

struct admin *
admin_new(struct queue *q)
{
	struct admin *ad = alloc_new(1, sizeof(*ad));

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
