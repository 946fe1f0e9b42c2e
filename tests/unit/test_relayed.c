/*
 * Known recipients of relayed domains: what a file says, when it is read again, and who is asked otherwise.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/conf.h"
#include "lookup/relayed.h"
#include "tests/unit/run.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

static struct address
address(const char *text)
{
	struct address a;

	ck_assert_msg(address_parse(&a, text, ADDRESS_UTF8, NULL) == ADDRESS_OK, "%s", text);
	return a;
}

START_TEST(texts)
{
	static const char text[] = "# known\n\nAnna@Example.net\n bob@example.net\tOK\r\n@all.example\nj\xc3\xb6rg@b\xc3\xbc" "cher.example x\n"
	    "no address\n@\n@no..domain\ncarl@example.net";
	static const struct { const char *address; bool has; } rows[] = {
		{ "anna@example.net", true }, { "ANNA@EXAMPLE.net", true }, { "bob@example.net", true }, { "carl@example.net", true },
		{ "anna+tag@example.net", true }, { "+tag@example.net", false }, { "dora@example.net", false },
		{ "anna@example.org", false }, { "anyone@all.example", true }, { "anyone@sub.all.example", false },
		{ "j\xc3\xb6rg@xn--bcher-kva.example", true },
	};
	struct relayed *r = relayed_new();
	struct address a;

	ck_assert_uint_eq(relayed_take(r, text, strlen(text)), 3);
	ck_assert_uint_eq(relayed_count(r), 5);
	for (size_t i = 0; i < N(rows); i++) {
		a = address(rows[i].address);
		ck_assert_msg(relayed_has(r, "+", &a) == rows[i].has, "%s", rows[i].address);
	}
	a = address("anna+tag@example.net");
	ck_assert(!relayed_has(r, "", &a));
	ck_assert_uint_eq(relayed_take(r, "", 0), 0);
	ck_assert_uint_eq(relayed_count(r), 0);
	relayed_free(r);
	relayed_free(NULL);
}
END_TEST

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static struct conf *
must(const char *fmt, const char *path)
{
	char text[500], err[300];
	struct conf *c;

	snprintf(text, sizeof(text), fmt, path);
	c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));
	ck_assert_msg(c != NULL, "%s", err);
	return c;
}

static void
expect(struct relayed *r, const struct conf *c, const char *text, enum relayed_verdict verdict)
{
	struct address a = address(text);

	ck_assert_msg(relayed_find(r, c, &a) == verdict, "%s", text);
}

START_TEST(verdicts)
{
	char path[] = "/tmp/minimta-relayed-XXXXXX";
	struct relayed *r = relayed_new();
	struct conf *all = must("relay_domains = { a.example, b.example }%s", "\n"), *some, *asks, *only_asks;
	int fd = mkstemp(path);

	clock_hold(true);
	ck_assert_int_ge(fd, 0);
	close(fd);
	some = must("relay_domains = a.example relay_recipients = %s\n", path);
	asks = must("relay_domains = a.example relay_callback = yes relay_recipients = %s\n", path);
	only_asks = must("relay_domains = a.example relay_callback = yes%s", "\n");
	expect(r, all, "x@a.example", RELAYED_KNOWN);
	expect(r, all, "x@B.example", RELAYED_KNOWN);
	expect(r, all, "x@c.example", RELAYED_NOT_OURS);
	expect(r, only_asks, "x@a.example", RELAYED_ASK);
	expect(r, only_asks, "Postmaster@a.example", RELAYED_KNOWN);

	write_file(path, "x@a.example\n");
	expect(r, some, "x@a.example", RELAYED_KNOWN);
	expect(r, some, "y@a.example", RELAYED_UNKNOWN);
	expect(r, some, "postmaster@a.example", RELAYED_KNOWN);
	expect(r, asks, "y@a.example", RELAYED_ASK);
	/* Another one within the same second is seen a second later. */
	write_file(path, "y@a.example\nz@a.example\n");
	clock_shift(1500);
	expect(r, some, "y@a.example", RELAYED_KNOWN);
	expect(r, some, "x@a.example", RELAYED_UNKNOWN);
	/* Gone, or not to be believed: what was read is better than nothing. */
	ck_assert_int_eq(chmod(path, 0666), 0);
	write_file(path, "w@a.example\nv@a.example\nu@a.example\n");
	clock_shift(3000);
	expect(r, some, "y@a.example", RELAYED_KNOWN);
	unlink(path);
	clock_shift(4500);
	expect(r, some, "y@a.example", RELAYED_KNOWN);
	relayed_free(r);
	/* Never there: nobody is refused for that. */
	r = relayed_new();
	expect(r, some, "y@a.example", RELAYED_TEMPORARY);
	expect(r, asks, "y@a.example", RELAYED_ASK);
	relayed_free(r);
	clock_shift(0);
	conf_free(all);
	conf_free(some);
	conf_free(asks);
	conf_free(only_asks);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("relayed");

	tcase_add_test(t, texts);
	tcase_add_test(t, verdicts);
	return run_case("relayed", t);
}
