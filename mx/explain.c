/*
 * Answers a tool's question for the hosts of a domain (mx/explain.h): the same lookup that delivery makes, without its
 * listeners' addresses, so that a loop to ourselves is known by name only.
 */
#include "mx/explain.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "mx/mx.h"

#define DEADLINE_MS	20000

struct asked {
	LIST_ENTRY(asked)	 next;
	struct explain		*explain;
	struct mx_lookup	*lookup;
	int			 fd;
};

struct explain {
	struct dns		*dns;
	LIST_HEAD(, asked)	 asked;
	unsigned		 n;
};

/* What a tool does not read is its own loss: nobody waits for it. */
static void
answer(int fd, const char *text, size_t len)
{
	if (send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("event=tool-gone");
	close(fd);
}

static void
free_asked(struct asked *a)
{
	LIST_REMOVE(a, next);
	a->explain->n--;
	free(a);
}

static void
put_address(FILE *f, const struct mx_address *m)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&m->address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)&m->address;
	char text[INET6_ADDRSTRLEN] = "?";

	if (m->address.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
	fprintf(f, "A\t%u\t%s\t%s\n", m->preference, m->host, text);
}

static void
on_hosts(void *arg, const struct mx_list *list)
{
	struct asked *a = arg;
	char *text = NULL;
	size_t len;
	FILE *f = alloc_stream(&text, &len);

	fprintf(f, "ok\n");
	for (size_t i = 0; i < list->n; i++)
		put_address(f, &list->list[i]);
	if (list->result == MX_OK && list->secure)
		fprintf(f, "D\n");
	if (list->result != MX_OK)
		fprintf(f, "N\t%s\t%s\n", list->result == MX_TEMPORARY ? "temporary" : "permanent", list->why);
	fprintf(f, "E\n");
	fclose(f);
	answer(a->fd, text, len);
	free(text);
	free_asked(a);
}

void
explain_domain(struct explain *x, const struct conf *conf, int fd, const char *line)
{
	static const char wrong[] = "error: expected: route and a domain\n", busy[] = "error: too many are asking; try again\n";
	struct mx_options options = { .hostname = conf->hostname, .port = conf->smtp_port, .allow_private = conf->private_mx };
	char domain[ADDRESS_DOMAIN_MAX + 1];
	struct asked *a;

	if (strncmp(line, "route\t", 6) != 0 || address_domain(domain, line + 6, ADDRESS_UTF8) != 0) {
		answer(fd, wrong, sizeof(wrong) - 1);
		return;
	}
	if (x->n >= EXPLAIN_MAX) {
		answer(fd, busy, sizeof(busy) - 1);
		return;
	}
	a = alloc_new(1, sizeof(*a));
	a->explain = x;
	a->fd = fd;
	LIST_INSERT_HEAD(&x->asked, a, next);
	x->n++;
	a->lookup = mx_start(x->dns, domain, &options, DEADLINE_MS, on_hosts, a);
}

bool
explain_is_idle(const struct explain *x)
{
	return x->n == 0;
}

struct explain *
explain_new(struct dns *dns)
{
	struct explain *x = alloc_new(1, sizeof(*x));

	x->dns = dns;
	LIST_INIT(&x->asked);
	return x;
}
