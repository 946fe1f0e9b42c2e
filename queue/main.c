/*
 * The queue process: opens the spool, makes the parts, and joins them to channels and log. What each part
 * does is in its header. `queue --check SPOOL` reads a stopped spool instead, `queue --export SPOOL FOLDER` and `--import`
 * carry its mail; they need no master.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "queue/admin.h"
#include "queue/carry.h"
#include "queue/dispatch.h"
#include "queue/expand.h"
#include "queue/intake.h"
#include "queue/pauses.h"
#include "queue/queue.h"

static int
on_srs(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct queue *q = arg;
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	for (int i = 0; i < 2; i++) {
		unpack_str_to(&u, q->srs_text[i], sizeof(q->srs_text[i]));
		q->srs.list[i] = q->srs_text[i][0] != '\0' ? q->srs_text[i] : NULL;
	}
	return unpack_end(&u) ? 0 : ipc_fail(master, "SRS is malformed");
}

static const struct ipc_handler handlers[] = {
	{ MSG_CONTROL, admin_on_control },
	{ MSG_MAIL_BEGIN, intake_on_begin },
	{ MSG_MAIL_RCPT, intake_on_rcpt },
	{ MSG_MAIL_DATA, intake_on_data },
	{ MSG_MAIL_END, intake_on_end },
	{ MSG_MAIL_ABORT, intake_on_abort },
	{ MSG_SRS, on_srs },
	{ MSG_EXPAND, expand_on_answer },
	{ MSG_JOB_PULL, dispatch_on_pull },
	{ MSG_JOB_RESULT, dispatch_on_result },
	{ MSG_JOB_DONE, dispatch_on_done },
	{ MSG_NONE, NULL },
};

/* ---- the log's events ---- */

static void
on_message(void *arg, const struct log_envelope *e)
{
	struct queue *q = arg;

	dispatch_found(q->dispatch, e);
}

static void
on_scanned(void *arg, uint64_t messages)
{
	struct queue *q = arg;

	log_info("event=scanned messages=%llu", (unsigned long long)messages);
	admin_complete(q->admin);
}

static void
on_trouble(void *arg, const char *what)
{
	struct queue *q = arg;

	snprintf(q->trouble, sizeof(q->trouble), "%s", what);
	log_error("event=spool what=%s", logq(what));
}

/* ---- master and peers ---- */

static void
on_peer(void *arg, struct ipc *ipc)
{
	struct queue *q = arg;

	dispatch_peer_up(q->dispatch, ipc);
}

static void
on_peer_down(void *arg, struct ipc *ipc)
{
	struct queue *q = arg;

	intake_peer_down(q->intake, ipc);
	expand_peer_down(q->expand, ipc);
	dispatch_peer_down(q->dispatch, ipc);
}

static void
on_idle(void *arg)
{
	struct queue *q = arg;

	process_quit(&q->p);
}

/* smtpd, delivery and mda have ended before: what is left is written, and that is all. */
static void
on_stop(void *arg)
{
	struct queue *q = arg;

	intake_stop(q->intake);
	dispatch_stop(q->dispatch, on_idle, q);
}

/* "name_1m=… name_5m=… name_total=… " */
static void
put_rate(char **to, size_t *size, const char *name, const struct rate *r)
{
	int64_t now = clock_ms();
	int n = snprintf(*to, *size, "%s_1m=%u %s_5m=%u %s_total=%llu ", name, rate_sum(r, now, RATE_MINUTE), name,
	    rate_sum(r, now, RATE_FIVE), name, (unsigned long long)r->total);

	*to += n;
	*size -= (size_t)n;
}

static void
raise_most(struct queue *q)
{
	const struct conf *c = q->p.conf;

	if (c->connections > q->most.connections)
		q->most.connections = c->connections;
	if (c->recipients > q->most.recipients)
		q->most.recipients = c->recipients;
	if (c->message_size > q->most.message_size)
		q->most.message_size = c->message_size;
}

static void
on_reconfigure(void *arg, const struct conf *old)
{
	struct queue *q = arg;

	raise_most(q);
	dispatch_reconfigure(q->dispatch, old);
}

static void
on_status(void *arg, char *to, size_t size)
{
	struct queue *q = arg;
	struct schedule_counts c;
	char log[1024];

	put_rate(&to, &size, "accepted", &q->rates.accepted);
	put_rate(&to, &size, "delivered", &q->rates.delivered);
	put_rate(&to, &size, "deferred", &q->rates.deferred);
	put_rate(&to, &size, "failed", &q->rates.failed);
	schedule_count(q->schedule, &c);
	snprintf(to, size, "recipients=%u waiting=%u expanding=%u local=%u remote=%u hops=%u hops_in_trouble=%u hops_paused=%u "
	    "incoming=%u %s%s%s", c.rcpts, c.waiting, c.active_jobs[SCHEDULE_LOOKUP], c.active_jobs[SCHEDULE_MDA],
	    c.active_jobs[SCHEDULE_DELIVERY], c.hops, c.hops_in_trouble, c.hops_paused, intake_count(q->intake),
	    log_status(q->log, log, sizeof(log)), q->trouble[0] != '\0' ? " trouble=" : "",
	    q->trouble[0] != '\0' ? logq(q->trouble) : "");
}

/* ---- start ---- */

static int
open_spool(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A list that a full disk cut short must not pass for a clean one. */
static int
printed(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	fprintf(stderr, "queue: the output is not complete\n");
	return 2;
}

static int
check(const char *path)
{
	int fd = open_spool(path), rc;

	if (fd < 0) {
		fprintf(stderr, "queue: %s: %s\n", path, strerror(errno));
		return 2;
	}
	log_init("queue");
	rc = printed(log_check(fd, stdout));
	close(fd);
	return rc;
}

/*
 * Root becomes the spool's owner before it touches anything there: files that it made would be the server's no more, and who
 * owns the spool could lead root anywhere by a symbolic link.
 */
static int
become_owner(int spool, int folder)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (fstat(spool, &st) != 0 || (st.st_uid != 0 && ((folder >= 0 && fchown(folder, st.st_uid, st.st_gid) != 0) ||
	    setgroups(0, NULL) != 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) != 0))) {
		fprintf(stderr, "queue: becoming the owner of the spool: %s\n", strerror(errno));
		return -1;
	}
	return 0;
}

static int
carry(const char *what, const char *spool_path, const char *folder_path)
{
	bool out = strcmp(what, "--export") == 0;
	int spool = open_spool(spool_path), folder, rc = 2;

	if (out && mkdir(folder_path, 0700) != 0 && errno != EEXIST)
		fprintf(stderr, "queue: %s: %s\n", folder_path, strerror(errno));
	folder = open_spool(folder_path);
	log_init("queue");
	if (spool < 0 || folder < 0)
		fprintf(stderr, "queue: %s: %s\n", spool < 0 ? spool_path : folder_path, strerror(errno));
	else if (become_owner(spool, out ? folder : -1) == 0)
		rc = printed(out ? carry_export(spool, folder, stdout) : carry_import(spool, folder, stdout));
	if (folder >= 0)
		close(folder);
	if (spool >= 0)
		close(spool);
	return rc;
}

static void
make_parts(struct queue *q, int spool)
{
	static const struct log_events events = { on_message, on_scanned, on_trouble };
	struct log_options options = { .segment_size = q->p.conf->segment_size };
	char err[512], *paused;

	q->intake = intake_new(q);
	q->expand = expand_new();
	q->dispatch = dispatch_new(q);
	q->admin = admin_new(q);
	paused = pauses_read(spool);
	admin_pause_again(q, paused);
	free(paused);
	q->log = log_open(q->p.base, spool, &options, &events, q, err, sizeof(err));
	if (q->log == NULL)
		log_fatal("event=start-failed what=%s", logq(err));
}

int
main(int argc, char **argv)
{
	struct queue q = { 0 };
	int spool, rc;

	if (argc == 3 && strcmp(argv[1], "--check") == 0)
		return check(argv[2]);
	if (argc == 4 && (strcmp(argv[1], "--export") == 0 || strcmp(argv[1], "--import") == 0))
		return carry(argv[1], argv[2], argv[3]);
	q.p = (struct process){ .handlers = handlers, .on_peer = on_peer, .on_peer_down = on_peer_down, .on_stop = on_stop,
	    .on_status = on_status, .on_reconfigure = on_reconfigure, .arg = &q };
	process_init(&q.p, PROC_QUEUE);
	spool = open_spool(q.p.conf->spool);
	if (spool < 0)
		log_fatal("event=start-failed spool=%s what=%s", logq(q.p.conf->spool), logq(strerror(errno)));
	if (!q.p.has_secret)
		log_fatal("event=start-failed what=\"no key for lookup's tokens\"");
	raise_most(&q);
	process_sandbox(&q.p);
	make_parts(&q, spool);
	rc = process_run(&q.p);
	intake_stop(q.intake);
	dispatch_stop(q.dispatch, NULL, NULL);	/* once more: master may have gone without a word */
	log_close(q.log);
	dispatch_free(q.dispatch);
	expand_free(q.expand);
	intake_free(q.intake);
	admin_free(q.admin);
	return rc;
}
