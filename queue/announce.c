/*
 * What a start tells: damage that the scan found, then every live message, read back oldest first and given to
 * the caller. Decides what becomes of a message that cannot be read. Called by log.c when the scan is done.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/ids.h"
#include "lib/killpoint.h"
#include "queue/log_private.h"

static void	announce_go(struct log *l);

static struct mark_place
place_of(uint64_t id)
{
	return (struct mark_place){ MARK_MESSAGE, 0, id };
}

static void
tell_damage(struct log *l, const struct recover_damage *d)
{
	if (d->unsynced)
		log_trouble(l, "segment %08" PRIx32 " of the log could not be synced: what the disk holds of it was read", d->segment);
	else if (d->deadly)
		log_trouble(l, "segment %08" PRIx32 " of the log: queue has died %d times while it read bytes %" PRIu64 " to %" PRIu64
		    "; they were copied to " LOG_ASIDE " and are left out; what stands behind them was read", d->segment,
		    MARK_DEATHS_MOST, d->from, d->to);
	else if (d->to == 0)
		log_trouble(l, "segment %08" PRIx32 " of the log has no readable header: nothing in it can be believed, and it "
		    "stays where it is", d->segment);
	else if (d->torn)
		log_trouble(l, "segment %08" PRIx32 " of the log: bytes %" PRIu64 " to %" PRIu64 " were being written when all "
		    "stopped; nothing there had been acknowledged", d->segment, d->from, d->to);
	else
		log_trouble(l, "segment %08" PRIx32 " of the log: bytes %" PRIu64 " to %" PRIu64 " are damaged and were copied to "
		    LOG_ASIDE "; what stands behind them was read", d->segment, d->from, d->to);
}

static void
tell_message(struct log *l, struct message *m, const struct log_envelope *e)
{
	m->announced = true;
	l->announce.told++;
	if (l->events.on_message)
		l->events.on_message(l->arg, e);
}

static void
on_read(void *arg, struct message *m, const struct read_result *result, const char *error)
{
	struct telling *t = arg;
	struct log *l = t->log;

	l->announce.under_way--;
	if (m != NULL && error == NULL) {
		KILLPOINT_READ("tell", m->id);
		tell_message(l, m, &result->envelope);
	} else if (m != NULL) {
		m->broken = true;
		log_trouble(l, "message %s cannot be read (%s): it stays where it is and is not tried", id_text(m->id), error);
	}
	mark_end(l->mark, place_of(t->id));
	t->log = NULL;
	announce_go(l);
}

/* One by one after a start that died of one: then it is clear of which. */
static unsigned
window(const struct log *l)
{
	return mark_had_death(l->mark) ? 1 : ANNOUNCE_WINDOW;
}

static void
read_to_tell(struct log *l, struct message *m)
{
	struct telling *t = l->announce.telling;

	if (mark_begin(l->mark, place_of(m->id))) {
		while (t->log != NULL)
			t++;
		*t = (struct telling){ l, m->id };
		l->announce.under_way++;
		read_message(l, m->id, on_read, t);
		return;
	}
	m->broken = true;
	log_trouble(l, "message %s is not read, for queue has died of it %d times: it stays where it is and is not tried",
	    id_text(m->id), MARK_DEATHS_MOST);
}

static void
announce_go(struct log *l)
{
	struct announce *a = &l->announce;
	struct message *m;

	while (a->next < a->n && a->under_way < window(l) && !l->closing) {
		if ((m = index_find(&l->index, a->ids[a->next++])) == NULL)
			continue;
		if (m->n_open == 0) {		/* its end was lost */
			log_append_end(l, m);
			continue;
		}
		read_to_tell(l, m);
	}
	if (a->next < a->n || a->under_way > 0 || l->scanned || l->closing)
		return;
	l->scanned = true;
	if (l->events.on_scanned)
		l->events.on_scanned(l->arg, a->told);
	announce_free(l);
	reclaim_poke(l);
}

void
announce_start(struct log *l, struct recover *r)
{
	for (size_t i = 0; i < r->n_damage; i++)
		tell_damage(l, &r->damage[i]);
	l->announce.ids = log_ids(&r->index, &l->announce.n);
	/* A message whose every recipient was found settled but whose dead bytes nobody dated: from now on. */
	for (size_t i = 0; i < r->index.n_segments; i++)
		if (r->index.segments[i]->dead_since != 0)
			r->index.segments[i]->dead_since = clock_ms();
	index_merge(&l->index, &r->index);
	large_sweep(l, l->first_id);
	flight_sweep(l);
	announce_go(l);
}

void
announce_free(struct log *l)
{
	free(l->announce.ids);
	l->announce.ids = NULL;
	l->announce.n = l->announce.next = 0;
}
