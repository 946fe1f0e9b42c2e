/*
 * DNS questions: one interface with two faces, direct (c-ares, mx/resolver.c: the resolver process, tools, tests) and
 * through the resolver process (mx/dns_client.c: delivery, smtpd). What an answer is, is the same for both.
 *
 * dns_ask() leads to exactly one callback, from the loop and never from inside dns_ask(), or to dns_cancel() after
 * which there is none. A callback may ask and cancel, but not free the whole face.
 */
#ifndef MX_DNS_H
#define MX_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

struct event_base;
struct ipc;
struct ipc_message;
struct pack;
struct unpack;

#define DNS_NAME_MAX	255
#define DNS_RECORDS_MAX	128		/* of one answer; more are dropped and `cut` is set */
#define DNS_DEADLINE_MS	20000		/* when the caller names none */

enum dns_type {
	DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52,
	DNS_LIST = 254,			/* A, of a DNS list: its answers are kept for a minute at least and an hour at most */
};

enum dns_result {
	DNS_OK,				/* at least one record of the type asked for */
	DNS_NXDOMAIN,			/* no such name */
	DNS_NODATA,			/* the name exists and has no such record */
	DNS_TEMPORARY,			/* no answer in time, SERVFAIL, refused, nonsense: ask again later */
	DNS_INVALID,			/* not a name that can be asked, or only impossible names (and CNAMEs) came back */
};

struct dns_record {
	uint32_t	ttl;
	uint16_t	preference;	/* MX */
	union {
		struct in_addr	a;
		struct in6_addr	aaaa;
		struct {
			char	*bytes;	/* PTR: host name without final dot; MX: likewise, "" for the root, and
					 * with characters that hosts do not have (SPF wants them; mx_order drops them);
					 * TXT: strings joined; TLSA: data */
			size_t	 len;
		};
	};
};

struct dns_answer {
	enum dns_result	 result;
	enum dns_type	 type;
	bool		 secure;	/* authenticated-data bit of a resolver on loopback */
	bool		 cut;
	uint32_t	 ttl;		/* least of the records, or of the negative answer */
	char		*canonical;	/* where CNAMEs led, "" when nowhere */
	const char	*why;		/* of a failure, a phrase for the log: "timed out", "SERVFAIL" … */
	struct dns_record *records;
	size_t		 n;
};

struct dns;				/* either face */
struct dns_question;
typedef void	dns_done_fn(void *arg, const struct dns_answer *);	/* the answer is borrowed */

/*
 * The direct face. servers: NULL for resolv.conf, else "address:port" strings, NULL-terminated. Made before chroot.
 * NULL on failure, reason in err.
 */
struct dns	*dns_new_direct(struct event_base *, char *const *servers, char *err, size_t size);
/*
 * The face through the resolver process. dns_set_ipc when one comes up: new questions go there, open ones are still answered
 * by the one that was asked. dns_ipc_down when one goes away: what it was asked, `next` is asked now, or the next one that
 * comes up, within the questions' deadlines. dns_on_answer is the ipc handler for MSG_DNS.
 */
struct dns	*dns_new_client(struct event_base *);
void		 dns_set_ipc(struct dns *, struct ipc *);
void		 dns_ipc_down(struct dns *, struct ipc *gone, struct ipc *next);
int		 dns_on_answer(struct dns *, struct ipc *, struct ipc_message *);
/* A face that passes all on to another, which is borrowed, and counts the questions; how many there were. */
struct dns	*dns_new_counting(struct dns *);
unsigned	 dns_count(const struct dns *);
void		 dns_free(struct dns *);

/* deadline_ms 0: DNS_DEADLINE_MS. The name needs no final dot; search domains are never used. */
struct dns_question *dns_ask(struct dns *, enum dns_type, const char *name, uint32_t deadline_ms, dns_done_fn *,
		    void *arg);
void		 dns_cancel(struct dns_question *);	/* NULL is fine */

bool		 dns_type_known(unsigned);
const char	*dns_result_name(enum dns_result);	/* "ok", "nxdomain", "nodata", "temporary", "invalid" */

/* Answers between processes: MSG_DNS. unpack: 0 or -1; free what came of 0. */
void		 dns_pack_answer(struct pack *, const struct dns_answer *);
int		 dns_unpack_answer(struct unpack *, struct dns_answer *);
void		 dns_free_answer(struct dns_answer *);	/* its contents */

#endif
