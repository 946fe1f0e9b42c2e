/*
 * Starting processes: executed with one channel and nothing else, equipped with what they need, and introduced to each
 * other. One table says who asks whom. Called by children.c, which decides who runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "master/master.h"

static const struct { enum proc asker, asked; } pairs[] = {
	{ PROC_SMTPD, PROC_LOOKUP },
	{ PROC_SMTPD, PROC_QUEUE },
	{ PROC_SMTPD, PROC_RESOLVER },
	{ PROC_QUEUE, PROC_LOOKUP },
	{ PROC_QUEUE, PROC_DELIVERY },
	{ PROC_QUEUE, PROC_MDA },
	{ PROC_DELIVERY, PROC_RESOLVER },
	{ PROC_LOOKUP, PROC_DELIVERY },
	{ PROC_SMTPD, PROC_LOGGER },
	{ PROC_RESOLVER, PROC_LOGGER },
	{ PROC_LOOKUP, PROC_LOGGER },
	{ PROC_QUEUE, PROC_LOGGER },
	{ PROC_DELIVERY, PROC_LOGGER },
	{ PROC_MDA, PROC_LOGGER },
};
#define N_PAIRS (sizeof(pairs) / sizeof(pairs[0]))

/* ---- executing one ---- */

static char *
environment(const char *name, const char *value)
{
	char *text;

	return asprintf(&text, "%s=%s", name, value) > 0 ? text : NULL;
}

/* In the forked child: descriptor 3 is the channel, nothing else is inherited but standard input, output and error. */
static void __attribute__((noreturn))
execute(const struct master *m, enum proc proc, int channel)
{
	static const char *const kept[] = { "TZ", "JOURNAL_STREAM", "MINIMTA_SECCOMP", "MINIMTA_KILL_AT", "MINIMTA_KILL_LOG", "MINIMTA_KILL_PROC",
	    "MINIMTA_KILL_KIND", "ASAN_OPTIONS", "UBSAN_OPTIONS",
#ifdef PUPPET
	    "MINIMTA_PUPPET",
#endif
	};
	char path[4200], version[32], *env[sizeof(kept) / sizeof(kept[0]) + 3] = { (char[]){ "PATH=/usr/bin:/bin" } };
	char *argv[] = { (char *)(uintptr_t)proc_name(proc), NULL };
	sigset_t none;
	int n = 1;

	snprintf(version, sizeof(version), "%" PRIx64, msg_fingerprint());
	if ((env[n] = environment(PROCESS_VERSION_ENV, version)) != NULL)
		n++;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (getenv(kept[i]) != NULL && (env[n] = environment(kept[i], getenv(kept[i]))) != NULL)
			n++;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (m->stray[1] >= 0)
		dup2(m->stray[1], STDERR_FILENO);
	if (dup2(channel, PROCESS_CHANNEL_FD) < 0)
		_exit(71);
	if (proc == PROC_LOGGER && m->stray[0] >= 0 && dup2(m->stray[0], PROCESS_CHANNEL_FD + 1) >= 0)
		close_range(PROCESS_CHANNEL_FD + 2, ~0U, 0);
	else
		close_range(PROCESS_CHANNEL_FD + 1, ~0U, 0);
	snprintf(path, sizeof(path), "%s/%s", m->programs, proc_name(proc));
	execve(path, argv, env);
	fprintf(stderr, "master: %s: %s\n", path, strerror(errno));
	_exit(71);
}

int
launch_above(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	close(fd);
	return high;
}

static void
see_program(struct child *c)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", c->master->programs, proc_name(c->proc));
	if (stat(path, &c->program) != 0)
		c->program = (struct stat){ 0 };
}

bool
launch_file_changed(const struct stat *to, const char *path)
{
	struct stat now;

	return to->st_ino != 0 && stat(path, &now) == 0 &&
	    (now.st_dev != to->st_dev || now.st_ino != to->st_ino || now.st_size != to->st_size ||
	    now.st_mtim.tv_sec != to->st_mtim.tv_sec || now.st_mtim.tv_nsec != to->st_mtim.tv_nsec);
}

/* ---- equipping it ---- */

/* The configuration as text in a descriptor that nobody can change any more. */
int
launch_configuration(const struct master *m)
{
	int fd = memfd_create("minimta.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int copy = fd >= 0 ? dup(fd) : -1;
	FILE *f = copy >= 0 ? fdopen(copy, "w") : NULL;

	if (f == NULL)
		log_fatal("event=no-configuration what=%s", logq(strerror(errno)));
	conf_print(m->conf, f);
	if (fclose(f) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		log_fatal("event=no-configuration what=%s", logq(strerror(errno)));
	return fd;
}

/* All that it needs before GO, but for the channels to its peers. */
static void
equip(struct child *c)
{
	struct master *m = c->master;
	struct pack pk;
	int logins;

	pack_init(&pk);
	ipc_send(c->ipc, MSG_CONFIG, 0, NULL, 0, launch_configuration(m));
	if (c->proc == PROC_LOOKUP || c->proc == PROC_QUEUE)
		ipc_send(c->ipc, MSG_SECRET, 0, m->secret, sizeof(m->secret), -1);
	if (c->proc == PROC_LOOKUP || c->proc == PROC_QUEUE)
		secrets_give(c);
	if (c->proc == PROC_DELIVERY && (logins = logins_descriptor(m->conf)) >= 0)
		ipc_send(c->ipc, MSG_CREDENTIALS, 0, NULL, 0, logins);
	for (size_t i = 0; c->proc == PROC_SMTPD && i < m->n_listeners; i++) {
		int fd = fcntl(m->listeners[i].fd, F_DUPFD_CLOEXEC, 0);

		pack_str(&pk, m->listeners[i].name);
		if (fd >= 0)
			ipc_send_pack(c->ipc, MSG_LISTENER, 0, &pk, fd);
		pk.len = 0;
	}
	if (c->proc == PROC_SMTPD)
		pages_give(c);
	pack_i64(&pk, m->clock_offset_ms);
	pack_i64(&pk, m->clock_wall_ms);
	ipc_send_pack(c->ipc, MSG_CLOCK, 0, &pk, -1);
	pack_free(&pk);
}

/* ---- introducing it ---- */

static void
send_peer(struct child *to, const struct child *peer, int fd)
{
	struct pack pk;

	pack_init(&pk);
	pack_u8(&pk, (uint8_t)peer->proc);
	pack_u32(&pk, peer->instance);
	ipc_send_pack(to->ipc, MSG_PEER, 0, &pk, fd);
	pack_free(&pk);
}

static void
introduce(struct child *a, struct child *b)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0) {
		log_error("event=introduce-failed what=%s", logq(strerror(errno)));
		return;
	}
	send_peer(a, b, sv[0]);
	send_peer(b, a, sv[1]);
}

/* Who drains goes on asking, and is asked nothing new. */
static bool
should_meet(const struct child *asker, const struct child *asked)
{
	if (asker->ipc == NULL || asked->ipc == NULL || asked->draining || (!asker->fresh && !asked->fresh))
		return false;
	for (size_t i = 0; i < N_PAIRS; i++)
		if (pairs[i].asker == asker->proc && pairs[i].asked == asked->proc)
			return true;
	return false;
}

void
launch_fresh(struct master *m)
{
	struct child *a, *b;

	TAILQ_FOREACH(a, &m->children, next)
		if (a->fresh)
			equip(a);
	TAILQ_FOREACH(a, &m->children, next)
		TAILQ_FOREACH(b, &m->children, next)
			if (should_meet(a, b))
				introduce(a, b);
	pages_share(m);
	TAILQ_FOREACH(a, &m->children, next) {
		if (a->fresh)
			ipc_send(a->ipc, MSG_GO, 0, NULL, 0, -1);
		a->fresh = false;
	}
}

/* ---- the channel's other end ---- */

/* What one start takes for a moment: it is begun only where it can be finished. */
static bool
has_descriptors(const struct master *m)
{
	int taken[PROCESS_PEERS_MAX], most = 8 + (int)m->n_listeners, n;
	const struct child *c;

	TAILQ_FOREACH(c, &m->children, next)
		most += c->proc == PROC_SMTPD ? 4 : 2;
	if (most > PROCESS_PEERS_MAX)
		most = PROCESS_PEERS_MAX;
	for (n = 0; n < most && (taken[n] = fcntl(m->spool_lock, F_DUPFD_CLOEXEC, 0)) >= 0; n++)
		continue;
	for (int i = 0; i < n; i++)
		close(taken[i]);
	return n == most;
}

int
launch_spawn(struct child *c)
{
	struct master *m = c->master;
	int sv[2];

	if (!has_descriptors(m) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	sv[0] = launch_above(sv[0]);
	sv[1] = launch_above(sv[1]);
	if (sv[0] < 0 || sv[1] < 0)
		goto fail;
	see_program(c);
	c->pid = fork();
	if (c->pid == 0)
		execute(m, c->proc, sv[1]);
	if (c->pid < 0)
		goto fail;
	close(sv[1]);
	c->state = CHILD_STARTING;
	c->instance = ++m->instances[c->proc];
	c->starts++;
	c->started_ms = clock_ms();
	c->fresh = true;
	c->asked = false;
	c->silent = 0;
	log_debug("event=started process=%s pid=%d", proc_name(c->proc), (int)c->pid);
	return sv[0];
fail:
	if (sv[0] >= 0)
		close(sv[0]);
	if (sv[1] >= 0)
		close(sv[1]);
	return -1;
}
