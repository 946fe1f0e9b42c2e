/*
 * Reading messages back: whole envelopes (base record and what later records changed), pieces of content, and both
 * together for reclaiming. Decides what is read from memory and what from disk; nothing read is believed without its checksum.
 * Called by log.h's readers, announce.c and reclaim.c. The files are read in threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/messages.h"
#include "queue/disk.h"
#include "queue/large.h"
#include "queue/log_private.h"
#include "queue/writer.h"

/* A record to be read. */
struct read_place {
	struct place		at;
	struct segment_header	header;
	struct blob		*blob;		/* NULL: not yet read */
};

struct read {
	struct work		 work;		/* first */
	TAILQ_ENTRY(read)	 link;		/* log.waiting */
	struct read		*next;		/* read in the same go, behind this one */
	struct log		*log;
	uint64_t		 id;
	/* what is wanted: one of these */
	read_fn			*on_message;
	log_content_fn		*on_content;
	void			*arg;
	uint64_t		 offset;	/* of content */
	size_t			 most;
	/* from where */
	struct read_place	*places;	/* the base, then others in the order in which they were written */
	size_t			 n_places;
	uint64_t		 size;		/* of the content */
	bool			 in_file;
	/* found */
	struct read_result	 result;
	uint8_t			*data;		/* of a large file: RECORD_CHUNK bytes */
	size_t			 data_len, data_skip;
	char			 error[LOG_ERROR_MAX];
};

static void
read_failed(struct read *r, const char *what)
{
	snprintf(r->error, sizeof(r->error), "%s", what);
}

static void
read_free(struct read *r)
{
	for (size_t i = 0; i < r->result.n_records; i++)
		record_free(&r->result.records[i]);
	for (size_t i = 0; i < r->n_places; i++)
		blob_unref(r->places[i].blob);
	free(r->result.records);
	free(r->result.envelope.rcpts);
	free(r->places);
	free(r->data);
	free(r);
}

/* The segment that was read from last in one go, for several records of it. */
struct opened {
	uint32_t	number;		/* 0: none */
	int		fd;
};

static int
open_segment(struct opened *o, int segfd, uint32_t number)
{
	char name[WRITER_NAME_MAX];

	if (o->number == number)
		return o->fd;
	if (o->number != 0)
		disk_close(o->fd);
	writer_name(name, number, "seg");
	o->fd = disk_open(segfd, name, O_RDONLY, "segment");
	o->number = o->fd < 0 ? 0 : number;
	return o->fd;
}

/* In a thread: one record's bytes. */
static int
place_read(struct read *r, struct read_place *p, struct opened *o)
{
	struct segment_frame f;
	int fd, result = -1;

	if ((fd = open_segment(o, r->log->segfd, p->header.number)) < 0) {
		read_failed(r, strerror(errno));
		return -1;
	}
	p->blob = blob_new(p->at.length);
	if (disk_read(fd, p->blob->data, p->at.length, p->at.offset) != 0)
		read_failed(r, strerror(errno));
	else if (segment_frame(&f, p->blob->data, p->at.length) != 0 || f.line + f.payload != p->at.length ||
	    !segment_sealed(&p->header, p->at.offset, p->blob->data, p->at.length))
		read_failed(r, "damaged on the disk");
	else {
		p->blob->kind = f.kind;
		p->blob->content = f.line + record_brief(p->blob->data + f.line, f.payload);
		if (p->blob->content == p->blob->len)
			p->blob->content = 0;
		result = 0;
	}
	return result;
}

static int
place_decode(struct read *r, struct read_place *p, struct record *to)
{
	struct segment_frame f;

	if (segment_frame(&f, p->blob->data, p->blob->len) == 0 &&
	    record_decode(to, f.kind, p->blob->data + f.line, p->blob->len - f.line, false) == 0) {
		if (to->id == r->id || to->parent == r->id)
			return 0;
		record_free(to);
	}
	read_failed(r, "damaged on the disk");
	return -1;
}

/* A piece of a large file, never past the end of one of its checked chunks. */
static void
chunk_read(struct read *r)
{
	uint64_t chunk = r->offset / RECORD_CHUNK, at = chunk * RECORD_CHUNK;
	const struct record *base = &r->result.records[0];
	char name[LARGE_NAME_MAX];
	int fd;

	if (r->offset >= r->size || chunk >= base->n_sums)
		return;
	large_name(name, r->id);
	r->data_len = (size_t)(r->size - at < RECORD_CHUNK ? r->size - at : RECORD_CHUNK);
	r->data_skip = (size_t)(r->offset - at);
	r->data = alloc_raw(r->data_len);
	if ((fd = disk_open(r->log->largefd, name, O_RDONLY, "large")) < 0 ||
	    disk_read(fd, r->data, r->data_len, at) != 0)
		read_failed(r, strerror(errno));
	else if (XXH3_64bits(r->data, r->data_len) != base->sums[chunk])
		read_failed(r, "damaged on the disk");
	disk_close(fd);
}

static void
envelope_slot(struct log_envelope_rcpt *to, const struct log_outcome *o)
{
	to->state = o->state;
	to->text = o->text ? o->text : "";
	to->past = o->past ? o->past : "";
	to->at = o->at;
	to->marks = o->marks;
	if (log_state_open(o->state)) {
		to->attempts = o->attempts;
		to->next_try = o->next_try;
	}
}

/* One record's say about the recipients, as index.c has it. */
static void
envelope_apply(struct log_envelope *e, const struct record *rec, uint64_t id)
{
	struct log_envelope_rcpt *to;

	for (uint32_t i = 0; i < rec->n_added && rec->id == id; i++)
		if (rec->first + i < e->message.n_rcpts)
			e->rcpts[rec->first + i].rcpt = rec->added[i];
	for (uint32_t i = 0; i < rec->n_outcomes && (rec->id == id) == (rec->parent == 0); i++) {
		if (rec->outcomes[i].index >= e->message.n_rcpts)
			continue;
		to = &e->rcpts[rec->outcomes[i].index];
		if (rec->kind == RECORD_STATE || rec->kind == RECORD_COPY || log_state_open(to->state))
			envelope_slot(to, &rec->outcomes[i]);
	}
	for (uint32_t i = 0; i < rec->n_parent && rec->id != id; i++)
		if (rec->parent_rcpts[i] < e->message.n_rcpts) {
			to = &e->rcpts[rec->parent_rcpts[i]];
			to->state = LOG_FAILED;
			to->text = rec->parent_text;
		}
}

static void
envelope_build(struct read *r)
{
	struct log_envelope *e = &r->result.envelope;
	const struct record *rec, *base = &r->result.records[0];
	uint32_t n = 0, open = 0;

	for (size_t i = 0; i < r->result.n_records; i++) {
		rec = &r->result.records[i];
		if (rec->id == r->id && rec->n_added > 0 && rec->first + rec->n_added > n)
			n = rec->first + rec->n_added;
	}
	e->message = (struct log_message){ .id = r->id, .arrived = base->arrived, .size = base->size,
	    .flags = base->sender.flags, .n_rcpts = n };
	e->sender = base->sender;
	e->head = base->head;
	e->rcpts = alloc_new(n, sizeof(*e->rcpts));
	for (uint32_t i = 0; i < n; i++)
		e->rcpts[i].text = e->rcpts[i].past = "";
	for (size_t i = 0; i < r->result.n_records; i++)
		envelope_apply(e, &r->result.records[i], r->id);
	for (uint32_t i = 0; i < n; i++) {
		if (e->rcpts[i].rcpt.address == NULL)
			read_failed(r, "damaged on the disk");
		open += log_state_open(e->rcpts[i].state);
	}
	e->message.n_open = open;
}

static void
read_one(struct read *r, struct opened *o)
{
	if (r->error[0] != '\0')
		return;
	for (size_t i = 0; i < r->n_places; i++)
		if (r->places[i].blob == NULL && place_read(r, &r->places[i], o) != 0)
			return;
	if (r->on_content && !r->in_file)
		return;
	r->result.records = alloc_new(r->n_places, sizeof(struct record));
	for (size_t i = 0; i < r->n_places; i++) {
		if (place_decode(r, &r->places[i], &r->result.records[i]) != 0)
			return;
		r->result.n_records++;
	}
	if (r->on_content)
		chunk_read(r);
	else
		envelope_build(r);
}

/* In a thread, or in the loop when all of it is in memory. */
static void
read_run(void *w)
{
	struct opened o = { 0, -1 };

	for (struct read *r = w; r != NULL; r = r->next)
		read_one(r, &o);
	if (o.number != 0)
		disk_close(o.fd);
}

static void
content_done(struct read *r)
{
	const struct blob *b = r->n_places > 0 ? r->places[0].blob : NULL;
	uint64_t left = r->offset < r->size ? r->size - r->offset : 0;
	const uint8_t *at = NULL;

	if (r->error[0] != '\0') {
		r->on_content(r->arg, NULL, 0, r->error);
		return;
	}
	if (r->data) {
		at = r->data + r->data_skip;
		left = r->data_len - r->data_skip;
	} else if (left > 0 && b && b->content > 0)
		at = b->data + b->content + r->offset;
	else
		left = 0;
	r->on_content(r->arg, left > 0 ? at : (const uint8_t *)"", left < r->most ? (size_t)left : r->most, NULL);
}

static void
done_one(struct read *r)
{
	struct log *l = r->log;
	struct message *m = index_find(&l->index, r->id);
	struct segment *s;

	for (size_t i = 0; i < r->n_places; i++)
		if ((s = index_segment(&l->index, r->places[i].at.segment)) != NULL)
			s->pins--;
	if (m == NULL)
		read_failed(r, "no such message");
	else if (r->on_content && r->error[0] == '\0' && cache_get(&l->cache, m->id) == NULL &&
	    !memcmp(&m->base, &r->places[0].at, sizeof(m->base)))
		cache_put(&l->cache, m->id, r->places[0].blob);
	if (r->on_content)
		content_done(r);
	else
		r->on_message(r->arg, m, r->error[0] != '\0' ? NULL : &r->result, r->error[0] != '\0' ? r->error : NULL);
	read_free(r);
}

static void
read_done(void *w)
{
	struct read *r = w, *next;
	struct log *l = r->log;

	for (; r != NULL; r = next) {
		next = r->next;
		done_one(r);
	}
	reclaim_poke(l);
}

static int
by_place(const void *a, const void *b)
{
	const struct read_place *x = a, *y = b;

	if (x->at.segment != y->at.segment)
		return x->at.segment < y->at.segment ? -1 : 1;
	return x->at.offset < y->at.offset ? -1 : x->at.offset > y->at.offset;
}

static void
place_add(struct read *r, struct place at, struct blob *b)
{
	struct segment *s = index_segment(&r->log->index, at.segment);
	struct read_place *p = &r->places[r->n_places++];

	if (s == NULL)
		log_fatal("event=bug what=\"a record in no segment\"");
	s->pins++;
	*p = (struct read_place){ .at = at, .header = s->header, .blob = b ? blob_ref(b) : NULL };
}

/* Notes what must be read; whether any of it is on the disk. */
static bool
read_plan(struct read *r, struct message *m)
{
	struct blob *b = cache_get(&r->log->cache, m->id);
	bool disk = b == NULL || (r->on_content && m->in_file);
	uint32_t n;
	const struct index_slot *slots = index_slots(m, &n);

	r->size = m->size;
	r->in_file = m->in_file;
	r->places = alloc_new(n + 1U, sizeof(*r->places));
	place_add(r, m->base, b);
	for (uint32_t i = 0; i < n && !r->on_content; i++)
		if (slots[i].refs > 0) {
			place_add(r, slots[i].at, NULL);
			disk = true;
		}
	qsort(r->places + 1, r->n_places - 1, sizeof(*r->places), by_place);
	return disk;
}

static void
read_go(struct read *r, bool disk)
{
	if (disk)
		commit_work(r->log->commit, &r->work, read_run, read_done);
	else
		commit_now(r->log->commit, &r->work, read_run, read_done);
}

/* An envelope is read when all that was said of the message is on the disk. False: it waits for that. */
static bool
read_prepare(struct read *r, bool hidden, bool *disk)
{
	struct message *m = index_find(&r->log->index, r->id);

	if (m == NULL || m->base.segment == 0 || (!m->announced && !hidden)) {
		read_failed(r, "no such message");
	} else if (m->pending > 0 && r->on_message) {
		TAILQ_INSERT_TAIL(&r->log->waiting, r, link);
		return false;
	} else if (read_plan(r, m))
		*disk = true;
	return true;
}

static void
read_start(struct read *r, bool hidden)
{
	bool disk = false;

	if (read_prepare(r, hidden, &disk))
		read_go(r, disk);
}

static struct read *
read_new(struct log *l, uint64_t id, void *arg)
{
	struct read *r = alloc_new(1, sizeof(*r));

	r->log = l;
	r->id = id;
	r->arg = arg;
	return r;
}

void
read_message(struct log *l, uint64_t id, read_fn *fn, void *arg)
{
	struct read *r = read_new(l, id, arg);

	r->on_message = fn;
	read_start(r, true);
}

void
read_retry_waiting(struct log *l)
{
	struct read_list list = TAILQ_HEAD_INITIALIZER(list);
	struct read *r;

	TAILQ_CONCAT(&list, &l->waiting, link);
	while ((r = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, r, link);
		read_start(r, true);
	}
}

void
read_fail_waiting(struct log *l, const char *error)
{
	struct read *r;

	while ((r = TAILQ_FIRST(&l->waiting)) != NULL) {
		TAILQ_REMOVE(&l->waiting, r, link);
		r->on_message(r->arg, NULL, NULL, error);
		read_free(r);
	}
}

/* For log_read_envelope: the caller's function in a read_fn's clothes. */
struct envelope_call {
	log_envelope_fn	*fn;
	void		*arg;
};

static void
on_envelope(void *arg, struct message *m, const struct read_result *result, const char *error)
{
	struct envelope_call *call = arg;

	(void)m;
	call->fn(call->arg, result ? &result->envelope : NULL, error);
	free(call);
}

static struct read *
envelope_new(struct log *l, uint64_t id, log_envelope_fn *fn, void *arg)
{
	struct envelope_call *call = alloc_raw(sizeof(*call));
	struct read *r;

	*call = (struct envelope_call){ fn, arg };
	r = read_new(l, id, call);
	r->on_message = on_envelope;
	return r;
}

void
log_read_envelope(struct log *l, uint64_t id, log_envelope_fn *fn, void *arg)
{
	read_start(envelope_new(l, id, fn, arg), false);
}

void
log_read_envelopes(struct log *l, const uint64_t *ids, size_t n, log_envelope_fn *fn, void *arg)
{
	struct read *first = NULL, **last = &first, *r;
	bool disk = false;

	for (size_t i = 0; i < n; i++) {
		r = envelope_new(l, ids[i], fn, arg);
		if (!read_prepare(r, false, &disk))
			continue;
		*last = r;
		last = &r->next;
	}
	if (first != NULL)
		read_go(first, disk);
}

void
log_read_content(struct log *l, uint64_t id, uint64_t offset, size_t most, log_content_fn *fn, void *arg)
{
	struct read *r = read_new(l, id, arg);

	r->on_content = fn;
	r->offset = offset;
	r->most = most < MSG_CHUNK_MAX ? most : MSG_CHUNK_MAX;
	read_start(r, false);
}
