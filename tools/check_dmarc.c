/*
 * `minimtactl check dmarc`: what the author's domain asks for, and whether what SPF and DKIM found is enough (RFC 9989).
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "filters/dmarc.h"
#include "lib/log.h"
#include "tools/check.h"

struct check_dmarc {
	struct check	 check;
	const char	*header_from;
	struct dmarc_identifier ids[DMARC_IDENTIFIERS_MAX];
	size_t		 n_ids;
	bool		 finished;
};

static void
on_verdict(void *arg, const struct dmarc_verdict *v)
{
	struct check_dmarc *c = arg;
	char text[1024], count[16];

	if (v->policy_domain[0] != '\0')
		snprintf(text, sizeof(text), "p=%s: %s", dmarc_policy_name(v->policy), v->why);
	else
		snprintf(text, sizeof(text), "%s", v->why);
	check_result(&c->check, dmarc_result_name(v->result), text);
	if (v->policy_domain[0] != '\0') {
		check_more(&c->check, "policy", dmarc_policy_name(v->policy));
		check_more(&c->check, "policy-domain", v->policy_domain);
		snprintf(text, sizeof(text), "%s=%s%s", v->tag, dmarc_policy_name(v->published), v->test ? ", t=y" : "");
		check_more(&c->check, "published", text);
	}
	if (v->organization[0] != '\0')
		check_more(&c->check, "organization", v->organization);
	snprintf(count, sizeof(count), "%u", v->questions);
	check_more(&c->check, "questions", count);
	c->finished = true;
}

/* "pass:example.com"; any result of RFC 8601 may stand there. */
static int
take_identifier(struct check_dmarc *c, enum dmarc_method method, const char *text)
{
	const char *option = method == DMARC_SPF ? "spf" : "dkim", *colon = strchr(text, ':');
	struct dmarc_identifier *id = &c->ids[c->n_ids];

	if (colon == NULL || colon == text || colon[1] == '\0')
		return check_usage(&c->check, "--%s %s is no result; expected one like pass:example.com", option, logq(text));
	if (c->n_ids == DMARC_IDENTIFIERS_MAX)
		return check_usage(&c->check, "expected at most %d of --spf and --dkim together", DMARC_IDENTIFIERS_MAX);
	id->method = method;
	id->pass = colon - text == 4 && strncmp(text, "pass", 4) == 0;
	id->temporary = colon - text == 9 && strncmp(text, "temperror", 9) == 0;
	id->domain = colon + 1;
	c->n_ids++;
	return 0;
}

static int
take_options(struct check_dmarc *c)
{
	int letter, code = 0;

	while (code == 0 && (letter = check_option(&c->check)) != -1)
		switch (letter) {
		case 'f':
			c->header_from = optarg;
			break;
		case 's':
			code = take_identifier(c, DMARC_SPF, optarg);
			break;
		case 'd':
			code = take_identifier(c, DMARC_DKIM, optarg);
			break;
		default:
			return letter;
		}
	if (code == 0 && (c->header_from == NULL || c->check.n_args != 0))
		return check_usage(&c->check, "expected --header-from, the domain of the address in From");
	return code;
}

int
check_dmarc(int argc, char **argv)
{
	static const struct option own[] = { { "header-from", required_argument, NULL, 'f' }, { "spf", required_argument, NULL, 's' },
	    { "dkim", required_argument, NULL, 'd' }, { 0 } };
	struct check_dmarc c = { .finished = false };
	int code;

	check_begin(&c.check, argc, argv, own);
	if ((code = take_options(&c)) != 0)
		return check_end(&c.check, code);
	if (check_dns(&c.check) != 0)
		return check_end(&c.check, EX_TEMPFAIL);
	dmarc_start(c.check.dns, c.header_from, c.ids, c.n_ids, 0, on_verdict, &c);
	check_wait(&c.check, &c.finished);
	return check_end(&c.check, 0);
}
