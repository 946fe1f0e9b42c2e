/*
 * The control socket: one line of words from a tool (separated by tabs, ended by LF), whose user the kernel names
 * (SO_PEERCRED). Most lines are passed on together with the connection to the process that they are for; master itself
 * answers `status` and, for tests, `clock` (control_ask.c), `reload`, `log` and `stop`. minimtactl(8) describes the lines.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "master/control_caller.h"

#define LINE_MAX_HERE	(60 * 1024)
#define SUBMIT_LINE_MAX	200
#define LINE_MS		10000	/* for the line to arrive */
#define CALLERS_MAX	128
#define CALLERS_OF_USER	32	/* who is not root: so that root finds a place */
#define PAUSE_MS	200	/* when there is no descriptor for a caller */
#define RELOAD_MS	55000	/* a tool waits for a minute */

static void	run_submit(struct caller *);
static void	run_reload(struct caller *);
static void	run_log(struct caller *);
static void	run_stop(struct caller *);

/* What the first word means: passed on to a process, or done here. */
static const struct command {
	const char	*word;
	enum proc	 to;
	void		(*run)(struct caller *);
} commands[] = {
	{ "submit", PROC_SMTPD, run_submit },
	{ "queue", PROC_QUEUE, NULL },
	{ "mailq", PROC_QUEUE, NULL },
	{ "aliases", PROC_LOOKUP, NULL },
	{ "verify", PROC_LOOKUP, NULL },
	{ "memory", PROC_LOOKUP, NULL },
	{ "callback", PROC_LOOKUP, NULL },
	{ "route", PROC_RESOLVER, NULL },
	{ "explain", PROC_LOGGER, NULL },
	{ "stats", PROC_LOGGER, NULL },
	{ "status", PROC_MASTER, control_run_status },
	{ "clock", PROC_MASTER, control_run_clock },
	{ "reload", PROC_MASTER, run_reload },
	{ "log", PROC_MASTER, run_log },
	{ "stop", PROC_MASTER, run_stop },
};

static void
caller_free(struct caller *c)
{
	LIST_REMOVE(c, next);
	c->control->n--;
	timer_stop(&c->deadline);
	event_free(c->readable);
	control_ask_forget(c);
	reload_forget(c->control->master, c);
	if (c->fd >= 0)
		close(c->fd);
	free(c->line);
	free(c);
}

/* What does not fit in the socket's buffer of a caller that does not read is lost. */
void
control_answer(struct caller *c, const char *text)
{
	size_t len = strlen(text);

	for (ssize_t n; len > 0 && (n = send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0; len -= (size_t)n)
		text += n;
	caller_free(c);
}

bool
control_may_change(const struct caller *c)
{
	return c->uid == 0 || c->uid == geteuid();
}

static void
pass_on(struct caller *c, const struct command *cmd)
{
	struct child *to = children_find(c->control->master, cmd->to);
	struct pack pk;
	char text[128];

	if (to == NULL) {
		snprintf(text, sizeof(text), "later: %s is being restarted; try again in a moment\n", proc_name(cmd->to));
		control_answer(c, text);
		return;
	}
	pack_init(&pk);
	pack_u32(&pk, c->uid);
	if (cmd->run == run_submit) {
		pack_str(&pk, c->line + strlen(cmd->word) + (c->line[strlen(cmd->word)] == '\t'));
		ipc_send_pack(to->ipc, MSG_SUBMIT, 0, &pk, c->fd);
	} else {
		pack_u8(&pk, control_may_change(c));
		pack_str(&pk, c->line);
		ipc_send_pack(to->ipc, MSG_CONTROL, 0, &pk, c->fd);
	}
	pack_free(&pk);
	c->fd = -1;
	caller_free(c);
}

/* Whose mail is judged how is for those who may know it; who may send mail is everybody. */
static void
run_submit(struct caller *c)
{
	if (c->line[strcspn(c->line, "\t")] != '\0' && !control_may_change(c))
		control_answer(c, "denied: sessions are tried by root and by the user that started minimta\n");
	else if (strlen(c->line) > SUBMIT_LINE_MAX)
		control_answer(c, "error: expected: submit, and perhaps as=ADDRESS\n");
	else
		pass_on(c, &commands[0]);
}

static void
run_line(struct caller *c)
{
	size_t word = strcspn(c->line, "\t");

	event_del(c->readable);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *cmd = &commands[i];

		if (strlen(cmd->word) != word || memcmp(cmd->word, c->line, word) != 0)
			continue;
		if (cmd->run != NULL)
			cmd->run(c);
		else
			pass_on(c, cmd);
		return;
	}
	control_answer(c, "error: unknown command; expected submit, queue, mailq, aliases, "
	    "verify, memory, route, explain, stats, status, reload, log or stop\n");
}

static void
on_reloaded(void *arg, const char *text)
{
	control_answer(arg, text);
}

static void
run_reload(struct caller *c)
{
	if (!control_may_change(c)) {
		control_answer(c, "denied: only root may reload it\n");
		return;
	}
	c->reloads = true;
	timer_start(&c->deadline, RELOAD_MS);
	reload_start(c->control->master, on_reloaded, c);
}

/* In the configuration, too, so that a process that starts later has it; the file is asked again at a reload. */
static void
set_log_level(struct master *m, const char *name)
{
	enum log_level level = log_level_named(name);
	uint8_t byte = (uint8_t)level;
	struct child *ch;

	free(m->conf->log_level);
	m->conf->log_level = alloc_text(name);
	TAILQ_FOREACH(ch, &m->children, next)
		if (ch->ipc != NULL)
			ipc_send(ch->ipc, MSG_LOG_LEVEL, 0, &byte, sizeof(byte), -1);
	log_set_level(level);
}

static void
run_log(struct caller *c)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	static const char before[] = "log\tlevel";
	const char *wanted = c->line + sizeof(before) - 1;
	char text[100];

	if (strcmp(c->line, before) == 0) {
		snprintf(text, sizeof(text), "ok\n%s\n", c->control->master->conf->log_level);
		control_answer(c, text);
		return;
	}
	for (size_t i = 0; strncmp(c->line, before, sizeof(before) - 1) == 0 && *wanted == '\t' && i < 4; i++) {
		if (strcmp(levels[i], wanted + 1) != 0)
			continue;
		if (!control_may_change(c)) {
			control_answer(c, "denied: the log's level is for root and for the user that started minimta\n");
			return;
		}
		log_info("event=log-level level=%s uid=%u", levels[i], (unsigned)c->uid);
		set_log_level(c->control->master, levels[i]);
		snprintf(text, sizeof(text), "ok\nthe level is %s\n", levels[i]);
		control_answer(c, text);
		return;
	}
	control_answer(c, "error: expected: log level, and perhaps error, warn, info or debug\n");
}

static void
run_stop(struct caller *c)
{
	struct master *m = c->control->master;

	if (!control_may_change(c)) {
		control_answer(c, "denied: only root may stop it\n");
		return;
	}
	control_answer(c, "ok\n");
	children_stop(m, 0);
}

/* ---- connections ---- */

static void
on_deadline(void *arg)
{
	struct caller *c = arg;

	if (c->n_answers > 0)
		control_ask_over(c);
	else if (c->reloads)
		control_answer(c, "error: the reload takes long; the log says how it ends\n");
	else
		control_answer(c, "error: no command came; expected one line\n");
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	ssize_t n = recv(fd, c->line + c->len, LINE_MAX_HERE - c->len, MSG_PEEK | MSG_DONTWAIT);
	char *end;

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		caller_free(c);
		return;
	}
	/* Only the line is taken: what follows is for the process that gets the connection. */
	end = memchr(c->line + c->len, '\n', (size_t)n);
	if (end != NULL)
		n = end - (c->line + c->len) + 1;
	if (recv(fd, c->line + c->len, (size_t)n, MSG_DONTWAIT) != n) {
		caller_free(c);
		return;
	}
	c->len += (size_t)n;
	if (end != NULL) {
		*end = '\0';
		run_line(c);
	} else if (c->len == LINE_MAX_HERE)
		control_answer(c, "error: the line is too long\n");
}

static void
on_pause_over(void *arg)
{
	struct control *ctl = arg;

	event_add(ctl->accept, NULL);
}

static bool
has_place(const struct control *ctl, uid_t uid)
{
	const struct caller *c;
	unsigned own = 0;

	LIST_FOREACH(c, &ctl->callers, next)
		own += c->uid == uid;
	return ctl->n < CALLERS_MAX && (uid == 0 || own < CALLERS_OF_USER);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct control *ctl = arg;
	struct caller *c;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (peer < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {	/* it would wake us for ever */
			event_del(ctl->accept);
			timer_start(&ctl->pause, PAUSE_MS);
		}
		return;
	}
	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || !has_place(ctl, cred.uid)) {
		close(peer);
		return;
	}
	/* A process of ours has its channel to us; here it would pass for a program of this machine. */
	if (children_include(ctl->master, cred.pid)) {
		log_error("event=control-refused pid=%d what=\"a process of minimta itself\"", (int)cred.pid);
		close(peer);
		return;
	}
	c = alloc_new(1, sizeof(*c));
	c->line = alloc_raw(LINE_MAX_HERE + 1);
	c->control = ctl;
	c->fd = peer;
	c->uid = cred.uid;
	c->readable = alloc_must(event_new(ctl->master->base, peer, EV_READ | EV_PERSIST, on_readable, c));
	event_add(c->readable, NULL);
	timer_set(&c->deadline, on_deadline, c);
	timer_start(&c->deadline, LINE_MS);
	LIST_INSERT_HEAD(&ctl->callers, c, next);
	ctl->n++;
}

/* Somebody answers there: a master on another spool, configured to the same path. */
static bool
is_taken(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool taken = fd >= 0 && (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return taken;
}

int
control_open(struct master *m, char *err, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct control *ctl = alloc_new(1, sizeof(*ctl));

	m->control = ctl;
	ctl->master = m;
	LIST_INIT(&ctl->callers);
	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", m->conf->control) >= sizeof(sun.sun_path)) {
		snprintf(err, size, "control %s: longer than a socket's path may be (%zu)", m->conf->control,
		    sizeof(sun.sun_path) - 1);
		return -1;
	}
	if (is_taken(&sun)) {
		snprintf(err, size, "control socket %s: another minimta answers there", sun.sun_path);
		return -1;
	}
	unlink(sun.sun_path);		/* a leftover */
	timer_set(&ctl->pause, on_pause_over, ctl);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ctl->fd < 0 || bind(ctl->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 || chmod(sun.sun_path, 0666) != 0 ||
	    listen(ctl->fd, 128) != 0) {
		snprintf(err, size, "control socket %s: %s", sun.sun_path, strerror(errno));
		return -1;
	}
	ctl->accept = alloc_must(event_new(m->base, ctl->fd, EV_READ | EV_PERSIST, on_accept, ctl));
	event_add(ctl->accept, NULL);
	return 0;
}

void
control_close(struct master *m)
{
	struct caller *c;

	while ((c = LIST_FIRST(&m->control->callers)) != NULL)
		caller_free(c);
	timer_stop(&m->control->pause);
	event_free(m->control->accept);
	close(m->control->fd);
	unlink(m->conf->control);
	free(m->control);
}
