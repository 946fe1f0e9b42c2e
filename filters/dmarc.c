/*
 * DMARC evaluated (filters/dmarc.h). Everything learnt from DNS is kept per name; step() works out the verdict from what
 * is known, asks for what is not, side by side, and is called again when all of it is there. So the verdict depends on
 * the answers only, never on their order, and no name is asked twice.
 */
#include "filters/dmarc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"

#define NAMES_MAX	48		/* of all walks together: the author's 8, and what identifiers add below it */

enum name_state {
	NAME_ASKED,			/* no answer yet */
	NAME_EMPTY,			/* no record, or several */
	NAME_ABSENT,			/* likewise, and there is no such name at all */
	NAME_RECORD,
	NAME_FAILED,			/* DNS did not answer */
};

struct name {
	struct dmarc_lookup	*lookup;
	struct dns_question	*question;
	enum name_state		 state;
	struct dmarc_record	 record;
	char			 domain[DNS_NAME_MAX + 1];	/* without _dmarc */
};

struct identifier {
	enum dmarc_method	 method;
	bool			 pass;
	char			 domain[ADDRESS_DOMAIN_MAX + 1];
	int			 place;		/* in the caller's list */
};

enum existence { EXISTENCE_NOT_ASKED, EXISTENCE_ASKED, EXISTS, EXISTS_NOT, EXISTENCE_FAILED };

struct dmarc_lookup {
	struct dns		*dns;
	struct timer		 timer;		/* for a verdict without a question */
	dmarc_done_fn		*done;
	void			*arg;
	int64_t			 until_ms;
	struct identifier	 ids[DMARC_IDENTIFIERS_MAX];
	size_t			 n_ids;
	struct name		 names[NAMES_MAX];
	size_t			 n_names, n_waiting;
	struct dns_question	*exists_question;
	enum existence		 existence;	/* of the author domain, asked where np matters */
	struct dmarc_verdict	 verdict;
};

/* What a tree walk led to. */
enum walk_result {
	WALK_DONE,
	WALK_WAITS,
	WALK_FAILED,			/* a name that could change the result was not answered */
};

struct walk {
	enum walk_result	 result;
	char			 organization[DNS_NAME_MAX + 1];
	const struct name	*suffix;	/* the record of psd=y that ended it, NULL: none */
};

static void	step(struct dmarc_lookup *);

/* -- the end -- */

static void
lookup_free(struct dmarc_lookup *l)
{
	timer_stop(&l->timer);
	dns_cancel(l->exists_question);
	for (size_t i = 0; i < l->n_names; i++)
		dns_cancel(l->names[i].question);
	free(l);
}

void
dmarc_cancel(struct dmarc_lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}

static void
lookup_done(void *arg)
{
	struct dmarc_lookup *l = arg;

	l->done(l->arg, &l->verdict);
	lookup_free(l);
}

static void __attribute__((format(printf, 3, 4)))
conclude(struct dmarc_lookup *l, enum dmarc_result result, const char *fmt, ...)
{
	va_list ap;

	l->verdict.result = result;
	va_start(ap, fmt);
	vsnprintf(l->verdict.why, sizeof(l->verdict.why), fmt, ap);
	va_end(ap);
	lookup_done(l);
}

/* -- questions -- */

static uint32_t
time_left(const struct dmarc_lookup *l)
{
	int64_t left = l->until_ms - clock_ms();

	return left > 0 ? (uint32_t)left : 1;
}

/* RFC 9989, 4.10, 2 and 6: what is no record is thrown away, and if two are left, both. */
static void
read_answer(struct name *n, const struct dns_answer *answer)
{
	struct dmarc_record record;
	unsigned found = 0;

	n->state = answer->result == DNS_TEMPORARY ? NAME_FAILED : answer->result == DNS_NXDOMAIN ? NAME_ABSENT : NAME_EMPTY;
	if (answer->result != DNS_OK)
		return;
	for (size_t i = 0; i < answer->n; i++)
		if (dmarc_record_parse(&record, answer->records[i].bytes, answer->records[i].len) == 0) {
			n->record = record;
			found++;
		}
	if (found == 1)
		n->state = NAME_RECORD;
}

static void
on_record(void *arg, const struct dns_answer *answer)
{
	struct name *n = arg;

	n->question = NULL;
	read_answer(n, answer);
	if (--n->lookup->n_waiting == 0)
		step(n->lookup);
}

/* What is known of the name; asked when nothing is. NULL when there is no room for another one. */
static struct name *
name_get(struct dmarc_lookup *l, const char *domain)
{
	char question[DNS_NAME_MAX + sizeof("_dmarc.")];
	struct name *n;

	for (size_t i = 0; i < l->n_names; i++)
		if (strcmp(l->names[i].domain, domain) == 0)
			return &l->names[i];
	if (l->n_names == NAMES_MAX)
		return NULL;
	n = &l->names[l->n_names++];
	n->lookup = l;
	snprintf(n->domain, sizeof(n->domain), "%s", domain);
	snprintf(question, sizeof(question), "_dmarc.%s", domain);
	n->state = NAME_ASKED;
	l->n_waiting++;
	l->verdict.questions++;
	n->question = dns_ask(l->dns, DNS_TXT, question, time_left(l), on_record, n);
	return n;
}

static void
on_existence(void *arg, const struct dns_answer *answer)
{
	struct dmarc_lookup *l = arg;

	l->exists_question = NULL;
	l->existence = answer->result == DNS_TEMPORARY ? EXISTENCE_FAILED :
	    answer->result == DNS_NXDOMAIN ? EXISTS_NOT : EXISTS;
	if (--l->n_waiting == 0)
		step(l);
}

/* RFC 9989, 3.2.13: a domain exists unless DNS says NXDOMAIN. Where _dmarc below it exists, so does the domain. */
static enum existence
author_existence(struct dmarc_lookup *l, const struct name *author)
{
	if (author->state != NAME_ABSENT)
		return EXISTS;
	if (l->existence == EXISTENCE_NOT_ASKED) {
		l->existence = EXISTENCE_ASKED;
		l->n_waiting++;
		l->verdict.questions++;
		l->exists_question = dns_ask(l->dns, DNS_A, author->domain, time_left(l), on_existence, l);
	}
	return l->existence;
}

/* -- the tree walk, RFC 9989, 4.10 -- */

static size_t
count_labels(const char *domain)
{
	size_t n = 1;

	for (; *domain != '\0'; domain++)
		n += *domain == '.';
	return n;
}

/* The part of `domain` that has n labels. */
static const char *
last_labels(const char *domain, size_t n)
{
	for (size_t have = count_labels(domain); have > n; have--)
		domain = strchr(domain, '.') + 1;
	return domain;
}

/* The name to ask after one of x labels; NULL after the last. */
static const char *
walk_next(const char *domain, size_t x)
{
	if (x == 1)
		return NULL;
	return last_labels(domain, x >= DMARC_WALK_MAX ? DMARC_WALK_MAX - 1 : x - 1);
}

/* 4.10.2: the domain one label below a public suffix, of the name where the walk began. */
static void
set_below(struct walk *w, const char *start, const struct name *suffix)
{
	w->suffix = suffix;
	snprintf(w->organization, sizeof(w->organization), "%s", last_labels(start, count_labels(suffix->domain) + 1));
}

/* All names are asked at once; their answers are then looked at from the longest to the shortest. */
static struct walk
walk(struct dmarc_lookup *l, const char *start)
{
	struct walk w = { .result = WALK_DONE };
	const struct name *path[DMARC_WALK_MAX];
	size_t n = 0;

	for (const char *at = start; at != NULL && n < DMARC_WALK_MAX; at = walk_next(at, count_labels(at)))
		path[n++] = name_get(l, at);
	snprintf(w.organization, sizeof(w.organization), "%s", start != NULL ? start : "");
	for (size_t i = 0; i < n; i++) {
		if (path[i] == NULL || path[i]->state == NAME_ASKED || path[i]->state == NAME_FAILED) {
			w.result = path[i] != NULL && path[i]->state == NAME_ASKED ? WALK_WAITS : WALK_FAILED;
			return w;
		}
		if (path[i]->state != NAME_RECORD)
			continue;
		if (path[i]->record.psd == DMARC_PSD_YES && i > 0) {
			set_below(&w, start, path[i]);
			return w;
		}
		snprintf(w.organization, sizeof(w.organization), "%s", path[i]->domain);
		if (path[i]->record.psd != DMARC_PSD_UNKNOWN)
			return w;
	}
	return w;
}

/* -- alignment, RFC 9989, 4.10.2 -- */

static bool
is_under(const char *domain, const char *parent)
{
	size_t len = strlen(domain), tail = strlen(parent);

	return len >= tail && strcmp(domain + len - tail, parent) == 0 && (len == tail || domain[len - tail - 1] == '.');
}

enum alignment { ALIGNED, ALIGNED_NOT, ALIGNMENT_WAITS, ALIGNMENT_UNKNOWN };

/* No question is asked for an identifier that cannot be of the author's organization. */
static enum alignment
align(struct dmarc_lookup *l, const struct identifier *id, const struct dmarc_record *policy, const struct walk *author)
{
	bool strict = id->method == DMARC_SPF ? policy->strict_spf : policy->strict_dkim;
	struct walk own;

	if (strcmp(id->domain, l->verdict.domain) == 0)
		return ALIGNED;
	if (strict)
		return ALIGNED_NOT;
	if (author->result == WALK_FAILED)
		return is_under(id->domain, last_labels(l->verdict.domain, 1)) ? ALIGNMENT_UNKNOWN : ALIGNED_NOT;
	if (!is_under(id->domain, author->organization))
		return ALIGNED_NOT;
	own = walk(l, id->domain);
	if (own.result != WALK_DONE)
		return own.result == WALK_WAITS ? ALIGNMENT_WAITS : ALIGNMENT_UNKNOWN;
	return strcmp(own.organization, author->organization) == 0 ? ALIGNED : ALIGNED_NOT;
}

/* The best of all identifiers: a pass counts before what may have been one. */
static enum alignment
align_all(struct dmarc_lookup *l, const struct dmarc_record *policy, const struct walk *author)
{
	enum alignment best = ALIGNED_NOT, a;
	bool waits = false;

	l->verdict.aligned = -1;
	for (size_t i = 0; i < l->n_ids; i++) {
		a = align(l, &l->ids[i], policy, author);
		if (a == ALIGNMENT_WAITS)
			waits = true;
		else if (a == ALIGNED && l->ids[i].pass && best != ALIGNED) {
			best = ALIGNED;
			l->verdict.aligned = l->ids[i].place;
		} else if (a != ALIGNED_NOT && best != ALIGNED)
			best = ALIGNMENT_UNKNOWN;
	}
	return waits ? ALIGNMENT_WAITS : best;
}

/* -- the policy, RFC 9989, 4.10.1 -- */

/* Whose record it is: the author's own, the organization's, the public suffix'. NULL: there is none. */
static const struct name *
policy_name(struct dmarc_lookup *l, const struct name *author, const struct walk *w)
{
	const struct name *organization;

	if (author->state == NAME_RECORD)
		return author;
	organization = name_get(l, w->organization);
	return organization != NULL && organization->state == NAME_RECORD ? organization : w->suffix;
}

static void
set_policy(struct dmarc_verdict *v, const struct dmarc_record *r, const char *tag, enum dmarc_policy policy)
{
	v->tag = tag;
	v->published = policy;
	v->test = r->test;
	v->policy = r->test ? dmarc_policy_lower(policy) : policy;
}

static enum existence
choose_policy(struct dmarc_lookup *l, const struct name *author, const struct name *from, const struct dmarc_record *r)
{
	enum existence existence = EXISTS;

	snprintf(l->verdict.policy_domain, sizeof(l->verdict.policy_domain), "%s", from->domain);
	if (r->has_np && from != author)
		existence = author_existence(l, author);
	if (existence == EXISTS_NOT)
		set_policy(&l->verdict, r, "np", r->np);
	else if (r->has_sp && from != author)
		set_policy(&l->verdict, r, "sp", r->sp);
	else
		set_policy(&l->verdict, r, "p", r->p);
	return existence;
}

static void
conclude_pass(struct dmarc_lookup *l)
{
	for (size_t i = 0; i < l->n_ids; i++)
		if (l->ids[i].place == l->verdict.aligned) {
			conclude(l, DMARC_PASS, "%s passed for %s, which is aligned with %s",
			    l->ids[i].method == DMARC_SPF ? "SPF" : "DKIM", l->ids[i].domain, l->verdict.domain);
			return;
		}
}

/* With a policy at hand: is the message the author domain's? */
static void
judge(struct dmarc_lookup *l, const struct name *author, const struct name *from, const struct walk *w)
{
	struct dmarc_record record = from->record;
	enum existence existence;
	enum alignment alignment;

	if (!dmarc_record_applies(&record)) {
		conclude(l, DMARC_NONE, "the record of %s has no valid policy and asks for no reports", from->domain);
		return;
	}
	existence = choose_policy(l, author, from, &record);
	alignment = align_all(l, &record, w);
	if (existence == EXISTENCE_ASKED || alignment == ALIGNMENT_WAITS)
		return;
	if (w->result == WALK_DONE)
		snprintf(l->verdict.organization, sizeof(l->verdict.organization), "%s", w->organization);
	if (alignment == ALIGNED)
		conclude_pass(l);
	else if (alignment == ALIGNMENT_UNKNOWN)
		conclude(l, DMARC_TEMPERROR, "whether SPF or DKIM passed for %s cannot be told now", l->verdict.domain);
	else if (existence == EXISTENCE_FAILED)
		conclude(l, DMARC_TEMPERROR, "whether %s exists cannot be told now", l->verdict.domain);
	else
		conclude(l, DMARC_FAIL, "neither SPF nor DKIM passed for a domain that is aligned with %s", l->verdict.domain);
}

static void
step(struct dmarc_lookup *l)
{
	struct walk w = walk(l, l->verdict.domain);
	const struct name *author = name_get(l, l->verdict.domain), *from;

	if (w.result == WALK_WAITS)
		return;
	if (author->state == NAME_FAILED || (author->state != NAME_RECORD && w.result == WALK_FAILED)) {
		conclude(l, DMARC_TEMPERROR, "the policy of %s cannot be looked up now", l->verdict.domain);
		return;
	}
	from = policy_name(l, author, &w);
	if (from == NULL) {
		conclude(l, DMARC_NONE, "%s has no DMARC policy", l->verdict.domain);
		return;
	}
	judge(l, author, from, &w);
}

/* -- the beginning -- */

static bool
canonical(char to[ADDRESS_DOMAIN_MAX + 1], const char *domain)
{
	return address_domain(to, domain, ADDRESS_UTF8) == 0 && to[0] != '[' && to[0] != '\0';
}

/* Those that can make the message pass. */
static void
take_identifiers(struct dmarc_lookup *l, const struct dmarc_identifier *ids, size_t n)
{
	for (size_t i = 0; i < n && l->n_ids < DMARC_IDENTIFIERS_MAX; i++) {
		struct identifier *id = &l->ids[l->n_ids];

		if ((!ids[i].pass && !ids[i].temporary) || !canonical(id->domain, ids[i].domain))
			continue;
		id->method = ids[i].method;
		id->pass = ids[i].pass;
		id->place = (int)i;
		l->n_ids++;
	}
}

struct dmarc_lookup *
dmarc_start(struct dns *dns, const char *header_from, const struct dmarc_identifier *ids, size_t n, uint32_t deadline_ms,
    dmarc_done_fn *done, void *arg)
{
	struct dmarc_lookup *l = alloc_new(1, sizeof(*l));

	l->dns = dns;
	l->done = done;
	l->arg = arg;
	l->until_ms = clock_ms() + (deadline_ms != 0 ? deadline_ms : DMARC_DEADLINE_MS);
	l->verdict.tag = "";
	l->verdict.aligned = -1;
	timer_set(&l->timer, lookup_done, l);
	if (!canonical(l->verdict.domain, header_from)) {
		l->verdict.domain[0] = '\0';
		l->verdict.result = DMARC_PERMERROR;
		snprintf(l->verdict.why, sizeof(l->verdict.why), "the From field has no domain that could have a policy");
		timer_start(&l->timer, 0);
		return l;
	}
	take_identifiers(l, ids, n);
	walk(l, l->verdict.domain);
	return l;
}

const char *
dmarc_result_name(enum dmarc_result result)
{
	static const char *const names[] = {
		[DMARC_NONE] = "none",
		[DMARC_PASS] = "pass",
		[DMARC_FAIL] = "fail",
		[DMARC_TEMPERROR] = "temperror",
		[DMARC_PERMERROR] = "permerror",
	};

	return names[result];
}
