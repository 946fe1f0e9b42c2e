/*
 * Lets strangers wait: for the second line of the greeting, and for replies once they are gathered. Decides when, not how long
 * (filters/greet.c), and sees to it that not too many wait at a time, for each holds a place. Called by stream.c and
 * commands.c; there is one timer, the session's.
 */
#include "smtpd/pace.h"

#include "filters/greet.h"
#include "lib/log.h"
#include "smtpd/guard.h"
#include "smtpd/pretend.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"

#define DELAYED_SHARE	2		/* of all places for clients one in so many may wait */

/* ---- who is it ---- */

static struct greet_client
client_of(const struct session *s)
{
	const struct guard *g = s->guard;

	return (struct greet_client){ .vouched = facts_is_vouched_for(&g->facts),
	    .passed = (g->facts.known & FACT_STANDING) != 0 && g->facts.standing.passed, .waited = g->waited, .content = g->content,
	    .errors = g->hard + g->soft, .junk = s->junk, .hard = g->hard, .soft = g->soft, .stress = s->srv->stress,
	    .budget_ms = s->srv->process.conf->delay_most_ms, .spent_ms = g->spent_ms };
}

/* As configured; off for whom a list exempts. */
static const struct filter_config *
config_of(const struct session *s, const char *name)
{
	static const struct filter_config off = { .mode = FILTER_OFF };

	return chain_is_exempt(s->guard->chain, name) ? &off : filters_config(s->guard->filters, name);
}

static bool
too_many_wait(const struct session *s)
{
	const struct conf *conf = s->srv->process.conf;

	return s->srv->n_delayed >= conf->connections / conf->workers / DELAYED_SHARE;
}

/* ---- waiting ---- */

/* Of a session that is only tried out delays are told, and count as if they had been. */
static bool
only_tells(const struct session *s)
{
	return s->pretend != NULL && !s->pretend->waits;
}

static void
tell_delay(struct session *s, const char *what, int64_t ms)
{
	if (ms == 0)
		return;
	pretend_say(s, "a stranger waits %lld.%lld s for %s", (long long)(ms / 1000), (long long)(ms % 1000 / 100), what);
	s->guard->spent_ms += ms;
}

static void
wait_for(struct session *s, enum session_wait what, int64_t ms)
{
	struct guard *g = s->guard;

	g->delayed = true;
	g->since_ms = clock_ms();
	s->srv->n_delayed++;
	session_suspend(s, what, ms);
}

void
pace_leave(struct session *s)
{
	struct guard *g = s->guard;

	if (g == NULL || !g->delayed)
		return;
	g->delayed = false;
	g->spent_ms += clock_ms() - g->since_ms;
	s->srv->total_delayed_ms += (uint64_t)(clock_ms() - g->since_ms);
	s->srv->n_delayed--;
}

/* ---- the greeting ---- */

static int64_t
banner_ms(const struct session *s)
{
	const struct greet_client c = client_of(s);

	return greet_banner_ms(config_of(s, "early"), &c);
}

static void
greet(struct session *s)
{
	session_reply(s, 220, NULL, "%s ESMTP minimta", s->srv->process.conf->hostname);
}

/* Who speaks before the greeting does not speak SMTP (RFC 5321, 4.3.1); where nobody waits there is only this to see it by. */
static void
greet_at_once(struct session *s)
{
	if (!s->local && s->pretend == NULL && stream_sent_ahead(s))
		session_end(s, "early-talker", 554, "5.5.0", "An SMTP client waits for the greeting");
	else
		greet(s);
}

void
pace_greet(struct session *s)
{
	int64_t ms = s->guard != NULL ? banner_ms(s) : 0;

	if (s->pretend != NULL)
		pretend_begin(s);
	if (ms == 0 || too_many_wait(s)) {
		greet_at_once(s);
		return;
	}
	if (only_tells(s)) {			/* as soon as memory has said whether it would wait */
		wait_for(s, WAIT_GREETING, PRETEND_LOOK_MS);
		return;
	}
	stream_announce(s, 220, s->srv->process.conf->hostname);
	wait_for(s, WAIT_GREETING, ms);
	if (stream_sent_ahead(s))
		pace_spoke_early(s);
}

void
pace_spoke_early(struct session *s)
{
	const struct filter_config *early = config_of(s, "early");
	struct facts *facts = &s->guard->facts;

	if (facts->early || early->mode == FILTER_OFF || only_tells(s))
		return;
	facts->early = true;
	s->srv->total_early++;
	log_info("session=%s event=early-talker client=%s after_ms=%lld", s->id_word, logq(s->client),
	    (long long)(clock_ms() - s->guard->since_ms));
	if (early->mode != FILTER_ENFORCE || ((const struct greet_early *)early->options)->action != GREET_DROP)
		return;
	guard_note(s, MEMORY_BAD);
	session_end(s, "early-talker", 554, "5.5.0", "An SMTP client waits for the greeting");
}

/* It need not have waited, so that speaking early is not held against it. */
void
pace_look_again(struct session *s)
{
	if (banner_ms(s) > 0)
		return;
	s->guard->facts.early = false;
	pace_leave(s);
	session_resume(s);
	greet(s);
}

static void
greeting_over(struct session *s)
{
	struct guard *g = s->guard;

	if (stream_sent_ahead(s))
		pace_spoke_early(s);
	if (s->closing)
		return;
	session_resume(s);
	if (only_tells(s))
		tell_delay(s, "the greeting", banner_ms(s));
	if (!g->facts.early) {
		g->waited = true;
		guard_note(s, MEMORY_GREETED);
	}
	greet(s);
	g->paid = true;			/* it has waited enough for this one */
}

/* ---- replies ---- */

void
pace_replied(struct session *s, int code)
{
	struct guard *g = s->guard;

	if (g == NULL)
		return;
	if (s->out_len == 0 || g->paid)
		g->worst = 0;
	g->paid = false;
	g->worst = code > g->worst ? code : g->worst;
	g->hard += code >= 500;
	g->soft += code >= 400 && code < 500;
}

static bool
in_content(const struct session *s)
{
	return s->input != INPUT_COMMANDS || s->state == SESSION_CHUNKS || s->wait == WAIT_ROOM || s->wait == WAIT_DONE ||
	    s->wait == WAIT_CREDIT;
}

static int64_t
reply_ms(struct session *s)
{
	const struct greet_client c = client_of(s);
	int64_t would, ms;

	ms = greet_reply_ms(config_of(s, "throttle"), config_of(s, "penalty"), &c, s->guard->worst, &would);
	s->guard->would_ms += would;
	return too_many_wait(s) ? 0 : ms;
}

void
pace_told(struct session *s)
{
	if (s->guard != NULL && only_tells(s) && s->commands > 0 && !s->closing && !in_content(s))
		tell_delay(s, "that reply", reply_ms(s));
}

bool
pace_holds(struct session *s)
{
	struct guard *g = s->guard;
	int64_t ms;

	if (g == NULL || s->closing || s->out_len == 0 || s->wait == WAIT_GREETING || g->paid || only_tells(s) ||
	    in_content(s))
		return false;
	if (s->wait != WAIT_NONE)	/* it goes with what comes of that; or it is what is waited for */
		return true;
	if ((ms = reply_ms(s)) == 0) {
		g->paid = true;
		return false;
	}
	wait_for(s, WAIT_PACE, ms);
	return true;
}

void
pace_over(struct session *s)
{
	bool greeting = s->wait == WAIT_GREETING;

	pace_leave(s);
	if (greeting) {
		greeting_over(s);
		return;
	}
	s->guard->paid = true;
	session_resume(s);
}

/* ---- speaking ahead ---- */

bool
pace_may_pipeline(const struct session *s)
{
	const struct greet_client c = s->guard != NULL ? client_of(s) : (struct greet_client){ .trusted = true };

	return s->guard == NULL || !greet_keeps_order(config_of(s, "pipelining"), &c);
}

bool
pace_tolerates_ahead(struct session *s)
{
	if (config_of(s, "pipelining")->mode == FILTER_ENFORCE)
		return false;
	s->guard->facts.pipelined = true;
	return true;
}
