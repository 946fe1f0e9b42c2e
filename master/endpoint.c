/*
 * Connections to sockets in the file system, for delivery, which has none. Decides that only what the configuration names
 * is connected to; what is said there is delivery's business. The connection is made at once or not at all.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/pack.h"
#include "master/master.h"

/* A descriptor, or -1 with errno. */
static int
connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, why;

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	why = errno;
	close(fd);
	errno = why;
	return -1;
}

int
endpoint_on_ask(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct child *c = arg;
	char path[300];
	struct unpack u;
	struct pack p;
	int fd = -1;

	unpack_init(&u, m->data, m->len);
	unpack_str_to(&u, path, sizeof(path));
	if (!unpack_end(&u))
		return ipc_fail(ipc, "ENDPOINT_ASK is malformed");
	if (path[0] != '/' || strcmp(path, c->master->conf->lmtp) != 0)
		errno = EPERM;
	else if ((fd = connect_to(path)) != -1) {
		ipc_send(ipc, MSG_ENDPOINT, m->id, NULL, 0, fd);
		return 0;
	}
	pack_init(&p);
	pack_str(&p, strerror(errno));
	ipc_send_pack(ipc, MSG_NO_ENDPOINT, m->id, &p, -1);
	pack_free(&p);
	return 0;
}
