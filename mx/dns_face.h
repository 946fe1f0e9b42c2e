/*
 * What the two faces of mx/dns.h share: a question with its deadline and its one callback. For mx/ only.
 *
 * A question always holds the answer that its timer will deliver: "timed out" from the start, another one as soon as
 * it is known before the loop has turned. So the deadline and "never from inside dns_ask()" are the same mechanism.
 */
#ifndef MX_DNS_FACE_H
#define MX_DNS_FACE_H

#include <sys/queue.h>

#include "lib/clock.h"
#include "mx/dns.h"
#include "mx/dns_answer.h"

struct dns_face {
	size_t		question_size;			/* of the face's own struct */
	/* Do whatever leads to the answer. The name is one that can be asked. */
	void		(*ask)(struct dns_question *, const char *name, uint32_t deadline_ms);
	/* The question is about to be freed, answered or not, or not even asked: let go of it. */
	void		(*forget)(struct dns_question *);
	void		(*free)(struct dns *);		/* no question is left */
};

struct dns {
	const struct dns_face			*face;
	TAILQ_HEAD(, dns_question)		 questions;	/* all that are open */
};

struct dns_question {			/* first in the struct of a face; the rest of that begins as zeroes */
	struct dns		*dns;
	dns_done_fn		*done;
	void			*arg;
	struct timer		 timer;
	struct dns_answer	 answer;	/* to deliver when the timer runs */
	TAILQ_ENTRY(dns_question) link;
};

void	 dns_face_init(struct dns *, const struct dns_face *);
/* What the timer will deliver when nothing else comes. */
void	 dns_question_expect(struct dns_question *, enum dns_why);
/* Delivered by the loop's next turn instead of what was expected. */
void	 dns_question_fail_later(struct dns_question *, enum dns_result, enum dns_why);
void	 dns_question_answer_later(struct dns_question *, struct dns_answer *);	/* takes over the contents */
/* Now, from the loop: the callback, then the question is gone. */
void	 dns_question_finish(struct dns_question *, const struct dns_answer *);

#endif
