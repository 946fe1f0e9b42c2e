/*
 * The inside of filters/spf.c and filters/spf_names.c: one check under way. For these two only.
 */
#ifndef FILTERS_SPF_STATE_H
#define FILTERS_SPF_STATE_H

#include "filters/spf.h"
#include "lib/clock.h"
#include "mx/dns.h"

#define LOOKUPS_MAX	10	/* RFC 7208, 4.6.4: terms that ask DNS */
#define VOIDS_MAX	2	/* 4.6.4: of them those that find nothing */
#define HOSTS_MAX	10	/* 4.6.4: of one mx; names of one client */
#define FRAMES_MAX	(LOOKUPS_MAX + 1)
#define RECORD_MAX	8192	/* bytes of a record and of an explanation: 450 are advised (3.4) */
#define QUESTION_MS	8000	/* one question, so that a dead server leaves time for an honest answer */

struct frame {
	char		*text;
	struct spf_record record;
	size_t		 at;
	struct spf_term	 term;		/* the one at hand */
	char		 domain[SPF_NAME_MAX + 1];
};

struct host {				/* of an mx, or a name of the client */
	struct spf	*spf;
	struct dns_question *question;	/* NULL: answered */
	char		 name[DNS_NAME_MAX + 1];
	bool		 is_client;	/* the client's address is one of its */
};

struct host_list {
	struct host	 list[HOSTS_MAX];
	size_t		 n;
	unsigned	 pending;
	bool		 temporary;	/* one had no answer */
};

enum fetch { FETCH_FIRST, FETCH_INCLUDE, FETCH_REDIRECT };

struct spf {
	struct dns	*dns;
	spf_done_fn	*done;
	void		*arg;
	struct timer	 begin, deadline;
	struct spf_macros macros;	/* with pointers to what follows */
	char		 local[SPF_SENDER_MAX + 1];
	char		 sender_domain[SPF_NAME_MAX + 1];
	char		 helo[SPF_SENDER_MAX + 1];
	char		 receiver[SPF_NAME_MAX + 1];
	bool		 is_helo;
	bool		 pra;
	bool		 malformed;	/* the identity is no domain */

	struct frame	 frames[FRAMES_MAX];
	size_t		 n_frames;
	unsigned	 lookups, voids;

	struct dns_question *question;	/* of the term at hand, or of a record or explanation */
	enum fetch	 fetch;
	char		 target[SPF_NAME_MAX + 1];	/* what the question is about */
	struct host_list mx;
	struct host_list names;		/* the client's, for ptr and %{p} */
	bool		 names_known;
	void		(*after_names)(struct spf *);

	bool		 decided;	/* code stands; what may still come is an explanation */
	enum spf_code	 code;
	char		 reason[512];
	char		*exp_text;
	char		 explanation[SPF_EXPLANATION_MAX + 1];
};

/* -- spf.c -- */

struct frame	*spf_top(struct spf *);
void		 spf_ask(struct spf *, enum dns_type, const char *name, dns_done_fn *);
/* Counts an answer that found nothing. True: one too many, and that ended it. */
bool		 spf_too_many_voids(struct spf *, const struct dns_answer *);

/* -- spf_names.c -- */

/* Asks for the addresses of all hosts whose names are in the list; done's argument is the host. */
void		 spf_hosts_ask(struct spf *, struct host_list *, dns_done_fn *done);
void		 spf_hosts_take(struct host_list *, const struct dns_answer *);		/* the first ten names */
void		 spf_hosts_cancel(struct host_list *);
bool		 spf_same_network(const uint8_t *a, const uint8_t *b, unsigned bits);
/* Whether the client is one of the addresses, or in the same network as one. */
bool		 spf_answer_has_client(const struct spf *, const struct dns_answer *, unsigned prefix4, unsigned prefix6);
enum dns_type	 spf_address_type(const struct spf *);
/* Goes on with after() once the client's names are known, at once if they are. */
void		 spf_with_names(struct spf *, void (*after)(struct spf *));
bool		 spf_is_below(const char *name, const char *domain, bool or_same);
/* For the record at hand. */
const struct spf_macros *spf_macros_of(struct spf *);

#endif
