/*
 * What stands between a stranger's session and everything else: the facts that filters are given, the chain of filters, and
 * what was waited. Trusted and local clients have none, and cost nothing here. Private to smtpd/.
 *
 * Each question leads to one `done`, from the loop, while the session waits (WAIT_FILTERS); a session that ends meanwhile
 * gets none.
 */
#ifndef SMTPD_GUARD_H
#define SMTPD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "filters/chain.h"
#include "filters/facts.h"
#include "filters/memory.h"

struct refusal;
struct session;
struct smtpd;

/* why NULL: it passes. Borrowed. */
typedef void	guard_done_fn(struct session *, const struct refusal *why);

struct guard {
	struct filters	*filters;		/* borrowed */
	struct chain	*chain;
	struct facts	 facts;
	unsigned	 charged;		/* of the questions that filters have asked DNS, those that its pace has paid for */
	size_t		 held;			/* bytes of memory that the session was charged for these */
	guard_done_fn	*done;			/* while WAIT_FILTERS */
	enum facts_stage stage;			/* … which decision */

	char		*recipient;		/* the one that was judged last: facts point to it; NULL: none yet */

	/* the header, complete, and as it came; NULL before that */
	char		*header;
	struct chain_decision *last;		/* as it was decided at the end; NULL: not yet */
	bool		 told;			/* the journal has a decision of this session */

	/* pace.c's account */
	bool		 waited;		/* for the greeting, to its end and in silence */
	bool		 delayed;		/* waits now, and counts among those that do */
	bool		 paid;			/* the replies that are gathered have been waited for */
	bool		 content;		/* a message has been sent: replies are throttled no more */
	int		 worst;			/* code among the replies that are gathered */
	unsigned	 hard, soft;		/* refusals so far */
	int64_t		 since_ms;		/* of the delay under way */
	int64_t		 spent_ms, would_ms;
};

/* For a stranger, whose address this is; lookups start. Replaces an earlier one; none when there are no filters. */
void	guard_new(struct session *, const struct sockaddr *);
void	guard_free(struct session *);

/* It said EHLO or HELO; MAIL; the transaction is over. */
void	guard_helo(struct session *);
void	guard_mail(struct session *);
void	guard_reset(struct session *);
/* Its network pays for what filters have asked DNS because of it; at the end of each of these, and of the session. */
void	guard_charge(struct session *);

/* The three decisions; each suspends the session. */
void	guard_rcpt(struct session *, guard_done_fn *);		/* of tx->asking, which exists */
void	guard_data(struct session *, guard_done_fn *);
void	guard_end(struct session *, guard_done_fn *);		/* guard_header and guard_body had all of it */
/* Filters have taken longer than they can: taken as if they had nothing against it. */
void	guard_late(struct session *);

/* The header with the empty line, complete; then what follows it. */
void	guard_header(struct session *, const uint8_t *, size_t len);
void	guard_body(struct session *, const void *, size_t len);
/* The fields for the top of a message that was taken, and flags for its envelope. The former returns the length. */
size_t	guard_fields(const struct session *, char *to, size_t size);
uint32_t guard_flags(const struct session *);

/* For memory: how it behaved. */
void	guard_note(const struct session *, enum memory_note);
/* The message was taken, under that id: for memory and the journal. */
void	guard_accepted(struct session *, const char *message);

#endif
