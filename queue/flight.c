/*
 * Which messages were in flight when a process died, queue itself too (rule 10): a small file that is mapped, so that noting an attempt
 * costs no call and survives the process. It is never synced: after a power cut it may be old, and then a count begins
 * again. It decides nothing; who asks for a message's crashes does. Called through log.h, and by log.c and append.c.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "queue/disk.h"
#include "queue/log_private.h"

#define FLIGHT_FILE	"flight"
#define FLIGHT_SLOTS	4096U
#define FLIGHT_NEAR	64U		/* a message stands within so many places of its own; with all taken it is not counted */

struct flight_slot {
	uint64_t	id;		/* 0: free */
	uint32_t	flying;		/* attempts under way */
	uint32_t	crashes;	/* starts that found it flying */
};

static struct flight_slot *
place(struct log *l, uint64_t id, unsigned n)
{
	return &l->flight[((id * UINT64_C(0x9e3779b97f4a7c15) >> 40) + n) % FLIGHT_SLOTS];
}

static struct flight_slot *
find(struct log *l, uint64_t id, bool make)
{
	struct flight_slot *s;

	for (unsigned n = 0; l->flight && n < FLIGHT_NEAR; n++)
		if ((s = place(l, id, n))->id == id)
			return s;
	for (unsigned n = 0; l->flight && make && n < FLIGHT_NEAR; n++)
		if ((s = place(l, id, n))->id == 0) {
			*s = (struct flight_slot){ .id = id };
			return s;
		}
	return NULL;
}

/* Without the file nothing is counted, and all else works. */
void
flight_open(struct log *l)
{
	size_t size = FLIGHT_SLOTS * sizeof(struct flight_slot);
	int fd = disk_open(l->dirfd, FLIGHT_FILE, O_RDWR | O_CREAT, "flight");

	if (fd < 0)
		return;
	if (disk_allocate(fd, size, "flight") == 0)
		l->flight = disk_map(fd, size);
	disk_close(fd);
	for (unsigned i = 0; l->flight && i < FLIGHT_SLOTS; i++) {
		if (l->flight[i].id != 0 && l->flight[i].flying > 0 && l->flight[i].crashes < UINT32_MAX)
			l->flight[i].crashes++;
		l->flight[i].flying = 0;
	}
}

/* An end in order: nothing was in flight. */
void
flight_close(struct log *l)
{
	for (unsigned i = 0; l->flight && i < FLIGHT_SLOTS; i++)
		l->flight[i].flying = 0;
	disk_unmap(l->flight, FLIGHT_SLOTS * sizeof(struct flight_slot));
	l->flight = NULL;
}

/* What a start did not find any more. */
void
flight_sweep(struct log *l)
{
	for (unsigned i = 0; l->flight && i < FLIGHT_SLOTS; i++)
		if (l->flight[i].id != 0 && index_find(&l->index, l->flight[i].id) == NULL)
			l->flight[i] = (struct flight_slot){ 0 };
}

void
flight_forget(struct log *l, uint64_t id)
{
	struct flight_slot *s = find(l, id, false);

	if (s)
		*s = (struct flight_slot){ 0 };
}

void
log_attempt(struct log *l, uint64_t id, enum log_flight what)
{
	struct flight_slot *s = find(l, id, what == LOG_BEGUN);

	if (s == NULL)
		return;
	if (what == LOG_BEGUN)
		s->flying++;
	else if (s->flying > 0)
		s->flying--;
	if (what == LOG_CRASHED)
		s->crashes += s->crashes < UINT32_MAX;
	else if (what == LOG_ENDED)
		s->crashes = 0;
	if (s->flying == 0 && s->crashes == 0)
		*s = (struct flight_slot){ 0 };
}

uint32_t
log_crashes(struct log *l, uint64_t id)
{
	struct flight_slot *s = find(l, id, false);

	return s ? s->crashes : 0;
}
