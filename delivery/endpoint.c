/*
 * Questions to master for connected sockets, and its answers (delivery/endpoint.h). Decides nothing: what may be connected
 * to is the configuration's business, and master goes by that. Called by agent_course.c and main.c.
 */
#include "delivery/endpoint.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/pack.h"

#define ANSWER_MS	30000		/* master is at hand, and does not wait for the server */

struct endpoint_ask {
	uint64_t		 id;
	struct endpoints	*all;
	struct timer		 deadline;
	endpoint_fn		*done;
	void			*arg;
	UT_hash_handle		 hh;
};

struct endpoints {
	struct ipc		*master;
	struct endpoint_ask	*asks;
	uint64_t		 last_id;
};

struct endpoints *
endpoints_new(struct ipc *master)
{
	struct endpoints *e = alloc_new(1, sizeof(*e));

	e->master = master;
	return e;
}

static void
ask_free(struct endpoint_ask *a)
{
	timer_stop(&a->deadline);
	HASH_DEL(a->all->asks, a);
	free(a);
}

static void
ask_end(struct endpoint_ask *a, int fd, const char *why)
{
	endpoint_fn *done = a->done;
	void *arg = a->arg;

	ask_free(a);
	done(arg, fd, why);
}

static void
on_deadline(void *arg)
{
	ask_end(arg, -1, "master does not answer");
}

struct endpoint_ask *
endpoint_start(struct endpoints *e, const char *path, endpoint_fn *done, void *arg)
{
	struct endpoint_ask *a = alloc_new(1, sizeof(*a));
	struct pack p;

	a->id = ++e->last_id;
	a->all = e;
	a->done = done;
	a->arg = arg;
	HASH_ADD(hh, e->asks, id, sizeof(a->id), a);
	timer_set(&a->deadline, on_deadline, a);
	timer_start(&a->deadline, ANSWER_MS);
	pack_init(&p);
	pack_str(&p, path);
	ipc_send_pack(e->master, MSG_ENDPOINT_ASK, a->id, &p, -1);
	pack_free(&p);
	return a;
}

void
endpoint_cancel(struct endpoint_ask *a)
{
	if (a != NULL)
		ask_free(a);
}

static struct endpoint_ask *
find(struct endpoints *e, uint64_t id)
{
	struct endpoint_ask *a;

	HASH_FIND(hh, e->asks, &id, sizeof(id), a);
	return a;
}

int
endpoints_on_fd(struct endpoints *e, struct ipc *ipc, struct ipc_message *m)
{
	struct endpoint_ask *a = find(e, m->id);

	(void)ipc;
	if (a != NULL)
		ask_end(a, m->fd, m->fd == -1 ? "no descriptor free" : "");
	else if (m->fd != -1)
		close(m->fd);		/* nobody wants it any more */
	return 0;
}

int
endpoints_on_none(struct endpoints *e, struct ipc *ipc, struct ipc_message *m)
{
	struct endpoint_ask *a = find(e, m->id);
	char why[256];
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	unpack_str_to(&u, why, sizeof(why));
	if (!unpack_end(&u))
		return ipc_fail(ipc, "NO_ENDPOINT is malformed");
	if (a != NULL)
		ask_end(a, -1, why);
	return 0;
}
