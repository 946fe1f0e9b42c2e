/*
 * The file of names and passwords: what is read from it, and what is said of a bad line, which is never the line.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/credentials.h"
#include "tests/unit/run.h"

START_TEST(good)
{
	static const char text[] = "# relays\n\nout anna secret\n\t office\tb@example.org  two words \t \r\nlast x #not a comment";
	char err[300];
	struct credentials *c = credentials_parse(text, strlen(text), err, sizeof(err));

	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(credentials_find(c, "out")->user, "anna");
	ck_assert_str_eq(credentials_find(c, "out")->password, "secret");
	ck_assert_str_eq(credentials_find(c, "office")->user, "b@example.org");
	ck_assert_str_eq(credentials_find(c, "office")->password, "two words \t ");
	ck_assert_str_eq(credentials_find(c, "last")->password, "#not a comment");
	ck_assert_ptr_null(credentials_find(c, "Out"));
	ck_assert_ptr_null(credentials_find(c, ""));
	ck_assert_ptr_null(credentials_find(NULL, "out"));
	credentials_free(c);
	c = credentials_parse("", 0, err, sizeof(err));
	ck_assert_ptr_nonnull(c);
	credentials_free(c);
	credentials_free(NULL);
}
END_TEST

START_TEST(bad)
{
	static const struct { const char *text, *err; } rows[] = {
		{ "out anna", "line 1: the password is missing" },
		{ "# x\nout", "line 2: words are missing" },
		{ "out anna  \t", "line 1: the password is missing" },
		{ "out anna SECRET\nout bob SECRET", "line 2: this name is there before" },
		{ "out anna SEC\001RET", "line 1: a control character" },
	};
	char err[300], longest[2000] = "";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_ptr_null(credentials_parse(rows[i].text, strlen(rows[i].text), err, sizeof(err)));
		ck_assert_msg(strncmp(err, rows[i].err, strlen(rows[i].err)) == 0, "%s", err);
		ck_assert_ptr_null(strstr(err, "SEC"));
	}
	memset(longest, 'x', 1000);
	ck_assert_ptr_null(credentials_parse(longest, 1000, err, sizeof(err)));
	memcpy(longest, "a b ", 4);
	ck_assert_ptr_null(credentials_parse(longest, 1000, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "too long"));
	longest[3 + 1 + 255] = '\n';
	longest[3 + 1 + 255 + 1] = '#';
	credentials_free(credentials_parse(longest, 1000, err, sizeof(err)));
	ck_assert_ptr_null(credentials_parse("a b\0c", 5, err, sizeof(err)));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("credentials");

	tcase_add_test(t, good);
	tcase_add_test(t, bad);
	return run_case("credentials", t);
}
