/*
 * An envelope: who sent a message, to whom, and what else the next hop must know; and its form on the wire and on
 * disk (lib/pack.h). Strings are canonical addresses (lib/address.h). Pure.
 */
#ifndef LIB_ENVELOPE_H
#define LIB_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/pack.h"

enum envelope_flags {
	ENVELOPE_8BIT = 1,		/* content has bytes above 0x7f, or BODY=8BITMIME was given */
	ENVELOPE_UTF8 = 2,		/* MAIL FROM said SMTPUTF8 */
	ENVELOPE_DOTS = 4,		/* some line begins with a dot: must be stuffed for DATA */
	ENVELOPE_TRUSTED = 8,		/* from a trusted network or a local program */
	ENVELOPE_LONG_LINES = 16,	/* some line is over 998 bytes */
	ENVELOPE_HEADER_8BIT = 32,	/* the header has bytes above 0x7f; with SMTPUTF8 it is an internationalised one */
	ENVELOPE_SPF_FAIL = 64,		/* its sender's SPF record says that the client may not: nobody is told anything by mail */
	ENVELOPE_JUNK = 128,		/* accepted, but a filter takes it for spam: into the folder for it */
	ENVELOPE_LATER = 256,		/* from a local program: first tried when the queue is run, or after a while */
};

struct envelope_sender {
	char		*address;	/* "" for the null reverse-path */
	char		*client;	/* "192.0.2.1 (mail.example.org)", for the log; "" unknown */
	char		*session;	/* smtpd's id of the session */
	uint64_t	 session_id;	/* what lookup's tokens are bound to */
	uint64_t	 size;		/* declared by SIZE=, 0 unknown */
	uint32_t	 flags;
	char		*envid;		/* ENVID=, decoded; NULL none */
	uint8_t		 ret;		/* RET=: enum dsn_ret */
};

/*
 * What of a recipient is meant, where a whole mailbox is not: a command or file is named by its id only (lib/aliases.h), and
 * mda finds in root's aliases, or the user's own ~/.forward, what that is. Nobody else can make up one.
 */
enum envelope_part {
	ENVELOPE_WHOLE,
	ENVELOPE_MAILBOX,		/* his mailbox: neither aliases nor ~/.forward are looked at any more */
	ENVELOPE_ALIAS_COMMAND,
	ENVELOPE_ALIAS_FILE,
	ENVELOPE_FORWARD_COMMAND,
	ENVELOPE_FORWARD_FILE,
};

struct envelope_rcpt {
	char		*address;
	bool		 local;		/* class that the token vouches for */
	bool		 final;		/* came of an expansion: to mda as it stands, never expanded again */
	bool		 forwarded;	/* came of an alias or ~/.forward here, and goes on to another host */
	uint8_t		 part;		/* enum envelope_part */
	uint64_t	 part_id;
	uint8_t		 notify;	/* NOTIFY=: enum dsn_notify, 0 not said */
	char		*orcpt;		/* ORCPT=, "type;address", decoded; NULL none */
	char		*hop;		/* the next hop that an administrator chose (lib/route.h); NULL: as its domain has it */
};

void	envelope_pack_sender(struct pack *, const struct envelope_sender *);
void	envelope_pack_rcpt(struct pack *, const struct envelope_rcpt *);
/* New strings in *r, freed with the functions below. 0, or -1 (nothing to free): not a well-formed one. */
int	envelope_unpack_sender(struct unpack *, struct envelope_sender *r);
int	envelope_unpack_rcpt(struct unpack *, struct envelope_rcpt *r);
void	envelope_free_sender(struct envelope_sender *);
void	envelope_free_rcpt(struct envelope_rcpt *);
/* All strings new. */
void	envelope_copy_rcpt(struct envelope_rcpt *to, const struct envelope_rcpt *from);

#endif
