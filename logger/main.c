/*
 * logger: takes every process' log lines and writes them, to standard error (foreground) or to syslog. What is about a
 * session or a message it keeps in its journal, too, with the records of filters' decisions (keep.c). It decides nothing;
 * what comes in was escaped by its sender, and is escaped again here, since no sender is believed.
 *
 * In the background the standard error of all processes is a pipe that ends here (descriptor 4), so that a last word
 * of a library or of the kernel's sandbox is not lost.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "logger/keep.h"

#define STRAY_FD	4
#define STRAY_LINE_MAX	1024
#define GATHER_BYTES	65536		/* of lines in one write */
#define SEARCH_NEEDED	(4U << 20)	/* bytes of memory without which no search in the journal is begun */

struct logger {
	struct process	 process;
	bool		 to_syslog;
	uint64_t	 lines;
	struct keep	*keep;
	struct event	*turn;		/* the end of a turn of the loop: what was gathered is written */
	struct event	*stray;		/* what processes wrote to standard error */
	char		 stray_line[STRAY_LINE_MAX];
	size_t		 stray_len;
};

static void
write_line(struct logger *lg, enum log_level level, const char *line)
{
	static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	char safe[LOG_LINE_MAX + 1];
	size_t len = log_printable(safe, LOG_LINE_MAX, line);

	lg->lines++;
	if (lg->to_syslog) {
		syslog(priority[level], "%s", safe);
		return;
	}
	safe[len] = '\n';
	fputs_unlocked(log_prefix(level), stderr);
	fwrite_unlocked(safe, 1, len + 1, stderr);
	if (lg->turn != NULL)
		event_active(lg->turn, 0, 0);
	else
		fflush_unlocked(stderr);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fflush_unlocked(stderr);
}

/* Info lines come whatever the level is, for the journal. */
static int
on_log(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct logger *lg = arg;
	struct unpack u;
	unsigned level;
	char *line;

	unpack_init(&u, m->data, m->len);
	level = unpack_u8(&u);
	line = unpack_str(&u);
	if (unpack_end(&u) && level <= LOG_LEVEL_DEBUG) {
		if (log_keeps((enum log_level)level))
			write_line(lg, (enum log_level)level, line);
		keep_line(lg->keep, proc_name(ipc_peer(peer)), line);
	} else
		ipc_fail(peer, "LOG: no log line");
	free(line);
	return 0;
}

static int
on_journal(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct logger *lg = arg;

	if (keep_record(lg->keep, (const char *)m->data, m->len) == 0)
		return 0;
	return ipc_fail(peer, "JOURNAL: no record of a decision");
}

static int
on_control(void *arg, struct ipc *master, struct ipc_message *m)
{
	static const char no_memory[] = "later: there is no memory for a search now; try again in a moment\n";
	struct logger *lg = arg;
	struct unpack u;
	bool may_read;
	char line[2048];

	(void)master;
	if (m->fd < 0)
		return 0;
	unpack_init(&u, m->data, m->len);
	unpack_u32(&u);
	may_read = unpack_u8(&u) == 1;
	unpack_str_to(&u, line, sizeof(line));
	if (!unpack_end(&u))
		line[0] = '\0';
	if (alloc_has(SEARCH_NEEDED)) {
		keep_answer(lg->keep, m->fd, may_read, line);
		return 0;
	}
	if (send(m->fd, no_memory, sizeof(no_memory) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("event=not-told");
	close(m->fd);
	return 0;
}

static void
sink(void *arg, enum log_level level, const char *line)
{
	write_line(arg, level, line);
}

static void
on_stray(evutil_socket_t fd, short what, void *arg)
{
	struct logger *lg = arg;
	char bytes[512];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)what;
	if (n == 0)
		event_del(lg->stray);
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] != '\n' && lg->stray_len < sizeof(lg->stray_line) - 1) {
			lg->stray_line[lg->stray_len++] = bytes[i];
			continue;
		}
		lg->stray_line[lg->stray_len] = '\0';
		lg->stray_len = 0;
		write_line(lg, LOG_LEVEL_WARN, lg->stray_line);
	}
}

static void
on_status(void *arg, char *to, size_t size)
{
	struct logger *lg = arg;
	int n = snprintf(to, size, "lines=%llu", (unsigned long long)lg->lines);

	keep_status(lg->keep, to + n, size - (size_t)n);
}

static void
on_reconfigure(void *arg, const struct conf *old)
{
	struct logger *lg = arg;

	(void)old;
	keep_limit(lg->keep, lg->process.conf);
}

/* A successor begins with the counters as they are on disk. */
static void
on_drain(void *arg)
{
	keep_save(((struct logger *)arg)->keep);
}

static const struct ipc_handler handlers[] = {
	{ MSG_LOG, on_log },
	{ MSG_JOURNAL, on_journal },
	{ MSG_CONTROL, on_control },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	struct logger lg = { .process = { .handlers = handlers, .on_status = on_status, .on_reconfigure = on_reconfigure,
	    .on_drain = on_drain } };
	int rc;

	lg.process.arg = &lg;
	process_init(&lg.process, PROC_LOGGER);
	lg.to_syslog = strcmp(lg.process.conf->log_to, "syslog") == 0;
	if (lg.to_syslog) {
		openlog("minimta", LOG_NDELAY | LOG_PID, LOG_MAIL);
		lg.stray = event_new(lg.process.base, STRAY_FD, EV_READ | EV_PERSIST, on_stray, &lg);
		event_add(lg.stray, NULL);
	}
	log_set_sink(sink, &lg);
	setvbuf(stderr, NULL, _IOFBF, GATHER_BYTES);
	lg.turn = alloc_must(event_new(lg.process.base, -1, 0, on_turn, &lg));
	lg.keep = keep_open(lg.process.conf);
	process_sandbox(&lg.process);
	keep_start(lg.keep, lg.process.base);
	rc = process_run(&lg.process);
	keep_free(lg.keep);
	return rc;
}
