/*
 * Obeys a test (puppet.h): a request is eight numbers, an operation and its arguments; the answer one number, and bytes
 * where the operation says so. It decides nothing and is as strong as the process is. Its state is static, because it
 * is to be found in no other build. Empty in all but test builds.
 */
#include "lib/puppet.h"

#ifdef PUPPET

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/process.h"

/* A system call's arguments point into `memory`, which the test fills and reads. */
enum operation {
	OP_CALL = 1,		/* number, six arguments: the result, or -errno */
	OP_WRITE,		/* offset, length; the bytes follow: 0 */
	OP_READ,		/* offset, length: length, then the bytes */
	OP_PEERS,		/* into memory, from offset 0: how many; of each process, instance, descriptor (u32) */
	OP_HOLD,		/* until OP_GO_ON the loop stands still, and what peers say can be read by calls */
	OP_GO_ON,
};

static struct {
	int		 fd;
	struct event	*readable;
	struct process	*process;
	bool		 held;
	uint8_t		 memory[256 * 1024];
} puppet = { .fd = -1 };

static bool
take(void *to, size_t len)
{
	return len == 0 || recv(puppet.fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

static void
give(const void *from, size_t len)
{
	if (send(puppet.fd, from, len, MSG_NOSIGNAL) != (ssize_t)len)
		puppet.held = false;
}

static int64_t
make_call(const uint64_t a[8])
{
	long rc = syscall((long)a[1], a[2], a[3], a[4], a[5], a[6], a[7]);

	/* It has become two: one is enough. */
	if (rc == 0 && (a[1] == SYS_clone || a[1] == SYS_clone3
#ifdef SYS_fork
	    || a[1] == SYS_fork
#endif
	    ))
		_exit(0);
	return rc == -1 ? -errno : rc;
}

static int64_t
list_peers(void)
{
	uint32_t *to = (uint32_t *)(void *)puppet.memory;
	int64_t n = 0;

	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++) {
		struct ipc *ipc = puppet.process->peers[i];

		if (ipc == NULL)
			continue;
		*to++ = (uint32_t)ipc_peer(ipc);
		*to++ = ipc_instance(ipc);
		*to++ = (uint32_t)ipc_fd(ipc);
		n++;
	}
	return n;
}

/* One request; false: the test is gone. */
static bool
obey(void)
{
	uint64_t a[8];
	int64_t answer = 0;

	if (!take(a, sizeof(a)))
		return false;
	if ((a[0] == OP_WRITE || a[0] == OP_READ) && (a[1] > sizeof(puppet.memory) || a[2] > sizeof(puppet.memory) - a[1]))
		return false;
	if (a[0] == OP_CALL)
		answer = make_call(a);
	else if (a[0] == OP_WRITE && !take(puppet.memory + a[1], a[2]))
		return false;
	else if (a[0] == OP_READ)
		answer = (int64_t)a[2];
	else if (a[0] == OP_PEERS)
		answer = list_peers();
	else if (a[0] == OP_HOLD || a[0] == OP_GO_ON)
		puppet.held = a[0] == OP_HOLD;
	give(&answer, sizeof(answer));
	if (a[0] == OP_READ)
		give(puppet.memory + a[1], a[2]);
	return true;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	do {
		if (!obey()) {
			event_del(puppet.readable);
			return;
		}
	} while (puppet.held);
}

void
puppet_connect(const struct process *p)
{
	struct { uint64_t proc, pid, memory; } hello = { p->self, (uint64_t)getpid(), (uintptr_t)puppet.memory };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("MINIMTA_PUPPET");

	if (path == NULL)
		return;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	puppet.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (puppet.fd < 0 || connect(puppet.fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		log_fatal("event=start-failed what=\"no test to obey at %s\"", path);
	give(&hello, sizeof(hello));
}

void
puppet_obey(struct process *p)
{
	if (puppet.fd < 0)
		return;
	puppet.process = p;
	puppet.readable = event_new(p->base, puppet.fd, EV_READ | EV_PERSIST, on_readable, NULL);
	if (puppet.readable == NULL || event_add(puppet.readable, NULL) != 0)
		log_fatal("event=out-of-memory");
}

#else
typedef int puppet_nothing;
#endif
