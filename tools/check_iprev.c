/*
 * `minimtactl check iprev`: the reverse name of an address, and whether it leads back (RFC 8601, 3).
 */
#include <sysexits.h>

#include "filters/iprev.h"
#include "lib/log.h"
#include "tools/check.h"

struct check_iprev {
	struct check	 check;
	struct reverse_address address;
	const char	*helo;
	bool		 finished;
};

static void
on_verdict(void *arg, const struct iprev_verdict *v)
{
	struct check_iprev *c = arg;

	check_result(&c->check, iprev_result_name(v->result), v->why);
	if (v->name[0] != '\0') {
		check_more(&c->check, "name", v->name);
		check_more(&c->check, "looks", iprev_look_name(v->look));
	}
	if (c->helo != NULL)
		check_more(&c->check, "helo", v->helo ? "the reverse name" : "another name");
	c->finished = true;
}

static int
take_options(struct check_iprev *c)
{
	int letter;

	while ((letter = check_option(&c->check)) != -1)
		switch (letter) {
		case 'i':
			if (reverse_address_parse(&c->address, optarg) == -1)
				return check_usage(&c->check, "--ip %s is no address; expected 192.0.2.1 or 2001:db8::1",
				    logq(optarg));
			break;
		case 'e':
			c->helo = optarg;
			break;
		default:
			return letter;
		}
	if (c->address.len == 0 || c->check.n_args != 0)
		return check_usage(&c->check, "expected --ip, the address of a client");
	return 0;
}

int
check_iprev(int argc, char **argv)
{
	static const struct option own[] = { { "ip", required_argument, NULL, 'i' }, { "helo", required_argument, NULL, 'e' },
	    { 0 } };
	struct check_iprev c = { .finished = false };
	int code;

	check_begin(&c.check, argc, argv, own);
	if ((code = take_options(&c)) != 0)
		return check_end(&c.check, code);
	if (check_dns(&c.check) != 0)
		return check_end(&c.check, EX_TEMPFAIL);
	iprev_start(c.check.dns, &c.address, c.helo, 0, on_verdict, &c);
	check_wait(&c.check, &c.finished);
	return check_end(&c.check, 0);
}
