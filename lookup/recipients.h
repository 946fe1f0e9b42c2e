/*
 * Who is a recipient here, and what a recipient expands to. Pure but for the password file, directories and lists that
 * are looked at while a question is answered.
 */
#ifndef LOOKUP_RECIPIENTS_H
#define LOOKUP_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/address.h"
#include "filters/srs.h"
#include "lib/aliases.h"
#include "lib/conf.h"
#include "lib/messages.h"

/* What every question needs. */
struct recipients {
	const struct conf	*conf;
	const struct aliases	*aliases;	/* as they are at this question; NULL: they cannot be read */
	uid_t			 started_by;	/* lib/mailbox.h */
	const struct srs_secrets *srs;		/* list[0] NULL: no such addresses here */
	/* Of an expansion, for who wants to see how it comes about (NULL: nobody): "alias" (detail: its line), "list",
	 * "root_mail", "mailbox", "remote", "command", "file", "owner"; depth counts what leads there. */
	void			(*tell)(void *arg, unsigned depth, const char *kind, const char *value, const char *detail);
	void			*tell_arg;
};

enum recipient_kind {
	RECIPIENT_NONE,
	RECIPIENT_ALIAS,		/* *alias_r */
	RECIPIENT_MAILBOX,
	RECIPIENT_ROOT,			/* root or postmaster, of which aliases and mailboxes know nothing */
	RECIPIENT_SRS,			/* of a sender that this server rewrote: bounces go back to him */
	RECIPIENT_TEMPORARY,
};

/* Whether an address is ours: in a local domain, or postmaster without one. */
bool			recipients_is_local(const struct recipients *, const struct address *);
/* domain "" counts as the first local one. Aliases go before mailboxes, a whole local part before one without its tag,
 * and what a whole domain has an alias for comes last. */
enum recipient_kind	recipients_find(const struct recipients *, const char *local, const char *domain,
			    const struct alias **alias_r);
/* The same for a target of an alias, of which mda will find out whether it exists: a list of 50,000 is not looked up name
 * by name in the password file. What is neither alias, root nor postmaster is taken for a mailbox. */
enum recipient_kind	recipients_find_target(const struct recipients *, const char *local, const char *domain,
			    const struct alias **alias_r);

/* Whom an address that this server signed stands for; to: ADDRESS_MAX. False: it is none. */
bool			recipients_srs(const struct recipients *, const char *local, const char *domain, char *to);

/* The answer to EXPAND_ASK. */
struct target {
	enum target_kind kind;
	char		*address;
	uint64_t	 id;		/* of a command or file */
};

struct expansion {
	enum expand_verdict	 verdict;
	struct target		*targets;	/* of EXPAND_OK; each address once, in the order of the lists */
	size_t			 n, room;
	char			 text[600];	/* of the others: why */
	char			 owner[ADDRESS_MAX];	/* reverse-path from here on; "" as it is */
};

/* sender: the mail's, "" the null reverse-path. */
void			targets_find(const struct recipients *, const struct address *, const char *sender, struct expansion *);
void			expansion_free(struct expansion *);	/* what is in it */

#endif
