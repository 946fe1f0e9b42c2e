/*
 * The dialog of a callback as a pure machine (mx/probe_steps.h). Decides what a reply means: a 5xx to RCPT says that the
 * address is bad, all else that nothing is known. Does not connect, wait or keep anything. Called by probe.c.
 */
#include "mx/probe_steps.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/ids.h"
#include "lib/reply.h"

const char *
probe_step_name(enum probe_step step)
{
	static const char *const names[] = { "greeting", "EHLO", "HELO", "MAIL", "RCPT of nobody", "RCPT", "QUIT" };

	return (unsigned)step <= PROBE_OVER ? names[step] : "?";
}

const char *
probe_result_name(enum probe_result result)
{
	static const char *const names[PROBE_RESULTS] = { "unknown", "good", "bad", "all" };

	return (unsigned)result < PROBE_RESULTS ? names[result] : "?";
}

/* One line of it, cut; with the step, for a reply alone does not say to what. */
static void
over(struct probe_steps *s, enum probe_result result, const struct reply *r)
{
	const char *line = "";
	size_t len = 0;

	reply_line(r, 0, &line, &len);
	snprintf(s->text, sizeof(s->text), "%s: %d%s%.*s", probe_step_name(s->step), r->code, len > 0 ? " " : "",
	    len < 400 ? (int)len : 400, line);
	s->result = result;
	s->code = (uint16_t)r->code;
	s->step = PROBE_OVER;
}

static bool
offers_utf8(const struct reply *r)
{
	const char *line;
	size_t len;

	for (int i = 1; reply_line(r, i, &line, &len); i++)
		if (len == 8 && strncasecmp(line, "SMTPUTF8", 8) == 0)
			return true;
	return false;
}

/* The null sender: who is asked in turn about that one has nothing to ask, so two servers never ask each other in circles. */
static int
say_mail(struct probe_steps *s, const struct reply *r, char *to)
{
	if (s->address->utf8 && !offers_utf8(r)) {
		over(s, PROBE_UNKNOWN, r);
		s->code = 0;
		snprintf(s->text, sizeof(s->text), "the address is not ASCII, and the server does not offer SMTPUTF8");
		return 0;
	}
	s->step = PROBE_MAIL;
	return snprintf(to, PROBE_LINE_MAX, "MAIL FROM:<>%s\r\n", s->address->utf8 ? " SMTPUTF8" : "");
}

static int
after_hello(struct probe_steps *s, const struct reply *r, char *to)
{
	if (r->code / 100 == 2)
		return say_mail(s, r, to);
	if (s->step == PROBE_EHLO && r->code / 100 == 5) {
		s->step = PROBE_HELO;
		return snprintf(to, PROBE_LINE_MAX, "HELO %s\r\n", s->hostname);
	}
	over(s, PROBE_UNKNOWN, r);
	s->next_host = true;
	return 0;
}

/* Refused by name, or because of who we are (RFC 3463: X.7.Z is about policy)? The latter says nothing about the address. */
static bool
is_about_us(const struct reply *r)
{
	return r->enhanced[0] != '\0' && strncmp(r->enhanced + 1, ".7.", 3) == 0;
}

static int
after_rcpt(struct probe_steps *s, const struct reply *r)
{
	if (r->code / 100 == 2)
		over(s, PROBE_GOOD, r);
	else if (r->code / 100 == 5 && !is_about_us(r))
		over(s, PROBE_BAD, r);
	else
		over(s, PROBE_UNKNOWN, r);
	return 0;
}

static int
next(struct probe_steps *s, const struct reply *r, char *to)
{
	switch (s->step) {
	case PROBE_GREETING:
		if (r->code == 220) {
			s->step = PROBE_EHLO;
			return snprintf(to, PROBE_LINE_MAX, "EHLO %s\r\n", s->hostname);
		}
		over(s, PROBE_UNKNOWN, r);
		s->next_host = true;
		return 0;
	case PROBE_EHLO:
	case PROBE_HELO:
		return after_hello(s, r, to);
	case PROBE_MAIL:
		if (r->code / 100 != 2) {
			over(s, PROBE_UNKNOWN, r);
			return 0;
		}
		s->step = PROBE_NOBODY;
		return snprintf(to, PROBE_LINE_MAX, "RCPT TO:<%s@%s>\r\n", s->nobody, s->address->domain);
	case PROBE_NOBODY:
		if (r->code / 100 == 2) {
			over(s, PROBE_ALL, r);
			return 0;
		}
		s->step = PROBE_RCPT;
		return snprintf(to, PROBE_LINE_MAX, "RCPT TO:<%s>\r\n", s->address->text);
	case PROBE_RCPT:
		return after_rcpt(s, r);
	case PROBE_OVER:
		break;
	}
	return 0;
}

size_t
probe_steps_answer(struct probe_steps *s, const struct reply *r, char to[PROBE_LINE_MAX])
{
	int len;

	if (r->code == 421 && s->step != PROBE_OVER) {
		s->next_host = s->step < PROBE_MAIL;
		over(s, PROBE_UNKNOWN, r);
		return 0;
	}
	len = next(s, r, to);
	return len > 0 && len < PROBE_LINE_MAX ? (size_t)len : 0;
}

void
probe_steps_init(struct probe_steps *s, const char *hostname, const struct address *address, uint64_t seed)
{
	char word[ID_TEXT];

	memset(s, 0, sizeof(*s));
	s->hostname = hostname;
	s->address = address;
	snprintf(word, sizeof(word), "%s", id_text(seed));
	for (char *p = word; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	snprintf(s->nobody, sizeof(s->nobody), "no-such-user-%s", word);
}
