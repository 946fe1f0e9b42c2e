/*
 * How a child of master starts, meets its peers, and ends (lib/process.h). Until GO only master's messages are read, so
 * that nothing a stranger or another process sends is looked at outside the sandbox.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "lib/puppet.h"
#include "lib/sandbox.h"

#define DRAIN_LOOK_MS	500
#define LINES_MAX	(1024 * 1024)	/* bytes of log lines that wait for a logger that stands still; what follows is counted */

/* A channel that came before GO: opened when the loop starts. */
struct early_peer {
	int		 fd;
	enum proc	 proc;
	uint32_t	 instance;
};

struct private {
	bool			 gone;		/* GO was read */
	bool			 running;
	unsigned long long	 lines_dropped;
	struct early_peer	 early[PROCESS_PEERS_MAX];
	unsigned		 n_early;
	struct conf		*old_conf;	/* before the last change: what began then may still use it */
	struct peer_state {
		bool		 wants_retired;	/* said RETIRE, while its successor was not known here */
		bool		 has_retired;	/* we drain: it has agreed */
	}			 states[PROCESS_PEERS_MAX];	/* beside p->peers */
	struct timer		 drain_look, drain_over;
};

static void	on_peer_channel_down(void *, struct ipc *, const char *);

static void
send_line(struct ipc *logger, enum log_level level, const char *line)
{
	struct pack pk;

	pack_init(&pk);
	pack_u8(&pk, (uint8_t)level);
	pack_str(&pk, line);
	ipc_send_idly(logger, MSG_LOG, 0, pk.data, pk.len);
	pack_free(&pk);
}

/* Nobody waits for a log: while logger stands still lines are counted instead, and the count is told when it is back. */
static bool
has_room(struct process *p, struct ipc *logger)
{
	struct private *pr = p->private;
	char line[128];

	if (ipc_pending(logger) > (pr->lines_dropped > 0 ? LINES_MAX / 2 : LINES_MAX))
		return false;
	if (pr->lines_dropped > 0) {
		snprintf(line, sizeof(line), "%s: event=log-lines-dropped count=%llu what=\"logger took none for a while\"",
		    proc_name(p->self), pr->lines_dropped);
		pr->lines_dropped = 0;
		send_line(logger, LOG_LEVEL_ERROR, line);
	}
	return true;
}

/* Lines go in company; but an error leaves at once, since it may be the last word. */
static void
log_to_logger(void *arg, enum log_level level, const char *line)
{
	struct process *p = arg;
	struct ipc *logger = process_peer(p, PROC_LOGGER);

	if (logger == NULL) {
		if (log_keeps(level))
			fprintf(stderr, "%s\n", line);
		return;
	}
	if (!has_room(p, logger)) {
		((struct private *)p->private)->lines_dropped++;
		return;
	}
	send_line(logger, level, line);
	if (level == LOG_LEVEL_ERROR)
		ipc_flush(logger, 0);
}

/* ---- peers ---- */

/* A peer is leaving: as soon as its successor is known here nothing new goes to it. */
static void
answer_retiring(struct process *p)
{
	struct private *pr = p->private;

	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++) {
		struct ipc *ipc = p->peers[i];

		if (ipc == NULL || !pr->states[i].wants_retired || process_peer(p, ipc_peer(ipc)) == ipc)
			continue;
		pr->states[i].wants_retired = false;
		ipc_send(ipc, MSG_RETIRED, 0, NULL, 0, -1);
	}
}

static struct peer_state *
state_of(struct process *p, const struct ipc *ipc)
{
	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++)
		if (p->peers[i] == ipc)
			return &((struct private *)p->private)->states[i];
	return NULL;
}

static int
on_retire(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct process *p = arg;
	struct peer_state *s = state_of(p, ipc);

	(void)m;
	if (s == NULL)
		return -1;
	s->wants_retired = true;
	answer_retiring(p);
	return 0;
}

static int
on_retired(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct process *p = arg;
	struct peer_state *s = state_of(p, ipc);

	(void)m;
	if (s == NULL || !p->draining)
		return -1;
	s->has_retired = true;
	return 0;
}

static const struct ipc_handler from_any_peer[] = {
	{ MSG_RETIRE, on_retire },
	{ MSG_RETIRED, on_retired },
	{ MSG_NONE, NULL },
};

static void
add_peer(struct process *p, int fd, enum proc proc, uint32_t instance)
{
	struct private *pr = p->private;
	struct ipc *ipc;

	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++) {
		if (p->peers[i] != NULL)
			continue;
		ipc = ipc_new(p->base, fd, p->self, proc, instance, p->handlers, on_peer_channel_down, p);
		ipc_set_arg(ipc, p->arg);
		ipc_add_handlers(ipc, from_any_peer, p);
		p->peers[i] = ipc;
		pr->states[i] = (struct peer_state){ false, false };
		if (p->draining)
			ipc_send(ipc, MSG_RETIRE, 0, NULL, 0, -1);
		if (proc == PROC_LOGGER && p->self != PROC_LOGGER) {
			log_set_sink(log_to_logger, p);
			log_pass_info(true);
		}
		if (p->on_peer != NULL)
			p->on_peer(p->arg, ipc);
		answer_retiring(p);
		return;
	}
	close(fd);
	log_error("event=peer-refused peer=%s what=\"more than %d channels\"", proc_name(proc), PROCESS_PEERS_MAX);
}

/* A channel ended. Where its peer said something impossible, master hears of it and ends that one. */
static void
on_peer_channel_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct process *p = arg;
	struct pack pk;

	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++)
		if (p->peers[i] == ipc)
			p->peers[i] = NULL;
	if (strcmp(reason, "closed") != 0) {
		log_error("event=bad-peer peer=%s reason=%s", proc_name(ipc_peer(ipc)), logq(reason));
		pack_init(&pk);
		pack_u8(&pk, (uint8_t)ipc_peer(ipc));
		pack_u32(&pk, ipc_instance(ipc));
		pack_str(&pk, reason);
		ipc_send_pack(p->master, MSG_BAD_PEER, 0, &pk, -1);
		pack_free(&pk);
	}
	if (p->on_peer_down != NULL)
		p->on_peer_down(p->arg, ipc);
}

struct ipc *
process_peer(const struct process *p, enum proc proc)
{
	struct ipc *newest = NULL;

	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++)
		if (p->peers[i] != NULL && ipc_peer(p->peers[i]) == proc &&
		    (newest == NULL || ipc_instance(p->peers[i]) > ipc_instance(newest)))
			newest = p->peers[i];
	return newest;
}

/* ---- what master says to every child ---- */

static int
on_config(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;
	char err[512];

	(void)master;
	if ((p->conf = conf_parse_fd(m->fd, err, sizeof(err))) == NULL)
		log_fatal("event=start-failed what=%s", logq(err));
	close(m->fd);
	log_set_level(log_level_named(p->conf->log_level));
	return 0;
}

/*
 * Master has read and checked it, so it can be read here too, but where this process is of another version than master:
 * then it goes on with what it has.
 */
static int
on_reconfigure(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;
	struct private *pr = p->private;
	char err[512];
	struct conf *conf = conf_parse_fd(m->fd, err, sizeof(err));

	(void)master;
	close(m->fd);
	if (conf == NULL) {
		log_error("event=reconfigure-failed what=%s", logq(err));
		return 0;
	}
	conf_free(pr->old_conf);
	pr->old_conf = p->conf;
	p->conf = conf;
	log_set_level(log_level_named(conf->log_level));
	if (p->on_reconfigure != NULL)
		p->on_reconfigure(p->arg, pr->old_conf);
	return 0;
}

static int
on_log_level(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct unpack u;
	uint8_t level;

	(void)arg;
	(void)master;
	unpack_init(&u, m->data, m->len);
	level = unpack_u8(&u);
	if (level > LOG_LEVEL_DEBUG)
		return -1;
	log_set_level((enum log_level)level);
	return 0;
}

static int
on_secret(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;

	(void)master;
	memcpy(p->secret, m->data, sizeof(p->secret));
	p->has_secret = true;
	return 0;
}

static int
on_listener(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;
	struct process_listener *l;
	struct unpack u;

	(void)master;
	if (m->fd < 0)
		log_fatal("event=start-failed what=\"no descriptor left for a listener\"");
	p->listeners = alloc_resize(p->listeners, p->n_listeners + 1, sizeof(*p->listeners));
	l = &p->listeners[p->n_listeners++];
	l->fd = m->fd;
	unpack_init(&u, m->data, m->len);
	unpack_str_to(&u, l->name, sizeof(l->name));
	return unpack_end(&u) ? 0 : -1;
}

static int
on_peer(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;
	struct private *pr = p->private;
	struct unpack u;
	struct early_peer e = { .fd = m->fd };

	(void)master;
	if (m->fd < 0)		/* a new start makes all channels anew; nothing else would */
		log_fatal("event=no-channel what=\"no descriptor left for a channel\"");
	unpack_init(&u, m->data, m->len);
	e.proc = (enum proc)unpack_u8(&u);
	e.instance = unpack_u32(&u);
	if (pr->running) {
		add_peer(p, e.fd, e.proc, e.instance);
		return 0;
	}
	if (pr->n_early == PROCESS_PEERS_MAX)
		log_fatal("event=start-failed what=\"more than %d channels\"", PROCESS_PEERS_MAX);
	pr->early[pr->n_early++] = e;
	return 0;
}

static int
on_go(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;

	(void)m;
	((struct private *)p->private)->gone = true;
	ipc_set_phase(master, MSG_PHASE_RUN);
	event_base_loopbreak(p->base);
	return 0;
}

static void
stop(struct process *p)
{
	struct private *pr = p->private;

	if (p->stopping)
		return;
	p->stopping = true;
	timer_stop(&pr->drain_look);
	timer_stop(&pr->drain_over);
	if (p->on_stop != NULL)
		p->on_stop(p->arg);
	else
		process_quit(p);
}

static int
on_stop(void *arg, struct ipc *master, struct ipc_message *m)
{
	(void)master;
	(void)m;
	stop(arg);
	return 0;
}

/* ---- making place for a successor ---- */

static void
on_drain_over(void *arg)
{
	log_info("event=drain-over what=\"what is left is ended now\"");
	stop(arg);
}

static void
on_drain_look(void *arg)
{
	struct process *p = arg;
	struct private *pr = p->private;
	bool left = false;

	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++)
		if (p->peers[i] != NULL && !pr->states[i].has_retired)
			left = true;
	if (left || (p->is_drained != NULL && !p->is_drained(p->arg)))
		timer_start(&pr->drain_look, DRAIN_LOOK_MS);
	else
		stop(p);
}

static int
on_drain(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;
	struct private *pr = p->private;

	(void)m;
	ipc_send(master, MSG_DRAINING, 0, NULL, 0, -1);
	if (p->draining || p->stopping)
		return 0;
	p->draining = true;
	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++)
		if (p->peers[i] != NULL)
			ipc_send(p->peers[i], MSG_RETIRE, 0, NULL, 0, -1);
	timer_set(&pr->drain_look, on_drain_look, p);
	timer_set(&pr->drain_over, on_drain_over, p);
	timer_start(&pr->drain_look, DRAIN_LOOK_MS);
	timer_start(&pr->drain_over, PROCESS_DRAIN_MS);
	if (p->on_drain != NULL)
		p->on_drain(p->arg);
	return 0;
}

static int
on_clock(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct unpack u;

	(void)arg;
	(void)master;
	unpack_init(&u, m->data, m->len);
	clock_shift(unpack_i64(&u));
	clock_shift_wall(unpack_i64(&u));
	return 0;
}

static int
on_status_ask(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct process *p = arg;
	struct ipc *logger = process_peer(p, PROC_LOGGER);
	struct pack pk;
	char text[16384] = "";

	if (logger != NULL)
		has_room(p, logger);		/* master asks every few seconds: what was dropped is told without a next line */
	if (p->on_status != NULL)
		p->on_status(p->arg, text, sizeof(text));
	pack_init(&pk);
	pack_str(&pk, text);
	ipc_send_pack(master, MSG_STATUS, m->id, &pk, -1);
	pack_free(&pk);
	return 0;
}

static const struct ipc_handler from_master[] = {
	{ MSG_CONFIG, on_config },
	{ MSG_SECRET, on_secret },
	{ MSG_LISTENER, on_listener },
	{ MSG_PEER, on_peer },
	{ MSG_GO, on_go },
	{ MSG_STOP, on_stop },
	{ MSG_RECONFIGURE, on_reconfigure },
	{ MSG_DRAIN, on_drain },
	{ MSG_CLOCK, on_clock },
	{ MSG_LOG_LEVEL, on_log_level },
	{ MSG_STATUS_ASK, on_status_ask },
	{ MSG_NONE, NULL },
};

/* Without master nobody restarts or stops us: leave. */
static void
on_master_down(void *arg, struct ipc *ipc, const char *reason)
{
	struct process *p = arg;

	(void)ipc;
	p->master = NULL;
	log_error("event=master-gone reason=%s", logq(reason));
	if (!((struct private *)p->private)->running)
		exit(1);
	process_quit(p);
}

/* ---- start and end ---- */

static void
refuse_inspection(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* Programs are replaced one by one on disk: one that does not fit to the master that runs must not meet its peers. */
static void
check_version(void)
{
	const char *said = getenv(PROCESS_VERSION_ENV);
	char own[32];

	snprintf(own, sizeof(own), "%" PRIx64, msg_fingerprint());
	if (said == NULL || strcmp(said, own) == 0)
		return;
	log_fatal("event=start-failed what=\"this program is of another version than the minimta that runs; restart minimta\"");
}

void
process_init(struct process *p, enum proc self)
{
	struct private *pr = alloc_new(1, sizeof(*pr));

	log_init(proc_name(self));
	check_version();
	if (fcntl(PROCESS_CHANNEL_FD, F_GETFD) < 0) {
		fprintf(stderr, "%s is started by minimta(8), not by hand.\n", proc_name(self));
		exit(64);
	}
	fcntl(PROCESS_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);	/* a terminal's ^C is for master, which stops all in order */
	signal(SIGHUP, SIG_IGN);
	refuse_inspection();
	tzset();			/* reads the zone's file while it can be seen */
	p->base = alloc_must(event_base_new());
	clock_init(p->base);
	p->self = self;
	p->private = pr;
	p->master = ipc_new(p->base, PROCESS_CHANNEL_FD, self, PROC_MASTER, 0, from_master, on_master_down, p);
	ipc_add_handlers(p->master, p->handlers, p->arg);
	ipc_set_phase(p->master, MSG_PHASE_START);
	while (!pr->gone)
		event_base_loop(p->base, EVLOOP_ONCE);
	if (p->conf == NULL)
		log_fatal("event=start-failed what=\"no configuration\"");
}

void
process_sandbox(struct process *p)
{
	char err[512];

	puppet_connect(p);
	if (sandbox_enter(p->self, p->conf, err, sizeof(err)) != 0)
		log_fatal("event=start-failed what=%s", logq(err));
}

int
process_run(struct process *p)
{
	struct private *pr = p->private;

	pr->running = true;
	for (unsigned i = 0; i < pr->n_early; i++)
		add_peer(p, pr->early[i].fd, pr->early[i].proc, pr->early[i].instance);
	if (p->master != NULL)
		ipc_send(p->master, MSG_READY, 0, NULL, 0, -1);
	puppet_obey(p);
	event_base_dispatch(p->base);
	for (unsigned i = 0; i < PROCESS_PEERS_MAX; i++)
		if (p->peers[i] != NULL)
			ipc_flush(p->peers[i], 1000);
	return p->master != NULL ? 0 : 1;
}

void
process_quit(struct process *p)
{
	event_base_loopexit(p->base, NULL);
}
