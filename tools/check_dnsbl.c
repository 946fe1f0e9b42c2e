/*
 * `minimtactl check dnsbl`: whether lists have an address or a domain, or whether the lists themselves work (RFC 5782).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sysexits.h>

#include "filters/dnsbl.h"
#include "filters/dnsbl_watch.h"
#include "lib/log.h"
#include "tools/check.h"

struct check_dnsbl {
	struct check	 check;
	struct dnsbl_list lists[DNSBL_LISTS_MAX];
	struct dnsbl_question question;
	struct reverse_address address;
	bool		 test, domains;
	enum dnsbl_health health;	/* of the test under way */
	const char	*why;
	bool		 finished;
};

/* One word for all: a list that has it, or one that says that it has not, or nobody who could tell. */
static const char *
summarize(const struct dnsbl_verdict *v)
{
	bool answered = false, asked = false;

	for (size_t i = 0; i < v->n; i++) {
		answered |= v->findings[i].state == DNSBL_NOT_LISTED;
		asked |= v->findings[i].state != DNSBL_NOT_ASKED;
	}
	return v->listed > 0 ? "listed" : answered ? "not-listed" : asked ? "temperror" : "not-asked";
}

static void
on_verdict(void *arg, const struct dnsbl_verdict *v)
{
	struct check_dnsbl *c = arg;
	char text[DNSBL_TEXT_MAX + 200], code[INET_ADDRSTRLEN];

	snprintf(text, sizeof(text), "by %u of %u lists (%u %%), score %d", v->listed, v->asked, v->percent, v->score);
	check_result(&c->check, summarize(v), text);
	for (size_t i = 0; i < v->n; i++) {
		const struct dnsbl_finding *f = &v->findings[i];

		inet_ntop(AF_INET, &f->code, code, sizeof(code));
		snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", dnsbl_state_name(f->state), f->code.s_addr != 0 ? " " : "",
		    f->code.s_addr != 0 ? code : "", f->why[0] != '\0' ? ": " : "", f->why, f->text[0] != '\0' ? ": " : "", f->text);
		check_more(&c->check, c->lists[i].zone, text);
	}
	c->finished = true;
}

static void
on_test(void *arg, enum dnsbl_health health, const char *why)
{
	struct check_dnsbl *c = arg;

	c->health = health;
	c->why = why;
	c->finished = true;
}

/* The test points of every list, a result for each. */
static void
test_lists(struct check_dnsbl *c)
{
	char text[300];

	c->check.list = c->question.n > 1;
	for (size_t i = 0; i < c->question.n; i++) {
		c->finished = false;
		dnsbl_test_start(c->check.dns, &c->lists[i], c->domains, on_test, c);
		check_wait(&c->check, &c->finished);
		snprintf(text, sizeof(text), "%s: %s", c->lists[i].zone, c->why);
		check_result(&c->check, dnsbl_health_name(c->health), text);
	}
}

static int
take_list(struct check_dnsbl *c, const char *text)
{
	char err[200];

	if (c->question.n == DNSBL_LISTS_MAX)
		return check_usage(&c->check, "expected at most %d lists", DNSBL_LISTS_MAX);
	if (dnsbl_list_parse(&c->lists[c->question.n], text, err, sizeof(err)) == -1)
		return check_usage(&c->check, "--list %s: %s", logq(text), err);
	c->question.n++;
	return 0;
}

static int
take_option(struct check_dnsbl *c, int letter)
{
	switch (letter) {
	case 'i':
		if (reverse_address_parse(&c->address, optarg) == -1)
			return check_usage(&c->check, "--ip %s is no address; expected 192.0.2.1 or 2001:db8::1", logq(optarg));
		c->question.address = &c->address;
		return 0;
	case 'd':
		c->question.domain = optarg;
		return 0;
	case 'l':
		return take_list(c, optarg);
	case 't':
		c->test = true;
		return 0;
	case 'D':
		c->domains = true;
		return 0;
	default:
		return letter;
	}
}

static int
take_options(struct check_dnsbl *c)
{
	int letter, code;

	while ((letter = check_option(&c->check)) != -1)
		if ((code = take_option(c, letter)) != 0)
			return code;
	if (c->question.n == 0 || c->check.n_args != 0)
		return check_usage(&c->check, "expected --list, once for each list");
	if ((c->question.address != NULL) + (c->question.domain != NULL) + c->test != 1)
		return check_usage(&c->check, "expected one of --ip, --domain and --test");
	return 0;
}

int
check_dnsbl(int argc, char **argv)
{
	static const struct option own[] = { { "ip", required_argument, NULL, 'i' }, { "domain", required_argument, NULL, 'd' },
	    { "list", required_argument, NULL, 'l' }, { "test", no_argument, NULL, 't' }, { "domains", no_argument, NULL, 'D' },
	    { 0 } };
	struct check_dnsbl c = { .question = { .want_text = true } };
	int code;

	c.question.lists = c.lists;
	check_begin(&c.check, argc, argv, own);
	if ((code = take_options(&c)) != 0)
		return check_end(&c.check, code);
	if (check_dns(&c.check) != 0)
		return check_end(&c.check, EX_TEMPFAIL);
	if (c.test) {
		test_lists(&c);
	} else {
		dnsbl_start(c.check.dns, &c.question, on_verdict, &c);
		check_wait(&c.check, &c.finished);
	}
	return check_end(&c.check, 0);
}
