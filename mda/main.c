/*
 * mda: brings mail into mailboxes here. It takes jobs from queue, keeps their content until it is complete, and reports
 * each recipient's result. It is root (or who started minimta) to become the recipient, so it does nothing else itself:
 * mailboxes are found in root's files, and every file of a user is touched by a child that has become that user.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "mda/mda.h"

#define JOBS_MAX	200		/* queue starts 20; more than this is no queue of ours */
#define RCPTS_MAX	100000
#define PULL_BYTES	(4U * MSG_CHUNK_MAX)	/* asked for and not here yet */

/* ---- jobs ---- */

static struct local_job *
find_job(struct mda *m, const struct ipc *peer, uint64_t id)
{
	struct local_job *job;

	HASH_FIND(hh, m->jobs, &id, sizeof(id), job);
	return job != NULL && job->queue == peer ? job : NULL;
}

static void
free_job(struct local_job *job)
{
	HASH_DEL(job->mda->jobs, job);
	for (uint32_t i = 0; i < job->n; i++) {
		timer_stop(&job->deliveries[i]->timeout);
		envelope_free_rcpt(&job->deliveries[i]->rcpt);
		free(job->deliveries[i]);
	}
	free(job->deliveries);
	job_free_begin(&job->begin);
	close(job->content_fd);
	free(job);
}

static void
end_job(struct local_job *job)
{
	struct pack p;

	if (job->queue != NULL) {
		pack_init(&p);
		pack_str(&p, job->cancelled ? "cancelled" : "");
		ipc_send_pack(job->queue, MSG_JOB_DONE, job->id, &p, -1);
		pack_free(&p);
	}
	free_job(job);
}

void
local_job_done_without(struct delivery *d)
{
	d->state = DELIVERY_DONE;
	if (--d->job->open == 0)
		end_job(d->job);
}

static void
log_result(const struct delivery *d, const struct job_result *r)
{
	static const char *const events[] = { "delivered", "deferred", "failed", "forwarded" };
	int64_t ms = d->started_ms != 0 ? clock_ms() - d->started_ms : 0;

	log_info("msg=%s event=%s to=%s enhanced=%s what=%s ms=%lld", logq(d->job->begin.message), events[r->outcome],
	    logq(d->rcpt.address), logq(r->enhanced), logq(r->text), (long long)ms);
}

void
local_job_result(struct delivery *d, const struct job_result *r)
{
	struct mda *m = d->job->mda;
	struct pack p;

	log_result(d, r);
	if (r->outcome == JOB_DELIVERED || r->outcome == JOB_EXPANDED)
		m->delivered++;
	else if (r->outcome == JOB_FAILED)
		m->failed++;
	else
		m->deferred++;
	if (d->job->queue != NULL) {
		pack_init(&p);
		job_pack_result(&p, r);
		ipc_send_pack(d->job->queue, MSG_JOB_RESULT, d->job->id, &p, -1);
		pack_free(&p);
	}
	local_job_done_without(d);
}

/* ---- content ---- */

/*
 * Small content stays in memory; large content lies in a file without a name, which no crash leaves behind, or in memory
 * too where the file system has no such files.
 */
static int
open_content(const struct mda *m, uint64_t size)
{
	int fd = -1;

	if (size > MSG_INLINE_MAX)
		fd = open(m->process.conf->state, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd != -1 ? fd : memfd_create("content", MFD_CLOEXEC);
}

/* No more than PULL_BYTES on the way. */
static void
pull_content(struct local_job *job)
{
	uint64_t wanted = job->begin.size - job->pulled, room = job->received + PULL_BYTES - job->pulled;
	struct pack p;

	if (wanted > room)
		wanted = room;
	if (wanted == 0 || job->queue == NULL)
		return;
	pack_init(&p);
	pack_u32(&p, (uint32_t)wanted);
	ipc_send_pack(job->queue, MSG_JOB_PULL, job->id, &p, -1);
	pack_free(&p);
	job->pulled += wanted;
}

static int
write_content(struct local_job *job, const uint8_t *data, size_t len)
{
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t)n)
		if ((n = pwrite(job->content_fd, data + at, len - at, (off_t)(job->received + at))) <= 0)
			return -1;
	return 0;
}

/* The message cannot be kept: all its recipients are told, and it is tried later. */
static void
fail_job(struct local_job *job, const char *enhanced, const char *text)
{
	uint32_t n = job->n;
	struct job_result r = { .outcome = JOB_DEFERRED, .enhanced = (char *)enhanced, .host = (char *)"", .text = (char *)text };

	for (uint32_t i = 0; i < n; i++) {
		struct delivery *d = job->deliveries[i];

		r.index = d->index;
		local_job_result(d, &r);	/* frees the job with the last one */
	}
}

/* ---- what queue says ---- */

/* What goes into a header must not be able to end it. */
static bool
is_one_line(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static int
on_begin(void *arg, struct ipc *peer, struct ipc_message *msg)
{
	struct mda *m = arg;
	struct local_job *job;
	struct job_begin b;
	struct unpack u;

	unpack_init(&u, msg->data, msg->len);
	if (find_job(m, peer, msg->id) != NULL || HASH_COUNT(m->jobs) >= JOBS_MAX)
		return ipc_fail(peer, "job %llu is there already, or one of too many", (unsigned long long)msg->id);
	if (job_unpack_begin(&u, &b) != 0)
		return ipc_fail(peer, "JOB_BEGIN is malformed");
	if (!is_one_line(b.sender) || b.size > INT64_MAX / 2) {
		job_free_begin(&b);
		return ipc_fail(peer, "JOB_BEGIN with an impossible sender or size");
	}
	job = alloc_new(1, sizeof(*job));
	job->id = msg->id;
	job->queue = peer;
	job->mda = m;
	job->begin = b;
	job->content_fd = open_content(m, b.size);
	HASH_ADD(hh, m->jobs, id, sizeof(job->id), job);
	return 0;
}

static int
on_rcpt(void *arg, struct ipc *peer, struct ipc_message *msg)
{
	struct local_job *job = find_job(arg, peer, msg->id);
	struct envelope_rcpt rcpt;
	struct delivery *d;
	struct unpack u;
	uint32_t index;

	if (job == NULL || job->started || job->n == RCPTS_MAX)
		return ipc_fail(peer, "JOB_RCPT out of place");
	unpack_init(&u, msg->data, msg->len);
	index = unpack_u32(&u);
	if (envelope_unpack_rcpt(&u, &rcpt) != 0)
		return ipc_fail(peer, "JOB_RCPT is malformed");
	if (job->n == job->room) {
		job->room = job->room > 0 ? job->room * 2 : 1;
		job->deliveries = alloc_resize(job->deliveries, job->room, sizeof(*job->deliveries));
	}
	d = alloc_new(1, sizeof(*d));
	d->job = job;
	d->index = index;
	d->rcpt = rcpt;
	d->result_fd = -1;
	job->deliveries[job->n++] = d;
	job->open++;
	return 0;
}

static void
begin_if_complete(struct local_job *job)
{
	if (!job->started)
		return;
	if (job->received == job->begin.size)
		deliver_job(job);
	else
		pull_content(job);
}

static int
on_data(void *arg, struct ipc *peer, struct ipc_message *msg)
{
	struct local_job *job = find_job(arg, peer, msg->id);

	/* After a cancellation, or a failure that ended the job, content may still be on its way. */
	if (job == NULL)
		return 0;
	if (msg->len > job->begin.size - job->received || (job->started && msg->len > job->pulled - job->received))
		return ipc_fail(peer, "more content than job %llu has", (unsigned long long)msg->id);
	if (job->content_fd == -1 || write_content(job, msg->data, msg->len) != 0) {
		if (job->n > 0)
			fail_job(job, "4.3.1", "no room to keep the message while it is delivered");
		return 0;
	}
	job->received += msg->len;
	if (!job->started)
		job->pulled = job->received;
	begin_if_complete(job);
	return 0;
}

static int
on_start(void *arg, struct ipc *peer, struct ipc_message *msg)
{
	struct local_job *job = find_job(arg, peer, msg->id);

	if (job == NULL)	/* failed while its content came */
		return 0;
	if (job->started || job->n == 0)
		return ipc_fail(peer, "JOB_START out of place");
	job->started = true;
	if (job->mda->process.stopping)
		fail_job(job, "4.3.2", "the server is stopping");
	else if (job->content_fd == -1)
		fail_job(job, "4.3.1", "no room to keep the message while it is delivered");
	else
		begin_if_complete(job);
	return 0;
}

static int
on_cancel(void *arg, struct ipc *peer, struct ipc_message *msg)
{
	struct local_job *job = find_job(arg, peer, msg->id);

	if (job == NULL)	/* its JOB_DONE is on the way */
		return 0;
	job->cancelled = true;
	if (job->open == 0)
		end_job(job);
	else
		deliver_cancel(job);
	return 0;
}

/* ---- the process ---- */

static void
on_peer_down(void *arg, struct ipc *peer)
{
	struct mda *m = arg;
	struct local_job *job, *next;

	HASH_ITER(hh, m->jobs, job, next) {
		if (job->queue != peer)
			continue;
		job->queue = NULL;
		if (job->open == 0)
			end_job(job);
		else
			deliver_abandon(job);
	}
}

/* Running deliveries are let finish, so that what is delivered is known; the rest is for the next start. */
static void
on_stop(void *arg)
{
	struct mda *m = arg;
	struct local_job *job, *next;

	HASH_ITER(hh, m->jobs, job, next)
		if (job->started && job->received < job->begin.size)
			fail_job(job, "4.3.2", "the server is stopping");
	deliver_stop(m);
	if (m->n_running == 0)
		process_quit(&m->process);
}

static void
on_reconfigure(void *arg, const struct conf *old)
{
	deliver_reconfigure(arg, old);
}

static bool
is_drained(void *arg)
{
	return ((struct mda *)arg)->jobs == NULL;
}

static void
on_status(void *arg, char *to, size_t size)
{
	const struct mda *m = arg;

	snprintf(to, size, "jobs=%u running=%u delivered=%llu deferred=%llu failed=%llu", HASH_COUNT(m->jobs), m->n_running,
	    (unsigned long long)m->delivered, (unsigned long long)m->deferred, (unsigned long long)m->failed);
}

static const struct ipc_handler handlers[] = {
	{ MSG_JOB_BEGIN, on_begin },
	{ MSG_JOB_RCPT, on_rcpt },
	{ MSG_JOB_DATA, on_data },
	{ MSG_JOB_START, on_start },
	{ MSG_JOB_CANCEL, on_cancel },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	struct mda m = { .process = { .handlers = handlers, .on_peer_down = on_peer_down, .on_stop = on_stop,
	    .on_reconfigure = on_reconfigure,
	    .is_drained = is_drained, .on_status = on_status } };

	m.process.arg = &m;
	process_init(&m.process, PROC_MDA);
	m.started_by = geteuid();
	deliver_init(&m);
	process_sandbox(&m.process);
	return process_run(&m.process);
}
