/*
 * SPF's check_host() (RFC 7208, 4) as a step machine: a stack of records (each include is one more, a redirect takes the place
 * of its record), each read term by term; a term that needs DNS ends run(), and the answer's callback goes on with it. Decides
 * the result only. The limits of 4.6.4 stand in filters/spf_state.h.
 *
 * Addresses of several hosts (mx, ptr) are asked for side by side; what comes of them does not depend on which answer is first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/spf_state.h"
#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "mx/dns_answer.h"

static void	run(struct spf *, bool matched);

const char *
spf_code_name(enum spf_code code)
{
	static const char *const names[] = {
		[SPF_NONE] = "none",
		[SPF_NEUTRAL] = "neutral",
		[SPF_PASS] = "pass",
		[SPF_FAIL] = "fail",
		[SPF_SOFTFAIL] = "softfail",
		[SPF_TEMPERROR] = "temperror",
		[SPF_PERMERROR] = "permerror",
	};

	return (unsigned)code < sizeof(names) / sizeof(names[0]) ? names[code] : "?";
}

struct frame *
spf_top(struct spf *s)
{
	return &s->frames[s->n_frames - 1];
}

/* ---- the end ---- */

void
spf_cancel(struct spf *s)
{
	if (s == NULL)
		return;
	timer_stop(&s->begin);
	timer_stop(&s->deadline);
	dns_cancel(s->question);
	spf_hosts_cancel(&s->mx);
	spf_hosts_cancel(&s->names);
	for (size_t i = 0; i < s->n_frames; i++)
		free(s->frames[i].text);
	free(s->exp_text);
	free(s);
}

static void
finish(struct spf *s)
{
	struct spf_result result = {
		.code = s->code,
		.helo = s->is_helo,
		.domain = s->sender_domain,
		.reason = s->reason,
		.explanation = s->explanation,
		.lookups = s->lookups,
		.voids = s->voids,
	};

	timer_stop(&s->deadline);
	s->done(s->arg, &result);
	spf_cancel(s);
}

static void	fail(struct spf *, enum spf_code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A result without the records' saying so. */
static void
fail(struct spf *s, enum spf_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->reason, sizeof(s->reason), fmt, args);
	va_end(args);
	s->code = code;
	finish(s);
}

static void
on_deadline(void *arg)
{
	struct spf *s = arg;

	if (s->decided)
		finish(s);		/* without the explanation */
	else
		fail(s, SPF_TEMPERROR, "DNS took too long");
}

/* ---- questions ---- */

void
spf_ask(struct spf *s, enum dns_type type, const char *name, dns_done_fn *done)
{
	s->question = dns_ask(s->dns, type, name, QUESTION_MS, done, s);
}

/* True: that ended it. */
static bool
failed_temporarily(struct spf *s, const struct dns_answer *answer)
{
	if (answer->result != DNS_TEMPORARY)
		return false;
	fail(s, SPF_TEMPERROR, "no answer from DNS about %s: %s", logq(s->target), answer->why != NULL ? answer->why : "");
	return true;
}

bool
spf_too_many_voids(struct spf *s, const struct dns_answer *answer)
{
	if (answer->result != DNS_NXDOMAIN && answer->result != DNS_NODATA)
		return false;
	if (++s->voids <= VOIDS_MAX)
		return false;
	fail(s, SPF_PERMERROR, "more than %d lookups found nothing, the last one for %s", VOIDS_MAX, logq(s->target));
	return true;
}

/* ---- records ---- */

/* The one record of an answer; NULL: *n_r says whether there is none or more than one. */
static const struct dns_record *
choose_record(const struct spf *s, const struct dns_answer *answer, size_t *n_r)
{
	bool (*is)(const char *, size_t) = s->pra ? spf_record_is_pra : spf_record_is;
	const struct dns_record *found = NULL;

	*n_r = 0;
	for (size_t i = 0; answer->result == DNS_OK && i < answer->n; i++)
		if (is(answer->records[i].bytes, answer->records[i].len)) {
			found = &answer->records[i];
			++*n_r;
		}
	return *n_r == 1 ? found : NULL;
}

/* Puts it on the stack. False: that ended it. */
static bool
enter(struct spf *s, const struct dns_record *r)
{
	struct spf_slice wrong;
	struct frame *f;

	if (r->len > RECORD_MAX) {
		fail(s, SPF_PERMERROR, "the record of %s has more than %d bytes", logq(s->target), RECORD_MAX);
		return false;
	}
	if (s->fetch == FETCH_REDIRECT)
		free(s->frames[--s->n_frames].text);
	f = &s->frames[s->n_frames++];
	*f = (struct frame){ .text = alloc_raw(r->len + 1) };
	memcpy(f->text, r->bytes, r->len);
	snprintf(f->domain, sizeof(f->domain), "%s", s->target);
	if (spf_record_read(&f->record, f->text, r->len, &wrong) == 0)
		return true;
	fail(s, SPF_PERMERROR, "in the record of %s this is wrong: %s", logq(s->target), logqn(wrong.text, wrong.len));
	return false;
}

static void
on_record(void *arg, const struct dns_answer *answer)
{
	struct spf *s = arg;
	const struct dns_record *r;
	size_t n;

	s->question = NULL;
	if (failed_temporarily(s, answer))
		return;
	r = choose_record(s, answer, &n);
	if (r != NULL) {
		if (enter(s, r))
			run(s, false);
	} else if (n > 1)
		fail(s, SPF_PERMERROR, "%s has more than one record", logq(s->target));
	else if (s->fetch == FETCH_FIRST)
		fail(s, SPF_NONE, "%s has no record", logq(s->target));
	else
		fail(s, SPF_PERMERROR, "%s has no record, and %s of %s leads there", logq(s->target),
		    s->fetch == FETCH_INCLUDE ? "an include" : "the redirect", logq(spf_top(s)->domain));
}

static void
fetch_record(struct spf *s, enum fetch fetch)
{
	s->fetch = fetch;
	spf_ask(s, DNS_TXT, s->target, on_record);
}

/* ---- terms ---- */

static void
on_addresses(void *arg, const struct dns_answer *answer)
{
	struct spf *s = arg;
	const struct spf_term *t = &spf_top(s)->term;

	s->question = NULL;
	if (!failed_temporarily(s, answer) && !spf_too_many_voids(s, answer))
		run(s, spf_answer_has_client(s, answer, t->prefix4, t->prefix6));
}

static void
on_exists(void *arg, const struct dns_answer *answer)
{
	struct spf *s = arg;

	s->question = NULL;
	if (!failed_temporarily(s, answer) && !spf_too_many_voids(s, answer))
		run(s, answer->result == DNS_OK);
}

static void
on_mx_address(void *arg, const struct dns_answer *answer)
{
	struct host *h = arg;
	struct spf *s = h->spf;
	const struct spf_term *t = &spf_top(s)->term;

	h->question = NULL;
	s->mx.pending--;
	s->mx.temporary |= answer->result == DNS_TEMPORARY;
	if (spf_answer_has_client(s, answer, t->prefix4, t->prefix6)) {
		spf_hosts_cancel(&s->mx);
		run(s, true);
	} else if (s->mx.pending == 0 && s->mx.temporary) {
		fail(s, SPF_TEMPERROR, "no answer from DNS about a mail host of %s", logq(s->target));
	} else if (s->mx.pending == 0) {
		run(s, false);
	}
}

static void
on_mx(void *arg, const struct dns_answer *answer)
{
	struct spf *s = arg;

	s->question = NULL;
	if (failed_temporarily(s, answer) || spf_too_many_voids(s, answer))
		return;
	if (answer->result == DNS_OK && answer->n > HOSTS_MAX) {
		fail(s, SPF_PERMERROR, "%s has more than %d mail hosts", logq(s->target), HOSTS_MAX);
		return;
	}
	s->mx.n = 0;
	if (answer->result == DNS_OK)
		spf_hosts_take(&s->mx, answer);
	if (s->mx.n > 0)
		spf_hosts_ask(s, &s->mx, on_mx_address);
	else
		run(s, false);
}

static void
match_names(struct spf *s)
{
	bool matched = false;

	for (size_t i = 0; i < s->names.n; i++)
		matched |= s->names.list[i].is_client && spf_is_below(s->names.list[i].name, s->target, true);
	run(s, matched);
}

/* What its macros need is known. */
static void
term_ask(struct spf *s)
{
	struct frame *f = spf_top(s);

	if (f->term.domain.text != NULL)
		spf_macros_domain(s->target, f->term.domain, spf_macros_of(s));
	else
		snprintf(s->target, sizeof(s->target), "%s", f->domain);
	switch (f->term.kind) {
	case SPF_INCLUDE:
		fetch_record(s, FETCH_INCLUDE);
		break;
	case SPF_A:
		spf_ask(s, spf_address_type(s), s->target, on_addresses);
		break;
	case SPF_MX:
		spf_ask(s, DNS_MX, s->target, on_mx);
		break;
	case SPF_PTR:
		spf_with_names(s, match_names);
		break;
	default:
		spf_ask(s, DNS_A, s->target, on_exists);
	}
}

/* False: one too many, and that ended it. */
static bool
count_lookup(struct spf *s)
{
	if (s->lookups < LOOKUPS_MAX) {
		s->lookups++;
		return true;
	}
	fail(s, SPF_PERMERROR, "more than %d terms need lookups", LOOKUPS_MAX);
	return false;
}

static void
redirect_ask(struct spf *s)
{
	spf_macros_domain(s->target, spf_top(s)->record.redirect, spf_macros_of(s));
	fetch_record(s, FETCH_REDIRECT);
}

static void
with_macros(struct spf *s, struct spf_slice domain, void (*after)(struct spf *))
{
	if (spf_macros_need_name(domain))
		spf_with_names(s, after);
	else
		after(s);
}

/* ---- the explanation of a fail (RFC 7208, 6.2): whatever is wrong with it, there is none ---- */

static void
explain(struct spf *s)
{
	if (spf_macros_explanation(s->explanation, s->exp_text, strlen(s->exp_text), spf_macros_of(s)) != 0)
		s->explanation[0] = '\0';
	finish(s);
}

static void
on_explanation(void *arg, const struct dns_answer *answer)
{
	struct spf *s = arg;
	const struct dns_record *r = answer->records;

	s->question = NULL;
	if (answer->result != DNS_OK || answer->n != 1 || r->len > RECORD_MAX || memchr(r->bytes, '\0', r->len) != NULL) {
		finish(s);
		return;
	}
	s->exp_text = alloc_text_len(r->bytes, r->len);
	with_macros(s, (struct spf_slice){ s->exp_text, r->len }, explain);
}

static void
explanation_ask(struct spf *s)
{
	spf_macros_domain(s->target, spf_top(s)->record.exp, spf_macros_of(s));
	spf_ask(s, DNS_TXT, s->target, on_explanation);
}

/* The first record has its result. */
static void
decide(struct spf *s, enum spf_code code)
{
	s->code = code;
	s->decided = true;
	if (code == SPF_FAIL && spf_top(s)->record.exp.text != NULL)
		with_macros(s, spf_top(s)->record.exp, explanation_ask);
	else
		finish(s);
}

/* ---- the machine ---- */

static enum spf_code
code_of(char qualifier)
{
	switch (qualifier) {
	case '-':
		return SPF_FAIL;
	case '~':
		return SPF_SOFTFAIL;
	case '?':
		return SPF_NEUTRAL;
	default:
		return SPF_PASS;
	}
}

/* A record has come to a result: an include matches if that is pass (5.2). True: the record that included it goes on. */
static bool
leave(struct spf *s, enum spf_code code)
{
	while (s->n_frames > 1) {
		free(spf_top(s)->text);
		s->n_frames--;
		if (code != SPF_PASS)
			return true;
		code = code_of(spf_top(s)->term.qualifier);
	}
	decide(s, code);
	return false;
}

static void
note_match(struct spf *s)
{
	const struct frame *f = spf_top(s);

	snprintf(s->reason, sizeof(s->reason), "%.*s of %s", (int)(f->term.text.len < 200 ? f->term.text.len : 200),
	    f->term.text.text, logq(f->domain));
}

static void
note_end(struct spf *s)
{
	snprintf(s->reason, sizeof(s->reason), "nothing in the record of %s matches", logq(spf_top(s)->domain));
}

/* True: the term needs no DNS, and *matched_r says what came of it. */
static bool
term_decided(const struct spf *s, const struct spf_term *t, bool *matched_r)
{
	switch (t->kind) {
	case SPF_ALL:
		*matched_r = true;
		return true;
	case SPF_IP4:
		*matched_r = s->macros.family == AF_INET && spf_same_network(t->address, s->macros.address, t->prefix4);
		return true;
	case SPF_IP6:
		*matched_r = s->macros.family == AF_INET6 && spf_same_network(t->address, s->macros.address, t->prefix6);
		return true;
	default:
		return false;
	}
}

/* From the term at hand, which matched or not, to the next one that needs DNS or to the end. s may be gone after it. */
static void
run(struct spf *s, bool matched)
{
	struct frame *f;

	for (;;) {
		if (matched) {
			note_match(s);
			if (!leave(s, code_of(spf_top(s)->term.qualifier)))
				return;
		}
		matched = false;
		f = spf_top(s);
		if (spf_record_next(&f->record, &f->at, &f->term)) {
			if (term_decided(s, &f->term, &matched))
				continue;
			if (count_lookup(s))
				with_macros(s, f->term.domain, term_ask);
			return;
		}
		if (f->record.redirect.text != NULL) {
			if (count_lookup(s))
				with_macros(s, f->record.redirect, redirect_ask);
			return;
		}
		note_end(s);
		if (!leave(s, SPF_NEUTRAL))
			return;
	}
}

/* ---- the beginning ---- */

static void
begin(void *arg)
{
	struct spf *s = arg;

	if (s->malformed) {
		fail(s, SPF_NONE, "%s is no domain that could have a record",
		    logq(s->sender_domain[0] != '\0' ? s->sender_domain : s->helo));
		return;
	}
	snprintf(s->target, sizeof(s->target), "%s", s->sender_domain);
	fetch_record(s, FETCH_FIRST);
}

static void
take_client(struct spf_macros *x, const struct sockaddr *client)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)client;

	x->family = client->sa_family;
	if (client->sa_family == AF_INET) {
		memcpy(x->address, &((const struct sockaddr_in *)client)->sin_addr, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		x->family = AF_INET;
		memcpy(x->address, six->sin6_addr.s6_addr + 12, 4);
	} else {
		memcpy(x->address, &six->sin6_addr, 16);
	}
}

/* The identity's domain: several labels, no literal; what is not ASCII as A-labels. 0 or -1. */
static int
take_domain(char to[SPF_NAME_MAX + 1], const char *domain)
{
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	size_t len;

	for (const char *p = domain; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80) {
			if (address_domain(ascii, domain, ADDRESS_UTF8) != 0)
				return -1;
			domain = ascii;
			break;
		}
	len = strlen(domain);
	if (len > 0 && domain[len - 1] == '.')
		len--;
	if (len == 0 || len > SPF_NAME_MAX)
		return -1;
	memcpy(to, domain, len);
	to[len] = '\0';
	return to[0] != '[' && strchr(to, '.') != NULL && dns_name_askable(to) ? 0 : -1;
}

/* RFC 7208, 2.4 and 4.3: the null sender is postmaster at HELO, and so is a sender without a local part at its domain. */
static void
take_sender(struct spf *s, const char *sender)
{
	const char *at = strrchr(sender, '@'), *domain = at != NULL ? at + 1 : sender;
	size_t len = at != NULL ? (size_t)(at - sender) : 0;

	s->is_helo = sender[0] == '\0';
	s->malformed = len > SPF_SENDER_MAX || take_domain(s->sender_domain, s->is_helo ? s->helo : domain) != 0;
	if (len > 0 && len <= SPF_SENDER_MAX)
		snprintf(s->local, sizeof(s->local), "%.*s", (int)len, sender);
	else
		snprintf(s->local, sizeof(s->local), "postmaster");
}

struct spf *
spf_start(struct dns *dns, const struct spf_facts *facts, spf_done_fn *done, void *arg)
{
	struct spf *s = alloc_new(1, sizeof(*s));

	s->dns = dns;
	s->done = done;
	s->arg = arg;
	s->pra = facts->pra;
	snprintf(s->helo, sizeof(s->helo), "%s", facts->helo != NULL ? facts->helo : "");
	snprintf(s->receiver, sizeof(s->receiver), "%s", facts->receiver != NULL ? facts->receiver : "unknown");
	take_sender(s, facts->sender != NULL ? facts->sender : "");
	take_client(&s->macros, facts->client);
	s->macros.local = s->local;
	s->macros.sender_domain = s->sender_domain;
	s->macros.domain = s->sender_domain;
	s->macros.helo = s->helo;
	s->macros.validated = "unknown";
	s->macros.receiver = s->receiver;
	s->macros.now = facts->now;
	timer_set(&s->begin, begin, s);
	timer_set(&s->deadline, on_deadline, s);
	timer_start(&s->begin, 0);
	timer_start(&s->deadline, facts->deadline_ms != 0 ? facts->deadline_ms : SPF_DEADLINE_MS);
	return s;
}
