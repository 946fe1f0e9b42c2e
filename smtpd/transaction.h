/*
 * One message on its way in, from MAIL to queue's word on it. Private to smtpd/.
 *
 * Up to MSG_INLINE_MAX bytes stay here and go to queue whole, at the end; what is larger streams by credit. A refusal
 * that is found before the end is kept (the first one counts), the rest of the content is read and thrown away.
 * Whatever replies may end the session, and with it the transaction: nothing here is looked at after a reply.
 */
#ifndef SMTPD_TRANSACTION_H
#define SMTPD_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "lib/hash.h"
#include "lib/ipc.h"
#include "lib/wire.h"
#include "smtpd/headscan.h"
#include "smtpd/params.h"

struct session;
struct smtpd;

struct recipient {
	UT_hash_handle	 hh;			/* who is named twice gets one copy */
	bool		 local;
	uint8_t		 notify;		/* as RCPT said: enum dsn_notify */
	char		*orcpt;			/* NULL none */
	uint8_t		 token_len;
	uint8_t		 token[64];		/* lookup's, for queue */
	char		 address[];		/* … and behind its NUL the key that hh holds it by */
};

struct transaction {
	uint64_t	 id;			/* towards queue */
	char		*sender;
	uint64_t	 declared;		/* SIZE=, 0 unknown */
	bool		 eight_bit, utf8, later;	/* as MAIL said */
	bool		 source_route;		/* the sender came with one, which was dropped */
	uint8_t		 ret;			/* so, too: enum dsn_ret */
	char		*envid;			/* NULL none */
	struct recipient *recipients;		/* in the order they came */
	char		*asking;		/* the one that lookup and filters are looking at; NULL */
	struct {				/* what lookup said of it */
		bool	 local;
		uint8_t	 token_len, token[64];
	} asked;
	struct params_rcpt asking_for;		/* what was said of it */
	int64_t		 began_ms;
	int64_t		 room_until_ms;		/* so long it waits for room on the way to queue; 0: it does not */

	struct wire_in	 wire;
	struct headscan	 header;
	struct refusal	 refusal;		/* what it will come to; code 0: nothing wrong so far */
	uint8_t		*content;		/* gathered, while it is not streaming */
	size_t		 len, room;
	size_t		 at;			/* of it, what queue has */
	size_t		 searched;		/* how far the header's end was looked for */
	size_t		 header_len;		/* of the header with its empty line, once a stranger's is complete; 0 before */

	bool		 complete;		/* all of the content has come */
	bool		 dropped;		/* its content is not kept: pretend.h */
	bool		 judged;		/* filters have let it pass */
	bool		 sent;			/* queue knows of it: it must hear an end */
	bool		 ended;			/* MAIL_END is sent: queue's answer counts */
	int64_t		 recipients_size;	/* memory that they take */
	uint64_t	 passed, taken;		/* content bytes sent to queue, and what it gave credit for */
};

/* 0, or -1 without memory. */
int	transaction_new(struct session *, const struct address *sender, const struct params_mail *);
/* Forgets it, here and in queue; the session is ready for the next. Without one: nothing. */
void	transaction_free(struct session *);
/* The session ends by no wish of the client's: says in the log whose message stays unfinished, if there is one. */
void	transaction_left(const struct session *);
/* 0, or -1 without memory. */
int	transaction_add(struct session *, const char *address, bool local, const void *token, size_t len);
/* Whether it was named before. */
bool	transaction_has(const struct session *, const char *address);

/* Why the message will be refused; the first reason stays. What was gathered or streamed goes. */
void	transaction_refuse(struct session *, const struct refusal *);
/* Content. May suspend the session until queue gives credit. */
void	transaction_content(struct session *, const uint8_t *, size_t);
/* How many bytes of content may come now. */
size_t	transaction_room(const struct transaction *);
/* The content is complete: gives it to queue and suspends, or refuses. */
void	transaction_end(struct session *);

/* The wait under way has lasted too long. */
void	transaction_timeout(struct session *);
/* queue or lookup has gone: 451 for every message whose content is under way, as it counted on them. */
void	transaction_peer_down(struct smtpd *, enum proc);

ipc_handler_fn	transaction_on_credit, transaction_on_done;

#endif
