/*
 * lib/aliases.c: what is in an aliases file, and what is said of mistakes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aliases.h"
#include "tests/unit/run.h"

static const char kinds[] = { [ALIAS_ADDRESS] = '@', [ALIAS_LOCAL] = '.', [ALIAS_MAILBOX] = '\\', [ALIAS_INCLUDE] = ':',
	[ALIAS_DOMAIN] = '=', [ALIAS_COMMAND] = '|', [ALIAS_FILE] = '/' };

/* "name=.bob,@x@y;..." for the names asked for, in one string. */
static void
show(const struct alias_list *l, char *to, size_t size)
{
	to[0] = '\0';
	for (size_t i = 0; i < l->n; i++)
		snprintf(to + strlen(to), size - strlen(to), "%s%c%s", i > 0 ? "," : "", kinds[l->targets[i].kind],
		    l->targets[i].text);
}

static const struct {
	const char	*text, *name;
	const char	*targets;	/* NULL: no such alias */
	const char	*error;		/* part of the first error in the file; NULL: none */
} rows[] = {
	{ "", "a", NULL, NULL },
	{ "a: b\n", "a", ".b", NULL },
	{ "a: b", "a", ".b", NULL },
	{ "a:b\r\n", "a", ".b", NULL },
	{ "# c\n\n  # d\na: b # e\n\t# f\n", "a", ".b", NULL },
	{ "a: b, c,d ,\n\te\n\n# x\n  f, g\nh: i\n", "a", ".b,.c,.d,.e,.f,.g", NULL },
	{ "a: b, c,d ,\n\te\n\n# x\n  f, g\nh: i\n", "h", ".i", NULL },
	{ "MailMan: Bob\n", "mailman", ".Bob", NULL },
	{ "a : Bob@Example.ORG\n", "a", "@Bob@example.org", NULL },
	{ "\"odd name\": \"other name\"\n", "odd name", ".\"other name\"", NULL },
	{ "Info@Example.org: b\n", "info@example.org", ".b", NULL },
	{ "a: \\a, b@x.example\n", "a", "\\a,@b@x.example", NULL },
	{ "a: :include:/etc/list\n", "a", ":/etc/list", NULL },
	{ "a: \":include:/etc/my list\"\n", "a", ":/etc/my list", NULL },
	{ "a: \"x,y\"@x.example, z\n", "a", "@\"x,y\"@x.example,.z", NULL },
	{ "j\xc3\xb6rg: b@b\xc3\xbc" "cher.example\n", "j\xc3\xb6rg", "@b@xn--bcher-kva.example", NULL },
	/* mistakes: the alias is known, with its error; its neighbours are unharmed */
	{ "a: |cmd\nb: c\n", "b", ".c", "F:1: |cmd: a command is taken only from" },
	{ "a: b,\n \"|cmd x, y\"\n", "a", ".b", "F:2: \"|cmd x, y\": a command is" },
	{ "a: /var/mail/x\n", "a", "", "F:1: /var/mail/x: a file is taken only from" },
	{ "a: \"/dev/null\"\n", "a", "", "F:1: /dev/null: a file is taken only" },
	{ "a: :fail: gone\n", "a", "", "F:1: " },
	{ "a: :include:list\n", "a", "", "expected :include: with an absolute path" },
	{ "\n\na:\nb: c\n", "a", "", "F:3: a: no target" },
	{ "a: b c\n", "a", "", "F:1: \"b c\": " },
	{ "a: b@\n", "a", "", "F:1: b@: no domain" },
	{ "a: \\b@x.example\n", "a", "", "a backslash is for local names" },
	{ "a: \"b\n", "a", "", "F:1: " },
	{ "a b: c\nd: e\n", "d", ".e", "F:1: expected \"name: target" },
	{ "nothing\nd: e\n", "d", ".e", "F:1: expected \"name: target" },
	{ ": b\nd: e\n", "d", ".e", "F:1: expected \"name: target" },
	{ "a\n b: c\nd: e\n", "d", ".e", "F:1: expected \"name: target" },
	{ "  a: b\nc: d\n", "c", ".d", "F:1: a continued line" },
	{ "a: b\nA: c\n", "a", ".b", "F:2: a: is in line 1 already" },
	{ "a: b\001c\nd: e\n", "d", ".e", "control character" },
};

START_TEST(test_parse)
{
	struct aliases *a = aliases_parse("F", rows[_i].text, strlen(rows[_i].text), ALIAS_OTHERS);
	const struct alias *alias = aliases_find(a, rows[_i].name);
	char found[512] = "";

	ck_assert_msg((alias != NULL) == (rows[_i].targets != NULL), "row %d", _i);
	if (alias != NULL) {
		show(&alias->list, found, sizeof(found));
		ck_assert_str_eq(found, rows[_i].targets);
	}
	ck_assert_msg((a->n_errors > 0) == (rows[_i].error != NULL), "row %d: %u errors, first %s", _i, a->n_errors,
	    a->n_errors > 0 ? a->errors[0] : "none");
	if (rows[_i].error != NULL)
		ck_assert_msg(strstr(a->errors[0], rows[_i].error) != NULL, "row %d: %s", _i, a->errors[0]);
	aliases_free(a);
}
END_TEST

START_TEST(test_numbers)
{
	static const char text[] = "a: bb, cc\nd: e\n";
	struct aliases *a = aliases_parse("F", text, sizeof(text) - 1, ALIAS_OTHERS);

	ck_assert_uint_eq(aliases_count(a), 2);
	ck_assert_uint_eq(a->longest, 4);
	ck_assert_uint_eq(a->bytes, 5);
	aliases_free(a);
	aliases_free(NULL);
}
END_TEST

/* Who may name what; how commands are written. */
static const struct {
	enum alias_source source;
	const char	*text, *targets, *error;
} sources[] = {
	{ ALIAS_ROOTS, "|cmd, /a/b\n@X.example\n", "|cmd,/" "/a/b,=x.example", NULL },
	{ ALIAS_ROOTS, "\"|/bin/sh -c 'a, b | c'\"", "|/bin/sh -c 'a, b | c'", NULL },
	{ ALIAS_ROOTS, "\"|/bin/cat \\\"x y\\\"\"", "|/bin/cat \"x y\"", NULL },
	{ ALIAS_ROOTS, "|cmd | more", "", "F:1: \"|cmd | more\": no shell reads it" },
	{ ALIAS_ROOTS, "\"|IFS=' ' && exec x\"", "", "no shell reads it" },
	{ ALIAS_ROOTS, "|", "", "no program is named" },
	{ ALIAS_ROOTS, "| \"\"", "", "no program is named" },
	{ ALIAS_ROOTS, "|bin/cmd", "", "is not absolute" },
	{ ALIAS_ROOTS, "|cmd 'x", "", "a quote is not closed" },
	{ ALIAS_ROOTS, "/a/../b", "", "without .." },
	{ ALIAS_ROOTS, "/a/..", "", "without .." },
	{ ALIAS_ROOTS, "/a/", "", "expected the path of a file" },
	{ ALIAS_ROOTS, "@", "", "expected a domain behind the @" },
	{ ALIAS_ROOTS, "@[192.0.2.1]", "", "expected a domain behind the @" },
	{ ALIAS_OTHERS, "a, |cmd", ".a", "a command is taken only from" },
	{ ALIAS_USERS, "\\anna, |cmd, /a", "\\anna,|cmd,//a", NULL },
	{ ALIAS_USERS, ":include:/etc/shadow", "", "lists are for aliases" },
};

START_TEST(test_sources)
{
	struct alias_list l;
	char text[256];

	alias_list_parse(&l, "F", sources[_i].text, strlen(sources[_i].text), sources[_i].source);
	show(&l, text, sizeof(text));
	ck_assert_msg(strcmp(text, sources[_i].targets) == 0, "%s: %s", sources[_i].text, text);
	ck_assert_msg(sources[_i].error == NULL ? l.error == NULL : l.error != NULL && strstr(l.error, sources[_i].error) != NULL,
	    "%s: %s", sources[_i].text, l.error);
	alias_list_free(&l);
}
END_TEST

START_TEST(test_domain_names)
{
	static const char text[] = "@Example.ORG: anna\n\"@b\xc3\xbc" "cher.example\": bert\n@: x\n@a b: x\n";
	struct aliases *a = aliases_parse("F", text, sizeof(text) - 1, ALIAS_ROOTS);

	ck_assert_ptr_nonnull(aliases_find_catch_all(a, "EXAMPLE.org"));
	ck_assert_ptr_nonnull(aliases_find_catch_all(a, "xn--bcher-kva.example"));
	ck_assert_ptr_null(aliases_find_catch_all(a, "example.net"));
	ck_assert_uint_eq(a->n_errors, 2);
	aliases_free(a);
}
END_TEST

/* Ids tell targets apart, and stay what they are. */
START_TEST(test_ids)
{
	struct alias_target command = { ALIAS_COMMAND, (char[]){ "/a" } }, file = { ALIAS_FILE, (char[]){ "/a" } },
	    other = { ALIAS_FILE, (char[]){ "/b" } };

	ck_assert(alias_target_id(&command) != alias_target_id(&file));
	ck_assert(alias_target_id(&file) != alias_target_id(&other));
	ck_assert(alias_target_id(&file) == alias_target_id(&(struct alias_target){ ALIAS_FILE, (char[]){ "/a" } }));
}
END_TEST

START_TEST(test_list)
{
	static const char text[] = "# members\na@x.example\r\n\n  bob, carol\n\n:include:/more\n";
	struct alias_list l;
	char found[256];

	alias_list_parse(&l, "F", text, sizeof(text) - 1, ALIAS_OTHERS);
	show(&l, found, sizeof(found));
	ck_assert_str_eq(found, "@a@x.example,.bob,.carol,:/more");
	ck_assert_ptr_null(l.error);
	alias_list_free(&l);
	alias_list_parse(&l, "F", "a\n|b\n", 5, ALIAS_OTHERS);
	ck_assert_ptr_nonnull(strstr(l.error, "F:2: |b: a command is taken only"));
	alias_list_free(&l);
	alias_list_parse_one(&l, "root_mail", "anna@x.example");
	show(&l, found, sizeof(found));
	ck_assert_str_eq(found, "@anna@x.example");
	alias_list_free(&l);
}
END_TEST

/* A list as long as they come, and errors without end: remembered up to a limit, counted all. */
START_TEST(test_many)
{
	size_t size = 4 << 20, len = 0;
	char *text = malloc(size);
	struct aliases *a;

	for (int i = 0; i < 50000; i++)
		len += (size_t)snprintf(text + len, size - len, "%su%d@x.example", i == 0 ? "all: " : ",\n ", i);
	a = aliases_parse("F", text, len, ALIAS_OTHERS);
	ck_assert_uint_eq(a->n_errors, 0);
	ck_assert_uint_eq(aliases_find(a, "all")->list.n, 50000);
	aliases_free(a);
	len = 0;
	for (int i = 0; i < 50000; i++)
		len += (size_t)snprintf(text + len, size - len, "bad line\n");
	a = aliases_parse("F", text, len, ALIAS_OTHERS);
	ck_assert_uint_eq(a->n_errors, 50000);
	aliases_free(a);
	free(text);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("aliases");

	tcase_add_loop_test(tests, test_parse, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tests, test_numbers);
	tcase_add_loop_test(tests, test_sources, 0, (int)(sizeof(sources) / sizeof(sources[0])));
	tcase_add_test(tests, test_domain_names);
	tcase_add_test(tests, test_ids);
	tcase_add_test(tests, test_list);
	tcase_add_test(tests, test_many);
	return run_case("aliases", tests);
}
