/*
 * An attempt that is an expansion: asks lookup for each recipient, and records what stands in its place.
 * Decides what an answer means: a mailbox goes to mda as it is, without a record (asking again after a
 * restart does no harm); anything else is one record that settles the recipient and adds the others, so
 * that no crash can expand it twice. A list with an owner becomes a message of its own, of which he is the
 * sender (child.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/dsn.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "queue/attempt.h"
#include "queue/child.h"
#include "queue/expand.h"

/* What a question is about. */
struct about {
	struct attempt		*attempt;
	struct attempt_rcpt	*rcpt;
};

/* Addresses that have the message in any case: who is named twice, by himself and in a list, gets it once. */
struct seen {
	UT_hash_handle		 hh;
	char			 address[];
};

static void	record_next(struct attempt *);

/* An address may be there as itself, and for each of its commands and files. Whether that is new. */
static bool
is_new(struct attempt *a, const struct envelope_rcpt *r)
{
	size_t size = strlen(r->address) + 20;
	struct seen *s = alloc_raw(sizeof(*s) + size), *known;

	snprintf(s->address, size, "%s %" PRIx64, r->address, r->part_id);
	HASH_FIND_STR(a->seen, s->address, known);
	if (known != NULL)
		free(s);
	else
		HASH_ADD_STR(a->seen, address, s);
	return known == NULL;
}

void
expansion_saw(struct attempt *a, const struct envelope_rcpt *r)
{
	is_new(a, r);
}

void
expansion_forget(struct attempt *a)
{
	struct seen *s, *tmp;

	HASH_ITER(hh, a->seen, s, tmp) {
		HASH_DEL(a->seen, s);
		free(s);
	}
}

/* Takes out the targets that have the message already. */
static void
drop_seen(struct attempt *a, struct attempt_rcpt *r)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->n_targets; i++) {
		if (!is_new(a, &r->targets[i])) {
			envelope_free_rcpt(&r->targets[i]);
			continue;
		}
		r->targets[kept++] = r->targets[i];
	}
	r->n_targets = kept;
}

/* All is known and recorded. */
static void
finish(struct attempt *a)
{
	enum schedule_end end = SCHEDULE_ANSWERED;

	for (uint32_t i = 0; i < a->n; i++)
		if (a->rcpts[i].result == RESULT_AWAY)
			end = SCHEDULE_AWAY;
	attempt_end(a, end);
}

static void
on_recorded(void *arg, const char *error)
{
	struct about *about = arg;
	struct attempt *a = about->attempt;
	struct attempt_rcpt *r = about->rcpt;

	free(about);
	a->reading = false;
	if (error != NULL) {
		attempt_set(r, RESULT_DEFERRED, "4.3.0", "the expansion could not be recorded");
		log_error("msg=%s event=expand-failed to=%s reason=%s", id_text(a->message), logq(r->rcpt.address),
		    logq(error));
	} else {
		attempt_set(r, RESULT_EXPANDED, "2.0.0", "");
		log_info("msg=%s event=expanded to=%s n=%u", id_text(a->message), logq(r->rcpt.address), r->n_targets);
		if (r->owner != NULL)
			attempt_drop_targets(r);	/* they are another message's */
	}
	if (a->over)
		attempt_end(a, a->end);
	else
		record_next(a);
}

/* An ORCPT of our own, so that a report about the one who stands for an alias names what the sender wrote. */
static char *
own_orcpt(const char *address)
{
	bool ascii = true;

	for (const char *c = address; *c != '\0'; c++)
		ascii &= (unsigned char)*c < 0x80;
	return alloc_printf("%s;%s", ascii ? "rfc822" : "utf-8", address);
}

/*
 * One who stands for an alias takes its place altogether. Of several nobody reports success, for the sender has heard of the
 * expansion; what a list's owner sends on is the list's and no longer the sender's.
 */
void
expansion_pass_on(struct attempt_rcpt *r)
{
	uint8_t notify = r->rcpt.notify;

	if (r->n_targets != 1 && (notify & DSN_SUCCESS) != 0)
		notify = (notify & ~DSN_SUCCESS) != 0 ? (uint8_t)(notify & ~DSN_SUCCESS) : DSN_NEVER;
	for (uint32_t i = 0; i < r->n_targets && r->owner == NULL; i++) {
		struct envelope_rcpt *t = &r->targets[i];

		t->notify = notify;
		if (t->orcpt == NULL)
			t->orcpt = alloc_text(r->rcpt.orcpt);
		if (t->orcpt == NULL && r->n_targets == 1 && strlen(r->rcpt.address) + 8 < DSN_ORCPT_MAX)
			t->orcpt = own_orcpt(r->rcpt.address);
	}
}

/* One at a time: the indexes of those added begin where the message's recipients end now. */
static void
record_now(void *arg)
{
	struct about *about = arg;
	struct attempt *a = about->attempt;
	struct attempt_rcpt *r = about->rcpt;
	struct log *log = a->dispatch->queue->log;
	struct log_message m;

	if (a->over || !log_find(log, a->message, &m)) {
		on_recorded(about, a->over ? "the attempt was cancelled" : "the message has gone");
		return;
	}
	r->first_target = m.n_rcpts;
	a->reading = true;
	if (r->owner != NULL && r->n_targets > 0) {
		child_begin(a, r, r->owner, "", on_recorded, about);
		return;
	}
	log_expand(log, a->message, r->index, r->targets, r->n_targets, on_recorded, about);
}

/* Its sender hears that it stands for others: once, whatever happens, for the report's record bears the mark. */
static void
tell_expanded(struct attempt *a, const struct attempt_rcpt *r, struct about *about)
{
	struct attempt_rcpt *one = alloc_new(1, sizeof(*one));

	one->before = alloc_text(r->before);
	one->past = alloc_text(r->past);
	one->index = r->index;
	one->attempts = r->attempts;
	one->before_at = r->before_at;
	one->next_try = r->next_try;
	one->marks_before = r->marks;
	one->marks = r->marks | LOG_TOLD_EXPANDED;
	one->untried = true;
	envelope_copy_rcpt(&one->rcpt, &r->rcpt);
	attempt_set(one, RESULT_EXPANDED, "2.0.0", "");
	a->reading = true;
	tell_now(a->dispatch, a, TELL_EXPANDED, one, 1, record_now, about);
}

static void
record(struct attempt *a, struct attempt_rcpt *r)
{
	struct about *about = alloc_raw(sizeof(*about));

	*about = (struct about){ a, r };
	drop_seen(a, r);
	expansion_pass_on(r);
	if ((r->n_targets != 1 || r->owner != NULL) && (r->marks & LOG_TOLD_EXPANDED) == 0 && tell_wants(a, r, TELL_EXPANDED))
		tell_expanded(a, r, about);
	else
		record_now(about);
}

static void
record_next(struct attempt *a)
{
	for (uint32_t i = 0; i < a->n && !a->dispatch->stopping; i++) {
		if (a->rcpts[i].result == RESULT_NONE) {
			record(a, &a->rcpts[i]);
			return;
		}
	}
	finish(a);
}

static bool
is_itself(const struct attempt_rcpt *r, const struct expand_answer *e)
{
	return e->n == 1 && e->targets[0].local && e->targets[0].part == ENVELOPE_WHOLE && strcmp(e->targets[0].address, r->rcpt.address) == 0;
}

/* What is said to the sender names no file and no other recipient: that is for our log. */
static void
take_answer(struct attempt *a, struct attempt_rcpt *r, struct expand_answer *e)
{
	switch (e->verdict) {
	case EXPAND_OK:
		if (is_itself(r, e)) {
			attempt_set(r, RESULT_DIRECT, "2.0.0", "");
			expansion_saw(a, &r->rcpt);
			break;
		}
		if (e->owner[0] != '\0' && strcmp(e->owner, a->sender) != 0)
			r->owner = alloc_text(e->owner);
		r->targets = e->targets;
		r->n_targets = e->n;
		e->targets = NULL;
		break;
	case EXPAND_UNKNOWN:
		attempt_set(r, RESULT_FAILED, "5.1.1", "There is no such recipient here any more.");
		break;
	case EXPAND_LOOP:
		attempt_set(r, RESULT_FAILED, "5.4.6", "The recipient is an alias that leads back to itself.");
		break;
	case EXPAND_ERROR:
		attempt_set(r, RESULT_FAILED, "5.3.5", "The recipient is an alias that this system cannot follow.");
		break;
	case EXPAND_TEMPORARY:
		attempt_set(r, e->away ? RESULT_AWAY : RESULT_DEFERRED, "4.3.0", e->text);
		break;
	}
}

static void
on_answer(void *arg, struct expand_answer *e)
{
	struct about *about = arg;
	struct attempt *a = about->attempt;

	if (e->verdict != EXPAND_OK && !e->away)
		log_info("msg=%s event=not-expanded to=%s verdict=%d reason=%s", id_text(a->message),
		    logq(about->rcpt->rcpt.address), (int)e->verdict, logq(e->text));
	take_answer(a, about->rcpt, e);
	free(about);
	if (--a->waiting == 0)
		record_next(a);
}

void
expansion_begin(struct attempt *a)
{
	struct about *about;

	for (uint32_t i = 0; i < a->n; i++) {
		if (a->rcpts[i].rcpt.final) {
			attempt_set(&a->rcpts[i], RESULT_DIRECT, "2.0.0", "");
			continue;
		}
		about = alloc_raw(sizeof(*about));
		*about = (struct about){ a, &a->rcpts[i] };
		a->waiting++;
		expand_ask(a->dispatch->queue->expand, a->ipc, a->rcpts[i].rcpt.address, a->sender, on_answer, about);
	}
	if (a->waiting == 0)
		record_next(a);
}
