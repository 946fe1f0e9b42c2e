/*
 * Notes what a start reads (mark.h). The file holds what is being read now, and of what earlier starts died, with counts.
 * Decides nothing but whether a place was deadly too often; what is then done with it, recover.c and announce.c do.
 *
 * The thread that scans and the loop that tells use it one after the other, never at once.
 */
#include "queue/mark.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "queue/disk.h"

#define FILE_NAME	"reading"
#define NOW_MOST	64U		/* read at once; what is beyond that is read without a note */
#define SUSPECTS_MOST	64U

struct file {
	struct mark_place	now[NOW_MOST];
	struct suspect {
		struct mark_place	place;
		uint64_t		deaths;
	}			suspects[SUSPECTS_MOST];
};

struct mark {
	struct file	*file;
	unsigned	 n_suspects;	/* ever used, of this start: none is the common case, which costs nothing */
	bool		 had_death;
};

/* For an exit in order from anywhere: then it was not what is being read. A process has one spool. */
static struct mark *open_mark;

static bool
same(const struct mark_place *a, const struct mark_place *b)
{
	return a->kind == b->kind && a->segment == b->segment && a->what == b->what;
}

static struct suspect *
find_suspect(const struct mark *m, const struct mark_place *place)
{
	for (unsigned i = 0; i < SUSPECTS_MOST && m->n_suspects > 0; i++)
		if (same(&m->file->suspects[i].place, place))
			return &m->file->suspects[i];
	return NULL;
}

/* With all places taken, that of one that was least deadly. */
static struct suspect *
make_suspect(struct mark *m, const struct mark_place *place)
{
	struct suspect *s = find_suspect(m, place);

	if (s != NULL)
		return s;
	s = &m->file->suspects[0];
	for (unsigned i = 1; i < SUSPECTS_MOST; i++)
		if (m->file->suspects[i].deaths < s->deaths)
			s = &m->file->suspects[i];
	*s = (struct suspect){ .place = *place };
	m->n_suspects++;
	return s;
}

static void
count_deaths(struct mark *m)
{
	struct file *f = m->file;

	for (unsigned i = 0; i < SUSPECTS_MOST; i++)
		m->n_suspects += f->suspects[i].place.kind != MARK_NOTHING;
	for (unsigned i = 0; i < NOW_MOST; i++) {
		if (f->now[i].kind == MARK_NOTHING)
			continue;
		m->had_death = true;
		make_suspect(m, &f->now[i])->deaths++;
		f->now[i] = (struct mark_place){ .kind = MARK_NOTHING };
	}
}

static void
forget_now(void)
{
	if (open_mark != NULL)
		memset(open_mark->file->now, 0, sizeof(open_mark->file->now));
}

struct mark *
mark_open(int dirfd)
{
	static bool registered;
	struct mark *m = alloc_new(1, sizeof(*m));
	int fd = disk_open(dirfd, FILE_NAME, O_RDWR | O_CREAT, "reading");

	if (fd >= 0 && disk_allocate(fd, sizeof(struct file), "reading") == 0)
		m->file = disk_map(fd, sizeof(struct file));
	disk_close(fd);
	if (m->file == NULL) {
		free(m);
		return NULL;
	}
	count_deaths(m);
	open_mark = m;
	if (!registered)
		atexit(forget_now);
	registered = true;
	return m;
}

void
mark_close(struct mark *m)
{
	if (m == NULL)
		return;
	if (open_mark == m) {
		forget_now();
		open_mark = NULL;
	}
	disk_unmap(m->file, sizeof(struct file));
	free(m);
}

bool
mark_had_death(const struct mark *m)
{
	return m != NULL && m->had_death;
}

bool
mark_begin(struct mark *m, struct mark_place place)
{
	const struct suspect *s = m == NULL ? NULL : find_suspect(m, &place);

	if (s != NULL && s->deaths >= MARK_DEATHS_MOST)
		return false;
	for (unsigned i = 0; m != NULL && i < NOW_MOST; i++) {
		struct mark_place *now = &m->file->now[i];

		if (now->kind != MARK_NOTHING)
			continue;
		now->segment = place.segment;
		now->what = place.what;
		__atomic_store_n(&now->kind, place.kind, __ATOMIC_RELEASE);
		break;
	}
	return true;
}

/* It was read and did no harm, so it is suspected no longer. */
void
mark_end(struct mark *m, struct mark_place place)
{
	struct suspect *s = m == NULL ? NULL : find_suspect(m, &place);

	if (s != NULL)
		*s = (struct suspect){ .deaths = 0 };
	for (unsigned i = 0; m != NULL && i < NOW_MOST; i++)
		if (same(&m->file->now[i], &place)) {
			__atomic_store_n(&m->file->now[i].kind, MARK_NOTHING, __ATOMIC_RELEASE);
			break;
		}
}
