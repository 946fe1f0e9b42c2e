/*
 * Holds a message's content between queue and the next hop. Decides when more is asked for and whether it can be begun
 * again; does not know SMTP. Called by agent.c, which fills it, and by client.c, which empties it.
 *
 * The first MSG_INLINE_MAX bytes are kept until the end, so that nearly every message can be given to a second host; the
 * rest passes through. Offsets: head and content are one run of bytes, `taken` counts both, `received` content only.
 */
#include "delivery/body.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/messages.h"

struct body {
	char		*head;
	size_t		 head_len;
	uint64_t	 size;
	uint64_t	 received;		/* of size */
	uint64_t	 asked;			/* of size: up to here queue was asked to send */
	uint64_t	 taken;			/* of head_len + size */
	uint8_t		*first;			/* the part that is kept; made when something comes */
	size_t		 first_room;
	struct evbuffer	*more;			/* beyond it, not yet taken; made when something comes */
	body_pull_fn	*pull;
	void		*pull_arg;
	body_ready_fn	*ready;
	void		*ready_arg;
};

struct body *
body_new(const char *head, uint64_t size, body_pull_fn *pull, void *arg)
{
	struct body *b = alloc_new(1, sizeof(*b));

	b->head = alloc_text(head);
	b->head_len = strlen(head);
	b->size = size;
	b->first_room = size < MSG_INLINE_MAX ? (size_t)size : MSG_INLINE_MAX;
	b->pull = pull;
	b->pull_arg = arg;
	return b;
}

void
body_free(struct body *b)
{
	if (b == NULL)
		return;
	if (b->more != NULL)
		evbuffer_free(b->more);
	free(b->first);
	free(b->head);
	free(b);
}

void
body_set_ready(struct body *b, body_ready_fn *ready, void *arg)
{
	b->ready = ready;
	b->ready_arg = arg;
}

static void
body_keep(struct body *b, const uint8_t *data, size_t len)
{
	if (len == 0)
		return;
	if (b->first == NULL)
		b->first = alloc_raw(b->first_room);
	memcpy(b->first + b->received, data, len);
	b->received += len;
}

int
body_put(struct body *b, const void *data, size_t len)
{
	uint64_t allowed = b->asked > b->first_room ? b->asked : b->first_room;
	size_t kept = 0;

	if (len > allowed - b->received)
		return -1;
	if (b->received < b->first_room) {
		kept = b->first_room - (size_t)b->received;
		if (kept > len)
			kept = len;
		body_keep(b, data, kept);
	}
	if (len > kept) {
		if (b->more == NULL)
			b->more = alloc_must(evbuffer_new());
		if (evbuffer_add(b->more, (const uint8_t *)data + kept, len - kept) != 0)
			log_fatal("event=memory where=body");
		b->received += len - kept;
	}
	if (b->ready != NULL)
		b->ready(b->ready_arg);
	return 0;
}

/* Keeps up to MSG_CREDIT bytes on their way or held; asks in halves, so that a slow next hop costs few messages. */
static void
body_ask(struct body *b)
{
	uint64_t passed = b->taken > b->head_len ? b->taken - b->head_len : 0;
	uint64_t expected = b->asked > b->received ? b->asked : b->received;
	uint64_t goal = passed + MSG_CREDIT < b->size ? passed + MSG_CREDIT : b->size;

	if (goal <= expected)
		return;
	if (goal - expected < MSG_CREDIT / 2 && goal < b->size && expected > passed)
		return;
	b->asked = goal;
	b->pull(b->pull_arg, (uint32_t)(goal - expected));
}

size_t
body_peek(struct body *b, const uint8_t **data_r)
{
	uint64_t at;
	size_t len;

	*data_r = NULL;
	if (b->taken < b->head_len) {
		*data_r = (const uint8_t *)b->head + b->taken;
		return b->head_len - (size_t)b->taken;
	}
	body_ask(b);
	at = b->taken - b->head_len;
	if (at < b->first_room) {
		len = (size_t)((b->received < b->first_room ? b->received : b->first_room) - at);
		if (len > 0)
			*data_r = b->first + at;
		return len;
	}
	if (b->more == NULL || (len = evbuffer_get_contiguous_space(b->more)) == 0)
		return 0;
	*data_r = evbuffer_pullup(b->more, (ev_ssize_t)len);
	return len;
}

void
body_skip(struct body *b, size_t len)
{
	if (b->taken >= b->head_len + (uint64_t)b->first_room)
		evbuffer_drain(b->more, len);
	b->taken += len;
	if (b->taken >= b->head_len)
		body_ask(b);
}

bool
body_at_end(const struct body *b)
{
	return b->taken == b->head_len + b->size;
}

bool
body_is_here(const struct body *b)
{
	return b->received == b->size;
}

uint64_t
body_total(const struct body *b)
{
	return b->head_len + b->size;
}

bool
body_rewind(struct body *b)
{
	if (b->taken > b->head_len + (uint64_t)b->first_room)
		return false;
	b->taken = 0;
	return true;
}
