/*
 * Every system call by which queue changes or reads its spool, one thin function each: so that a test can put a disk of
 * its own in their place, and stop the process at any of them (lib/killpoint.h). `kind` says for that what it is about.
 * All return 0 (or what is said) or -1 with errno.
 */
#ifndef QUEUE_DISK_H
#define QUEUE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_space {
	uint64_t	bytes, inodes;		/* that we may use; UINT64_MAX: without bound */
};

int	disk_open(int dirfd, const char *name, int flags, const char *kind);	/* a descriptor */
void	disk_close(int fd);
int	disk_lock(int fd);				/* exclusive, without waiting */
int	disk_size(int fd, uint64_t *r);
int	disk_allocate(int fd, uint64_t size, const char *kind);
int	disk_write(int fd, const void *, size_t, uint64_t offset, const char *kind);	/* all of it */
/* Where data begins at or behind `at`, holes and what was only allocated passed over; UINT64_MAX: nowhere. May say `at`. */
uint64_t disk_next_data(int fd, uint64_t at);
int	disk_read(int fd, void *, size_t, uint64_t offset);		/* all of it; short: EIO */
int	disk_sync(int fd, const char *kind);		/* fdatasync */
/* What is read next comes from the disk and not from memory, as far as the kernel can be told. */
void	disk_forget(int fd);
int	disk_sync_dir(int dirfd, const char *kind);	/* fsync */
int	disk_make_dir(int dirfd, const char *name);	/* there already: fine */
int	disk_rename(int dirfd, const char *from, const char *to, const char *kind);
int	disk_unlink(int dirfd, const char *name, const char *kind);	/* not there: fine */
int	disk_space(int dirfd, struct disk_space *);
/* A file's first bytes as memory, shared with the file; NULL with errno. */
void	*disk_map(int fd, size_t);
void	disk_unmap(void *, size_t);			/* NULL is fine */
int	disk_each(int dirfd, void (*fn)(void *arg, const char *name), void *arg);

#endif
