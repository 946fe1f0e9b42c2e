/*
 * Who the client is that a session is held with, and under which network it counts. Decides whose word on that is taken:
 * a PROXY header's from proxy_networks, XCLIENT's from xclient_networks, and else the kernel's. Whether a client that is
 * named so may relay is looked at by lookup again. Called at a session's start, and by stream.c and commands.c.
 */
#include "smtpd/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "smtpd/crowd.h"
#include "smtpd/guard.h"
#include "smtpd/network.h"
#include "smtpd/pace.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/trace.h"
#include "smtpd/transaction.h"

void
client_name(char *to, size_t size, const struct sockaddr *address)
{
	const struct sockaddr_in6 *six = (const void *)address;
	const struct sockaddr_in *four = (const void *)address;

	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &four->sin_addr, to, (socklen_t)size);
	else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], to, (socklen_t)size);
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &six->sin6_addr, to, (socklen_t)size);
	else
		snprintf(to, size, "unknown");
}

static void
become(struct session *s, const struct sockaddr *address, struct network *network)
{
	s->network = network;
	s->exempt = conf_is_trusted(s->srv->process.conf, address);
	client_name(s->client, sizeof(s->client), address);
}

void
client_connected(struct session *s, const struct sockaddr *address, struct network *network, unsigned uid)
{
	const struct conf *conf = s->srv->process.conf;

	s->local = address == NULL;
	if (s->local) {
		s->exempt = true;
		snprintf(s->client, sizeof(s->client), "local uid %u", uid);
		return;
	}
	become(s, address, network);
	if (s->pretend != NULL) {		/* lookup would see who it really is */
		s->trust_known = true;
		return;
	}
	s->may_xclient = conf_networks_have(&conf->xclients, address);
	if (conf_networks_have(&conf->proxies, address))
		s->input = INPUT_PROXY;
}

void
client_forget(struct session *s)
{
	if (s->network != NULL && s->guard != NULL)
		guard_charge(s);
	if (s->network != NULL)
		network_leave(&s->srv->networks, s->network, clock_ms());
	s->network = NULL;
}

/* From now on it is that one. False when there is no place for it, and the session has been ended. */
static bool
claim(struct session *s, const struct sockaddr *claimed, const char *by)
{
	char before[sizeof(s->client)];
	const struct crowd_reason *why;
	struct network *network;

	snprintf(before, sizeof(before), "%s", s->client);
	client_forget(s);		/* in no network its own place cannot be the one that is taken */
	why = crowd_admit(s->srv, claimed, true, &network);
	become(s, claimed, network);
	s->claimed = true;
	guard_new(s, claimed);
	s->trust_known = s->trusted = false;
	s->trust_len = 0;
	log_info("session=%s event=client client=%s by=%s via=%s", s->id_word, logq(s->client), by, logq(before));
	if (why != NULL)
		session_end(s, why->word, 421, "4.3.2", "No place for this client now; try again later");
	return why == NULL;
}

/* The proxy speaks for nobody but itself. */
static void
guard_itself(struct session *s)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (getpeername(s->fd, (struct sockaddr *)&peer, &len) == 0)
		guard_new(s, (struct sockaddr *)&peer);
}

size_t
client_take_proxy(struct session *s, const uint8_t *data, size_t len)
{
	struct sockaddr_storage claimed;
	size_t used;

	switch (proxy_header(data, len, &claimed, &used)) {
	case PROXY_MORE:
		return 0;
	case PROXY_ADDRESS:
		if (!claim(s, (struct sockaddr *)&claimed, "proxy"))
			return len;
		break;
	case PROXY_ITSELF:
		guard_itself(s);
		break;
	case PROXY_BAD:
		session_end(s, "no-proxy-header", 554, "5.5.0", "A proxy begins with a header of the PROXY protocol");
		return len;
	}
	s->ahead = len - used;
	session_await_command(s);
	pace_greet(s);
	return used;
}

/* ---- XCLIENT ---- */

static bool
has_names(const struct proxy_xclient *x)
{
	return (x->helo[0] == '\0' || trace_helo_ok(x->helo)) && (x->name[0] == '\0' || trace_helo_ok(x->name));
}

void
client_xclient(struct session *s, const char *argument)
{
	struct proxy_xclient x;
	const char *why;

	if (s->tx != NULL) {
		session_reply(s, 503, "5.5.1", "Not within a message; RSET forgets it");
		return;
	}
	if (proxy_xclient(argument, &x, &why) != 0) {
		session_reply(s, 501, "5.5.4", "%s", why);
		return;
	}
	if (!has_names(&x)) {
		session_reply(s, 501, "5.5.4", "NAME= and HELO= are names of hosts");
		return;
	}
	if (x.client.ss_family != 0 && !claim(s, (struct sockaddr *)&x.client, "xclient"))
		return;
	free(s->helo);
	s->helo = NULL;
	if (s->guard != NULL)
		s->guard->facts.helo = NULL;
	s->esmtp = x.esmtp;
	s->state = SESSION_START;
	if (x.helo[0] != '\0') {
		s->helo = alloc_text(x.helo);
		s->state = SESSION_READY;
		if (s->guard != NULL)
			guard_helo(s);
	}
	pace_greet(s);
}
