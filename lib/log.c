/*
 * Log lines (lib/log.h): formatting and escaping. Where they go is decided by the sink.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

/* A process has one log: the exception to "no globals". */
static struct {
	const char	*process;
	enum log_level	 level;
	log_sink_fn	*sink;
	void		*arg;
	bool		 pass_info;
	bool		 to_systemd;	/* standard error is systemd's */
} logging = { .process = "minimta", .level = LOG_LEVEL_INFO };

/* systemd says by its environment which file its journal reads (systemd.exec(5)). */
static bool
leads_to_systemd(int fd, const char *stream)
{
	char own[64];
	struct stat st;

	if (stream == NULL || fstat(fd, &st) != 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(own, stream) == 0;
}

void
log_init(const char *process)
{
	logging.process = process;
	logging.to_systemd = leads_to_systemd(STDERR_FILENO, getenv("JOURNAL_STREAM"));
}

const char *
log_prefix(enum log_level level)
{
	static const char *const prefixes[] = { "<3>", "<4>", "<6>", "<7>" };

	return logging.to_systemd ? prefixes[level] : "";
}

void
log_set_level(enum log_level level)
{
	logging.level = level;
}

enum log_level
log_level_named(const char *name)
{
	if (strcmp(name, "error") == 0)
		return LOG_LEVEL_ERROR;
	if (strcmp(name, "warn") == 0)
		return LOG_LEVEL_WARN;
	return strcmp(name, "debug") == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

void
log_set_sink(log_sink_fn *sink, void *arg)
{
	logging.sink = sink;
	logging.arg = arg;
}

void
log_pass_info(bool on)
{
	logging.pass_info = on;
}

bool
log_keeps(enum log_level level)
{
	return level <= logging.level;
}

static void
log_vline(enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int len;

	if (!log_keeps(level) && (level > LOG_LEVEL_INFO || !logging.pass_info))
		return;
	len = snprintf(line, sizeof(line), "%s: ", logging.process);
	vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, ap);
	if (logging.sink != NULL)
		logging.sink(logging.arg, level, line);
	else
		fprintf(stderr, "%s%s\n", log_prefix(level), line);
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vline(level, fmt, ap);
	va_end(ap);
}

void
log_fatal(const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	log_sink_fn *sink = logging.sink;
	va_list ap;
	int len;

	logging.sink = NULL;	/* what fails in there, for want of memory above all, must not lead back to it */
	len = snprintf(line, sizeof(line), "%s: ", logging.process);
	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, ap);
	va_end(ap);
	if (sink != NULL)
		sink(logging.arg, LOG_LEVEL_ERROR, line);
	else
		fprintf(stderr, "%s%s\n", log_prefix(LOG_LEVEL_ERROR), line);
	exit(1);
}

static size_t
escape(char *to, size_t size, const unsigned char *p, size_t len, bool quotes)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bool plain = p[i] >= 0x20 && p[i] <= 0x7e && !(quotes && (p[i] == '"' || p[i] == '\\'));

		if (n + (plain ? 1 : 4) >= size)
			break;
		if (plain)
			to[n++] = (char)p[i];
		else
			n += (size_t)snprintf(to + n, size - n, "\\x%02x", p[i]);
	}
	to[n] = '\0';
	return n;
}

size_t
log_escape(char *to, size_t size, const void *from, size_t len)
{
	return escape(to, size, from, len, true);
}

size_t
log_printable(char *to, size_t size, const char *line)
{
	return escape(to, size, (const unsigned char *)line, strlen(line), false);
}

const char *
logqn(const void *value, size_t len)
{
	static char buffers[8][LOG_VALUE_MAX + 8];
	static unsigned turn;
	char *to = buffers[turn++ % 8];
	size_t n = log_escape(to + 1, LOG_VALUE_MAX, value, len);

	if (n > 0 && strpbrk(to + 1, " =") == NULL)
		return to + 1;
	to[0] = to[n + 1] = '"';
	to[n + 2] = '\0';
	return to;
}

const char *
logq(const char *value)
{
	return value ? logqn(value, strlen(value)) : "-";
}
