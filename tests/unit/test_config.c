/*
 * The filters as configured: every kind of mistake in their sections with the line that it gets, the registry's own rules, and
 * that the manuals have every filter and option.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain.h"
#include "filters/registry.h"
#include "lib/conf.h"
#include "lib/conf_table.h"
#include "tests/unit/run.h"

static const struct {
	const char *text, *error;
} mistakes[] = {
	{ "\nfilter dnsbk { mode = off }\n", "f:2: there is no filter dnsbk; did you mean dnsbl?" },
	{ "filter something_else { mode = off }\n", "f:1: there is no filter something_else; minimta-filters(7) has the list" },
	{ "filter iprev {\n mode = on\n}\n", "f:2: filter iprev: mode: on is not possible for mode; choose one of: off observe score "
	    "enforce" },
	{ "filter iprev {\n mod = off\n}\n", "f:2: filter iprev: no such option: mod; did you mean mode?" },
	{ "filter iprev {\n nonesuch_at_all = 3\n}\n", "f:2: filter iprev: no such option: nonesuch_at_all; there are mode, none, "
	    "no_match, dynamic and tempfail" },
	{ "filter iprev {\n none = { 1, 2 }\n}\n", "f:2: filter iprev: none: none takes one value and no list; write none = value" },
	{ "filter iprev { none = 101 }\n", "f:1: filter iprev: none: 101 is out of range; write a number from 0 to 100" },
	{ "\nfilter dnsbl { lists = 'list.example=1.2.3.4' }\n", "f:2: filter dnsbl: lists: *" },
	{ "exempt x { filters = spf }\n", "f:1: exempt x: it does not say who is meant; write client, host, sender or recipient, "
	    "and filters if not all are meant" },
	{ "exempt x { client = 192.0.2.1\n filters = dnsbx }\n", "f:1: exempt x: there is no filter dnsbx; did you mean dnsbl?" },
	{ "exempt x { client = 192.0.2.1/24 }\n", "f:1: exempt x: client: 192.0.2.1/24 has bits set beyond its prefix; clear them, or "
	    "write /32 for the one address" },
	{ "refuse x { senders = a@b.example }\n", "f:1: refuse x: no such option: senders; write client, host, sender or recipient, "
	    "and a text if there is one" },
	{ "refuse x { sender = 'a@@b' }\n", "f:1: refuse x: a@@b is no address; write user@example.net, user@, example.net, or "
	    ".example.net for all below it" },
	{ "refuse x { host = 'a..b' }\n", "f:1: refuse x: a..b is no host name; write mail.example.net, or .example.net for all "
	    "below it" },
	{ "client_domains x { client = 192.0.2.1 }\n", "f:1: client_domains x: it does not say who is meant; write client = { "
	    "192.0.2.0/24 } and domains = { example.org }" },
};

START_TEST(mistakes_are_named)
{
	char err[512], *star;
	struct conf *c = conf_parse_text(mistakes[_i].text, strlen(mistakes[_i].text), "f", err, sizeof(err));

	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_int_eq(filters_check(c, err, sizeof(err)), -1);
	if ((star = strchr(mistakes[_i].error, '*')) != NULL)
		ck_assert_msg(strncmp(err, mistakes[_i].error, (size_t)(star - mistakes[_i].error)) == 0, "%s", err);
	else
		ck_assert_str_eq(err, mistakes[_i].error);
	conf_free(c);
}
END_TEST

/* The registry itself: names that can stand in a file, a text for people, and no rules of filter.h broken. */
START_TEST(the_registry_is_in_order)
{
	const struct registry *r = &filters_registry;
	unsigned given = 0;

	ck_assert_uint_le(r->n, REGISTRY_MAX);
	for (size_t i = 0; i < r->n; i++) {
		const struct filter *f = r->list[i];

		ck_assert_msg(f->name[0] != '\0' && strspn(f->name, "abcdefghijklmnopqrstuvwxyz-") == strlen(f->name), "%s", f->name);
		ck_assert_uint_eq(registry_find(r, f->name), i);
		ck_assert_msg(f->does[0] != '\0', "%s", f->name);
		ck_assert_msg(f->decides >= STAGE_RCPT && (f->decides >= f->stage || f->decides == STAGE_END), "%s", f->name);
		ck_assert_msg(f->deadline_ms == 0 || f->cancel != NULL, "%s", f->name);
		ck_assert_msg(f->body == NULL || (f->end != NULL && f->stage == STAGE_HEADER && f->needs == 0), "%s", f->name);
		ck_assert_msg((f->insists & ~f->needs) == 0, "%s", f->name);
		ck_assert_msg((f->gives & given) == 0, "%s gives what another one gives", f->name);
		given |= f->gives;
	}
}
END_TEST

static char *
read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 65536);

	ck_assert_msg(f != NULL && text != NULL, "%s", path);
	ck_assert_uint_gt(fread(text, 1, 65535, f), 0);
	fclose(f);
	return text;
}

/* Where the manual speaks of one filter: from its item to the next. */
static void
check_item(const char *manual, const struct filter *f)
{
	const char *at = manual, *end = NULL;
	char *item;

	while ((at = strstr(at, "\n.It Cm ")) != NULL) {
		end = strchr(at + 1, '\n');
		if (memmem(at, (size_t)(end - at), f->name, strlen(f->name)) != NULL)
			break;
		at++;
	}
	ck_assert_msg(at != NULL, "%s is not in the manual", f->name);
	end = strstr(end, "\n.It Cm ");
	item = strndup(at, end != NULL ? (size_t)(end - at) : strlen(at));
	for (size_t i = 0; i < f->n_options && strstr(f->name, "-lists") == NULL; i++)
		ck_assert_msg(strstr(item, f->options[i].name) != NULL, "%s of %s is not in the manual", f->options[i].name, f->name);
	free(item);
}

START_TEST(manuals_have_every_filter)
{
	char *options = read_text("man/minimta-filters.conf.5"), *page = read_text("man/minimta-filters.7"), item[64];

	for (size_t i = 0; i < filters_registry.n; i++) {
		check_item(options, filters_registry.list[i]);
		snprintf(item, sizeof(item), "%s", filters_registry.list[i]->name);
		ck_assert_msg(strstr(page, item) != NULL, "%s is not in minimta-filters(7)", item);
	}
	free(options);
	free(page);
}
END_TEST

START_TEST(every_default_is_fine)
{
	char err[512];

	for (int hermes = 0; hermes < 2; hermes++) {
		const char *text = hermes ? "hermes = yes\n" : "";
		struct conf *c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));

		ck_assert_msg(filters_check(c, err, sizeof(err)) == 0, "%s", err);
		conf_free(c);
	}
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("config");

	tcase_add_loop_test(t, mistakes_are_named, 0, sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(t, the_registry_is_in_order);
	tcase_add_test(t, manuals_have_every_filter);
	tcase_add_test(t, every_default_is_fine);
	return run_case("config", t);
}
