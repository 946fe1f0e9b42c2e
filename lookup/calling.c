/*
 * Carries callbacks between processes (lookup/calling.h): who asked for what, and what delivery has been asked. Decides nothing
 * but who may have one made by hand. Called by main.c.
 */
#include "lookup/calling.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filters/memory.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "lookup/state.h"

#define KIND		"callback"		/* in the state */
#define WHY_MAX		300			/* of what smtpd is told */

/* Somebody who waits: a process, or a tool. */
struct asker {
	LIST_ENTRY(asker)	 next;
	struct calling		*calling;
	struct callbacks_query	*query;
	struct ipc		*ipc;		/* NULL: a tool */
	uint64_t		 id;
	int			 fd;		/* of a tool */
};

struct calling {
	struct process		*process;
	struct state		*state;
	struct callbacks	*callbacks;
	LIST_HEAD(, asker)	 askers;
};

/* ---- what callbacks.c stands on ---- */

static int
on_get(void *arg, const char *key, struct callbacks_known *k)
{
	struct calling *c = arg;
	char value[STATE_VALUE_MAX], end;
	unsigned result;

	if (strlen(key) >= STATE_KEY_MAX || !state_get(c->state, KIND, key, value) ||
	    sscanf(value, "%u %" SCNd64 " %" SCNd64 "%c", &result, &k->found, &k->tried, &end) != 3 || result >= PROBE_RESULTS)
		return -1;
	k->result = (enum probe_result)result;
	return 0;
}

static void
on_put(void *arg, const char *key, const struct callbacks_known *k, time_t expiry)
{
	struct calling *c = arg;
	char value[STATE_VALUE_MAX];

	if (strlen(key) >= STATE_KEY_MAX)
		return;
	snprintf(value, sizeof(value), "%u %" PRId64 " %" PRId64, (unsigned)k->result, k->found, k->tried);
	state_put(c->state, KIND, key, value, expiry);
}

static int
on_make_call(void *arg, uint64_t id, enum call_kind kind, const char *address, uint32_t *instance_r)
{
	struct calling *c = arg;
	struct ipc *delivery = process_peer(c->process, PROC_DELIVERY);
	struct pack p;

	if (delivery == NULL)
		return -1;
	*instance_r = ipc_instance(delivery);
	pack_init(&p);
	pack_u8(&p, (uint8_t)kind);
	pack_str(&p, address);
	ipc_send_pack(delivery, MSG_CALL_ASK, id, &p, -1);
	pack_free(&p);
	return 0;
}

/* ---- who asks ---- */

static struct asker *
asker_new(struct calling *c, struct ipc *ipc, uint64_t id, int fd)
{
	struct asker *a = alloc_new(1, sizeof(*a));

	*a = (struct asker){ .calling = c, .ipc = ipc, .id = id, .fd = fd };
	LIST_INSERT_HEAD(&c->askers, a, next);
	return a;
}

static void
asker_free(struct asker *a)
{
	LIST_REMOVE(a, next);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

static void
on_answer_for_smtpd(void *arg, const struct callbacks_answer *answer)
{
	struct asker *a = arg;
	struct pack p;
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%.*s", WHY_MAX - 1, answer->text);
	pack_init(&p);
	pack_u8(&p, (uint8_t)answer->result);		/* enum memory_callback has the same order */
	pack_str(&p, why);
	ipc_send_pack(a->ipc, MSG_CALLBACK, a->id, &p, -1);
	pack_free(&p);
	asker_free(a);
}

int
calling_on_ask(struct calling *c, struct ipc *ipc, struct ipc_message *m)
{
	char address[ADDRESS_MAX];
	struct unpack u;
	struct asker *a;

	unpack_init(&u, m->data, m->len);
	unpack_str_to(&u, address, sizeof(address));
	if (!unpack_end(&u))
		return ipc_fail(ipc, "CALLBACK_ASK is malformed");
	a = asker_new(c, ipc, m->id, -1);
	a->query = callbacks_ask(c->callbacks, CALL_SENDER, address, on_answer_for_smtpd, a);
	return 0;
}

static void __attribute__((format(printf, 2, 3)))
say(int fd, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* An answer that a tool does not read is its own loss: nobody waits for it. */
	if (n > 0 && (size_t)n < sizeof(text) && send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("event=tool-gone");
}

static void
on_answer_for_tool(void *arg, const struct callbacks_answer *answer)
{
	struct asker *a = arg;

	if (answer->refused)
		say(a->fd, "later: %s\n", answer->text);
	else
		say(a->fd, "ok\n%s\t%s\t%s\n", probe_result_name(answer->result), answer->known ? "known" : "now", answer->text);
	asker_free(a);
}

void
calling_command(struct calling *c, const char *address, bool privileged, int fd)
{
	struct address parsed;
	const char *why = "";
	struct asker *a;

	if (!privileged) {
		say(fd, "denied: callbacks are for root and for the user that started minimta\n");
		close(fd);
		return;
	}
	if (address_parse(&parsed, address, ADDRESS_UTF8, &why) != ADDRESS_OK) {
		say(fd, "error: %.300s: %s; expected user@domain\n", logq(address), why);
		close(fd);
		return;
	}
	a = asker_new(c, NULL, 0, fd);
	a->query = callbacks_ask(c->callbacks, CALL_SENDER, parsed.text, on_answer_for_tool, a);
}

struct callbacks_query *
calling_ask(struct calling *c, enum call_kind kind, const char *address, callbacks_done_fn *done, void *arg)
{
	return callbacks_ask(c->callbacks, kind, address, done, arg);
}

/* ---- delivery ---- */

int
calling_on_call(struct calling *c, struct ipc *ipc, struct ipc_message *m)
{
	struct probe_answer answer;
	struct unpack u;
	unsigned result;

	unpack_init(&u, m->data, m->len);
	result = unpack_u8(&u);
	answer.code = unpack_u16(&u);
	unpack_str_to(&u, answer.host, sizeof(answer.host));
	unpack_str_to(&u, answer.text, sizeof(answer.text));
	if (!unpack_end(&u) || result >= PROBE_RESULTS)
		return ipc_fail(ipc, "CALL is malformed");
	answer.result = (enum probe_result)result;
	callbacks_on_call(c->callbacks, m->id, ipc_instance(ipc), &answer);
	return 0;
}

void
calling_peer_up(struct calling *c, struct ipc *ipc)
{
	if (ipc_peer(ipc) == PROC_DELIVERY)
		callbacks_delivery_up(c->callbacks);
}

void
calling_peer_down(struct calling *c, struct ipc *ipc)
{
	struct asker *a, *next;

	if (ipc_peer(ipc) == PROC_DELIVERY)
		callbacks_delivery_down(c->callbacks, ipc_instance(ipc));
	for (a = LIST_FIRST(&c->askers); a != NULL; a = next) {
		next = LIST_NEXT(a, next);
		if (a->ipc == NULL || a->ipc != ipc)
			continue;
		callbacks_cancel(a->query);
		asker_free(a);
	}
}

/* ---- the rest ---- */

void
calling_reconfigure(struct calling *c)
{
	callbacks_set_conf(c->callbacks, c->process->conf);
}

bool
calling_is_idle(const struct calling *c)
{
	return callbacks_are_idle(c->callbacks);
}

void
calling_status(const struct calling *c, char *to, size_t size)
{
	struct callbacks_counts n;

	callbacks_counts(c->callbacks, &n);
	snprintf(to, size, "callbacks_asked=%" PRIu64 " callbacks_known=%" PRIu64 " callbacks_made=%" PRIu64 " callbacks_good=%"
	    PRIu64 " callbacks_bad=%" PRIu64 " callbacks_all=%" PRIu64 " callbacks_unknown=%" PRIu64 " callbacks_now=%u "
	    "callbacks_waiting=%u", n.asked, n.known, n.called, n.good, n.bad, n.all, n.unknown, n.under_way, n.waiting);
}

struct calling *
calling_new(struct process *process, struct state *state)
{
	struct calling *c = alloc_new(1, sizeof(*c));
	struct callbacks_ground ground = { .get = on_get, .put = on_put, .call = on_make_call, .arg = c };

	c->process = process;
	c->state = state;
	LIST_INIT(&c->askers);
	c->callbacks = callbacks_new(process->conf, &ground);
	return c;
}
