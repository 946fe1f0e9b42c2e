/*
 * Room on the disk: whether a message may come in, whether an attempt may start. Decides by what is free and already
 * promised; segments themselves are allocated by the writer, which keeps a spare one. Called by log.c and from log.h.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/alloc.h"
#include "lib/messages.h"
#include "queue/disk.h"
#include "queue/log_private.h"

#define INODES_LEAST	64U		/* spare, segments and their indexes, large files under way */
#define RECORD_EXTRA	8192U		/* of a message beside its content */

struct look {
	struct work		 work;		/* first */
	struct log		*log;
	struct disk_space	 found;
	int			 result;
};

static void
look_run(void *w)
{
	struct look *k = w;

	k->result = disk_space(k->log->segfd, &k->found);
}

static void
look_done(void *w)
{
	struct look *k = w;
	struct space *s = &k->log->space;

	s->looking = false;
	if (k->result == 0) {
		s->bytes = k->found.bytes;
		s->inodes = k->found.inodes;
	}
	free(k);
}

void
space_look(struct log *l)
{
	struct look *k;

	if (l->space.looking || l->closing)
		return;
	k = alloc_new(1, sizeof(*k));
	k->log = l;
	l->space.looking = true;
	commit_work(l->commit, &k->work, look_run, look_done);
}

void
space_init(struct log *l)
{
	struct disk_space found;

	l->space.spare = true;		/* until the writer says otherwise */
	if (disk_space(l->segfd, &found) == 0) {
		l->space.bytes = found.bytes;
		l->space.inodes = found.inodes;
	}
}

/* A next spare segment must always find its place. */
static bool
has_room(const struct log *l, uint64_t bytes)
{
	const struct space *s = &l->space;
	uint64_t kept = l->options.segment_size + s->reserved;

	return s->spare && !s->stalled && s->inodes >= INODES_LEAST && s->bytes >= kept && s->bytes - kept >= bytes;
}

static void
say(struct log *l)
{
	bool short_of = !has_room(l, 0);

	if (short_of == l->space.short_of)
		return;
	l->space.short_of = short_of;
	if (short_of)
		log_trouble(l, "no room for new messages: %" PRIu64 " bytes free", l->space.bytes);
	else
		log_trouble(l, "room for new messages again: %" PRIu64 " bytes free", l->space.bytes);
}

void
space_room(struct log *l, bool spare, bool stalled)
{
	l->space.spare = spare;
	l->space.stalled = stalled;
	space_look(l);
}

void
space_tick(struct log *l)
{
	space_look(l);
	if (!l->space.spare || l->space.stalled)
		commit_kick(l->commit, false);
	say(l);
}

static uint64_t
counted(uint64_t bytes)
{
	return (bytes > 0 ? bytes : MSG_INLINE_MAX) + RECORD_EXTRA;
}

bool
log_reserve(struct log *l, uint64_t bytes)
{
	if (bytes > UINT64_MAX / 2 || !has_room(l, counted(bytes))) {
		space_look(l);
		say(l);
		return false;
	}
	l->space.reserved += counted(bytes);
	return true;
}

void
log_release(struct log *l, uint64_t bytes)
{
	l->space.reserved -= l->space.reserved < counted(bytes) ? l->space.reserved : counted(bytes);
}

/* Without a spare there is what is left of the open segment, an eighth of which is kept for what is under way. */
bool
log_room(const struct log *l)
{
	const struct space *s = &l->space;

	return !s->stalled && (s->spare || s->used < l->options.segment_size - l->options.segment_size / 8);
}
