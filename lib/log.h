/*
 * Log lines: one per decision, `key=value`, the id of what it is about first.
 *
 *	log_info("session=7K2QF event=rcpt to=%s verdict=reject code=550", logq(addr));
 *
 * Bytes from strangers go through logq(), which quotes where needed, escapes everything outside 0x20-0x7e as \xNN and
 * cuts at LOG_VALUE_MAX. Where lines go is process.c's business: to logger over its channel, to stderr before that and
 * in tools and tests.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define LOG_LINE_MAX	4096
#define LOG_VALUE_MAX	512

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

typedef void	log_sink_fn(void *arg, enum log_level, const char *line);

void	 log_init(const char *process);		/* name in front of lines on stderr; level info */
void	 log_set_level(enum log_level);
enum log_level log_level_named(const char *);		/* "error", "warn", "debug"; anything else is info */
void	 log_set_sink(log_sink_fn *, void *arg);	/* NULL: stderr */
/* Lines up to info go to the sink whatever the level is: logger keeps them in its journal, and asks log_keeps() itself. */
void	 log_pass_info(bool);
bool	 log_keeps(enum log_level);			/* by the level that is set */
/* What stands before a line on stderr: its priority, where log_init() found that systemd reads it (sd-daemon(3)); else "". */
const char *log_prefix(enum log_level);
void	 log_line(enum log_level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Logs and exits 1: for start-up, out of memory and broken invariants only. */
void	 log_fatal(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define log_error(...)	log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)	log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A value made safe; one of eight static buffers in turn, so up to eight in one line. NULL is written as "-". */
const char *logq(const char *);
const char *logqn(const void *, size_t);
/* Escapes into `to` (always terminated); returns its length. The rule above, for other uses. */
size_t	 log_escape(char *to, size_t size, const void *from, size_t len);
/* The same for a whole line: its quotes stay, and what was escaped in it; anything that could end it or steer a terminal does not. */
size_t	 log_printable(char *to, size_t size, const char *line);

#endif
