/*
 * A disk in memory in place of queue/disk.c, for tests that include this file once: it forgets on model_crash() what was
 * not synced, block by block (512 bytes) and name by name as chance has it, can fail syncs, can be full, and freezes at the
 * Nth change as a machine does that loses its power. And a clock that only the test moves, in place of lib/clock.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "queue/disk.h"

#define MODEL_BLOCK	512U
#define MODEL_NAMES	512
#define MODEL_DIRS	4
#define MODEL_OPS	1024
#define MODEL_FDS	128
#define MODEL_FIRST_FD	1000

struct model_inode {
	uint8_t		*now, *durable;
	uint64_t	 size, durable_size, room;
	uint8_t		*dirty;			/* per block */
	unsigned	 refs;
};

struct model_name {
	char			 name[32];
	struct model_inode	*inode;		/* NULL: free */
};

struct model_op {			/* a change of names that is not synced */
	char			 gone[32], made[32];
	struct model_inode	*inode;
};

struct model_dir {
	const char		*name;
	struct model_name	 now[MODEL_NAMES], durable[MODEL_NAMES];
	struct model_op		 ops[MODEL_OPS];
	size_t			 n_ops;
};

static struct {
	struct model_dir	 dirs[MODEL_DIRS];
	struct { struct model_inode *inode; struct model_dir *dir; bool used; } fds[MODEL_FDS];
	uint64_t		 random;
	uint64_t		 changes;	/* calls that changed something */
	uint64_t		 freeze_at;	/* at which of them all stops; 0: never */
	bool			 frozen;
	unsigned		 fail_syncs;	/* of every 1000 */
	uint64_t		 room;		/* bytes in all */
	bool			 locked;
	int64_t			 clock;
	struct timer		*timers[64];
} model;

/* Chance, from a seed. */
static uint64_t
model_random(uint64_t n)
{
	model.random += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = model.random;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return n > 0 ? (z ^ (z >> 31)) % n : 0;
}

/* Counts a change; false: it does not happen any more. */
static bool
model_change(void)
{
	if (model.frozen)
		return false;
	if (++model.changes == model.freeze_at)
		model.frozen = true;
	return true;
}

static struct model_inode *
inode_ref(struct model_inode *i)
{
	i->refs++;
	return i;
}

static void
inode_unref(struct model_inode *i)
{
	if (i == NULL || --i->refs > 0)
		return;
	free(i->now);
	free(i->durable);
	free(i->dirty);
	free(i);
}

static void
inode_grow(struct model_inode *i, uint64_t size)
{
	uint64_t room = (size + MODEL_BLOCK - 1) / MODEL_BLOCK * MODEL_BLOCK;

	if (room > i->room) {
		i->now = realloc(i->now, room);
		i->durable = realloc(i->durable, room);
		i->dirty = realloc(i->dirty, room / MODEL_BLOCK);
		memset(i->now + i->room, 0, room - i->room);
		memset(i->durable + i->room, 0, room - i->room);
		memset(i->dirty + i->room / MODEL_BLOCK, 0, (room - i->room) / MODEL_BLOCK);
		i->room = room;
	}
	if (size > i->size)
		i->size = size;
}

static struct model_name *
name_find(struct model_name *names, const char *name)
{
	for (int i = 0; i < MODEL_NAMES; i++)
		if (names[i].inode && strcmp(names[i].name, name) == 0)
			return &names[i];
	return NULL;
}

static void
name_set(struct model_name *names, const char *name, struct model_inode *inode)
{
	struct model_name *n = name_find(names, name);

	for (int i = 0; n == NULL && inode; i++)
		if (names[i].inode == NULL)
			n = &names[i];
	if (n == NULL)
		return;
	if (inode)
		inode_ref(inode);
	inode_unref(n->inode);
	n->inode = inode;
	snprintf(n->name, sizeof(n->name), "%s", name);
}

static void
op_apply(struct model_name *names, const struct model_op *op)
{
	if (op->gone[0] != '\0')
		name_set(names, op->gone, NULL);
	if (op->made[0] != '\0')
		name_set(names, op->made, op->inode);
}

static void
dir_change(struct model_dir *d, const char *gone, const char *made, struct model_inode *inode)
{
	struct model_op *op = &d->ops[d->n_ops++];

	if (d->n_ops == MODEL_OPS)
		abort();
	snprintf(op->gone, sizeof(op->gone), "%s", gone);
	snprintf(op->made, sizeof(op->made), "%s", made);
	op->inode = inode ? inode_ref(inode) : NULL;
	op_apply(d->now, op);
}

static void
dir_settle(struct model_dir *d, bool by_chance)
{
	for (size_t i = 0; i < d->n_ops; i++) {
		if (!by_chance || model_random(2))
			op_apply(d->durable, &d->ops[i]);
		inode_unref(d->ops[i].inode);
	}
	d->n_ops = 0;
}

/* Makes dirty blocks durable, all or as chance has it; in any case nobody will write them later. */
static void
inode_settle(struct model_inode *i, bool by_chance)
{
	if (!by_chance || model_random(2))
		i->durable_size = i->size;
	for (uint64_t b = 0; b < i->room / MODEL_BLOCK; b++) {
		if (i->dirty[b] && (!by_chance || model_random(2)))
			memcpy(i->durable + b * MODEL_BLOCK, i->now + b * MODEL_BLOCK, MODEL_BLOCK);
		i->dirty[b] = 0;
	}
}

/* The power is gone and comes back; descriptors are gone, too. */
__attribute__((unused)) static void
model_crash(void)
{
	struct model_inode *i;

	for (int d = 0; d < MODEL_DIRS; d++) {
		for (int n = 0; n < MODEL_NAMES; n++)
			if ((i = model.dirs[d].now[n].inode) != NULL)
				inode_settle(i, true);
		for (size_t n = 0; n < model.dirs[d].n_ops; n++)
			if ((i = model.dirs[d].ops[n].inode) != NULL)
				inode_settle(i, true);
		dir_settle(&model.dirs[d], true);
		for (int n = 0; n < MODEL_NAMES; n++) {
			struct model_name *name = &model.dirs[d].durable[n];

			inode_unref(model.dirs[d].now[n].inode);
			model.dirs[d].now[n] = *name;
			if (name->inode) {
				inode_ref(name->inode);
				if (name->inode->room > 0) {
					memcpy(name->inode->now, name->inode->durable, name->inode->room);
					memset(name->inode->dirty, 0, name->inode->room / MODEL_BLOCK);
				}
				name->inode->size = name->inode->durable_size;
			}
		}
	}
	model.frozen = model.locked = false;
	model.freeze_at = 0;
}

/* The process is gone and the machine is not: what was not synced is still there, and may be forgotten later. */
__attribute__((unused)) static void
model_kill(void)
{
	model.frozen = model.locked = false;
	model.freeze_at = 0;
}

static void
model_reset(uint64_t seed)
{
	for (int d = 0; d < MODEL_DIRS; d++) {
		dir_settle(&model.dirs[d], false);
		for (int n = 0; n < MODEL_NAMES; n++) {
			inode_unref(model.dirs[d].now[n].inode);
			inode_unref(model.dirs[d].durable[n].inode);
		}
	}
	memset(&model, 0, sizeof(model));
	model.dirs[0].name = "";
	model.dirs[1].name = "log";
	model.dirs[2].name = "large";
	model.dirs[3].name = "damaged";
	model.random = seed;
	model.room = UINT64_MAX / 4;
	model.clock = 1000000;
}

static struct model_dir *
dir_of(int dirfd)
{
	return dirfd == -100 ? &model.dirs[0] : model.fds[dirfd - MODEL_FIRST_FD].dir;
}

static uint64_t
model_used(void)
{
	uint64_t used = 0;

	for (int d = 0; d < MODEL_DIRS; d++)
		for (int n = 0; n < MODEL_NAMES; n++)
			if (model.dirs[d].now[n].inode)
				used += model.dirs[d].now[n].inode->size;
	return used;
}

static int
fd_new(struct model_inode *inode, struct model_dir *dir)
{
	for (int i = 0; i < MODEL_FDS; i++)
		if (!model.fds[i].used) {
			model.fds[i].used = true;
			model.fds[i].inode = inode ? inode_ref(inode) : NULL;
			model.fds[i].dir = dir;
			return i + MODEL_FIRST_FD;
		}
	abort();
}

int
disk_open(int dirfd, const char *name, int flags, const char *kind)
{
	struct model_dir *d = dir_of(dirfd);
	struct model_name *n;
	struct model_inode *i;
	int fd;

	(void)kind;
	if (flags & O_DIRECTORY) {
		for (int k = 0; k < MODEL_DIRS; k++)
			if (strcmp(model.dirs[k].name, name) == 0)
				return fd_new(NULL, &model.dirs[k]);
		errno = ENOENT;
		return -1;
	}
	if ((n = name_find(d->now, name)) != NULL) {
		if (flags & O_EXCL) {
			errno = EEXIST;
			return -1;
		}
		if (flags & O_TRUNC && model_change())
			n->inode->size = 0;
		return fd_new(n->inode, NULL);
	}
	if (!(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	i = calloc(1, sizeof(*i));
	inode_ref(i);
	if (model_change())
		dir_change(d, "", name, i);
	fd = fd_new(i, NULL);
	inode_unref(i);
	return fd;
}

void
disk_close(int fd)
{
	if (fd < MODEL_FIRST_FD)
		return;
	inode_unref(model.fds[fd - MODEL_FIRST_FD].inode);
	memset(&model.fds[fd - MODEL_FIRST_FD], 0, sizeof(model.fds[0]));
}

int
disk_lock(int fd)
{
	(void)fd;
	return 0;
}

static struct model_inode *
inode_of(int fd)
{
	return model.fds[fd - MODEL_FIRST_FD].inode;
}

int
disk_size(int fd, uint64_t *r)
{
	*r = inode_of(fd)->size;
	return 0;
}

int
disk_allocate(int fd, uint64_t size, const char *kind)
{
	struct model_inode *i = inode_of(fd);

	(void)kind;
	if (size > i->size && model_used() + size - i->size > model.room) {
		errno = ENOSPC;
		return -1;
	}
	if (model_change())
		inode_grow(i, size);
	return 0;
}

int
disk_write(int fd, const void *data, size_t len, uint64_t offset, const char *kind)
{
	struct model_inode *i = inode_of(fd);

	(void)kind;
	if (offset + len > i->size && model_used() + offset + len - i->size > model.room) {
		errno = ENOSPC;
		return -1;
	}
	if (!model_change())
		return 0;
	inode_grow(i, offset + len);
	memcpy(i->now + offset, data, len);
	for (uint64_t b = offset / MODEL_BLOCK; len > 0 && b <= (offset + len - 1) / MODEL_BLOCK; b++)
		i->dirty[b] = 1;
	return 0;
}

int
disk_read(int fd, void *to, size_t len, uint64_t offset)
{
	struct model_inode *i = inode_of(fd);

	if (offset > i->size || len > i->size - offset) {
		errno = EIO;
		return -1;
	}
	if (len > 0)
		memcpy(to, i->now + offset, len);
	return 0;
}

/* Exactly, which a file system need not be: a written block of zeros is data to it. */
uint64_t
disk_next_data(int fd, uint64_t at)
{
	struct model_inode *i = inode_of(fd);

	for (; at < i->size; at++)
		if (i->now[at] != 0)
			return at;
	return UINT64_MAX;
}

int
disk_sync(int fd, const char *kind)
{
	(void)kind;
	if (!model_change())
		return 0;
#ifdef BROKEN_nosync
	(void)fd;
#else
	if (model.fail_syncs > 0 && model_random(1000) < model.fail_syncs) {
		inode_settle(inode_of(fd), true);
		errno = EIO;
		return -1;
	}
	if (!model.frozen)			/* frozen in the middle of it: as chance has it, later */
		inode_settle(inode_of(fd), false);
#endif
	return 0;
}

void
disk_forget(int fd)
{
	struct model_inode *i = inode_of(fd);

	for (uint64_t b = 0; b < i->room / MODEL_BLOCK; b++)
		if (!i->dirty[b])
			memcpy(i->now + b * MODEL_BLOCK, i->durable + b * MODEL_BLOCK, MODEL_BLOCK);
}

int
disk_sync_dir(int dirfd, const char *kind)
{
	(void)kind;
	if (!model_change() || model.frozen)
		return 0;
#ifndef BROKEN_nosync
	dir_settle(dir_of(dirfd), false);
#else
	(void)dirfd;
#endif
	return 0;
}

int
disk_make_dir(int dirfd, const char *name)
{
	(void)dirfd;
	(void)name;
	return 0;
}

int
disk_rename(int dirfd, const char *from, const char *to, const char *kind)
{
	struct model_dir *d = dir_of(dirfd);
	struct model_name *n = name_find(d->now, from);

	(void)kind;
	if (n == NULL) {
		errno = ENOENT;
		return model.frozen ? 0 : -1;
	}
	if (model_change())
		dir_change(d, from, to, n->inode);
	return 0;
}

int
disk_unlink(int dirfd, const char *name, const char *kind)
{
	struct model_dir *d = dir_of(dirfd);

	(void)kind;
	if (name_find(d->now, name) && model_change())
		dir_change(d, name, "", NULL);
	return 0;
}

int
disk_space(int dirfd, struct disk_space *r)
{
	uint64_t used = model_used();

	(void)dirfd;
	r->bytes = used < model.room ? model.room - used : 0;
	r->inodes = UINT64_MAX;
	return 0;
}

void *
disk_map(int fd, size_t size)
{
	(void)fd;
	return calloc(1, size);
}

void
disk_unmap(void *at, size_t size)
{
	(void)size;
	free(at);
}

int
disk_each(int dirfd, void (*fn)(void *arg, const char *name), void *arg)
{
	struct model_dir *d = dir_of(dirfd);

	for (int i = 0; i < MODEL_NAMES; i++)
		if (d->now[i].inode)
			fn(arg, d->now[i].name);
	return 0;
}

/* The clock. */

void
clock_init(struct event_base *base)
{
	(void)base;
}

int64_t
clock_ms(void)
{
	return model.clock;
}

int64_t
clock_us(void)
{
	return model.clock * 1000;
}

int64_t
clock_wall_ms(void)
{
	return model.clock;
}

time_t
clock_wall(void)
{
	return (time_t)(model.clock / 1000);
}

char *
clock_rfc5322(char *to, size_t size, time_t t)
{
	snprintf(to, size, "%lld", (long long)t);
	return to;
}

void
timer_set(struct timer *t, void (*run)(void *), void *arg)
{
	t->run = run;
	t->arg = arg;
}

void
timer_start(struct timer *t, int64_t after_ms)
{
	timer_stop(t);
	for (uint32_t i = 0; i < 64 && t->slot == 0; i++)
		if (model.timers[i] == NULL) {
			model.timers[i] = t;
			t->slot = i + 1;
		}
	t->due_ms = model.clock + after_ms;
}

void
timer_stop(struct timer *t)
{
	if (t->slot > 0)
		model.timers[t->slot - 1] = NULL;
	t->slot = 0;
}

bool
timer_running(const struct timer *t)
{
	return t->slot > 0;
}

/* To offset_ms: each timer on the way runs once, in no particular order. */
void
clock_shift(int64_t offset_ms)
{
	struct timer *t;

	model.clock = offset_ms;
	for (int i = 0; i < 64; i++)
		if ((t = model.timers[i]) != NULL && t->due_ms <= model.clock) {
			timer_stop(t);
			t->run(t->arg);
		}
}
