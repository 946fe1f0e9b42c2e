/*
 * The children: started, introduced to each other, restarted when they die, and ended in order. One table says who
 * talks to whom and one in which order they end.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "master/master.h"

#define PAUSE_FIRST_MS	1000
#define PAUSE_MOST_MS	60000
#define STEADY_MS	60000	/* ran so long: the next pause is short again */
#define STOP_GROUP_MS	35000	/* a group of processes that is to end; then it is killed */

static const struct { enum proc a, b; } pairs[] = {
	{ PROC_SMTPD, PROC_LOOKUP },
	{ PROC_SMTPD, PROC_QUEUE },
	{ PROC_SMTPD, PROC_RESOLVER },
	{ PROC_QUEUE, PROC_LOOKUP },
	{ PROC_QUEUE, PROC_DELIVERY },
	{ PROC_QUEUE, PROC_MDA },
	{ PROC_DELIVERY, PROC_RESOLVER },
	{ PROC_SMTPD, PROC_LOGGER },
	{ PROC_RESOLVER, PROC_LOGGER },
	{ PROC_LOOKUP, PROC_LOGGER },
	{ PROC_QUEUE, PROC_LOGGER },
	{ PROC_DELIVERY, PROC_LOGGER },
	{ PROC_MDA, PROC_LOGGER },
};
#define N_PAIRS (sizeof(pairs) / sizeof(pairs[0]))

/* Mail stops coming in, then going out, then being kept; who answers questions ends after those who ask. */
static const struct { enum proc procs[2]; int n; } stop_order[] = {
	{ { PROC_SMTPD }, 1 },
	{ { PROC_DELIVERY, PROC_MDA }, 2 },
	{ { PROC_QUEUE }, 1 },
	{ { PROC_LOOKUP, PROC_RESOLVER }, 2 },
	{ { PROC_LOGGER }, 1 },
};
#define N_STOPS ((int)(sizeof(stop_order) / sizeof(stop_order[0])))

static int	on_ready(void *, struct ipc *, struct ipc_message *);
static int	on_bad_peer(void *, struct ipc *, struct ipc_message *);
static void	on_child_channel_down(void *, struct ipc *, const char *);
static void	stop_next_group(struct master *);

static const struct ipc_handler from_child[] = {
	{ MSG_READY, on_ready },
	{ MSG_BAD_PEER, on_bad_peer },
	{ MSG_STATUS, control_on_status },
	{ MSG_NONE, NULL },
};

/* ---- starting one ---- */

/* In the forked child: descriptor 3 is the channel, nothing else is inherited but standard input, output and error. */
static void __attribute__((noreturn))
execute(const struct master *m, enum proc proc, int channel)
{
	static const char *const kept[] = { "TZ", "MINIMTA_SECCOMP", "MINIMTA_KILL_AT", "MINIMTA_KILL_LOG", "MINIMTA_KILL_PROC", "MINIMTA_KILL_KIND",
	    "ASAN_OPTIONS", "UBSAN_OPTIONS" };
	char path[4200], *env[sizeof(kept) / sizeof(kept[0]) + 2] = { (char[]){ "PATH=/usr/bin:/bin" } };
	char *argv[] = { (char *)(uintptr_t)proc_name(proc), NULL };
	sigset_t none;
	int n = 1;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (getenv(kept[i]) != NULL && asprintf(&env[n], "%s=%s", kept[i], getenv(kept[i])) > 0)
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

/* A descriptor may lie where the child wants 3 and 4: keep them all above. */
static int
above(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (high < 0)
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
	close(fd);
	return high;
}

static int
spawn(struct child *c)
{
	struct master *m = c->master;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	sv[0] = above(sv[0]);
	sv[1] = above(sv[1]);
	c->pid = fork();
	if (c->pid == 0)
		execute(m, c->proc, sv[1]);
	close(sv[1]);
	if (c->pid < 0) {
		close(sv[0]);
		return -1;
	}
	c->state = CHILD_STARTING;
	c->instance++;
	c->started_ms = clock_ms();
	c->ipc = ipc_new(m->base, sv[0], PROC_MASTER, c->proc, c->instance, from_child, on_child_channel_down, m);
	log_debug("event=started process=%s pid=%d", proc_name(c->proc), (int)c->pid);
	return 0;
}

/* The configuration as text in a descriptor that nobody can change any more. */
static int
sealed_configuration(const struct conf *conf)
{
	int fd = memfd_create("minimta.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int copy = fd >= 0 ? dup(fd) : -1;
	FILE *f = copy >= 0 ? fdopen(copy, "w") : NULL;

	if (f == NULL)
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
	conf_print(conf, f);
	if (fclose(f) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
	return fd;
}

/* All that it needs before GO, but for the channels to its peers. */
static void
equip(struct child *c)
{
	struct master *m = c->master;
	struct pack pk;

	pack_init(&pk);
	ipc_send(c->ipc, MSG_CONFIG, 0, NULL, 0, sealed_configuration(m->conf));
	if (c->proc == PROC_LOOKUP || c->proc == PROC_QUEUE)
		ipc_send(c->ipc, MSG_SECRET, 0, m->secret, sizeof(m->secret), -1);
	for (size_t i = 0; c->proc == PROC_SMTPD && i < m->n_listeners; i++) {
		pack_str(&pk, m->listeners[i].name);
		ipc_send_pack(c->ipc, MSG_LISTENER, 0, &pk, dup(m->listeners[i].fd));
	}
	pack_i64(&pk, m->clock_offset_ms);
	ipc_send_pack(c->ipc, MSG_CLOCK, 0, &pk, -1);
	pack_free(&pk);
}

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

	if (a->ipc == NULL || b->ipc == NULL)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0) {
		log_error("event=introduce-failed what=%s", logq(strerror(errno)));
		return;
	}
	send_peer(a, b, sv[0]);
	send_peer(b, a, sv[1]);
}

static void
restart(void *arg)
{
	struct child *c = arg;
	struct master *m = c->master;

	if (m->stop_group >= 0 || c->state != CHILD_AWAY)
		return;
	if (spawn(c) != 0) {
		log_error("event=restart-failed process=%s what=%s", proc_name(c->proc), logq(strerror(errno)));
		timer_start(&c->restart, c->pause_ms);
		return;
	}
	equip(c);
	for (size_t i = 0; i < N_PAIRS; i++)
		if (pairs[i].a == c->proc || pairs[i].b == c->proc)
			introduce(&m->children[pairs[i].a], &m->children[pairs[i].b]);
	ipc_send(c->ipc, MSG_GO, 0, NULL, 0, -1);
}

void
children_start(struct master *m)
{
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++) {
		struct child *c = &m->children[p];

		*c = (struct child){ .master = m, .proc = (enum proc)p, .pause_ms = PAUSE_FIRST_MS };
		timer_set(&c->restart, restart, c);
		if (spawn(c) != 0)
			log_fatal("event=start-failed process=%s what=%s", proc_name(c->proc), logq(strerror(errno)));
		equip(c);
	}
	for (size_t i = 0; i < N_PAIRS; i++)
		introduce(&m->children[pairs[i].a], &m->children[pairs[i].b]);
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
		ipc_send(m->children[p].ipc, MSG_GO, 0, NULL, 0, -1);
}

/* ---- what they say ---- */

static int
on_ready(void *arg, struct ipc *ipc, struct ipc_message *msg)
{
	struct master *m = arg;
	struct child *c = &m->children[ipc_peer(ipc)];

	(void)msg;
	if (c->state != CHILD_STARTING)
		return -1;
	c->state = CHILD_READY;
	if (m->was_ready) {
		log_info("event=restarted process=%s pid=%d", proc_name(c->proc), (int)c->pid);
		return 0;
	}
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
		if (m->children[p].state != CHILD_READY)
			return 0;
	m->was_ready = true;
	log_info("event=ready version=" MASTER_VERSION " hostname=%s pid=%d", logq(m->conf->hostname), (int)getpid());
	if (m->ready_pipe >= 0 && write(m->ready_pipe, "", 1) == 1)
		close(m->ready_pipe);
	return 0;
}

static void
end_child(struct child *c, const char *why)
{
	log_error("event=end-child process=%s pid=%d reason=%s", proc_name(c->proc), (int)c->pid, logq(why));
	kill(c->pid, SIGKILL);
}

/*
 * A process says that a peer of its own said something impossible: that one is ended. An accusation by a process that
 * talks to strangers ends the accuser instead, so that taking over such a process gives no power over the others; the
 * channel between the two is made anew either way.
 */
static int
on_bad_peer(void *arg, struct ipc *ipc, struct ipc_message *msg)
{
	struct master *m = arg;
	enum proc accuser = ipc_peer(ipc), accused;
	struct unpack u;
	uint32_t instance;
	char reason[512];

	unpack_init(&u, msg->data, msg->len);
	accused = (enum proc)unpack_u8(&u);
	instance = unpack_u32(&u);
	unpack_str_to(&u, reason, sizeof(reason));
	if (!unpack_end(&u) || accused == PROC_MASTER || accused >= PROC_COUNT || accused == accuser)
		return -1;
	if (accuser == PROC_SMTPD || accuser == PROC_DELIVERY || accuser == PROC_RESOLVER)
		end_child(&m->children[accuser], reason);
	else if (m->children[accused].instance == instance && m->children[accused].ipc != NULL)
		end_child(&m->children[accused], reason);
	return 0;
}

/* "closed" comes before or after SIGCHLD, which does the rest; anything else is a child that must go. */
static void
on_child_channel_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct master *m = arg;
	struct child *c = &m->children[ipc_peer(ipc)];

	c->ipc = NULL;
	if (strcmp(reason, "closed") != 0 && c->state != CHILD_AWAY)
		end_child(c, reason);
}

void
children_shift_clock(struct master *m, int64_t offset_ms, bool queue)
{
	struct pack pk;

	m->clock_offset_ms = offset_ms;
	pack_init(&pk);
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
		if (m->children[p].ipc != NULL && (p == PROC_QUEUE) == queue) {
			pack_i64(&pk, offset_ms);
			ipc_send_pack(m->children[p].ipc, MSG_CLOCK, 0, &pk, -1);
		}
	pack_free(&pk);
	clock_shift(offset_ms);
}

/* ---- their end ---- */

static void
describe_exit(int status, char *to, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(to, size, "signal=%d", WTERMSIG(status));
	else
		snprintf(to, size, "exit=%d", WEXITSTATUS(status));
}

static void
on_exit_of(struct master *m, struct child *c, int status)
{
	char how[32];

	describe_exit(status, how, sizeof(how));
	ipc_free(c->ipc);
	c->ipc = NULL;
	c->state = CHILD_AWAY;
	if (m->stop_group >= 0) {
		log_debug("event=stopped process=%s %s", proc_name(c->proc), how);
		return;
	}
	if (!m->was_ready) {
		log_error("event=start-failed process=%s pid=%d %s", proc_name(c->proc), (int)c->pid, how);
		children_stop(m, 1);
		return;
	}
	if (clock_ms() - c->started_ms > STEADY_MS)
		c->pause_ms = PAUSE_FIRST_MS;
	log_error("event=died process=%s pid=%d %s restart_ms=%lld", proc_name(c->proc), (int)c->pid, how,
	    (long long)c->pause_ms);
	timer_start(&c->restart, c->pause_ms);
	c->pause_ms = 2 * c->pause_ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : 2 * c->pause_ms;
}

void
children_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
			if (m->children[p].pid == pid && m->children[p].state != CHILD_AWAY)
				on_exit_of(m, &m->children[p], status);
	if (m->stop_group >= 0)
		stop_next_group(m);
}

static void
on_stop_deadline(void *arg)
{
	struct master *m = arg;

	for (int i = 0; i < stop_order[m->stop_group].n; i++) {
		struct child *c = &m->children[stop_order[m->stop_group].procs[i]];

		if (c->state != CHILD_AWAY)
			end_child(c, "did not stop in time");
	}
}

/* Ends the groups one after the other; called again whenever a child has gone. */
static void
stop_next_group(struct master *m)
{
	for (; m->stop_group < N_STOPS; m->stop_group++) {
		int running = 0;

		for (int i = 0; i < stop_order[m->stop_group].n; i++) {
			struct child *c = &m->children[stop_order[m->stop_group].procs[i]];

			if (c->state == CHILD_AWAY)
				continue;
			running++;
			if (c->ipc == NULL || (c->state == CHILD_STARTING && !m->was_ready))
				kill(c->pid, SIGKILL);
			else if (!timer_running(&m->stop_deadline))
				ipc_send(c->ipc, MSG_STOP, 0, NULL, 0, -1);
		}
		if (running > 0) {
			if (!timer_running(&m->stop_deadline))
				timer_start(&m->stop_deadline, STOP_GROUP_MS);
			return;
		}
		timer_stop(&m->stop_deadline);
	}
	event_base_loopexit(m->base, NULL);
}

void
children_stop(struct master *m, int exit_code)
{
	if (m->stop_group >= 0)
		return;
	m->stop_group = 0;
	m->exit_code = exit_code;
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
		timer_stop(&m->children[p].restart);
	timer_set(&m->stop_deadline, on_stop_deadline, m);
	stop_next_group(m);
}
