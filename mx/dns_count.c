/*
 * A face of mx/dns.h that passes questions on to another one and counts them, so that whoever causes many can be told by it.
 * Decides nothing about a question; what it costs to cause many is for whoever made this face (smtpd/guard.c, by the chain).
 */
#include <stdlib.h>

#include "lib/alloc.h"
#include "mx/dns_face.h"

struct counting {
	struct dns	 dns;
	struct dns	*inner;			/* borrowed */
	unsigned	 asked;
};

struct passed_on {
	struct dns_question	 q;
	struct dns_question	*inner;		/* NULL: answered, or never asked */
};

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct passed_on *p = arg;

	p->inner = NULL;
	dns_question_finish(&p->q, answer);
}

/* The other face keeps the deadline. */
static void
counting_ask(struct dns_question *q, const char *name, uint32_t deadline_ms)
{
	struct counting *c = (struct counting *)q->dns;
	struct passed_on *p = (struct passed_on *)q;

	c->asked++;
	timer_stop(&q->timer);
	p->inner = dns_ask(c->inner, q->answer.type, name, deadline_ms, on_answer, p);
}

static void
counting_forget(struct dns_question *q)
{
	struct passed_on *p = (struct passed_on *)q;

	dns_cancel(p->inner);
	p->inner = NULL;
}

static void
counting_free(struct dns *dns)
{
	free(dns);
}

static const struct dns_face counting_face = {
	.question_size = sizeof(struct passed_on),
	.ask = counting_ask,
	.forget = counting_forget,
	.free = counting_free,
};

struct dns *
dns_new_counting(struct dns *inner)
{
	struct counting *c = alloc_new(1, sizeof(*c));

	dns_face_init(&c->dns, &counting_face);
	c->inner = inner;
	return &c->dns;
}

unsigned
dns_count(const struct dns *dns)
{
	return ((const struct counting *)dns)->asked;
}
