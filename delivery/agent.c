/*
 * Jobs from queue, each one attempt for one message at one next hop: waits for a place (pool.c), finds addresses (mx/),
 * gives the message to one after the other (client.c) until every recipient has its verdict, and reports.
 *
 * Decides which address is next and what becomes of recipients that no host decided on: they wait, and the next hop is
 * in trouble. A recipient that one host refused is never offered to another. Called by main.c.
 */
#include "delivery/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <uthash.h>

#include "delivery/body.h"
#include "delivery/client.h"
#include "delivery/client_verdict.h"
#include "delivery/pool.h"
#include "lib/address.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/job.h"
#include "lib/log.h"
#include "lib/route.h"
#include "mx/mx.h"

#define RCPTS_MAX	20000			/* of one job; queue sends no more than a message can have */
#define TRYING_MS	(15 * 60 * 1000)	/* no further address is begun after it: the queue's turn again */
#define LOOKUP_MS	60000
#define STOP_MS		30000

enum job_state {
	JOB_TAKING,			/* BEGIN to START */
	JOB_WAITING,			/* for a place in the pool */
	JOB_LOOKING,			/* for addresses */
	JOB_SENDING,			/* a client has it */
};

struct job_key {
	struct ipc	*ipc;
	uint64_t	 id;
};

struct job {
	struct job_key		 key;
	struct agent		*agent;
	enum job_state		 state;
	bool			 refused;	/* came beyond the limit: answered at START */
	bool			 cancelled;	/* no further address */
	struct job_begin	 begin;
	struct client_mail	 mail;
	uint32_t		*indexes;	/* queue's, of mail.rcpts */
	uint32_t		 rcpts_room;
	int64_t			 started_ms;
	struct pool_ticket	 ticket;
	struct mx_lookup	*lookup;
	struct mx_address	*addresses;	/* NULL: not looked up */
	size_t			 n_addresses, at;
	struct client		*client;
	struct verdict		*why;		/* the last trouble */
	UT_hash_handle		 hh;
};

struct agent {
	struct event_base	*base;
	const struct conf	*conf;
	struct dns		*dns;
	struct sockaddr_storage	*own;
	size_t			 n_own;
	struct pool		*pool;
	struct job		*jobs;
	unsigned		 jobs_max;
	bool			 stopping;
	struct timer		 stop;
	struct event		*stopped_event;
	void			(*stopped)(void *);
	void			*stopped_arg;
};

static void	job_lookup(struct job *);
static void	job_next_address(struct job *);

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
	mx_cancel(j->lookup);
	client_free(j->client);
	pool_leave(a->pool, &j->ticket, NULL);
	for (uint32_t i = 0; i < j->mail.n_rcpts; i++) {
		free((char *)j->mail.rcpts[i].address);
		verdict_drop(j->mail.rcpts[i].verdict);
	}
	free(j->mail.rcpts);
	free(j->indexes);
	free(j->addresses);
	verdict_drop(j->why);
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
		.host_trouble = v->host_trouble,
	};
	struct pack p;

	pack_init(&p);
	job_pack_result(&p, &r);
	ipc_send_pack(j->key.ipc, MSG_JOB_RESULT, j->key.id, &p, -1);
	pack_free(&p);
}

/* Takes over the verdict, for all recipients without one; then every recipient has one, and the job ends. */
static void
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

/* ---- from address to address ---- */

static void
on_client_done(void *arg, enum client_end end)
{
	struct job *j = arg;
	struct agent *a = j->agent;
	struct client *c = j->client;

	if (end == CLIENT_KEPT) {
		j->client = NULL;
		pool_leave(a->pool, &j->ticket, c);
		job_finish(j, NULL);
		return;
	}
	if (end == CLIENT_FAILED && client_why(c) != NULL) {
		verdict_drop(j->why);
		j->why = verdict_ref(client_why(c));
	}
	client_free(c);
	j->client = NULL;
	if (end == CLIENT_CLOSED)
		job_finish(j, NULL);
	else if (j->addresses == NULL && !j->cancelled && body_rewind(j->mail.body))
		job_lookup(j);		/* it was a kept connection: begin properly */
	else
		job_next_address(j);
}

static void
job_send(struct job *j, struct client *c)
{
	j->client = c;
	j->state = JOB_SENDING;
	client_send(c, &j->mail, on_client_done, j);
}

/* Also where there is none any more: what is open then waits for another attempt. */
static void
job_next_address(struct job *j)
{
	struct verdict *v = j->why;

	if (j->at < j->n_addresses && !j->cancelled && clock_ms() - j->started_ms < TRYING_MS &&
	    body_rewind(j->mail.body)) {
		job_send(j, client_new(j->agent->base, &j->addresses[j->at++], j->agent->conf->hostname));
		return;
	}
	j->why = NULL;
	if (v == NULL)
		v = verdict_new(JOB_DEFERRED, true, "", 0, "4.4.1", "no host could be tried");
	job_finish(j, v);
}

static void
on_mx(void *arg, const struct mx_list *list)
{
	struct job *j = arg;

	j->lookup = NULL;
	if (list->result != MX_OK) {
		job_finish(j, verdict_from_mx(list->result, list->why));
		return;
	}
	j->addresses = calloc(list->n > 0 ? list->n : 1, sizeof(*j->addresses));
	if (j->addresses == NULL)
		log_fatal("event=memory where=agent");
	memcpy(j->addresses, list->list, list->n * sizeof(*j->addresses));
	j->n_addresses = list->n;
	job_next_address(j);
}

static void
job_lookup(struct job *j)
{
	struct agent *a = j->agent;
	char host[ADDRESS_DOMAIN_MAX + 1];
	int relay = 0;
	unsigned port = 0;
	struct mx_options o = {
		.hostname = a->conf->hostname,
		.own = a->own,
		.n_own = a->n_own,
	};

	if (route_parse(j->begin.hop, host, &relay, &port) != 0) {
		job_finish(j, verdict_new(JOB_DEFERRED, false, "", 0, "4.3.5", "no next hop can be made of its name"));
		return;
	}
	o.port = relay ? (uint16_t)port : a->conf->smtp_port;
	o.allow_private = relay || a->conf->private_mx;
	o.only_address = relay;
	j->state = JOB_LOOKING;
	j->lookup = mx_start(a->dns, host, &o, LOOKUP_MS, on_mx, j);
}

static void
on_place(void *arg, struct client *kept)
{
	struct job *j = arg;

	j->started_ms = clock_ms();
	if (kept != NULL)
		job_send(j, kept);
	else
		job_lookup(j);
}

/* ---- queue's messages ---- */

int
agent_on_job_begin(struct agent *a, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;
	struct job *j;

	if (job_find(a, ipc, m->id) != NULL)
		return ipc_fail(ipc, "job %llu begun twice", (unsigned long long)m->id);
	if ((j = calloc(1, sizeof(*j))) == NULL)
		log_fatal("event=memory where=agent");
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
	j->mail.body = body_new(j->begin.head, j->begin.size, job_pull, j);
	HASH_ADD(hh, a->jobs, key, sizeof(j->key), j);
	return 0;
}

static void
job_add_rcpt(struct job *j, uint32_t index, const char *address)
{
	struct client_mail *m = &j->mail;
	struct client_rcpt r = { .address = strdup(address) };

	if (m->n_rcpts == j->rcpts_room) {
		j->rcpts_room = j->rcpts_room > 0 ? 2 * j->rcpts_room : 4;
		m->rcpts = reallocarray(m->rcpts, j->rcpts_room, sizeof(*m->rcpts));
		j->indexes = reallocarray(j->indexes, j->rcpts_room, sizeof(*j->indexes));
	}
	if (m->rcpts == NULL || j->indexes == NULL || r.address == NULL)
		log_fatal("event=memory where=agent");
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
	job_add_rcpt(j, index, r.address);
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
		j->state = JOB_WAITING;
		pool_ask(a->pool, &j->ticket, j->begin.hop, on_place, j);
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
		if (j->state == JOB_WAITING || (all && j->state != JOB_TAKING))
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
	struct agent *a = calloc(1, sizeof(*a));

	if (a == NULL || (a->own = calloc(n_own + 1, sizeof(*own))) == NULL ||
	    (a->stopped_event = event_new(base, -1, 0, on_stopped, a)) == NULL)
		log_fatal("event=memory where=agent");
	a->base = base;
	a->conf = conf;
	a->dns = dns;
	if (n_own > 0)
		memcpy(a->own, own, n_own * sizeof(*own));
	a->n_own = n_own;
	a->pool = pool_new(base, conf->delivery_connections, conf->destination_connections);
	a->jobs_max = 2 * conf->delivery_connections + 64;
	timer_set(&a->stop, on_stop_timeout, a);
	return a;
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
	timer_stop(&a->stop);
	event_free(a->stopped_event);
	free(a->own);
	free(a);
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
