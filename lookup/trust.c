/*
 * Trust in a client, from its own descriptor. smtpd may be in a stranger's hands and hand over anything it has: a
 * socketpair to another process says "unix socket, made by root" as a local program's connection does. What it cannot
 * have is a stream accepted from the control socket's path whose caller is not a program of this machine.
 */
#include "lookup/trust.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An accepted connection carries the name of the socket that accepted it; a socketpair has none. */
static bool
is_control_connection(const struct conf *conf, int fd)
{
	struct sockaddr_un own;
	socklen_t len = sizeof(own);
	size_t path = strlen(conf->control);

	memset(&own, 0, sizeof(own));
	if (getsockname(fd, (struct sockaddr *)&own, &len) != 0 || own.sun_family != AF_UNIX)
		return false;
	return path < sizeof(own.sun_path) && strncmp(own.sun_path, conf->control, path + 1) == 0;
}

static bool
trust_local_program(const struct conf *conf, int fd, char *who, size_t size)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || !is_control_connection(conf, fd)) {
		snprintf(who, size, "unix socket that is not the control socket");
		return false;
	}
	snprintf(who, size, "uid %u", (unsigned)cred.uid);
	return true;
}

/* Another address than who connected is claimed: only from where proxies are may that be, and then it is what counts. */
static bool
trust_claim(const struct conf *conf, const struct sockaddr *peer, const char *claimed)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };

	if (!conf_networks_have(&conf->proxies, peer) && !conf_networks_have(&conf->xclients, peer))
		return false;
	if (inet_pton(AF_INET, claimed, &four.sin_addr) == 1)
		return conf_is_trusted(conf, (struct sockaddr *)&four);
	return inet_pton(AF_INET6, claimed, &six.sin6_addr) == 1 && conf_is_trusted(conf, (struct sockaddr *)&six);
}

bool
trust_client(const struct conf *conf, int fd, const char *claimed, char *who, size_t size)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	memset(&peer, 0, sizeof(peer));
	if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) {
		snprintf(who, size, "not connected");
		return false;
	}
	switch (peer.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, who, (socklen_t)size);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, who, (socklen_t)size);
		break;
	case AF_UNIX:
		return trust_local_program(conf, fd, who, size);
	default:
		snprintf(who, size, "address family %d", peer.ss_family);
		return false;
	}
	if (claimed[0] != '\0')
		return trust_claim(conf, (struct sockaddr *)&peer, claimed);
	return conf_is_trusted(conf, (struct sockaddr *)&peer);
}
