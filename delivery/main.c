/*
 * delivery: brings mail to the next hop by SMTP. It alone connects to strangers; it has no files, no keys, and no mail
 * but what is on its way out. Jobs come from queue, DNS answers from resolver. The work is agent.c's. Callbacks, which
 * lookup asks for, are calls.c's.
 */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delivery/agent.h"
#include "delivery/endpoint.h"
#include "delivery/calls.h"
#include "delivery/login.h"
#include "lib/alloc.h"
#include "lib/credentials.h"
#include "lib/log.h"
#include "lib/process.h"
#include "mx/dns.h"

#define OWN_MAX	64		/* addresses of our own that are told from others: loops */

struct delivery {
	struct process		 process;
	struct dns		*dns;
	struct agent		*agent;
	struct endpoints	*endpoints;
	struct calls		*calls;
	struct credentials	*credentials;	/* NULL: master has none */
	struct sockaddr_storage	 own[OWN_MAX];
	size_t			 n_own;
};

static int
on_job_begin(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return agent_on_job_begin(((struct delivery *)arg)->agent, ipc, m);
}

static int
on_job_rcpt(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return agent_on_job_rcpt(((struct delivery *)arg)->agent, ipc, m);
}

static int
on_job_data(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return agent_on_job_data(((struct delivery *)arg)->agent, ipc, m);
}

static int
on_job_start(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return agent_on_job_start(((struct delivery *)arg)->agent, ipc, m);
}

static int
on_job_cancel(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return agent_on_job_cancel(((struct delivery *)arg)->agent, ipc, m);
}

/* Before GO: the agent is not there yet. */
static int
on_credentials(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct delivery *d = arg;
	char text[CREDENTIALS_FILE_MAX], err[256];
	ssize_t n = m->fd >= 0 ? pread(m->fd, text, sizeof(text), 0) : -1;

	(void)ipc;
	if (m->fd >= 0)
		close(m->fd);
	if (n < 0)
		log_fatal("event=start-failed what=\"no credentials could be read\"");
	credentials_free(d->credentials);
	d->credentials = credentials_parse(text, (size_t)n, err, sizeof(err));
	explicit_bzero(text, (size_t)n);
	if (d->credentials == NULL)
		log_fatal("event=start-failed what=%s", logq(err));
	return 0;
}

static int
on_call_ask(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return calls_on_ask(((struct delivery *)arg)->calls, ipc, m);
}

static int
on_dns(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return dns_on_answer(((struct delivery *)arg)->dns, ipc, m);
}

static int
on_endpoint(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return endpoints_on_fd(((struct delivery *)arg)->endpoints, ipc, m);
}

static int
on_no_endpoint(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	return endpoints_on_none(((struct delivery *)arg)->endpoints, ipc, m);
}

static const struct ipc_handler handlers[] = {
	{ MSG_JOB_BEGIN, on_job_begin },
	{ MSG_JOB_RCPT, on_job_rcpt },
	{ MSG_JOB_DATA, on_job_data },
	{ MSG_JOB_START, on_job_start },
	{ MSG_JOB_CANCEL, on_job_cancel },
	{ MSG_CALL_ASK, on_call_ask },
	{ MSG_CREDENTIALS, on_credentials },
	{ MSG_DNS, on_dns },
	{ MSG_ENDPOINT, on_endpoint },
	{ MSG_NO_ENDPOINT, on_no_endpoint },
	{ MSG_NONE, NULL },
};

static void
on_peer(void *arg, struct ipc *ipc)
{
	struct delivery *d = arg;

	if (ipc_peer(ipc) == PROC_RESOLVER)
		dns_set_ipc(d->dns, ipc);
}

static void
on_peer_down(void *arg, struct ipc *ipc)
{
	struct delivery *d = arg;

	if (ipc_peer(ipc) == PROC_RESOLVER)
		dns_ipc_down(d->dns, ipc, process_peer(&d->process, PROC_RESOLVER));
	else if (ipc_peer(ipc) == PROC_QUEUE)
		agent_queue_down(d->agent, ipc);
	else if (ipc_peer(ipc) == PROC_LOOKUP)
		calls_lookup_down(d->calls, ipc);
}

static void
on_stopped(void *arg)
{
	process_quit(&((struct delivery *)arg)->process);
}

static void
on_stop(void *arg)
{
	struct delivery *d = arg;

	calls_stop(d->calls);
	agent_stop(d->agent, on_stopped, arg);
}

static void
on_drain(void *arg)
{
	agent_drain(((struct delivery *)arg)->agent);
}

static bool
is_drained(void *arg)
{
	const struct delivery *d = arg;

	return agent_is_idle(d->agent) && calls_are_idle(d->calls);
}

static void
on_status(void *arg, char *to, size_t size)
{
	const struct delivery *d = arg;
	size_t len;

	agent_status(d->agent, to, size);
	len = strlen(to);
	snprintf(to + len, size - len, " callbacks=%u", calls_count(d->calls));
}

/* ---- our own addresses ---- */

static bool
is_wildcard(const struct sockaddr_storage *s)
{
	if (s->ss_family == AF_INET)
		return ((const struct sockaddr_in *)s)->sin_addr.s_addr == htonl(INADDR_ANY);
	return s->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)s)->sin6_addr);
}

static void
add_own(struct delivery *d, const struct sockaddr *address, size_t len, in_port_t port)
{
	struct sockaddr_storage *s;

	if (d->n_own == OWN_MAX || len > sizeof(*s))
		return;
	s = &d->own[d->n_own++];
	memcpy(s, address, len);
	if (s->ss_family == AF_INET)
		((struct sockaddr_in *)s)->sin_port = port;
	else
		((struct sockaddr_in6 *)s)->sin6_port = port;
}

/* A listener on all addresses stands for each one that this machine has. "::" listens for IPv6 only. */
static void
add_interfaces(struct delivery *d, int family, in_port_t port)
{
	struct ifaddrs *list, *i;

	if (getifaddrs(&list) != 0) {
		log_warn("event=no-interfaces what=\"a loop to ourselves is known by host name only\"");
		return;
	}
	for (i = list; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL && i->ifa_addr->sa_family == family)
			add_own(d, i->ifa_addr,
			    family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), port);
	freeifaddrs(list);
}

static void
find_own(struct delivery *d)
{
	const struct conf *conf = d->process.conf;

	for (size_t i = 0; i < conf->n_listen; i++) {
		const struct sockaddr_storage *s = &conf->listen[i].address;
		in_port_t port = s->ss_family == AF_INET ? ((const struct sockaddr_in *)s)->sin_port :
		    ((const struct sockaddr_in6 *)s)->sin6_port;

		if (is_wildcard(s))
			add_interfaces(d, s->ss_family, port);
		else
			add_own(d, (const struct sockaddr *)s, conf->listen[i].length, port);
	}
}

int
main(void)
{
	struct delivery *d = alloc_new(1, sizeof(*d));

	d->process.handlers = handlers;
	d->process.on_peer = on_peer;
	d->process.on_peer_down = on_peer_down;
	d->process.on_stop = on_stop;
	d->process.on_drain = on_drain;
	d->process.is_drained = is_drained;
	d->process.on_status = on_status;
	d->process.arg = d;
	process_init(&d->process, PROC_DELIVERY);
	find_own(d);
	d->dns = dns_new_client(d->process.base);
	d->agent = agent_new(d->process.base, d->process.conf, d->dns, d->own, d->n_own);
	d->endpoints = endpoints_new(d->process.master);
	agent_set_endpoints(d->agent, d->endpoints);
	d->calls = calls_new(d->process.base, d->process.conf, d->dns, d->own, d->n_own);
	agent_set_credentials(d->agent, d->credentials);
	login_prepare();
	process_sandbox(&d->process);
	return process_run(&d->process);
}
