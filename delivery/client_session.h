/*
 * What the two halves of the client share: client.c (connection, reading, writing, deadlines, the end) and
 * client_steps.c (what is said and what follows from the answer). Included by nobody else.
 */
#ifndef DELIVERY_CLIENT_SESSION_H
#define DELIVERY_CLIENT_SESSION_H

#include <sys/socket.h>

#include "delivery/client.h"
#include "delivery/client_reply.h"
#include "delivery/client_verdict.h"
#include "lib/clock.h"
#include "lib/reply.h"
#include "lib/wire.h"

struct event;
struct evbuffer;
struct login;

#define CLIENT_OUT_BYTES	(64 * 1024)	/* queued to be written; one piece of content may come on top */

enum content_state {
	CONTENT_NONE,		/* not begun */
	CONTENT_FLOWING,	/* being taken from the body */
	CONTENT_ENDED,		/* all in the output, final dot included */
};

struct client {
	struct event_base	*base;
	struct sockaddr_storage	 address;
	socklen_t		 address_len;
	const char		*hostname;
	struct sockaddr_storage	 source;		/* of this family; AF_UNSPEC: any */
	char			*user, *password;	/* NULL: no login */
	struct login		*login;			/* under way */
	char			 host[VERDICT_HOST_MAX];
	bool			 lmtp;		/* RFC 2033: a reply to the content for each recipient */
	int			 fd;
	struct event		*read_event, *write_event, *over_event;
	struct evbuffer		*out;
	struct reply		 reply;
	struct client_offers	 offers;
	struct timer		 deadline;	/* of the awaited reply, or of a block of content */
	struct timer		 total;

	enum client_step	 step;		/* whose reply is awaited, see client_awaited() */
	enum client_step	 next;		/* sent next; STEP_IDLE: nothing for now */
	uint32_t		 awaited;	/* replies to commands sent */
	bool			 needs_rset;
	bool			 writing;	/* write_event is set */
	bool			 broken;	/* it takes nothing more; what it said before is still read */
	bool			 nodelay;	/* TCP_NODELAY is set */
	bool			 ipv4_left, refused_ipv6;
	int			 connect_error;
	int64_t			 began_ms;	/* to connect */
	unsigned		 count;		/* of messages */
	unsigned		 transactions;

	/* this message */
	struct client_mail	*mail;

	/* this transaction of it */
	bool			 utf8;			/* MAIL said SMTPUTF8 */
	bool			 quiet;			/* for those of whom nobody is to be told anything, without a sender */
	uint32_t		 asking, answering;	/* recipient: to be asked next, to be answered next */
	uint32_t		 n_asked, n_domains;	/* by RCPT; their different domains, where they are limited */
	uint32_t		 n_live;		/* of them, neither refused nor put off */
	unsigned		 accepted, replies;
	uint32_t		 storing;		/* LMTP: recipient whose reply to the content is due */
	enum content_state	 content;
	struct wire_out		 dots;
	bool			 ends_line;	/* content so far ends with CRLF, or there was none */
	size_t			 block;		/* bytes until its deadline is moved */
	size_t			 text_kept;

	/* the end, reported from the loop by over_event */
	bool			 over, stale, spent;	/* stale: closed while it was kept; spent: takes no further message */
	enum client_end		 end;
	struct verdict		*why;
	client_done_fn		*done;
	void			*done_arg;
	client_lost_fn		*on_lost;
	void			*lost_arg;
};

/* client.c */

/* Reported from the loop; only the first one counts. */
void	client_over(struct client *, enum client_end);
/* The transaction is settled; the connection stays. */
void	client_finish(struct client *, bool needs_rset);
/* The session cannot go on. Takes over why. */
void	client_fail(struct client *, struct verdict *why);
/* It does, because the server says what makes no sense. */
void	client_senseless(struct client *, const char *what);
/* A command was put into the output, and a reply to it is due. */
void	client_expect(struct client *);

/* client_login.c: what STEP_AUTH sends; and after a good reply whether it is over, and well. */
void	client_login_begin(struct client *);
bool	client_login_is_done(struct client *);

/* client_commands.c: puts one command into the output. */
void	client_send_ehlo(struct client *);
void	client_send_helo(struct client *);
void	client_send_auth(struct client *);
void	client_send_rset(struct client *);
void	client_send_mail(struct client *);
void	client_send_rcpt(struct client *);
void	client_send_data(struct client *);
void	client_send_content(struct client *);
/* The end of a content that is empty. */
void	client_send_nothing(struct client *);
/* Whether a recipient belongs into a transaction without a sender. */
bool	client_is_quiet(const struct client *, const struct client_rcpt *);
/* Behind the content a reply is due, or one for each recipient. */
void	client_expect_content(struct client *);
/* Moves content from the body to the output. False: there is none at hand. */
bool	client_put_content(struct client *);

/* client_steps.c */

/* Begins a transaction: settles what this server cannot take, and chooses the first command. */
void	client_begin(struct client *);
/* Whether there is a command to be sent that may go out now; and sends it. */
bool	client_may_send(const struct client *);
void	client_send_next(struct client *);
enum client_step client_awaited(struct client *);
int64_t	client_timeout_ms(enum client_step);
/* One whole reply is there. */
void	client_answer(struct client *);
/* All recipients of this transaction that are still open. Takes over the verdict. */
void	client_settle_live(struct client *, struct verdict *);

#endif
