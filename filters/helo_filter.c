/*
 * The name in HELO, as far as it can be judged without asking: is it a name at all, and does it claim to be us. RFC 5321, 4.1.4
 * forbids refusing for a name that does not fit the address; RFC 2821 hosts that say nonsense get points.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "filters/adapters.h"
#include "lib/address.h"
#include "lib/conf_table.h"

struct options {
	int	invalid, ours;
};

#define AT(field)	offsetof(struct options, field)
static const struct conf_option options[] = {
	{ "invalid",	CONF_INT,	AT(invalid),	0, 100, "3", NULL },
	{ "ours",	CONF_INT,	AT(ours),	0, 100, "10", NULL },
};

static void
ask_to_refuse(struct filter_run *run, const char *enhanced, const char *text)
{
	run->finding.action = FILTER_REFUSE;
	snprintf(run->finding.enhanced, sizeof(run->finding.enhanced), "%s", enhanced);
	snprintf(run->finding.text, sizeof(run->finding.text), "%s", text);
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]". 0 or -1. */
static int
literal_address(const char *literal, struct reverse_address *a)
{
	char text[64];
	size_t skip = strncasecmp(literal, "[IPv6:", 6) == 0 ? 6 : 1, len = strlen(literal);

	if (len < skip + 2 || len - skip - 1 >= sizeof(text))
		return -1;
	snprintf(text, sizeof(text), "%.*s", (int)(len - skip - 1), literal + skip);
	return reverse_address_parse(a, text);
}

static bool
same_address(const struct reverse_address *a, const struct reverse_address *b)
{
	return a->len > 0 && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static bool
is_ours(const struct facts *f, const char *name)
{
	if (strcasecmp(name, f->hostname) == 0)
		return true;
	for (char *const *d = f->domains; d != NULL && *d != NULL; d++)
		if (strcasecmp(name, *d) == 0)
			return true;
	return false;
}

static enum filter_progress
run_helo(struct filter_run *run)
{
	const struct options *o = run->config->options;
	const struct facts *f = run->facts;
	char name[ADDRESS_DOMAIN_MAX + 1];
	struct reverse_address a = { .len = 0 };

	snprintf(run->finding.key, sizeof(run->finding.key), "%s", f->helo);
	if (address_domain(name, f->helo, ADDRESS_UTF8) != 0 || (name[0] != '[' && strchr(name, '.') == NULL)) {
		ask_to_refuse(run, "5.5.2", "Your HELO is no host name");
		return filter_say(run, "invalid", o->invalid, "that is no full host name and no address in brackets");
	}
	if (name[0] == '[' ? literal_address(name, &a) == 0 && same_address(&a, &f->own) : is_ours(f, name)) {
		ask_to_refuse(run, "5.7.1", "You are not this server");
		return filter_say(run, "ours", o->ours, "it claims a name or an address of ours");
	}
	if (a.len > 0 && !same_address(&a, &f->address))
		return filter_say(run, "other-address", o->invalid, "it gave an address that is not its own");
	return filter_say(run, "pass", 0, facts_helo_is_reverse(f) ? "it is the name of its address" : "it is a name");
}

static bool
has_helo(const struct filter_config *c, const struct facts *f)
{
	(void)c;
	return f->helo != NULL;
}

const struct filter filter_helo = {
	.name = "helo", .does = "is its HELO a name, and not ours",
	.stage = STAGE_HELO, .decides = STAGE_RCPT, .mode = FILTER_SCORE, .hermes = FILTER_SCORE,
	.options = options, .n_options = sizeof(options) / sizeof(options[0]), .options_size = sizeof(struct options),
	.applies = has_helo, .run = run_helo,
};
