/*
 * `minimtactl check greylist`: what greylisting would say to a mail, by what the running server remembers. Changes nothing. SPF
 * is asked first, as it decides by which key the mail is remembered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "filters/greylist_key.h"
#include "filters/spf.h"
#include "lib/address.h"
#include "lib/log.h"
#include "tools/call.h"
#include "tools/check.h"

struct check_greylist {
	struct check	 check;
	const char	*config;
	struct sockaddr_storage client;
	struct spf_facts facts;
	struct address	 sender, recipient;
	bool		 have_sender, have_recipient, finished;
	char		 key[MEMORY_KEY_MAX], by[MEMORY_KEY_MAX + 64];
};

/* ---- words ---- */

static int
take_address(struct check_greylist *c, struct address *a, const char *option, const char *text, int flags, bool *have_r)
{
	const char *why = "";

	*have_r = true;
	if (text[0] == '\0' && (flags & ADDRESS_NULL) != 0)
		a->text[0] = '\0';
	else if (address_parse(a, text, ADDRESS_UTF8 | ADDRESS_BARE, &why) != ADDRESS_OK)
		return check_usage(&c->check, "%s %s is no address: %s; expected someone@example.com", option, logq(text), why);
	return 0;
}

static int
take_options(struct check_greylist *c)
{
	int letter, code = 0;

	while (code == 0 && (letter = check_option(&c->check)) != -1)
		switch (letter) {
		case 'i':
			code = check_ip(&c->check, optarg, &c->client);
			c->facts.client = (struct sockaddr *)&c->client;
			break;
		case 'e':
			c->facts.helo = optarg;
			break;
		case 'f':
			code = take_address(c, &c->sender, "--from", optarg, ADDRESS_NULL, &c->have_sender);
			break;
		case 't':
			code = take_address(c, &c->recipient, "--to", optarg, 0, &c->have_recipient);
			break;
		case 'c':
			c->config = optarg;
			break;
		default:
			return letter;
		}
	if (code == 0 && (c->facts.client == NULL || c->facts.helo == NULL || !c->have_sender || !c->have_recipient ||
	    c->check.n_args != 0))
		code = check_usage(&c->check, "expected --ip, --helo, --from and --to");
	c->facts.sender = c->sender.text;
	c->facts.now = c->check.now;
	return code;
}

/* ---- the key ---- */

static void
on_spf(void *arg, const struct spf_result *result)
{
	struct check_greylist *c = arg;
	struct reverse_address address = reverse_address_of(c->facts.client);

	if (result->code == SPF_PASS) {
		snprintf(c->key, sizeof(c->key), "%s", result->domain);
		snprintf(c->by, sizeof(c->by), "%s, by SPF", c->key);
	} else {
		greylist_key_network(c->key, &address);
		snprintf(c->by, sizeof(c->by), "%s, SPF says %s", c->key, spf_code_name(result->code));
	}
	c->finished = true;
}

/* ---- the answer ---- */

/* "early 240 0": the state, the seconds left, how often mail from there has waited. */
static int
say(struct check_greylist *c, FILE *answer)
{
	char state[16] = "", text[160];
	uint32_t left, passes;

	if (fscanf(answer, "%15s %" SCNu32 " %" SCNu32, state, &left, &passes) != 3)
		return check_unable(&c->check, "the answer cannot be read");
	if (strcmp(state, "known") == 0)
		snprintf(text, sizeof(text), "mail from there has waited %u times and waits no more", passes);
	else if (strcmp(state, "passed") == 0)
		snprintf(text, sizeof(text), "it has waited");
	else
		snprintf(text, sizeof(text), "it would be deferred for %u seconds, where greylisting looks at it", left);
	check_result(&c->check, state, text);
	snprintf(text, sizeof(text), "%u", left);
	check_more(&c->check, "left", text);
	check_more(&c->check, "key", c->by);
	return 0;
}

static int
ask(struct check_greylist *c)
{
	const char *words[] = { "memory", "greylist", c->key, c->sender.text, c->facts.helo, c->recipient.text, NULL };
	char path[CALL_PATH_SIZE], why[8192];
	FILE *answer = NULL;
	int code = call_path(path, c->config, why, sizeof(why));

	if (code == 0)
		answer = call_command(path, words, &code, why, sizeof(why));
	if (answer == NULL)
		return check_unable(&c->check, "%s", why);
	code = say(c, answer);
	fclose(answer);
	return code;
}

int
check_greylist(int argc, char **argv)
{
	static const struct option own[] = { { "ip", required_argument, NULL, 'i' }, { "helo", required_argument, NULL, 'e' },
	    { "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 't' },
	    { "config", required_argument, NULL, 'c' }, { 0 } };
	struct check_greylist c = { .finished = false };
	int code;

	check_begin(&c.check, argc, argv, own);
	if ((code = take_options(&c)) != 0)
		return check_end(&c.check, code);
	if (check_dns(&c.check) != 0)
		return check_end(&c.check, EX_TEMPFAIL);
	spf_start(c.check.dns, &c.facts, on_spf, &c);
	check_wait(&c.check, &c.finished);
	return check_end(&c.check, ask(&c));
}
