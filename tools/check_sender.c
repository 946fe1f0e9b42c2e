/*
 * `minimtactl check sender`: would the mail servers of a sender's domain take a bounce to it. The running server finds out, and
 * remembers; with --dns this program itself connects to them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/route.h"
#include "mx/probe.h"
#include "tools/call.h"
#include "tools/check.h"
#include "tools/lines.h"

struct check_sender {
	struct check	 check;
	struct address	 address;
	const char	*config;
	uint64_t	 port;
	char		 helo[ADDRESS_DOMAIN_MAX + 1];
	bool		 private, finished;
};

/* As the filter has them. */
static const char *
word_of(const char *result)
{
	return strcmp(result, "all") == 0 ? "accepts-all" : result;
}

/* ---- through the server ---- */

static int
ask_server(struct check_sender *c)
{
	const char *words[] = { "callback", c->address.text, NULL };
	char path[CALL_PATH_SIZE], why[1024], line[4096], *f[LINES_FIELDS_MAX];
	FILE *from = NULL;
	int code;

	if (call_path(path, c->config, why, sizeof(why)) == 0)
		from = call_command(path, words, &code, why, sizeof(why));
	if (from == NULL)
		return check_unable(&c->check, "%s", why);
	if (fgets(line, sizeof(line), from) == NULL) {
		fclose(from);
		return check_unable(&c->check, "the server ended before it had an answer");
	}
	fclose(from);
	line[strcspn(line, "\n")] = '\0';
	lines_cut(line, f, 3);
	check_result(&c->check, word_of(f[0]), f[2]);
	return 0;
}

/* ---- by ourselves ---- */

static void
on_probe(void *arg, const struct probe_answer *a)
{
	struct check_sender *c = arg;
	char text[sizeof(a->host) + sizeof(a->text) + 2];

	snprintf(text, sizeof(text), "%s%s%s", a->host, a->host[0] != '\0' ? " " : "", a->text);
	check_result(&c->check, word_of(probe_result_name(a->result)), text);
	c->finished = true;
}

static int
ask_hosts(struct check_sender *c)
{
	struct route route = { .mx = true, .n = 1 };
	struct mx_options options = { .hostname = c->helo, .allow_private = c->private };

	if (check_dns(&c->check) != 0)
		return EX_TEMPFAIL;
	snprintf(route.hosts[0].name, sizeof(route.hosts[0].name), "%s", c->address.domain);
	route.hosts[0].port = (uint16_t)c->port;
	probe_start(c->check.base, c->check.dns, &c->address, &route, &options, on_probe, c);
	check_wait(&c->check, &c->finished);
	return 0;
}

/* ---- the words ---- */

static int
take_options(struct check_sender *c)
{
	int letter;

	while ((letter = check_option(&c->check)) != -1)
		switch (letter) {
		case 'c':
			c->config = optarg;
			break;
		case 'p':
			if (check_number(optarg, 1, 65535, &c->port) != 0)
				return check_usage(&c->check, "--port %s is no port; expected a number from 1 to 65535", logq(optarg));
			break;
		case 'e':
			if (address_domain(c->helo, optarg, 0) != 0)
				return check_usage(&c->check, "--helo %s is no host name", logq(optarg));
			break;
		case 'P':
			c->private = true;
			break;
		default:
			return letter;
		}
	return 0;
}

static int
take_address(struct check_sender *c)
{
	const char *why = "";

	if (c->check.n_args != 1)
		return check_usage(&c->check, "expected one address");
	if (address_parse(&c->address, c->check.args[0], ADDRESS_UTF8, &why) != ADDRESS_OK)
		return check_usage(&c->check, "%s is no address: %s; expected someone@example.com", logq(c->check.args[0]), why);
	if (c->address.literal)
		return check_usage(&c->check, "%s has an IP address in place of a domain; such an address is not called back",
		    logq(c->check.args[0]));
	return 0;
}

int
check_sender(int argc, char **argv)
{
	static const struct option own[] = { { "config", required_argument, NULL, 'c' }, { "port", required_argument, NULL, 'p' },
	    { "helo", required_argument, NULL, 'e' }, { "private", no_argument, NULL, 'P' }, { 0 } };
	struct check_sender c = { .port = 25 };
	int code;

	check_begin(&c.check, argc, argv, own);
	if (gethostname(c.helo, sizeof(c.helo)) != 0)
		snprintf(c.helo, sizeof(c.helo), "localhost");
	if ((code = take_options(&c)) != 0 || (code = take_address(&c)) != 0)
		return check_end(&c.check, code);
	return check_end(&c.check, c.check.dns_server[0] != '\0' ? ask_hosts(&c) : ask_server(&c));
}
