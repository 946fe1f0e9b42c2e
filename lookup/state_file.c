/*
 * gdbm files of lookup's memory (lookup/state_file.h). gdbm is not expected to survive what a crash or a broken disk leaves in
 * a file: one is only read at a start, and then written by the process that made it. Which file is being read is noted beside
 * it, so that one on which the process dies twice is set aside by the third.
 */
#include "lookup/state_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gdbm.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/alloc.h"
#include "lib/log.h"

#define OPEN_MAX_HERE	64U		/* files open for writing, or found at a start */
#define TRIES		2		/* deaths while a file is read */
#define CACHE_BUCKETS	256		/* 1 MiB for each open file; else gdbm takes what it likes */
#define RECORD_LEAST	32		/* bytes in a file: how many there can be at most */
#define SUM		sizeof(uint64_t)
#define FORMAT		"minimta-state 1"
#define HEADER_KEY	"header"
#define IN_USE		"in-use"	/* there while the files are written */
#define READING		"reading"	/* names the file that is being read, and how often */

struct open_file {
	GDBM_FILE		 db;		/* NULL: a free place */
	struct store_header	 header;
	bool			 dirty;
};

struct state_files {
	char			 folder[4096];
	const char *const	*names;
	unsigned		 n_names;
	struct files_events	 events;
	void			*arg;
	int			 dir, lock;
	bool			 failed, writing;
	bool			 disorder;	/* what lies there is not what is in memory */
	char			 reading[80];	/* the file that is being read; "" none */
	time_t			 synced;
	struct open_file	 open[OPEN_MAX_HERE];
};

/* gdbm's function for what it cannot survive gets no argument: the one thread's files. */
static _Thread_local struct state_files *in_thread;

static void __attribute__((format(printf, 3, 4)))
say(struct state_files *f, bool failed, const char *fmt, ...)
{
	char words[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	f->events.words(f->arg, failed, words);
}

struct state_files *
state_file_new(int dir, const char *folder, const char *const *names, unsigned n_names, const struct files_events *events, void *arg)
{
	struct state_files *f = alloc_new(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "%s", folder);
	f->dir = dir;
	f->names = names;
	f->n_names = n_names;
	f->events = *events;
	f->arg = arg;
	f->lock = -1;
	return f;
}

void
state_file_free(struct state_files *f)
{
	close(f->dir);
	free(f);
}

/* ---- small files ---- */

static void
mark(struct state_files *f, const char *name, const char *text)
{
	int fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0)
		return;
	n = write(fd, text, strlen(text));
	(void)n;			/* what cannot be noted is not needed to go on */
	close(fd);
}

static bool
is_marked(struct state_files *f, const char *name)
{
	struct stat st;

	return fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
unmark(struct state_files *f, const char *name)
{
	unlinkat(f->dir, name, 0);
}

/* Not what was asked of it is wrong, but what lies in the file. */
static void
on_fatal(const char *why)
{
	struct state_files *f = in_thread;
	char note[120];

	if (f->reading[0] != '\0') {
		snprintf(note, sizeof(note), "%s %d\n", f->reading, TRIES);
		mark(f, READING, note);
	} else {
		say(f, !f->failed, "gdbm: %s", why);
		f->failed = true;
	}
	f->events.fatal(f->arg);
}

void
state_file_take_over(struct state_files *f)
{
	f->reading[0] = '\0';
	memset(f->open, 0, sizeof(f->open));
}

bool
state_file_lock(struct state_files *f)
{
	if (f->lock < 0)
		f->lock = openat(f->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	in_thread = f;
	/* Without a lock file (the folder is read-only, the disk full) nobody else can write there either. */
	return f->lock < 0 || flock(f->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static char *
file_name(const struct state_files *f, char to[80], unsigned table, uint32_t generation)
{
	snprintf(to, 80, "%s.%" PRIu32, f->names[table], generation);
	return to;
}

/* ---- records ---- */

/* Over the table's name and the key too: no record can stand for another. */
static uint64_t
checksum(const struct state_files *f, unsigned table, const void *key, size_t key_len, const void *bytes, size_t len)
{
	uint64_t sum = XXH3_64bits(f->names[table], strlen(f->names[table]));

	sum = XXH3_64bits_withSeed(key, key_len, sum);
	return XXH3_64bits_withSeed(bytes, len, sum);
}

static int
store(struct state_files *f, struct open_file *o, const void *key, size_t key_len, const void *bytes, size_t len)
{
	char value[STORE_BYTES_MAX + SUM];
	uint64_t sum = checksum(f, o->header.table, key, key_len, bytes, len);
	datum k = { (char *)(uintptr_t)key, (int)key_len }, v = { value, (int)(len + SUM) };

	memcpy(value, &sum, SUM);
	memcpy(value + SUM, bytes, len);
	o->dirty = true;
	return gdbm_store(o->db, k, v, GDBM_REPLACE);
}

/* The bytes behind the checksum of a record that is whole, or NULL. */
static const char *
verify(const struct state_files *f, unsigned table, datum key, datum value)
{
	uint64_t sum;

	if (value.dptr == NULL || value.dsize < (int)SUM || value.dsize > (int)(STORE_BYTES_MAX + SUM))
		return NULL;
	memcpy(&sum, value.dptr, SUM);
	if (sum != checksum(f, table, key.dptr, (size_t)key.dsize, value.dptr + SUM, (size_t)value.dsize - SUM))
		return NULL;
	return value.dptr + SUM;
}

/* ---- writing ---- */

static void
fail(struct state_files *f, const char *doing, const char *name, const char *why)
{
	if (!f->failed)
		say(f, true, "%s %s/%s: %s", doing, f->folder, name, why);
	f->failed = true;
}

static void
close_file(struct open_file *o)
{
	if (o->db != NULL)
		gdbm_close(o->db);
	*o = (struct open_file){ 0 };
}

static struct open_file *
find_open(struct state_files *f, unsigned table, uint32_t generation)
{
	for (unsigned i = 0; i < OPEN_MAX_HERE; i++)
		if (f->open[i].db != NULL && f->open[i].header.table == table && f->open[i].header.generation == generation)
			return &f->open[i];
	return NULL;
}

static struct open_file *
find_place(struct state_files *f)
{
	for (unsigned i = 0; i < OPEN_MAX_HERE; i++)
		if (f->open[i].db == NULL)
			return &f->open[i];
	return NULL;
}

/* With our own lock and descriptor; without mapping it, for a full disk under mapped memory is a signal. */
static GDBM_FILE
open_db(struct state_files *f, const char *name, int how, int fd)
{
	static const int buckets = CACHE_BUCKETS;
	GDBM_FILE db = gdbm_fd_open(fd, name, 0, how | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOERROR, on_fatal);

	(void)f;
	if (db != NULL)
		gdbm_setopt(db, GDBM_SETCACHESIZE, (void *)(uintptr_t)&buckets, sizeof(buckets));
	return db;
}

static struct open_file *
open_for_writing(struct state_files *f, unsigned table, uint32_t generation, bool make)
{
	struct open_file *o = find_open(f, table, generation);
	char name[80];
	int fd;

	if (o != NULL)
		return o;
	file_name(f, name, table, generation);
	if ((o = find_place(f)) == NULL) {
		fail(f, "open", name, "too many files");
		return NULL;
	}
	if (!f->writing)
		mark(f, IN_USE, "");
	f->writing = true;
	fd = openat(f->dir, name, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		fail(f, "open", name, strerror(errno));
		return NULL;
	}
	o->db = open_db(f, name, make ? GDBM_WRCREAT : GDBM_WRITER, fd);
	if (o->db == NULL) {
		fail(f, "open", name, gdbm_strerror(gdbm_errno));
		return NULL;
	}
	o->header = (struct store_header){ .table = table, .generation = generation };
	return o;
}

void
state_file_begin(struct state_files *f, const struct store_header *h)
{
	struct open_file *o;
	char text[160], name[80];
	int len;

	if (f->failed || (o = open_for_writing(f, h->table, h->generation, true)) == NULL)
		return;
	o->header = *h;
	len = snprintf(text, sizeof(text), FORMAT " table=%s generation=%" PRIu32 " since=%lld period=%" PRIu32, f->names[h->table],
	    h->generation, (long long)h->since, h->period_s);
	if (store(f, o, HEADER_KEY, strlen(HEADER_KEY), text, (size_t)len) != 0)
		fail(f, "write", file_name(f, name, h->table, h->generation), gdbm_db_strerror(o->db));
}

void
state_file_put(struct state_files *f, const struct store_record *r)
{
	struct open_file *o;
	char name[80];

	if (f->failed || r->len > STORE_BYTES_MAX || (o = open_for_writing(f, r->table, r->generation, false)) == NULL)
		return;
	if (store(f, o, &r->key, sizeof(r->key), r->bytes, r->len) != 0)
		fail(f, "write", file_name(f, name, r->table, r->generation), gdbm_db_strerror(o->db));
}

void
state_file_drop(struct state_files *f, unsigned table, uint32_t generation)
{
	struct open_file *o = find_open(f, table, generation);
	char name[80];

	if (o != NULL)
		close_file(o);
	unlinkat(f->dir, file_name(f, name, table, generation), 0);
}

/* A database that failed once is opened anew. */
void
state_file_resume(struct state_files *f)
{
	for (unsigned i = 0; i < OPEN_MAX_HERE; i++)
		close_file(&f->open[i]);
	f->failed = false;
	f->disorder = true;
}

bool
state_file_anew(struct state_files *f)
{
	if (!f->failed)
		f->disorder = false;
	return !f->failed;
}

void
state_file_sync(struct state_files *f, int every_s)
{
	struct timespec now;
	char name[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - f->synced < every_s)
		return;
	f->synced = now.tv_sec;
	for (unsigned i = 0; i < OPEN_MAX_HERE && !f->failed; i++) {
		struct open_file *o = &f->open[i];

		if (o->db == NULL || !o->dirty)
			continue;
		o->dirty = false;
		if (gdbm_sync(o->db) != 0)
			fail(f, "sync", file_name(f, name, o->header.table, o->header.generation), gdbm_db_strerror(o->db));
	}
}

void
state_file_close(struct state_files *f)
{
	bool whole = !f->failed && !f->disorder;

	for (unsigned i = 0; i < OPEN_MAX_HERE; i++) {
		if (f->open[i].db != NULL && gdbm_sync(f->open[i].db) != 0)
			whole = false;
		close_file(&f->open[i]);
	}
	if (whole)
		unmark(f, IN_USE);
	if (f->lock >= 0)
		close(f->lock);
	f->lock = -1;
}

/* ---- reading ---- */

static void
set_aside(struct state_files *f, const char *name, const char *why)
{
	char aside[100];

	snprintf(aside, sizeof(aside), "%.*s.broken", (int)strcspn(name, "."), name);
	if (renameat(f->dir, name, f->dir, aside) != 0)
		unlinkat(f->dir, name, 0);
	say(f, false, "event=memory-set-aside file=%s/%s as=%s what=%s", f->folder, name, aside, logq(why));
}

/* Which files of it have killed a process before. */
static int
deaths_of(struct state_files *f, const char *name)
{
	char text[120] = "", noted[80];
	int fd = openat(f->dir, READING, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), deaths = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0 || sscanf(text, "%79s %d", noted, &deaths) != 2 || strcmp(noted, name) != 0)
		return 0;
	return deaths;
}

/* 0; -1: it is none of ours, with why. */
static int
read_header(struct state_files *f, GDBM_FILE db, unsigned table, uint32_t generation, struct store_header *h, const char **why_r)
{
	datum key = { (char []){ HEADER_KEY }, (int)strlen(HEADER_KEY) }, value = gdbm_fetch(db, key);
	const char *bytes = verify(f, table, key, value);
	char text[200] = "", name[40];
	long long since;
	int version = 0;

	*h = (struct store_header){ .table = table };
	if (bytes != NULL)
		snprintf(text, sizeof(text), "%.*s", (int)((size_t)value.dsize - SUM), bytes);
	free(value.dptr);
	*why_r = "its header is missing or broken";
	if (sscanf(text, "minimta-state %d", &version) == 1 && version != 1)
		*why_r = "it was written by another version of minimta; this one knows format 1";
	if (version != 1 || sscanf(text, FORMAT " table=%39s generation=%" SCNu32 " since=%lld period=%" SCNu32, name,
	    &h->generation, &since, &h->period_s) != 4)
		return -1;
	if (h->generation != generation || strcmp(name, f->names[table]) != 0) {
		*why_r = "it has another file's header";
		return -1;
	}
	h->since = (time_t)since;
	return 0;
}

struct tally {
	uint64_t	good, bad;
	bool		stuck;			/* the file did not end where it must */
};

/* A chain that a flipped bit has bent into a ring would be read for ever: there cannot be more than fit. */
static struct tally
read_records(struct state_files *f, GDBM_FILE db, const struct store_header *h, uint64_t most)
{
	struct tally t = { 0 };
	datum key = gdbm_firstkey(db), next;

	while (key.dptr != NULL && t.good + t.bad < most) {
		if (key.dsize == (int)sizeof(uint64_t)) {
			datum value = gdbm_fetch(db, key);
			const char *bytes = verify(f, h->table, key, value);
			struct store_record r = { .table = h->table, .generation = h->generation, .bytes = bytes };

			if (bytes != NULL) {
				memcpy(&r.key, key.dptr, sizeof(r.key));
				r.len = (size_t)value.dsize - SUM;
				f->events.record(f->arg, &r);
			}
			t.good += bytes != NULL;
			t.bad += bytes == NULL;
			free(value.dptr);
		} else if (key.dsize != (int)strlen(HEADER_KEY))
			t.bad++;
		next = gdbm_nextkey(db, key);
		free(key.dptr);
		key = next;
	}
	t.stuck = key.dptr != NULL || gdbm_errno != GDBM_ITEM_NOT_FOUND;
	free(key.dptr);
	return t;
}

/* Whether it is whole. */
static bool
read_db(struct state_files *f, const char *name, unsigned table, uint32_t generation, uint64_t most)
{
	int fd = openat(f->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	GDBM_FILE db = fd >= 0 ? open_db(f, name, GDBM_READER, fd) : NULL;
	struct store_header h;
	struct tally t = { 0 };
	char words[160];
	const char *why;

	if (db == NULL) {
		set_aside(f, name, fd >= 0 ? gdbm_strerror(gdbm_errno) : strerror(errno));
		return false;
	}
	if (read_header(f, db, table, generation, &h, &why) != 0) {
		gdbm_close(db);
		set_aside(f, name, why);
		return false;
	}
	f->events.header(f->arg, &h);
	t = read_records(f, db, &h, most);
	gdbm_close(db);
	if (t.bad == 0 && !t.stuck)
		return true;
	snprintf(words, sizeof(words), "%" PRIu64 " records are broken%s; %" PRIu64 " are whole and were read", t.bad,
	    t.stuck ? ", and it does not end where it should" : "", t.good);
	set_aside(f, name, words);
	return false;
}

static bool
load_file(struct state_files *f, const char *name, unsigned table, uint32_t generation)
{
	char note[120];
	struct stat st;
	int deaths = deaths_of(f, name);
	bool whole;

	if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (deaths >= TRIES) {
		set_aside(f, name, "reading it has ended the process or its thread before");
		unmark(f, READING);
		return false;
	}
	snprintf(note, sizeof(note), "%s %d\n", name, deaths + 1);
	mark(f, READING, note);
	snprintf(f->reading, sizeof(f->reading), "%s", name);
	whole = read_db(f, name, table, generation, (uint64_t)st.st_size / RECORD_LEAST + 1);
	f->reading[0] = '\0';
	unmark(f, READING);
	return whole;
}

struct found {
	unsigned	table;
	uint32_t	generation;
};

static int
newest_first(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return x->generation > y->generation ? -1 : x->generation < y->generation;
}

/* "waiting.17" to its two parts. */
static bool
parse_name(const struct state_files *f, const char *name, struct found *found)
{
	const char *dot = strrchr(name, '.');
	char end;

	if (dot == NULL || sscanf(dot, ".%" SCNu32 "%c", &found->generation, &end) != 1)
		return false;
	for (found->table = 0; found->table < f->n_names; found->table++)
		if (strlen(f->names[found->table]) == (size_t)(dot - name) &&
		    strncmp(f->names[found->table], name, (size_t)(dot - name)) == 0)
			return true;
	return false;
}

static unsigned
list_files(struct state_files *f, struct found list[OPEN_MAX_HERE])
{
	int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	unsigned n = 0;

	if (dir == NULL && fd >= 0)
		close(fd);
	while (dir != NULL && n < OPEN_MAX_HERE && (entry = readdir(dir)) != NULL)
		n += parse_name(f, entry->d_name, &list[n]);
	if (dir != NULL)
		closedir(dir);
	qsort(list, n, sizeof(*list), newest_first);
	return n;
}

bool
state_file_load(struct state_files *f)
{
	struct found list[OPEN_MAX_HERE];
	unsigned n = list_files(f, list);
	bool clean = !is_marked(f, IN_USE);
	char name[80];

	for (unsigned i = 0; i < n; i++)
		clean &= load_file(f, file_name(f, name, list[i].table, list[i].generation), list[i].table, list[i].generation);
	f->disorder = !clean;
	return clean;
}
