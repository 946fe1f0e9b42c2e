/*
 * Authentication-Results: what we write, and which of others' claim to be ours (RFC 8601, 2.2, 5 and appendix B).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/authres.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ID "example.org"
#define AR "Authentication-Results: "

START_TEST(test_written)
{
	struct authres a;

	authres_begin(&a, ID);
	authres_end(&a);
	ck_assert_str_eq(a.text, AR "example.org; none\r\n");
	authres_begin(&a, ID);
	authres_result(&a, "spf", "pass", NULL);
	authres_property(&a, "smtp", "mailfrom", "example.net");
	authres_result(&a, "dkim", "fail", "bad \"signature\"");
	authres_property(&a, "header", "i", "@mail-router.example.net");
	authres_end(&a);
	ck_assert_str_eq(a.text, AR "example.org;\r\n\tspf=pass smtp.mailfrom=example.net;\r\n"
	    "\tdkim=fail reason=\"bad \\\"signature\\\"\" header.i=@mail-router.example.net\r\n");
	ck_assert_uint_eq(a.len, strlen(a.text));
}
END_TEST

static const struct {
	const char *value, *written;
} values[] = {
	{ "sender@example.com", "sender@example.com" },
	{ "@example.com", "@example.com" },
	{ "", "\"\"" },
	{ "a b@example.com", "\"a b@example.com\"" },
	{ "a@b@c", "\"a@b@c\"" },
	{ "a;dkim=pass", "\"a;dkim=pass\"" },
	{ "a (comment)", "\"a (comment)\"" },
	{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "a\r\nX: y", "\"a??X: y\"" },
	{ "j\xc3\xbcrgen@example.com", "\"j??rgen@example.com\"" },
	{ "2001:db8::1", "\"2001:db8::1\"" },
};

START_TEST(test_values)
{
	struct authres a;
	char want[300];

	authres_begin(&a, ID);
	authres_result(&a, "spf", "pass", NULL);
	authres_property(&a, "smtp", "mailfrom", values[_i].value);
	authres_end(&a);
	snprintf(want, sizeof(want), AR "example.org;\r\n\tspf=pass smtp.mailfrom=%s\r\n", values[_i].written);
	ck_assert_str_eq(a.text, want);
}
END_TEST

/* However much there is to say, the field stays a field: bounded, folded, with whole results only. */
START_TEST(test_bounded)
{
	struct authres a;
	char value[2000];

	memset(value, '"', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	authres_begin(&a, value);
	for (int i = 0; i < 100; i++) {
		authres_result(&a, "dkim", "fail", value);
		authres_property(&a, "header", "d", value);
	}
	authres_end(&a);
	ck_assert_uint_le(a.len, AUTHRES_MAX);
	ck_assert_uint_eq(a.len, strlen(a.text));
	ck_assert_str_eq(a.text + a.len - 3, "\"\r\n");
	authres_begin(&a, ID);
	for (int i = 0; i < 10; i++)
		authres_result(&a, "dkim", "neutral", NULL);
	authres_property(&a, "header", "d", "a-rather-long-name-of-a-domain.example.com");
	authres_property(&a, "header", "s", "a-rather-long-selector-of-a-key");
	authres_end(&a);
	for (char *line = a.text, *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2)
		ck_assert_int_le(end - line, 78);
}
END_TEST

static const struct {
	const char *field;
	bool ours;
} fields[] = {
	{ "Authentication-Results: example.org; none\r\n", true },
	{ "authentication-RESULTS: Example.ORG; spf=pass\r\n", true },
	{ "Authentication-Results : example.org; spf=pass\r\n", true },
	{ "Authentication-Results:example.org;spf=pass\r\n", true },
	{ "Authentication-Results:\r\n\t example.org; spf=pass\r\n", true },
	{ "Authentication-Results: (it (was) us \\)) example.org (yes) 1; spf=pass\r\n", true },
	{ "Authentication-Results: \"example.org\"; spf=pass\r\n", true },
	{ "Authentication-Results: \"exa\\mple.org\" 1; spf=pass\r\n", true },
	{ "Authentication-Results: example.org.; spf=pass\r\n", true },
	{ "Authentication-Results: example.org 1; spf=pass\r\n", true },
	{ "Authentication-Results: example.org/1; spf=pass\r\n", true },
	{ "Authentication-Results: example.org\r\n", true },
	{ "Authentication-Results: example.org", true },
	/* what cannot be read goes */
	{ "Authentication-Results:\r\n", true },
	{ "Authentication-Results: ; spf=pass\r\n", true },
	{ "Authentication-Results: (example.org; spf=pass\r\n", true },
	{ "Authentication-Results: \"example.org; spf=pass\r\n", true },
	/* others' */
	{ "Authentication-Results: example.com; spf=pass\r\n", false },
	{ "Authentication-Results: mail.example.org; spf=pass\r\n", false },
	{ "Authentication-Results: example.organic; spf=pass\r\n", false },
	{ "Authentication-Results: example.com (example.org); spf=pass\r\n", false },
	{ "ARC-Authentication-Results: i=1; example.org; spf=pass\r\n", false },
	{ "X-Authentication-Results: example.org; spf=pass\r\n", false },
};

START_TEST(test_ours)
{
	struct header_field f;
	size_t at = 0, len = strlen(fields[_i].field);

	ck_assert(header_next(fields[_i].field, len, &at, &f));
	ck_assert_msg(authres_is_ours(&f, ID) == fields[_i].ours, "%s", fields[_i].field);
}
END_TEST

START_TEST(test_ours_internationalised)
{
	static const char u[] = AR "b\xc3\xbc" "cher.example; spf=pass\r\n", a[] = AR "xn--bcher-kva.example; spf=pass\r\n";
	struct header_field f;
	size_t at = 0;

	ck_assert(header_next(u, sizeof(u) - 1, &at, &f));
	ck_assert(authres_is_ours(&f, "xn--bcher-kva.example"));
	at = 0;
	ck_assert(header_next(a, sizeof(a) - 1, &at, &f));
	ck_assert(authres_is_ours(&f, "b\xc3\xbc" "cher.example"));
}
END_TEST

static const struct {
	const char *block, *left;
	unsigned removed;
} blocks[] = {
	{ AR "example.org; spf=pass\r\nFrom: a@b\r\n\r\n" AR "example.org; in the body\r\n",
	    "From: a@b\r\n\r\n" AR "example.org; in the body\r\n", 1 },
	{ "From: a@b\r\n" AR "example.org;\r\n\tspf=pass;\r\n\tdkim=pass\r\nTo: c@d\r\n\r\n", "From: a@b\r\nTo: c@d\r\n\r\n", 1 },
	{ AR "example.org; a=b\n" AR "other.example; a=b\n" AR "\"example.org\"; a=b\n\n", AR "other.example; a=b\n\n", 2 },
	{ AR "example.org; a=b", "", 1 },
	{ "no field\r\n" AR "example.org; a=b\r\nFrom: a@b\r\n\r\n", "no field\r\nFrom: a@b\r\n\r\n", 1 },
	{ "From: a@b\r\n\r\n", "From: a@b\r\n\r\n", 0 },
	{ "\r\n" AR "example.org; a=b\r\n", "\r\n" AR "example.org; a=b\r\n", 0 },
	{ "", "", 0 },
};

START_TEST(test_strip)
{
	char *block = strdup(blocks[_i].block);
	unsigned removed = 99;
	size_t len = authres_strip(block, strlen(block), ID, &removed);

	block[len] = '\0';
	ck_assert_str_eq(block, blocks[_i].left);
	ck_assert_uint_eq(removed, blocks[_i].removed);
	free(block);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("authres");

	tcase_add_test(tc, test_written);
	tcase_add_loop_test(tc, test_values, 0, COUNT(values));
	tcase_add_test(tc, test_bounded);
	tcase_add_loop_test(tc, test_ours, 0, COUNT(fields));
	tcase_add_test(tc, test_ours_internationalised);
	tcase_add_loop_test(tc, test_strip, 0, COUNT(blocks));
	return run_case("authres", tc);
}
