/*
 * `minimtactl check srs`: what a sender becomes when its mail is forwarded, and what comes of a bounce to that.
 */
#include <string.h>

#include "filters/srs.h"
#include "lib/log.h"
#include "tools/check.h"

struct check_srs {
	struct check	 check;
	struct srs_secrets secrets;
	const char	*domain;
};

static int
take_options(struct check_srs *c)
{
	size_t n = 0;
	int letter;

	while ((letter = check_option(&c->check)) != -1)
		switch (letter) {
		case 's':
			if (n == sizeof(c->secrets.list) / sizeof(c->secrets.list[0]) || optarg[0] == '\0')
				return check_usage(&c->check, "expected one --secret or two, none of them empty");
			c->secrets.list[n++] = optarg;
			break;
		case 'd':
			c->domain = optarg;
			break;
		default:
			return letter;
		}
	if (c->check.n_args != 2 || n == 0)
		return check_usage(&c->check, "expected forward or reverse, --secret and an address");
	return 0;
}

int
check_srs(int argc, char **argv)
{
	static const struct option own[] = { { "secret", required_argument, NULL, 's' },
	    { "domain", required_argument, NULL, 'd' }, { 0 } };
	struct check_srs c = { .domain = NULL };
	char to[ADDRESS_MAX] = "", domain[ADDRESS_DOMAIN_MAX + 1];
	enum srs_result result;
	int code;

	check_begin(&c.check, argc, argv, own);
	if ((code = take_options(&c)) != 0)
		return check_end(&c.check, code);
	if (strcmp(c.check.args[0], "forward") == 0) {
		if (c.domain == NULL || address_domain(domain, c.domain, ADDRESS_UTF8) != 0)
			return check_end(&c.check, check_usage(&c.check, "forward needs --domain, ours, as example.org"));
		result = srs_forward(to, c.check.args[1], domain, &c.secrets, c.check.now);
	} else if (strcmp(c.check.args[0], "reverse") == 0) {
		result = srs_reverse(to, c.check.args[1], &c.secrets, c.check.now);
	} else {
		return check_end(&c.check, check_usage(&c.check, "%s is neither forward nor reverse", logq(c.check.args[0])));
	}
	check_result(&c.check, result == SRS_OK ? to : srs_result_name(result), "");
	return check_end(&c.check, 0);
}
