/*
 * `minimtactl check spf`: what the domain of a sender says of a client (RFC 7208).
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "filters/spf.h"
#include "lib/log.h"
#include "tools/check.h"

struct check_spf {
	struct check	 check;
	struct sockaddr_storage client;
	struct spf_facts facts;
	bool		 finished;
};

static void
on_result(void *arg, const struct spf_result *result)
{
	struct check_spf *c = arg;
	char text[1024];

	snprintf(text, sizeof(text), "%s=%s: %s", result->helo ? "helo" : "mailfrom", logq(result->domain), result->reason);
	check_result(&c->check, spf_code_name(result->code), text);
	if (result->explanation[0] != '\0')
		check_more(&c->check, "explanation", result->explanation);
	c->finished = true;
}

static int
take_options(struct check_spf *c)
{
	int letter, code;

	while ((letter = check_option(&c->check)) != -1)
		switch (letter) {
		case 'i':
			if ((code = check_ip(&c->check, optarg, &c->client)) != 0)
				return code;
			c->facts.client = (struct sockaddr *)&c->client;
			break;
		case 'e':
			c->facts.helo = optarg;
			break;
		case 'f':
			c->facts.sender = optarg;
			break;
		case 'r':
			c->facts.receiver = optarg;
			break;
		default:
			return letter;
		}
	if (c->facts.client == NULL || c->facts.helo == NULL || c->check.n_args != 0)
		return check_usage(&c->check, "expected --ip and --helo, and --from unless it is about HELO");
	c->facts.now = c->check.now;
	return 0;
}

int
check_spf(int argc, char **argv)
{
	static const struct option own[] = { { "ip", required_argument, NULL, 'i' }, { "helo", required_argument, NULL, 'e' },
	    { "from", required_argument, NULL, 'f' }, { "receiver", required_argument, NULL, 'r' }, { 0 } };
	struct check_spf c = { .finished = false };
	int code;

	check_begin(&c.check, argc, argv, own);
	if ((code = take_options(&c)) != 0)
		return check_end(&c.check, code);
	if (check_dns(&c.check) != 0)
		return check_end(&c.check, EX_TEMPFAIL);
	spf_start(c.check.dns, &c.facts, on_result, &c);
	check_wait(&c.check, &c.finished);
	return check_end(&c.check, 0);
}
