/*
 * What filters and those who read their findings share: names, and a finding said in one call. Pure.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/filter.h"

enum filter_progress
filter_say(struct filter_run *run, const char *result, int score, const char *fmt, ...)
{
	struct filter_finding *f = &run->finding;
	va_list ap;

	snprintf(f->result, sizeof(f->result), "%s", result);
	f->score = score;
	va_start(ap, fmt);
	vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
	return FILTER_DONE;
}

const char *
filter_mode_name(enum filter_mode mode)
{
	static const char *const names[] = { "off", "observe", "score", "enforce" };

	return (size_t)mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "unknown";
}

const char *
filter_action_name(enum filter_action action)
{
	static const char *const names[] = { "pass", "accept", "defer", "refuse", "quarantine" };

	return (size_t)action < sizeof(names) / sizeof(names[0]) ? names[action] : "unknown";
}

const char *
facts_stage_name(enum facts_stage stage)
{
	static const char *const names[] = { "connect", "helo", "mail", "rcpt", "data", "header", "end" };

	return (size_t)stage < sizeof(names) / sizeof(names[0]) ? names[stage] : "unknown";
}

bool
facts_is_vouched_for(const struct facts *f)
{
	return ((f->known & FACT_STANDING) != 0 && f->standing.known) ||
	    ((f->known & FACT_WHITELISTS) != 0 && f->whitelists.enough);
}

bool
facts_helo_is_reverse(const struct facts *f)
{
	return (f->known & FACT_REVERSE) != 0 && f->reverse.result == IPREV_PASS && f->helo != NULL &&
	    strcasecmp(f->helo, f->reverse.name) == 0;
}

const char *
facts_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : "";
}
