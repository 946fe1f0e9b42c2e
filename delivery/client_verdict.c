/*
 * Makes the record of what became of a recipient: from a reply, from our own findings, from an MX lookup. Does not
 * decide which (client_reply.c, client.c, agent.c do). Pure.
 */
#include "delivery/client_verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/reply.h"

static struct verdict *
verdict_alloc(enum job_outcome outcome, bool host_trouble, const char *host, uint16_t code)
{
	struct verdict *v = alloc_new(1, sizeof(*v));

	v->refs = 1;
	v->outcome = outcome;
	v->host_trouble = host_trouble;
	v->code = code;
	snprintf(v->host, sizeof(v->host), "%s", host);
	return v;
}

static char
outcome_class(enum job_outcome outcome)
{
	return outcome == JOB_DELIVERED ? '2' : outcome == JOB_DEFERRED ? '4' : '5';
}

/* Lines cut one by one, so that a long one does not hide those after it. */
static char *
text_of_reply(const struct reply *r, size_t most)
{
	size_t room = r->text_len < most ? r->text_len : most, used = 0, len;
	char *text = alloc_raw(room + 1);
	const char *line;

	for (int i = 0; reply_line(r, i, &line, &len) && used < room; i++) {
		if (i > 0)
			text[used++] = '\n';
		if (len > VERDICT_LINE_MAX)
			len = VERDICT_LINE_MAX;
		if (len > room - used)
			len = room - used;
		memcpy(text + used, line, len);
		used += len;
	}
	text[used] = '\0';
	return text;
}

struct verdict *
verdict_from_reply(enum job_outcome outcome, bool host_trouble, const char *host, const struct reply *r, size_t most)
{
	struct verdict *v = verdict_alloc(outcome, host_trouble, host, (uint16_t)r->code);

	snprintf(v->enhanced, sizeof(v->enhanced), "%s", r->enhanced[0] != '\0' ? r->enhanced : "0.0.0");
	v->enhanced[0] = outcome_class(outcome);
	v->text = text_of_reply(r, most < VERDICT_TEXT_MAX ? most : VERDICT_TEXT_MAX);
	return v;
}

struct verdict *
verdict_new(enum job_outcome outcome, bool host_trouble, const char *host, uint16_t code, const char *enhanced,
    const char *fmt, ...)
{
	struct verdict *v = verdict_alloc(outcome, host_trouble, host, code);
	va_list ap;

	snprintf(v->enhanced, sizeof(v->enhanced), "%s", enhanced);
	va_start(ap, fmt);
	v->text = alloc_vprintf(fmt, ap);
	va_end(ap);
	return v;
}

static const struct {
	enum job_outcome outcome;
	uint16_t	 code;
	const char	*enhanced;
} mx_verdicts[] = {
	[MX_NO_DOMAIN] = { JOB_FAILED, 0, "5.1.2" },
	[MX_NO_HOST] = { JOB_FAILED, 0, "5.4.4" },
	[MX_NULL] = { JOB_FAILED, 556, "5.1.10" },
	[MX_LOOP] = { JOB_FAILED, 0, "5.4.6" },
	[MX_REFUSED] = { JOB_FAILED, 0, "5.4.4" },
	[MX_TEMPORARY] = { JOB_DEFERRED, 0, "4.4.3" },
};

struct verdict *
verdict_from_mx(enum mx_result result, const char *why)
{
	if ((unsigned)result >= sizeof(mx_verdicts) / sizeof(mx_verdicts[0]) || mx_verdicts[result].enhanced == NULL)
		result = MX_TEMPORARY;
	return verdict_new(mx_verdicts[result].outcome, result == MX_TEMPORARY, "", mx_verdicts[result].code,
	    mx_verdicts[result].enhanced, "%s", why);
}

struct verdict *
verdict_from_relay(enum mx_result result, const char *why)
{
	return verdict_new(JOB_DEFERRED, true, "", 0, result == MX_LOOP ? "4.4.6" : "4.4.3", "%s%s", why,
	    result == MX_TEMPORARY ? "" : "; the configuration names it as a relay");
}

struct verdict *
verdict_ref(struct verdict *v)
{
	v->refs++;
	return v;
}

void
verdict_drop(struct verdict *v)
{
	if (v == NULL || --v->refs > 0)
		return;
	free(v->text);
	free(v);
}
