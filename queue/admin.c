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

#include "lib/clock.h"
#include "lib/header.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/route.h"
#include "queue/caller.h"
#include "queue/dispatch.h"

#define REQUESTS_MAX	32		/* at once */
#define WORDS_MAX	4
#define LINE_MAX_HERE	1024
#define REASON_MAX	300		/* of a reply in a list; `show` has the whole */

struct request;
typedef void	command_fn(struct request *, const char *argument);

struct request {
	LIST_ENTRY(request)	 next;
	struct admin		*admin;
	struct caller		*caller;	/* NULL: gone */
	bool			 reading;	/* the log has it as an argument: it cannot go */
	uint32_t		 uid;
	bool			 may_change;
	uint64_t		 id;		/* the message it is about */
	uint64_t		*ids;		/* a list's, oldest first */
	size_t			 n, at;
	uint64_t		 bytes;
	struct log_message	 message;
	struct held { uint32_t index; struct envelope_rcpt rcpt; } *held;	/* to be released */
	size_t			 n_held;
};

struct admin {
	struct queue		*queue;
	LIST_HEAD(, request)	 requests;
	unsigned		 n;
};

static struct log *
log_of(const struct request *r)
{
	return r->admin->queue->log;
}

static void
free_request(struct request *r)
{
	LIST_REMOVE(r, next);
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

/* A read has come back. Whether somebody still waits for it. */
static bool
is_wanted(struct request *r)
{
	r->reading = false;
	if (r->caller != NULL)
		return true;
	free_request(r);
	return false;
}

static void __attribute__((format(printf, 2, 3)))
answer(struct request *r, const char *fmt, ...)
{
	char text[LINE_MAX_HERE];
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

	if (!is_wanted(r))
		return;
	if (error != NULL)
		answer(r, "error: could not be recorded: %s", error);
	else
		answer(r, "ok");
}

/* ---- list ---- */

static void	list_next(void *);

/* A field of a line: no tabs, no controls. */
static void
put_field(struct caller *c, const char *text, size_t most)
{
	char ch;

	for (; *text != '\0' && most > 0; text++, most--) {
		ch = (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text;
		caller_put(c, &ch, 1);
	}
}

static bool
is_open(const struct log_envelope_rcpt *e)
{
	return e->state == LOG_OPEN || e->state == LOG_HELD;
}

static const char *
state_name(const struct request *r, const struct log_envelope *e, uint32_t index)
{
	switch (e->rcpts[index].state) {
	case LOG_OPEN:
		return dispatch_is_active(r->admin->queue->dispatch, e->message.id, index) ? "active" : "open";
	case LOG_DELIVERED:
		return "delivered";
	case LOG_FAILED:
		return "failed";
	case LOG_EXPANDED:
		return "expanded";
	case LOG_REMOVED:
		return "removed";
	case LOG_HELD:
		return "held";
	}
	return "?";
}

static void
list_message(struct request *r, const struct log_envelope *e)
{
	struct dispatch *d = r->admin->queue->dispatch;
	bool held = false;

	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		held |= e->rcpts[i].state == LOG_HELD;
	caller_say(r->caller, "M\t%s\t%" PRId64 "\t%" PRIu64 "\t%s%s\t", id_text(e->message.id), e->message.arrived,
	    e->message.size, held ? "!" : "", dispatch_is_active(d, e->message.id, SCHEDULE_ALL) ? "*" : "");
	put_field(r->caller, e->sender.address, LINE_MAX_HERE);
	caller_put(r->caller, "\n", 1);
	for (uint32_t i = 0; i < e->message.n_rcpts; i++) {
		const struct log_envelope_rcpt *to = &e->rcpts[i];
		int64_t next = to->next_try, until = 0;
		const char *waits;

		if (!is_open(to))
			continue;
		if ((waits = dispatch_waits(d, e->message.id, i, &until)) != NULL)
			next = until;
		caller_say(r->caller, "R\t%u\t%s\t%u\t%" PRId64 "\t", i, state_name(r, e, i), to->attempts, next);
		put_field(r->caller, to->rcpt.address, LINE_MAX_HERE);
		caller_put(r->caller, "\t", 1);
		put_field(r->caller, to->text[0] == '\0' && waits != NULL ? waits : to->text, REASON_MAX);
		caller_put(r->caller, "\n", 1);
	}
}

static void
on_listed(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!is_wanted(r))
		return;
	if (error == NULL) {	/* else it has just gone */
		r->bytes += e->message.size;
		list_message(r, e);
	} else {
		r->n--;
		memmove(r->ids + r->at - 1, r->ids + r->at, (r->n - (r->at - 1)) * sizeof(*r->ids));
		r->at--;
	}
	list_next(r);
}

static void
list_next(void *arg)
{
	struct request *r = arg;

	if (r->reading || r->ids == NULL || caller_is_full(r->caller))
		return;
	if (r->at == r->n) {
		caller_say(r->caller, "E\t%zu\t%" PRIu64 "\n", r->n, r->bytes);
		caller_end(r->caller);
		free(r->ids);
		r->ids = NULL;
		return;
	}
	r->reading = true;
	log_read_envelope(log_of(r), r->ids[r->at++], on_listed, r);
}

static bool
count_one(void *arg, const struct log_message *m)
{
	(void)m;
	++*(size_t *)arg;
	return true;
}

static bool
take_one(void *arg, const struct log_message *m)
{
	struct request *r = arg;

	r->ids[r->n++] = m->id;
	return true;
}

static void
do_list(struct request *r, const char *argument)
{
	size_t room = 1;

	(void)argument;
	log_each(log_of(r), count_one, &room);
	if ((r->ids = calloc(room, sizeof(*r->ids))) == NULL)
		log_fatal("event=out-of-memory");
	log_each(log_of(r), take_one, r);
	caller_say(r->caller, "ok\n");
	list_next(r);
}

/* ---- show ---- */

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct request *r = arg;

	if (!is_wanted(r))
		return;
	caller_say(r->caller, "\nheader:\n");
	if (error != NULL)
		caller_say(r->caller, "could not be read: %s\n", error);
	else
		caller_put(r->caller, data, len == 0 ? 0 : header_end(data, len));
	caller_end(r->caller);
}

static void
put_date(struct caller *c, const char *name, int64_t when)
{
	char date[64];

	caller_say(c, "%s%s\n", name, clock_rfc5322(date, sizeof(date), (time_t)when));
}

static void
show_rcpt(struct request *r, const struct log_envelope *e, uint32_t index)
{
	const struct log_envelope_rcpt *to = &e->rcpts[index];

	caller_say(r->caller, "\nrecipient %u: ", index);
	put_field(r->caller, to->rcpt.address, LINE_MAX_HERE);
	caller_say(r->caller, "\n  state:    %s, %s\n", state_name(r, e, index), to->rcpt.local ? "local" : "remote");
	if (is_open(to))
		caller_say(r->caller, "  attempts: %u\n", to->attempts);
	if (to->state == LOG_OPEN && to->next_try != 0)
		put_date(r->caller, "  next try: ", to->next_try);
	if (to->text[0] != '\0') {
		caller_say(r->caller, "  last:     ");
		put_field(r->caller, to->text, 4096);
		caller_put(r->caller, "\n", 1);
	}
}

static void
on_shown(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!is_wanted(r))
		return;
	if (error != NULL) {
		answer(r, "error: %s", error);
		return;
	}
	caller_say(r->caller, "ok\nmessage:  %s\nsender:   <", id_text(e->message.id));
	put_field(r->caller, e->sender.address, LINE_MAX_HERE);
	caller_say(r->caller, ">\nclient:   ");
	put_field(r->caller, e->sender.client, LINE_MAX_HERE);
	caller_say(r->caller, "\nsession:  ");
	put_field(r->caller, e->sender.session, LINE_MAX_HERE);
	caller_say(r->caller, "\nsize:     %" PRIu64 "\n", e->message.size);
	put_date(r->caller, "arrived:  ", e->message.arrived);
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		show_rcpt(r, e, i);
	caller_say(r->caller, "\nput in front:\n%s", e->head);
	r->reading = true;
	log_read_content(log_of(r), e->message.id, 0, MSG_CHUNK_MAX, on_content, r);
}

static void
do_show(struct request *r, const char *argument)
{
	(void)argument;
	r->reading = true;
	log_read_envelope(log_of(r), r->id, on_shown, r);
}

/* ---- changes ---- */

static void
do_retry(struct request *r, const char *argument)
{
	struct queue *q = r->admin->queue;
	char hop[ROUTE_HOP_MAX], id[ID_TEXT + 1];
	uint32_t n = 0;

	if (strcasecmp(argument, "all") == 0) {
		n = dispatch_retry(q->dispatch, 0, NULL);
	} else if (argument[0] != '@') {
		snprintf(id, sizeof(id), "%s", id_text(r->id));
		n = dispatch_retry(q->dispatch, r->id, NULL);
	} else if (conf_is_local(q->p.conf, argument + 1)) {
		for (int expanded = 0; expanded < 2; expanded++) {
			dispatch_route(q->dispatch, argument, true, expanded, hop);
			n += dispatch_retry(q->dispatch, 0, hop);
		}
	} else if (strlen(argument) < ROUTE_HOP_MAX / 2) {
		dispatch_route(q->dispatch, argument, false, false, hop);
		n = dispatch_retry(q->dispatch, 0, hop);
	}
	log_info("event=retry what=%s rcpts=%u uid=%u", logq(argument), n, r->uid);
	answer(r, "ok\n%u recipient%s due now", n, n == 1 ? " is" : "s are");
}

static void
change(struct request *r, enum log_state to, const char *word, log_done_fn *done)
{
	char text[64];

	snprintf(text, sizeof(text), "%s by uid %u", word, r->uid);
	log_info("msg=%s event=%s uid=%u", id_text(r->id), word, r->uid);
	r->reading = true;
	log_admin(log_of(r), r->id, UINT32_MAX, to, text, done, r);
}

static void
on_removed(void *arg, const char *error)
{
	struct request *r = arg;

	if (error == NULL && !log_find(log_of(r), r->id, &r->message))
		log_info("msg=%s event=done", id_text(r->id));
	on_changed(arg, error);
}

static void
do_remove(struct request *r, const char *argument)
{
	(void)argument;
	dispatch_drop(r->admin->queue->dispatch, r->id, SCHEDULE_ALL);
	change(r, LOG_REMOVED, "removed", on_removed);
}

static void
do_hold(struct request *r, const char *argument)
{
	(void)argument;
	dispatch_drop(r->admin->queue->dispatch, r->id, SCHEDULE_ALL);
	change(r, LOG_HELD, "held", on_changed);
}

static void
on_released(void *arg, const char *error)
{
	struct request *r = arg;

	for (size_t i = 0; i < r->n_held && error == NULL; i++)
		dispatch_add(r->admin->queue->dispatch, r->id, r->message.arrived, &r->held[i].rcpt, r->held[i].index, 1);
	on_changed(arg, error);
}

/* Those that are held now are scheduled again once that is recorded; others are scheduled already. */
static void
on_to_release(void *arg, const struct log_envelope *e, const char *error)
{
	struct request *r = arg;

	if (!is_wanted(r))
		return;
	if (error != NULL) {
		answer(r, "error: %s", error);
		return;
	}
	r->message = e->message;
	if ((r->held = calloc(e->message.n_rcpts + 1, sizeof(*r->held))) == NULL)
		log_fatal("event=out-of-memory");
	for (uint32_t i = 0; i < e->message.n_rcpts; i++) {
		if (e->rcpts[i].state != LOG_HELD)
			continue;
		r->held[r->n_held] = (struct held){ i, e->rcpts[i].rcpt };
		if ((r->held[r->n_held++].rcpt.address = strdup(e->rcpts[i].rcpt.address)) == NULL)
			log_fatal("event=out-of-memory");
	}
	if (r->n_held == 0)
		answer(r, "error: nothing of %s is held", id_text(r->id));
	else
		change(r, LOG_OPEN, "released", on_released);
}

static void
do_release(struct request *r, const char *argument)
{
	(void)argument;
	r->reading = true;
	log_read_envelope(log_of(r), r->id, on_to_release, r);
}

/* ---- commands ---- */

static const struct {
	const char	*word;
	bool		 changes;	/* only root, or the user that minimta runs as */
	enum { NOTHING, ID, ID_OR_MORE } takes;
	command_fn	*run;
} commands[] = {
	{ "list", false, NOTHING, do_list },
	{ "show", true, ID, do_show },		/* changes nothing, but shows others' mail */
	{ "retry", true, ID_OR_MORE, do_retry },
	{ "remove", true, ID, do_remove },
	{ "hold", true, ID, do_hold },
	{ "release", true, ID, do_release },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static bool
find_message(struct request *r, const char *argument)
{
	if (id_parse(argument, &r->id) != 0)
		answer(r, "error: %.40s is no message's id; mailq lists them", argument);
	else if (!log_find(log_of(r), r->id, &r->message))
		answer(r, "error: there is no message %s in the queue", id_text(r->id));
	else
		return true;
	return false;
}

static void
run(struct request *r, const char *word, const char *argument)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].word, word) != 0)
			continue;
		if (commands[i].changes && !r->may_change)
			answer(r, "error: only root and the user that minimta runs as may do that");
		else if (commands[i].takes != NOTHING && argument[0] == '\0')
			answer(r, "error: queue %s needs a message's id%s", word,
			    commands[i].takes == ID ? "" : ", @domain or all");
		else if ((commands[i].takes == ID || (commands[i].takes == ID_OR_MORE && argument[0] != '@' &&
		    strcasecmp(argument, "all") != 0)) && !find_message(r, argument))
			return;
		else
			commands[i].run(r, argument);
		return;
	}
	answer(r, "error: unknown command; expected queue list, show, retry, remove, hold or release");
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
		answer(r, "error: too many words; one message, domain or \"all\" at a time");
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
	char line[LINE_MAX_HERE];

	(void)ipc;
	if (ad->n >= REQUESTS_MAX) {
		send(m->fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(m->fd);
		return 0;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		log_fatal("event=out-of-memory");
	r->admin = ad;
	r->caller = caller_new(ad->queue->p.base, m->fd, list_next, on_gone, r);
	LIST_INSERT_HEAD(&ad->requests, r, next);
	ad->n++;
	unpack_init(&u, m->data, m->len);
	r->uid = unpack_u32(&u);
	r->may_change = unpack_u8(&u) == 1;
	unpack_str_to(&u, line, sizeof(line));
	if (unpack_end(&u))
		run_line(r, line);
	else
		answer(r, "error: the command is too long");
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
