/*
 * Jobs from queue, each one attempt for one message at one next hop: takes them in, has each run its course
 * (agent_course.c), and reports one result for every recipient. Decides what can never be sent, and how all of it ends.
 * Called by main.c.
 */
#include "delivery/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include "delivery/agent_job.h"
#include "delivery/body.h"
#include "delivery/client_verdict.h"
#include "delivery/reach.h"
#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/conf.h"
#include "lib/log.h"

#define RCPTS_MAX	20000			/* of one job; queue sends no more than a message can have */
#define STOP_MS		30000

/* ---- the life of a job ---- */

static struct job *
job_find(struct agent *a, struct ipc *ipc, uint64_t id)
{
	struct job_key key = { ipc, id };
	struct job *j;

	HASH_FIND(hh, a->jobs, &key, sizeof(key), j);
	return j;
}

static void
job_free(struct job *j)
{
	struct agent *a = j->agent;

	HASH_DEL(a->jobs, j);
	job_forget_course(j);
	for (uint32_t i = 0; i < j->mail.n_rcpts; i++) {
		free((char *)j->mail.rcpts[i].address);
		free((char *)j->mail.rcpts[i].orcpt);
		verdict_drop(j->mail.rcpts[i].verdict);
	}
	free(j->mail.rcpts);
	free(j->indexes);
	body_free(j->mail.body);
	job_free_begin(&j->begin);
	free(j);
	if (a->stopping && a->jobs == NULL)
		event_active(a->stopped_event, 0, 0);
}

static void
job_report(struct job *j, uint32_t i)
{
	struct verdict *v = j->mail.rcpts[i].verdict;
	struct job_result r = {
		.index = j->indexes[i],
		.outcome = v->outcome,
		.code = v->code,
		.enhanced = v->enhanced,
		.host = v->host,
		.text = v->text,
		.dsn = v->dsn,
		.host_trouble = v->host_trouble,
	};
	struct pack p;

	pack_init(&p);
	job_pack_result(&p, &r);
	ipc_send_pack(j->key.ipc, MSG_JOB_RESULT, j->key.id, &p, -1);
	pack_free(&p);
}

void
job_finish(struct job *j, struct verdict *open)
{
	struct client_rcpt *r;
	struct pack p;

	for (uint32_t i = 0; i < j->mail.n_rcpts; i++) {
		r = &j->mail.rcpts[i];
		if (r->verdict == NULL && open == NULL)
			log_fatal("msg=%s event=bug what=\"a recipient without verdict\"", j->begin.message);
		if (r->verdict == NULL)
			r->verdict = verdict_ref(open);
		job_report(j, i);
	}
	verdict_drop(open);
	pack_init(&p);
	pack_str(&p, "");
	ipc_send_pack(j->key.ipc, MSG_JOB_DONE, j->key.id, &p, -1);
	pack_free(&p);
	job_free(j);
}

static void
job_pull(void *arg, uint32_t bytes)
{
	struct job *j = arg;
	struct pack p;

	pack_init(&p);
	pack_u32(&p, bytes);
	ipc_send_pack(j->key.ipc, MSG_JOB_PULL, j->key.id, &p, -1);
	pack_free(&p);
}

/* ---- queue's messages ---- */

/* What filters took for spam: the LMTP server, which puts it into a folder, has to be told. */
static void
mark_junk(struct job_begin *b)
{
	char *head;

	if ((b->flags & ENVELOPE_JUNK) == 0 || strncmp(b->hop, "lmtp:", 5) != 0)
		return;
	head = alloc_printf("X-Spam-Flag: YES\r\n%s", b->head);
	free(b->head);
	b->head = head;
}

int
agent_on_job_begin(struct agent *a, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;
	struct job *j;

	if (job_find(a, ipc, m->id) != NULL)
		return ipc_fail(ipc, "job %llu begun twice", (unsigned long long)m->id);
	j = alloc_new(1, sizeof(*j));
	unpack_init(&u, m->data, m->len);
	if (job_unpack_begin(&u, &j->begin) != 0) {
		free(j);
		return ipc_fail(ipc, "a malformed JOB_BEGIN");
	}
	j->key.ipc = ipc;
	j->key.id = m->id;
	j->agent = a;
	j->refused = HASH_COUNT(a->jobs) >= a->jobs_max;
	j->mail.message = j->begin.message;
	j->mail.sender = j->begin.sender;
	j->mail.flags = j->begin.flags;
	j->mail.ret = j->begin.ret;
	j->mail.envid = j->begin.envid;
	mark_junk(&j->begin);
	j->mail.body = body_new(j->begin.head, j->begin.size, job_pull, j);
	HASH_ADD(hh, a->jobs, key, sizeof(j->key), j);
	return 0;
}

static void
job_add_rcpt(struct job *j, uint32_t index, struct envelope_rcpt *from)
{
	struct client_mail *m = &j->mail;
	struct client_rcpt r = { .address = from->address, .orcpt = from->orcpt, .notify = from->notify };

	if (m->n_rcpts == j->rcpts_room) {
		j->rcpts_room = j->rcpts_room > 0 ? 2 * j->rcpts_room : 4;
		m->rcpts = alloc_resize(m->rcpts, j->rcpts_room, sizeof(*m->rcpts));
		j->indexes = alloc_resize(j->indexes, j->rcpts_room, sizeof(*j->indexes));
	}
	from->address = from->orcpt = NULL;	/* are the job's now */
	j->indexes[m->n_rcpts] = index;
	m->rcpts[m->n_rcpts++] = r;
	m->n_open++;
}

int
agent_on_job_rcpt(struct agent *a, struct ipc *ipc, struct ipc_message *m)
{
	struct job *j = job_find(a, ipc, m->id);
	struct envelope_rcpt r;
	struct unpack u;
	uint32_t index;

	if (j == NULL || j->state != JOB_TAKING || j->mail.n_rcpts == RCPTS_MAX)
		return ipc_fail(ipc, "a JOB_RCPT that no job can take");
	unpack_init(&u, m->data, m->len);
	index = unpack_u32(&u);
	if (envelope_unpack_rcpt(&u, &r) != 0)
		return ipc_fail(ipc, "a malformed JOB_RCPT");
	job_add_rcpt(j, index, &r);
	envelope_free_rcpt(&r);
	return 0;
}

int
agent_on_job_data(struct agent *a, struct ipc *ipc, struct ipc_message *m)
{
	struct job *j = job_find(a, ipc, m->id);

	/* Unknown: what was pulled for a job that is over. */
	if (j == NULL || j->refused)
		return 0;
	if (body_put(j->mail.body, m->data, m->len) != 0)
		return ipc_fail(ipc, "more content of a job than it has or than was asked for");
	return 0;
}

/* What goes into a command line must be one; queue's addresses are canonical, but that is its word only. */
static bool
fits_command(const char *address, bool *utf8_r)
{
	*utf8_r = false;
	for (const unsigned char *p = (const unsigned char *)address; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return false;
		if (*p >= 0x80)
			*utf8_r = true;
	}
	return strlen(address) < ADDRESS_MAX;
}

/* Settles what can never be sent. */
static void
job_check_addresses(struct job *j)
{
	struct client_mail *m = &j->mail;
	bool sender = fits_command(m->sender, &m->sender_utf8), rcpt;

	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		rcpt = fits_command(m->rcpts[i].address, &m->rcpts[i].utf8);
		if (sender && rcpt)
			continue;
		m->rcpts[i].verdict = verdict_new(JOB_FAILED, false, "", 0, rcpt ? "5.1.7" : "5.1.3",
		    "the %s's address cannot be sent by SMTP", rcpt ? "sender" : "recipient");
		m->n_open--;
	}
}

int
agent_on_job_start(struct agent *a, struct ipc *ipc, struct ipc_message *m)
{
	struct job *j = job_find(a, ipc, m->id);

	if (j == NULL || j->state != JOB_TAKING || j->mail.n_rcpts == 0)
		return ipc_fail(ipc, "a JOB_START without a job or its recipients");
	job_check_addresses(j);
	if (j->mail.n_open == 0) {
		job_finish(j, NULL);
	} else if (j->refused || a->stopping) {
		job_finish(j, verdict_new(JOB_DEFERRED, false, "", 0, "4.3.2", "%s",
		    a->stopping ? "shutting down" : "too many attempts under way"));
	} else {
		job_run(j);
	}
	return 0;
}

/* What the server has whole is left to its answer. */
int
agent_on_job_cancel(struct agent *a, struct ipc *ipc, struct ipc_message *m)
{
	struct job *j = job_find(a, ipc, m->id);

	if (j == NULL)
		return 0;		/* its JOB_DONE is on the way */
	j->cancelled = true;
	if (j->state != JOB_SENDING || !client_is_final(j->client))
		job_finish(j, verdict_new(JOB_DEFERRED, false, "", 0, "4.3.0", "the attempt was cancelled"));
	return 0;
}

void
agent_queue_down(struct agent *a, struct ipc *ipc)
{
	struct job *j, *next;

	HASH_ITER(hh, a->jobs, j, next)
		if (j->key.ipc == ipc)
			job_free(j);
}

/* ---- start and end ---- */

static void
on_stopped(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	void (*stopped)(void *) = a->stopped;

	(void)fd;
	(void)what;
	a->stopped = NULL;
	if (stopped != NULL)
		stopped(a->stopped_arg);
}

static void
jobs_stop(struct agent *a, bool all)
{
	struct job *j, *next;

	HASH_ITER(hh, a->jobs, j, next)
		if (j->state == JOB_WAITING || j->state == JOB_LOOKING || (all && j->state != JOB_TAKING))
			job_finish(j, verdict_new(JOB_DEFERRED, false, "", 0, "4.3.2", "shutting down"));
}

static void
on_stop_timeout(void *arg)
{
	struct agent *a = arg;

	jobs_stop(a, true);
	event_active(a->stopped_event, 0, 0);
}

void
agent_stop(struct agent *a, void (*stopped)(void *), void *arg)
{
	a->stopping = true;
	a->stopped = stopped;
	a->stopped_arg = arg;
	pool_close(a->pool);
	jobs_stop(a, false);
	timer_start(&a->stop, STOP_MS);
	if (a->jobs == NULL)
		event_active(a->stopped_event, 0, 0);
}

struct agent *
agent_new(struct event_base *base, const struct conf *conf, struct dns *dns, const struct sockaddr_storage *own,
    size_t n_own)
{
	struct agent *a = alloc_new(1, sizeof(*a));

	a->own = alloc_new(n_own + 1, sizeof(*own));
	a->stopped_event = alloc_must(event_new(base, -1, 0, on_stopped, a));
	a->base = base;
	a->conf = conf;
	a->dns = dns;
	if (n_own > 0)
		memcpy(a->own, own, n_own * sizeof(*own));
	a->n_own = n_own;
	a->pool = pool_new(base, conf->delivery_connections);
	a->reach = reach_new();
	a->jobs_max = 2 * conf->delivery_connections + 64;
	timer_set(&a->stop, on_stop_timeout, a);
	return a;
}

void
agent_set_credentials(struct agent *a, const struct credentials *credentials)
{
	a->credentials = credentials;
}

void
agent_set_endpoints(struct agent *a, struct endpoints *endpoints)
{
	a->endpoints = endpoints;
}

void
agent_free(struct agent *a)
{
	struct job *j, *next;

	if (a == NULL)
		return;
	HASH_ITER(hh, a->jobs, j, next)
		job_free(j);
	pool_free(a->pool);
	reach_free(a->reach);
	timer_stop(&a->stop);
	event_free(a->stopped_event);
	free(a->own);
	free(a);
}

void
agent_drain(struct agent *a)
{
	pool_close(a->pool);
}

bool
agent_is_idle(const struct agent *a)
{
	return a->jobs == NULL;
}

void
agent_status(const struct agent *a, char *to, size_t size)
{
	unsigned used, idle, waiting;

	pool_counts(a->pool, &used, &idle, &waiting);
	snprintf(to, size, "jobs=%u connections=%u idle=%u waiting=%u", (unsigned)HASH_COUNT(a->jobs), used, idle, waiting);
}
