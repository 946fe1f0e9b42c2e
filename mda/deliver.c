/*
 * Runs deliveries: finds the mailbox in root's files, forks, becomes its owner, and hears what came of it. Decides how
 * many run at once and how long one may take; what is written and how is maildir.c's business. A child tells its result
 * through a pipe that is read when it has ended; one that ends otherwise has delivered nothing that we believe.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/mailbox.h"
#include "mda/child.h"
#include "mda/mda.h"

#define RUNNING_MAX	20
#define CHILD_MS	(5 * 60 * 1000)
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
	close(d->result_fd);
	d->result_fd = -1;
}

static void
on_timeout(void *arg)
{
	struct delivery *d = arg;

	d->timed_out = true;
	kill(d->pid, SIGKILL);
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
	bool busy;
	int rc = child_read(d->result_fd, &r, &busy);

	leave_running(d);
	if (rc != 0) {
		finish(d, JOB_DEFERRED, "4.3.0", "the delivery ended without a result");
		return;
	}
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
		if (waitpid(d->pid, &status, WNOHANG) == d->pid)
			child_ended(d, status);
	}
	pump(m);
	if (m->process.stopping && m->n_running == 0)
		process_quit(&m->process);
}

/* The mailbox of an address, by root's files alone. -1: there is none, and the delivery is finished. */
static int
find_mailbox(struct delivery *d, struct mailbox *mb)
{
	const struct mda *m = d->job->mda;
	const struct conf *conf = m->process.conf;
	struct address a;

	if (address_parse(&a, d->address, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK ||
	    (a.domain[0] != '\0' && !conf_is_local(conf, a.domain))) {
		finish(d, JOB_FAILED, "5.1.2", "not an address of ours any more");
		return -1;
	}
	switch (mailbox_find_tagged(conf, m->started_by, a.local, a.domain[0] != '\0' ? a.domain : conf->domains[0], mb)) {
	case MAILBOX_FOUND:
		return 0;
	case MAILBOX_NONE:
		finish(d, JOB_FAILED, "5.1.1", "no such mailbox here");
		return -1;
	case MAILBOX_TEMPORARY:
		break;
	}
	finish(d, JOB_DEFERRED, "4.3.0", "the mailbox cannot be looked up now");
	return -1;
}

static void
start(struct delivery *d)
{
	struct mda *m = d->job->mda;
	struct mailbox mb;
	int pipe_fds[2];

	if (find_mailbox(d, &mb) != 0)
		return;
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
		finish(d, JOB_DEFERRED, "4.3.0", "no pipe for the delivery");
		return;
	}
	d->pid = fork();
	if (d->pid == 0)
		child_run(d, &mb, pipe_fds[1]);
	close(pipe_fds[1]);
	if (d->pid == -1) {
		close(pipe_fds[0]);
		finish(d, JOB_DEFERRED, "4.3.0", "no process for the delivery");
		return;
	}
	d->state = DELIVERY_RUNNING;
	d->result_fd = pipe_fds[0];
	d->started_ms = clock_ms();
	TAILQ_INSERT_TAIL(&m->running, d, entry);
	m->n_running++;
	timer_set(&d->timeout, on_timeout, d);
	timer_start(&d->timeout, CHILD_MS);
}

static void
pump(struct mda *m)
{
	struct delivery *d;

	while (!m->process.stopping && m->n_running < RUNNING_MAX && (d = TAILQ_FIRST(&m->waiting)) != NULL) {
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
			kill(job->deliveries[i]->pid, SIGKILL);
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
}
