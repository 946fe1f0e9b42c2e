/*
 * What the server answers, taken apart, and put together again for people and as JSON: fields between tabs, pairs of
 * key=value, spans of time. Pure.
 */
#ifndef TOOLS_LINES_H
#define TOOLS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LINES_FIELDS_MAX	10

struct json_object;

/* Cuts a line at its tabs, `most` fields at most: the last one takes what is left. Those that are not there are "". How many
 * there are. */
int	 lines_cut(char *line, char *fields[LINES_FIELDS_MAX], int most);
/* Strangers' words for a terminal: what would steer it, or turn text around, becomes "?" in place; tab and line end stay. */
void	 lines_tame(char *);
/*
 * Gives each line of an answer to take(), cut at its tabs, up to the one with "E", which is the last: 0; or -1, for what comes
 * is cut short. A line with "T" is text, which may have tabs. for_people: tamed.
 */
typedef void lines_take_fn(void *arg, char *const *fields);
int	 lines_read(FILE *, bool for_people, lines_take_fn *, void *arg);
int64_t	 lines_number(const char *);		/* 0 for what is none */
/* Takes one "key=value" off *p, the value quoted or not; false when there is none. */
bool	 lines_pair(char **p, char **key_r, char **value_r);
/* "45s", "12m 5s", "3h 20m", "2d 4h". Returns to. */
char	*lines_span(char *to, size_t size, int64_t seconds);
/* "now", "19:45:10 (in 5m 3s)", "Sat 21 Nov 19:45 (in 2d 4h)"; "" for 0. Returns to. */
char	*lines_when(char *to, size_t size, int64_t when, int64_t now);

/* JSON is UTF-8: what is not becomes U+FFFD. */
struct json_object *lines_json(const char *);
void	 lines_put(struct json_object *, const char *name, const char *value);
void	 lines_put_number(struct json_object *, const char *name, const char *value);
/* Prints and frees it. */
void	 lines_print_json(struct json_object *, FILE *);
/* The same when rc is 0, and only frees it otherwise. Returns rc. */
int	 lines_end_json(int rc, struct json_object *, FILE *);

#endif
