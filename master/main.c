/*
 * minimta(8): reads the configuration, prepares places and ports, starts the other processes and looks after them.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <syslog.h>
#include <sysexits.h>
#include <unistd.h>

#include "filters/chain.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "master/master.h"

#define CONFIGURATION	"/etc/minimta/minimta.conf"
#ifndef PREFIX
#define PREFIX		"/usr/local"
#endif

static const char usage[] =
	"usage: minimta [-fhnT] [-c file]\n"
	"       minimta --setup [-c file]\n"
	"	-c file	read this configuration instead of " CONFIGURATION "\n"
	"	-f	stay in the foreground\n"
	"	-n	check the configuration, print it back, and exit\n"
	"	--setup	make users, directories and a first configuration, where they are missing, and exit\n"
	"	-T	for tests: let the control socket set the clock\n"
	"	-h	this\n"
	"minimta(8) and minimta.conf(5) have the rest; minimtactl speaks with a running server.\n";

static void
to_syslog(void *arg, enum log_level level, const char *line)
{
	static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

	(void)arg;
	syslog(priority[level], "%s", line);
}

/* The children stand beside this program, in a build folder, or where make install puts them. */
static void
find_programs(struct master *m)
{
	char self[4000], probe[4100];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		memcpy(m->own_path, self, (size_t)n + 1);
		if (stat(m->own_path, &m->own_program) != 0)
			m->own_path[0] = '\0';
		if ((slash = strrchr(self, '/')) != NULL)
			*slash = '\0';
		snprintf(probe, sizeof(probe), "%s/smtpd", self);
		if (access(probe, X_OK) == 0) {
			snprintf(m->programs, sizeof(m->programs), "%s", self);
			return;
		}
	}
	snprintf(m->programs, sizeof(m->programs), PREFIX "/libexec/minimta");
}

/* The parent waits until all is ready and exits with the outcome; the child goes on as the server. */
static void
into_background(struct master *m)
{
	char ready;
	int fds[2];
	int null;

	if (pipe2(fds, O_CLOEXEC) != 0)
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
	switch (fork()) {
	case -1:
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
	case 0:
		break;
	default:
		close(fds[1]);
		if (read(fds[0], &ready, 1) == 1)
			exit(0);
		fprintf(stderr, "minimta: did not start; the log says why (try minimta -f)\n");
		exit(1);
	}
	close(fds[0]);
	m->ready_pipe = fds[1];
	setsid();
	if (chdir("/") != 0 || (null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
}

void
master_choose_log(const struct master *m, struct conf *conf)
{
	if (*conf->log_to != '\0')
		return;
	free(conf->log_to);
	conf->log_to = alloc_text(m->foreground ? "stderr" : "syslog");
}

static void
open_log(struct master *m)
{
	master_choose_log(m, m->conf);
	log_set_level(log_level_named(m->conf->log_level));
	m->stray[0] = m->stray[1] = -1;
	if (strcmp(m->conf->log_to, "syslog") != 0)
		return;
	openlog("minimta", LOG_NDELAY | LOG_PID, LOG_MAIL);
	log_set_sink(to_syslog, NULL);
	if (pipe2(m->stray, O_CLOEXEC | O_NONBLOCK) != 0 || (m->stray[0] = launch_above(m->stray[0])) < 0 ||
	    (m->stray[1] = launch_above(m->stray[1])) < 0)
		log_fatal("event=start-failed what=%s", logq(strerror(errno)));
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct master *m = arg;

	(void)what;
	if (sig == SIGCHLD) {
		children_reap(m);
		return;
	}
	if (sig == SIGHUP) {
		log_info("event=reloading signal=%d", (int)sig);
		reload_start(m, NULL, NULL);
		return;
	}
	if (m->stop_group < 0)
		log_info("event=stopping signal=%d", (int)sig);
	children_stop(m, m->was_ready ? 0 : 1);
}

static void
watch_signals(struct master *m, struct event **events, const int *signals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		events[i] = evsignal_new(m->base, signals[i], on_signal, m);
		if (events[i] == NULL || event_add(events[i], NULL) != 0)
			log_fatal("event=out-of-memory");
	}
	signal(SIGPIPE, SIG_IGN);
}

static int
serve(struct master *m)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	struct event *events[4];
	char err[1024];

	if (geteuid() == 0 && !sandbox_users_exist(err, sizeof(err)))
		log_fatal("event=start-failed what=\"%s\"", err);
	if (places_make(m->conf, err, sizeof(err)) != 0 ||
	    (m->spool_lock = places_lock_spool(m->conf, err, sizeof(err))) < 0)
		log_fatal("event=start-failed what=%s", logq(err));
	if (!m->foreground)
		into_background(m);
	m->base = alloc_must(event_base_new());
	clock_init(m->base);
	m->started_ms = clock_ms();
	if (getrandom(m->secret, sizeof(m->secret), 0) != sizeof(m->secret) ||
	    getrandom(&m->tally_seed, sizeof(m->tally_seed), 0) != sizeof(m->tally_seed))
		log_fatal("event=start-failed what=\"no random numbers\"");
	if (places_listen(m->conf, NULL, 0, &m->listeners, err, sizeof(err)) != 0)
		log_fatal("event=start-failed what=%s", logq(err));
	m->n_listeners = m->conf->n_listen;
	if (control_open(m, err, sizeof(err)) != 0)
		log_fatal("event=start-failed what=%s", logq(err));
	watch_signals(m, events, signals, 4);
	if (geteuid() != 0)
		log_info("event=ordinary-user uid=%u what=\"processes share one user and no chroot: a process that is taken over "
		    "can read what this user can\"", (unsigned)geteuid());
	children_start(m);
	event_base_dispatch(m->base);
	control_close(m);
	for (size_t i = 0; i < 4; i++)
		event_free(events[i]);
	log_info("event=stopped");
	return m->exit_code;
}

static int
check_only(const struct conf *conf)
{
	conf_print(conf, stdout);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* In the background a reload reads the same file; links in it are followed anew. */
static void
remember_path(struct master *m, const char *path)
{
	char here[4096];

	if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		m->conf_path = alloc_text(path);
	else
		m->conf_path = alloc_printf("%s/%s", here, path);
}

int
main(int argc, char **argv)
{
	struct master m = { .stop_group = -1, .ready_pipe = -1, .stray = { -1, -1 } };
	static const struct option longs[] = { { "setup", no_argument, NULL, 'S' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	const char *path = CONFIGURATION;
	bool check = false, setup = false;
	char err[1024];
	int opt;

	while ((opt = getopt_long(argc, argv, "c:fhnT", longs, NULL)) != -1)
		switch (opt) {
		case 'c': path = optarg; break;
		case 'f': m.foreground = true; break;
		case 'n': check = true; break;
		case 'S': setup = true; break;
		case 'T': m.test_clock = true; break;
		case 'h': fputs(usage, stdout); return EX_OK;
		default: fputs(usage, stderr); return EX_USAGE;
		}
	if (optind != argc) {
		fprintf(stderr, "minimta: unexpected argument: %s\n%s", argv[optind], usage);
		return EX_USAGE;
	}
	log_init("master");
	TAILQ_INIT(&m.children);
	if (setup)
		return setup_run(path);
	if ((m.conf = conf_read(path, err, sizeof(err))) == NULL) {
		fprintf(stderr, "%s\n", err);
		return EX_CONFIG;
	}
	if (logins_check(m.conf, err, sizeof(err)) != 0 || filters_check(m.conf, err, sizeof(err)) != 0) {
		fprintf(stderr, "%s\n", err);
		return EX_CONFIG;
	}
	if (check)
		return check_only(m.conf);
	remember_path(&m, path);
	find_programs(&m);
	open_log(&m);
	return serve(&m);
}
