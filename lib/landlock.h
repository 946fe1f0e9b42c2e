/*
 * Which files a process can still open, whatever its user may: Landlock, beside chroot and seccomp, and in their place
 * where an ordinary user has started minimta. Older kernels know less of it or nothing; then less or nothing is done.
 */
#ifndef LIB_LANDLOCK_H
#define LIB_LANDLOCK_H

enum landlock_rights {
	LANDLOCK_READ,
	LANDLOCK_MAIL,		/* all that a Maildir or the spool takes; no programs, devices, sockets or symbolic links */
};

struct landlock_place {
	const char		*path;		/* a folder and all below it; one that is not there, or out of reach, is passed over */
	enum landlock_rights	 rights;
};

/*
 * From here on nothing can be opened but what lies in these places (n may be 0), no process outside be signalled,
 * inspected, or spoken to through an abstract socket. For the only thread, after no_new_privs. 0, or -1 with errno.
 */
int	landlock_enter(const struct landlock_place *, unsigned n);

#endif
