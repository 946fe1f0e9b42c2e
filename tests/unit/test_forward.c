/*
 * mda/forward.c and mda/command.c: what ~/.forward means, how commands are written, what their exits mean.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/command.h"
#include "mda/command.h"
#include "mda/forward.h"
#include "tests/unit/run.h"

/* ---- commands ---- */

static const struct {
	const char	*text, *words;		/* words between '|'; NULL: a mistake */
} splits[] = {
	{ "cmd", "cmd" }, { " cmd  a\tb ", "cmd|a|b" }, { "/bin/sh -c 'a b; c'", "/bin/sh|-c|a b; c" },
	{ "cmd \"a b\" c", "cmd|a b|c" }, { "cmd a\"b c\"d", "cmd|ab cd" }, { "cmd '' x", "cmd||x" }, { "cmd a\\ b", "cmd|a b" },
	{ "cmd \"a\\\"b\\\\c\\d\"", "cmd|a\"b\\c\\d" }, { "cmd 'a\\'", "cmd|a\\" }, { "cmd \\$x", "cmd|$x" }, { "cmd '$x'", "cmd|$x" },
	{ "cmd -- x=y,z:%@+", "cmd|--|x=y,z:%@+" },
	{ "", NULL }, { "  ", NULL }, { "''", NULL }, { "a/b", NULL }, { "./a", NULL }, { "cmd 'a", NULL }, { "cmd \"a", NULL },
	{ "cmd \\", NULL }, { "cmd $x", NULL }, { "cmd `id`", NULL }, { "cmd | x", NULL }, { "cmd; x", NULL }, { "cmd & ", NULL },
	{ "cmd >x", NULL }, { "cmd <x", NULL }, { "cmd *", NULL }, { "~/cmd", NULL }, { "cmd (x)", NULL }, { "cmd #x", NULL },
};

START_TEST(test_split)
{
	char *argv[COMMAND_WORDS_MAX + 1], text[256] = "";
	const char *why = NULL;
	int n = command_split(splits[_i].text, argv, &why);

	if (splits[_i].words == NULL) {
		ck_assert_msg(n == -1 && why != NULL && why[0] != '\0', "%s", splits[_i].text);
		return;
	}
	ck_assert_msg(n > 0 && argv[n] == NULL, "%s: %s", splits[_i].text, why);
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? "|" : "", argv[i]);
	ck_assert_str_eq(text, splits[_i].words);
	free(argv[0]);
}
END_TEST

START_TEST(test_too_many_words)
{
	char *argv[COMMAND_WORDS_MAX + 1], text[2 * COMMAND_WORDS_MAX + 3] = "";
	const char *why;

	for (int i = 0; i < COMMAND_WORDS_MAX; i++)
		strcat(text, "a ");
	ck_assert_int_eq(command_split(text, argv, &why), COMMAND_WORDS_MAX);
	free(argv[0]);
	strcat(text, "a");
	ck_assert_int_eq(command_split(text, argv, &why), -1);
}
END_TEST

/* Shells have run what they found in variables. */
START_TEST(test_variables)
{
	static const struct { const char *value, *want; } rows[] = {
		{ "a.b+c@x.example", "V=a.b+c@x.example" }, { "() { :;}; id", "V=_____:____id" }, { "-f", "V=_f" }, { "a-f", "V=a-f" },
		{ "`id`$(x)\n\"'\\|&;<>*?~#", "V=_id___x______________" }, { "\xc3\xa4", "V=__" }, { "", "V=" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = command_variable("V", rows[i].value);

		ck_assert_str_eq(text, rows[i].want);
		free(text);
	}
}
END_TEST

START_TEST(test_results)
{
	struct mail_result r = { 0 };
	char output[COMMAND_OUTPUT_MAX];

	command_result(67 << 8, "no\nsuch\x07 user\n", 14, &r);
	ck_assert_str_eq(r.enhanced, "5.1.1");
	ck_assert_str_eq(r.text, "the command exited with 67, user unknown: no such  user");
	command_result(0, "", 0, &r);
	ck_assert(r.outcome == JOB_DELIVERED && strcmp(r.text, "given to the command") == 0);
	command_result(9, "", 0, &r);
	ck_assert(r.outcome == JOB_DEFERRED && strstr(r.text, "signal 9") != NULL);
	memset(output, 'x', sizeof(output));
	command_result(200 << 8, output, sizeof(output), &r);
	ck_assert(r.outcome == JOB_FAILED && strlen(r.text) == sizeof(r.text) - 1);
}
END_TEST

START_TEST(test_pack)
{
	struct command c = { .uid = 5, .gid = 6, .user = (char[]){ "u" }, .home = (char[]){ "/h" }, .text = (char[]){ "cmd" }, .id = 7,
	    .state = (char[]){ "/s" }, .extension = (char[]){ "x" }, .seconds = 8, .mail = { .hostname = "n", .sender = "s", .recipient = "r",
	    .head = "h", .flags = 9, .size = 10 } }, d;
	struct unpack u;
	struct pack p;

	pack_init(&p);
	command_pack(&p, &c);
	for (size_t len = 0; len < p.len; len++) {
		unpack_init(&u, p.data, len);
		ck_assert_int_eq(command_unpack(&u, &d), -1);
	}
	unpack_init(&u, p.data, p.len);
	ck_assert_int_eq(command_unpack(&u, &d), 0);
	ck_assert(d.uid == 5 && d.gid == 6 && d.id == 7 && d.seconds == 8 && d.mail.flags == 9 && d.mail.size == 10);
	ck_assert_str_eq(d.mail.recipient, "r");
	command_free(&d);
	pack_free(&p);
}
END_TEST

/* ---- ~/.forward ---- */

/* "m" the mailbox, "c" and "f" with an id, or an address. */
static const struct {
	const char	*file, *targets;
} forwards[] = {
	{ "\\anna", "m" }, { "anna", "m" }, { "Anna@Example.org", "m" }, { "anna+x@example.org", "m" }, { "anna@example.net", "anna@example.net" },
	{ "bob, x@far.example", "bob@example.org x@far.example" }, { "\\bob", "bob@example.org" }, { "\"b c\"", "\"b c\"@example.org" },
	{ "|cmd, /a/b, \\anna", "c f m" }, { "annabel", "annabel@example.org" },
	{ "anna+x", "m" }, { "Anna+X", "m" }, { "anna+y", "anna+y@example.org" }, { "anna+xy", "anna+xy@example.org" },
};

START_TEST(test_targets)
{
	char note[FORWARD_NOTE_MAX] = "", text[256] = "";
	struct envelope_rcpt *t;
	struct alias_list list;
	uint32_t n;

	alias_list_parse(&list, "F", forwards[_i].file, strlen(forwards[_i].file), ALIAS_USERS);
	ck_assert_ptr_null(list.error);
	n = forward_targets(&list, "anna+x@example.org", "anna", &t, note);
	ck_assert_uint_eq(n, list.n);
	for (uint32_t i = 0; i < n; i++) {
		bool own = t[i].part != ENVELOPE_WHOLE;

		ck_assert(t[i].local == own && t[i].final == own && (!own || strcmp(t[i].address, "anna+x@example.org") == 0));
		if (t[i].part == ENVELOPE_FORWARD_COMMAND || t[i].part == ENVELOPE_FORWARD_FILE)
			ck_assert_ptr_eq(forward_find(&list, t[i].part == ENVELOPE_FORWARD_FILE ? ALIAS_FILE : ALIAS_COMMAND, t[i].part_id),
			    list.targets[i].text);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? " " : "", t[i].part == ENVELOPE_MAILBOX ? "m" :
		    t[i].part == ENVELOPE_FORWARD_COMMAND ? "c" : own ? "f" : t[i].address);
		envelope_free_rcpt(&t[i]);
	}
	ck_assert_str_eq(text, forwards[_i].targets);
	ck_assert_ptr_null(forward_find(&list, ALIAS_COMMAND, 12345));
	free(t);
	alias_list_free(&list);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("forward");

	tcase_add_loop_test(tests, test_split, 0, (int)(sizeof(splits) / sizeof(splits[0])));
	tcase_add_test(tests, test_too_many_words);
	tcase_add_test(tests, test_variables);
	tcase_add_test(tests, test_results);
	tcase_add_test(tests, test_pack);
	tcase_add_loop_test(tests, test_targets, 0, (int)(sizeof(forwards) / sizeof(forwards[0])));
	return run_case("forward", tests);
}
