/*
 * Decides what a reply means where it comes, and what EHLO's reply offers. Does not decide what becomes of the session
 * (client.c) and makes no records of it (client_verdict.c). Called by client.c; pure, for tests and fuzzing.
 */
#include "delivery/client_reply.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "delivery/login.h"
#include "lib/reply.h"

static const char *const step_names[STEP_COUNT] = {
	[STEP_CONNECT] = "connect",
	[STEP_GREETING] = "greeting",
	[STEP_EHLO] = "EHLO",
	[STEP_HELO] = "HELO",
	[STEP_AUTH] = "AUTH",
	[STEP_RSET] = "RSET",
	[STEP_MAIL] = "MAIL",
	[STEP_RCPT] = "RCPT",
	[STEP_DATA] = "DATA",
	[STEP_CONTENT] = "content",
	[STEP_IDLE] = "idle",
};

const char *
client_step_name(enum client_step step)
{
	return (unsigned)step < STEP_COUNT ? step_names[step] : "?";
}

/*
 * RFC 5321, 4.5.3.1.10: "too many recipients" is 452, and a 552 is to be read as one. It is that when others were accepted
 * and its enhanced code does not say that it is about this mailbox.
 */
static bool
reply_is_too_many(const struct reply *r, unsigned accepted)
{
	return (r->code == 452 || r->code == 552) && accepted > 0 &&
	    (r->enhanced[0] == '\0' || strcmp(r->enhanced + 1, ".5.3") == 0);
}

static bool
text_has(const struct reply *r, const char *words)
{
	return r->text != NULL && strcasestr(r->text, words) != NULL;
}

/* RFC 7372 has X.7.25 for it; others say X.7.1 or nothing, and explain it. */
bool
client_reply_dislikes_ipv6(const struct reply *r)
{
	if (r->code < 400)
		return false;
	if (r->enhanced[0] != '\0' && strcmp(r->enhanced + 1, ".7.25") == 0)
		return true;
	return (r->enhanced[0] == '\0' || strncmp(r->enhanced + 1, ".7.", 3) == 0) &&
	    (text_has(r, "ipv6") || text_has(r, "ptr record") || text_has(r, "reverse dns"));
}

static enum client_meaning
means_for_session(enum client_step step, const struct reply *r)
{
	bool good = step == STEP_GREETING ? r->code == 220 : r->code / 100 == 2;

	if (good || (step == STEP_AUTH && r->code == 334))
		return REPLY_GOOD;
	if (r->code / 100 < 4)
		return REPLY_SENSELESS;
	return step == STEP_EHLO && r->code / 100 == 5 ? REPLY_TRY_HELO : REPLY_ENDS_SESSION;
}

enum client_meaning
client_reply_means(enum client_step step, const struct reply *r, unsigned accepted)
{
	int class = r->code / 100;

	if (step < STEP_MAIL)
		return means_for_session(step, r);
	if (step >= STEP_IDLE)
		return REPLY_SENSELESS;
	/* After the content it is known that all was heard: 421 is then an answer like other 4xx. */
	if (r->code == 421 && step != STEP_CONTENT)
		return REPLY_ENDS_SESSION;
	if (step == STEP_RCPT && reply_is_too_many(r, accepted))
		return REPLY_PUTS_OFF_ONE;
	if (class == 4)
		return step == STEP_RCPT ? REPLY_DEFERS_ONE : REPLY_DEFERS_ALL;
	if (class == 5)
		return step == STEP_RCPT ? REPLY_FAILS_ONE : REPLY_FAILS_ALL;
	if (step == STEP_DATA)
		return r->code == 354 ? REPLY_GOOD : REPLY_SENSELESS;
	return class == 2 ? REPLY_GOOD : REPLY_SENSELESS;
}

/* A decimal number up to a space; what is none or does not fit in 64 bits is "no limit said". */
static uint64_t
offered_number(const char *p, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len && p[i] != ' '; i++) {
		if (!isdigit((unsigned char)p[i]) || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(p[i] - '0'), &n))
			return 0;
	}
	return n;
}

static bool
is_word(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(p, word, len) == 0;
}

/* RFC 9422, 3: NAME=VALUE between spaces; what is not known is passed over. */
static void
read_limits(struct client_offers *o, const char *p, size_t len)
{
	struct {
		const char	*name;
		uint32_t	*to;
	} limits[] = { { "MAILMAX=", &o->mail_max }, { "RCPTMAX=", &o->rcpt_max }, { "RCPTDOMAINMAX=", &o->domain_max } };

	while (len > 0) {
		const char *space = memchr(p, ' ', len);
		size_t word = space != NULL ? (size_t)(space - p) : len;

		for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			size_t name = strlen(limits[i].name);
			uint64_t n;

			if (word <= name || strncasecmp(p, limits[i].name, name) != 0)
				continue;
			n = offered_number(p + name, word - name);
			*limits[i].to = n < UINT32_MAX ? (uint32_t)n : 0;
		}
		p += word + (space != NULL);
		len -= word + (space != NULL);
	}
}

void
client_offers_read(struct client_offers *o, const struct reply *r)
{
	const char *p;
	size_t len;

	memset(o, 0, sizeof(*o));
	for (int i = 1; reply_line(r, i, &p, &len); i++) {
		const char *space = memchr(p, ' ', len);
		size_t word = space != NULL ? (size_t)(space - p) : len;

		if (is_word(p, word, "PIPELINING"))
			o->pipelining = true;
		else if (is_word(p, word, "8BITMIME"))
			o->eight_bit = true;
		else if (is_word(p, word, "SMTPUTF8"))
			o->utf8 = true;
		else if (is_word(p, word, "CHUNKING"))
			o->chunking = true;
		else if (is_word(p, word, "DSN"))
			o->dsn = true;
		else if (is_word(p, word, "AUTH") && space != NULL)
			o->login |= login_offered(space + 1, len - word - 1);
		else if (word >= 5 && strncasecmp(p, "AUTH=", 5) == 0)		/* as before the RFC; some still say so */
			o->login |= login_offered(p + 5, len - 5);
		else if (is_word(p, word, "LIMITS") && space != NULL)
			read_limits(o, space + 1, len - word - 1);
		else if (is_word(p, word, "SIZE")) {
			o->size = true;
			o->size_max = space != NULL ? offered_number(space + 1, len - word - 1) : 0;
		}
	}
}
