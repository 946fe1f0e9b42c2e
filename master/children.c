/*
 * The children: who runs, who is restarted when it dies, who makes place for a successor, and in which order all end.
 * How one is started and whom it meets is launch.c's; what a new generation is for, reload.c's.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "master/master.h"

#define PAUSE_FIRST_MS	1000
#define PAUSE_MOST_MS	60000
#define STEADY_MS	60000	/* ran so long: the next pause is short again */
#define STOP_GROUP_MS	35000	/* a group of processes that is to end; then it is killed */
#define DRAINING_MAX	32	/* of one kind, from several changes in a few minutes; then the oldest are told to stop */

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
static int	on_status(void *, struct ipc *, struct ipc_message *);
static int	on_draining(void *, struct ipc *, struct ipc_message *);
static void	on_child_channel_down(void *, struct ipc *, const char *);
static void	stop_next_group(struct master *);

static const struct ipc_handler from_child[] = {
	{ MSG_READY, on_ready },
	{ MSG_BAD_PEER, on_bad_peer },
	{ MSG_STATUS, on_status },
	{ MSG_DRAINING, on_draining },
	{ MSG_ENDPOINT_ASK, endpoint_on_ask },
	{ MSG_NONE, NULL },
};

/* ---- one child ---- */

static int
start(struct child *c)
{
	int fd = launch_spawn(c);

	if (fd < 0)
		return -1;
	c->ipc = ipc_new(c->master->base, fd, PROC_MASTER, c->proc, c->instance, from_child, on_child_channel_down, c);
	return 0;
}

/* Again at once, or after a pause that grows. */
static void
restart(void *arg)
{
	struct child *c = arg;

	if (c->master->stop_group >= 0 || c->state != CHILD_AWAY)
		return;
	if (start(c) == 0) {
		launch_fresh(c->master);
		return;
	}
	log_error("event=restart-failed process=%s what=%s", proc_name(c->proc), logq(strerror(errno)));
	timer_start(&c->restart, c->pause_ms);
}

static void
on_patience_over(void *arg)
{
	children_end(arg, "did not end in time");
}

static struct child *
child_new(struct master *m, enum proc proc)
{
	struct child *c = alloc_new(1, sizeof(*c));

	c->master = m;
	c->proc = proc;
	c->pause_ms = PAUSE_FIRST_MS;
	c->page = -1;
	timer_set(&c->restart, restart, c);
	timer_set(&c->patience, on_patience_over, c);
	TAILQ_INSERT_TAIL(&m->children, c, next);
	return c;
}

static void
child_free(struct child *c)
{
	timer_stop(&c->restart);
	timer_stop(&c->patience);
	ipc_free(c->ipc);
	TAILQ_REMOVE(&c->master->children, c, next);
	free(c);
}

void
children_end(struct child *c, const char *why)
{
	if (c->state == CHILD_AWAY)
		return;
	log_error("event=end-child process=%s pid=%d reason=%s", proc_name(c->proc), (int)c->pid, logq(why));
	kill(c->pid, SIGKILL);
}

struct child *
children_find(struct master *m, enum proc proc)
{
	struct child *c;
	unsigned n = 0, turn;

	TAILQ_FOREACH(c, &m->children, next)
		n += c->proc == proc && c->state == CHILD_READY && c->ipc != NULL && !c->draining && !c->candidate;
	if (n == 0)
		return NULL;
	turn = m->turn++ % n;
	TAILQ_FOREACH(c, &m->children, next)
		if (c->proc == proc && c->state == CHILD_READY && c->ipc != NULL && !c->draining && !c->candidate &&
		    turn-- == 0)
			break;
	return c;
}

bool
children_program_changed(const struct child *c)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", c->master->programs, proc_name(c->proc));
	return launch_file_changed(&c->program, path);
}

/* ---- all of them, and generations ---- */

void
children_start(struct master *m)
{
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
		for (unsigned i = 0; i < (p == PROC_SMTPD ? m->conf->workers : 1); i++)
			if (start(child_new(m, (enum proc)p)) != 0)
				log_fatal("event=start-failed process=%s", proc_name((enum proc)p));
	launch_fresh(m);
}

int
children_add_generation(struct master *m, unsigned procs)
{
	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++)
		for (unsigned i = 0; (procs & 1U << p) != 0 && i < (p == PROC_SMTPD ? m->conf->workers : 1); i++) {
			struct child *c = child_new(m, (enum proc)p);

			c->candidate = true;
			if (start(c) != 0) {
				child_free(c);
				return -1;
			}
		}
	launch_fresh(m);
	return 0;
}

/* Someone who reloads every few seconds does not get a process for each time. */
static void
limit_draining(struct master *m, enum proc proc)
{
	struct child *c;
	unsigned n = 0;

	TAILQ_FOREACH(c, &m->children, next)
		n += c->proc == proc && c->draining;
	TAILQ_FOREACH(c, &m->children, next) {
		if (n <= DRAINING_MAX)
			return;
		if (c->proc != proc || !c->draining)
			continue;
		n--;
		if (c->ipc != NULL)
			ipc_send(c->ipc, MSG_STOP, 0, NULL, 0, -1);
		timer_start(&c->patience, STOP_GROUP_MS);
	}
}

void
children_drain(struct child *c)
{
	if (c->state == CHILD_AWAY) {
		child_free(c);
		return;
	}
	c->draining = c->leaving = true;
	if (c->ipc != NULL)
		ipc_send(c->ipc, MSG_DRAIN, 0, NULL, 0, -1);
	timer_start(&c->patience, PROCESS_DRAIN_MS + STOP_GROUP_MS);
	limit_draining(c->master, c->proc);
}

void
children_replace(struct child *c)
{
	if (c->state == CHILD_AWAY)
		return;
	c->replaced = true;
	if (c->ipc != NULL)
		ipc_send(c->ipc, MSG_STOP, 0, NULL, 0, -1);
	timer_start(&c->patience, STOP_GROUP_MS);
}

void
children_reconfigure(struct master *m)
{
	struct child *c;

	/* smtpd and delivery have new generations for that. */
	TAILQ_FOREACH(c, &m->children, next)
		if (c->ipc != NULL && !c->candidate && c->proc != PROC_SMTPD && c->proc != PROC_DELIVERY) {
			ipc_send(c->ipc, MSG_RECONFIGURE, 0, NULL, 0, launch_configuration(m));
			if (c->proc == PROC_LOOKUP || c->proc == PROC_QUEUE)
				secrets_give(c);
		}
}

/* ---- what they say ---- */

static void
on_all_ready(struct master *m)
{
	m->was_ready = true;
	log_info("event=ready version=" MASTER_VERSION " hostname=%s pid=%d", logq(m->conf->hostname), (int)getpid());
	if (m->ready_pipe >= 0 && write(m->ready_pipe, "", 1) == 1)
		close(m->ready_pipe);
	notify_systemd("READY=1\nSTATUS=Running");
	watch_start(m);
}

static int
on_ready(void *arg, struct ipc *ipc, struct ipc_message *msg)
{
	struct child *c = arg, *other;
	struct master *m = c->master;

	(void)ipc;
	(void)msg;
	if (c->state != CHILD_STARTING)
		return -1;
	c->state = CHILD_READY;
	if (m->was_ready) {
		if (!c->candidate)
			log_info("event=restarted process=%s pid=%d", proc_name(c->proc), (int)c->pid);
		reload_on_child(m, c, false);
		return 0;
	}
	TAILQ_FOREACH(other, &m->children, next)
		if (other->state != CHILD_READY)
			return 0;
	on_all_ready(m);
	return 0;
}

static int
on_status(void *arg, struct ipc *ipc, struct ipc_message *msg)
{
	struct child *c = arg;

	watch_answered(c);
	return control_on_status(c->master, ipc, msg);
}

static int
on_draining(void *arg, struct ipc *ipc, struct ipc_message *msg)
{
	struct child *c = arg;

	(void)ipc;
	(void)msg;
	if (!c->draining)
		return -1;
	c->leaving = false;
	reload_on_child(c->master, c, false);
	return 0;
}

/*
 * A process says that a peer of its own said something impossible: that one is ended. An accusation by a process that
 * talks to strangers ends the accuser instead, so that taking over such a process gives no power over the others; the
 * channel between the two is made anew either way.
 */
static int
on_bad_peer(void *arg, struct ipc *ipc, struct ipc_message *msg)
{
	struct child *accuser = arg, *c;
	enum proc accused;
	struct unpack u;
	uint32_t instance;
	char reason[512];

	(void)ipc;
	unpack_init(&u, msg->data, msg->len);
	accused = (enum proc)unpack_u8(&u);
	instance = unpack_u32(&u);
	unpack_str_to(&u, reason, sizeof(reason));
	if (!unpack_end(&u) || accused == PROC_MASTER || accused >= PROC_COUNT || accused == accuser->proc)
		return -1;
	if (accuser->proc == PROC_SMTPD || accuser->proc == PROC_DELIVERY || accuser->proc == PROC_RESOLVER) {
		children_end(accuser, reason);
		return 0;
	}
	TAILQ_FOREACH(c, &accuser->master->children, next)
		if (c->proc == accused && c->instance == instance && c->ipc != NULL)
			children_end(c, reason);
	return 0;
}

/* "closed" comes before or after SIGCHLD, which does the rest; anything else is a child that must go. */
static void
on_child_channel_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct child *c = arg;

	(void)ipc;
	c->ipc = NULL;
	if (strcmp(reason, "closed") != 0)
		children_end(c, reason);
}

void
children_shift_clock(struct master *m, int64_t offset_ms, int64_t wall_ms, bool queue)
{
	struct child *c;
	struct pack pk;

	m->clock_offset_ms = offset_ms;
	m->clock_wall_ms = wall_ms;
	pack_init(&pk);
	TAILQ_FOREACH(c, &m->children, next)
		if (c->ipc != NULL && (c->proc == PROC_QUEUE) == queue) {
			pack_i64(&pk, offset_ms);
			pack_i64(&pk, wall_ms);
			ipc_send_pack(c->ipc, MSG_CLOCK, 0, &pk, -1);
		}
	pack_free(&pk);
	clock_shift(offset_ms);
	clock_shift_wall(wall_ms);
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

/* One that was meant to run. */
static void
on_death(struct child *c, const char *how)
{
	if (clock_ms() - c->started_ms > STEADY_MS)
		c->pause_ms = PAUSE_FIRST_MS;
	log_error("event=died process=%s pid=%d %s restart_ms=%lld", proc_name(c->proc), (int)c->pid, how,
	    (long long)c->pause_ms);
	timer_start(&c->restart, c->pause_ms);
	c->pause_ms = 2 * c->pause_ms > PAUSE_MOST_MS ? PAUSE_MOST_MS : 2 * c->pause_ms;
}

static void
on_exit_of(struct child *c, int status)
{
	struct master *m = c->master;
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	char how[32];

	describe_exit(status, how, sizeof(how));
	control_on_exit(m, c);
	pages_take_back(c);
	ipc_free(c->ipc);
	c->ipc = NULL;
	c->state = CHILD_AWAY;
	c->fresh = false;
	timer_stop(&c->patience);
	if (m->stop_group >= 0) {
		log_debug("event=stopped process=%s %s", proc_name(c->proc), how);
	} else if (!m->was_ready) {
		log_error("event=start-failed process=%s pid=%d %s", proc_name(c->proc), (int)c->pid, how);
		children_stop(m, 1);
	} else if (c->draining || c->candidate) {
		log_line(c->draining && clean ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "event=%s process=%s pid=%d %s",
		    c->draining ? "drained" : "candidate-died", proc_name(c->proc), (int)c->pid, how);
		reload_on_child(m, c, true);
		child_free(c);
	} else if (c->replaced) {
		c->replaced = false;
		c->starts = 0;		/* it has not died */
		restart(c);
	} else
		on_death(c, how);
}

static struct child *
child_by_pid(struct master *m, pid_t pid)
{
	struct child *c;

	TAILQ_FOREACH(c, &m->children, next)
		if (c->pid == pid && c->state != CHILD_AWAY)
			break;
	return c;
}

void
children_reap(struct master *m)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if ((c = child_by_pid(m, pid)) != NULL)
			on_exit_of(c, status);
	if (m->stop_group >= 0)
		stop_next_group(m);
}

bool
children_include(struct master *m, pid_t pid)
{
	return child_by_pid(m, pid) != NULL;
}

static bool
in_stop_group(const struct child *c, int group)
{
	for (int i = 0; i < stop_order[group].n; i++)
		if (stop_order[group].procs[i] == c->proc)
			return true;
	return false;
}

static void
on_stop_deadline(void *arg)
{
	struct master *m = arg;
	struct child *c;

	TAILQ_FOREACH(c, &m->children, next)
		if (in_stop_group(c, m->stop_group))
			children_end(c, "did not stop in time");
}

/* How many of the group still run; with `tell` they are told to stop. */
static int
stop_group(struct master *m, bool tell)
{
	struct child *c;
	int running = 0;

	TAILQ_FOREACH(c, &m->children, next) {
		if (!in_stop_group(c, m->stop_group) || c->state == CHILD_AWAY)
			continue;
		running++;
		if (c->ipc == NULL || (c->state == CHILD_STARTING && !m->was_ready))
			kill(c->pid, SIGKILL);
		else if (tell)
			ipc_send(c->ipc, MSG_STOP, 0, NULL, 0, -1);
	}
	return running;
}

/* Ends the groups one after the other; called again whenever a child has gone. */
static void
stop_next_group(struct master *m)
{
	for (; m->stop_group < N_STOPS; m->stop_group++) {
		if (stop_group(m, !timer_running(&m->stop_deadline)) > 0) {
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
	struct child *c;

	if (m->stop_group >= 0)
		return;
	notify_systemd("STOPPING=1\nSTATUS=Finishing what is under way");
	m->stop_group = 0;
	m->exit_code = exit_code;
	timer_stop(&m->watch);
	reload_cancel(m);
	TAILQ_FOREACH(c, &m->children, next) {
		timer_stop(&c->restart);
		timer_stop(&c->patience);
	}
	timer_set(&m->stop_deadline, on_stop_deadline, m);
	stop_next_group(m);
}
