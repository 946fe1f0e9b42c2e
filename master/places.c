/*
 * Directories, the lock on the spool, and ports: what master prepares before any child runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "master/master.h"

#define BACKLOG		4096	/* the kernel cuts it to net.core.somaxconn */

/* mkdir -p: parents with 0755. */
static int
make_directory(const char *path, mode_t mode, char *err, size_t size)
{
	char copy[4096];
	struct stat st;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy)) {
		snprintf(err, size, "%s: path too long", path);
		return -1;
	}
	for (char *slash = copy + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(copy, 0755);
		*slash = '/';
	}
	if (mkdir(copy, mode) == 0) {
		chmod(copy, mode);
		log_info("event=made-directory path=%s", logq(path));
	} else if (errno != EEXIST || stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)) {
		snprintf(err, size, "%s: cannot be made a directory: %s", path,
		    errno == EEXIST ? "something else is there" : strerror(errno));
		return -1;
	}
	return 0;
}

/* As root the spool belongs to queue's user and to nobody else. */
static int
own_spool(const struct conf *conf, char *err, size_t size)
{
	struct passwd *pw = getpwnam(sandbox_user(PROC_QUEUE));
	struct stat st;

	if (pw == NULL || stat(conf->spool, &st) != 0) {
		snprintf(err, size, "%s: %s", conf->spool, pw ? strerror(errno) : "queue's user is missing");
		return -1;
	}
	if (st.st_uid == pw->pw_uid)
		return 0;
	if (rmdir(conf->spool) == 0) {	/* empty: ours to take */
		if (mkdir(conf->spool, 0700) == 0 && chown(conf->spool, pw->pw_uid, pw->pw_gid) == 0)
			return 0;
	} else if (errno != ENOTEMPTY && errno != EEXIST && chown(conf->spool, pw->pw_uid, pw->pw_gid) == 0) {
		return 0;	/* a mount point cannot be removed, and is taken as it is */
	}
	snprintf(err, size, "%s belongs to user %u and is not empty; expected %s (chown -R %s %s, if it is a spool)",
	    conf->spool, (unsigned)st.st_uid, sandbox_user(PROC_QUEUE), sandbox_user(PROC_QUEUE), conf->spool);
	return -1;
}

int
places_make(const struct conf *conf, char *err, size_t size)
{
	char parent[4096];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", conf->control);
	if ((slash = strrchr(parent, '/')) != NULL && slash != parent)
		*slash = '\0';
	if (make_directory(conf->spool, 0700, err, size) != 0 || make_directory(conf->state, 0755, err, size) != 0 ||
	    make_directory(conf->empty, 0755, err, size) != 0 || make_directory(parent, 0755, err, size) != 0)
		return -1;
	return geteuid() == 0 ? own_spool(conf, err, size) : 0;
}

int
places_lock_spool(const struct conf *conf, char *err, size_t size)
{
	int fd = open(conf->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		snprintf(err, size, "%s: %s", conf->spool, strerror(errno));
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		snprintf(err, size, "%s: %s", conf->spool,
		    errno == EWOULDBLOCK ? "another minimta runs on this spool" : strerror(errno));
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Says the address with the port that was really taken. */
static void
name_listener(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[64], port[16];

	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
	    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	snprintf(l->name, sizeof(l->name), ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int
listen_on(struct listener *l, bool share)
{
	const struct sockaddr *at = (const struct sockaddr *)&l->at.address;
	int on = 1, off = 0;

	l->fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -1;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (share)
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (at->sa_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(l->fd, at, l->at.length) != 0 || listen(l->fd, BACKLOG) != 0) {
		int why = errno;

		close(l->fd);
		l->fd = -1;
		errno = why;
		return -1;
	}
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	name_listener(l);
	return 0;
}

static in_port_t
port_of(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)ss)->sin6_port :
	    ((const struct sockaddr_in *)ss)->sin_port;
}

/* Whether a socket holds this port, which it may have from the kernel. */
static bool
has_port(int fd, in_port_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getsockname(fd, (struct sockaddr *)&ss, &len) == 0 && port_of(&ss) == port;
}

/*
 * "127.0.0.1:25" may become "0.0.0.0:25" without a moment in which nobody listens: both hold the port until the old one is
 * closed. Only while they are changed do they allow that; another server there is an error as ever.
 */
static int
listen_beside(struct listener *l, const struct listener *old, size_t n_old)
{
	int on = 1, off = 0, rc;

	for (size_t i = 0; i < n_old; i++)
		if (has_port(old[i].fd, port_of(&l->at.address)))
			setsockopt(old[i].fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	rc = listen_on(l, true);
	for (size_t i = 0; i < n_old; i++)
		setsockopt(old[i].fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	return rc;
}

/* The one for the same address, as another descriptor for the same socket. */
static bool
take_old(struct listener *l, const struct listener *old, size_t n_old)
{
	for (size_t i = 0; i < n_old; i++) {
		if (strcmp(old[i].at.name, l->at.name) != 0)
			continue;
		l->fd = fcntl(old[i].fd, F_DUPFD_CLOEXEC, 0);
		memcpy(l->name, old[i].name, sizeof(l->name));
		return l->fd >= 0;
	}
	return false;
}

int
places_listen(const struct conf *conf, const struct listener *old, size_t n_old, struct listener **new_r, char *err,
    size_t size)
{
	struct listener *all = alloc_new(conf->n_listen + 1, sizeof(*all)), *l;

	for (size_t i = 0; i < conf->n_listen; i++) {
		l = &all[i];
		l->at = conf->listen[i];
		if (take_old(l, old, n_old))
			continue;
		if (listen_on(l, false) != 0 && (errno != EADDRINUSE || listen_beside(l, old, n_old) != 0)) {
			snprintf(err, size, "listen on %s: %s%s", l->at.name, strerror(errno),
			    errno == EACCES ? " (ports below 1024 need root; an ordinary user takes a higher one)" : "");
			places_close(all, i);
			return -1;
		}
		log_info("event=listen address=%s", l->name);
	}
	*new_r = all;
	return 0;
}

void
places_close(struct listener *listeners, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(listeners[i].fd);
	free(listeners);
}
