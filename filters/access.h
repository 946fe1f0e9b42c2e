/*
 * Lists of people: for whom filters do not apply (exempt), who is refused (refuse), and for which domains a client may send
 * (client_domains). Each list is a titled section of minimta.conf; where it names things of several kinds, one of each
 * kind must match. Pure.
 */
#ifndef FILTERS_ACCESS_H
#define FILTERS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/facts.h"
#include "filters/registry.h"
#include "lib/conf.h"

enum access_kind {			/* what a list asks for, and what is known */
	ACCESS_CLIENT = 1,
	ACCESS_HOST = 2,		/* the reverse name, which must lead back */
	ACCESS_SENDER = 4,
	ACCESS_RECIPIENT = 8,
	ACCESS_ALL = 15,
};

struct access_list {
	char		*title;
	unsigned	 kinds;			/* enum access_kind */
	struct conf_networks clients;
	char		**hosts;		/* "example.net": it and all below; ".example.net": all below */
	char		**senders, **recipients; /* "user@example.net", "user@", "example.net", ".example.net"; "<>" the null sender */
	char		**filters;		/* exempt: which, "all" by default */
	uint64_t	 mask;			/* the same as bits of the registry */
	char		*text;			/* refuse: of the reply; "" a general one */
	char		**domains;		/* client_domains */
};

struct access {
	struct access_list *exempt, *refuse, *clients;
	size_t		 n_exempt, n_refuse, n_clients;
	bool		 by_host;		/* one of them asks for the reverse name */
};

/* From the sections of a configuration. 0, or -1 with "file:line: …" in err; freed by access_free either way. */
int		 access_read(struct access *, const struct conf *, const struct registry *, char *err, size_t size);
void		 access_free(struct access *);
/* Which filters do not apply, as bits of the registry, by the lists that ask for nothing but `known` (enum access_kind). */
uint64_t	 access_exempt(const struct access *, const struct facts *, unsigned known);
/* The first list that refuses this, or NULL. */
const struct access_list *access_refused(const struct access *, const struct facts *);
/* Whether the client's lists, if it is on any, name the sender's domain. *list_r: one of them, or NULL. */
bool		 access_may_send(const struct access *, const struct facts *, const struct access_list **list_r);
/* Postmaster and abuse, whom RFC 5321, 4.5.1 and RFC 2142 want to be reachable. */
bool		 access_is_duty(const char *recipient);

#endif
