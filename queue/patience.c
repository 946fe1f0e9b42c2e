/*
 * Reads times out of replies (queue/patience.h): "try again in 5 minutes", "retry after 300 seconds", "greylisted for 00:04:59",
 * "in 4 min 30 s". Decides which words make a number a request to wait, so that no queue length or error number becomes one.
 * Called by queue/outcome.c.
 */
#include "queue/patience.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NEAR	40		/* bytes between the words that ask and the number */

static const char *const asking[] = { "again in", "again after", "retry in", "retry after", "retry-after", "wait", "greylisted for",
    "graylisted for", "greylisting for", "deferred for", "try in", "come back in", "available in", "expires in" };

static const struct {
	const char	*name;
	int64_t		 ms;
} units[] = { { "ms", 0 }, { "millisecond", 0 }, { "month", 0 }, { "message", 0 }, { "mail", 0 }, { "second", 1000 }, { "sec", 1000 },
    { "s", 1000 }, { "minute", 60000 }, { "min", 60000 }, { "m", 60000 }, { "hour", 3600000 }, { "hr", 3600000 }, { "h", 3600000 },
    { "day", 86400000 } };

/* Digits, up to six of them. -1: none, or too many. */
static int64_t
number(const char **p)
{
	int64_t n = 0;
	int digits = 0;

	for (; isdigit((unsigned char)**p); (*p)++, digits++)
		n = digits < 6 ? n * 10 + (**p - '0') : -1;
	return digits == 0 || digits > 6 ? -1 : n;
}

/* The unit behind a number, whole words only ("s" but not "servers"). 0: none that is one. */
static int64_t
unit(const char **p)
{
	const char *s = *p + strspn(*p, " -");
	size_t len = 0;

	while (isalpha((unsigned char)s[len]))
		len++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].name);

		if (strncasecmp(s, units[i].name, n) != 0 || (len != n && !(len == n + 1 && tolower((unsigned char)s[n]) == 's')))
			continue;
		*p = s + len;
		return units[i].ms;
	}
	return 0;
}

/* "00:04:59", "04:59" behind its first number. */
static int64_t
clock_time(const char **p, int64_t first)
{
	const char *s = *p;
	int64_t parts[3] = { first }, n = 1;

	while (n < 3 && *s == ':' && isdigit((unsigned char)s[1])) {
		s++;
		if ((parts[n] = number(&s)) < 0 || parts[n] > 59)
			return 0;
		n++;
	}
	if (n == 1)
		return 0;
	*p = s;
	return (n == 3 ? parts[0] * 3600 + parts[1] * 60 + parts[2] : parts[0] * 60 + parts[1]) * 1000;
}

/* All that stands together: "4 minutes and 30 seconds". */
static int64_t
duration(const char *p)
{
	int64_t sum = 0, n, ms;

	while (isdigit((unsigned char)*p) && (n = number(&p)) >= 0) {
		if ((ms = clock_time(&p, n)) == 0)
			ms = n * unit(&p);
		if (ms == 0)
			break;
		sum += ms;
		p += strspn(p, " ,");
		if (strncasecmp(p, "and ", 4) == 0)
			p += 4;
	}
	return sum < PATIENCE_MOST_MS ? sum : PATIENCE_MOST_MS;
}

int64_t
patience_asked(const char *text)
{
	int64_t ms, most = 0;

	for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++)
		for (const char *at = text; (at = strcasestr(at, asking[i])) != NULL;) {
			at += strlen(asking[i]);
			for (const char *p = at; *p != '\0' && *p != '.' && p < at + NEAR; p++)
				if (isdigit((unsigned char)*p)) {
					ms = duration(p);
					most = ms > most ? ms : most;
					break;
				}
		}
	return most;
}
