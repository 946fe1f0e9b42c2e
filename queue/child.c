/*
 * Makes a message of another one (queue/child.h): a list's with its owner as sender, a user's that he forwards. Reads the
 * parent's content piece by piece and writes it as the child's; decides nothing about either. Called by expansion.c and
 * forward.c.
 */
#include "queue/child.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/messages.h"

struct child {
	struct attempt		*attempt;
	struct attempt_rcpt	*rcpt;
	uint64_t		 id;
	char			*sender, *head;
	uint8_t			*content;	/* of a small one */
	struct log_file		*file;		/* of a large one */
	uint64_t		 done;		/* bytes */
	bool			 reserved;
	child_fn		*callback;
	void			*arg;
};

static void	read_next(struct child *);

static struct log *
log_of(const struct child *c)
{
	return c->attempt->dispatch->queue->log;
}

static void
end(struct child *c, const char *error)
{
	child_fn *callback = c->callback;
	void *arg = c->arg;

	if (c->reserved)
		log_release(log_of(c), c->attempt->size);
	log_file_discard(c->file);
	free(c->sender);
	free(c->head);
	free(c->content);
	free(c);
	callback(arg, error);
}

static void
on_accepted(void *arg, const char *error)
{
	struct child *c = arg;
	struct attempt *a = c->attempt;

	if (error == NULL) {
		log_info("msg=%s event=born parent=%s for=%s from=%s rcpts=%u size=%" PRIu64, id_text(c->id), id_text(a->message),
		    logq(c->rcpt->rcpt.address), logq(c->sender), c->rcpt->n_targets, a->size);
		dispatch_add(a->dispatch, c->id, a->arrived_ms, c->sender, c->rcpt->targets, 0, c->rcpt->n_targets);
	}
	end(c, error);
}

static void
accept_child(struct child *c)
{
	const struct attempt *a = c->attempt;
	char text[64];
	struct log_outcome settled = { .index = c->rcpt->index, .state = LOG_EXPANDED, .attempts = c->rcpt->attempts + 1,
	    .text = text };
	struct envelope_sender sender = { .address = c->sender, .client = (char[]){ "" }, .session = a->session,
	    .size = a->size, .flags = a->flags };
	bool same = strcmp(c->sender, a->sender) == 0;
	struct log_accept accept = { .id = c->id, .arrived = a->arrived, .sender = &sender, .rcpts = c->rcpt->targets,
	    .n_rcpts = c->rcpt->n_targets, .head = c->head, .content = c->content, .file = c->file,
	    .content_len = c->file == NULL ? (size_t)a->size : 0, .parent = a->message, .outcomes = &settled, .n_outcomes = 1 };

	if (same) {		/* what he asked about reports is his still */
		sender.envid = a->envid;
		sender.ret = a->ret;
	}
	snprintf(text, sizeof(text), "goes on as %s", id_text(c->id));
	c->reserved = false;
	c->file = NULL;
	log_accept(log_of(c), &accept, a->size, on_accepted, c);
}

/* ---- content ---- */

static void
on_written(void *arg, const char *error)
{
	struct child *c = arg;

	if (error != NULL)
		end(c, error);
	else
		read_next(c);
}

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct child *c = arg;

	if (error == NULL && c->done == c->attempt->size) {	/* there is none */
		accept_child(c);
		return;
	}
	if (error != NULL || len == 0) {
		end(c, error != NULL ? error : "the content is shorter than it was");
		return;
	}
	if (len > c->attempt->size - c->done)
		len = (size_t)(c->attempt->size - c->done);
	if (c->file == NULL)
		memcpy(c->content + c->done, data, len);
	c->done += len;
	if (c->file != NULL)
		log_file_write(c->file, data, len, on_written, c);
	else
		read_next(c);
}

static void
on_no_room(void *arg, const void *data, size_t len, const char *error)
{
	(void)data;
	(void)len;
	(void)error;
	end(arg, LOG_NO_ROOM);
}

static void
read_next(struct child *c)
{
	uint64_t left = c->attempt->size - c->done;

	if (left == 0)
		accept_child(c);
	else
		log_read_content(log_of(c), c->attempt->message, c->done, left < MSG_CHUNK_MAX ? (size_t)left : MSG_CHUNK_MAX,
		    on_content, c);
}

void
child_begin(struct attempt *a, struct attempt_rcpt *r, const char *sender, const char *field, child_fn *callback, void *arg)
{
	struct child *c = alloc_new(1, sizeof(*c));

	c->sender = alloc_text(sender);
	c->head = alloc_printf("%s%s", field, a->head);
	c->attempt = a;
	c->rcpt = r;
	c->callback = callback;
	c->arg = arg;
	c->id = log_new_id(log_of(c));
	c->reserved = log_reserve(log_of(c), a->size);
	if (a->size > MSG_INLINE_MAX)
		c->file = log_file_new(log_of(c), c->id);
	else
		c->content = alloc_raw(a->size + 1);
	/* Also where there is no room: the answer must come from the loop, as that of a read does. */
	log_read_content(log_of(c), a->message, 0, MSG_CHUNK_MAX, c->reserved ? on_content : on_no_room, c);
}
