/*
 * Runs deliveries: has each recipient looked up (order.c), forks a child that becomes the recipient, or asks the runner
 * for a command, and hears what came of it. Decides how many run at once and how long one may take. A child tells its
 * result through a pipe that is read when it has ended; one that ends otherwise has delivered nothing that we believe.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/alias_file.h"
#include "lib/log.h"
#include "mda/mda.h"
#include "mda/order.h"
#include "mda/runner.h"

#define RUNNING_MAX	20
#define COMMANDS_MAX	10		/* of them: slow commands leave places to others */
#define CHILD_MS	(5 * 60 * 1000)
#define KILL_MS		(30 * 1000)	/* then nobody waits any more for what was killed */
#define STOP_MS		(20 * 1000)	/* that a command has when the server stops; master waits for 35 s */
#define BUSY_MS		1000		/* then a mailbox that somebody else has locked is tried again */
#define BUSY_TRIES	30

static void	pump(struct mda *);

/* Our own words as a result. */
static void
finish(struct delivery *d, enum job_outcome outcome, const char *enhanced, const char *text)
{
	struct job_result r = { .index = d->index, .outcome = outcome, .enhanced = (char *)enhanced, .host = (char *)"",
	    .text = (char *)text };

	local_job_result(d, &r);
}

/* For its turn, or for a lock. */
static void
leave_waiting(struct delivery *d)
{
	struct mda *m = d->job->mda;

	if (d->is_locked)
		TAILQ_REMOVE(&m->locked, d, entry);
	else
		TAILQ_REMOVE(&m->waiting, d, entry);
	timer_stop(&d->timeout);
	d->is_locked = false;
	d->state = DELIVERY_NAMED;
}

static void
leave_running(struct delivery *d)
{
	struct mda *m = d->job->mda;

	timer_stop(&d->timeout);
	TAILQ_REMOVE(&m->running, d, entry);
	m->n_running--;
	if (d->said != NULL) {
		event_free(d->said);
		d->said = NULL;
		m->n_commands--;
	}
	close(d->result_fd);
	d->result_fd = -1;
}

static void
enter_running(struct delivery *d, int fd)
{
	struct mda *m = d->job->mda;

	d->state = DELIVERY_RUNNING;
	d->result_fd = fd;
	d->timed_out = false;
	d->started_ms = clock_ms();
	TAILQ_INSERT_TAIL(&m->running, d, entry);
	m->n_running++;
}

/* A place has become free; or the last one, and there will be no more. */
static void
go_on(struct mda *m)
{
	pump(m);
	if (m->process.stopping && m->n_running == 0)
		process_quit(&m->process);
}

/* Its end comes when all of it is gone. */
static void
end_running(struct delivery *d)
{
	if (d->said != NULL)
		shutdown(d->result_fd, SHUT_WR);
	else
		kill(d->pid, SIGKILL);
}

static void
on_timeout(void *arg)
{
	struct delivery *d = arg;

	d->timed_out = true;
	end_running(d);
}

static void
on_again(void *arg)
{
	struct delivery *d = arg;
	struct mda *m = d->job->mda;

	leave_waiting(d);
	d->state = DELIVERY_WAITING;
	TAILQ_INSERT_TAIL(&m->waiting, d, entry);
	pump(m);
}

static void
wait_for_lock(struct delivery *d)
{
	d->state = DELIVERY_WAITING;
	d->is_locked = true;
	TAILQ_INSERT_TAIL(&d->job->mda->locked, d, entry);
	timer_set(&d->timeout, on_again, d);
	timer_start(&d->timeout, BUSY_MS);
}

static void
take_result(struct delivery *d)
{
	struct job_result r;
	char *note;
	bool busy;
	int rc = child_read(d->result_fd, &r, &busy, &note);

	leave_running(d);
	if (rc != 0) {
		finish(d, JOB_DEFERRED, "4.3.0", "the delivery ended without a result");
		return;
	}
	if (note[0] != '\0')
		log_warn("msg=%s event=forward-file to=%s what=%s", logq(d->job->begin.message), logq(d->rcpt.address), logq(note));
	free(note);
	if (busy && r.outcome == JOB_DEFERRED && d->job->queue != NULL && !d->job->cancelled &&
	    !d->job->mda->process.stopping && ++d->busy < BUSY_TRIES) {
		wait_for_lock(d);
	} else {
		r.index = d->index;
		local_job_result(d, &r);
	}
	job_free_result(&r);
}

static void
child_ended(struct delivery *d, int status)
{
	char text[80];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		take_result(d);
		return;
	}
	leave_running(d);
	if (d->timed_out)
		snprintf(text, sizeof(text), "the delivery took longer than %d s", CHILD_MS / 1000);
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "the delivery was ended by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "the delivery failed with status %d", WEXITSTATUS(status));
	finish(d, JOB_DEFERRED, "4.3.0", text);
}

static void
on_child_ended(evutil_socket_t sig, short what, void *arg)
{
	struct mda *m = arg;
	struct delivery *d, *next;
	int status;

	(void)sig;
	(void)what;
	for (d = TAILQ_FIRST(&m->running); d != NULL; d = next) {
		next = TAILQ_NEXT(d, entry);
		if (d->pid > 0 && waitpid(d->pid, &status, WNOHANG) == d->pid)
			child_ended(d, status);
	}
	go_on(m);
}

/* ---- commands ---- */

/* By its leash: a result; or its end, when it was killed or its attendant died. */
static void
on_command_said(evutil_socket_t fd, short what, void *arg)
{
	struct delivery *d = arg;
	struct mda *m = d->job->mda;
	char text[80], byte;

	(void)what;
	if (recv(fd, &byte, 1, MSG_PEEK) > 0) {
		take_result(d);
	} else {
		leave_running(d);
		snprintf(text, sizeof(text), "the command took longer than %lld s",
		    (long long)(m->process.conf->command_time_ms / 1000));
		finish(d, JOB_DEFERRED, "4.3.0", d->timed_out ? text : "the command ended without a result");
	}
	go_on(m);
}

static void
on_command_time(void *arg)
{
	struct delivery *d = arg;
	struct mda *m = d->job->mda;

	if (!d->timed_out) {
		d->timed_out = true;
		end_running(d);
		timer_start(&d->timeout, KILL_MS);
		return;
	}
	leave_running(d);
	finish(d, JOB_DEFERRED, "4.3.0", "the command took too long, and cannot be killed");
	go_on(m);
}

static void
start_command(struct delivery *d, const struct command *c)
{
	struct mda *m = d->job->mda;
	int fd = runner_ask(m->runner_fd, c, d->job->content_fd);

	if (fd == -1) {
		finish(d, JOB_DEFERRED, "4.3.0", "the command cannot be run now");
		return;
	}
	if ((d->said = event_new(m->process.base, fd, EV_READ | EV_PERSIST, on_command_said, d)) == NULL ||
	    event_add(d->said, NULL) != 0)
		log_fatal("event=out-of-memory");
	d->pid = 0;
	m->n_commands++;
	enter_running(d, fd);
	timer_set(&d->timeout, on_command_time, d);
	timer_start(&d->timeout, m->process.conf->command_time_ms);
}

static void
on_runner_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	log_fatal("event=runner-gone");
}

/* ---- starting ---- */

static void
start_child(struct delivery *d, const struct child_order *order)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
		finish(d, JOB_DEFERRED, "4.3.0", "no pipe for the delivery");
		return;
	}
	d->pid = fork();
	if (d->pid == 0)
		child_run(d, order, pipe_fds[1]);
	close(pipe_fds[1]);
	if (d->pid == -1) {
		close(pipe_fds[0]);
		finish(d, JOB_DEFERRED, "4.3.0", "no process for the delivery");
		return;
	}
	enter_running(d, pipe_fds[0]);
	timer_set(&d->timeout, on_timeout, d);
	timer_start(&d->timeout, CHILD_MS);
}

static void
start(struct delivery *d)
{
	struct child_order child;
	struct command command;
	struct mail_result why;

	switch (order_find(d, &child, &command, &why)) {
	case ORDER_CHILD:
		start_child(d, &child);
		break;
	case ORDER_COMMAND:
		start_command(d, &command);
		break;
	case ORDER_NONE:
		finish(d, why.outcome, why.enhanced, why.text);
		break;
	}
	order_free(&child, &command);
}

static bool
is_command(const struct delivery *d)
{
	return d->rcpt.part == ENVELOPE_ALIAS_COMMAND || d->rcpt.part == ENVELOPE_FORWARD_COMMAND;
}

/* The first that may start; NULL: none now. */
static struct delivery *
next_waiting(const struct mda *m)
{
	struct delivery *d;

	TAILQ_FOREACH(d, &m->waiting, entry)
		if (m->n_commands < COMMANDS_MAX || !is_command(d))
			break;
	return d;
}

static void
pump(struct mda *m)
{
	struct delivery *d;

	while (!m->process.stopping && m->n_running < RUNNING_MAX && (d = next_waiting(m)) != NULL) {
		leave_waiting(d);
		start(d);
	}
}

void
deliver_init(struct mda *m)
{
	TAILQ_INIT(&m->waiting);
	TAILQ_INIT(&m->running);
	TAILQ_INIT(&m->locked);
	m->child_ended = evsignal_new(m->process.base, SIGCHLD, on_child_ended, m);
	if (m->child_ended == NULL || event_add(m->child_ended, NULL) != 0)
		log_fatal("event=start-failed what=\"no event for SIGCHLD\"");
	if ((m->runner_fd = runner_start()) == -1)
		log_fatal("event=start-failed what=\"no process for commands\"");
	m->runner_gone = event_new(m->process.base, m->runner_fd, EV_READ, on_runner_gone, NULL);
	if (m->runner_gone == NULL || event_add(m->runner_gone, NULL) != 0)
		log_fatal("event=start-failed what=\"no event for the runner\"");
	m->aliases = alias_file_new(m->process.conf->aliases, m->started_by, true);
}

void
deliver_job(struct local_job *job)
{
	struct mda *m = job->mda;

	for (uint32_t i = 0; i < job->n; i++) {
		job->deliveries[i]->state = DELIVERY_WAITING;
		TAILQ_INSERT_TAIL(&m->waiting, job->deliveries[i], entry);
	}
	if (m->process.stopping)
		deliver_stop(m);
	else
		pump(m);
}

void
deliver_cancel(struct local_job *job)
{
	uint32_t n = job->n, last = job->open;
	struct delivery *d;

	/* `last` knows when local_job_done_without has freed the job, after which nothing of it may be touched. */
	for (uint32_t i = 0; i < n && last > 0; i++) {
		d = job->deliveries[i];
		if (d->state != DELIVERY_NAMED && d->state != DELIVERY_WAITING)
			continue;
		if (d->state == DELIVERY_WAITING)
			leave_waiting(d);
		last--;
		local_job_done_without(d);
	}
}

void
deliver_abandon(struct local_job *job)
{
	for (uint32_t i = 0; i < job->n; i++)
		if (job->deliveries[i]->state == DELIVERY_RUNNING)
			end_running(job->deliveries[i]);
	deliver_cancel(job);
}

void
deliver_stop(struct mda *m)
{
	struct delivery *d;

	while ((d = TAILQ_FIRST(&m->waiting)) != NULL || (d = TAILQ_FIRST(&m->locked)) != NULL) {
		leave_waiting(d);
		finish(d, JOB_DEFERRED, "4.3.2", "the server is stopping");
	}
	TAILQ_FOREACH(d, &m->running, entry)
		if (d->said != NULL && !d->timed_out && m->process.conf->command_time_ms > STOP_MS)
			timer_start(&d->timeout, STOP_MS);
}

void
deliver_reconfigure(struct mda *m, const struct conf *old)
{
	if (strcmp(old->aliases, m->process.conf->aliases) == 0)
		return;
	alias_file_free(m->aliases);
	m->aliases = alias_file_new(m->process.conf->aliases, m->started_by, true);
}
