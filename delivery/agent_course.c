/*
 * A job's course: a place (pool.c), a kept connection or the addresses of its next hop's hosts (mx/), a client (client.c)
 * for one after the other, until every recipient has its verdict.
 *
 * Decides which host and address is next, and what becomes of recipients that nobody decided on: they wait, and the next
 * hop is in trouble. A recipient that one host refused is never offered to another. Called by agent.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "delivery/agent_job.h"
#include "delivery/body.h"
#include "delivery/client_verdict.h"
#include "delivery/endpoint.h"
#include "delivery/reach.h"
#include "lib/alloc.h"
#include "lib/conf.h"
#include "lib/credentials.h"
#include "lib/log.h"
#include "lib/route.h"
#include "mx/mx.h"
#include "mx/mx_order.h"

#define TRYING_MS	(15 * 60 * 1000)	/* no further address is begun after it: the queue's turn again */
#define LOOKUP_MS	60000

static void	job_next_host(struct job *);
static void	job_next_address(struct job *);
static void	on_place(void *, struct client *);

/* ---- clients ---- */

/* What is open then waits for another attempt. */
static void
job_give_up(struct job *j)
{
	struct verdict *v = j->why;

	j->why = NULL;
	if (v == NULL)
		v = verdict_new(JOB_DEFERRED, true, "", 0, "4.4.1", "no host could be tried");
	job_finish(j, v);
}

static void
job_learn(struct job *j, const struct client *c)
{
	struct reach *r = j->agent->reach;

	if (client_count(c) == 1 && client_family(c) != AF_UNIX)
		reach_tried(r, client_family(c), client_connect_error(c), clock_ms());
	if (client_refused_ipv6(c))
		reach_refused_ipv6(r, j->begin.hop, clock_ms());
}

static void
on_client_done(void *arg, enum client_end end)
{
	struct job *j = arg;
	struct client *c = j->client;

	job_learn(j, c);
	if (end == CLIENT_KEPT) {
		j->client = NULL;
		pool_leave(j->agent->pool, &j->ticket, c);
		job_finish(j, NULL);
		return;
	}
	if (end == CLIENT_FAILED && client_why(c) != NULL) {
		verdict_drop(j->why);
		j->why = verdict_ref(client_why(c));
	}
	if (end == CLIENT_FAILED && client_is_used_up(c)) {
		if (j->at > 0)
			j->at--;		/* the host is as good as before */
	} else if (end == CLIENT_FAILED) {
		pool_host_failed(&j->ticket);
	}
	client_free(c);
	j->client = NULL;
	if (end == CLIENT_CLOSED)
		job_finish(j, NULL);
	else
		job_next_address(j);
}

/* Whether a refusal of IPv6 can be answered by IPv4; of a kept connection that is not known, and hoped. */
static bool
job_has_ipv4(const struct job *j)
{
	for (size_t i = j->at; i < j->n_addresses; i++)
		if (j->addresses[i].address.ss_family == AF_INET)
			return true;
	return j->addresses == NULL;
}

static void
job_send(struct job *j, struct client *c)
{
	j->client = c;
	j->state = JOB_SENDING;
	client_set_ipv4_left(c, job_has_ipv4(j));
	client_send(c, &j->mail, on_client_done, j);
}

/* ---- from address to address ---- */

/* Sections that say how to connect are each a way of their own; all else is one. */
static uint32_t
job_way(const struct job *j)
{
	const struct conf *conf = j->agent->conf;
	const struct conf_destination *d = j->route->section;

	return d != NULL && conf_destination_is_own(conf, d) ? (uint32_t)(d - conf->destinations) + 1 : 0;
}

static struct client *
job_client(const struct job *j, const struct mx_address *address)
{
	const struct conf_destination *d = j->route->section;
	const struct agent *a = j->agent;
	const struct credential *login;
	struct client *c = client_new(a->base, address, d != NULL ? d->helo : a->conf->hostname);

	client_set_lmtp(c, j->route->lmtp);
	if (d == NULL)
		return c;
	client_set_source(c, d->source_ipv4, d->source_ipv6);
	if (d->login[0] != '\0' && (login = credentials_find(a->credentials, d->login)) != NULL)
		client_set_login(c, login->user, login->password);
	return c;
}

/* Whether there is what its relay is to be logged in with. */
static bool
job_has_login(const struct job *j)
{
	const struct conf_destination *d = j->route->section;

	return d == NULL || d->login[0] == '\0' || credentials_find(j->agent->credentials, d->login) != NULL;
}

/* Of addresses that are as good as the next one, one that is not busy becomes the next. */
static enum pool_use
job_use_address(struct job *j, struct client **kept_r)
{
	struct agent *a = j->agent;
	uint32_t most = a->conf->host_connections > j->connections ? a->conf->host_connections : j->connections;
	enum pool_use use = POOL_USE_FULL;
	struct mx_address swap;

	for (size_t i = j->at; use == POOL_USE_FULL && i < j->n_addresses &&
	    j->addresses[i].preference == j->addresses[j->at].preference; i++) {
		use = pool_use_host(a->pool, &j->ticket, &j->addresses[i].address, job_way(j), most, kept_r);
		if (use == POOL_USE_FULL || i == j->at)
			continue;
		swap = j->addresses[j->at];
		j->addresses[j->at] = j->addresses[i];
		j->addresses[i] = swap;
	}
	return use;
}

/* ---- a socket in the file system ---- */

static void
on_endpoint(void *arg, int fd, const char *why)
{
	struct job *j = arg;
	struct client *c;

	j->endpoint = NULL;
	if (fd == -1) {
		verdict_drop(j->why);
		j->why = verdict_new(JOB_DEFERRED, true, "", 0, "4.4.1", "no connection to %s: %s", j->route->socket, why);
		j->at++;
		job_next_address(j);
		return;
	}
	c = job_client(j, &j->addresses[j->at++]);
	client_set_connected(c, fd);
	job_send(j, c);
}

/* It stands for all of them: there is one. */
static void
job_socket(struct job *j)
{
	struct sockaddr_un *un;

	j->addresses = alloc_new(1, sizeof(*j->addresses));
	j->n_addresses = 1;
	j->host_at++;
	un = (struct sockaddr_un *)(void *)&j->addresses[0].address;
	un->sun_family = AF_UNIX;
	j->addresses[0].length = sizeof(*un);
	snprintf(j->addresses[0].host, sizeof(j->addresses[0].host), "%s", j->route->socket);
	job_next_address(j);
}

static void
job_next_address(struct job *j)
{
	struct agent *a = j->agent;
	struct client *c = NULL;

	if (j->cancelled || clock_ms() - j->started_ms >= TRYING_MS || !body_rewind(j->mail.body)) {
		job_give_up(j);
		return;
	}
	if (j->at == j->n_addresses) {
		job_next_host(j);
		return;
	}
	switch (job_use_address(j, &c)) {
	case POOL_USE_FULL:
		j->state = JOB_WAITING;
		pool_ask_host(a->pool, &j->ticket, &j->addresses[j->at].address, job_way(j));
		return;
	case POOL_USE_NEW:
		if (j->route->socket != NULL) {
			j->state = JOB_LOOKING;
			j->endpoint = endpoint_start(a->endpoints, j->route->socket, on_endpoint, j);
			return;
		}
		c = job_client(j, &j->addresses[j->at]);
		break;
	case POOL_USE_KEPT:
		break;
	}
	j->at++;
	job_send(j, c);
}

/* ---- from host to host ---- */

static void
on_mx(void *arg, const struct mx_list *list)
{
	struct job *j = arg;

	j->lookup = NULL;
	if (list->result != MX_OK && !j->route->is_relay) {
		job_finish(j, verdict_from_mx(list->result, list->why));
		return;
	}
	if (list->result != MX_OK) {
		verdict_drop(j->why);
		j->why = verdict_from_relay(list->result, list->why);
		job_next_host(j);
		return;
	}
	free(j->addresses);
	j->addresses = alloc_new(list->n, sizeof(*j->addresses));
	memcpy(j->addresses, list->list, list->n * sizeof(*j->addresses));
	j->n_addresses = list->n;
	j->at = 0;
	reach_order(j->agent->reach, j->begin.hop, j->addresses, j->n_addresses, clock_ms());
	job_next_address(j);
}

static void
job_lookup(struct job *j, const struct route_host *h)
{
	static const int families[] = { [CONF_INET_ANY] = AF_UNSPEC, [CONF_INET_IPV4] = AF_INET, [CONF_INET_IPV6] = AF_INET6 };
	struct agent *a = j->agent;
	struct mx_address literal;
	const struct conf_destination *d = j->route->section;
	struct mx_options o = {
		.hostname = a->conf->hostname,
		.own = a->own,
		.n_own = a->n_own,
		.port = h->port,
		.family = families[d != NULL ? d->inet : a->conf->inet],
		.allow_private = j->route->is_relay || a->conf->private_mx,
		.only_address = !j->route->mx || (j->route->is_relay && mx_literal_parse(&literal, h->name, h->port) == 0),
	};

	j->state = JOB_LOOKING;
	j->lookup = mx_start(a->dns, h->name, &o, LOOKUP_MS, on_mx, j);
}

static void
job_next_host(struct job *j)
{
	if (j->route == NULL) {
		j->route = alloc_new(1, sizeof(*j->route));
		if (route_parse(j->route, j->agent->conf, j->begin.hop) != 0) {
			job_finish(j, verdict_new(JOB_DEFERRED, false, "", 0, "4.3.5", "no next hop can be made of its name"));
			return;
		}
		if (!job_has_login(j)) {
			job_finish(j, verdict_new(JOB_DEFERRED, true, "", 0, "4.3.5", "the file of credentials has no entry %s",
			    logq(j->route->section->login)));
			return;
		}
	}
	if (j->route->socket != NULL && j->host_at == 0)
		job_socket(j);
	else if (j->host_at < j->route->n)
		job_lookup(j, &j->route->hosts[j->host_at++]);
	else
		job_give_up(j);
}

static void
on_place(void *arg, struct client *kept)
{
	struct job *j = arg;

	j->started_ms = clock_ms();
	if (kept == NULL) {
		job_next_address(j);
		return;
	}
	if (j->n_addresses > 0)
		j->at++;
	job_send(j, kept);
}

void
job_run(struct job *j)
{
	j->state = JOB_WAITING;
	j->connections = route_connections(j->agent->conf, j->begin.hop);
	pool_ask(j->agent->pool, &j->ticket, j->begin.hop, j->connections, on_place, j);
}

void
job_forget_course(struct job *j)
{
	mx_cancel(j->lookup);
	endpoint_cancel(j->endpoint);
	client_free(j->client);
	pool_leave(j->agent->pool, &j->ticket, NULL);
	free(j->route);
	free(j->addresses);
	verdict_drop(j->why);
}
