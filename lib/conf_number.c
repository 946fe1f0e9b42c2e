/*
 * Durations, sizes and choices between words and back: what a person writes, and how it is written again. Pure. Called by
 * conf_value.c and conf_print.c.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/conf_option.h"

int
conf_digits(const char **p, uint64_t *r)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)**p))
		return -1;
	for (; isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(**p - '0'), &n))
			return -1;
	*r = n;
	return 0;
}

static const struct {
	const char	*name;
	int64_t		 ms;
} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "ms", 1 }, { "m", 60000 }, { "s", 1000 } };

#define N_UNITS	(sizeof(units) / sizeof(units[0]))

int
conf_duration(const char *text, int64_t *ms_r)
{
	int64_t sum = 0, part;
	uint64_t n;
	size_t u;

	do {
		if (conf_digits(&text, &n) != 0 || n > INT64_MAX)
			return -1;
		for (u = 0; u < N_UNITS && strncmp(text, units[u].name, strlen(units[u].name)) != 0; u++)
			;
		if (u == N_UNITS && (*text != '\0' || sum != 0))
			return -1;
		if (u < N_UNITS)
			text += strlen(units[u].name);
		if (__builtin_mul_overflow((int64_t)n, u < N_UNITS ? units[u].ms : 1000, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return -1;
	} while (*text != '\0');
	*ms_r = sum;
	return 0;
}

int
conf_durations(const char *text, int64_t ms_r[], size_t most)
{
	char one[32];
	size_t n = 0, len;

	for (text += strspn(text, ", "); *text != '\0'; text += strspn(text, ", ")) {
		len = strcspn(text, ", ");
		if (n == most || len >= sizeof(one))
			return -1;
		memcpy(one, text, len);
		one[len] = '\0';
		if (conf_duration(one, &ms_r[n]) != 0 || (n > 0 && ms_r[n] < ms_r[n - 1]))
			return -1;
		text += len;
		n++;
	}
	return (int)n;
}

int
conf_size(const char *text, uint64_t *bytes_r)
{
	static const char letters[] = "KMGT";
	const char *unit;
	uint64_t n;
	int shift = 0;

	if (conf_digits(&text, &n) != 0)
		return -1;
	if (*text != '\0' && (unit = strchr(letters, toupper((unsigned char)*text))) != NULL) {
		shift = 10 * (int)(unit - letters + 1);
		text++;
	}
	if (*text != '\0' || n > UINT64_MAX >> shift)
		return -1;
	*bytes_r = n << shift;
	return 0;
}

char *
conf_duration_text(char to[32], int64_t ms)
{
	static const size_t order[] = { 0, 1, 3, 4, 2 };	/* d h m s ms */
	size_t len = 0;

	snprintf(to, 32, "0s");
	for (size_t i = 0; i < N_UNITS && ms > 0; i++) {
		int64_t n = ms / units[order[i]].ms;

		ms %= units[order[i]].ms;
		if (n > 0 && len < 32)
			len += (size_t)snprintf(to + len, 32 - len, "%lld%s", (long long)n, units[order[i]].name);
	}
	return to;
}

char *
conf_size_text(char to[32], uint64_t bytes)
{
	int unit = 0;

	while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(to, 32, "%llu%.*s", (unsigned long long)bytes, unit > 0, &"KMGT"[unit > 0 ? unit - 1 : 0]);
	return to;
}

char *
conf_word_text(char to[32], const char *choices, int n)
{
	for (; n > 0; n--)
		choices += strcspn(choices, " ") + 1;
	snprintf(to, 32, "%.*s", (int)strcspn(choices, " "), choices);
	return to;
}
