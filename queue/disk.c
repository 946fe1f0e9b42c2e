/*
 * The system calls of disk.h. Nothing is decided here; only threads call it, but for what opens a log.
 */
#include "queue/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/killpoint.h"

int
disk_open(int dirfd, const char *name, int flags, const char *kind)
{
	if (flags & O_CREAT)
		KILLPOINT("open", kind);
	else
		(void)kind;
	return openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void
disk_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

int
disk_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB);
}

int
disk_size(int fd, uint64_t *r)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -1;
	*r = (uint64_t)st.st_size;
	return 0;
}

/* On file systems without fallocate the room is made by writing it. */
int
disk_allocate(int fd, uint64_t size, const char *kind)
{
	static const char zeros[65536];
	uint64_t at = 0;

	KILLPOINT("fallocate", kind);
	if (fallocate(fd, 0, 0, (off_t)size) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	for (; at < size; at += sizeof(zeros))
		if (disk_write(fd, zeros, size - at < sizeof(zeros) ? (size_t)(size - at) : sizeof(zeros), at, kind) != 0)
			return -1;
	return 0;
}

static int
write_all(int fd, const char *data, size_t len, uint64_t offset)
{
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, data, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int
disk_write(int fd, const void *data, size_t len, uint64_t offset, const char *kind)
{
	if (KILLPOINT_DUE("pwrite", kind)) {		/* stopped in the middle of it */
		write_all(fd, data, len / 2, offset);
		KILLPOINT_DIE();
	}
	return write_all(fd, data, len, offset);
}

int
disk_read(int fd, void *to, size_t len, uint64_t offset)
{
	char *at = to;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return -1;
		}
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

uint64_t
disk_next_data(int fd, uint64_t at)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	if (data >= 0)
		return (uint64_t)data;
	return errno == ENXIO ? UINT64_MAX : at;	/* nothing more; or a file system that cannot tell */
}

int
disk_sync(int fd, const char *kind)
{
	KILLPOINT("fdatasync", kind);
#ifdef BROKEN_nosync
	(void)fd;
	return 0;
#else
	return fdatasync(fd);
#endif
}

void
disk_forget(int fd)
{
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int
disk_sync_dir(int dirfd, const char *kind)
{
	KILLPOINT("fsync", kind);
#ifdef BROKEN_nosync
	(void)dirfd;
	return 0;
#else
	return fsync(dirfd);
#endif
}

int
disk_make_dir(int dirfd, const char *name)
{
	KILLPOINT("mkdir", "dir");
	return mkdirat(dirfd, name, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

int
disk_rename(int dirfd, const char *from, const char *to, const char *kind)
{
	KILLPOINT("rename", kind);
	return renameat(dirfd, from, dirfd, to);
}

int
disk_unlink(int dirfd, const char *name, const char *kind)
{
	KILLPOINT("unlink", kind);
	return unlinkat(dirfd, name, 0) == 0 || errno == ENOENT ? 0 : -1;
}

int
disk_space(int dirfd, struct disk_space *r)
{
	struct statvfs st;

	if (fstatvfs(dirfd, &st) != 0)
		return -1;
	r->bytes = (uint64_t)st.f_bavail * st.f_frsize;
	r->inodes = st.f_files == 0 ? UINT64_MAX : st.f_favail;	/* btrfs counts none */
	return 0;
}

void *
disk_map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

void
disk_unmap(void *at, size_t size)
{
	if (at)
		munmap(at, size);
}

int
disk_each(int dirfd, void (*fn)(void *arg, const char *name), void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			fn(arg, e->d_name);
	closedir(d);
	return 0;
}
