/*
 * The questions of both faces: opened, answered once from the loop, timed out or cancelled. How an answer is come by
 * is the face's business (mx/resolver.c, mx/dns_client.c).
 */
#include <stdlib.h>

#include "lib/alloc.h"
#include "mx/dns_face.h"

void
dns_face_init(struct dns *dns, const struct dns_face *face)
{
	dns->face = face;
	TAILQ_INIT(&dns->questions);
}

static void
question_gone(struct dns_question *q)
{
	TAILQ_REMOVE(&q->dns->questions, q, link);
	timer_stop(&q->timer);
	q->dns->face->forget(q);
}

static void
question_free(struct dns_question *q)
{
	dns_free_answer(&q->answer);
	free(q);
}

void
dns_question_finish(struct dns_question *q, const struct dns_answer *answer)
{
	question_gone(q);
	q->done(q->arg, answer);
	question_free(q);
}

static void
question_run(void *arg)
{
	struct dns_question *q = arg;

	dns_question_finish(q, &q->answer);
}

static struct dns_question *
question_new(struct dns *dns, enum dns_type type, dns_done_fn *done, void *arg)
{
	struct dns_question *q = alloc_new(1, dns->face->question_size);

	q->dns = dns;
	q->done = done;
	q->arg = arg;
	dns_answer_fail(&q->answer, type, DNS_TEMPORARY, DNS_WHY_TIMED_OUT);
	timer_set(&q->timer, question_run, q);
	TAILQ_INSERT_TAIL(&dns->questions, q, link);
	return q;
}

static void
question_fail(struct dns_question *q, enum dns_result result, enum dns_why why)
{
	enum dns_type type = q->answer.type;

	dns_free_answer(&q->answer);
	dns_answer_fail(&q->answer, type, result, why);
}

void
dns_question_expect(struct dns_question *q, enum dns_why why)
{
	question_fail(q, DNS_TEMPORARY, why);
}

void
dns_question_fail_later(struct dns_question *q, enum dns_result result, enum dns_why why)
{
	question_fail(q, result, why);
	timer_start(&q->timer, 0);
}

void
dns_question_answer_later(struct dns_question *q, struct dns_answer *answer)
{
	dns_free_answer(&q->answer);
	q->answer = *answer;
	timer_start(&q->timer, 0);
}

struct dns_question *
dns_ask(struct dns *dns, enum dns_type type, const char *name, uint32_t deadline_ms, dns_done_fn *done, void *arg)
{
	struct dns_question *q = question_new(dns, type, done, arg);

	if (deadline_ms == 0)
		deadline_ms = DNS_DEADLINE_MS;
	timer_start(&q->timer, deadline_ms);
	if (dns_name_askable(name))
		dns->face->ask(q, name, deadline_ms);
	else
		dns_question_fail_later(q, DNS_INVALID, DNS_WHY_BAD_NAME);
	return q;
}

void
dns_cancel(struct dns_question *q)
{
	if (q == NULL)
		return;
	question_gone(q);
	question_free(q);
}

void
dns_free(struct dns *dns)
{
	struct dns_question *q;

	if (dns == NULL)
		return;
	while ((q = TAILQ_FIRST(&dns->questions)) != NULL)
		dns_cancel(q);
	dns->face->free(dns);
}

const char *
dns_result_name(enum dns_result result)
{
	static const char *const names[] = {
		[DNS_OK] = "ok",
		[DNS_NXDOMAIN] = "nxdomain",
		[DNS_NODATA] = "nodata",
		[DNS_TEMPORARY] = "temporary",
		[DNS_INVALID] = "invalid",
	};

	return (unsigned)result < sizeof(names) / sizeof(names[0]) ? names[result] : "?";
}

bool
dns_type_known(unsigned type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_MX || type == DNS_PTR || type == DNS_TXT ||
	    type == DNS_TLSA || type == DNS_LIST;
}
