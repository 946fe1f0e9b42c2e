/*
 * The resolver process: answers the DNS questions of its peers from the direct face and its one cache. It decides
 * nothing; what an answer means is the asker's business.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "mx/dns.h"
#include "mx/explain.h"

#define ASKED_MAX	20000	/* open questions of one peer: as many as the direct face lets wait */
#define DEADLINE_MS_MAX	120000

struct asked {				/* a question of a peer */
	struct resolver		*resolver;
	struct dns_question	*question;
	UT_hash_handle		 hh;
	struct asked_key {
		struct ipc	*peer;
		uint64_t	 id;
	} key;
};

struct resolver {
	struct process	 process;
	struct dns	*dns;
	struct explain	*explain;
	struct asked	*asked;
	uint64_t	 n_questions, n_temporary;
};

static void
send_answer(struct ipc *peer, uint64_t id, const struct dns_answer *answer)
{
	struct pack p;

	pack_init(&p);
	dns_pack_answer(&p, answer);
	ipc_send_pack(peer, MSG_DNS, id, &p, -1);
	pack_free(&p);
}

static struct asked *
asked_find(struct resolver *r, struct ipc *peer, uint64_t id)
{
	struct asked_key key = { .peer = peer, .id = id };
	struct asked *a = NULL;

	HASH_FIND(hh, r->asked, &key, sizeof(key), a);
	return a;
}

static void
asked_free(struct asked *a)
{
	HASH_DEL(a->resolver->asked, a);
	free(a);
}

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct asked *a = arg;

	if (answer->result == DNS_TEMPORARY)
		a->resolver->n_temporary++;
	send_answer(a->key.peer, a->key.id, answer);
	asked_free(a);
}

static size_t
count_of(const struct resolver *r, const struct ipc *peer)
{
	size_t n = 0;

	for (const struct asked *a = r->asked; a != NULL; a = a->hh.next)
		n += a->key.peer == peer;
	return n;
}

/* Whether this peer has more questions open than any honest one: looked at only when there are many at all. */
static bool
too_many(const struct resolver *r, const struct ipc *peer)
{
	return HASH_COUNT(r->asked) >= ASKED_MAX && count_of(r, peer) >= ASKED_MAX;
}

static int
on_dns_ask(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct resolver *r = arg;
	char name[DNS_NAME_MAX + 1];
	struct asked *a;
	struct unpack u;
	uint32_t deadline_ms;
	unsigned type;

	unpack_init(&u, m->data, m->len);
	type = unpack_u16(&u);
	deadline_ms = unpack_u32(&u);
	unpack_str_to(&u, name, sizeof(name));
	if (!unpack_end(&u) || !dns_type_known(type))
		return ipc_fail(peer, "a DNS question that cannot be read");
	if (asked_find(r, peer, m->id) != NULL)
		return ipc_fail(peer, "a DNS question with the number of an open one");
	r->n_questions++;
	if (too_many(r, peer))
		return ipc_fail(peer, "more than %d open DNS questions", ASKED_MAX);
	a = alloc_new(1, sizeof(*a));
	a->resolver = r;
	a->key.peer = peer;
	a->key.id = m->id;
	HASH_ADD(hh, r->asked, key, sizeof(a->key), a);
	if (deadline_ms > DEADLINE_MS_MAX)
		deadline_ms = DEADLINE_MS_MAX;
	a->question = dns_ask(r->dns, (enum dns_type)type, name, deadline_ms, on_answer, a);
	return 0;
}

/* One that is not open has its answer on the way: both are fine. */
static int
on_dns_cancel(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct asked *a = asked_find(arg, peer, m->id);

	if (a != NULL) {
		dns_cancel(a->question);
		asked_free(a);
	}
	return 0;
}

static void
on_peer_down(void *arg, struct ipc *peer)
{
	struct resolver *r = arg;
	struct asked *a, *next;

	HASH_ITER(hh, r->asked, a, next) {
		if (a->key.peer != peer)
			continue;
		dns_cancel(a->question);
		asked_free(a);
	}
}

/* From master: a tool's connection. */
static int
on_control(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct resolver *r = arg;
	char line[1024];
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	unpack_u32(&u);
	unpack_u8(&u);
	unpack_str_to(&u, line, sizeof(line));
	if (m->fd >= 0)
		explain_domain(r->explain, r->process.conf, m->fd, line);
	(void)master;
	return 0;
}

static bool
is_drained(void *arg)
{
	const struct resolver *r = arg;

	return r->asked == NULL && explain_is_idle(r->explain);
}

static void
on_status(void *arg, char *to, size_t size)
{
	const struct resolver *r = arg;

	snprintf(to, size, "questions=%llu open=%u temporary=%llu", (unsigned long long)r->n_questions,
	    HASH_COUNT(r->asked), (unsigned long long)r->n_temporary);
}

static const struct ipc_handler handlers[] = {
	{ MSG_DNS_ASK, on_dns_ask },
	{ MSG_DNS_CANCEL, on_dns_cancel },
	{ MSG_CONTROL, on_control },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	static struct resolver r;
	char err[512];

	r.process.handlers = handlers;
	r.process.on_peer_down = on_peer_down;
	r.process.is_drained = is_drained;
	r.process.on_status = on_status;
	r.process.arg = &r;
	process_init(&r.process, PROC_RESOLVER);
	r.dns = dns_new_direct(r.process.base, r.process.conf->dns_servers, err, sizeof(err));
	if (r.dns == NULL)
		log_fatal("%s", err);
	r.explain = explain_new(r.dns);
	process_sandbox(&r.process);
	return process_run(&r.process);
}
