/*
 * An SMTP session as a client: RFC 5321, with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING and LIMITS (RFC 9422) where they
 * are offered. One address, one connection, one message at a time, as many messages as its owner gives it; a message with more
 * recipients than the server takes at once goes in several transactions.
 */
#ifndef DELIVERY_CLIENT_H
#define DELIVERY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct body;
struct client;
struct event_base;
struct mx_address;
struct verdict;

struct client_rcpt {
	const char	*address;
	bool		 utf8;		/* the address is not ASCII */
	uint8_t		 notify;	/* RFC 3461: enum dsn_notify */
	const char	*orcpt;		/* NULL none */
	struct verdict	*verdict;	/* what became of it; NULL: open. Owned by whoever owns the mail */
	bool		 asked;		/* the client's own: RCPT was sent in this transaction, and it was not put off */
};

/* Owned by the caller, lent to a client until done. */
struct client_mail {
	const char		*message;	/* its id, for the log */
	const char		*sender;	/* "" null */
	bool			 sender_utf8;
	uint32_t		 flags;		/* enum envelope_flags */
	uint8_t			 ret;		/* RFC 3461: enum dsn_ret */
	const char		*envid;		/* "" or NULL none */
	struct body		*body;
	struct client_rcpt	*rcpts;
	uint32_t		 n_rcpts;
	uint32_t		 n_open;	/* without verdict */
};

enum client_end {
	CLIENT_KEPT,		/* every recipient has its verdict; the connection can be used again */
	CLIENT_CLOSED,		/* every recipient has its verdict; the connection is of no use */
	CLIENT_FAILED,		/* some have none, client_why() says what happened; another address may do better */
};

typedef void	client_done_fn(void *arg, enum client_end);
typedef void	client_lost_fn(void *arg);

/* Does not connect yet. hostname: ours, for EHLO; lives as long as the client. */
struct client	*client_new(struct event_base *, const struct mx_address *, const char *hostname);
/* Before the first client_send(). The addresses to connect from, "" for any; the entry to log in with, both copied. */
void		 client_set_source(struct client *, const char *ipv4, const char *ipv6);
void		 client_set_login(struct client *, const char *user, const char *password);
/* Before the first message: it speaks LMTP (RFC 2033); and there is a connection already, taken over. */
void		 client_set_lmtp(struct client *, bool);
void		 client_set_connected(struct client *, int fd);
/* Closes at once; no callback. NULL is fine. Fine inside its own callbacks. */
void		 client_free(struct client *);
/* Says QUIT, waits for nothing, and frees. */
void		 client_quit(struct client *);

/* Connects if it has to, and sends the mail to its open recipients. Exactly one done, from the loop. */
void		 client_send(struct client *, struct client_mail *, client_done_fn *, void *arg);
/* While it is kept idle: the server closed, or spoke out of turn. Once; it is to be freed then. */
void		 client_set_lost(struct client *, client_lost_fn *, void *arg);

/* Of CLIENT_FAILED: borrowed. */
struct verdict	*client_why(const struct client *);
/*
 * Of CLIENT_FAILED: nothing is wrong with the host, only with this connection: it was kept too long and closed before it
 * answered anything, or it has taken all messages that the server allows.
 */
bool		 client_is_used_up(const struct client *);
/* Whether there is an IPv4 address to fall back to: who refuses mail because it comes by IPv6 then ends the session only. */
void		 client_set_ipv4_left(struct client *, bool);
bool		 client_refused_ipv6(const struct client *);
int		 client_family(const struct client *);		/* AF_INET, AF_INET6 */
/* 0: there was a connection; or the errno of why not. */
int		 client_connect_error(const struct client *);
/* Whether the server takes a further message by this connection. */
bool		 client_may_go_on(const struct client *);
/* Whether all of the content is with the server: it can no longer be taken back. */
bool		 client_is_final(const struct client *);
/* Messages that it was given. */
unsigned	 client_count(const struct client *);

#endif
