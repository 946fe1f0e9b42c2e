/*
 * Recipients whose ~/.forward names others (queue/attempt.h): each becomes a message of its own, with the field
 * Delivered-To, by which it is known again should it come back. Decides what mda may say of a recipient, and what goes
 * in circles here already. Called by transfer.c when mda has reported all results.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "queue/attempt.h"
#include "queue/child.h"

struct about {
	struct attempt		*attempt;
	struct attempt_rcpt	*rcpt;
};

static void	forward_next(struct attempt *);

/* mda names others' addresses as anybody could; mailboxes, commands and files are the recipient's own. */
bool
forward_is_sane(const struct attempt_rcpt *r, const struct job_result *j)
{
	for (uint32_t i = 0; i < j->n_targets; i++) {
		const struct envelope_rcpt *t = &j->targets[i];
		bool own = t->part == ENVELOPE_MAILBOX || t->part == ENVELOPE_FORWARD_COMMAND || t->part == ENVELOPE_FORWARD_FILE;

		if (t->part == ENVELOPE_WHOLE ? t->final || strrchr(t->address, '@') == NULL :
		    !own || !t->local || !t->final || strcmp(t->address, r->rcpt.address) != 0)
			return false;
	}
	return r->rcpt.part == ENVELOPE_WHOLE;
}

static void
on_done(void *arg, const char *error)
{
	struct about *about = arg;
	struct attempt *a = about->attempt;
	struct attempt_rcpt *r = about->rcpt;

	free(about);
	a->reading = false;
	r->result = RESULT_NONE;
	if (error != NULL) {
		log_error("msg=%s event=forward-failed to=%s reason=%s", id_text(a->message), logq(r->rcpt.address), logq(error));
		attempt_set(r, RESULT_DEFERRED, "4.3.0", "the forwarded message could not be stored");
	} else {
		attempt_set(r, RESULT_EXPANDED, "2.0.0", "");
	}
	attempt_drop_targets(r);
	forward_next(a);
}

/* What the sender said of reports holds for those who get it in his stead (RFC 3461, 5.2.7). */
static void
inherit(struct attempt_rcpt *r, const struct conf *conf)
{
	expansion_pass_on(r);
	for (uint32_t i = 0; i < r->n_targets; i++) {
		struct envelope_rcpt *t = &r->targets[i];
		const char *at = strrchr(t->address, '@');

		if (t->part == ENVELOPE_WHOLE) {
			t->local = at != NULL && conf_is_local(conf, at + 1);
			t->forwarded = !t->local;
		}
	}
}

static void
forward(struct attempt *a, struct attempt_rcpt *r)
{
	char field[ADDRESS_MAX + 32];
	struct about *about;

	snprintf(field, sizeof(field), "Delivered-To: %s\r\n", r->rcpt.address);
	if (strlen(field) + strlen(a->head) > CHILD_HEAD_MAX) {
		r->result = RESULT_NONE;
		attempt_set(r, RESULT_FAILED, "5.4.6", "It is forwarded from one to the other here, again and again.");
		attempt_drop_targets(r);
		forward_next(a);
		return;
	}
	about = alloc_raw(sizeof(*about));
	*about = (struct about){ a, r };
	a->reading = true;
	inherit(r, a->dispatch->queue->p.conf);
	child_begin(a, r, a->sender, field, on_done, about);
}

static void
forward_next(struct attempt *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct attempt_rcpt *r = &a->rcpts[i];

		if (r->result != RESULT_FORWARDED)
			continue;
		if (!a->dispatch->stopping) {
			forward(a, r);
			return;
		}
		r->result = RESULT_NONE;
		attempt_set(r, RESULT_AWAY, "4.3.2", "the server is stopping");
		attempt_drop_targets(r);
	}
	attempt_end(a, a->end);
}

void
forward_begin(struct attempt *a, enum schedule_end end)
{
	a->end = end;
	forward_next(a);
}
