/*
 * For tests of one process: stands in for master and for one peer of it. The real executable (beside the test, in
 * ../../bin) is started with the real sandbox, where a forbidden system call kills it, and everything it says is kept.
 */
#ifndef TESTS_UNIT_FAKE_MASTER_H
#define TESTS_UNIT_FAKE_MASTER_H

#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"

#define FAKE_SAID_MAX	1000
#define FAKE_WAIT_S	20

struct fake_said {
	enum msg	 type;
	uint64_t	 id;
	uint8_t		*data;
	size_t		 len;
	bool		 seen;		/* fake_wait has returned it */
};

struct fake {
	struct event_base	*base;
	enum proc		 proc;
	pid_t			 pid;
	struct ipc		*master, *peer;
	uint32_t		 instances;
	struct fake_said	 said[FAKE_SAID_MAX];
	unsigned		 n;
	bool			 peer_down;
	char			 dir[64];
};

static int
fake_on_message(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct fake *f = arg;
	struct fake_said *s = &f->said[f->n++];

	(void)ipc;
	ck_assert_uint_lt(f->n, FAKE_SAID_MAX);
	*s = (struct fake_said){ m->type, m->id, malloc(m->len + 1), m->len, false };
	memcpy(s->data, m->data, m->len);
	return 0;
}

static void
fake_on_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct fake *f = arg;

	if (ipc == f->peer) {
		f->peer = NULL;
		f->peer_down = true;
	} else {
		f->master = NULL;
	}
	if (strcmp(reason, "closed") != 0)
		fprintf(stderr, "channel to %s: %s\n", proc_name(f->proc), reason);
}

static const struct ipc_handler fake_handlers[] = {
	{ MSG_READY, fake_on_message }, { MSG_STATUS, fake_on_message }, { MSG_BAD_PEER, fake_on_message },
	{ MSG_TRUST, fake_on_message }, { MSG_RCPT, fake_on_message }, { MSG_EXPAND, fake_on_message },
	{ MSG_JOB_PULL, fake_on_message }, { MSG_JOB_RESULT, fake_on_message }, { MSG_JOB_DONE, fake_on_message },
	{ MSG_NONE, NULL },
};

static void
fake_too_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Runs the loop until this message has come (about this id, where id is not 0), or aborts the test. */
static const struct fake_said *
fake_wait(struct fake *f, enum msg type, uint64_t id)
{
	struct timeval tv = { FAKE_WAIT_S, 0 };
	bool late = false;
	struct event *timeout = evtimer_new(f->base, fake_too_late, &late);

	event_add(timeout, &tv);
	for (unsigned i = 0; !late; ) {
		for (; i < f->n; i++)
			if (!f->said[i].seen && f->said[i].type == type && (id == 0 || f->said[i].id == id)) {
				f->said[i].seen = true;
				event_free(timeout);
				return &f->said[i];
			}
		event_base_loop(f->base, EVLOOP_ONCE);
	}
	ck_abort_msg("%s never said %s", proc_name(f->proc), msg_name(type));
	return NULL;
}

static void
fake_wait_down(struct fake *f)
{
	while (!f->peer_down)
		event_base_loop(f->base, EVLOOP_ONCE);
	f->peer_down = false;
}

/* How many such messages have come so far. */
static inline unsigned
fake_count(const struct fake *f, enum msg type, uint64_t id)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->n; i++)
		count += f->said[i].type == type && f->said[i].id == id;
	return count;
}

/* Connects a peer; there is one at a time. */
static void
fake_peer(struct fake *f, enum proc peer)
{
	struct pack p;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	f->peer = ipc_new(f->base, fds[0], peer, f->proc, ++f->instances, fake_handlers, fake_on_down, f);
	pack_init(&p);
	pack_u8(&p, (uint8_t)peer);
	pack_u32(&p, f->instances);
	ipc_send_pack(f->master, MSG_PEER, 0, &p, fds[1]);
	pack_free(&p);
}

static void
fake_exec(enum proc proc, int channel)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);

	path[n] = '\0';
	for (int i = 0; i < 3; i++)
		if ((slash = strrchr(path, '/')) != NULL)
			*slash = '\0';
	snprintf(path + strlen(path), 64, "/bin/%s", proc_name(proc));
	setenv("MINIMTA_SECCOMP", "kill", 1);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);	/* which needs ptrace at the end, and hangs without */
	if (channel != PROCESS_CHANNEL_FD)
		dup2(channel, PROCESS_CHANNEL_FD);
	else
		fcntl(channel, F_SETFD, 0);
	execl(path, proc_name(proc), (char *)NULL);
	perror(path);
	_exit(127);
}

/* A folder that every user may enter, for whatever the test needs. */
static void
fake_folder(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/minimta-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	chmod(f->dir, 0755);
}

/* Starts the process with this configuration and waits until it is ready. */
static void
fake_start(struct fake *f, enum proc proc, enum proc peer, const char *conf, const uint8_t secret[32])
{
	int fds[2], memory = memfd_create("conf", 0);

	f->proc = proc;
	f->base = event_base_new();
	clock_init(f->base);
	clock_hold(true);
	ck_assert_int_eq(write(memory, conf, strlen(conf)), (ssize_t)strlen(conf));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	if ((f->pid = fork()) == 0)
		fake_exec(proc, fds[1]);
	close(fds[1]);
	f->master = ipc_new(f->base, fds[0], PROC_MASTER, proc, 0, fake_handlers, fake_on_down, f);
	ipc_send(f->master, MSG_CONFIG, 0, NULL, 0, memory);
	if (secret != NULL)
		ipc_send(f->master, MSG_SECRET, 0, secret, 32, -1);
	fake_peer(f, peer);
	ipc_send(f->master, MSG_GO, 0, NULL, 0, -1);
	fake_wait(f, MSG_READY, 0);
}

static int
fake_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* STOP must end it well. */
static void
fake_stop(struct fake *f)
{
	int status;

	ipc_send(f->master, MSG_STOP, 0, NULL, 0, -1);
	while (f->master != NULL)
		event_base_loop(f->base, EVLOOP_ONCE);
	ck_assert_int_eq(waitpid(f->pid, &status, 0), f->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
	for (unsigned i = 0; i < f->n; i++)
		free(f->said[i].data);
	ck_assert_int_eq(nftw(f->dir, fake_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
