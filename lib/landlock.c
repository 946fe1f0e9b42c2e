/*
 * Landlock by its system calls (lib/landlock.h); the C library has no functions for them. Decides what each version of
 * the kernel's can do; which places a process has, lib/sandbox.c, its caller, decides.
 */
#include "lib/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What headers of the oldest systems that minimta is built on do not have yet. */
#define FS_REFER	(1ULL << 13)	/* version 2 */
#define FS_TRUNCATE	(1ULL << 14)	/* version 3 */
#define FS_IOCTL_DEV	(1ULL << 15)	/* version 5 */
#define SCOPE_ALL	3ULL		/* version 6: abstract sockets, signals */

#define FS_VERSION_1	((1ULL << 13) - 1)
#define FS_READ		(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_MAIL		(FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | FS_REFER | FS_TRUNCATE)

/* struct landlock_ruleset_attr as it is since version 6; older kernels take the first part. */
struct ruleset {
	uint64_t	fs, net, scoped;
};

static uint64_t
known_fs(long version)
{
	return FS_VERSION_1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
	    (version >= 5 ? FS_IOCTL_DEV : 0);
}

static int
add_place(int rules, const struct landlock_place *place, uint64_t known)
{
	struct landlock_path_beneath_attr below = { .allowed_access = known & (place->rights == LANDLOCK_READ ? FS_READ : FS_MAIL) };
	int rc = 0;

	below.parent_fd = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (below.parent_fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) != 0)
		rc = -1;
	close(below.parent_fd);
	return rc;
}

int
landlock_enter(const struct landlock_place *places, unsigned n)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset attr = { .fs = known_fs(version), .scoped = version >= 6 ? SCOPE_ALL : 0 };
	int rules, rc = 0;

	if (version < 1)
		return 0;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, version >= 6 ? sizeof(attr) : sizeof(attr.fs), 0);
	if (rules < 0)
		return -1;
	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = add_place(rules, &places[i], attr.fs);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		rc = -1;
	close(rules);
	return rc;
}
