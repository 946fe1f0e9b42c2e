/*
 * Mail out of a stopped spool and into one (queue/carry.h). The spool is opened as a start opens it. A file is there whole or
 * not at all: it is written under another name, synced, and renamed. What was imported is durable before its file is renamed to
 * NAME.done; where a crash came between, the message is found among those in the spool and not imported twice. Called by
 * queue's main.
 */
#include "queue/carry.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/messages.h"
#include "queue/bar.h"
#include "queue/log.h"
#include "queue/message_file.h"

#define SUFFIX		".message"
#define DONE		".done"
#define NAME_ROOM	300
#define SEGMENT_BYTES	(64U << 20)

struct carry {
	struct event_base	*base;
	struct log		*log;
	FILE			*out;
	int			 folder;
	bool			 waiting;	/* for a callback */
	char			 error[300];	/* "" none */
	uint64_t		*ids;		/* of the spool's messages */
	size_t			 n_ids, room;
	/* export: the file being written; import: what a message there is compared with */
	FILE			*file;
	uint64_t		 size;
	size_t			 piece;
	const struct message_file *wanted;
	bool			 same;
	unsigned		 done, failed;
};

static int
fail(struct carry *c, const char *name, const char *why)
{
	fprintf(c->out, "%s: %s\n", name, why);
	c->failed++;
	return -1;
}

static void
wait_for(struct carry *c)
{
	while (c->waiting && event_base_loop(c->base, EVLOOP_ONCE) == 0)
		;
}

static void
on_done(void *arg, const char *error)
{
	struct carry *c = arg;

	snprintf(c->error, sizeof(c->error), "%s", error == NULL ? "" : error);
	c->waiting = false;
}

/* ---- the spool ---- */

static void
on_message(void *arg, const struct log_envelope *e)
{
	struct carry *c = arg;

	if (c->n_ids == c->room) {
		c->room = c->room == 0 ? 64 : 2 * c->room;
		c->ids = alloc_resize(c->ids, c->room, sizeof(*c->ids));
	}
	c->ids[c->n_ids++] = e->message.id;
}

static void
on_scanned(void *arg, uint64_t messages)
{
	struct carry *c = arg;

	(void)messages;
	c->waiting = false;
}

static void
on_trouble(void *arg, const char *what)
{
	struct carry *c = arg;

	fprintf(c->out, "spool: %s\n", what);
}

static int
begin(struct carry *c, int spool)
{
	static const struct log_events events = { on_message, on_scanned, on_trouble };
	struct log_options options = { .segment_size = SEGMENT_BYTES };

	c->base = alloc_must(event_base_new());
	clock_init(c->base);
	c->waiting = true;
	c->log = log_open(c->base, spool, &options, &events, c, c->error, sizeof(c->error));
	if (c->log == NULL) {
		fprintf(c->out, "spool: %s\n", c->error);
		clock_init(NULL);
		event_base_free(c->base);
		return -1;
	}
	wait_for(c);
	return 0;
}

static int
end(struct carry *c, const char *what)
{
	log_close(c->log);
	clock_init(NULL);
	event_base_free(c->base);
	free(c->ids);
	fprintf(c->out, "%u message%s %s, %u not\n", c->done, c->done == 1 ? "" : "s", what, c->failed);
	return c->failed > 0 ? 1 : 0;
}

/* ---- export ---- */

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct carry *c = arg;

	if (error == NULL) {
		message_file_write(c->file, e);
		c->size = e->message.size;
	}
	on_done(c, error);
}

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	struct carry *c = arg;

	c->piece = len;
	if (error == NULL && len > 0 && fwrite(data, 1, len, c->file) != len)
		error = strerror(errno);
	on_done(c, error == NULL && len == 0 ? "the content is shorter than it was" : error);
}

static int
write_message(struct carry *c, uint64_t id)
{
	c->waiting = true;
	log_read_envelope(c->log, id, on_envelope, c);
	wait_for(c);
	for (uint64_t at = 0; c->error[0] == '\0' && at < c->size; at += c->piece) {
		c->waiting = true;
		log_read_content(c->log, id, at, MSG_CHUNK_MAX, on_content, c);
		wait_for(c);
	}
	return c->error[0] == '\0' ? 0 : -1;
}

static void
export_one(struct carry *c, uint64_t id)
{
	char name[64], temporary[72];
	int fd, rc;

	snprintf(name, sizeof(name), "%s" SUFFIX, id_text(id));
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	fd = openat(c->folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || (c->file = fdopen(fd, "w")) == NULL) {
		fail(c, temporary, strerror(errno));
		return;
	}
	rc = write_message(c, id);
	if (rc == 0 && (fflush(c->file) != 0 || fsync(fd) != 0)) {
		snprintf(c->error, sizeof(c->error), "%s", strerror(errno));
		rc = -1;
	}
	fclose(c->file);
	if (rc == 0 && renameat(c->folder, temporary, c->folder, name) == 0) {
		fprintf(c->out, "%s\n", name);
		c->done++;
		return;
	}
	fail(c, name, rc == 0 ? strerror(errno) : c->error);
	unlinkat(c->folder, temporary, 0);
}

int
carry_export(int spool, int folder, FILE *out)
{
	struct carry c = { .out = out, .folder = folder };
	struct bar bar;

	if (begin(&c, spool) != 0)
		return 2;
	bar_begin(&bar, "messages", c.n_ids);
	for (size_t i = 0; i < c.n_ids; i++) {
		bar_at(&bar, i);
		export_one(&c, c.ids[i]);
	}
	bar_end(&bar);
	if (fsync(folder) != 0)
		fail(&c, "folder", strerror(errno));
	return end(&c, "exported");
}

/* ---- import ---- */

/* Up to and with the empty line, NUL behind it; for the caller to free. NULL with why. */
static char *
read_header(FILE *f, const char **why_r)
{
	char *text = NULL, *line = NULL;
	size_t len = 0, room = 0;
	FILE *to = alloc_stream(&text, &len);
	ssize_t n;

	*why_r = "it ends in the middle of its header";
	while ((n = getline(&line, &room, f)) > 0) {
		fwrite(line, 1, (size_t)n, to);
		if (n == 1 || ftell(to) > (long)MESSAGE_FILE_HEADER_MAX) {
			*why_r = n == 1 ? NULL : "its header is too long";
			break;
		}
	}
	alloc_stream_end(to);
	free(line);
	if (*why_r == NULL && strlen(text) == len)
		return text;
	if (*why_r == NULL)
		*why_r = "its header holds a NUL";
	free(text);
	return NULL;
}

static void
compare(void *arg, const struct log_envelope *e, const char *error)
{
	struct carry *c = arg;
	const struct message_file *w = c->wanted;

	if (error == NULL)
		c->same = e->message.arrived == w->arrived && e->message.size == w->size &&
		    e->sender.session_id == w->sender.session_id && strcmp(e->sender.address, w->sender.address) == 0 &&
		    strcmp(e->sender.session, w->sender.session) == 0 && strcmp(e->head, w->head) == 0;
	on_done(c, NULL);
}

/* Among those that were in the spool before. */
static bool
is_there(struct carry *c, const struct message_file *w)
{
	struct log_message m;

	c->wanted = w;
	c->same = false;
	for (size_t i = 0; i < c->n_ids && !c->same; i++) {
		if (!log_find(c->log, c->ids[i], &m) || m.arrived != w->arrived || m.size != w->size)
			continue;
		c->waiting = true;
		log_read_envelope(c->log, c->ids[i], compare, c);
		wait_for(c);
	}
	return c->same;
}

/* The content into memory, or where it is large piece by piece into a file of the spool's. */
static int
take_content(struct carry *c, FILE *f, struct log_accept *a, uint64_t size, uint8_t *buffer)
{
	uint64_t left = size;
	size_t n;

	if (size > MSG_INLINE_MAX)
		a->file = log_file_new(c->log, a->id);
	while (left > 0 && (n = fread(buffer, 1, left < MSG_INLINE_MAX ? (size_t)left : MSG_INLINE_MAX, f)) > 0) {
		left -= n;
		if (a->file == NULL)
			continue;
		c->waiting = true;
		log_file_write(a->file, buffer, n, on_done, c);
		wait_for(c);
		if (c->error[0] != '\0')
			return -1;
	}
	if (left == 0 && getc(f) == EOF)
		return 0;
	snprintf(c->error, sizeof(c->error), "its content is %s than it says", left > 0 ? "shorter" : "longer");
	return -1;
}

static int
accept_message(struct carry *c, FILE *f, struct message_file *m)
{
	uint8_t *buffer = alloc_raw(MSG_INLINE_MAX);
	struct log_accept a = { .id = log_new_id(c->log), .arrived = m->arrived, .sender = &m->sender, .rcpts = m->rcpts,
	    .n_rcpts = m->n, .head = m->head, .outcomes = m->outcomes, .n_outcomes = m->n, .content = buffer };

	c->error[0] = '\0';
	if (!log_reserve(c->log, m->size)) {
		snprintf(c->error, sizeof(c->error), LOG_NO_ROOM);
	} else if (take_content(c, f, &a, m->size, buffer) != 0) {
		log_file_discard(a.file);
		log_release(c->log, m->size);
	} else {
		a.content_len = a.file == NULL ? (size_t)m->size : 0;
		c->waiting = true;
		log_accept(c->log, &a, m->size, on_done, c);
		wait_for(c);
	}
	free(buffer);
	if (c->error[0] != '\0')
		return -1;
	fprintf(c->out, "imported as %s\n", id_text(a.id));
	return 0;
}

static int
import_file(struct carry *c, const char *name, FILE *f)
{
	struct message_file m;
	const char *reason;
	char *header = read_header(f, &reason), why[300];
	int rc = 0;

	if (header == NULL)
		return fail(c, name, reason);
	if (message_file_parse(&m, header, why, sizeof(why)) != 0) {
		free(header);
		return fail(c, name, why);
	}
	fprintf(c->out, "%s: ", name);
	if (is_there(c, &m))
		fprintf(c->out, "is in the spool already\n");
	else if ((rc = accept_message(c, f, &m)) != 0)
		fprintf(c->out, "%s\n", c->error);
	c->failed += rc != 0;
	message_file_free(&m);
	free(header);
	return rc;
}

static void
import_one(struct carry *c, const char *name)
{
	char done[NAME_ROOM];
	int fd = openat(c->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (f == NULL) {
		fail(c, name, strerror(errno));
		return;
	}
	if (import_file(c, name, f) == 0) {
		c->done++;
		snprintf(done, sizeof(done), "%s" DONE, name);
		if (renameat(c->folder, name, c->folder, done) != 0 || fsync(c->folder) != 0)
			fail(c, name, "is imported, but could not be renamed; remove it before you import this folder again");
	}
	fclose(f);
}

static int
is_message(const struct dirent *d)
{
	size_t len = strlen(d->d_name), suffix = sizeof(SUFFIX) - 1;

	return len > suffix && len < NAME_ROOM - sizeof(DONE) && strcmp(d->d_name + len - suffix, SUFFIX) == 0;
}

int
carry_import(int spool, int folder, FILE *out)
{
	struct carry c = { .out = out, .folder = folder };
	struct dirent **names;
	struct bar bar;
	int n = scandirat(folder, ".", &names, is_message, alphasort);

	if (n < 0) {
		fprintf(out, "folder: %s\n", strerror(errno));
		return 2;
	}
	if (begin(&c, spool) != 0) {
		while (n > 0)
			free(names[--n]);
		free(names);
		return 2;
	}
	bar_begin(&bar, "files", (uint64_t)n);
	for (int i = 0; i < n; i++) {
		bar_at(&bar, (uint64_t)i);
		import_one(&c, names[i]->d_name);
		free(names[i]);
	}
	bar_end(&bar);
	free(names);
	return end(&c, "imported");
}
