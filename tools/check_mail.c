/*
 * `minimtactl check mail`: a message through the whole chain of filters, as if it came from an address now, with the filters of
 * the configuration file. What memory would know is not known: the client is a stranger. Nothing is sent or kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "filters/chain.h"
#include "filters/memory_core.h"
#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/header.h"
#include "lib/log.h"
#include "tools/check.h"

#define CONFIG		"/etc/minimta/minimta.conf"
#define CONFIG_MAX	(1024U * 1024)
#define MESSAGE_MAX	(256UL * 1024 * 1024)
#define CONTENT_MAX	(128U * 1024)	/* as smtpd has it at hand */
#define RECIPIENTS_MAX	100
#define FIELDS_MAX	(16U * 1024)

struct mail {
	struct check	 check;
	const char	*config;
	struct conf	*conf;
	struct memory_core *core;
	struct memory	*memory;
	struct filters	*filters;
	struct chain	*chain;
	struct facts	 facts;
	struct address	 sender, recipients[RECIPIENTS_MAX];
	size_t		 n_recipients;
	struct chain_decision decisions[RECIPIENTS_MAX], last;
	unsigned	 taken;
	bool		 decided, have_sender;
	bool		 again;		/* as if it had been told to wait, and did */
	char		*message;
	size_t		 len, header_len;
};

/* ---- words ---- */

static int
take_address(struct mail *m, struct address *to, const char *option, const char *text, int flags)
{
	const char *why = "";

	if ((flags & ADDRESS_NULL) != 0 && (text[0] == '\0' || strcmp(text, "<>") == 0)) {
		*to = (struct address){ .literal = false };
		return 0;
	}
	if (address_parse(to, text, flags & ~ADDRESS_NULL, &why) != ADDRESS_OK)
		return check_usage(&m->check, "%s %s is no address: %s", option, logq(text), why);
	return 0;
}

static int
take_option(struct mail *m, int letter)
{
	switch (letter) {
	case 'i':
		if (check_ip(&m->check, optarg, &m->facts.client) != 0)
			return EX_USAGE;
		m->facts.address = reverse_address_of((struct sockaddr *)&m->facts.client);
		snprintf(m->facts.client_text, sizeof(m->facts.client_text), "%s", optarg);
		return 0;
	case 'e':
		m->facts.helo = optarg;
		return 0;
	case 'f':
		m->have_sender = true;
		return take_address(m, &m->sender, "--from", optarg, ADDRESS_UTF8 | ADDRESS_NULL);
	case 't':
		if (m->n_recipients == RECIPIENTS_MAX)
			return check_usage(&m->check, "expected at most %d times --to", RECIPIENTS_MAX);
		return take_address(m, &m->recipients[m->n_recipients++], "--to", optarg, ADDRESS_UTF8 | ADDRESS_BARE);
	case 'c':
		m->config = optarg;
		return 0;
	case 'a':
		m->again = true;
		return 0;
	default:
		return letter;
	}
}

static int
take_options(struct mail *m)
{
	int letter, code;

	while ((letter = check_option(&m->check)) != -1)
		if ((code = take_option(m, letter)) != 0)
			return code;
	if (m->facts.client_text[0] == '\0' || m->facts.helo == NULL || !m->have_sender || m->n_recipients == 0 ||
	    m->check.n_args != 0)
		return check_usage(&m->check, "expected --ip, --helo, --from and --to, and the message on standard input");
	return 0;
}

/* ---- what it runs on ---- */

static int
read_config(struct mail *m)
{
	const char *path = m->config != NULL ? m->config : CONFIG;
	char *text = alloc_raw(CONFIG_MAX), err[1024];
	FILE *f = fopen(path, "re");
	size_t len = 0;

	if (f == NULL && (m->config != NULL || errno != ENOENT)) {
		free(text);
		return check_unable(&m->check, "%s: %s", path, strerror(errno));
	}
	if (f != NULL) {
		len = fread(text, 1, CONFIG_MAX, f);
		fclose(f);
	}
	m->conf = conf_parse_text(text, len, path, err, sizeof(err));
	free(text);
	return m->conf != NULL ? 0 : check_unable(&m->check, "%s", err);
}

static int
prepare(struct mail *m)
{
	char err[1024];
	int code;

	if ((code = read_config(m)) != 0)
		return code;
	if (check_dns(&m->check) != 0)
		return EX_TEMPFAIL;
	m->core = memory_core_new(NULL);
	m->memory = memory_new_local(m->core);
	m->filters = filters_new(m->conf, m->check.dns, m->memory, err, sizeof(err));
	if (m->filters == NULL)
		return check_unable(&m->check, "%s", err);
	m->facts.now = m->check.now;
	m->facts.hostname = m->conf->hostname;
	m->facts.domains = m->conf->domains;
	return 0;
}

static int
finish(struct mail *m, int code)
{
	chain_free(m->chain);
	filters_free(m->filters);
	memory_free(m->memory);
	memory_core_free(m->core);
	conf_free(m->conf);
	free(m->message);
	return check_end(&m->check, code);
}

/* ---- the chain ---- */

static void
on_decision(void *arg, const struct chain_decision *d)
{
	struct mail *m = arg;

	m->last = *d;
	m->decided = true;
}

static void
decide(struct mail *m, enum facts_stage stage)
{
	m->decided = false;
	chain_decide(m->chain, stage, on_decision, m);
	check_wait(&m->check, &m->decided);
}

static void
look_at_content(struct mail *m)
{
	size_t line = 0;

	m->facts.header = m->message;
	m->facts.header_len = m->header_len;
	m->facts.size = m->len;
	m->facts.content = m->len <= CONTENT_MAX ? m->message : NULL;
	m->facts.content_len = m->len;
	for (size_t i = 0; i < m->len; i++) {
		line = m->message[i] == '\n' ? 0 : line + 1;
		m->facts.long_lines = m->facts.long_lines || line > 999;	/* with the CR */
	}
}

static void
run_recipients(struct mail *m)
{
	for (size_t i = 0; i < m->n_recipients; i++) {
		m->facts.recipient = m->recipients[i].text;
		m->facts.n_recipients = m->taken;
		chain_reach(m->chain, STAGE_RCPT);
		decide(m, STAGE_RCPT);
		m->decisions[i] = m->last;
		m->taken += m->last.outcome == CHAIN_PASS;
	}
}

/* The end of the message, when somebody is to have it. */
static void
run_message(struct mail *m)
{
	m->facts.recipient = NULL;
	m->facts.first_recipient = m->recipients[0].text;
	chain_reach(m->chain, STAGE_DATA);
	m->facts.n_recipients = m->taken;
	decide(m, STAGE_DATA);
	if (m->last.outcome != CHAIN_PASS)
		return;
	chain_reach(m->chain, STAGE_HEADER);
	chain_body(m->chain, m->message + m->header_len, m->len - m->header_len);
	chain_reach(m->chain, STAGE_END);
	decide(m, STAGE_END);
}

static void
run_transaction(struct mail *m)
{
	m->taken = 0;
	m->facts.sender = m->sender.text;
	chain_reach(m->chain, STAGE_MAIL);
	run_recipients(m);
	if (m->taken > 0)
		run_message(m);
	else
		m->last = m->decisions[0];
}

/* How many seconds greylisting wants to see pass; 0: that was not it. */
static unsigned
seconds_to_wait(const struct mail *m)
{
	struct chain_entry e;
	unsigned left;

	for (size_t at = 0; chain_next(m->chain, &at, &e);)
		if (strcmp(e.filter->name, "greylist") == 0 && sscanf(e.finding->value, "left=%u", &left) == 1)
			return left;
	return 0;
}

static void
run(struct mail *m)
{
	unsigned left;

	m->chain = chain_new(m->filters, &m->facts);
	chain_reach(m->chain, STAGE_CONNECT);
	chain_reach(m->chain, STAGE_HELO);
	run_transaction(m);
	if (!m->again || (left = seconds_to_wait(m)) == 0)
		return;
	clock_shift(((int64_t)left + 1) * 1000);
	chain_reset(m->chain);
	run_transaction(m);
}

/* ---- results ---- */

static const char *
outcome(const struct chain_decision *d)
{
	static const char *const names[] = { "accept", "defer", "refuse", "split" };

	return d->outcome == CHAIN_PASS && d->quarantine ? "quarantine" : names[d->outcome];
}

static void
say_decision(const struct chain_decision *d, char *to, size_t size)
{
	if (d->outcome == CHAIN_SPLIT)
		snprintf(to, size, "%d %s %s", d->code, d->enhanced, d->text);
	else if (d->code != 0)
		snprintf(to, size, "%d %s %s; by %s, with %d points%s", d->code, d->enhanced, d->text, d->filter, d->score,
		    d->tagged ? "; taken and tagged" : "");
	else
		snprintf(to, size, "with %d points", d->score);
}

static void
print_entry(struct mail *m, const struct chain_entry *e)
{
	const struct filter_finding *f = e->finding;
	char text[1400];

	snprintf(text, sizeof(text), "%s%s%s %+d%s%s%s%s%s%s%s%s (%s, %u ms)", f->result, e->counted ? " DECIDED" : "",
	    e->exempt ? " exempt" : "", f->score, f->action != FILTER_PASS ? " asks to " : "",
	    f->action != FILTER_PASS ? filter_action_name(f->action) : "", f->key[0] != '\0' ? " " : "", f->key,
	    f->value[0] != '\0' ? " = " : "", f->value, f->why[0] != '\0' ? "; " : "", f->why, filter_mode_name(e->mode), e->ms);
	check_more(&m->check, e->filter->name, text);
}

static void
print_results(struct mail *m)
{
	char text[1024], fields[FIELDS_MAX + 1];
	struct chain_entry e;

	say_decision(&m->last, text, sizeof(text));
	check_result(&m->check, outcome(&m->last), text);
	for (size_t i = 0; i < m->n_recipients; i++)
		if (m->n_recipients > 1 || m->decisions[i].outcome != m->last.outcome) {
			char line[1400];

			say_decision(&m->decisions[i], text, sizeof(text));
			snprintf(line, sizeof(line), "%s %s", outcome(&m->decisions[i]), text);
			check_more(&m->check, m->recipients[i].text, line);
		}
	for (size_t at = 0; chain_next(m->chain, &at, &e);)
		print_entry(m, &e);
	if (m->last.outcome != CHAIN_PASS || m->taken == 0)
		return;
	fields[chain_fields(m->chain, fields, FIELDS_MAX)] = '\0';
	if (m->check.json)
		check_more(&m->check, "fields", fields);
	else
		fputs(fields, stdout);
}

int
check_mail(int argc, char **argv)
{
	static const struct option own[] = { { "ip", required_argument, NULL, 'i' }, { "helo", required_argument, NULL, 'e' },
	    { "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 't' },
	    { "config", required_argument, NULL, 'c' }, { "again", no_argument, NULL, 'a' }, { 0 } };
	struct mail *m = alloc_new(1, sizeof(*m));
	int code;

	check_begin(&m->check, argc, argv, own);
	if ((code = take_options(m)) == 0 && (code = prepare(m)) == 0) {
		m->message = check_message(&m->check, MESSAGE_MAX, &m->len);
		code = m->message != NULL ? 0 : EX_TEMPFAIL;
	}
	if (code == 0) {
		m->header_len = header_end(m->message, m->len);
		look_at_content(m);
		run(m);
		print_results(m);
	}
	code = finish(m, code);
	free(m);
	return code;
}
